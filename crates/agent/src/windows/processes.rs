//! Which processes run, since when and of which program, and the end of those of ours.

use std::ffi::OsString;
use std::io;
use std::os::windows::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use windows_sys::Win32::Foundation::{CloseHandle, FILETIME, HANDLE, INVALID_HANDLE_VALUE, STILL_ACTIVE, WAIT_OBJECT_0};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::RemoteDesktop::ProcessIdToSessionId;
use windows_sys::Win32::System::Threading::{
    GetExitCodeProcess, GetProcessTimes, OpenProcess, PROCESS_ACCESS_RIGHTS, PROCESS_NAME_WIN32, PROCESS_QUERY_LIMITED_INFORMATION,
    PROCESS_SYNCHRONIZE, PROCESS_TERMINATE, QueryFullProcessImageNameW, TerminateProcess, WaitForSingleObject,
};

use super::{check, file};

/// The session of services, which shows no windows (Microsoft, "Session 0 isolation").
pub(crate) const SERVICES: u32 = 0;

/// How long a process that is ended may take to be gone, in milliseconds.
const END_PATIENCE: u32 = 10_000;

/// A process that runs.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    pub(crate) id: u32,
    /// Who started it. That process may have ended, and its number may be another's.
    pub(crate) parent: u32,
    /// The file name of its program.
    pub(crate) image: String,
    pub(crate) session: Option<u32>,
}

/// A handle that is closed when it is dropped.
struct Owned(HANDLE);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the handle is open, ours, and used by nobody after this.
        unsafe { CloseHandle(self.0) };
    }
}

/// All processes of this PC; none if Windows does not say.
pub(crate) fn all() -> Vec<Process> {
    // SAFETY: takes no pointer; what it gives is checked before it is used.
    let handle = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if handle == INVALID_HANDLE_VALUE {
        return Vec::new();
    }
    let snapshot = Owned(handle);
    let mut entry = PROCESSENTRY32W { dwSize: size_of::<PROCESSENTRY32W>().try_into().unwrap_or(0), ..Default::default() };
    let mut found = Vec::new();
    // SAFETY: the snapshot is open, and the entry lives as long as the call and says how large it is.
    let mut is_there = unsafe { Process32FirstW(snapshot.0, &raw mut entry) };
    while is_there != 0 {
        let image: Vec<u16> = entry.szExeFile.iter().copied().take_while(|unit| *unit != 0).collect();
        let (id, parent) = (entry.th32ProcessID, entry.th32ParentProcessID);
        found.push(Process { id, parent, image: String::from_utf16_lossy(&image), session: session(id) });
        // SAFETY: as above.
        is_there = unsafe { Process32NextW(snapshot.0, &raw mut entry) };
    }
    found
}

/// When the process of this number started, in tenths of a microsecond since 1601; `None` if there is none.
pub(crate) fn started(process: u32) -> Option<u64> {
    let opened = open(process, PROCESS_QUERY_LIMITED_INFORMATION)?;
    let mut code = 0;
    // SAFETY: the process is open, and the number lives as long as the call. A process that has ended stays while somebody has it open.
    let is_told = unsafe { GetExitCodeProcess(opened.0, &raw mut code) };
    if is_told == 0 || i32::try_from(code) != Ok(STILL_ACTIVE) {
        return None;
    }
    let [mut created, mut exited, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: the process is open, and all four live as long as the call.
    let is_told = unsafe { GetProcessTimes(opened.0, &raw mut created, &raw mut exited, &raw mut kernel, &raw mut user) };
    (is_told != 0).then(|| u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

/// Ends every process of this program but the one that asks, and waits until each is gone. Those of other users are not ours to end.
pub(crate) fn end_all(program: &Path) -> io::Result<()> {
    let name = program.file_name().unwrap_or_default();
    let others = all().into_iter().filter(|process| process.id != std::process::id() && name.eq_ignore_ascii_case(&process.image));
    for other in others {
        let Some(opened) = open(other.id, PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_TERMINATE | PROCESS_SYNCHRONIZE) else { continue };
        // Of one that is just ending Windows does not tell its program.
        if image(&opened).is_ok_and(|image| file::is_same(&image, program)) {
            end(&opened)?;
        }
    }
    Ok(())
}

fn end(process: &Owned) -> io::Result<()> {
    // SAFETY: the process is open with the right to end it, and with that to wait for it.
    let (ended, waited) = unsafe { (TerminateProcess(process.0, 1), WaitForSingleObject(process.0, END_PATIENCE)) };
    if waited == WAIT_OBJECT_0 { Ok(()) } else { check(ended).and(Err(io::ErrorKind::TimedOut.into())) }
}

/// The program of a process.
fn image(process: &Owned) -> io::Result<PathBuf> {
    let mut path = vec![0_u16; 32_768];
    let mut length = u32::try_from(path.len()).unwrap_or_default();
    // SAFETY: the process is open, and the buffer has as much room as is said.
    check(unsafe { QueryFullProcessImageNameW(process.0, PROCESS_NAME_WIN32, path.as_mut_ptr(), &raw mut length) })?;
    Ok(OsString::from_wide(&path[..length as usize]).into())
}

/// Opens a process; `None` if it has ended, or is not ours to look at in this way.
fn open(process: u32, rights: PROCESS_ACCESS_RIGHTS) -> Option<Owned> {
    // SAFETY: takes no pointer; what it gives is checked before it is used.
    let handle = unsafe { OpenProcess(rights, 0, process) };
    (!handle.is_null()).then_some(Owned(handle))
}

/// The session that this process runs in.
pub(crate) fn own_session() -> Option<u32> {
    session(std::process::id())
}

fn session(process: u32) -> Option<u32> {
    let mut number = 0;
    // SAFETY: the number lives as long as the call.
    let is_told = unsafe { ProcessIdToSessionId(process, &raw mut number) };
    (is_told != 0).then_some(number)
}
