//! `cargo xtask package`: the agent as what a PC installs. Windows needs none: its program installs itself.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{run, workspace};

mod deb;
mod macos;

/// What is packed.
#[derive(Args)]
pub struct Options {
    /// For which system.
    system: System,
    /// The agent, if it was built before.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Where the package goes; left out: target/package.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum System {
    /// Debian and Ubuntu.
    Deb,
    /// A folder with what an administrator of Macs needs.
    Macos,
}

/// The version of everything here.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds the agent if it was not named, and packs it.
pub fn run(options: &Options) -> Result<()> {
    let out = match &options.out {
        Some(out) => out.clone(),
        None => workspace::target_folder()?.join("package"),
    };
    let program = match &options.program {
        Some(program) => program.clone(),
        None => build()?,
    };
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let package = match options.system {
        System::Deb => deb::pack(&program, &out)?,
        System::Macos => macos::pack(&program, &out)?,
    };
    println!("{}", package.display());
    Ok(())
}

fn build() -> Result<PathBuf> {
    run::check(run::cargo(&["build", "--release", "--package", "tegata-agent"]).current_dir(workspace::root()))?;
    Ok(workspace::target_folder()?.join("release/tegata-agent"))
}

/// What lies beside the agent's sources for packages.
fn material(name: &str) -> PathBuf {
    workspace::root().join("crates/agent/packages").join(name)
}

/// Puts a file into a package, with the permissions that it has to have there.
fn place(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    place_bytes(&bytes, to, mode)
}

fn place_bytes(bytes: &[u8], to: &Path, mode: u32) -> Result<()> {
    let put = || -> std::io::Result<()> {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(to, bytes)?;
        set_mode(to, mode)
    };
    put().with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_path: &Path, _mode: u32) -> std::io::Result<()> {
    Err(std::io::Error::other("packages for Unix are made on Unix"))
}
