//! What the doctor found last, whoever had it look; and when the agent has it look by itself, so that who is called for help can see the
//! cause without walking to the PC.

use std::collections::BTreeSet;

use tegata_api::v1::diagnosis::Diagnosis;
use tegata_core::install::Stage;
use tegata_core::name::SlotId;

use crate::disk::{self, DiskError};
use crate::journal::{Entry, Journal};
use crate::state::State;

/// How long a diagnosis stands when a certificate has come into trouble, or out of it, in seconds.
const SOON: i64 = 5 * 60;
/// How long it stands while a chart does not open, or may not.
const HOUR: i64 = 3_600;
/// How long it stands otherwise.
const DAY: i64 = 24 * HOUR;

/// Keeps the last diagnosis.
pub(crate) struct Checkup {
    state: State,
    last: Option<Diagnosis>,
    /// What was kept when it was looked at last: differs from `last` where it cannot be kept.
    seen: Option<Diagnosis>,
    /// Which slots were in trouble when the agent had the doctor look.
    in_trouble: BTreeSet<SlotId>,
}

impl Checkup {
    /// Begins with what is kept. What cannot be read is made anew.
    pub(crate) fn open(state: &State) -> Self {
        let kept: Option<Diagnosis> = disk::read_json(&state.diagnosis()).unwrap_or_default();
        Self { last: kept.clone(), seen: kept, in_trouble: BTreeSet::new(), state: state.clone() }
    }

    /// The last diagnosis.
    pub(crate) fn last(&self) -> Option<&Diagnosis> {
        self.last.as_ref()
    }

    /// True if somebody at the PC had the doctor look since. What cannot be read is no news.
    pub(crate) fn has_news(&self) -> bool {
        disk::read_json(&self.state.diagnosis()).is_ok_and(|kept| kept.is_some() && kept != self.seen)
    }

    /// Takes over what somebody at the PC had the doctor look at.
    pub(crate) fn refresh(&mut self) {
        if self.has_news()
            && let Ok(kept) = disk::read_json(&self.state.diagnosis())
        {
            (self.last, self.seen) = (Option::clone(&kept), kept);
        }
    }

    /// True if the doctor should look again.
    pub(crate) fn is_due(&self, in_trouble: &BTreeSet<SlotId>, now: i64) -> bool {
        let Some(last) = &self.last else { return true };
        let stands = match (*in_trouble != self.in_trouble, !in_trouble.is_empty() || last.explains()) {
            (true, _) => SOON,
            (false, true) => HOUR,
            (false, false) => DAY,
        };
        // One of the future was made by a clock that has been set back since.
        !(0..stands).contains(&now.saturating_sub(last.at))
    }

    /// Keeps what the agent had the doctor look at.
    pub(crate) fn made(&mut self, diagnosis: Diagnosis, in_trouble: BTreeSet<SlotId>) -> Result<(), DiskError> {
        let kept = keep(&self.state, &diagnosis);
        if kept.is_ok() {
            self.seen = Some(diagnosis.clone());
        }
        (self.last, self.in_trouble) = (Some(diagnosis), in_trouble);
        kept
    }
}

/// Keeps a diagnosis where the agent finds it.
pub(crate) fn keep(state: &State, diagnosis: &Diagnosis) -> Result<(), DiskError> {
    disk::write_json(&state.diagnosis(), diagnosis)
}

/// The slots whose certificate is installed, and was not proven or is not where it belongs.
pub(crate) fn in_trouble(journal: &Journal) -> BTreeSet<SlotId> {
    let is_installed = |entry: &&Entry| matches!(entry.stage, Stage::Installed | Stage::Proven | Stage::Settled);
    journal.entries().filter(is_installed).filter(|entry| entry.trouble.is_some()).map(|entry| entry.slot.clone()).collect()
}

#[cfg(test)]
mod tests {
    use tegata_api::v1::diagnosis::{Cause, Certainty, Finding};

    use super::*;

    fn checkup(found: &[Certainty]) -> Checkup {
        let findings = found.iter().map(|certainty| Finding { cause: Cause::Intercepted, certainty: *certainty }).collect();
        let last = Some(Diagnosis { at: 1_000_000, findings, unchecked: vec![] });
        Checkup { state: State::at(std::path::Path::new("/nowhere")), seen: last.clone(), last, in_trouble: BTreeSet::new() }
    }

    fn trouble(slots: &[&str]) -> BTreeSet<SlotId> {
        slots.iter().map(|slot| slot.parse().unwrap()).collect()
    }

    /// After how many seconds the doctor looks again.
    fn looks_again_after(checkup: &Checkup, in_trouble: &BTreeSet<SlotId>) -> i64 {
        (0..=DAY).step_by(60).find(|age| checkup.is_due(in_trouble, 1_000_000 + age)).unwrap()
    }

    #[test]
    fn the_doctor_looks_daily_hourly_while_a_chart_does_not_open_and_soon_after_that_has_changed() {
        let (well, nobody, somebody) = (checkup(&[]), trouble(&[]), trouble(&["sakura/uketsuke-1/karte"]));
        assert_eq!(looks_again_after(&well, &nobody), DAY);
        assert_eq!(looks_again_after(&checkup(&[Certainty::Possible]), &nobody), DAY, "many such PCs work");
        assert_eq!(looks_again_after(&checkup(&[Certainty::Possible, Certainty::Likely]), &nobody), HOUR);
        assert_eq!(looks_again_after(&well, &somebody), SOON);
        let known = Checkup { in_trouble: somebody.clone(), ..checkup(&[]) };
        assert_eq!(looks_again_after(&known, &somebody), HOUR);
        assert_eq!(looks_again_after(&known, &nobody), SOON, "so that nobody goes on reading of a trouble that is over");
    }

    #[test]
    fn where_nothing_can_be_kept_the_doctor_does_not_look_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(&folder.path().join("agent")).unwrap();
        keep(&state, checkup(&[Certainty::Certain]).last.as_ref().unwrap()).unwrap();
        let mut full = Checkup::open(&state);
        full.state = State::at(std::path::Path::new("/nowhere"));
        let newer = Diagnosis { at: 2_000_000, findings: vec![], unchecked: vec![] };
        full.made(newer.clone(), trouble(&[])).unwrap_err();
        full.state = state;
        assert!(!full.has_news(), "what lies there was seen before");
        full.refresh();
        assert_eq!(full.last(), Some(&newer));
    }

    #[test]
    fn one_of_the_future_and_none_at_all_stand_for_nothing() {
        assert!(checkup(&[]).is_due(&trouble(&[]), 999_999));
        assert!(Checkup { last: None, ..checkup(&[]) }.is_due(&trouble(&[]), 0));
    }
}
