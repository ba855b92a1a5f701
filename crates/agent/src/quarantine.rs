//! Bundles that the agent has moved out of the way, because nobody has put them on record. They are never deleted for that, and whoever
//! works at the PC can put each back.
//!
//! The agent and the command line both change what is written down here, so each holds the lock meanwhile.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tegata_api::v1::device::{FileHash, Inside, InstallerSeen};

use crate::disk::{self, DiskError};
use crate::state::State;
use crate::sweep;

/// How many files that were put back are remembered, the newest ones. They are not moved again.
const RESTORED_MAX: usize = 1_000;

/// A file that was moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// What it is called here.
    pub id: String,
    /// Where it lay, as the user would name it.
    pub path: String,
    /// What it contains.
    #[serde(flatten)]
    pub file: FileHash,
    /// What of that lies open.
    #[serde(default)]
    pub inside: Option<Inside>,
    /// When it was moved, seconds since the Unix epoch.
    pub at: i64,
    /// The folder that it lay in, below the user's home or absolute.
    pub folder: PathBuf,
    /// Its name in it.
    pub name: String,
    /// How far it is.
    #[serde(default)]
    pub stage: Stage,
}

/// How far it is with a file that was moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Stage {
    /// It is here.
    #[default]
    Here,
    /// Somebody is putting it back.
    Restoring,
    /// It was put back; `told` once there is a receipt.
    Restored {
        /// True once there is a receipt.
        told: bool,
    },
    /// It is being removed for good, since it is on record now.
    Removing {
        /// The generation of the manifest that says so.
        generation: u64,
    },
}

impl Kept {
    /// As the server is told.
    pub fn seen(&self) -> InstallerSeen {
        InstallerSeen { path: self.path.clone(), file: self.file.clone(), inside: self.inside.clone(), quarantined: true }
    }
}

/// Why a file was not put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is none of that name.
    #[error("there is no file {0} in quarantine")]
    Unknown(String),
    /// Something else has its name now.
    #[error("there is another file at {0} now")]
    Taken(String),
    /// It cannot go where it was.
    #[error("it cannot be put back at {path}")]
    Place {
        /// Where it lay.
        path: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The agent's own files are in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What was moved, while nobody else can change it.
pub struct Quarantine {
    folder: PathBuf,
    index: PathBuf,
    kept: Vec<Kept>,
    _lock: File,
}

impl Quarantine {
    /// Waits until nobody else works here, and settles what was cut off: what is not here any more although it was being put back has
    /// arrived, and what somebody has taken away is forgotten.
    pub fn open(state: &State) -> Result<Self, DiskError> {
        let lock = state.quarantine_lock();
        let file = File::create(&lock).map_err(disk::failing("open", &lock))?;
        file.lock().map_err(disk::failing("lock", &lock))?;
        disk::make_folder(&state.quarantine())?;
        let index = state.quarantine_index();
        let kept = disk::read_json(&index)?.unwrap_or_default();
        let mut quarantine = Self { folder: state.quarantine(), index, kept, _lock: file };
        quarantine.settle()?;
        Ok(quarantine)
    }

    /// What is written down, without a lock: for those who only look.
    pub fn look(state: &State) -> Result<Vec<Kept>, DiskError> {
        Ok(disk::read_json(&state.quarantine_index())?.unwrap_or_default())
    }

    fn settle(&mut self) -> Result<(), DiskError> {
        let before = self.kept.clone();
        for kept in &mut self.kept {
            let is_here = self.folder.join(&kept.id).symlink_metadata().is_ok();
            kept.stage = match kept.stage {
                Stage::Restoring if is_here => Stage::Here,
                Stage::Restoring => Stage::Restored { told: false },
                other => other,
            };
        }
        let is_gone = |kept: &Kept| kept.stage == Stage::Here && self.folder.join(&kept.id).symlink_metadata().is_err();
        self.kept.retain(|kept| !is_gone(kept));
        if self.kept == before { Ok(()) } else { self.write() }
    }

    /// Where files lie.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Everything that is written down.
    pub fn all(&self) -> &[Kept] {
        &self.kept
    }

    /// True for what somebody has put back: it is not moved again, whatever the server says.
    pub fn was_restored(&self, file: &FileHash) -> bool {
        self.kept.iter().any(|kept| kept.file == *file && matches!(kept.stage, Stage::Restored { .. }))
    }

    /// True if there is something of this name.
    pub fn holds(&self, id: &str) -> bool {
        self.folder.join(id).symlink_metadata().is_ok()
    }

    /// Writes down what has arrived.
    pub fn add(&mut self, kept: Kept) -> Result<(), DiskError> {
        if !self.kept.iter().any(|known| known.id == kept.id) {
            self.kept.push(kept);
        }
        self.write()
    }

    /// Writes down how far it is.
    pub fn set(&mut self, id: &str, stage: Stage) -> Result<(), DiskError> {
        self.kept.iter_mut().filter(|kept| kept.id == id).for_each(|kept| kept.stage = stage);
        self.write()
    }

    /// Forgets a file that is gone for good.
    pub fn forget(&mut self, id: &str) -> Result<(), DiskError> {
        self.kept.retain(|kept| kept.id != id);
        self.write()
    }

    /// Puts a file back where it was. Never over another one, and through no link.
    pub fn restore(&mut self, home: &Path, id: &str) -> Result<Kept, RestoreError> {
        let is_it = |kept: &&Kept| kept.id == id && kept.stage == Stage::Here;
        let kept = self.kept.iter().find(is_it).cloned().ok_or_else(|| RestoreError::Unknown(id.to_owned()))?;
        self.set(id, Stage::Restoring)?;
        if let Err(source) = sweep::put_back(home, &self.folder, &kept) {
            self.set(id, Stage::Here)?;
            let path = kept.path;
            let is_taken = source.kind() == io::ErrorKind::AlreadyExists;
            return Err(if is_taken { RestoreError::Taken(path) } else { RestoreError::Place { path, source } });
        }
        self.set(id, Stage::Restored { told: false })?;
        Ok(kept)
    }

    fn write(&mut self) -> Result<(), DiskError> {
        let restored = self.kept.iter().filter(|kept| matches!(kept.stage, Stage::Restored { told: true })).count();
        let mut surplus = restored.saturating_sub(RESTORED_MAX);
        self.kept.retain(|kept| {
            let goes = surplus > 0 && matches!(kept.stage, Stage::Restored { told: true });
            surplus -= usize::from(goes);
            !goes
        });
        disk::write_json(&self.index, &self.kept)
    }
}

/// True if somebody has put a file back and there is no receipt yet.
pub fn has_news(state: &State) -> bool {
    Quarantine::look(state).is_ok_and(|kept| kept.iter().any(|kept| kept.stage == Stage::Restored { told: false }))
}

/// A name that people type: eight letters are enough among the few files that there are.
pub fn new_id() -> String {
    let name = crate::chance::name();
    name.get(..8).unwrap_or(&name).to_owned()
}
