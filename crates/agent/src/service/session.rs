//! Who is logged on to this PC, and programs that run as them.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_void;
use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{ERROR_PRIVILEGE_NOT_HELD, WAIT_OBJECT_0};
use windows_sys::Win32::Security::{GetTokenInformation, TOKEN_STATISTICS, TokenStatistics};
use windows_sys::Win32::System::Environment::{CreateEnvironmentBlock, DestroyEnvironmentBlock};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectExtendedLimitInformation, SetInformationJobObject,
};
use windows_sys::Win32::System::RemoteDesktop::{
    WTS_SESSION_INFOW, WTSEnumerateSessionsW, WTSFreeMemory, WTSGetActiveConsoleSessionId, WTSQueryUserToken,
};
use windows_sys::Win32::System::Threading::{
    BELOW_NORMAL_PRIORITY_CLASS, CREATE_NO_WINDOW, CREATE_SUSPENDED, CREATE_UNICODE_ENVIRONMENT, CreateProcessAsUserW, GetExitCodeProcess,
    INFINITE, PROCESS_INFORMATION, ResumeThread, STARTUPINFOW, TerminateProcess, WaitForSingleObject,
};

use crate::supervise::Logon;
use crate::windows::{check, wide};

/// The user of a logon, with the rights of a plain program of theirs.
pub(super) struct Token(OwnedHandle);

/// Everybody who is logged on, be the session on a screen, locked, or disconnected.
pub(super) fn logons() -> io::Result<BTreeMap<Logon, Token>> {
    let mut found = BTreeMap::new();
    for session in sessions()? {
        if let Some(token) = user(session)? {
            found.insert(Logon { session, number: token.logon_number()? }, token);
        }
    }
    Ok(found)
}

/// The numbers of all sessions. That of the screen is asked for by itself: Wine lists none.
fn sessions() -> io::Result<BTreeSet<u32>> {
    let (mut first, mut count) = (null_mut::<WTS_SESSION_INFOW>(), 0);
    // SAFETY: of this PC (null), in the only version there is; `first` receives `count` entries, freed below.
    check(unsafe { WTSEnumerateSessionsW(null_mut(), 0, 1, &mut first, &mut count) })?;
    // SAFETY: as above.
    let mut numbers: BTreeSet<u32> = (0..count as usize).map(|index| unsafe { (*first.add(index)).SessionId }).collect();
    // SAFETY: the system has allocated it, and it was copied.
    unsafe { WTSFreeMemory(first.cast::<c_void>()) };
    // SAFETY: it takes nothing.
    numbers.insert(unsafe { WTSGetActiveConsoleSessionId() });
    Ok(numbers)
}

/// Who is logged on in a session: nobody in that of services, at the screen where one logs on, and in one that has just ended.
fn user(session: u32) -> io::Result<Option<Token>> {
    let mut token = null_mut();
    // SAFETY: `token` receives a handle that is ours.
    match check(unsafe { WTSQueryUserToken(session, &mut token) }) {
        Err(problem) if problem.raw_os_error() == i32::try_from(ERROR_PRIVILEGE_NOT_HELD).ok() => Err(problem),
        Err(_) => Ok(None),
        // SAFETY: as above.
        Ok(()) => Ok(Some(Token(unsafe { OwnedHandle::from_raw_handle(token) }))),
    }
}

impl Token {
    fn logon_number(&self) -> io::Result<u64> {
        let (mut statistics, mut length) = (TOKEN_STATISTICS::default(), 0);
        let size = size_of::<TOKEN_STATISTICS>() as u32;
        // SAFETY: the buffer is as large as is said.
        check(unsafe { GetTokenInformation(self.0.as_raw_handle(), TokenStatistics, (&raw mut statistics).cast(), size, &mut length) })?;
        let number = statistics.AuthenticationId;
        Ok(u64::from(number.HighPart.cast_unsigned()) << 32 | u64::from(number.LowPart))
    }
}

/// Programs that end when the service does, however it ends.
pub(super) struct Job(OwnedHandle);

