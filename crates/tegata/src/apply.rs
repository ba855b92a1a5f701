//! `tegata apply`: makes it so, unless devices could no longer sign in.

use clap::Args;
use tegata_api::v1::fleet::{ApplyRequest, Documents, Preview};

use crate::cli::Global;
use crate::documents::{self, Sources};
use crate::failure::{Exit, Failure};
use crate::session::{Session, tenant};
use crate::{output, preview};

/// Put documents in force: all of them or none, and none if devices could no longer sign in
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata apply -f examples/aozora-group -n aozora\n  $ tegata apply -f examples/aozora-group -n aozora --prune --allow-lockout 2"
)]
pub struct Apply {
    #[command(flatten)]
    sources: Sources,
    /// How many devices may lose the ability to sign in
    #[arg(long, default_value_t = 0, value_name = "N")]
    allow_lockout: u32,
    /// How many slots may find no place under the quota of their account, and wait for one
    #[arg(long, default_value_t = 0, value_name = "N")]
    allow_over_quota: u32,
    /// Only show what would happen, with the exit code of the real thing
    #[arg(long)]
    dry_run: bool,
}

impl Apply {
    /// Applies, and shows what was done.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let documents = self.sources.read(&tenant(global))?;
        let session = Session::open(global)?;
        if self.dry_run {
            return self.pretend(global, &session, &documents).await;
        }
        let request = ApplyRequest { documents, allow_lockout: self.allow_lockout, allow_over_quota: self.allow_over_quota };
        let answer: Result<Preview, Failure> = session.post("apply", &request).await;
        let preview = answer.map_err(|failure| documents::explained(failure, &request.documents.files))?;
        output::show(global, &preview, |look| preview::applied(&preview, look))?;
        Ok(Exit::Fine)
    }

    async fn pretend(&self, global: &Global, session: &Session, documents: &Documents) -> Result<Exit, Failure> {
        let answer: Result<Preview, Failure> = session.post("plan", documents).await;
        let preview = answer.map_err(|failure| documents::explained(failure, &documents.files))?;
        output::show(global, &preview, |look| preview::planned(&preview, look))?;
        if preview.locked_out.len() > self.allow_lockout as usize {
            return Err(Failure::LockOut { devices: preview.locked_out, allowed: self.allow_lockout });
        }
        if preview.over_quota.len() > self.allow_over_quota as usize {
            return Err(Failure::OverQuota { short: preview.over_quota, allowed: self.allow_over_quota });
        }
        Ok(Exit::Fine)
    }
}
