//! Child processes that never outlive their test, and ports that are free.

use std::ffi::OsStr;
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// A running program; killed when dropped.
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `program`, its output appended to `log`.
    pub fn start<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>, log: &Path) -> Result<Self> {
        Self::spawn(Command::new(program).args(arguments), log)
    }

    /// Starts `command`, its output appended to `log`.
    pub fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        Self::of(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))
    }

    /// Starts `command` as it is.
    pub fn of(command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| format!("cannot start {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// Waits until it has ended by itself.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        wait_for(patience, "the process to end", || Ok(self.child.try_wait()?))
    }

    /// Ends it at once, as a power cut would (SIGKILL).
    pub fn kill(&mut self) {
        // Both fail only if it has ended already, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop (SIGTERM) and gives its exit code.
    pub fn stop(&mut self, patience: Duration) -> Result<i32> {
        let pid = self.child.id().to_string();
        ensure!(Command::new("kill").args(["-TERM", &pid]).status()?.success(), "cannot signal process {pid}");
        self.wait(patience)?.code().context("the process was killed by a signal")
    }

    /// True while it runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its process number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Where a binary of this workspace was built: beside the test's own.
pub fn binary(name: &str) -> PathBuf {
    let found = find(name).filter(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not built: run `cargo xtask test`, or `cargo build --workspace` first"))
}

/// What of this name lies beside the test's own program, or above it.
pub fn find(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().expect("a running program has a path");
    own.ancestors().skip(1).map(|folder| folder.join(name)).find(|path| path.exists())
}

/// Runs a program to its end and gives what it printed, whatever its exit code.
pub fn run<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Result<Output> {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", program.display()))
}

/// Runs a program to its end and gives its standard output; an error holds everything it said.
pub fn run_well<A: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = A>) -> Result<String> {
    let output = run(program, arguments)?;
    if !output.status.success() {
        bail!(
            "{} ended with {}:\n{}{}",
            program.display(),
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// A TCP port that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// So many TCP ports that nobody listens on, all different.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let listeners = (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<Result<Vec<_>, _>>()?;
    listeners.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Asks again and again until there is an answer; `what` says what was waited for in vain.
pub fn wait_for<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        ensure!(start.elapsed() < patience, "waited {} s in vain for {what}", patience.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}
