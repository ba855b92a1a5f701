//! Files and folders that are there whole or not at all.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use tegata_core::name::Sha256;

use super::{FileFacts, StateError, at, digest};
use crate::serve::folder::{make_private_folder, private, sync_folder};

/// The largest text that is read, in bytes.
const TEXT_MAX: u64 = 1 << 20;
const LOCK: &str = "lock";

/// A folder in the making. It gets its name when everything in it is durable; until then it is hidden, and the next run clears it away.
pub(super) struct Whole {
    path: PathBuf,
    part: PathBuf,
    lock: File,
}

impl Whole {
    /// Begins a folder that is not there yet, or empty.
    pub fn begin(path: &Path) -> Result<Self, StateError> {
        if fs::read_dir(path).map_or_else(|_| path.symlink_metadata().is_ok(), |mut entries| entries.next().is_some()) {
            return Err(StateError::AlreadyThere(path.to_owned()));
        }
        let name = path.file_name().ok_or_else(|| StateError::AlreadyThere(path.to_owned()))?;
        let part = path.with_file_name(format!(".{}.part", name.to_string_lossy()));
        make_private_folder(&part).map_err(at(&part))?;
        let lock = private().create(true).truncate(false).write(true).open(part.join(LOCK)).map_err(at(&part))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(at(&part)(source)),
        }
        let whole = Self { path: path.to_owned(), part, lock };
        whole.clear().map_err(at(&whole.part))?;
        Ok(whole)
    }

    /// Where it is made.
    pub fn folder(&self) -> &Path {
        &self.part
    }

    /// Gives it its name, durably.
    pub fn finish(self) -> Result<(), StateError> {
        let named = || {
            fs::remove_file(self.part.join(LOCK))?;
            sync_folder(&self.part)?;
            // An empty one may be there: only an empty one can be removed.
            if self.path.is_dir() {
                fs::remove_dir(&self.path)?;
            }
            fs::rename(&self.part, &self.path)?;
            sync_folder(self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
        };
        named().map_err(at(&self.path))
    }

    /// What an earlier run has left behind.
    fn clear(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.part)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name != LOCK) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

impl Drop for Whole {
    /// After a failure nothing stays, after success there is nothing.
    fn drop(&mut self) {
        let _ = self.clear();
        let _ = fs::remove_file(self.part.join(LOCK));
        let _ = fs::remove_dir(&self.part);
        let _ = self.lock.unlock();
    }
}

/// Writes a file for its owner only, durably.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<FileFacts, StateError> {
    let written = || {
        let mut file = private().create_new(true).write(true).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    written().map_err(at(path))?;
    Ok(digest(tegata_pki::key::sha256(bytes), bytes.len() as u64))
}

/// Makes a file that somebody else wrote durable and its owner's, and measures it.
pub(super) fn settle(path: &Path) -> Result<FileFacts, StateError> {
    let settled = || {
        let file = private().read(true).write(true).open(path)?;
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        file.sync_all()?;
        measure(file, io::sink())
    };
    settled().map_err(at(path))
}

/// Copies a file, durably, and measures what was copied.
pub(super) fn copy(from: &Path, to: &Path) -> Result<FileFacts, StateError> {
    let source = File::open(from).map_err(at(from))?;
    let mut target = private().create_new(true).write(true).open(to).map_err(at(to))?;
    let facts = measure(source, &mut target).map_err(at(from))?;
    target.sync_all().map_err(at(to))?;
    Ok(facts)
}

/// Reads a short text.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, StateError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(TEXT_MAX).read_to_end(&mut bytes)).map_err(at(path))?;
    Ok(bytes)
}

/// Removes a file, if it is there.
pub(super) fn remove(path: &Path) -> Result<(), StateError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

fn measure(mut from: File, mut to: impl Write) -> io::Result<FileFacts> {
    let (mut context, mut size, mut buffer) = (Context::new(&SHA256), 0, vec![0; 64 << 10]);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        let bytes = buffer.get(..read).unwrap_or_default();
        context.update(bytes);
        to.write_all(bytes)?;
        size += read as u64;
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.finish().as_ref());
    Ok(digest(Sha256(sha256), size))
}
