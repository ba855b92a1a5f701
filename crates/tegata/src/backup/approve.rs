//! `tegata backup approve`: agrees to a read that somebody else has asked for.

use clap::Args;
use tegata_api::v1::backup::{ApproveRequest, Approved};

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Agree that somebody else reads a backup, where policy wants two people for that
///
/// Whoever asked was told the request's name, and may then read once, within the hour. Asking, agreeing and reading are on record.
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata backup approve K5QXG2LD")]
pub struct Approve {
    /// The request, as whoever asked was told
    id: String,
}

impl Approve {
    /// Agrees.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let approved: Approved = Session::open(global)?.post("backup-approvals", &ApproveRequest { id: self.id }).await?;
        output::show(global, &approved, |_| format!("Whoever asked may read a backup of {} once now, within the hour.", approved.slot))?;
        Ok(Exit::Fine)
    }
}
