//! Finds the installer files that certificates came in, and removes those whose contents are on record.
//!
//! Looks only directly into the user's own folders, follows no link, and removes a file only as what it was when it was read.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
#[cfg(not(windows))]
use std::path::Component;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tegata_api::v1::device::{Deed, FileHash, InstallerSeen};

use crate::disk::{self, DiskError};
use crate::limit::Limit;
use crate::receipts::{ReceiptError, Receipts};
use crate::state::State;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows::{self as os, own_folder};

/// How many files of the manifest are looked for. More than lie on any PC; what is behind them comes when these are gone.
const LISTED_MAX: usize = 1_000;
/// The largest file that is looked at, in bytes. A bundle of one key and three certificates has less than 16 KiB.
const SIZE_MAX: u64 = 16 * 1024 * 1024;
/// What a file is called while it is being removed. Its ending makes the next sweep find it, should this one be cut short.
const REMOVING: (&str, &str) = (".tegata-removing-", ".p12");

/// A file in one of the folders.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// The folder, below the user's home.
    pub folder: PathBuf,
    /// The file's name in it.
    pub name: OsString,
    /// What it contains.
    pub file: FileHash,
}

impl Found {
    /// As the user would name it. A folder that was moved to another drive is not below the home.
    fn seen(&self) -> InstallerSeen {
        let path = self.folder.join(&self.name);
        let below = || format!("~/{}", path.iter().map(OsStr::to_string_lossy).collect::<Vec<_>>().join("/"));
        let path = if path.is_absolute() { path.display().to_string() } else { below() };
        InstallerSeen { path, file: self.file.clone() }
    }

    fn is_half_removed(&self) -> bool {
        self.name.to_string_lossy().starts_with(REMOVING.0)
    }
}

/// A file whose removal has begun, as it is written down: first without, then with the name that it was moved to.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Intent {
    #[serde(flatten)]
    seen: InstallerSeen,
    /// The folder, below the user's home.
    #[serde(default)]
    folder: PathBuf,
    /// What it is called while it is being removed. Only from here on may the agent have removed it.
    #[serde(default)]
    aside: Option<String>,
}

/// A folder that could not be looked into, and why.
type Unread = (PathBuf, io::Error);

/// Why a sweep could not be done.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The agent's own files are in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The receipt could not be written.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The user's home cannot be opened.
    #[error("cannot look into {}", home.display())]
    Home {
        /// Which home.
        home: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
}

/// What a sweep has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The installer files that lie there now.
    pub left: Vec<InstallerSeen>,
    /// True if the local limit kept some of them there.
    pub limited: bool,
    /// The folders that could not be looked into, below the user's home. Nothing is known of what lies there.
    pub unread: Vec<PathBuf>,
}

/// One user's folders.
pub struct Sweeper<'a> {
    /// The agent's own folder.
    pub state: &'a State,
    /// The user's home.
    pub home: &'a Path,
    /// Where receipts go.
    pub receipts: &'a mut Receipts,
    /// The local limit.
    pub limit: &'a mut Limit,
}

