//! Looking and removing by handle: a file is removed as what was read, since nobody else can have it open or give it another name meanwhile.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::windows::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use tegata_api::v1::device::FileHash;
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_ATTRIBUTE_OFFLINE, FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS, FILE_ATTRIBUTE_RECALL_ON_OPEN, FILE_ATTRIBUTE_REPARSE_POINT,
    FILE_GENERIC_READ, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_TRAVERSE, FILE_WRITE_ATTRIBUTES,
};

use crate::quarantine::Kept;
use crate::windows::access;
use crate::windows::file::{self, Kind};

use super::inside::Bundle;
use super::{Found, REMOVING, SIZE_MAX, is_installer_name, is_worth_reading};

mod places;
pub(super) use places::{CLOUD, MAIL, clouds, own_folder, removable, temporary, trash};

/// Links, and files whose contents are in a cloud: reading those would fetch them, and removing them would remove them from other PCs.
const NOT_HERE: u32 =
    FILE_ATTRIBUTE_REPARSE_POINT | FILE_ATTRIBUTE_OFFLINE | FILE_ATTRIBUTE_RECALL_ON_OPEN | FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS;
/// Nobody may give a folder another name, or remove it, while it is open.
const FOLDER_SHARE: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE;

/// Fails if the home cannot be opened.
pub(super) fn check(home: &Path) -> io::Result<()> {
    open_root(home).map(drop)
}

/// A folder that is not there. Everything else must not look like a folder without files.
pub(super) fn is_nobodys_trouble(problem: &io::Error) -> bool {
    problem.kind() == io::ErrorKind::NotFound
}

/// No folder is opened through a link, and only links lead to other drives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Drive;

/// What a folder is like: another file in it, or one less, changes this. In steps of 100 ns since 1601.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    made: u64,
    changed: u64,
}

/// From 1601 to 1970, in seconds.
const UNIX_BEGINS: i64 = 11_644_473_600;

impl Stamp {
    pub(super) fn drive(&self) -> Drive {
        Drive
    }

    /// False for a folder that was changed just now: FAT counts in steps of two seconds.
    pub(super) fn is_settled(&self) -> bool {
        let changed = i64::try_from(self.changed / 10_000_000).unwrap_or(i64::MAX) - UNIX_BEGINS;
        (changed - crate::wall_clock()).abs() > 2
    }
}

/// A name in a folder.
pub(super) struct Entry {
    pub(super) name: OsString,
    is_folder: bool,
    /// Its length, if the folder itself says so.
    pub(super) size: Option<u64>,
}

/// A folder of the user's own.
pub(super) struct Folder {
    handle: File,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder below the home, or on a drive.
    pub(super) fn open(home: &Path, place: &Path) -> io::Result<Self> {
        let handle = open_folder(home, place)?;
        Ok(Self { path: file::final_path(&handle)?, handle })
    }

    pub(super) fn stamp(&self) -> io::Result<Stamp> {
        let there = self.handle.metadata()?;
        Ok(Stamp { made: there.creation_time(), changed: there.last_write_time() })
    }

    /// What is in it, in no order, one after the other: there may be millions.
    pub(super) fn entries(&self) -> io::Result<impl Iterator<Item = io::Result<Entry>>> {
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let there = entry.metadata()?;
            let is_folder = there.is_dir() && there.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT == 0;
            Ok(Entry { name: entry.file_name(), is_folder, size: Some(there.file_size()) })
        };
        Ok(fs::read_dir(&self.path)?.map(entry))
    }

    /// True for a folder that is looked into.
    #[allow(clippy::unused_self, reason = "elsewhere the folder has to be asked")]
    pub(super) fn is_folder(&self, entry: &Entry) -> bool {
        entry.is_folder
    }

    /// True if there is something of this name.
    pub(super) fn has(&self, name: &OsStr) -> io::Result<bool> {
        match fs::symlink_metadata(self.path.join(name)) {
            Ok(_) => Ok(true),
            Err(problem) if is_nobodys_trouble(&problem) => Ok(false),
            Err(problem) => Err(problem),
        }
    }

    /// What a file contains, if it is a bundle that is worth telling. Adds to `read` how many bytes it has to be read for that.
    pub(super) fn candidate(&self, name: &OsStr, wanted: &BTreeSet<FileHash>, read: &mut u64) -> io::Result<Option<Bundle>> {
        let there = fs::symlink_metadata(self.path.join(name))?;
        if there.is_dir() || !is_worth_reading(name, there.file_size(), wanted) {
            return Ok(None);
        }
        if there.file_attributes() & NOT_HERE != 0 {
            return Err(io::Error::other("it is a link, or its contents are not on this PC"));
        }
        let file = open_file(&self.handle, name, 0, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)?;
        *read += file.metadata()?.file_size();
        Ok(bundle_in(&file)?.filter(|bundle| is_installer_name(name) || wanted.contains(&bundle.file)))
    }
}

/// True if there is something of this name. A folder that is missing below the home has nothing in it; of one elsewhere, such as on a drive,
/// that is not known.
pub(super) fn is_there(home: &Path, place: &Path, name: &str) -> io::Result<Option<bool>> {
    let folder = match Folder::open(home, place) {
        Ok(folder) => folder,
        Err(problem) if is_nobodys_trouble(&problem) => return Ok((!place.is_absolute()).then_some(false)),
        Err(problem) => return Err(problem),
    };
    match fs::symlink_metadata(folder.path.join(name)) {
        Ok(_) => Ok(Some(true)),
        Err(problem) if is_nobodys_trouble(&problem) => Ok(Some(false)),
        Err(problem) => Err(problem),
    }
}

