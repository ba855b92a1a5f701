//! `tegata-agent install` and `uninstall` on the command line.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::print;
use crate::setup::{self, Left, Scope, SetupError};
use crate::words::{self, Phrase, SetupPhrase, say};

/// For whom.
#[derive(Args)]
pub(super) struct SetupArguments {
    /// For you alone, without an administrator: it starts when you log on. (macOS: always so.)
    #[arg(long)]
    user: bool,
}

impl SetupArguments {
    fn scope(&self) -> Scope {
        if self.user || cfg!(target_os = "macos") { Scope::User } else { Scope::Pc }
    }
}

pub(super) fn install(arguments: &SetupArguments) -> Result<ExitCode> {
    let scope = arguments.scope();
    Ok(match setup::install(scope) {
        Ok(()) => {
            let installed = if scope == Scope::Pc { SetupPhrase::InstalledForPc } else { SetupPhrase::InstalledForUser };
            tell(&[installed, SetupPhrase::EnrolNext])
        }
        Err(problem) => complain(SetupPhrase::NotInstalled(crate::told(&problem)), &problem),
    })
}

pub(super) fn uninstall(arguments: &SetupArguments) -> Result<ExitCode> {
    Ok(match setup::uninstall(arguments.scope()) {
        Ok(Left::Nothing) => tell(&[SetupPhrase::Removed]),
        Ok(Left::ProgramUntilRestart) => tell(&[SetupPhrase::RemovedAtRestart]),
        Err(problem) => complain(SetupPhrase::NotRemoved(crate::told(&problem)), &problem),
    })
}

fn tell(phrases: &[SetupPhrase]) -> ExitCode {
    phrases.iter().for_each(|phrase| print(&format!("{}\n", say(words::language(), &Phrase::Setup(phrase.clone())))));
    ExitCode::SUCCESS
}

fn complain(what: SetupPhrase, problem: &SetupError) -> ExitCode {
    let phrases = match problem {
        SetupError::NotAdministrator(_) => vec![what, SetupPhrase::AskAdministrator],
        SetupError::Package => vec![SetupPhrase::UsePackage],
        _ => vec![what],
    };
    for phrase in phrases {
        eprintln!("{}", say(words::language(), &Phrase::Setup(phrase)));
    }
    ExitCode::FAILURE
}
