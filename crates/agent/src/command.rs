//! Runs another program: absolute path, exact arguments, no shell, no inherited surroundings, and never longer than it may take.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// How long a program may take. NSS tools take a tenth of a second; a database that another program holds makes them wait.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much of a program's complaint is passed on, in characters.
const COMPLAINT_MAX: usize = 300;

/// Why a program did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It could not be started.
    #[error("{program} cannot be started")]
    Start {
        /// Which program.
        program: String,
        /// What happened.
        #[source]
        source: std::io::Error,
    },
    /// It took too long and was ended.
    #[error("{program} did not finish within {} seconds", PATIENCE.as_secs())]
    TooLong {
        /// Which program.
        program: String,
    },
    /// It said that it failed.
    #[error("{program} failed: {complaint}")]
    Failed {
        /// Which program.
        program: String,
        /// What it said.
        complaint: String,
    },
}

/// What a program has written that did not fail.
pub struct Told {
    /// To its standard output.
    pub output: Vec<u8>,
    /// To its standard error: some complain there and do not fail.
    pub complaint: String,
}

/// Runs `program` and gives what it wrote to its standard output. `input` is what it can read.
pub async fn run<A: AsRef<OsStr>>(program: &Path, arguments: &[A], input: &[u8]) -> Result<Vec<u8>, CommandError> {
    Ok(run_in(program, arguments, input, &[]).await?.output)
}

/// As [`run`], with these variables in its surroundings.
pub async fn run_in<A: AsRef<OsStr>>(
    program: &Path,
    arguments: &[A],
    input: &[u8],
    surroundings: &[(&str, &OsStr)],
) -> Result<Told, CommandError> {
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let started = |source| CommandError::Start { program: name.clone(), source };
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("LC_ALL", "C.UTF-8")
        .envs(surroundings.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(started)?;
    let mut stdin = child.stdin.take();
    let finished = async {
        if let Some(stdin) = &mut stdin {
            // A program that does not want its input says so by its exit status.
            let _ = stdin.write_all(input).await;
        }
        drop(stdin);
        child.wait_with_output().await
    };
    let output =
        tokio::time::timeout(PATIENCE, finished).await.map_err(|_| CommandError::TooLong { program: name.clone() })?.map_err(started)?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(Told { output: output.stdout, complaint });
    }
    let complaint: String = complaint.split_whitespace().collect::<Vec<_>>().join(" ");
    let complaint = if complaint.is_empty() { output.status.to_string() } else { complaint.chars().take(COMPLAINT_MAX).collect() };
    Err(CommandError::Failed { program: name, complaint })
}

/// The same for those who do not wait for anything else: a thread of its own waits.
#[cfg(any(target_os = "macos", test))]
pub fn run_now<A: AsRef<OsStr> + Sync>(program: &Path, arguments: &[A], input: &[u8]) -> Result<Vec<u8>, CommandError> {
    let started = |source| CommandError::Start { program: program.display().to_string(), source };
    std::thread::scope(|scope| {
        // The runtime ends where it began: one that is dropped within another one panics.
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(started)?;
            runtime.block_on(run(program, arguments, input))
        });
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Finds a program in the folders of `PATH`; only absolute ones are looked into.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/bin", "/usr/local/bin"].into_iter().map(PathBuf::from);
    let mut candidates = std::env::split_paths(&path).chain(usual).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
    candidates.find(|candidate| candidate.is_file())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_gets_its_arguments_and_its_input_as_they_are() {
        let said = run(&find("cat").unwrap(), &["-", "/dev/null"], "受付 $(x) `y`".as_bytes()).await.unwrap();
        assert_eq!(String::from_utf8(said).unwrap(), "受付 $(x) `y`");
    }

    #[tokio::test]
    async fn a_program_is_waited_for_where_something_else_goes_on_already() {
        assert_eq!(run_now(&find("cat").unwrap(), &["-"], b"now").unwrap(), b"now");
        run_now(&find("cat").unwrap(), &["/nonexistent"], b"").unwrap_err();
    }

    #[tokio::test]
    async fn a_failing_program_is_quoted() {
        let failure = run(&find("cat").unwrap(), &["/nonexistent"], b"").await.unwrap_err();
        assert!(failure.to_string().starts_with("cat failed: "), "{failure}");
        assert!(failure.to_string().contains("/nonexistent"), "{failure}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_that_hangs_is_ended() {
        let failure = run(&find("sleep").unwrap(), &["1000"], b"").await.unwrap_err();
        assert_eq!(failure.to_string(), "sleep did not finish within 30 seconds");
    }

    #[test]
    fn only_absolute_programs_are_found() {
        assert!(find("cat").is_some_and(|path| path.is_absolute()));
        assert!(find("no-such-program-anywhere").is_none());
    }
}
