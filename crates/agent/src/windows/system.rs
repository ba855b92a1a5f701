//! What Windows says of itself and of its user.

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::OsStringExt;
use std::path::PathBuf;
use std::ptr::null_mut;

use windows_sys::Wdk::System::SystemServices::RtlGetVersion;
use windows_sys::Win32::Storage::FileSystem::{GetDriveTypeW, GetLogicalDrives};
use windows_sys::Win32::System::Com::CoTaskMemFree;
use windows_sys::Win32::System::SystemInformation::{
    ComputerNamePhysicalDnsHostname, GetComputerNameExW, OSVERSIONINFOEXW, OSVERSIONINFOW,
};
use windows_sys::Win32::System::SystemServices::VER_NT_WORKSTATION;
use windows_sys::Win32::System::Threading::{GetCurrentThread, SetThreadPriority, THREAD_MODE_BACKGROUND_BEGIN};
use windows_sys::Win32::UI::Shell::{
    FOLDERID_Desktop, FOLDERID_Documents, FOLDERID_Downloads, FOLDERID_LocalAppData, FOLDERID_Profile, FOLDERID_ProgramFiles,
    KF_FLAG_DONT_VERIFY, SHGetKnownFolderPath,
};
use windows_sys::core::GUID;

use super::{check, narrow, wide};

/// A folder that has a meaning of its own, wherever it lies.
#[derive(Clone, Copy)]
pub(crate) enum Folder {
    Profile,
    Downloads,
    Desktop,
    Documents,
    /// Programs of everybody.
    ProgramFiles,
    /// What programs keep for the user on this PC.
    LocalAppData,
}

impl Folder {
    fn id(self) -> &'static GUID {
        match self {
            Self::Profile => &FOLDERID_Profile,
            Self::Downloads => &FOLDERID_Downloads,
            Self::Desktop => &FOLDERID_Desktop,
            Self::Documents => &FOLDERID_Documents,
            Self::ProgramFiles => &FOLDERID_ProgramFiles,
            Self::LocalAppData => &FOLDERID_LocalAppData,
        }
    }
}

/// Where the folder lies now, also if it was moved to another drive, a server or OneDrive. Asked of the system: an environment can be
/// changed by its user.
pub(crate) fn folder(which: Folder) -> Option<PathBuf> {
    let mut path = null_mut();
    // SAFETY: the identifier outlives the call; the path is written whatever the outcome, and freed below.
    let outcome = unsafe { SHGetKnownFolderPath(which.id(), KF_FLAG_DONT_VERIFY.cast_unsigned(), null_mut(), &raw mut path) };
    // SAFETY: after a success it is a text that ends with a zero.
    let found = (outcome >= 0).then(|| PathBuf::from(OsString::from_wide(&unsafe { narrow(path) })));
    // SAFETY: the shell has allocated it for us in this way, or it is null, which is let pass.
    unsafe { CoTaskMemFree(path.cast()) };
    found
}

/// The roots of the drives that can be taken away, such as `E:\\`.
pub(crate) fn removable_drives() -> Vec<PathBuf> {
    /// `DRIVE_REMOVABLE` (fileapi.h).
    const REMOVABLE: u32 = 2;
    // SAFETY: it takes nothing and answers a number.
    let there = unsafe { GetLogicalDrives() };
    let roots = ('A'..='Z').enumerate().filter(|(place, _)| there & (1 << place) != 0).map(|(_, letter)| format!("{letter}:\\"));
    // SAFETY: the text ends with a zero and outlives the call.
    roots.filter(|root| unsafe { GetDriveTypeW(wide(root).as_ptr()) } == REMOVABLE).map(PathBuf::from).collect()
}

/// From now on this thread runs behind everything that people wait for: processor, disk and memory.
pub(crate) fn work_in_background() -> io::Result<()> {
    // SAFETY: the handle of the own thread needs no closing.
    check(unsafe { SetThreadPriority(GetCurrentThread(), THREAD_MODE_BACKGROUND_BEGIN) })
}

/// The name of the PC; empty if it has none.
pub(crate) fn host_name() -> String {
    let mut buffer = [0_u16; 256];
    let mut length = u32::try_from(buffer.len()).unwrap_or_default();
    // SAFETY: the buffer has as much room as is said.
    let done = unsafe { GetComputerNameExW(ComputerNamePhysicalDnsHostname, buffer.as_mut_ptr(), &raw mut length) };
    if done == 0 { String::new() } else { String::from_utf16_lossy(&buffer[..length as usize]) }
}

/// `Windows 11 (10.0.26100)`. Not the version that Windows tells old programs for their peace.
pub(crate) fn version() -> String {
    let mut found =
        OSVERSIONINFOEXW { dwOSVersionInfoSize: u32::try_from(size_of::<OSVERSIONINFOEXW>()).unwrap_or_default(), ..Default::default() };
    // SAFETY: the longer structure begins as the shorter one does, and its length says which of them it is.
    unsafe { RtlGetVersion((&raw mut found).cast::<OSVERSIONINFOW>()) };
    named(found.dwMajorVersion, found.dwMinorVersion, found.dwBuildNumber, u32::from(found.wProductType) == VER_NT_WORKSTATION)
}

/// Windows 11 still calls itself version 10; its builds begin with 22000.
fn named(major: u32, minor: u32, build: u32, is_workstation: bool) -> String {
    let name = match (is_workstation, build) {
        (false, _) => "Windows Server",
        (true, 22_000..) => "Windows 11",
        (true, _) => "Windows",
    };
    let numbered = if name == "Windows" { format!(" {major}") } else { String::new() };
    format!("{name}{numbered} ({major}.{minor}.{build})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_called_as_people_call_it() {
        assert_eq!(named(10, 0, 19_045, true), "Windows 10 (10.0.19045)");
        assert_eq!(named(10, 0, 26_100, true), "Windows 11 (10.0.26100)");
        assert_eq!(named(10, 0, 20_348, false), "Windows Server (10.0.20348)");
        assert!(version().starts_with("Windows ") && !host_name().is_empty());
    }

    #[test]
    fn the_user_has_all_the_folders() {
        let profile = folder(Folder::Profile).unwrap();
        for other in [Folder::Downloads, Folder::Desktop, Folder::Documents] {
            assert!(folder(other).unwrap().is_absolute());
        }
        assert_eq!(Some(profile.into_os_string()), std::env::var_os("USERPROFILE"));
    }
}
