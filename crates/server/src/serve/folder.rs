//! The state folder: who may look into it, and that only one server uses it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tegata_api::v1::fleet::Access;
use tegata_pki::key::{KeyError, Seal};
use zeroize::Zeroizing;

/// Why the state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Reading or writing failed.
    #[error("cannot use {}; check that it exists, and that the user of the server may write there", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// Another server uses it.
    #[error("another server uses {}; stop that one first, or give this one a folder of its own with --state", .0.display())]
    InUse(PathBuf),
    /// Others may read the key that opens every CA key.
    #[error("others may read {} (mode {mode:03o}); run: chmod 600 {0}", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The database is there, but not the key that its CA keys are sealed with.
    #[error("{} is missing, and without it the CA keys in the database cannot be opened; put it back from a backup", .0.display())]
    SealMissing(PathBuf),
    /// The key is damaged.
    #[error("{} is not readable; put it back from a backup", path.display())]
    SealUnreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: KeyError,
    },
}

/// The state folder, for as long as this server uses it.
pub struct Folder {
    path: PathBuf,
    lock: File,
}

impl Drop for Folder {
    /// A program that is being started has a copy of the handle until it runs, and closing ours alone would leave the lock with it.
    fn drop(&mut self) {
        if let Err(problem) = self.lock.unlock() {
            tracing::warn!(%problem, "the state folder stays taken until the process ends");
        }
    }
}

impl Folder {
    /// Takes a folder into use; makes it if it is not there.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn take(path: &Path) -> Result<Self, FolderError> {
        make_private_folder(path).map_err(at(path))?;
        let lock_path = path.join("lock");
        let lock = private().create(true).truncate(false).write(true).open(&lock_path).map_err(at(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(FolderError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(at(&lock_path)(source)),
        }
    }

    /// Where the database is.
    pub fn database(&self) -> PathBuf {
        self.path.join("tegata.db")
    }

    /// The key that seals CA keys; made if nothing was sealed with it yet.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn seal(&self, is_first: bool) -> Result<Seal, FolderError> {
        match Self::read_seal(&self.path) {
            Err(FolderError::SealMissing(_)) if is_first => {
                let seal = Seal::generate();
                self.write("seal.key", seal.text().as_bytes())?;
                Ok(seal)
            }
            read => read,
        }
    }

    /// The key of a state folder that may be in use.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn read_seal(state: &Path) -> Result<Seal, FolderError> {
        let path = state.join("seal.key");
        match fs::read_to_string(&path).map(Zeroizing::new) {
            Ok(text) => {
                refuse_exposed(&path)?;
                Seal::from_text(text.trim()).map_err(|source| FolderError::SealUnreadable { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(FolderError::SealMissing(path)),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Closes the database to others, and makes it if it is not there. What SQLite puts beside it gets the same permissions.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn keep_database_private(&self) -> Result<(), FolderError> {
        let path = self.database();
        let file = private().create(true).append(true).open(&path).map_err(at(&path))?;
        close_to_others(&file).map_err(at(&path))
    }

    /// The administrator's access, if it was written and is readable. One that was removed or damaged is made anew.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn access(&self) -> Result<Option<Access>, FolderError> {
        let path = self.path.join("admin.json");
        match fs::read(&path).map(Zeroizing::new) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(at(&path)(error)),
        }
    }

    /// Keeps the administrator's access.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn keep_access(&self, access: &Access) -> Result<(), FolderError> {
        let text = Zeroizing::new(serde_json::to_vec_pretty(access).expect("access holds only texts"));
        self.write("admin.json", &text)
    }

    /// Replaces a file whole, durably, readable by its owner only.
    fn write(&self, name: &str, contents: &[u8]) -> Result<(), FolderError> {
        let (new, path) = (self.path.join(format!("{name}.new")), self.path.join(name));
        let write = || {
            let mut file = private().create(true).truncate(true).write(true).open(&new)?;
            file.write_all(contents)?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            sync_folder(&self.path)
        };
        write().map_err(at(&path))
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> FolderError + use<> {
    let path = path.to_owned();
    move |source| FolderError::Io { path, source }
}

#[cfg(unix)]
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(unix)]
fn close_to_others(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o600))
}

#[cfg(unix)]
pub(crate) fn private() -> OpenOptions {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), FolderError> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path).map_err(at(path))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(FolderError::Exposed { path: path.to_owned(), mode }) }
}

#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

// On Windows the folder's own access list protects what is in it, and renames are durable without more.
#[cfg(not(unix))]
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

#[cfg(not(unix))]
fn close_to_others(_file: &File) -> io::Result<()> {
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn private() -> OpenOptions {
    OpenOptions::new()
}

#[cfg(not(unix))]
fn refuse_exposed(_path: &Path) -> Result<(), FolderError> {
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_written_is_for_the_owner_only() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state");
        let folder = Folder::take(&path).unwrap();
        folder.seal(true).unwrap();
        assert_eq!((mode(&path), mode(&path.join("seal.key"))), (0o700, 0o600));
    }

    #[tokio::test]
    async fn the_database_is_for_the_owner_only_even_in_a_folder_that_others_may_enter() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let folder = Folder::take(place.path()).unwrap();
        fs::write(folder.database(), "").unwrap();
        fs::set_permissions(folder.database(), fs::Permissions::from_mode(0o644)).unwrap();
        folder.keep_database_private().unwrap();
        let _store = crate::store::sql::Database::sqlite(&folder.database()).await.unwrap();
        for name in ["tegata.db", "tegata.db-wal", "tegata.db-shm"] {
            assert_eq!(mode(&place.path().join(name)), 0o600, "{name}");
        }
    }

    #[test]
    fn a_folder_is_free_at_once_even_if_a_program_that_is_being_started_has_a_copy_of_the_lock() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::take(place.path()).unwrap();
        assert!(matches!(Folder::take(place.path()), Err(FolderError::InUse(_))));
        let copy = folder.lock.try_clone().unwrap();
        drop(folder);
        Folder::take(place.path()).unwrap();
        drop(copy);
    }

    #[test]
    fn the_seal_is_made_once() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::take(place.path()).unwrap();
        let sealed = folder.seal(true).unwrap().seal(b"secret");
        assert_eq!(folder.seal(false).unwrap().open(&sealed).unwrap().as_slice(), b"secret");
    }

    #[test]
    fn a_seal_that_others_may_read_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::take(place.path()).unwrap();
        folder.seal(true).unwrap();
        fs::set_permissions(place.path().join("seal.key"), fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(folder.seal(true), Err(FolderError::Exposed { mode: 0o640, .. })));
    }

    #[test]
    fn a_database_without_its_seal_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::take(place.path()).unwrap();
        assert!(matches!(folder.seal(false), Err(FolderError::SealMissing(_))));
    }

    #[test]
    fn a_second_server_is_refused_until_the_first_is_gone() {
        let place = tempfile::tempdir().unwrap();
        let first = Folder::take(place.path()).unwrap();
        assert!(matches!(Folder::take(place.path()), Err(FolderError::InUse(_))));
        drop(first);
        assert!(Folder::take(place.path()).is_ok());
    }
}
