//! Finds the installer files that certificates came in, and removes those whose contents are on record.
//!
//! Looks only into the places that policy names, follows no link, and removes a file only as what it was when it was read.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tegata_api::v1::device::{Deed, FileHash, Inside, InstallerSeen, Suspect, SuspectKind};

use crate::disk::{self, DiskError};
use crate::limit::Limit;
use crate::quarantine::{Kept, Quarantine};
use crate::receipts::{ReceiptError, Receipts};
use crate::state::State;

mod inside;
pub(crate) mod places;
mod quarantine;
mod suspects;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
mod walk;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

use places::Meant;
pub use walk::{Looked, Memory, Pace};

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
    /// What of that lies open, if it is to be told.
    pub inside: Option<Inside>,
}

impl Found {
    fn seen(&self) -> InstallerSeen {
        InstallerSeen {
            path: named(&self.folder.join(&self.name)),
            file: self.file.clone(),
            inside: self.inside.clone(),
            quarantined: false,
        }
    }

    fn is_half_removed(&self) -> bool {
        self.name.to_string_lossy().starts_with(REMOVING.0)
    }
}

/// As the user would name it. A folder that was moved to another drive is not below the home.
fn named(path: &Path) -> String {
    let below = || format!("~/{}", path.iter().map(OsStr::to_string_lossy).collect::<Vec<_>>().join("/"));
    if path.is_absolute() { path.display().to_string() } else { below() }
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
    /// The generation of the manifest that ordered it.
    #[serde(default)]
    generation: u64,
    /// Where it goes, if it is moved out of the way and not removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Shelf>,
}

/// A place in the quarantine.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shelf {
    /// What the file is called there.
    id: String,
    /// What it was called before.
    name: String,
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
    /// What gives them away.
    pub suspects: Vec<Suspect>,
    /// True if the local limit kept some of them there.
    pub limited: bool,
    /// What was not, or not wholly, looked at. Nothing is known of what lies there.
    pub unread: Vec<PathBuf>,
    /// Folders that policy names by themselves, and of which there is none: `~/Work/**`.
    pub absent: Vec<String>,
    /// True if the next look goes on where this one stopped.
    pub goes_on: bool,
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
    /// The generation of the manifest that says what is removed.
    pub generation: u64,
}

/// Looks into the places that `words` mean for files that are `wanted`, and for whatever is called like an installer.
pub fn look(
    home: &Path,
    words: &BTreeSet<String>,
    wanted: &BTreeSet<FileHash>,
    memory: &mut Memory,
    pace: Pace,
) -> Result<Looked, SweepError> {
    let Meant { places, unknown, absent } = places::of(home, words);
    let wanted = wanted.iter().take(LISTED_MAX).cloned().collect();
    let looked = memory.look(home, places, wanted, pace);
    let mut looked = looked.map_err(|source| SweepError::Home { home: home.to_owned(), source })?;
    looked.left.extend(unknown.into_iter().map(PathBuf::from));
    looked.absent = absent;
    Ok(looked)
}

impl Sweeper<'_> {
    /// Removes what is `listed` of what a look has brought, and moves out of the way what is `unwelcome`.
    pub fn clean(&mut self, looked: Looked, listed: &BTreeSet<FileHash>, unwelcome: &BTreeSet<FileHash>) -> Result<Swept, SweepError> {
        let listed: BTreeSet<&FileHash> = listed.iter().take(LISTED_MAX).collect();
        let unwelcome: BTreeSet<&FileHash> = unwelcome.iter().take(LISTED_MAX).collect();
        let mut quarantine = Quarantine::open(self.state)?;
        self.settle_interrupted(&looked.found, &mut quarantine)?;
        let mut swept = Swept::default();
        for file in looked.found {
            let is_gone = if listed.contains(&file.file) {
                self.remove(&file, &mut swept.limited)?
            } else {
                unwelcome.contains(&file.file) && self.set_apart(&file, &mut quarantine, &mut swept.limited)?
            };
            if !is_gone {
                swept.left.push(file.seen());
            }
        }
        swept.left.extend(self.look_after(&mut quarantine, &listed, &mut swept.limited)?);
        swept.left.sort();
        let suspect = |path: &PathBuf, kind| Suspect { path: named(path), kind };
        swept.suspects = looked.notes.iter().map(|path| suspect(path, SuspectKind::PasswordNote)).collect();
        #[cfg(unix)]
        swept.suspects.extend(suspects::open_passwords(self.home).iter().map(|path| suspect(path, SuspectKind::OpenPassword)));
        for (folder, problem) in &looked.unread {
            tracing::warn!(folder = %folder.display(), %problem, "installer files cannot be looked for");
        }
        (swept.absent, swept.goes_on) = (looked.absent, looked.goes_on);
        swept.unread = looked.unread.into_iter().map(|(folder, _)| folder).chain(looked.left).collect();
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
        let mut intent = Intent { seen, folder: file.folder.clone(), aside: None, generation: self.generation, to: None };
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
        self.receive(intent)?;
        Ok(true)
    }

    /// A removal that was cut short is done and not on record if the file was moved aside and is not there now. Otherwise the agent has not
    /// removed it: it is removed now as any other, or the user was faster.
    fn settle_interrupted(&mut self, found: &[Found], quarantine: &mut Quarantine) -> Result<(), SweepError> {
        let Some(intent) = self.intent()? else { return Ok(()) };
        let is_left = match &intent.aside {
            Some(aside) => match os::is_there(self.home, &intent.folder, aside).map_err(|source| self.unreadable(source))? {
                Some(is_there) => is_there,
                // A drive that was pulled meanwhile: the file may lie on it still, so nothing is signed.
                None => return Ok(disk::remove(&self.state.sweeping()).map(drop)?),
            },
            None => found.iter().any(|file| file.is_half_removed() && file.file == intent.seen.file),
        };
        if is_left {
            return Ok(());
        }
        match (&intent.to, &intent.aside) {
            (Some(shelf), _) if quarantine.holds(&shelf.id) => self.shelve(intent, quarantine),
            (None, Some(_)) => self.receive(intent),
            _ => Ok(disk::remove(&self.state.sweeping()).map(drop)?),
        }
    }

    fn intent(&self) -> Result<Option<Intent>, DiskError> {
        disk::read_json(&self.state.sweeping())
    }

    fn receive(&mut self, intent: Intent) -> Result<(), SweepError> {
        let Intent { seen: InstallerSeen { path, file, .. }, generation, .. } = intent;
        self.receipts.record(Deed::InstallerRemoved { path, file, generation }, crate::wall_clock())?;
        disk::remove(&self.state.sweeping())?;
        Ok(())
    }

    fn unreadable(&self, source: io::Error) -> SweepError {
        SweepError::Home { home: self.home.to_owned(), source }
    }
}

/// Puts a file back that was moved out of the way. Never over another one, and through no link.
pub(crate) fn put_back(home: &Path, folder: &Path, kept: &Kept) -> io::Result<()> {
    os::put_back(home, folder, kept)
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

#[cfg(all(test, not(target_os = "macos")))]
mod tests;
