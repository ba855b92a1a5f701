//! `tegata webhook`: what a program needs that is told of things.

use clap::{Args, Subcommand};
use tegata_api::v1::notice::{SecretAnswer, SecretRequest};
use tegata_core::name::ClinicName;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

/// Set up programs that are told what is about to expire
#[derive(Args)]
pub struct Webhook {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Show the key that requests to a webhook are signed with. Each key is shown once
    #[command(after_help = "Example:\n  $ tegata webhook secret sakura-naika https://hooks.example.jp/tegata")]
    Secret {
        /// The clinic whose document names the webhook
        clinic: ClinicName,
        /// Its address, as it stands in the document
        url: String,
        /// Make a new key; requests are signed with it from now on, and never again with the one before
        #[arg(long)]
        rotate: bool,
    },
}

impl Webhook {
    /// Shows it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let What::Secret { clinic, url, rotate } = self.what;
        let session = Session::open(global)?;
        let answer: SecretAnswer = session.post(&format!("webhooks/{clinic}/secret"), &SecretRequest { url, rotate }).await?;
        output::show(global, &answer, |_| format!("{}\n\nKeep it now: it is not shown again.", answer.secret))?;
        Ok(Exit::Fine)
    }
}
