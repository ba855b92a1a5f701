//! Writes that survive a power cut: a file is either the old one or the new one, and a file that was reported written is there.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
use windows as os;

/// What files are called until they are complete.
const TEMPORARY: &str = ".tegata-";

/// A file or folder that could not be worked on.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}", path.display())]
pub struct DiskError {
    /// What was tried.
    pub operation: &'static str,
    /// Where.
    pub path: PathBuf,
    /// What happened.
    #[source]
    pub source: io::Error,
}

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Only the user that the agent runs as (0600).
    Owner,
    /// Every program on the PC (0644): browser policies.
    Everyone,
}

/// Attaches what was tried, and where, to an error of the operating system.
pub(crate) fn failing(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DiskError {
    let path = path.to_owned();
    move |source| DiskError { operation, path, source }
}

/// Makes a folder and those above it; ours are open to their owner only (0700).
pub fn make_folder(path: &Path) -> Result<(), DiskError> {
    os::make_private_folder(path).map_err(failing("make the folder", path))
}

/// Closes a folder of ours to everybody but its owner (0700), should somebody else have made it.
pub fn close_folder(path: &Path) -> Result<(), DiskError> {
    os::close_folder(path).map_err(failing("close to others", path))
}

/// Closes a file or folder to everybody but its owner, if it is open and the user's own. Links are left as they are.
pub fn close_own(path: &Path) -> Result<(), DiskError> {
    match present(fs::symlink_metadata(path)).map_err(failing("look at", path))? {
        Some(there) if !there.is_symlink() && is_own(path)? => os::close(path, &there).map_err(failing("close to others", path)),
        _ => Ok(()),
    }
}

/// True if it belongs to the user that the agent runs as; of a link, the link itself.
pub fn is_own(path: &Path) -> Result<bool, DiskError> {
    os::is_own(path).map_err(failing("look at", path))
}

/// Replaces a file by these bytes, durably: when this returns, they are on disk.
pub fn write(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), DiskError> {
    #[cfg(test)]
    crate::crash::point();
    #[cfg(test)]
    crate::crash::room().map_err(failing("write", path))?;
    write_steps(path, bytes, readers).map_err(failing("write", path))?;
    #[cfg(test)]
    crate::crash::point();
    Ok(())
}

fn write_steps(path: &Path, bytes: &[u8], readers: Readers) -> io::Result<()> {
    let folder = folder_of(path);
    let mut file = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    file.write_all(bytes)?;
    if readers == Readers::Everyone {
        os::open_to_everyone(file.as_file(), file.path())?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    os::sync_name(path)
}

/// Replaces a JSON file, durably, for the owner only.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<(), DiskError> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(io::Error::from).map_err(failing("write", path))?;
    bytes.push(b'\n');
    write(path, &bytes, Readers::Owner)
}

/// Reads a file that may be missing.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    present(fs::read(path)).map_err(failing("read", path))
}

/// Reads a text that may be missing.
pub fn read_text(path: &Path) -> Result<Option<String>, DiskError> {
    present(fs::read_to_string(path)).map_err(failing("read", path))
}

/// Reads a secret that may be missing; it is wiped from memory when dropped.
pub fn read_secret(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, DiskError> {
    Ok(read(path)?.map(Zeroizing::new))
}

/// Reads a JSON file that may be missing.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DiskError> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from).map_err(failing("read", path))
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file, durably. True if there was one.
pub fn remove(path: &Path) -> Result<bool, DiskError> {
    #[cfg(test)]
    crate::crash::point();
    if present(os::remove(path)).map_err(failing("remove", path))?.is_none() {
        return Ok(false);
    }
    os::sync_removal(folder_of(path)).map_err(failing("remove", path))?;
    #[cfg(test)]
    crate::crash::point();
    Ok(true)
}

/// The name beside a file under which it is not there yet, or not any more: nobody finds it, and [`clear_temporary`] removes it.
pub fn hidden(path: &Path) -> PathBuf {
    path.with_file_name(format!("{TEMPORARY}{}", path.file_name().unwrap_or_default().to_string_lossy()))
}

/// The file that a hidden one is, or was to be.
pub fn unhidden(path: &Path) -> Option<PathBuf> {
    Some(path.with_file_name(path.file_name()?.to_str()?.strip_prefix(TEMPORARY)?))
}

/// Gives a file another name in the same folder, in one step, durably.
pub fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    #[cfg(test)]
    crate::crash::point();
    fs::rename(from, to).and_then(|()| os::sync_name(to)).map_err(failing("rename", from))?;
    #[cfg(test)]
    crate::crash::point();
    Ok(())
}

