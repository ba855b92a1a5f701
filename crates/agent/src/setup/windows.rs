//! Windows: a service for the whole PC, or a program that starts when its user logs on.

use std::fs;
use std::io;
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use windows_sys::Win32::System::Threading::DETACHED_PROCESS;

use super::{Left, Scope, SetupError, refused};
use crate::disk::{self, failing};
use crate::windows::file;

mod entries;
mod folder;
mod registration;

pub use registration::SERVICE;

/// The folder of the program, below the one for programs.
const FOLDER: &str = "Tegata";
/// The program.
const PROGRAM: &str = "tegata-agent.exe";

/// Copies the program to its place, and makes it start by itself, now and from now on. Can be repeated: a newer program replaces the older.
pub fn install(scope: Scope) -> Result<(), SetupError> {
    match scope {
        Scope::Pc => install_service(),
        Scope::User => install_for_user(),
    }
}

/// Ends and removes what [`install`] has brought, and nothing else.
pub fn uninstall(scope: Scope) -> Result<Left, SetupError> {
    match scope {
        Scope::Pc => uninstall_service(),
        Scope::User => uninstall_for_user(),
    }
}

fn install_service() -> Result<(), SetupError> {
    let services = registration::Services::open()?;
    let folder = program_folder()?;
    folder::make_protected(&folder)?;
    services.stop()?;
    let program = place_program(&folder)?;
    entries::add_event_source().map_err(refused("register the source of event log entries"))?;
    services.register(&program)?;
    entries::add_to_programs(&program).map_err(refused("add the agent to the list of programs"))?;
    services.start()
}

fn uninstall_service() -> Result<Left, SetupError> {
    registration::Services::open()?.remove()?;
    entries::remove_event_source().map_err(refused("remove the source of event log entries"))?;
    entries::remove_from_programs().map_err(refused("remove the agent from the list of programs"))?;
    remove_program(&program_folder()?)
}

fn install_for_user() -> Result<(), SetupError> {
    let folder = user_folder()?;
    fs::create_dir_all(&folder).map_err(failing("make the folder", &folder))?;
    let program = place_program(&folder)?;
    entries::start_at_logon(&program).map_err(refused("make the agent start at logon"))?;
    start_detached(&program).map_err(refused("start the agent"))
}

fn uninstall_for_user() -> Result<Left, SetupError> {
    entries::start_no_more().map_err(refused("keep the agent from starting at logon"))?;
    remove_program(&user_folder()?)
}

fn program_folder() -> Result<PathBuf, SetupError> {
    Ok(folder::for_programs().map_err(refused("find the folder for programs"))?.join(FOLDER))
}

fn user_folder() -> Result<PathBuf, SetupError> {
    Ok(folder::for_programs_of_user().map_err(refused("find the user's folder for programs"))?.join(FOLDER))
}

/// Starts the agent without a window, apart from whoever starts it.
pub fn start_detached(program: &Path) -> io::Result<()> {
    let mut command = Command::new(program);
    command.args(["run", "--wait", "--log"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.creation_flags(DETACHED_PROCESS).spawn().map(drop)
}

/// Copies this program to where it stays. Fails while somebody runs it from there.
fn place_program(folder: &Path) -> Result<PathBuf, SetupError> {
    let program = folder.join(PROGRAM);
    let this = std::env::current_exe().map_err(refused("find this program"))?;
    if is_same(&this, &program) {
        return Ok(program);
    }
    let fresh = disk::hidden(&program);
    fs::copy(&this, &fresh).map_err(failing("write", &fresh))?;
    if let Err(problem) = fs::rename(&fresh, &program) {
        let _ = fs::remove_file(&fresh);
        return Err(failing("replace", &program)(problem).into());
    }
    Ok(program)
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Removes the program and its folder, by name: what others have put there stays, and is named by the folder that stays.
fn remove_program(folder: &Path) -> Result<Left, SetupError> {
    let program = folder.join(PROGRAM);
    disk::remove(&disk::hidden(&program))?;
    match disk::remove(&program) {
        Ok(_) => disk::remove_empty_folder(folder).map(|()| Left::Nothing).map_err(Into::into),
        Err(problem) if is_running(&problem.source, &program) => {
            file::remove_at_restart(&program).map_err(failing("remove at the next start", &program))?;
            file::remove_at_restart(folder).map_err(failing("remove at the next start", folder))?;
            Ok(Left::ProgramUntilRestart)
        }
        Err(problem) => Err(problem.into()),
    }
}

/// True if it is this very program that cannot be removed because it runs.
fn is_running(problem: &io::Error, program: &Path) -> bool {
    problem.kind() == io::ErrorKind::PermissionDenied && std::env::current_exe().is_ok_and(|this| is_same(&this, program))
}
