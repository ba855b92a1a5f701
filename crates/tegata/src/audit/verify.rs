//! `tegata audit verify`: whether a log is what was signed, now and before.

use std::path::PathBuf;

use clap::Args;
use tegata_tlog::note::VerifierKey;
use tegata_tlog::verify;

use super::memory::Memory;
use super::report;
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
        let period = source.period(now.size)?;
        let (first, count, is_whole) = (period.first, period.count, period.count == now.size);
        let mut stretch = period.against(now.clone(), before.clone().into_iter().collect())?;
        source.entries(now.size, |entry| Ok(stretch.push(entry)?)).await?;
        stretch.finish()?;
        let derived = match &source {
            Source::Folder(folder) if report::check(folder)? => "\nThe table and the reports are what these records come to.",
            Source::Folder(_) => "\nThe table and the reports were made by another version, and not compared.",
            Source::Server(_) => "",
        };
        let since = match before {
            _ if !is_whole => {
                format!("They are numbers {} to {} of {}. Of a part nothing is remembered.", first + 1, first + count, now.size)
            }
            Some(before) => format!("The first {} are those that were seen last time.", before.size),
            None => "This log was not seen here before: from now on it is remembered.".to_owned(),
        };
        if is_whole {
            memory.keep(&key, &note)?;
        }
        let holds = format!("{}\n{count} records, none changed, left out, put in or moved.", now.origin);
        output::confirm(global, &format!("{holds}\n{since}{derived}"))?;
        Ok(Exit::Fine)
    }
}