impl Job {
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: without a name it is nobody else's.
        let job = owned(unsafe { CreateJobObjectW(null(), null()) })?;
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        let size = size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>() as u32;
        // SAFETY: the structure is the one of this class, and as large as is said.
        check(unsafe {
            SetInformationJobObject(job.as_raw_handle(), JobObjectExtendedLimitInformation, (&raw const limits).cast(), size)
        })?;
        Ok(Self(job))
    }
}

/// A program that runs as a user; ended when dropped.
pub(super) struct Helper(OwnedHandle);

impl Helper {
    /// Starts `program`, by exactly this path, on the user's desktop and without a window.
    pub(super) fn start(program: &Path, arguments: &[&str], token: &Token, job: &Job) -> io::Result<Self> {
        let environment = Environment::of(token)?;
        let mut line = wide(format!("\"{}\" {}", program.display(), arguments.join(" ")));
        let (program, mut desktop) = (wide(program), wide(r"winsta0\default"));
        let startup = STARTUPINFOW { cb: size_of::<STARTUPINFOW>() as u32, lpDesktop: desktop.as_mut_ptr(), ..STARTUPINFOW::default() };
        let flags = CREATE_SUSPENDED | CREATE_UNICODE_ENVIRONMENT | CREATE_NO_WINDOW | BELOW_NORMAL_PRIORITY_CLASS;
        let mut made = PROCESS_INFORMATION::default();
        // SAFETY: the texts end with a zero and, like the environment, live until the end of the function; no handle is inherited.
        check(unsafe {
            CreateProcessAsUserW(
                token.0.as_raw_handle(),
                program.as_ptr(),
                line.as_mut_ptr(),
                null(),
                null(),
                0,
                flags,
                environment.0,
                null(),
                &startup,
                &mut made,
            )
        })?;
        // SAFETY: both handles were just made, and are ours.
        let (process, thread) = unsafe { (OwnedHandle::from_raw_handle(made.hProcess), OwnedHandle::from_raw_handle(made.hThread)) };
        let helper = Self(process);
        // SAFETY: both handles are open.
        check(unsafe { AssignProcessToJobObject(job.0.as_raw_handle(), helper.0.as_raw_handle()) })?;
        // SAFETY: the thread waits since it was made.
        if unsafe { ResumeThread(thread.as_raw_handle()) } == u32::MAX { Err(io::Error::last_os_error()) } else { Ok(helper) }
    }

    /// What it ended with; `None` while it is alive.
    pub(super) fn exit_code(&self) -> Option<u32> {
        let mut code = 0;
        // SAFETY: the handle is open.
        let has_ended = unsafe { WaitForSingleObject(self.0.as_raw_handle(), 0) } == WAIT_OBJECT_0;
        // SAFETY: the handle is open, and `code` receives a number.
        has_ended.then(|| unsafe { GetExitCodeProcess(self.0.as_raw_handle(), &mut code) }).map(|_| code)
    }

    /// Something to wait for its end with.
    pub(super) fn ended(&self) -> io::Result<Ended> {
        Ok(Ended(self.0.try_clone()?))
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // SAFETY: the handle is open; the agent resumes from its disk, as after a power cut. One that has ended already is not touched.
        unsafe { TerminateProcess(self.0.as_raw_handle(), 1) };
    }
}

/// Waits for the end of a helper.
pub(super) struct Ended(OwnedHandle);

impl Ended {
    pub(super) fn wait(&self) {
        // SAFETY: the handle is open.
        unsafe { WaitForSingleObject(self.0.as_raw_handle(), INFINITE) };
    }
}

/// The environment of a user, as at logon; nothing of the service's own.
struct Environment(*mut c_void);

impl Environment {
    fn of(token: &Token) -> io::Result<Self> {
        let mut block = null_mut();
        // SAFETY: `block` receives what is freed by `Drop`.
        check(unsafe { CreateEnvironmentBlock(&mut block, token.0.as_raw_handle(), 0) })?;
        Ok(Self(block))
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // SAFETY: the system has allocated it, and nobody else has it.
        unsafe { DestroyEnvironmentBlock(self.0) };
    }
}

fn owned(handle: *mut c_void) -> io::Result<OwnedHandle> {
    // SAFETY: a handle that is not null was just made, and is ours.
    if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedHandle::from_raw_handle(handle) }) }
}
