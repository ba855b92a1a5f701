//! Many who ask at the same time are served together: one `fsync`, or one change of thread, costs the same for all of them.

use tokio::sync::mpsc;
use tokio::task::yield_now;

/// Waits for whoever asks first, and takes along those who ask at the same time, at most `most`. Empty once nobody can ask any more.
///
/// Everybody who is ready to run comes to ask before it is over; while nobody else does, it waits for nobody.
pub(super) async fn gather<T>(queue: &mut mpsc::Receiver<T>, most: usize) -> Vec<T> {
    let mut crowd = Vec::new();
    let mut before = 0;
    queue.recv_many(&mut crowd, most).await;
    while before < crowd.len() && crowd.len() < most {
        before = crowd.len();
        yield_now().await;
        crowd.extend(std::iter::from_fn(|| queue.try_recv().ok()).take(most - before));
    }
    crowd
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_who_is_ready_comes_along_and_nobody_is_left_behind() {
        let (ask, mut queue) = mpsc::channel(100);
        for number in 0..10 {
            let ask = ask.clone();
            tokio::spawn(async move { ask.send(number).await });
        }
        drop(ask);
        assert_eq!(gather(&mut queue, 4).await.len(), 4);
        assert_eq!(gather(&mut queue, 100).await.len(), 6);
        assert!(gather(&mut queue, 100).await.is_empty(), "nobody can ask any more");
    }
}
