//! Clippy, as the compiler of our own crates: what is built is linted on the way.
//!
//! `cargo clippy` checks without building, so that everything that we depend on is gone through twice: once for it, once for the build.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What stands between two of clippy's arguments in `CLIPPY_ARGS`, as its own `cargo clippy` writes it.
const BETWEEN: &str = "__CLIPPY_HACKERY__";

/// Lets clippy compile what `command`, a cargo, would have compiled by rustc; every warning is an error.
pub fn on_the_way(mut command: Command) -> Command {
    let arguments: String = ["--deny", "warnings"].map(|argument| format!("{argument}{BETWEEN}")).concat();
    command.env("RUSTC_WORKSPACE_WRAPPER", driver()).env("CLIPPY_ARGS", arguments);
    command
}

/// Clippy's compiler of the toolchain whose cargo runs us; by its name alone, if it lies elsewhere.
fn driver() -> PathBuf {
    let name = format!("clippy-driver{}", std::env::consts::EXE_SUFFIX);
    let beside = std::env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name(&name));
    beside.filter(|driver| driver.is_file()).unwrap_or_else(|| name.into())
}
