//! Chromium and Chrome on Linux: one policy file of ours beside those of others, and the locks of running browsers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tegata_api::v1::device::BrowserRule;

use super::running::{Running, Witnesses};
use super::{Browser, BrowserError, is_browser_name, lock};
use crate::disk::DiskError;
use crate::state::State;

mod lenient;
mod policy;

pub(super) use policy::PolicyFolder;

/// Where browsers keep their users' data, below the home folder; a link `SingletonLock` in it names the running process.
pub(crate) const USER_DATA: [&str; 6] = [
    ".config/chromium",
    ".config/google-chrome",
    ".config/google-chrome-beta",
    ".config/google-chrome-unstable",
    ".config/microsoft-edge",
    "snap/chromium/common/chromium",
];

/// The browsers of one user.
pub(super) struct Chromium {
    home: PathBuf,
    folders: Vec<PolicyFolder>,
    witnesses: Witnesses,
}

impl Chromium {
    /// For the user of `home`, with policies in `folders`.
    pub(super) fn new(state: &State, home: &Path, folders: Vec<PolicyFolder>) -> Self {
        Self { home: home.to_owned(), folders, witnesses: Witnesses::of(state, started) }
    }

    /// True if our file had to be changed.
    fn select_in(&mut self, folder: &PolicyFolder, rules: &BTreeSet<BrowserRule>) -> Result<bool, DiskError> {
        folder.clear()?;
        let wanted = if rules.is_empty() { None } else { Some(folder.text(rules)?) };
        if folder.read()? == wanted {
            return Ok(false);
        }
        folder.open()?;
        self.certificates_changed()?;
        folder.replace(wanted.as_deref())?;
        Ok(true)
    }

    fn running(&self) -> BTreeSet<Running> {
        USER_DATA.iter().filter_map(|folder| running_in(&self.home.join(folder))).collect()
    }
}

impl Browser for Chromium {
    fn select(&mut self, rules: &BTreeSet<BrowserRule>) -> Result<bool, BrowserError> {
        let folders = self.folders.clone();
        let mut changed = false;
        let mut closed = Vec::new();
        for folder in folders.iter().filter(|folder| folder.is_read()) {
            match self.select_in(folder, rules) {
                Ok(wrote) => changed |= wrote,
                Err(problem) if policy::is_closed(&problem) => closed.push((folder.path(), problem)),
                Err(problem) => return Err(problem.into()),
            }
        }
        let command = policy::opening(closed.iter().map(|(folder, _)| *folder));
        let closed = closed.into_iter().next();
        closed.map_or(Ok(changed), |(_, source)| Err(BrowserError::Closed { command, source }))
    }

    fn certificates_changed(&mut self) -> Result<(), DiskError> {
        self.witnesses.note(self.running())
    }

    fn holds_old(&self) -> Result<bool, DiskError> {
        Ok(!self.witnesses.alive()?.is_empty())
    }
}

/// The browser that uses this folder.
fn running_in(user_data: &Path) -> Option<Running> {
    let (host, process) = lock::holder(user_data)?;
    (host == crate::facts::hostname() && is_browser(process)).then_some(())?;
    Some(Running { process, started: started(process)? })
}

fn is_browser(process: u32) -> bool {
    let program = fs::read_link(format!("/proc/{process}/exe")).unwrap_or_default();
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    is_browser_name(&name)
}

/// When a process started, in clock ticks since the PC did: field 22 of `/proc/<pid>/stat`, counted behind the name's bracket.
fn started(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests;
