//! Looking and removing by handle: whatever is swapped meanwhile, nothing outside the folder and nothing else is touched.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, RenameFlags, Stat, fstat, renameat_with, statat, unlinkat};
use rustix::io::Errno;
use tegata_api::v1::device::FileHash;

use crate::home::{self, Home, size_of};

use super::{Found, REMOVING, SIZE_MAX, Unread, is_installer_name, is_worth_reading};

/// The files worth reporting, directly in `places`, and the places that could not be looked into.
pub(super) fn look(home: &Path, places: &BTreeSet<PathBuf>, listed: &BTreeSet<FileHash>) -> io::Result<(Vec<Found>, Vec<Unread>)> {
    let home = Home::open(home)?;
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    for place in places {
        match look_into(&home, place, listed) {
            Ok(files) => found.extend(files),
            Err(problem) if is_nobodys_trouble(&problem) => {}
            Err(problem) => unread.push((place.clone(), problem)),
        }
    }
    found.sort();
    Ok((found, unread))
}

/// A folder that is missing, or is a link. Everything else must not look like a folder without files: a kernel without openat2, or a Mac
/// whose user has not let the agent see the folder (EPERM).
pub(super) fn is_nobodys_trouble(problem: &io::Error) -> bool {
    let skipped = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
    Errno::from_io_error(problem).is_some_and(|errno| skipped.contains(&errno))
}

/// True if there is something of this name. A folder that is missing has nothing in it.
pub(super) fn is_there(home: &Path, place: &Path, name: &str) -> io::Result<bool> {
    let looked = Home::open(home)?.folder(place).and_then(|folder| Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?));
    match looked {
        Ok(_) => Ok(true),
        Err(problem) if is_nobodys_trouble(&problem) => Ok(false),
        Err(problem) => Err(problem),
    }
}

/// A file under a name that nobody else knows, in the folder that it was found in.
///
/// The kernel can remove only names, and a name can come to mean another file at any moment. So the name is first moved to one that
/// nobody else knows; if what is there then is not the very file that was read, it is moved back.
pub(super) struct Aside {
    folder: OwnedFd,
    /// What it is called meanwhile.
    pub(super) name: String,
    before: OsString,
    file: File,
    read: Stat,
}

/// Moves a file aside, if it still is what was found.
pub(super) fn set_aside(home: &Path, found: &Found) -> io::Result<Aside> {
    let home = Home::open(home)?;
    let folder = home.folder(&found.folder)?;
    let (file, read) = home.open_file(&folder, &found.name, SIZE_MAX)?;
    if hash_of_bundle(&file, &read)?.as_ref() != Some(&found.file) {
        return Err(io::Error::other("its contents are not those that were listed"));
    }
    let name = format!("{}{}{}", REMOVING.0, crate::chance::name(), REMOVING.1);
    renameat_with(&folder, &found.name, &folder, name.as_str(), RenameFlags::NOREPLACE)?;
    Aside { folder, name, before: found.name.clone(), file, read }.checked()
}

impl Aside {
    /// Removes the file, if it still is what was moved aside.
    pub(super) fn remove(self) -> io::Result<()> {
        let aside = self.checked()?;
        unlinkat(&aside.folder, aside.name.as_str(), AtFlags::empty())?;
        // The file is gone, and that is what has to be said. Some file systems (FUSE, CIFS) cannot sync folders.
        if let Err(problem) = rustix::fs::fsync(&aside.folder) {
            tracing::warn!(%problem, "an installer file is removed, but a power cut may bring it back");
        }
        Ok(())
    }

    /// Moves back whatever is not the file that was read.
    fn checked(self) -> io::Result<Self> {
        let moved = statat(&self.folder, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        if same_file(&moved, &self.read) && unchanged(&fstat(&self.file)?, &self.read) && moved.st_nlink == 1 {
            return Ok(self);
        }
        renameat_with(&self.folder, self.name.as_str(), &self.folder, &self.before, RenameFlags::NOREPLACE)?;
        Err(io::Error::other("something else took its place"))
    }
}

fn look_into(home: &Home, place: &Path, listed: &BTreeSet<FileHash>) -> io::Result<Vec<Found>> {
    let folder = home.folder(place)?;
    let mut found = Vec::new();
    for name in home::names(&folder)? {
        if let Ok(Some(file)) = read_candidate(home, &folder, &name, listed) {
            found.push(Found { folder: place.to_owned(), name, file });
        }
    }
    Ok(found)
}

/// What the file contains, if it is a bundle that is worth reporting.
fn read_candidate(home: &Home, folder: &OwnedFd, name: &OsStr, listed: &BTreeSet<FileHash>) -> io::Result<Option<FileHash>> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || !is_worth_reading(name, size_of(&stat), listed) {
        return Ok(None);
    }
    let (file, before) = home.open_file(folder, name, SIZE_MAX)?;
    Ok(hash_of_bundle(&file, &before)?.filter(|file| is_installer_name(name) || listed.contains(file)))
}

/// Reads the whole file through its handle; fails if it grows beyond what it was. Nothing is said of a file that is no bundle.
pub(super) fn hash_of_bundle(file: &File, stat: &Stat) -> io::Result<Option<FileHash>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size_of(stat)).unwrap_or(0));
    let read = file.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if read as u64 != size_of(stat) {
        return Err(io::Error::other("it is being written to"));
    }
    let hash = || FileHash { sha256: tegata_pki::key::sha256(&bytes).to_string(), size: size_of(stat) };
    Ok(tegata_pki::pkcs12::is_bundle(&bytes).then(hash))
}

fn same_file(left: &Stat, right: &Stat) -> bool {
    (left.st_dev, left.st_ino) == (right.st_dev, right.st_ino)
}

fn unchanged(now: &Stat, before: &Stat) -> bool {
    (now.st_size, now.st_mtime, now.st_mtime_nsec) == (before.st_size, before.st_mtime, before.st_mtime_nsec)
}