impl Sweeper<'_> {
    /// Looks into `folders` and removes what is `listed` there.
    pub fn sweep(&mut self, folders: &BTreeSet<String>, listed: &BTreeSet<FileHash>) -> Result<Swept, SweepError> {
        let listed = listed.iter().take(LISTED_MAX).cloned().collect();
        let (found, unread) = os::look(self.home, &places(self.home, folders), &listed).map_err(|source| self.unreadable(source))?;
        self.settle_interrupted(&found)?;
        let mut swept = Swept::default();
        for file in found {
            if listed.contains(&file.file) && self.remove(&file, &mut swept.limited)? {
                continue;
            }
            swept.left.push(file.seen());
        }
        swept.left.sort();
        for (folder, problem) in unread {
            tracing::warn!(folder = %folder.display(), %problem, "installer files cannot be looked for");
            swept.unread.push(folder);
        }
        Ok(swept)
    }

    /// Removes one file: first the intent, then the file, then the receipt. True if it is gone.
    fn remove(&mut self, file: &Found, limited: &mut bool) -> Result<bool, SweepError> {
        let begun = self.intent()?.filter(|intent| file.is_half_removed() && intent.seen.file == file.file);
        let seen = begun.map_or_else(|| file.seen(), |intent| intent.seen);
        if !self.limit.take(&format!("{} {}", seen.file.sha256, seen.path))? {
            *limited = true;
            return Ok(false);
        }
        let mut intent = Intent { seen, folder: file.folder.clone(), aside: None };
        disk::write_json(&self.state.sweeping(), &intent)?;
        let removed = match os::set_aside(self.home, file) {
            Ok(aside) => {
                intent.aside = Some(aside.name.clone());
                disk::write_json(&self.state.sweeping(), &intent)?;
                aside.remove()
            }
            Err(problem) => Err(problem),
        };
        if let Err(problem) = removed {
            tracing::warn!(path = %intent.seen.path, %problem, "an installer file was not removed");
            disk::remove(&self.state.sweeping())?;
            return Ok(false);
        }
        self.receive(intent.seen)?;
        Ok(true)
    }

    /// A removal that was cut short is done and not on record if the file was moved aside and is not there now. Otherwise the agent has not
    /// removed it: it is removed now as any other, or the user was faster.
    fn settle_interrupted(&mut self, found: &[Found]) -> Result<(), SweepError> {
        let Some(intent) = self.intent()? else { return Ok(()) };
        let is_left = match &intent.aside {
            Some(aside) => os::is_there(self.home, &intent.folder, aside).map_err(|source| self.unreadable(source))?,
            None => found.iter().any(|file| file.is_half_removed() && file.file == intent.seen.file),
        };
        if is_left {
            return Ok(());
        }
        match intent.aside {
            Some(_) => self.receive(intent.seen),
            None => Ok(disk::remove(&self.state.sweeping()).map(drop)?),
        }
    }

    fn intent(&self) -> Result<Option<Intent>, DiskError> {
        disk::read_json(&self.state.sweeping())
    }

    fn receive(&mut self, seen: InstallerSeen) -> Result<(), SweepError> {
        self.receipts.record(Deed::InstallerRemoved { path: seen.path, file: seen.file }, crate::wall_clock())?;
        disk::remove(&self.state.sweeping())?;
        Ok(())
    }

    fn unreadable(&self, source: io::Error) -> SweepError {
        SweepError::Home { home: self.home.to_owned(), source }
    }
}

/// True if a file is worth reading: it is called like an installer, or is exactly as long as one that is looked for.
fn is_worth_reading(name: &OsStr, size: u64, listed: &BTreeSet<FileHash>) -> bool {
    size <= SIZE_MAX && (is_installer_name(name) || listed.iter().any(|file| file.size == size))
}

/// True if a file is called as PKCS#12 files are. A bundle of any other name is nobody's business unless it is listed.
fn is_installer_name(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    name.ends_with(".p12") || name.ends_with(".pfx")
}

/// The folders that the manifest's words mean for this user: the usual names below the home, and the user's own (`ダウンロード`).
pub(crate) fn places(home: &Path, words: &BTreeSet<String>) -> BTreeSet<PathBuf> {
    let meaning = |word: &String| -> Vec<PathBuf> {
        let usual = match word.as_str() {
            "downloads" => "Downloads",
            "desktop" => "Desktop",
            "documents" => "Documents",
            _ => return vec![],
        };
        [usual.into()].into_iter().chain(own_folder(home, usual)).collect()
    };
    words.iter().flat_map(meaning).collect()
}

/// Where the user has this folder, if the settings of the desktop say so.
#[cfg(not(windows))]
fn own_folder(home: &Path, usual: &str) -> Option<PathBuf> {
    let own = std::fs::read_to_string(home.join(".config/user-dirs.dirs")).unwrap_or_default();
    let key = match usual {
        "Downloads" => "XDG_DOWNLOAD_DIR",
        "Desktop" => "XDG_DESKTOP_DIR",
        _ => "XDG_DOCUMENTS_DIR",
    };
    own.lines().filter_map(|line| user_folder(line, key, home)).next_back()
}

/// Reads `XDG_DOWNLOAD_DIR="$HOME/ダウンロード"` (xdg-user-dirs). A folder outside the home, or the home itself, is not looked into.
#[cfg(not(windows))]
fn user_folder(line: &str, key: &str, home: &Path) -> Option<PathBuf> {
    let value = line.trim().strip_prefix(key)?.strip_prefix('=')?.trim_matches('"');
    let below = match value.strip_prefix("$HOME/") {
        Some(below) => Path::new(below),
        None => Path::new(value).strip_prefix(home).ok()?,
    };
    let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && below.components().next().is_some()).then(|| below.components().collect())
}

#[cfg(all(test, not(target_os = "macos")))]
mod tests;
