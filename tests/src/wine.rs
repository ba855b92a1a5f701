//! PCs with Windows, on which the real `tegata-agent.exe` runs: Wine prefixes, each for one test.
//!
//! Wine 8 knows no junctions and no `FileDispositionInfoEx`; of an access list it keeps what permission bits can say. Each PC has a stick, E.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::process::{Process, find, run_well};
use crate::world::PATIENCE;

mod agent;
mod store;

pub use agent::Agent;
pub use store::Held;

/// The folder into which cargo builds for Windows.
const TARGET: &str = "x86_64-pc-windows-gnu";
/// The first start of a prefix takes 12 s on an idle machine.
const SETUP_MAX: Duration = Duration::from_secs(300);
/// The folders that Wine makes links into the home of whoever runs the tests. Here they are the pretend user's own.
const FOLDERS: [&str; 7] = ["Desktop", "Documents", "Downloads", "Music", "Pictures", "Videos", "Templates"];
/// Rust's programs want a DLL that Windows has had since version 7, and Wine only since version 10.
const PRNG: &str = "#include <windows.h>
BOOLEAN NTAPI SystemFunction036(PVOID, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T count) { return SystemFunction036(bytes, (ULONG)count); }
";

/// What every PC has to have for itself.
const REGISTRY: [&str; 3] = ["system.reg", "user.reg", "userdef.reg"];
/// The folder that the drive E is.
const STICK: &str = "stick";
const LIBRARIES: &str = "drive_c/windows/system32";
/// Wine keeps no named keys.
const KEY_STORAGE: &str = include_str!("../../crates/agent/tests/keystores/stand-in/ncrypt.c");

/// The agent for Windows.
pub fn agent() -> PathBuf {
    let built = find(TARGET).map(|folder| folder.join("debug/tegata-agent.exe")).filter(|program| program.exists());
    built.expect("there is no agent for Windows: run `cargo xtask cross windows` first")
}

/// A file of this machine as a program on the PC names it.
pub fn path(file: &Path) -> String {
    format!("Z:{}", file.display()).replace('/', "\\")
}

/// One PC. Whatever runs on it ends when it is dropped.
pub struct Pc {
    prefix: TempDir,
    _temporary: TempDir,
}

impl Pc {
    /// A fresh one: a copy of the prefix that is made once, by hard links but for the registry, which Wine writes in place. Takes a moment.
    pub fn new() -> Result<Self> {
        let template = template()?;
        let pcs = template.with_file_name("pcs");
        fs::create_dir_all(&pcs)?;
        let prefix = tempfile::tempdir_in(pcs)?;
        run_well(Path::new("cp"), [OsStr::new("-alT"), template.as_os_str(), prefix.path().as_os_str()])?;
        for name in REGISTRY {
            fs::remove_file(prefix.path().join(name))?;
            fs::copy(template.join(name), prefix.path().join(name))?;
        }
        let temporary = temporary(&prefix.path().join("drive_c/users").join(user()).join("Temp"))?;
        Ok(Self { prefix, _temporary: temporary })
    }

    /// Its drive C.
    pub fn drive(&self) -> PathBuf {
        self.prefix.path().join("drive_c")
    }

    /// Its stick, drive E, which Windows calls removable.
    pub fn stick(&self) -> PathBuf {
        self.prefix.path().join(STICK)
    }

    /// The folder of its only user, `%USERPROFILE%`.
    pub fn home(&self) -> PathBuf {
        self.drive().join("users").join(user())
    }

    /// A program, to be started on it. Its output has to go into a file: services that it is the first to start would keep a pipe open.
    pub fn command(&self, program: &Path) -> Command {
        command(self.prefix.path(), program)
    }

    /// Starts a program, its output appended to `log`.
    pub fn start<A: AsRef<OsStr>>(&self, program: &Path, arguments: impl IntoIterator<Item = A>, log: &Path) -> Result<Process> {
        Process::spawn(self.command(program).args(arguments), log)
    }

    /// Runs a program to its end and gives what it printed, whatever its exit code.
    pub fn run<A: AsRef<OsStr>>(&self, program: &Path, arguments: impl IntoIterator<Item = A>) -> Result<Output> {
        output(self.command(program).args(arguments), PATIENCE)
    }

    /// Runs Wine's `reg` and gives what it printed; nothing if what was asked about is not there.
    pub fn registry(&self, arguments: &[&str]) -> Result<String> {
        let said = self.run(Path::new("reg"), arguments)?;
        ensure!(said.status.success() || arguments.first() == Some(&"query"), "reg {arguments:?}: {said:?}");
        Ok(String::from_utf8_lossy(&said.stdout).into_owned())
    }

    /// The texts of a registry key, by name; none if it is not there.
    pub fn texts(&self, key: &str) -> Result<BTreeMap<String, String>> {
        let told = self.registry(&["query", key])?;
        let values = told.lines().filter_map(|line| line.trim().split_once("REG_SZ"));
        Ok(values.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect())
    }
}

