//! Which processes run, and since when. The only place of the browsers that calls Windows by itself; every function around it is safe.
#![allow(unsafe_code)]

use windows_sys::Win32::Foundation::{CloseHandle, FILETIME, HANDLE, INVALID_HANDLE_VALUE, STILL_ACTIVE};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::RemoteDesktop::ProcessIdToSessionId;
use windows_sys::Win32::System::Threading::{GetExitCodeProcess, GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION};

/// The session of services, which shows no windows (Microsoft, "Session 0 isolation").
pub(super) const SERVICES: u32 = 0;

/// A process that runs.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) id: u32,
    /// Who started it. That process may have ended, and its number may be another's.
    pub(super) parent: u32,
    /// The file name of its program.
    pub(super) image: String,
    pub(super) session: Option<u32>,
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
pub(super) fn all() -> Vec<Process> {
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
pub(super) fn started(process: u32) -> Option<u64> {
    // SAFETY: takes no pointer; what it gives is checked before it is used.
    let handle = unsafe { OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, 0, process) };
    if handle.is_null() {
        return None;
    }
    let opened = Owned(handle);
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

/// The session that this process runs in.
pub(super) fn own_session() -> Option<u32> {
    session(std::process::id())
}

fn session(process: u32) -> Option<u32> {
    let mut number = 0;
    // SAFETY: the number lives as long as the call.
    let is_told = unsafe { ProcessIdToSessionId(process, &raw mut number) };
    (is_told != 0).then_some(number)
}
