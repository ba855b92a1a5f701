//! `tegata audit verify`: whether a log is what was signed, now and before.

use std::path::PathBuf;

use clap::Args;
use tegata_tlog::note::VerifierKey;
use tegata_tlog::verify::{self, Entries};

use super::memory::Memory;
use super::source::Source;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::{Session, default_state};

/// Check every record against the signed checkpoint, and against what was seen before
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata audit verify\n  $ tegata audit verify ./2026-11\n\nExit code 12: a record was changed, left out, put in or moved, or the log is not the one that was seen before."
)]
pub struct Verify {
    /// The folder of an export, instead of the server. Needs no network
    #[arg(value_name = "FOLDER")]
    export: Option<PathBuf>,
    /// The key that checkpoints must be signed with, as the operator gave it to you. Otherwise the one that was seen first is
    /// remembered
    #[arg(long, value_name = "KEY")]
    key: Option<VerifierKey>,
    /// Where it is remembered what was seen, instead of ~/.local/state/tegata/logs
    #[arg(long, value_name = "FOLDER")]
    memory: Option<PathBuf>,
}

impl Verify {
    /// Verifies, and remembers what holds.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let source = match self.export {
            Some(folder) => Source::Folder(folder),
            None => Source::Server(Session::open(global)?),
        };
        let memory = Memory(self.memory.unwrap_or_else(|| default_state().join("logs")));
        let said = source.key().await?;
        // By the name of the key that is believed: whoever answers must not choose what is remembered.
        let remembered = memory.recall(self.key.as_ref().unwrap_or(&said).name())?;
        let key = self.key.or_else(|| remembered.as_ref().map(|seen| seen.key.clone())).unwrap_or(said);
        let note = source.checkpoint().await?;
        let now = verify::checkpoint(&note, &key)?;
        if let Some(seen) = &remembered {
            verify::goes_on(&seen.checkpoint, &now)?;
        }
        let before = remembered.map(|seen| seen.checkpoint);
        let mut entries = Entries::against(before.clone().into_iter().chain([now.clone()]).collect());
        source.entries(now.size, |entry| Ok(entries.push(entry)?)).await?;
        entries.finish()?;
        memory.keep(&key, &note)?;
        let since = match before {
            Some(before) => format!("The first {} are those that were seen last time.", before.size),
            None => "This log was not seen here before: from now on it is remembered.".to_owned(),
        };
        output::confirm(global, &format!("{}\n{} records, none changed, left out, put in or moved.\n{since}", now.origin, now.size))?;
        Ok(Exit::Fine)
    }
}
