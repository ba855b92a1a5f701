//! Folders for programs: where they are, and one that only the system and administrators can write into.
//!
//! The service runs with every right. Whoever could put a file beside it, or have its folder made beforehand, would have them too.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString, c_void};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::ffi::{OsStrExt, OsStringExt};
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::os::windows::io::AsRawHandle;
use std::path::{Path, PathBuf};
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo,
    SDDL_REVISION_1, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{DACL_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES};
use windows_sys::Win32::Storage::FileSystem::{
    CreateDirectoryW, FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS, FILE_FLAG_OPEN_REPARSE_POINT, MOVEFILE_DELAY_UNTIL_REBOOT,
    MoveFileExW, READ_CONTROL,
};
use windows_sys::Win32::System::Com::CoTaskMemFree;
use windows_sys::Win32::UI::Shell::{FOLDERID_LocalAppData, FOLDERID_ProgramFiles, SHGetKnownFolderPath};
use windows_sys::core::{GUID, PWSTR};

use crate::disk::failing;
use crate::setup::{Foreign, SetupError};

/// Full control for the system and administrators, reading and running for users; nothing is inherited from above. SDDL.
const ACCESS: &str = "(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)";

/// Where programs lie. Asked of the system: an environment can be changed by its user.
pub(super) fn for_programs() -> io::Result<PathBuf> {
    known(&FOLDERID_ProgramFiles)
}

/// Where the user's own programs lie.
pub(super) fn for_programs_of_user() -> io::Result<PathBuf> {
    Ok(known(&FOLDERID_LocalAppData)?.join("Programs"))
}

/// Makes the folder with its access list, in one step. One that is there is used only if it has that very list, as after an earlier
/// installation; it is never made ours.
pub(super) fn make_protected(path: &Path) -> Result<(), SetupError> {
    match create(path) {
        Err(problem) if problem.raw_os_error() == i32::try_from(ERROR_ALREADY_EXISTS).ok() => is_ours(path),
        made => made.map_err(failing("make the folder", path)).map_err(Into::into),
    }
}

/// Has a file or an empty folder removed when Windows starts the next time.
pub(super) fn remove_at_restart(path: &Path) -> io::Result<()> {
    let path = wide(path.as_os_str());
    // SAFETY: `path` ends with a zero; without a new name the file is removed.
    succeeded(unsafe { MoveFileExW(path.as_ptr(), null(), MOVEFILE_DELAY_UNTIL_REBOOT) })
}

fn is_ours(path: &Path) -> Result<(), SetupError> {
    let looked = look(path).map_err(failing("look at", path))?;
    looked.map_err(|because| SetupError::ForeignFolder { path: path.to_owned(), because })
}

/// Everything is asked of one handle, so that nothing can be exchanged between two questions.
fn look(path: &Path) -> io::Result<Result<(), Foreign>> {
    let mut options = OpenOptions::new();
    options.access_mode(READ_CONTROL).custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT);
    let handle = options.open(path)?;
    let there = handle.metadata()?;
    if there.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        return Ok(Err(Foreign::Link));
    }
    if !there.is_dir() {
        return Ok(Err(Foreign::NotAFolder));
    }
    let access = access(&handle)?;
    Ok(if is_protected(&access) { Ok(()) } else { Err(Foreign::Access(access)) })
}

/// True if this owner and access list (SDDL) keep everybody but the system and administrators from writing.
fn is_protected(sddl: &str) -> bool {
    let owned = ["O:BA", "O:SY"].into_iter().find_map(|owner| sddl.strip_prefix(owner));
    let listed = owned.and_then(|rest| rest.strip_prefix("D:P")).map(|rest| rest.strip_prefix("AI").unwrap_or(rest));
    listed == Some(ACCESS)
}

fn create(path: &Path) -> io::Result<()> {
    let (path, descriptor) = (wide(path.as_os_str()), Descriptor::parse(&format!("O:BAD:P{ACCESS}"))?);
    let length = u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).map_err(io::Error::other)?;
    let attributes = SECURITY_ATTRIBUTES { nLength: length, lpSecurityDescriptor: descriptor.0, bInheritHandle: 0 };
    // SAFETY: `path` ends with a zero; the descriptor lives until the end of the function.
    succeeded(unsafe { CreateDirectoryW(path.as_ptr(), &attributes) })
}

