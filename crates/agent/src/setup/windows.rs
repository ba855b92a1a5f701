//! Windows: a service for the whole PC, or a program that starts when its user logs on.

use std::fs;
use std::io;
use std::os::windows::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use windows_sys::Win32::System::Threading::DETACHED_PROCESS;

use super::{Left, Scope, SetupError, refused};
use crate::disk::{self, DiskError, failing};
use crate::trust::granted;
use crate::windows::{file, processes};

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
    services.while_stopped(|| {
        let program = place_program(&folder)?;
        entries::add_event_source().map_err(refused("register the source of event log entries"))?;
        services.register(&program)?;
        entries::add_to_programs(&program).map_err(refused("add the agent to the list of programs"))
    })
}

fn uninstall_service() -> Result<Left, SetupError> {
    registration::Services::open()?.remove()?;
    entries::remove_event_source().map_err(refused("remove the source of event log entries"))?;
    entries::remove_from_programs().map_err(refused("remove the agent from the list of programs"))?;
    granted::take_back_all().map_err(|problem| refused("take back the roots that were added")(io::Error::other(problem)))?;
    remove_program(&program_folder()?)
}

fn install_for_user() -> Result<(), SetupError> {
    let folder = user_folder()?;
    fs::create_dir_all(&folder).map_err(failing("make the folder", &folder))?;
    let program = place_program(&folder).inspect_err(|_| {
        // The older one was ended for this: it goes on.
        let _ = start_detached(&folder.join(PROGRAM));
    })?;
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

/// Copies this program to where it stays. Whoever runs an older one from there has ended then.
fn place_program(folder: &Path) -> Result<PathBuf, SetupError> {
    let program = folder.join(PROGRAM);
    let this = std::env::current_exe().map_err(refused("find this program"))?;
    processes::end_all(&program).map_err(refused("end the agent that runs"))?;
    if !file::is_same(&this, &program) {
        replace(&this, &program)?;
    }
    Ok(program)
}

/// Replaces a program by a copy of another one. Should that fail, the older one is where it was.
fn replace(other: &Path, program: &Path) -> Result<(), DiskError> {
    // What was moved aside when the agent was replaced before; as long as it runs it stays.
    let _ = fs::remove_file(aside(program));
    let fresh = disk::hidden(program);
    let copied = fs::copy(other, &fresh).map_err(failing("write", &fresh));
    let replaced = copied.and_then(|_| exchange(&fresh, program).map_err(failing("replace", program)));
    if replaced.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    replaced
}

/// A program that runs cannot be replaced, but moved.
fn exchange(fresh: &Path, program: &Path) -> io::Result<()> {
    let Err(problem) = fs::rename(fresh, program) else { return Ok(()) };
    let aside = aside(program);
    fs::rename(program, &aside).map_err(|_| problem)?;
    if let Err(problem) = fs::rename(fresh, program) {
        fs::rename(&aside, program)?;
        return Err(problem);
    }
    // As long as it runs it stays; whoever installs or removes the agent the next time removes it.
    let _ = fs::remove_file(aside);
    Ok(())
}

/// Where a program is that was replaced while it ran.
fn aside(program: &Path) -> PathBuf {
    program.with_extension("old.exe")
}

/// Removes the program and its folder, by name: what others have put there stays, and is named by the folder that stays. Whoever runs it
/// has ended then, but for this very process.
fn remove_program(folder: &Path) -> Result<Left, SetupError> {
    let program = folder.join(PROGRAM);
    for running in [&program, &aside(&program)] {
        processes::end_all(running).map_err(refused("end the agent that runs"))?;
    }
    disk::remove(&disk::hidden(&program))?;
    disk::remove(&aside(&program))?;
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
    problem.kind() == io::ErrorKind::PermissionDenied && std::env::current_exe().is_ok_and(|this| file::is_same(&this, program))
}

#[cfg(test)]
mod tests {
    use std::process::Child;
    use std::time::Duration;

    use super::*;

    /// A folder with a program that waits for its end, and a newer one.
    fn programs() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let [program, newer] = [PROGRAM, "newer.exe"].map(|name| folder.path().join(name));
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        fs::write(&newer, "newer").unwrap();
        (folder, program, newer)
    }

    fn started(program: &Path) -> Child {
        let arguments = ["--ignored", "--exact", "setup::windows::tests::waits"];
        Command::new(program).args(arguments).stdout(Stdio::null()).spawn().unwrap()
    }

    fn ended(mut running: Child) {
        running.kill().unwrap();
        running.wait().unwrap();
    }

    #[test]
    #[ignore = "started by the tests around it"]
    fn waits() {
        std::thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn a_program_is_replaced_although_it_runs_and_the_old_one_goes_later() {
        let (folder, program, newer) = programs();
        let mut running = started(&program);
        replace(&newer, &program).unwrap();
        assert!(fs::read(&program).unwrap() == b"newer" && running.try_wait().unwrap().is_none());
        ended(running);
        fs::remove_file(newer).unwrap();
        assert_eq!(remove_program(folder.path()).unwrap(), Left::Nothing);
        assert!(!folder.path().exists());
    }

    #[test]
    fn a_program_that_cannot_be_replaced_is_where_it_was() {
        let (_folder, program, newer) = programs();
        let before = fs::read(&program).unwrap();
        exchange(&program.with_file_name("missing.exe"), &program).unwrap_err();
        assert!(fs::read(&program).unwrap() == before && !aside(&program).exists());
        fs::create_dir(disk::hidden(&program)).unwrap();
        replace(&newer, &program).unwrap_err();
        assert!(fs::read(&program).unwrap() == before);
    }

    #[test]
    fn whoever_runs_a_program_is_ended_and_nobody_else() {
        let ((_folder, program, _), (_other_folder, other, _)) = (programs(), programs());
        let (mut running, mut anothers) = (started(&program), started(&other));
        processes::end_all(&program).unwrap();
        assert!(running.try_wait().unwrap().is_some() && anothers.try_wait().unwrap().is_none());
        ended(anothers);
    }
}
