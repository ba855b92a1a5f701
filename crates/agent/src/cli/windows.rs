//! What the command line asks of Windows: whose files these are, where they lie, and when to stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

use crate::disk;
use crate::windows::system::{self, Folder};

/// The variable that says where the user's home is.
pub(super) const HOME: &str = "USERPROFILE";

/// The agent's usual folder. Not one that roams: keys belong to a PC.
pub(super) fn state_folder(named: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    Some(named("LOCALAPPDATA")?.join("Tegata"))
}

/// Becomes the service.
pub(super) fn run_service() -> Result<ExitCode> {
    crate::service::run().context("this is started by Windows, as a service; to install it: tegata-agent install")?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the agent without a window.
pub(super) fn start_at_logon() -> Result<ExitCode> {
    crate::setup::start_detached(&std::env::current_exe()?).context("cannot start the agent")?;
    Ok(ExitCode::SUCCESS)
}

/// Files that belong to another user than the browser's would be of no use to the browser. A user's profile belongs to Windows itself.
pub(super) fn check_owner(home: &Path) -> Result<()> {
    let looked = || format!("the home folder {} cannot be looked at", home.display());
    let there = home.canonicalize().with_context(looked)?;
    let is_profile = system::folder(Folder::Profile).and_then(|profile| profile.canonicalize().ok()) == Some(there);
    if !is_profile && !disk::is_own(home).with_context(looked)? {
        bail!("{} belongs to another user; run tegata-agent as that user", home.display());
    }
    Ok(())
}

/// Waits until somebody asks the process to end.
pub(super) async fn stop_signal() -> Result<()> {
    let (mut c, mut breaking, mut close, mut shutdown) = (ctrl_c()?, ctrl_break()?, ctrl_close()?, ctrl_shutdown()?);
    tokio::select! {
        _ = c.recv() => {}
        _ = breaking.recv() => {}
        _ = close.recv() => {}
        _ = shutdown.recv() => {}
    }
    Ok(())
}
