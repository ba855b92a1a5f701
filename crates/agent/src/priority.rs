//! Work that nobody waits for, and that must not slow the PC.

/// Runs this on a thread of its own, which the system lets run when nothing else wants to: processor and disk. `None` if it panicked.
pub async fn in_peace<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let alone = || {
        let thread = std::thread::spawn(|| {
            lower();
            work()
        });
        thread.join().ok()
    };
    tokio::task::spawn_blocking(alone).await.ok().flatten()
}

/// The last place among those that run. On Linux that is one of the thread alone, and its reads from the disk follow it (ioprio_set(2)).
#[cfg(target_os = "linux")]
fn lower() {
    if let Err(problem) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%problem, "the priority stays as it is");
    }
}

#[cfg(windows)]
fn lower() {
    if let Err(problem) = crate::windows::system::work_in_background() {
        tracing::debug!(%problem, "the priority stays as it is");
    }
}

/// What macOS starts for a user by itself runs behind what the user does.
#[cfg(not(any(target_os = "linux", windows)))]
fn lower() {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #[tokio::test]
    async fn only_the_thread_that_works_in_peace_is_last() {
        let own = || rustix::process::getpriority_process(None).unwrap();
        let before = own();
        assert_eq!(super::in_peace(own).await, Some(19));
        assert_eq!((own(), super::in_peace(|| panic!("on purpose")).await), (before, None));
    }
}
