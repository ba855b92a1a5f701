//! Looking and removing by handle (openat2): whatever is swapped meanwhile, nothing outside the folder and nothing else is touched.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fstat, openat, openat2, renameat_with, statat, unlinkat,
};
use tegata_api::v1::device::FileHash;

use super::{Found, REMOVING, SIZE_MAX, is_candidate};

/// The files worth reporting, directly in `places`.
pub(super) fn look(home: &Path, places: &BTreeSet<PathBuf>, sizes: &BTreeSet<u64>) -> io::Result<Vec<Found>> {
    let home = Home::open(home)?;
    let mut found = Vec::new();
    for place in places {
        // A folder that is missing, or is a link, is nobody's trouble.
        let Ok(folder) = home.folder(place) else { continue };
        for entry in Dir::read_from(&folder)? {
            let name = std::ffi::OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            if let Ok(Some(file)) = home.read_candidate(&folder, &name, sizes) {
                found.push(Found { folder: place.clone(), name, file });
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Removes one file, if it still is what was found.
///
/// The kernel can remove only names, and a name can come to mean another file at any moment. So the name is first moved to one that
/// nobody else knows, within the folder; if what is there then is not the very file that was read, it is moved back.
pub(super) fn remove(home: &Path, found: &Found) -> io::Result<()> {
    let home = Home::open(home)?;
    let folder = home.folder(&found.folder)?;
    let (file, before) = home.open_file(&folder, &found.name)?;
    let hash = hash(&file, &before)?;
    if hash != found.file {
        return Err(io::Error::other("its contents are not those that were listed"));
    }
    let aside = format!("{}{}{}", REMOVING.0, crate::chance::name(), REMOVING.1);
    renameat_with(&folder, &found.name, &folder, aside.as_str(), RenameFlags::NOREPLACE)?;
    let moved = statat(&folder, aside.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
    let still_itself = same_file(&moved, &before) && unchanged(&fstat(&file)?, &before) && moved.st_nlink == 1;
    if !still_itself {
        renameat_with(&folder, aside.as_str(), &folder, &found.name, RenameFlags::NOREPLACE)?;
        return Err(io::Error::other("something else took its place"));
    }
    unlinkat(&folder, aside.as_str(), AtFlags::empty())?;
    rustix::fs::fsync(&folder)?;
    Ok(())
}

/// The user's home, and who owns it.
struct Home {
    handle: OwnedFd,
    owner: u32,
}

impl Home {
    fn open(path: &Path) -> io::Result<Self> {
        let handle = openat(CWD, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let owner = fstat(&handle)?.st_uid;
        Ok(Self { handle, owner })
    }

    fn folder(&self, place: &Path) -> io::Result<OwnedFd> {
        let folder = beneath(&self.handle, place.as_os_str(), OFlags::RDONLY | OFlags::DIRECTORY)?;
        if fstat(&folder)?.st_uid == self.owner { Ok(folder) } else { Err(io::Error::other("the folder belongs to somebody else")) }
    }

    /// What the file contains, if it is a candidate.
    fn read_candidate(&self, folder: &OwnedFd, name: &OsStr, sizes: &BTreeSet<u64>) -> io::Result<Option<FileHash>> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if !is_file || !is_candidate(name, size_of(&stat), sizes) {
            return Ok(None);
        }
        let (file, before) = self.open_file(folder, name)?;
        hash(&file, &before).map(Some)
    }

    /// Opens a file that is the user's own, has one name only, and is not too large to read.
    fn open_file(&self, folder: &OwnedFd, name: &OsStr) -> io::Result<(File, Stat)> {
        // Without NONBLOCK a pipe of that name would hold the agent up.
        let handle = beneath(folder, name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW)?;
        let stat = fstat(&handle)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        if is_file && stat.st_nlink == 1 && stat.st_uid == self.owner && size_of(&stat) <= SIZE_MAX {
            Ok((handle.into(), stat))
        } else {
            Err(io::Error::other("it is not a single file of the user's own"))
        }
    }
}

fn beneath(folder: &OwnedFd, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    Ok(openat2(folder.as_fd(), name.as_bytes(), flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
}

/// Reads the whole file through its handle; fails if it grows beyond what it was.
fn hash(file: &File, stat: &Stat) -> io::Result<FileHash> {
    let mut bytes = Vec::with_capacity(usize::try_from(size_of(stat)).unwrap_or(0));
    let read = file.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if read as u64 != size_of(stat) {
        return Err(io::Error::other("it is being written to"));
    }
    Ok(FileHash { sha256: tegata_pki::key::sha256(&bytes).to_string(), size: size_of(stat) })
}

fn size_of(stat: &Stat) -> u64 {
    u64::try_from(stat.st_size).unwrap_or(u64::MAX)
}

fn same_file(left: &Stat, right: &Stat) -> bool {
    (left.st_dev, left.st_ino) == (right.st_dev, right.st_ino)
}

fn unchanged(now: &Stat, before: &Stat) -> bool {
    (now.st_size, now.st_mtime, now.st_mtime_nsec) == (before.st_size, before.st_mtime, before.st_mtime_nsec)
}