/// A security descriptor that the system has allocated.
struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    fn parse(sddl: &str) -> io::Result<Self> {
        let (sddl, mut descriptor) = (wide(OsStr::new(sddl)), null_mut());
        // SAFETY: `sddl` ends with a zero; `descriptor` receives what is freed by `Drop`.
        succeeded(unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl.as_ptr(), SDDL_REVISION_1, &mut descriptor, null_mut())
        })?;
        Ok(Self(descriptor))
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the system has allocated it by LocalAlloc, and nobody else has it.
        unsafe { LocalFree(self.0) };
    }
}

/// Owner and access list, as SDDL.
fn access(handle: &File) -> io::Result<String> {
    let (handle, asked) = (handle.as_raw_handle(), OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION);
    let mut descriptor = null_mut();
    // SAFETY: the handle is open; parts that are not asked for may be null.
    let code = unsafe { GetSecurityInfo(handle, SE_FILE_OBJECT, asked, null_mut(), null_mut(), null_mut(), null_mut(), &mut descriptor) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(i32::try_from(code).map_err(io::Error::other)?));
    }
    let (descriptor, mut text): (Descriptor, PWSTR) = (Descriptor(descriptor), null_mut());
    // SAFETY: the descriptor is whole; `text` receives a text that ends with a zero and is freed below.
    succeeded(unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(descriptor.0, SDDL_REVISION_1, asked, &mut text, null_mut())
    })?;
    // SAFETY: as above.
    let sddl = unsafe { read(text) };
    // SAFETY: the system has allocated it by LocalAlloc, and it was copied.
    unsafe { LocalFree(text.cast::<c_void>()) };
    Ok(sddl.to_string_lossy().into_owned())
}

fn known(folder: &GUID) -> io::Result<PathBuf> {
    let mut path = null_mut();
    // SAFETY: without a token it is the caller's folder; `path` receives what is freed below, also after a failure.
    let result = unsafe { SHGetKnownFolderPath(folder, 0, null_mut(), &mut path) };
    // SAFETY: after a success it is a text that ends with a zero.
    let found = (result >= 0).then(|| PathBuf::from(unsafe { read(path) }));
    // SAFETY: the system has allocated it, and it was copied.
    unsafe { CoTaskMemFree(path.cast::<c_void>()) };
    found.ok_or_else(|| io::Error::from_raw_os_error(result))
}

/// # Safety
/// `text` ends with a zero.
unsafe fn read(text: PWSTR) -> OsString {
    // SAFETY: the caller's promise.
    let length = (0..).take_while(|index| unsafe { *text.add(*index) } != 0).count();
    // SAFETY: so many characters were just seen.
    OsString::from_wide(unsafe { std::slice::from_raw_parts(text, length) })
}

fn wide(text: &OsStr) -> Vec<u16> {
    text.encode_wide().chain([0]).collect()
}

fn succeeded(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_list_that_the_agent_gives_is_believed() {
        let ours = |flags: &str| format!("O:BAD:{flags}{ACCESS}");
        for fine in [ours("P"), ours("PAI"), format!("O:SYD:P{ACCESS}")] {
            assert!(is_protected(&fine), "{fine}");
        }
        for wrong in [
            ours(""),
            ours("AI"),
            format!("O:S-1-5-21-1-2-3-1001D:P{ACCESS}"),
            format!("O:BAD:P{ACCESS}(A;OICI;FA;;;WD)"),
            format!("O:BAD:P(A;OICI;FA;;;BU){ACCESS}"),
            ours("P").replace("0x1200a9", "0x1301bf"),
            "O:BAD:NO_ACCESS_CONTROL".into(),
            "O:BAD:P".into(),
            String::new(),
        ] {
            assert!(!is_protected(&wrong), "{wrong}");
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
        if std::os::windows::fs::symlink_dir(&foreign, &link).is_ok() {
            assert_eq!(because(&link), Foreign::Link);
        }
        assert_eq!(std::fs::read(&file).unwrap(), b"a");
    }

    #[test]
    fn a_folder_that_is_made_is_there() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("Tegata");
        make_protected(&path).unwrap();
        assert!(path.is_dir());
        println!(
            "{}",
            access(&OpenOptions::new().access_mode(READ_CONTROL).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(&path).unwrap()).unwrap()
        );
    }
}