/// Overwrites a secret before it is removed. Flash storage may keep a copy all the same; what counts is that it goes early.
pub fn wipe(path: &Path) -> Result<bool, DiskError> {
    let overwrite = || -> io::Result<()> {
        if path.is_symlink() {
            return Ok(());
        }
        let mut file = fs::OpenOptions::new().write(true).open(path)?;
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(64 * 1024);
        file.write_all(&vec![0; length])?;
        file.sync_all()
    };
    present(overwrite()).map_err(failing("overwrite", path))?;
    remove(path)
}

/// Removes a folder and the files in it, secrets overwritten first. Folders in it are left alone, and then it stays. Of a link to a folder
/// only the link is removed.
pub fn wipe_folder(path: &Path) -> Result<(), DiskError> {
    if path.is_symlink() {
        return remove(path).map(drop);
    }
    for file in entries(path)?.iter().filter(|entry| entry.is_symlink() || !entry.is_dir()) {
        wipe(file)?;
    }
    remove_empty_folder(path)
}

/// Removes a folder if nothing is in it any more.
pub fn remove_empty_folder(path: &Path) -> Result<(), DiskError> {
    match fs::remove_dir(path) {
        Ok(()) => os::sync_removal(folder_of(path)).map_err(failing("remove", path)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => Ok(()),
        Err(source) => Err(DiskError { operation: "remove", path: path.to_owned(), source }),
    }
}

/// What lies in a folder, sorted by name; nothing if the folder is missing.
pub fn entries(path: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let list = || -> io::Result<Vec<PathBuf>> { fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect() };
    let mut found = present(list()).map_err(failing("look into", path))?.unwrap_or_default();
    found.sort();
    Ok(found)
}

/// The files of a folder that are complete, sorted by name.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let complete = |path: &PathBuf| path.is_file() && !is_temporary(path);
    Ok(entries(path)?.into_iter().filter(complete).collect())
}

/// Removes files that a crash left half written.
pub fn clear_temporary(folder: &Path) -> Result<(), DiskError> {
    for path in entries(folder)?.into_iter().filter(|path| is_temporary(path)) {
        fs::remove_file(&path).map_err(failing("remove", &path))?;
    }
    Ok(())
}

/// Makes `link` mean `target` (a name in the same folder), in one step.
pub fn point_to(link: &Path, target: &str) -> Result<(), DiskError> {
    #[cfg(test)]
    crate::crash::point();
    os::point_to(link, target, TEMPORARY).map_err(failing("switch", link))
}

/// Gives what `link` means, if it is there.
pub fn pointed_at(link: &Path) -> Result<Option<String>, DiskError> {
    present(os::pointed_at(link)).map_err(failing("read", link))
}

fn is_temporary(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_replaces_the_whole_file_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_json(&path, &"old").unwrap();
        write_json(&path, &"new").unwrap();
        assert_eq!(read_json::<String>(&path).unwrap().as_deref(), Some("new"));
        assert_eq!(entries(folder.path()).unwrap(), [path]);
    }

    #[test]
    fn what_is_missing_is_none_and_removing_it_is_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing");
        assert!(read(&path).unwrap().is_none());
        assert!(!remove(&path).unwrap());
        assert!(!wipe(&path).unwrap());
        wipe_folder(&path).unwrap();
    }

    #[test]
    fn a_half_written_file_is_cleared_and_never_listed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".tegata-x1"), "half").unwrap();
        assert!(files(folder.path()).unwrap().is_empty());
        clear_temporary(folder.path()).unwrap();
        assert!(entries(folder.path()).unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_readable_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("state/deep");
        make_folder(&inner).unwrap();
        write(&inner.join("key"), b"secret", Readers::Owner).unwrap();
        write(&inner.join("policy"), b"{}", Readers::Everyone).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(&inner), mode(&inner.join("key")), mode(&inner.join("policy"))], [0o700, 0o600, 0o644]);
    }
}
