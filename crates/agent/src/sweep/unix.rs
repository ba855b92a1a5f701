//! Looking and removing by handle: whatever is swapped meanwhile, nothing outside the folder and nothing else is touched.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, Stat, fstat, openat, renameat_with, statat, unlinkat};
use rustix::io::Errno;
use tegata_api::v1::device::FileHash;

use crate::home::{Home, size_of};
use crate::quarantine::Kept;

use super::inside::Bundle;
use super::{Found, REMOVING, SIZE_MAX, is_installer_name, is_worth_reading};

#[cfg(not(target_os = "macos"))]
mod linux;
#[cfg(all(test, not(target_os = "macos")))]
pub(super) use linux::pretend;
#[cfg(not(target_os = "macos"))]
pub(super) use linux::{CLOUD, MAIL, clouds, own_folder, removable, temporary, trash};
#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub(super) use macos::{CLOUD, MAIL, clouds, own_folder, removable, temporary, trash};

/// Fails if the home cannot be opened.
pub(super) fn check(home: &Path) -> io::Result<()> {
    Home::open(home).map(drop)
}

/// A drive, as the kernel numbers it.
pub(super) type Drive = rustix::fs::Dev;

/// What a folder is like: another file in it, or one less, changes this.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    drive: Drive,
    inode: u64,
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn drive(&self) -> Drive {
        self.drive
    }

    /// False for a folder that was changed just now: file systems count in steps of up to two seconds (FAT).
    pub(super) fn is_settled(&self) -> bool {
        (self.changed.0 - crate::wall_clock()).abs() > 2
    }
}

/// A name in a folder.
pub(super) struct Entry {
    pub(super) name: OsString,
    kind: FileType,
    /// Its length, if the folder itself says so.
    pub(super) size: Option<u64>,
}

/// A folder of the user's own.
pub(super) struct Folder {
    home: Home,
    handle: OwnedFd,
}

impl Folder {
    /// Opens a folder below the home, or on a drive.
    pub(super) fn open(home: &Path, place: &Path) -> io::Result<Self> {
        let home = if place.is_absolute() { Home::open(home)?.elsewhere()? } else { Home::open(home)? };
        let handle = home.folder(place.strip_prefix("/").unwrap_or(place))?;
        Ok(Self { home, handle })
    }

    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        let stat = fstat(&self.handle)?;
        #[allow(clippy::useless_conversion, reason = "their types differ from system to system")]
        let changed = (i64::from(stat.st_ctime), i64::try_from(stat.st_ctime_nsec).unwrap_or(0));
        Ok(Stamp { drive: stat.st_dev, inode: stat.st_ino, changed })
    }

    /// What is in it, in no order, one after the other: there may be millions.
    pub(super) fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<Entry>>> {
        let entry = |entry: rustix::fs::DirEntry| {
            let name = OsString::from_vec(entry.file_name().to_bytes().to_vec());
            Entry { name, kind: entry.file_type(), size: None }
        };
        let all = Dir::read_from(&self.handle)?.map(move |listed| Ok(entry(listed?)));
        Ok(all.filter(|entry| entry.as_ref().map_or(true, |entry| entry.name != "." && entry.name != "..")))
    }

    /// True for a folder that is looked into.
    pub(super) fn is_folder(&self, entry: &Entry) -> bool {
        let look = || self.look_at(&entry.name).map_or(FileType::Unknown, |stat| kind_of(&stat));
        let kind = if entry.kind == FileType::Unknown { look() } else { entry.kind };
        kind == FileType::Directory && !self.is_somebody_elses(&entry.name)
    }

    /// True if there is something of this name.
    pub(super) fn has(&self, name: &OsStr) -> io::Result<bool> {
        match statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(problem) => Err(problem.into()),
        }
    }

    /// In a folder that everybody shares, what others have in it is nobody's business.
    fn is_somebody_elses(&self, name: &OsStr) -> bool {
        self.home.is_elsewhere() && self.look_at(name).is_none_or(|stat| !self.home.owns(&stat))
    }

    fn look_at(&self, name: &OsStr) -> Option<Stat> {
        statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW).ok()
    }

    /// What a file contains, if it is a bundle that is worth telling. Adds to `read` how many bytes it has to be read for that.
    pub(super) fn candidate(&self, name: &OsStr, wanted: &BTreeSet<FileHash>, read: &mut u64) -> io::Result<Option<Bundle>> {
        let stat = statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_file = kind_of(&stat) == FileType::RegularFile;
        if !is_file || !is_worth_reading(name, size_of(&stat), wanted) || !is_here(&stat) {
            return Ok(None);
        }
        let (file, before) = self.home.open_file(&self.handle, name, SIZE_MAX)?;
        *read += size_of(&before);
        Ok(bundle_in(&file, &before)?.filter(|bundle| is_installer_name(name) || wanted.contains(&bundle.file)))
    }
}

