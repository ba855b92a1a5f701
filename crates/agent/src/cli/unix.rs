//! What the command line asks of Unix: whose files these are, and when to stop.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// The variable that names the user's home.
pub(super) const HOME: &str = "HOME";

/// The agent's usual folder.
pub(super) fn state_folder(named: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if cfg!(target_os = "macos") {
        return Some(named(HOME)?.join("Library/Application Support/Tegata"));
    }
    let states = || named("XDG_STATE_HOME").or_else(|| Some(named(HOME)?.join(".local/state")));
    Some(states()?.join("tegata-agent"))
}

/// Files that belong to another user than the browser's would be of no use to the browser.
pub(super) fn check_owner(home: &Path) -> Result<()> {
    let owner = std::fs::metadata(home).with_context(|| format!("the home folder {} cannot be looked at", home.display()))?.uid();
    let own = rustix::process::geteuid().as_raw();
    if owner != own {
        bail!("{} belongs to another user (number {owner}, this is {own}); run tegata-agent as that user", home.display());
    }
    Ok(())
}

/// Waits until somebody asks the process to end.
pub(super) async fn stop_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
    }
}
