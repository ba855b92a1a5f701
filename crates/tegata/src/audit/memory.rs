//! What was seen of a log when it was verified last: whoever remembers it cannot be shown another history.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::note::VerifierKey;
use tegata_tlog::verify;

use crate::failure::Failure;

/// A folder with a file for each log: its key, and below it the checkpoint.
pub struct Memory(pub PathBuf);

/// What is remembered of a log.
pub struct Remembered {
    /// The key that its checkpoints were signed with.
    pub key: VerifierKey,
    /// How far it went.
    pub checkpoint: Checkpoint,
}

impl Memory {
    /// What is remembered of the log of this name, if it was verified before.
    pub fn recall(&self, origin: &str) -> Result<Option<Remembered>, Failure> {
        let path = self.path(origin);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Failure::Read { path, source }),
        };
        let (key, note) = text.split_once('\n').unwrap_or_default();
        let key: VerifierKey = key.parse().map_err(Failure::LogKey)?;
        let checkpoint = verify::checkpoint(note, &key)?;
        Ok(Some(Remembered { key, checkpoint }))
    }

    /// Remembers a checkpoint that was found to hold.
    pub fn keep(&self, key: &VerifierKey, note: &str) -> Result<(), Failure> {
        let path = self.path(key.name());
        write(&self.0, &path, &format!("{key}\n{note}")).map_err(|source| Failure::Keep { path, source })
    }

    fn path(&self, origin: &str) -> PathBuf {
        // No name of a tenant or an installation has anything but these in it; whatever else a server says stays in this folder.
        let name: String = origin.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        self.0.join(name)
    }
}

/// Whole or not at all.
fn write(folder: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
