//! `tegata audit key`: what a log's checkpoints are checked with.

use clap::Args;

use super::source::Source;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Print the key that the log's checkpoints are signed with, to be published where auditors find it
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata audit key")]
pub struct Key {}

impl Key {
    /// Prints it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let key = Source::Server(Session::open(global)?).key().await?.to_string();
        output::show(global, &key, |_| key.clone())?;
        Ok(Exit::Fine)
    }
}
