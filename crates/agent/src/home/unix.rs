//! The user's files, by handle: whatever is swapped meanwhile, nothing outside the home and no link is followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
#[cfg(target_os = "linux")]
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat};

#[cfg(any(test, not(target_os = "linux")))]
use super::steps;

/// The user's home, and who owns it.
pub(crate) struct Home {
    handle: OwnedFd,
    owner: u32,
    /// True if the handle is that of the whole file system.
    is_root: bool,
}

impl Home {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let handle = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let owner = fstat(&handle)?.st_uid;
        Ok(Self { handle, owner, is_root: false })
    }

    /// The whole file system, for what the same user has outside the home.
    pub(crate) fn elsewhere(self) -> io::Result<Self> {
        let handle = openat(CWD, "/", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { handle, is_root: true, ..self })
    }

    /// True for the whole file system.
    pub(crate) fn is_elsewhere(&self) -> bool {
        self.is_root
    }

    /// True for what is the user's own.
    pub(crate) fn owns(&self, stat: &Stat) -> bool {
        stat.st_uid == self.owner
    }

    /// A folder below the home that is the user's own. Elsewhere it may be the system's too, if nobody else can take files away there.
    pub(crate) fn folder(&self, place: &Path) -> io::Result<OwnedFd> {
        let folder = beneath(&self.handle, place.as_os_str(), OFlags::RDONLY | OFlags::DIRECTORY)?;
        let stat = fstat(&folder)?;
        let mode = Mode::from_raw_mode(stat.st_mode);
        let is_closed = mode.contains(Mode::SVTX) || !mode.intersects(Mode::WGRP | Mode::WOTH);
        if stat.st_uid == self.owner || self.is_root && stat.st_uid == 0 && is_closed {
            Ok(folder)
        } else {
            Err(io::Error::other("the folder belongs to somebody else"))
        }
    }

    /// Opens a file that is the user's own, has one name only, and is not too large to read.
    pub(crate) fn open_file(&self, folder: &OwnedFd, name: &OsStr, size_max: u64) -> io::Result<(File, Stat)> {
        // Without NONBLOCK a pipe of that name would hold the agent up.
        let handle = beneath(folder, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW)?;
        let stat = fstat(&handle)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if is_file && stat.st_nlink == 1 && stat.st_uid == self.owner && size_of(&stat) <= size_max {
            Ok((handle.into(), stat))
        } else {
            Err(io::Error::other("it is not a single file of the user's own"))
        }
    }

    /// The names in a folder below the home, sorted; none if it is not there.
    pub(crate) fn list(&self, place: &Path) -> io::Result<Vec<OsString>> {
        let mut found = present(self.folder(place).and_then(|folder| names(&folder)))?.unwrap_or_default();
        found.sort();
        Ok(found)
    }

    /// What a file below the home contains; `None` if it is not there.
    pub(crate) fn read(&self, path: &Path, size_max: u64) -> io::Result<Option<Vec<u8>>> {
        let (Some(place), Some(name)) = (path.parent(), path.file_name()) else { return Ok(None) };
        let place = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        let read = || -> io::Result<Vec<u8>> {
            let (file, _) = self.open_file(&self.folder(place)?, name, size_max)?;
            let mut bytes = Vec::new();
            file.take(size_max).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        present(read())
    }
}

/// What is in a folder, without the folder itself and the one above.
pub(crate) fn entries(folder: &OwnedFd) -> io::Result<Vec<(OsString, FileType)>> {
    let entry = |entry: rustix::io::Result<rustix::fs::DirEntry>| {
        let entry = entry?;
        Ok((OsString::from_vec(entry.file_name().to_bytes().to_vec()), entry.file_type()))
    };
    let is_inside = |entry: &io::Result<(OsString, FileType)>| entry.as_ref().map_or(true, |(name, _)| name != "." && name != "..");
    Dir::read_from(folder)?.map(entry).filter(is_inside).collect()
}

/// The names in a folder.
fn names(folder: &OwnedFd) -> io::Result<Vec<OsString>> {
    Ok(entries(folder)?.into_iter().map(|(name, _)| name).collect())
}

/// The length of a file, in bytes.
pub(crate) fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(u64::MAX)
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// Opens what lies below a folder. Linux resolves the whole path itself (openat2).
#[cfg(target_os = "linux")]
fn beneath(folder: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    use rustix::fs::ResolveFlags;
    #[cfg(test)]
    if steps::are_tried() {
        return steps::beneath(folder, name, flags);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(folder, name.as_bytes(), flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

#[cfg(not(target_os = "linux"))]
use steps::beneath;

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// As macOS opens files.
    #[test]
    fn the_same_is_read_step_by_step() {
        steps::try_them();
        only_single_files_of_the_users_own_are_read_and_what_is_missing_is_none();
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("secret"), "secret").unwrap();
        let home = Home::open(&folder.path().join("in")).unwrap();
        for outside in ["../secret", "./../secret"] {
            home.read(Path::new(outside), 9).unwrap_err();
        }
    }

    #[test]
    fn only_single_files_of_the_users_own_are_read_and_what_is_missing_is_none() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/plain"), "12345").unwrap();
        fs::write(elsewhere.path().join("secret"), "secret").unwrap();
        symlink(elsewhere.path().join("secret"), folder.path().join("in/soft")).unwrap();
        symlink("plain", folder.path().join("in/near")).unwrap();
        symlink(elsewhere.path(), folder.path().join("out")).unwrap();
        let home = Home::open(folder.path()).unwrap();
        let read = |path: &str, most| home.read(Path::new(path), most);
        assert_eq!(read("in/plain", 5).unwrap().as_deref(), Some(b"12345".as_slice()));
        assert_eq!([read("in/missing", 5).unwrap(), read("missing/plain", 5).unwrap()], [None, None]);
        for refused in [read("in/plain", 4), read("in/soft", 9), read("in/near", 9), read("out/secret", 9), read("in", 9)] {
            refused.unwrap_err();
        }
        let named = |place: &str| home.list(Path::new(place));
        let inside: Vec<_> = named("in").unwrap().into_iter().filter(|name| !name.to_string_lossy().starts_with('.')).collect();
        assert_eq!(inside, ["near", "plain", "soft"]);
        assert!(named("missing").unwrap().is_empty());
        named("out").unwrap_err();
    }
}
