//! `tegata certificate`: what people do with single certificates.

mod import;

use clap::{Args, Subcommand};

use crate::cli::Global;
use crate::failure::{Exit, Failure};

/// Take a vendor's file in
#[derive(Args)]
pub struct Certificate {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Import(import::Import),
}

impl Certificate {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        match self.what {
            What::Import(import) => import.run(global).await,
        }
    }
}
