//! The lock of a running browser on Linux and macOS: a link `SingletonLock` to `host-process` in the folder of its users' data
//! (Chromium, `process_singleton_posix.cc`). It may be left over from a crash.

use std::fs;
use std::path::Path;

/// The host and the process that hold the lock of this folder, if there is one.
pub(super) fn holder(user_data: &Path) -> Option<(String, u32)> {
    let lock = fs::read_link(user_data.join("SingletonLock")).ok()?;
    let (host, process) = lock.to_str()?.rsplit_once('-')?;
    Some((host.to_owned(), process.parse().ok()?))
}
