//! The workspace as cargo and git see it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::run;

/// The folder that holds the workspace's `Cargo.toml`.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("crates/xtask lies two folders below the root")
}

/// What `cargo metadata` says, the resolved graph included.
pub fn metadata() -> Result<Value> {
    let text = run::output(run::cargo(&["metadata", "--format-version", "1"]).current_dir(root()))?;
    serde_json::from_str(&text).context("cargo metadata printed something that is not JSON")
}

/// What is really built, on any platform: the metadata's graph also holds what optional features could bring in.
pub fn graph() -> Result<String> {
    run::output(run::cargo(&["tree", "--workspace", "--target", "all", "--prefix", "depth"]).current_dir(root()))
}

/// Where cargo puts what it builds.
pub fn target_folder() -> Result<PathBuf> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str().context("cargo metadata names no target_directory")?;
    Ok(PathBuf::from(folder))
}

/// Every file that belongs to the repository or is about to, by its path from the root.
pub fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let mut files: Vec<String> = run::output(&mut git)?.split_terminator('\0').map(str::to_owned).collect();
    files.retain(|file| root().join(file).is_file());
    files.sort();
    files.dedup();
    Ok(files)
}
