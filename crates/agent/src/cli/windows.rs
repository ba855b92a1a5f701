//! What the command line asks of Windows: whose files these are, and when to stop.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};

/// The variable that names the user's home.
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

/// Files that belong to another user than the browser's would be of no use to the browser.
pub(super) fn check_owner(_home: &Path) -> Result<()> {
    Ok(())
}

/// Waits until somebody asks the process to end.
pub(super) async fn stop_signal() -> Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}
