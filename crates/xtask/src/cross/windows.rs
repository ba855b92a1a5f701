//! The agent for Windows: built by mingw, tried under Wine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::cargo;
use crate::{run, workspace};

const TARGET: &str = "x86_64-pc-windows-gnu";
const PACKAGE: [&str; 2] = ["--package", "tegata-agent"];

/// Builds `tegata-agent.exe`.
pub fn build() -> Result<PathBuf> {
    run::check(cargo(TARGET, &["build", "--quiet"])?.args(PACKAGE))?;
    Ok(workspace::target_folder()?.join(TARGET).join("debug/tegata-agent.exe"))
}

/// The agent's tests as cargo runs them under Wine, by the program `wine` of the package `tegata-tests`.
pub fn tests() -> Result<Command> {
    let mut command = cargo(TARGET, &["test", "--no-fail-fast", "--quiet"])?;
    let runner = workspace::target_folder()?.join("debug/wine");
    command.args(PACKAGE).env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", runner);
    Ok(command)
}
