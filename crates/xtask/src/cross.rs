//! `cargo xtask cross`: builds the agent for a platform that this machine is not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::{run, workspace};

pub mod macos;
pub mod windows;

/// For which platform.
#[derive(Args)]
pub struct Options {
    #[arg(value_enum)]
    platform: Platform,
}

#[derive(Clone, Copy, ValueEnum)]
enum Platform {
    /// `tegata-agent.exe`, linked by mingw.
    Windows,
    /// `tegata-agent` for Macs with Apple silicon, linked by zig.
    Macos,
}

/// Builds the agent, and says where it lies.
pub fn run(options: &Options) -> Result<()> {
    let built = match options.platform {
        Platform::Windows => windows::build()?,
        Platform::Macos => macos::build()?,
    };
    println!("{}", built.display());
    Ok(())
}

/// Where the tools of cross builds lie. What is built lies where cargo puts it: what runs on this machine is then built once for all targets.
pub fn folder() -> Result<PathBuf> {
    Ok(workspace::target_folder()?.join("cross"))
}

/// Cargo, building for `target` with the standard library that there is for it: rustup's, or else Debian's from its source.
pub fn cargo(target: &str, arguments: &[&str]) -> Result<Command> {
    let mut command = run::cargo(arguments);
    if !has_std(target)? && !succeeds(Command::new("rustup").args(["target", "add", target])) {
        command = debians_cargo(target, arguments)?;
    }
    command.args(["--target", target]).current_dir(workspace::root());
    Ok(command)
}

/// True if the compiler in use brings a standard library for `target`.
fn has_std(target: &str) -> Result<bool> {
    let mut rustc = Command::new("rustc");
    let folder = run::output(rustc.args(["--print", "target-libdir", "--target", target]).current_dir(workspace::root()))?;
    Ok(Path::new(folder.trim_end()).exists())
}

/// Debian's own compiler, told that it may build its standard library (packages rustc-web, cargo-web and rust-web-src).
fn debians_cargo(target: &str, arguments: &[&str]) -> Result<Command> {
    if !Path::new("/usr/lib/rustlib/src").exists() || !Path::new("/usr/bin/cargo").exists() {
        bail!(
            "there is no standard library for {target}: `rustup target add {target}` failed\n\
             On Debian, one is built from source: sudo apt-get install rustc-web cargo-web rust-web-src"
        );
    }
    let mut command = Command::new("/usr/bin/cargo");
    let tools = [("RUSTC", "/usr/bin/rustc"), ("RUSTDOC", "/usr/bin/rustdoc"), ("RUSTC_BOOTSTRAP", "1")];
    command.args(arguments).arg("-Zbuild-std=std,panic_unwind").envs(tools);
    Ok(command)
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).status().is_ok_and(|status| status.success())
}
