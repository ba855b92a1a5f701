//! Finds the installer files that certificates came in, and removes those whose contents are on record.
//!
//! Looks only directly into the user's own folders, follows no link, and removes a file only as what it was when it was read.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use tegata_api::v1::device::{Deed, FileHash, InstallerSeen};

use crate::disk::{self, DiskError};
use crate::limit::Limit;
use crate::receipts::{ReceiptError, Receipts};
use crate::state::State;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as os;

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
    /// As the user would name it.
    fn seen(&self) -> InstallerSeen {
        InstallerSeen { path: format!("~/{}", self.folder.join(&self.name).display()), file: self.file.clone() }
    }

    fn is_half_removed(&self) -> bool {
        self.name.to_string_lossy().starts_with(REMOVING.0)
    }
}

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
        let unreadable = |source| SweepError::Home { home: self.home.to_owned(), source };
        let found = os::look(self.home, &places(self.home, folders), &sizes(listed)).map_err(unreadable)?;
        self.settle_interrupted(&found)?;
        let mut swept = Swept::default();
        for file in found {
            if listed.contains(&file.file) && self.remove(&file, &mut swept.limited)? {
                continue;
            }
            swept.left.push(file.seen());
        }
        swept.left.sort();
        Ok(swept)
    }

    /// Removes one file: first the intent, then the file, then the receipt. True if it is gone.
    fn remove(&mut self, file: &Found, limited: &mut bool) -> Result<bool, SweepError> {
        if !self.limit.take(&file.file.sha256)? {
            *limited = true;
            return Ok(false);
        }
        let intended = self.intended()?.filter(|intended| file.is_half_removed() && intended.file == file.file);
        let seen = intended.unwrap_or_else(|| file.seen());
        disk::write_json(&self.state.sweeping(), &seen)?;
        let outcome = os::remove(self.home, file);
        if let Err(problem) = &outcome {
            tracing::warn!(path = %seen.path, %problem, "an installer file was not removed");
            disk::remove(&self.state.sweeping())?;
            return Ok(false);
        }
        self.receive(seen)?;
        Ok(true)
    }

    /// A removal that was cut short either left its file, and it is removed now as any other; or it is done but not on record.
    fn settle_interrupted(&mut self, found: &[Found]) -> Result<(), SweepError> {
        let Some(intended) = self.intended()? else { return Ok(()) };
        let is_left = |file: &Found| file.file == intended.file && (file.is_half_removed() || file.seen() == intended);
        if found.iter().any(is_left) { Ok(()) } else { self.receive(intended) }
    }

    fn intended(&self) -> Result<Option<InstallerSeen>, DiskError> {
        disk::read_json(&self.state.sweeping())
    }

    fn receive(&mut self, seen: InstallerSeen) -> Result<(), SweepError> {
        self.receipts.record(Deed::InstallerRemoved { path: seen.path, file: seen.file }, crate::wall_clock())?;
        disk::remove(&self.state.sweeping())?;
        Ok(())
    }
}

fn sizes(listed: &BTreeSet<FileHash>) -> BTreeSet<u64> {
    listed.iter().map(|file| file.size).collect()
}

/// True if a file is worth reading: it is called like a PKCS#12 file, or is exactly as long as one that is looked for.
fn is_candidate(name: &OsStr, size: u64, sizes: &BTreeSet<u64>) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    size <= SIZE_MAX && (name.ends_with(".p12") || name.ends_with(".pfx") || sizes.contains(&size))
}

/// The folders that the manifest's words mean for this user, below the home: the usual names, and the user's own (`ダウンロード`).
fn places(home: &Path, words: &BTreeSet<String>) -> BTreeSet<PathBuf> {
    let own = std::fs::read_to_string(home.join(".config/user-dirs.dirs")).unwrap_or_default();
    let meaning = |word: &String| -> Vec<PathBuf> {
        let (usual, key) = match word.as_str() {
            "downloads" => ("Downloads", "XDG_DOWNLOAD_DIR"),
            "desktop" => ("Desktop", "XDG_DESKTOP_DIR"),
            "documents" => ("Documents", "XDG_DOCUMENTS_DIR"),
            _ => return vec![],
        };
        let named = own.lines().filter_map(|line| user_folder(line, key, home)).next_back();
        [usual.into()].into_iter().chain(named).collect()
    };
    words.iter().flat_map(meaning).collect()
}

/// Reads `XDG_DOWNLOAD_DIR="$HOME/ダウンロード"` (xdg-user-dirs). A folder outside the home, or the home itself, is not looked into.
fn user_folder(line: &str, key: &str, home: &Path) -> Option<PathBuf> {
    let value = line.trim().strip_prefix(key)?.strip_prefix('=')?.trim_matches('"');
    let below = match value.strip_prefix("$HOME/") {
        Some(below) => Path::new(below),
        None => Path::new(value).strip_prefix(home).ok()?,
    };
    let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    (plain && below.components().next().is_some()).then(|| below.components().collect())
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
