//! macOS: a LaunchAgent of the user.

use std::path::{Path, PathBuf};

use super::launchd::{self, Places};
use super::{Left, Scope, SetupError, refused};
use crate::command::{self, CommandError};

/// Installs it for the user who asks.
pub fn install(_scope: Scope) -> Result<(), SetupError> {
    let this = std::env::current_exe().and_then(|this| this.canonicalize()).map_err(refused("find this program"))?;
    launchd::install(&this, &places()?, &mut launchctl)
}

/// Removes it for the user who asks.
pub fn uninstall(_scope: Scope) -> Result<Left, SetupError> {
    launchd::uninstall(&places()?, &mut launchctl)
}

fn places() -> Result<Places, SetupError> {
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
    let home = home.ok_or(std::io::Error::from(std::io::ErrorKind::NotFound)).map_err(refused("find the home folder"))?;
    Ok(Places::of(&home, rustix::process::getuid().as_raw()))
}

fn launchctl(arguments: &[&str]) -> Result<(), CommandError> {
    let started = |source| CommandError::Start { program: "launchctl".into(), source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(started)?;
    runtime.block_on(command::run(Path::new("/bin/launchctl"), arguments, b"")).map(drop)
}
