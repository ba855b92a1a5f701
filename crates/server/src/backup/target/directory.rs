//! A folder on the server's machine, or a mounted share.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

#[cfg(unix)]
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};

use tegata_core::backup::Trouble;

use super::{OBJECT_MAX, ObjectName, Target, TargetError, Use};

/// What the server marks a folder with, and what stands in it.
const MARKER: &str = ".tegata-backups";
const MARKER_TEXT: &str = "Tegata keeps sealed backups in this folder. Where this file is missing, it writes nothing.\n\
    Tegataのバックアップの保存先です。このファイルがないときは何も書き込みません。\n";

/// A folder that is there already: one that is made would hide that a share is not mounted.
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Begins with a folder. The mark of people has to be there; ours is made at first, and has to be there from then on.
    pub(super) fn at(root: PathBuf, marker: Option<&str>, before: Use) -> Result<Self, TargetError> {
        let found = Self::found(root)?;
        if before == Use::Reading {
            return Ok(found);
        }
        let mark = found.root.join(marker.unwrap_or(MARKER));
        match fs::symlink_metadata(&mark) {
            Ok(_) => Ok(found),
            Err(error) if error.kind() == ErrorKind::NotFound && marker.is_none() && before == Use::First => {
                let made =
                    private_file().open(&mark).and_then(|mut file| file.write_all(MARKER_TEXT.as_bytes()).and_then(|()| file.sync_all()));
                made.and_then(|()| sync_folder(&found.root)).map_err(|error| failed(format!("marking {}", found.root.display()), error))?;
                Ok(found)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(TargetError::new(Trouble::Unmarked, format!("there is no {}, so nothing was written there", mark.display())))
            }
            Err(error) => Err(failed(format!("looking for {}", mark.display()), error)),
        }
    }

    fn found(root: PathBuf) -> Result<Self, TargetError> {
        let doing = || format!("looking for the folder {}", root.display());
        match fs::metadata(&root) {
            Ok(found) if found.is_dir() => Ok(Self { root }),
            Ok(_) => Err(TargetError::new(Trouble::Unreachable, format!("{} is not a folder", root.display()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Err(TargetError::because(Trouble::Unreachable, doing(), error)),
            Err(error) => Err(failed(doing(), error)),
        }
    }

    fn folder(&self, name: &ObjectName) -> PathBuf {
        name.folders().iter().fold(self.root.clone(), |path, folder| path.join(folder))
    }

    /// Makes the folders that lead to an object, each durable in the one above it.
    fn make_folder(&self, name: &ObjectName) -> io::Result<PathBuf> {
        let mut path = self.root.clone();
        for folder in name.folders() {
            let above = path.clone();
            path.push(folder);
            match private_folder().create(&path) {
                Ok(()) => sync_folder(&above)?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(path)
    }
}

impl Target for Directory {
    fn put(&mut self, name: &ObjectName, bytes: &[u8]) -> Result<(), TargetError> {
        let write = || -> io::Result<()> {
            let folder = self.make_folder(name)?;
            let unfinished = folder.join(name.unfinished());
            remove_if_there(&unfinished)?;
            let mut file = private_file().open(&unfinished)?;
            let written = file.write_all(bytes).and_then(|()| file.sync_all());
            if let Err(error) = written {
                // Room for whoever comes next; what remains is written over anyway.
                let _ = fs::remove_file(&unfinished);
                return Err(error);
            }
            fs::rename(&unfinished, folder.join(name.file()))?;
            sync_folder(&folder)
        };
        write().map_err(|error| failed(format!("writing {} in {}", name.file(), self.root.display()), error))
    }

    fn get(&mut self, name: &ObjectName) -> Result<Vec<u8>, TargetError> {
        let read = || -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            File::open(self.folder(name).join(name.file()))?.take(OBJECT_MAX as u64 + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_err(|error| failed(format!("reading {} in {}", name.file(), self.root.display()), error))
    }

    fn remove(&mut self, name: &ObjectName) -> Result<(), TargetError> {
        let folder = self.folder(name);
        let remove = || -> io::Result<()> {
            remove_if_there(&folder.join(name.unfinished()))?;
            if remove_if_there(&folder.join(name.file()))? { sync_folder(&folder) } else { Ok(()) }
        };
        remove().map_err(|error| failed(format!("removing {} in {}", name.file(), self.root.display()), error))
    }
}

fn private_folder() -> DirBuilder {
    #[allow(unused_mut, reason = "only Unix has a mode to set")]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    builder.mode(0o700);
    builder
}

/// A file that nobody else made before, nor a link to one.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    options.mode(0o600);
    options
}

fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn failed(doing: String, error: io::Error) -> TargetError {
    let trouble = match error.kind() {
        ErrorKind::NotFound => Trouble::Missing,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Trouble::Forbidden,
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Trouble::Full,
        ErrorKind::TimedOut | ErrorKind::StaleNetworkFileHandle | ErrorKind::NotConnected | ErrorKind::HostUnreachable => {
            Trouble::Unreachable
        }
        _ => Trouble::Broken,
    };
    TargetError::because(trouble, doing, error)
}
