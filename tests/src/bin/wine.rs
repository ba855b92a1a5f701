//! Runs a program for Windows under Wine: what cargo is told to run tests of that target with (`CARGO_TARGET_…_RUNNER`).

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};

fn main() -> Result<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let program = arguments.next().map(PathBuf::from).context("which program?")?;
    let status = tegata_tests::wine::run_tests(&program, arguments)?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
