//! The one process with rights on a clinic PC; small on purpose.
//!
//! [`link`] brings the manifest, [`converge`] leads every slot to what the manifest says, [`receipts`] keep what was done until
//! the server has it. Whatever a platform does differently is behind [`keystore::Keystore`], [`browser::Browser`] and the
//! platform modules of [`disk`] and [`sweep`].

pub mod agent;
pub mod backoff;
pub mod browser;
pub mod bundle_key;
pub mod chance;
pub(crate) mod checkup;
pub mod cli;
pub mod command;
pub mod converge;
#[cfg(test)]
pub(crate) mod crash;
pub mod disk;
pub mod doctor;
pub mod enroll;
pub mod facts;
pub mod found;
pub(crate) mod home;
pub mod identity;
pub mod inventory;
pub mod journal;
pub mod keystore;
pub mod limit;
pub mod link;
pub mod manifest;
pub mod offline;
#[cfg(test)]
pub(crate) mod pretend;
mod priority;
pub mod probe;
pub mod quarantine;
pub mod receipts;
pub mod selection;
pub mod selftest;
pub mod server;
#[cfg(windows)]
pub mod service;
pub mod settings;
pub mod setup;
pub mod snapshot;
pub mod state;
pub mod status;
pub mod supervise;
pub mod sweep;
pub mod switch;
pub mod trust;
pub mod vendor;
#[cfg(windows)]
pub(crate) mod windows;
pub mod words;

/// Tells an error with everything below it, on one line.
pub fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(cause) = below {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        below = cause.source();
    }
    text
}

/// The device's own clock, in seconds since the Unix epoch. For people and for receipts; nothing is decided by it.
pub fn wall_clock() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |span| i64::try_from(span.as_secs()).unwrap_or(i64::MAX))
}
