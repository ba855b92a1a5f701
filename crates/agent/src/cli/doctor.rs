//! `tegata-agent doctor` on the command line.

use std::process::ExitCode;

use anyhow::Result;
use jiff::tz::TimeZone;
use tegata_api::v1::diagnosis as wire;
use tegata_core::diagnosis::diagnose;
use tegata_core::time::Timestamp;

use super::{StatusArguments, log, os, runtime, state_folder};
use crate::checkup;
use crate::doctor::{self, Told};
use crate::settings::Settings;
use crate::state::State;
use crate::words::{self, Phrase, say};

/// What follows the options in its help. A test compares it with the causes.
pub(super) const HELP: &str = "\
Exit codes:
   0  everything was checked, and nothing is wrong
   1  this PC is not enrolled, or the agent's files cannot be read
   3  nothing was found, but not everything could be checked
   4  only possible causes were found, with which many such PCs work: read them
 From 10 on, the first cause, if it is certain or likely; quota and extension are never more than possible yet:
  10  clock            the clock of this PC is wrong
  11  revoked          the certificate was revoked
  12  account-deleted  the account that the certificate was issued under was deleted
  13  out-of-date      the certificate is not valid today
  14  missing          the certificate is not on this PC
  15  key-unusable     the key of the certificate cannot be used
  16  chain-missing    the chart asks for another issuer than the certificate shows
  17  wrong-browser    the chart is opened in another browser than Chrome
  18  wrong-address    the address is not the chart's
  19  other-clinic     the certificate of another clinic may be in use
  20  quota            the account has no certificate left to give
  21  extension        an extension of the browser is in the way
  22  intercepted      something on the way, such as security software, opens the connection
  23  old-decision     the browser remembers an earlier choice

Example:
  tegata-agent doctor
  tegata-agent doctor --json";

/// Looks at everything and tells it.
pub(super) fn run(arguments: &StatusArguments) -> Result<ExitCode> {
    log::start("off");
    let language = words::language();
    let state = State::at(&state_folder(&arguments.place)?);
    let Some(settings) = Settings::read(&state)? else {
        eprintln!("{}", say(language, &Phrase::NeverEnrolled));
        return Ok(ExitCode::FAILURE);
    };
    os::check_owner(&settings.home)?;
    let now = Timestamp::from_unix(crate::wall_clock());
    let diagnosis = diagnose(&runtime()?.block_on(doctor::examine(&state, &settings, now))?);
    let told = Told::of(&diagnosis, language, &TimeZone::system());
    arguments.telling.print(&told, Told::tell)?;
    // The agent tells the server. Whoever stands at the PC has read it anyway.
    if let Err(problem) = checkup::keep(&state, &wire::Diagnosis::of(&diagnosis, now.unix())) {
        eprintln!("tegata-agent: {}", crate::told(&problem));
    }
    Ok(ExitCode::from(told.exit_code))
}

#[cfg(test)]
mod tests {
    use tegata_core::diagnosis::Cause;

    use super::*;
    use crate::doctor::exit_code;
    use crate::words::{DoctorPhrase, Language};

    #[test]
    fn every_cause_has_the_exit_code_and_the_words_that_the_help_says() {
        let line = |cause: Cause| {
            let said = say(Language::English, &Phrase::Doctor(DoctorPhrase::Cause(cause)));
            format!("  {:>2}  {:<16} {said}", exit_code(cause), wire::Cause::from(cause).word())
        };
        let of_causes: Vec<&str> = HELP.lines().filter(|line| line.starts_with("  1") || line.starts_with("  2")).collect();
        assert_eq!(of_causes, Cause::ALL.map(line));
    }
}
