//! The agent for Windows: built by mingw, tried under Wine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{cargo, folder};
use crate::{run, workspace};

const TARGET: &str = "x86_64-pc-windows-gnu";
const PACKAGE: [&str; 2] = ["--package", "tegata-agent"];

/// Builds `tegata-agent.exe`.
pub fn build() -> Result<PathBuf> {
    run::check(cargo(TARGET, &["build", "--quiet"])?.args(PACKAGE))?;
    Ok(folder()?.join(TARGET).join("debug/tegata-agent.exe"))
}

/// Builds it with its tests: both at once, or what they depend on would be compiled twice, with and without features for tests.
pub fn build_for_tests() -> Result<()> {
    run::check(cargo(TARGET, &["test", "--no-run", "--quiet"])?.args(PACKAGE))
}

/// The agent's tests as cargo runs them under Wine, by the program `wine` of the package `tegata-tests`.
pub fn tests() -> Result<Command> {
    let mut command = cargo(TARGET, &["test", "--no-fail-fast", "--quiet"])?;
    let runner = workspace::target_folder()?.join("debug/wine");
    command.args(PACKAGE).env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER", runner);
    Ok(command)
}
