//! Folders for programs: where they are, and one that only the system and administrators can write into.
//!
//! The service runs with every right. Whoever could put a file beside it, or have its folder made beforehand, would have them too.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use windows_sys::Win32::Storage::FileSystem::{
    FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, READ_CONTROL,
};

use crate::disk::failing;
use crate::setup::{Foreign, SetupError};
use crate::windows::access;
use crate::windows::system::{self, Folder};

/// Full control for the system and administrators, reading and running for users; nothing is inherited from above. SDDL.
const ACCESS: &str = "(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)";
/// The system and the administrators' group, as accounts are numbered ("Well-known SIDs").
const OWNERS: [&str; 2] = ["S-1-5-18", "S-1-5-32-544"];

/// Where programs lie.
pub(super) fn for_programs() -> io::Result<PathBuf> {
    known(Folder::ProgramFiles)
}

/// Where the user's own programs lie.
pub(super) fn for_programs_of_user() -> io::Result<PathBuf> {
    Ok(known(Folder::LocalAppData)?.join("Programs"))
}

fn known(folder: Folder) -> io::Result<PathBuf> {
    system::folder(folder).ok_or_else(|| io::Error::other("Windows does not say where programs lie"))
}

/// Makes the folder with its access list, in one step. One that is there is used only if it has that very list, as after an earlier
/// installation; it is never made ours.
pub(super) fn make_protected(path: &Path) -> Result<(), SetupError> {
    match access::make_folder(path, &format!("O:BAD:P{ACCESS}")) {
        Err(problem) if problem.kind() == io::ErrorKind::AlreadyExists => is_ours(path),
        made => made.map_err(failing("make the folder", path)).map_err(Into::into),
    }
}

fn is_ours(path: &Path) -> Result<(), SetupError> {
    let looked = look(path).map_err(failing("look at", path))?;
    looked.map_err(|because| SetupError::ForeignFolder { path: path.to_owned(), because })
}

/// Everything is asked of one handle, so that nothing can be exchanged between two questions.
fn look(path: &Path) -> io::Result<Result<(), Foreign>> {
    let mut options = OpenOptions::new();
    options.access_mode(READ_CONTROL).custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
    let handle: File = options.open(path)?;
    let there = handle.metadata()?;
    if there.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        return Ok(Err(Foreign::Link));
    }
    if !there.is_dir() {
        return Ok(Err(Foreign::NotAFolder));
    }
    let (owner, list) = (access::owner(&handle)?, access::list(&handle)?);
    Ok(if is_protected(&owner, &list) { Ok(()) } else { Err(Foreign::Access(format!("O:{owner}{list}"))) })
}

/// True if this owner and access list (SDDL) keep everybody but the system and administrators from writing.
fn is_protected(owner: &str, list: &str) -> bool {
    let listed = list.strip_prefix("D:P").map(|rest| rest.strip_prefix("AI").unwrap_or(rest));
    OWNERS.contains(&owner) && listed == Some(ACCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_list_that_the_agent_gives_is_believed() {
        let (ours, [system, administrators]) = (|flags: &str| format!("D:{flags}{ACCESS}"), OWNERS);
        for (owner, list) in [(administrators, ours("P")), (administrators, ours("PAI")), (system, ours("P"))] {
            assert!(is_protected(owner, &list), "{owner} {list}");
        }
        for (owner, list) in [
            (administrators, ours("")),
            (administrators, ours("AI")),
            ("S-1-5-21-1-2-3-1001", ours("P")),
            (administrators, ours("P") + "(A;OICI;FA;;;WD)"),
            (administrators, format!("D:P(A;OICI;FA;;;BU){ACCESS}")),
            (administrators, ours("P").replace("0x1200a9", "0x1301bf")),
            (administrators, "D:NO_ACCESS_CONTROL".into()),
            (administrators, "D:P".into()),
            ("", String::new()),
        ] {
            assert!(!is_protected(owner, &list), "{owner} {list}");
        }
    }

    #[test]
    fn a_folder_of_somebody_else_a_file_and_a_link_are_refused_and_left_as_they_are() {
        let above = tempfile::tempdir().unwrap();
        let [foreign, file] = ["foreign", "file"].map(|name| above.path().join(name));
        std::fs::create_dir(&foreign).unwrap();
        std::fs::write(&file, "a").unwrap();
        let because = |path: &Path| match make_protected(path).unwrap_err() {
            SetupError::ForeignFolder { because, .. } => because,
            other => panic!("{other}"),
        };
        assert!(matches!(because(&foreign), Foreign::Access(_)));
        assert_eq!(because(&file), Foreign::NotAFolder);
        let link = above.path().join("link");
        // Wine says yes, and makes none.
        let _ = std::os::windows::fs::symlink_dir(&foreign, &link);
        if link.is_symlink() {
            assert_eq!(because(&link), Foreign::Link);
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"a");
    }

    #[test]
    fn into_a_folder_that_is_made_only_its_owner_the_system_and_administrators_can_write() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("Tegata");
        make_protected(&path).unwrap();
        let Err(Foreign::Access(kept)) = look(&path).unwrap() else { return };
        // Wine makes permission bits of the list, and a list of those again: of who is not the owner, only what everybody may do is in it.
        let own = access::user().unwrap();
        assert!(kept.starts_with(&format!("O:{own}D:")), "{kept}");
        for entry in kept.split('(').skip(1) {
            let account = entry.trim_end_matches(')').rsplit(';').next().unwrap();
            assert!(["SY", &own].contains(&account), "{kept}");
        }
    }
}
