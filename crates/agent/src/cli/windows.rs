//! What the command line asks of Windows: whose files these are, and when to stop.

use std::path::Path;

use anyhow::Result;

/// Files that belong to another user than the browser's would be of no use to the browser.
pub(super) fn check_owner(_home: &Path) -> Result<()> {
    Ok(())
}

/// Waits until somebody asks the process to end.
pub(super) async fn stop_signal() -> Result<()> {
    Ok(tokio::signal::ctrl_c().await?)
}