impl Drop for Pc {
    fn drop(&mut self) {
        // Fails only if nothing runs any more.
        let _ = Command::new("wineserver").arg("-k").env("WINEPREFIX", self.prefix.path()).stderr(Stdio::null()).status();
    }
}

/// Runs a program for Windows as if it were one of this machine: how cargo runs unit tests.
pub fn run_tests<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Result<ExitStatus> {
    let pc = Pc::new()?;
    let mut command = pc.command(program);
    let mut printed = tempfile::tempfile()?;
    let status = command.args(arguments).stdin(Stdio::null()).stdout(printed.try_clone()?).stderr(printed.try_clone()?).status()?;
    printed.rewind()?;
    std::io::copy(&mut printed, &mut std::io::stdout())?;
    Ok(status)
}

/// Puts the folder for temporary files into memory, where there is such a place: unit tests write through to the disk some thousand times.
fn temporary(folder: &Path) -> Result<TempDir> {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory)? } else { tempfile::tempdir()? };
    fs::remove_dir(folder)?;
    symlink(made.path(), folder)?;
    Ok(made)
}

fn command(prefix: &Path, program: &Path) -> Command {
    let mut command = Command::new("wine");
    command.arg(program).env("WINEPREFIX", prefix).env("WINEARCH", "win64").env("WINEDEBUG", "-all").env("DISPLAY", "");
    command.env("WINEDLLOVERRIDES", "ncrypt=n");
    command
}

/// Runs a command to its end, its output in files.
fn output(command: &mut Command, patience: Duration) -> Result<Output> {
    let (mut stdout, mut stderr) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut process = Process::of(command.stdin(Stdio::null()).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?))?;
    let status = process.wait(patience)?;
    Ok(Output { status, stdout: contents(&mut stdout)?, stderr: contents(&mut stderr)? })
}

fn contents(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What Wine calls its user: as this machine calls whoever runs it.
fn user() -> String {
    let asked = Command::new("id").arg("-un").output().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    asked.unwrap_or_default()
}

/// The prefix that the others are copies of. Whoever comes first makes it; it stays for later runs.
fn template() -> Result<PathBuf> {
    let built = find(TARGET).with_context(|| format!("no target/{TARGET}: run `cargo xtask cross windows` first"))?;
    let (template, unfinished) = (built.join("wine"), built.join("wine.unfinished"));
    let lock = File::create(built.join("wine.lock"))?;
    lock.lock()?;
    let is_current = template.join(STICK).is_dir() && fs::read_to_string(template.join("ncrypt.c")).is_ok_and(|made| made == KEY_STORAGE);
    if !is_current {
        let _ = fs::remove_dir_all(&template);
        let _ = fs::remove_dir_all(&unfinished);
        fs::create_dir_all(&unfinished)?;
        set_up(&unfinished)?;
        fs::rename(&unfinished, &template)?;
    }
    Ok(template)
}

fn set_up(prefix: &Path) -> Result<()> {
    let booted = output(command(prefix, Path::new("wineboot")).arg("--init"), SETUP_MAX)?;
    ensure!(booted.status.success(), "wineboot: {booted:?}");
    // As winecfg does it: what the drive is called, what kind of drive, and where it lies.
    let kind = ["add", r"HKLM\Software\Wine\Drives", "/v", "e:", "/d", "floppy", "/f"];
    let told = output(command(prefix, Path::new("reg")).args(kind), SETUP_MAX)?;
    ensure!(told.status.success(), "reg: {told:?}");
    run_well_in(prefix, "wineserver", &["--wait"])?;
    fs::create_dir(prefix.join(STICK))?;
    symlink(Path::new("..").join(STICK), prefix.join("dosdevices/e:"))?;
    let home = prefix.join("drive_c/users").join(user());
    for folder in FOLDERS.map(|name| home.join(name)).iter().filter(|folder| folder.is_symlink()) {
        fs::remove_file(folder)?;
        fs::create_dir(folder)?;
    }
    if !prefix.join(LIBRARIES).join("bcryptprimitives.dll").exists() {
        make_library(prefix, "bcryptprimitives", PRNG, "-ladvapi32")?;
    }
    make_library(prefix, "ncrypt", KEY_STORAGE, "-lbcrypt")
}

/// Puts a library of our own where Windows keeps its.
fn make_library(prefix: &Path, name: &str, code: &str, uses: &str) -> Result<()> {
    let (source, made) = (prefix.join(name).with_extension("c"), prefix.join(LIBRARIES).join(name).with_extension("dll"));
    fs::write(&source, code)?;
    let arguments = [OsStr::new("-shared"), source.as_os_str(), OsStr::new("-o"), made.as_os_str(), OsStr::new(uses)];
    run_well(Path::new("x86_64-w64-mingw32-gcc"), arguments).map(drop)
}

fn run_well_in(prefix: &Path, program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program).args(arguments).env("WINEPREFIX", prefix).output()?;
    ensure!(output.status.success(), "{program}: {output:?}");
    Ok(())
}
