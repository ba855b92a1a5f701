//! `cargo xtask demo`: builds both binaries, then hands over to `tegata demo`.

use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::{run, workspace};

/// What the demo is told.
#[derive(Args)]
pub struct Options {
    /// Passed on to `tegata demo`, such as `--once`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds and runs it.
pub fn run(options: &Options) -> Result<()> {
    build()?;
    let example = workspace::root().join("examples/aozora-group");
    let mut demo = Command::new(workspace::target_folder()?.join("release").join(format!("tegata{}", std::env::consts::EXE_SUFFIX)));
    demo.arg("demo");
    if !options.arguments.iter().any(|argument| argument.starts_with("--example")) {
        demo.arg("--example").arg(example);
    }
    hand_over(demo.args(&options.arguments))
}

/// Builds the two programs that people run, optimised.
pub fn build() -> Result<()> {
    run::check(run::cargo(&["build", "--release", "--package", "tegata", "--package", "tegata-agent"]).current_dir(workspace::root()))
}

/// Becomes the program, so that its exit code and Ctrl-C are its own.
#[cfg(unix)]
fn hand_over(command: &mut Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn hand_over(command: &mut Command) -> Result<()> {
    run::check(command)
}
