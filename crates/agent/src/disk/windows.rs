//! What Windows does its own way: access lists instead of permission bits, junctions instead of symbolic links.
//!
//! Whoever knows a path may pass through closed folders here, so what lies in one is closed itself: it inherits the folder's list.

use std::fs::{self, File};
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::FileTypeExt;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    FILE_GENERIC_WRITE, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE, READ_CONTROL, WRITE_DAC,
};
use windows_sys::Win32::System::SystemServices::IO_REPARSE_TAG_MOUNT_POINT;

use crate::windows::{access, file};

const ANYBODY: u32 = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

pub(super) fn make_private_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent().filter(|above| !above.as_os_str().is_empty()) {
        make_private_folder(above)?;
    }
    match access::make_folder(path, &private_list()?) {
        Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// A folder that others could open may hold files that they can open too, also if it was closed meanwhile: a power cut may have come
/// between the two. One file that cannot be closed keeps none of the others open.
pub(super) fn close_folder(path: &Path) -> io::Result<()> {
    close_if_open(path)?;
    let mut closed = Ok(());
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let outcome = match entry.file_type()? {
            kind if kind.is_symlink() => Ok(()),
            kind if kind.is_dir() => close_folder(&entry.path()),
            _ => close_if_open(&entry.path()).map(drop),
        };
        // What is gone meanwhile was half written.
        let outcome = outcome.or_else(|problem| if problem.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(problem) });
        closed = closed.and(outcome);
    }
    closed
}

pub(super) fn close(path: &Path, _there: &fs::Metadata) -> io::Result<()> {
    close_if_open(path).map(drop)
}

pub(super) fn is_own(path: &Path) -> io::Result<bool> {
    access::is_ours(&access::owner(&file::open(path, READ_CONTROL, ANYBODY)?)?)
}

pub(super) fn open_to_everyone(_file: &File, path: &Path) -> io::Result<()> {
    access::set_list(&file::open(path, WRITE_DAC, ANYBODY)?, &format!("{}(A;;FR;;;WD)", private_list()?))
}

/// The list that lets in the user, the system and administrators, here and in what is made within. Nothing is inherited from above.
fn private_list() -> io::Result<String> {
    Ok(format!("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;{})", access::user()?))
}

fn close_if_open(path: &Path) -> io::Result<bool> {
    let there = file::open(path, READ_CONTROL | WRITE_DAC, ANYBODY)?;
    let private = private_list()?;
    let is_open = lets_in_others(&access::list(&there)?, &access::in_usual_words(&private)?);
    if is_open {
        access::set_list(&there, &private)?;
    }
    Ok(is_open)
}

/// True if a list lets in somebody whom the other one does not. An absent list lets in everybody.
fn lets_in_others(list: &str, private: &str) -> bool {
    let allowed: Vec<&str> = let_in(private).collect();
    !list.starts_with("D:") || list.contains("NO_ACCESS_CONTROL") || let_in(list).any(|who| !allowed.contains(&who))
}

/// Whom a list lets in: `(A;OICI;FA;;;SY)` the system ([MS-DTYP] 2.5.1.1). What keeps somebody out begins with D.
fn let_in(list: &str) -> impl Iterator<Item = &str> {
    let entries = list.split('(').skip(1).filter(|entry| !entry.starts_with("D;"));
    entries.map(|entry| entry.trim_end_matches(')').split(';').nth(5).unwrap_or_default())
}

/// NTFS has written the new name down by when it says that the file itself is on disk.
pub(super) fn sync_name(path: &Path) -> io::Result<()> {
    file::open(path, FILE_GENERIC_WRITE, ANYBODY)?.sync_all()
}

/// A removal is on disk with whatever is written next: NTFS logs in order.
pub(super) fn sync_removal(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// A junction is a folder, and is removed as one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.file_type().is_symlink_dir() { fs::remove_dir(path) } else { fs::remove_file(path) }
}

/// Any user may make junctions, but symbolic links only an administrator. A junction is turned in one step. A file system that has none
/// gets a file with the name.
pub(super) fn point_to(link: &Path, target: &str, prefix: &str) -> io::Result<()> {
    match turn_junction(link, target) {
        Err(problem) if file::is_unknown(&problem) => write_pointer(link, target, prefix),
        turned => turned,
    }
}

fn turn_junction(link: &Path, target: &str) -> io::Result<()> {
    match fs::create_dir(link) {
        Err(problem) if problem.kind() != io::ErrorKind::AlreadyExists => return Err(problem),
        _ => {}
    }
    let target = std::path::absolute(link.with_file_name(target))?;
    let junction = file::open(link, FILE_GENERIC_WRITE, ANYBODY)?;
    file::set_reparse_point(&junction, &mount_point(&target)?)?;
    junction.sync_all()
}

