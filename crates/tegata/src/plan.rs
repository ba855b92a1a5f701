//! `tegata plan`: what applying would do, and whom it would lock out.

use clap::Args;
use tegata_api::v1::fleet::Preview;

use crate::cli::Global;
use crate::documents::{self, Sources};
use crate::failure::{Exit, Failure};
use crate::session::{Session, tenant};
use crate::{output, preview};

/// Show what `apply` would do, and how many devices could no longer sign in; fail if an account may not have what is asked for
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata plan -f examples/aozora-group -n aozora\n  $ tegata plan -f examples/aozora-group -n aozora --prune --exit-code -o json"
)]
pub struct Plan {
    #[command(flatten)]
    sources: Sources,
    /// End with 10 if there are changes, so that scripts need not read the answer
    #[arg(long)]
    exit_code: bool,
}

impl Plan {
    /// Asks for the preview and shows it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let documents = self.sources.read(&tenant(global))?;
        let session = Session::open(global)?;
        let answer: Result<Preview, Failure> = session.post("plan", &documents).await;
        let preview = answer.map_err(|failure| documents::explained(failure, &documents.files))?;
        output::show(global, &preview, |look| preview::planned(&preview, look))?;
        if !preview.over_quota.is_empty() {
            return Err(Failure::OverQuota { short: preview.over_quota, allowed: 0 });
        }
        Ok(if self.exit_code && preview::changes(&preview) { Exit::Changes } else { Exit::Fine })
    }
}
