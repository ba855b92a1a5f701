//! `tegata audit verify`: whether a log is what was signed, now and before.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jiff::tz::TimeZone;
use tegata_core::time::Timestamp;
use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::note::VerifierKey;
use tegata_tlog::policy::Policy;
use tegata_tlog::verify;

use super::memory::Memory;
use super::source::Source;
use super::{personal, report};
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::moment::wall_clock;
use crate::output;
use crate::session::{Session, default_state};
use crate::witness::policy;

/// Check every record against the signed checkpoint, and against what was seen before
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata audit verify\n  $ tegata audit verify ./2026-11\n  $ tegata audit verify --witnesses witnesses.policy\n\nExit code 12: a record was changed, left out, put in or moved, or the log is not the one that was seen before, or a text\nin personal.jsonl is not the one that its record commits to. One that is missing was erased, and is counted.\nExit code 13: not as many witnesses as the policy asks for vouch for the log, or, of a server, not in the last hour."
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
    /// Believe the log only if a quorum of these witnesses vouches for it: a policy as C2SP tlog-policy writes it
    #[arg(long, value_name = "FILE", value_parser = policy)]
    witnesses: Option<Policy>,
}

/// How old what witnesses say of a server's log may be: they are asked every ten minutes even if nothing happens.
const FRESH: Duration = Duration::from_secs(3_600);

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
        let (cosigned, note) = (source.witnessed().await?, source.checkpoint().await?);
        let now = verify::checkpoint(&note, &key)?;
        let (witnessed, vouched) = witnessed(cosigned.as_deref(), &key, self.witnesses.as_ref(), matches!(source, Source::Server(_)))?;
        if let Some(witnessed) = &witnessed {
            verify::goes_on(witnessed, &now)?;
        }
        if let Some(seen) = &remembered {
            verify::goes_on(&seen.checkpoint, &now)?;
        }
        let before = remembered.map(|seen| seen.checkpoint);
        let period = source.period(now.size)?;
        let (first, count, is_whole) = (period.first, period.count, period.count == now.size);
        if let Some(witnessed) = witnessed.as_ref().filter(|witnessed| self.witnesses.is_some() && !period.is_bound_by(witnessed, &now)) {
            let sentence = format!("witnesses vouch for the first {} records, and not for this part of them", witnessed.size);
            return Err(Failure::Unwitnessed(sentence));
        }
        let mut stretch = period.against(now.clone(), before.clone().into_iter().chain(witnessed).collect())?;
        source.entries(now.size, |entry| Ok(stretch.push(entry)?)).await?;
        stretch.finish()?;
        let texts = match &source {
            Source::Folder(folder) => personal::check(folder)?.told(),
            Source::Server(_) => String::new(),
        };
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
        output::confirm(global, &format!("{holds}\n{since}{texts}{derived}{vouched}"))?;
        Ok(Exit::Fine)
    }
}

/// The checkpoint that witnesses have cosigned, which binds the log even if nobody asked for a quorum; and what to say of it.
fn witnessed(
    note: Option<&str>,
    key: &VerifierKey,
    policy: Option<&Policy>,
    is_live: bool,
) -> Result<(Option<Checkpoint>, String), Failure> {
    let Some(policy) = policy else { return Ok((note.map(|note| verify::checkpoint(note, key)).transpose()?, String::new())) };
    let none = || Failure::Unwitnessed("no checkpoint of this log was cosigned by a quorum of witnesses".into());
    let (checkpoint, seen) = verify::witnessed(note.ok_or_else(none)?, key, policy)?;
    let Some(seen) = seen else { return Ok((Some(checkpoint), "\nThe policy asks for no witness.".into())) };
    let (seen, now) = (Timestamp::from_unix(i64::try_from(seen).unwrap_or(i64::MAX)), output::now());
    let at = wall_clock(seen.unix(), &TimeZone::system());
    if is_live && now.since(seen) > FRESH {
        return Err(Failure::Unwitnessed(format!("a quorum of witnesses vouched for this log on {at}, and not in the last hour")));
    }
    let vouched = format!("\nA quorum of witnesses vouches for the first {}, as of {at}.", checkpoint.size);
    Ok((Some(checkpoint), vouched))
}
