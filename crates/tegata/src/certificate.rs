//! `tegata certificate`: what is done to certificates by hand, one or many.

pub mod import;
mod revoke;

use clap::{Args, Subcommand};

use crate::cli::Global;
use crate::failure::{Exit, Failure};

pub use revoke::Reason;

/// Work on certificates, one or many
#[derive(Args)]
pub struct Certificate {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Import(import::Import),
    Revoke(revoke::Revoke),
}

impl Certificate {
    /// Does what was typed.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        match self.what {
            What::Import(verb) => verb.run(global).await,
            What::Revoke(verb) => verb.run(global).await,
        }
    }
}
