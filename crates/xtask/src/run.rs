//! Runs other programs, and says which one failed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// The cargo that runs us, so that a chosen toolchain stays chosen.
pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments);
    command
}

/// Runs `command` with our own terminal; an error if it fails.
pub fn check(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", written(command)))?;
    succeeded(command, status)
}

/// Runs `command` and gives what it printed; an error with what it complained about if it fails.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", written(command)))?;
    if !output.status.success() {
        bail!("{} failed ({})\n{}", written(command), output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} printed something that is not UTF-8", written(command)))
}

/// Runs `command`, passing on every line that it prints and showing each to `look` as well. Gives its status: a failed
/// run may still have lines worth counting.
pub fn watch(command: &mut Command, mut look: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {}", written(command)))?;
    let pipe = child.stdout.take().context("the program has no output")?;
    let mut terminal = std::io::stdout().lock();
    for line in BufReader::new(pipe).lines() {
        let line = line?;
        writeln!(terminal, "{line}")?;
        look(&line);
    }
    child.wait().with_context(|| format!("lost {}", written(command)))
}

/// An error that names the command, unless it succeeded.
pub fn succeeded(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("{} failed ({status})", written(command));
    }
    Ok(())
}

/// The command as a person would type it.
pub fn written(command: &Command) -> String {
    let name = std::path::Path::new(command.get_program()).file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned();
    std::iter::once(name).chain(command.get_args().map(|argument| argument.to_string_lossy().into_owned())).collect::<Vec<_>>().join(" ")
}