/// What a junction to this place consists of ([MS-FSCC] 2.1.2.5): the tag, the length of the rest, and the place twice, as the system
/// names it and as people do.
fn mount_point(target: &Path) -> io::Result<Vec<u8>> {
    let shown: Vec<u8> = target.as_os_str().encode_wide().flat_map(u16::to_le_bytes).collect();
    let meant: Vec<u8> = r"\??\".encode_utf16().flat_map(u16::to_le_bytes).chain(shown.iter().copied()).collect();
    let number = |length: usize| u16::try_from(length).map(u16::to_le_bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidFilename));
    let names = [meant.as_slice(), &[0, 0], &shown, &[0, 0]].concat();
    let places = [number(0)?, number(meant.len())?, number(meant.len() + 2)?, number(shown.len())?].concat();
    let length = number(places.len() + names.len())?;
    Ok([IO_REPARSE_TAG_MOUNT_POINT.to_le_bytes().as_slice(), &length, &[0, 0], &places, &names].concat())
}

fn write_pointer(link: &Path, target: &str, prefix: &str) -> io::Result<()> {
    // What was made to become a junction.
    let _ = fs::remove_dir(link);
    let fresh = super::folder_of(link).join(format!("{prefix}{}", crate::chance::name()));
    let file = File::create(&fresh)?;
    io::Write::write_all(&mut &file, target.as_bytes())?;
    file.sync_all()?;
    drop(file);
    fs::rename(&fresh, link)?;
    sync_name(link)
}

pub(super) fn pointed_at(link: &Path) -> io::Result<String> {
    match fs::symlink_metadata(link)?.file_type() {
        kind if kind.is_symlink() => Ok(fs::read_link(link)?.file_name().unwrap_or_default().to_string_lossy().into_owned()),
        kind if kind.is_file() => fs::read_to_string(link),
        // It was to become a junction, and never did.
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIVATE: &str = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;FA;;;S-1-5-21-7-8-9-1001)";

    #[test]
    fn a_list_is_private_if_it_lets_in_nobody_else() {
        for closed in [PRIVATE, "D:", "D:AI(A;ID;FA;;;SY)(A;ID;FA;;;S-1-5-21-7-8-9-1001)", "D:(D;;FA;;;WD)(A;;FA;;;BA)"] {
            assert!(!lets_in_others(closed, PRIVATE), "{closed}");
        }
        let others = ["D:(A;;FR;;;BU)(A;;FA;;;SY)", "D:NO_ACCESS_CONTROL", "", "D:P(A;;FA;;;S-1-5-21-7-8-9-1002)", "D:(XA;;FX;;;WD;(1))"];
        for open in others {
            assert!(lets_in_others(open, PRIVATE), "{open}");
        }
    }

    #[test]
    fn what_is_made_private_lets_nobody_else_in_and_what_was_open_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (made, open) = (folder.path().join("made/deep"), folder.path().join("open"));
        let is_open = |path: &Path| {
            let there = file::open(path, READ_CONTROL, ANYBODY).unwrap();
            let private = access::in_usual_words(&private_list().unwrap()).unwrap();
            lets_in_others(&access::list(&there).unwrap(), &private)
        };
        make_private_folder(&made).unwrap();
        assert!(!is_open(&made) && !is_open(&folder.path().join("made")));
        fs::create_dir_all(open.join("within")).unwrap();
        fs::write(open.join("within/key"), "secret").unwrap();
        let everything = [open.clone(), open.join("within"), open.join("within/key")];
        for path in &everything {
            access::set_list(&file::open(path, WRITE_DAC, ANYBODY).unwrap(), &format!("{PRIVATE}(A;;FA;;;WD)")).unwrap();
            assert!(is_open(path), "{}", path.display());
        }
        close_folder(&open).unwrap();
        assert!(everything.iter().all(|path| !is_open(path) && is_own(path).unwrap()));
        // As a power cut leaves it: the folder is closed, and what lies in it is not.
        access::set_list(&file::open(&everything[2], WRITE_DAC, ANYBODY).unwrap(), &format!("{PRIVATE}(A;;FA;;;WD)")).unwrap();
        close_folder(&open).unwrap();
        assert!(!is_open(&everything[2]));
        open_to_everyone(&File::open(&everything[2]).unwrap(), &everything[2]).unwrap();
        assert!(is_open(&everything[2]));
    }

    #[test]
    fn a_junction_is_written_as_windows_reads_it() {
        let place = Path::new(r"C:\a");
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let head = [0x03, 0x00, 0x00, 0xa0, 36, 0, 0, 0, 0, 0, 16, 0, 18, 0, 8, 0];
        assert_eq!(mount_point(place).unwrap(), [&head[..], &utf16("\\??\\C:\\a\0C:\\a\0")].concat());
    }
}
