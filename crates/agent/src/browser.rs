//! Tells the browser which certificate to use for which site, so that nobody sees a chooser; and knows when it has not heard yet.

use std::collections::BTreeSet;

use tegata_api::v1::device::BrowserRule;

use crate::command::CommandError;
use crate::disk::DiskError;
use crate::settings::{KeystoreChoice, Settings};
use crate::state::State;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod lock;
#[cfg(any(target_os = "macos", all(test, target_os = "linux")))]
mod macos;
#[cfg(any(windows, test))]
mod numbered;
mod running;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
pub(crate) use linux::USER_DATA;
#[cfg(target_os = "macos")]
pub(crate) use macos::USER_DATA;
#[cfg(windows)]
pub(crate) use windows::USER_DATA;

/// Why browsers were not told.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// Their policies lie where only an administrator may write. Certificates work all the same, but people have to choose them.
    #[error("browsers cannot be told which certificate to use, so they ask; an administrator has to run once: {command}")]
    Closed {
        /// What makes the folders ours.
        command: String,
        /// What happened.
        #[source]
        source: DiskError,
    },
    /// A configuration profile overrules whatever the agent writes.
    #[error(
        "a configuration profile ({profile}) tells browsers which certificates to use, and does not name this one, so they ask; an administrator \
         has to put it into the profile: tegata profile mobileconfig"
    )]
    Overruled {
        /// Where its settings lie.
        profile: String,
    },
    /// Somebody has written something that is no list of texts, and it is not ours to mend.
    #[error("{0} is not a list of texts, so browsers pass over it; whoever set it has to correct or remove it")]
    NoList(String),
    /// The tool for preferences failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The disk is in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// The browsers of this PC.
pub trait Browser {
    /// Makes the browsers select by these rules; rules of others stay in force. True if that changed anything.
    fn select(&mut self, rules: &BTreeSet<BrowserRule>) -> Result<bool, BrowserError>;
    /// Takes note that a certificate has changed: browsers that run now keep the old decision for sites they have visited.
    fn certificates_changed(&mut self) -> Result<(), DiskError>;
    /// True while a browser runs that was already running at the last change.
    fn holds_old(&self) -> Result<bool, DiskError>;
}

/// The browsers of this PC; none if it was enrolled as a PC without one.
#[cfg(target_os = "linux")]
pub fn of_this_pc(state: &State, settings: &Settings) -> Box<dyn Browser> {
    let named = settings.browser_policies.clone().map(|folder| vec![linux::PolicyFolder::named(folder)]);
    let usual = || if settings.keystore == KeystoreChoice::File { vec![] } else { linux::PolicyFolder::usual() };
    Box::new(linux::Chromium::new(state, &settings.home, named.unwrap_or_else(usual)))
}

/// The browsers of this PC; none if it was enrolled as a PC without one.
#[cfg(windows)]
pub fn of_this_pc(state: &State, settings: &Settings) -> Box<dyn Browser> {
    let is_without = settings.keystore == KeystoreChoice::File;
    Box::new(if is_without { windows::Registered::at(state, &[]) } else { windows::Registered::usual(state) })
}

/// The browsers of this PC; none if it was enrolled as a PC without one.
#[cfg(target_os = "macos")]
pub fn of_this_pc(state: &State, settings: &Settings) -> Box<dyn Browser> {
    let domains = if settings.keystore == KeystoreChoice::File { &[][..] } else { &macos::DOMAINS };
    Box::new(macos::Preferences::new(state, &settings.home, domains))
}

/// True for what Chrome, Chromium and Edge are called, as programs, desktop entries and identifiers, in small letters.
pub(crate) fn is_browser_name(name: &str) -> bool {
    ["chrom", "edge"].iter().any(|part| name.contains(part))
}
