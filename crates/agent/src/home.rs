//! The user's files, as they can be read without being led astray: nothing outside the home, no links, nothing too large.

#[cfg(any(windows, test))]
mod plain;
#[cfg(all(unix, any(test, not(target_os = "linux"))))]
pub(crate) mod steps;
#[cfg(unix)]
mod unix;

#[cfg(windows)]
pub(crate) use plain::Home;
#[cfg(unix)]
pub(crate) use unix::{Home, entries, size_of};
