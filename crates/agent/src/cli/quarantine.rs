//! `tegata-agent quarantine` on the command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Place, Telling, print, state_folder};
use crate::identity::IdentityError;
use crate::quarantine::{Kept, Quarantine, RestoreError, Stage};
use crate::settings::Settings;
use crate::state::State;
use crate::words::{self, Language, Phrase, QuarantinePhrase, local_time, say};

/// Files that were moved out of the way.
#[derive(Subcommand)]
pub(super) enum QuarantineCommand {
    /// Lists them: their names here, when they were moved, and where they lay.
    #[command(after_help = "Example:\n  tegata-agent quarantine list\n  tegata-agent quarantine list -o json")]
    List(ListArguments),
    /// Puts one back where it lay, unless there is something of that name. It is not moved again.
    #[command(after_help = "Example:\n  tegata-agent quarantine restore 3f9a01bc")]
    Restore(RestoreArguments),
}

#[derive(Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    telling: Telling,
}

#[derive(Args)]
pub(super) struct RestoreArguments {
    /// What `list` calls it.
    id: String,
    #[command(flatten)]
    place: Place,
}

/// A file, as it is listed.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    path: String,
    sha256: String,
    size: u64,
    moved_at: i64,
}

pub(super) fn run(command: &QuarantineCommand) -> Result<ExitCode> {
    match command {
        QuarantineCommand::List(arguments) => list(arguments),
        QuarantineCommand::Restore(arguments) => restore(arguments),
    }
}

fn list(arguments: &ListArguments) -> Result<ExitCode> {
    let kept = Quarantine::look(&State::at(&state_folder(&arguments.place)?))?;
    let here: Vec<Listed> = kept.into_iter().filter(|kept| kept.stage == Stage::Here).map(listed).collect();
    arguments.telling.print(&here, |here| told(here, words::language(), &TimeZone::system()))?;
    Ok(ExitCode::SUCCESS)
}

fn listed(kept: Kept) -> Listed {
    Listed { id: kept.id, path: kept.path, sha256: kept.file.sha256, size: kept.file.size, moved_at: kept.at }
}

fn told(here: &[Listed], language: Language, zone: &TimeZone) -> String {
    let line = |phrase| say(language, &Phrase::Quarantine(phrase)) + "\n";
    if here.is_empty() {
        return line(QuarantinePhrase::Empty);
    }
    let of = |file: &Listed| line(QuarantinePhrase::Listed(file.id.clone(), local_time(file.moved_at, zone), file.path.clone()));
    line(QuarantinePhrase::List) + &here.iter().map(of).collect::<String>()
}

fn restore(arguments: &RestoreArguments) -> Result<ExitCode> {
    let language = words::language();
    let state = State::at(&state_folder(&arguments.place)?);
    let Some(settings) = Settings::read(&state)? else {
        return Err(IdentityError::NotEnrolled(state.root().display().to_string()).into());
    };
    match Quarantine::open(&state)?.restore(&settings.home, &arguments.id) {
        Ok(kept) => {
            print(&format!("{}\n", say(language, &Phrase::Quarantine(QuarantinePhrase::Restored(kept.path)))));
            Ok(ExitCode::SUCCESS)
        }
        Err(RestoreError::Disk(problem)) => Err(problem.into()),
        Err(problem) => {
            eprintln!("{}", say(language, &Phrase::Quarantine(not_restored(&problem))));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What staff can do something about.
fn not_restored(problem: &RestoreError) -> QuarantinePhrase {
    match problem {
        RestoreError::Unknown(id) => QuarantinePhrase::Unknown(id.clone()),
        RestoreError::Taken(path) => QuarantinePhrase::Taken(path.clone()),
        RestoreError::Place { path, source } => QuarantinePhrase::NotRestored(path.clone(), source.to_string()),
        RestoreError::Disk(problem) => QuarantinePhrase::NotRestored(problem.path.display().to_string(), problem.source.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_listed_in_both_languages_with_the_way_back() {
        let file = Listed { id: "3f9a01bc".into(), path: "~/Downloads/鍵.p12".into(), sha256: "ab".repeat(32), size: 3, moved_at: 0 };
        for (language, way) in [(Language::Japanese, "元に戻す"), (Language::English, "To put one back")] {
            let text = told(std::slice::from_ref(&file), language, &TimeZone::UTC);
            assert!(text.contains("3f9a01bc  1970-01-01") && text.contains("~/Downloads/鍵.p12") && text.contains(way), "{text}");
            assert!(!told(&[], language, &TimeZone::UTC).contains("restore"));
        }
    }
}
