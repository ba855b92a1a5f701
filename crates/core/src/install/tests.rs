use std::fmt::Write;

use expect_test::expect;
use proptest::prelude::*;

use super::*;

#[test]
fn every_stage_answers_every_event() {
    let mut table = String::new();
    for stage in Stage::ALL {
        for event in Event::ALL {
            let (next_stage, step) = next(stage, event);
            writeln!(table, "{:<9} {:<9} -> {:<9} {step:?}", format!("{stage:?}"), format!("{event:?}"), format!("{next_stage:?}"))
                .unwrap();
        }
    }
    expect![[r#"
        Wanted    Look      -> Wanted    MakeKey
        Wanted    Done      -> Keyed     Request
        Wanted    Failed    -> Wanted    Wait
        Wanted    Withdrawn -> Abandoned Discard
        Wanted    Mismatch  -> Wanted    MakeKey
        Wanted    Vanished  -> Wanted    MakeKey
        Keyed     Look      -> Keyed     Request
        Keyed     Done      -> Staged    Install
        Keyed     Failed    -> Keyed     Wait
        Keyed     Withdrawn -> Abandoned Discard
        Keyed     Mismatch  -> Wanted    MakeKey
        Keyed     Vanished  -> Keyed     Request
        Staged    Look      -> Staged    Install
        Staged    Done      -> Installed Prove
        Staged    Failed    -> Staged    Wait
        Staged    Withdrawn -> Abandoned Discard
        Staged    Mismatch  -> Wanted    MakeKey
        Staged    Vanished  -> Staged    Install
        Installed Look      -> Installed Prove
        Installed Done      -> Proven    RetireOld
        Installed Failed    -> Installed Wait
        Installed Withdrawn -> Abandoned Discard
        Installed Mismatch  -> Wanted    MakeKey
        Installed Vanished  -> Staged    Install
        Proven    Look      -> Proven    RetireOld
        Proven    Done      -> Settled   Rest
        Proven    Failed    -> Proven    Wait
        Proven    Withdrawn -> Proven    RetireOld
        Proven    Mismatch  -> Proven    RetireOld
        Proven    Vanished  -> Proven    RetireOld
        Settled   Look      -> Settled   Rest
        Settled   Done      -> Settled   Rest
        Settled   Failed    -> Settled   Rest
        Settled   Withdrawn -> Settled   Rest
        Settled   Mismatch  -> Settled   Rest
        Settled   Vanished  -> Settled   Rest
        Abandoned Look      -> Abandoned Discard
        Abandoned Done      -> Abandoned Rest
        Abandoned Failed    -> Abandoned Wait
        Abandoned Withdrawn -> Abandoned Discard
        Abandoned Mismatch  -> Abandoned Discard
        Abandoned Vanished  -> Abandoned Discard
    "#]]
    .assert_eq(&table);
}

#[test]
fn nothing_is_retired_before_it_is_proven() {
    for (stage, event) in every_pair() {
        let (next_stage, step) = next(stage, event);
        assert!(step != Step::RetireOld || next_stage == Stage::Proven, "{stage:?} {event:?}");
        let proven_now = next_stage >= Stage::Proven && next_stage != Stage::Abandoned && stage < Stage::Proven;
        assert!(!proven_now || (stage == Stage::Installed && event == Event::Done), "{stage:?} {event:?}");
    }
}

#[test]
fn looking_keeps_the_stage_and_repeats_what_it_asks_for() {
    for (stage, event) in every_pair().filter(|(_, event)| *event != Event::Failed) {
        let (next_stage, step) = next(stage, event);
        let discarded = next_stage == Stage::Abandoned && step == Step::Rest;
        assert!(discarded || next(next_stage, Event::Look) == (next_stage, step), "{stage:?} {event:?}");
    }
}

#[test]
fn a_failure_keeps_the_stage_and_asks_for_nothing_else() {
    for stage in Stage::ALL {
        let expected = if stage == Stage::Settled { Step::Rest } else { Step::Wait };
        assert_eq!(next(stage, Event::Failed), (stage, expected));
    }
}

#[test]
fn an_order_is_taken_back_until_it_is_proven_and_never_after() {
    for stage in [Stage::Wanted, Stage::Keyed, Stage::Staged, Stage::Installed] {
        assert_eq!(next(stage, Event::Withdrawn), (Stage::Abandoned, Step::Discard));
    }
    assert_eq!(next(Stage::Proven, Event::Withdrawn), (Stage::Proven, Step::RetireOld));
    assert_eq!(next(Stage::Settled, Event::Withdrawn), (Stage::Settled, Step::Rest));
}

#[test]
fn what_a_store_has_lost_before_it_was_proven_is_put_into_it_once_more() {
    assert_eq!(next(Stage::Installed, Event::Vanished), (Stage::Staged, Step::Install));
    // From the proof on the only copy of the key was in the store: the server has to order another.
    assert_eq!(next(Stage::Proven, Event::Vanished), (Stage::Proven, Step::RetireOld));
}

fn every_pair() -> impl Iterator<Item = (Stage, Event)> {
    Stage::ALL.into_iter().flat_map(|stage| Event::ALL.map(|event| (stage, event)))
}

/// What may befall one step.
#[derive(Debug, Clone, Copy)]
enum Luck {
    Good,
    Fails,
    Mismatches,
    /// The store loses what was put into it.
    Vanishes,
    /// The power goes before the step had any effect.
    CrashBefore,
    /// The power goes when the step was taken but its success not written down.
    CrashAfter,
}

/// A device with nothing but what survives a power cut.
#[derive(Debug)]
struct Disk {
    stage: Stage,
    key: bool,
    certificate: bool,
    installed: bool,
    answered: bool,
    old: bool,
}

impl Disk {
    fn with_an_old_certificate() -> Self {
        Self { stage: Stage::Wanted, key: false, certificate: false, installed: false, answered: false, old: true }
    }

    /// Takes a step as the agent does; each may be a repetition.
    fn take(&mut self, step: Step) {
        match step {
            Step::MakeKey => (self.key, self.certificate, self.installed, self.answered) = (true, false, false, false),
            Step::Request => self.certificate = self.key,
            Step::Install => self.installed = self.certificate,
            Step::Prove => self.answered = self.installed,
            Step::RetireOld => self.old = false,
            Step::Discard => (self.key, self.certificate, self.installed, self.answered) = (false, false, false, false),
            Step::Wait | Step::Rest => {}
        }
        assert!(self.old || self.answered, "the old certificate went before the new one had answered");
    }

    /// Runs from a start of the agent until it waits, rests or crashes.
    fn live(&mut self, luck: &mut impl Iterator<Item = Luck>) -> Step {
        let mut event = Event::Look;
        loop {
            let (stage, step) = next(self.stage, event);
            self.stage = stage;
            if matches!(step, Step::Wait | Step::Rest) {
                return step;
            }
            event = match luck.next().unwrap_or(Luck::Good) {
                Luck::CrashBefore => return step,
                Luck::Fails => Event::Failed,
                Luck::Mismatches if matches!(step, Step::Request | Step::Install | Step::Prove) => Event::Mismatch,
                Luck::Vanishes if step == Step::Prove => {
                    self.installed = false;
                    Event::Vanished
                }
                Luck::CrashAfter => {
                    self.take(step);
                    return step;
                }
                Luck::Good | Luck::Mismatches | Luck::Vanishes => {
                    self.take(step);
                    Event::Done
                }
            };
        }
    }
}

proptest! {
    #[test]
    fn any_run_of_crashes_and_failures_ends_settled_with_the_old_certificate_kept_until_proof(
        luck in prop::collection::vec(
            prop_oneof![Just(Luck::Good), Just(Luck::Fails), Just(Luck::Mismatches), Just(Luck::Vanishes), Just(Luck::CrashBefore), Just(Luck::CrashAfter)],
            0..40,
        )
    ) {
        let mut disk = Disk::with_an_old_certificate();
        let mut luck = luck.into_iter();
        for _start in 0..=41 {
            disk.live(&mut luck);
        }
        prop_assert_eq!(disk.stage, Stage::Settled);
        prop_assert!(disk.answered && !disk.old);
    }
}