/// A file that nobody else has open, under a name that nobody else knows, in the folder that it was found in.
///
/// It could be removed by its handle at once. The other name is for whoever comes after a power cut: a file that has gone from there was
/// removed by the agent, and not by the user.
pub(super) struct Aside {
    /// What it is called meanwhile.
    pub(super) name: String,
    file: File,
    /// What it was called before.
    before: OsString,
    /// Open, so that nobody moves it elsewhere.
    folder: File,
}

/// Moves a file aside, if it still is what was found.
pub(super) fn set_aside(home: &Path, found: &Found) -> io::Result<Aside> {
    let folder = open_folder(home, &found.folder)?;
    let file = open_file(&folder, &found.name, DELETE | FILE_WRITE_ATTRIBUTES, 0)?;
    if bundle_in(&file)?.map(|bundle| bundle.file).as_ref() != Some(&found.file) {
        return Err(io::Error::other("its contents are not those that were listed"));
    }
    let name = format!("{}{}{}", REMOVING.0, crate::chance::name(), REMOVING.1);
    file::rename_in(&folder, &file, name.as_ref())?;
    Ok(Aside { name, file, before: found.name.clone(), folder })
}

impl Aside {
    /// Removes the file. It has one name, and its handle is the only one, so it is gone when this returns.
    pub(super) fn remove(self) -> io::Result<()> {
        file::remove(&self.file)
    }

    /// Moves the file into a folder of the agent's own. Where it cannot go there, as from another drive, it gets its name back.
    pub(super) fn keep(self, own: &Path, id: &str) -> io::Result<()> {
        let moved = own_vault(own).and_then(|own| file::rename_in(&own, &self.file, id.as_ref()));
        if moved.is_err() {
            file::rename_in(&self.folder, &self.file, &self.before)?;
        }
        moved
    }
}

/// A folder of the agent's own: nobody gives it another name while it is open.
fn own_vault(path: &Path) -> io::Result<File> {
    let folder = open_root(path)?;
    if file::look_at(&folder)?.is_link || !is_ours(&access::owner(&folder)?)? {
        return Err(io::Error::other("the quarantine is not the agent's alone"));
    }
    Ok(folder)
}

/// Moves a file back that was moved out of the way, if it still is what it was. Never over another one.
pub(super) fn put_back(home: &Path, own: &Path, kept: &Kept) -> io::Result<()> {
    let (folder, own) = (open_folder(home, &kept.folder)?, own_vault(own)?);
    let file = open_file(&own, kept.id.as_ref(), DELETE | FILE_WRITE_ATTRIBUTES, 0)?;
    if bundle_in(&file)?.map(|bundle| bundle.file).as_ref() != Some(&kept.file) {
        return Err(io::Error::other("its contents are not those that were moved"));
    }
    file::rename_in(&folder, &file, kept.name.as_ref())
}

fn is_same(one: &Path, other: &Path) -> bool {
    let text = |path: &Path| path.to_string_lossy().trim_end_matches('\\').to_lowercase();
    text(one) == text(other)
}

fn open_root(path: &Path) -> io::Result<File> {
    file::open(path, FILE_GENERIC_READ | FILE_TRAVERSE, FOLDER_SHARE)
}

/// Opens a folder step by step from the home, or from the root of the drive that it was moved to. No step leads elsewhere.
fn open_folder(home: &Path, place: &Path) -> io::Result<File> {
    let is_prefix = |part: &Component<'_>| matches!(part, Component::Prefix(_) | Component::RootDir);
    let root: PathBuf = place.components().take_while(is_prefix).collect();
    let steps: PathBuf = place.components().skip_while(is_prefix).collect();
    let mut folder = open_root(if root.as_os_str().is_empty() { home } else { &root })?;
    let meant = file::final_path(&folder)?.join(&steps);
    for step in steps.components() {
        let Component::Normal(name) = step else { return Err(io::ErrorKind::InvalidFilename.into()) };
        folder = file::open_in(&folder, name, Kind::Folder, FILE_GENERIC_READ | FILE_TRAVERSE, FOLDER_SHARE)?;
        if file::look_at(&folder)?.is_link {
            return Err(io::Error::other("it is a link"));
        }
    }
    is_at(&folder, &meant).map(|()| folder)
}

/// Where a handle really leads is the last word, should a link have been let pass.
fn is_at(file: &File, meant: &Path) -> io::Result<()> {
    if is_same(&file::final_path(file)?, meant) { Ok(()) } else { Err(io::Error::other("it leads elsewhere")) }
}

/// Opens a file that is the user's own, has one name only, lies here, and is not too large to read.
fn open_file(folder: &File, name: &OsStr, access: u32, share: u32) -> io::Result<File> {
    let opened = file::open_in(folder, name, Kind::File, FILE_GENERIC_READ | access, share)?;
    let there = opened.metadata()?;
    let is_here = there.file_attributes() & NOT_HERE == 0 && there.file_size() <= SIZE_MAX;
    if !is_here || file::look_at(&opened)?.links != 1 || !is_ours(&access::owner(&opened)?)? {
        return Err(io::Error::other("it is not a single file of the user's own"));
    }
    is_at(&opened, &file::final_path(folder)?.join(name)).map(|()| opened)
}

/// On file systems that know no owners (FAT) everything belongs to everybody.
fn is_ours(owner: &str) -> io::Result<bool> {
    Ok(owner == "S-1-1-0" || access::is_ours(owner)?)
}

/// Reads the whole file through its handle; fails if it grows beyond what it was. Nothing is said of a file that is no bundle.
fn bundle_in(file: &File) -> io::Result<Option<Bundle>> {
    let size = file.metadata()?.file_size();
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
    if file.take(SIZE_MAX + 1).read_to_end(&mut bytes)? as u64 != size {
        return Err(io::Error::other("it is being written to"));
    }
    Ok(Bundle::of(bytes))
}