fn kind_of(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// False for a file whose contents are in iCloud only: reading it would fetch it, and removing it would remove it from other Macs.
#[cfg(target_os = "macos")]
fn is_here(stat: &Stat) -> bool {
    /// `SF_DATALESS` of `sys/stat.h`.
    const DATALESS: u32 = 0x4000_0000;
    stat.st_flags & DATALESS == 0
}

#[cfg(not(target_os = "macos"))]
fn is_here(_: &Stat) -> bool {
    true
}

/// A folder that is missing, or is a link. Everything else must not look like a folder without files: a kernel without openat2, or a Mac
/// whose user has not let the agent see the folder (EPERM).
pub(super) fn is_nobodys_trouble(problem: &io::Error) -> bool {
    let skipped = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP];
    Errno::from_io_error(problem).is_some_and(|errno| skipped.contains(&errno))
}

/// True if there is something of this name. A folder that is missing below the home has nothing in it; of one elsewhere, such as on a drive,
/// that is not known.
pub(super) fn is_there(home: &Path, place: &Path, name: &str) -> io::Result<Option<bool>> {
    check(home)?;
    let folder = match Folder::open(home, place) {
        Ok(folder) => folder,
        Err(problem) if is_nobodys_trouble(&problem) => return Ok((!place.is_absolute()).then_some(false)),
        Err(problem) => return Err(problem),
    };
    match statat(&folder.handle, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from) {
        Ok(_) => Ok(Some(true)),
        Err(problem) if is_nobodys_trouble(&problem) => Ok(Some(false)),
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
    let Folder { home, handle: folder } = Folder::open(home, &found.folder)?;
    let (file, read) = home.open_file(&folder, &found.name, SIZE_MAX)?;
    if bundle_in(&file, &read)?.map(|bundle| bundle.file).as_ref() != Some(&found.file) {
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
        sync(&[&aside.folder]);
        Ok(())
    }

    /// Moves the file into a folder of the agent's own, if it still is what was moved aside. Where it cannot go there, as from another
    /// drive, it gets its name back.
    pub(super) fn keep(self, own: &Path, id: &str) -> io::Result<()> {
        let aside = self.checked()?;
        let own = own_vault(own).and_then(|own| {
            renameat_with(&aside.folder, aside.name.as_str(), &own, id, RenameFlags::NOREPLACE)?;
            Ok(own)
        });
        let own = match own {
            Ok(own) => own,
            Err(problem) => {
                renameat_with(&aside.folder, aside.name.as_str(), &aside.folder, &aside.before, RenameFlags::NOREPLACE)?;
                return Err(problem);
            }
        };
        // The name may have come to mean another file just before it was moved.
        let moved = statat(&own, id, AtFlags::SYMLINK_NOFOLLOW)?;
        if !(same_file(&moved, &aside.read) && unchanged(&fstat(&aside.file)?, &aside.read) && moved.st_nlink == 1) {
            renameat_with(&own, id, &aside.folder, &aside.before, RenameFlags::NOREPLACE)?;
            return Err(io::Error::other("something else took its place"));
        }
        sync(&[&own, &aside.folder]);
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

/// The file is gone from where it was, and that is what has to be said. Some file systems (FUSE, CIFS) cannot sync folders.
fn sync(folders: &[&OwnedFd]) {
    for problem in folders.iter().filter_map(|folder| rustix::fs::fsync(folder).err()) {
        tracing::warn!(%problem, "an installer file is gone, but a power cut may bring it back");
    }
}

/// A folder of the agent's own, into which nobody else can look.
fn own_vault(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = openat(CWD, path, flags, Mode::empty())?;
    let stat = fstat(&folder)?;
    let is_closed = !Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO);
    if is_closed && stat.st_uid == rustix::process::geteuid().as_raw() {
        Ok(folder)
    } else {
        Err(io::Error::other("the quarantine is not the agent's alone"))
    }
}

/// Moves a file back that was moved out of the way, if it still is what it was. Never over another one.
pub(super) fn put_back(home: &Path, own: &Path, kept: &Kept) -> io::Result<()> {
    let Folder { home, handle: folder } = Folder::open(home, &kept.folder)?;
    let own = own_vault(own)?;
    let (file, read) = home.open_file(&own, OsStr::new(&kept.id), SIZE_MAX)?;
    if bundle_in(&file, &read)?.map(|bundle| bundle.file).as_ref() != Some(&kept.file) {
        return Err(io::Error::other("its contents are not those that were moved"));
    }
    if Path::new(&kept.name).file_name() != Some(OsStr::new(&kept.name)) {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    renameat_with(&own, kept.id.as_str(), &folder, kept.name.as_str(), RenameFlags::NOREPLACE)?;
    sync(&[&folder, &own]);
    Ok(())
}

/// Reads the whole file through its handle; fails if it grows beyond what it was. Nothing is said of a file that is no bundle.
pub(super) fn bundle_in(file: &File, stat: &Stat) -> io::Result<Option<Bundle>> {
    let mut bytes = Vec::with_capacity(usize::try_from(size_of(stat)).unwrap_or(0));
    let read = file.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if read as u64 != size_of(stat) {
        return Err(io::Error::other("it is being written to"));
    }
    Ok(Bundle::of(bytes))
}

fn same_file(left: &Stat, right: &Stat) -> bool {
    (left.st_dev, left.st_ino) == (right.st_dev, right.st_ino)
}

fn unchanged(now: &Stat, before: &Stat) -> bool {
    (now.st_size, now.st_mtime, now.st_mtime_nsec) == (before.st_size, before.st_mtime, before.st_mtime_nsec)
}
