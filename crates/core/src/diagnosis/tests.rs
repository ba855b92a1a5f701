//! One row for each cause, and what holds whatever is seen.

use proptest::prelude::*;

use super::*;

fn slot() -> SlotId {
    "sakura/uketsuke-1/karte".parse().unwrap()
}

fn site(answer: Answer, was_open: bool) -> Fact {
    Fact::Site { site: "https://karte.example.jp/".into(), answer, was_open }
}

fn link(differs: Difference) -> Fact {
    Fact::Link { name: "カルテ".into(), leads_to: "http://karte.example.jp".into(), differs }
}

fn opens_with(program: &str, is_supported: bool) -> Fact {
    Fact::OpensWith { program: program.into(), is_supported }
}

fn shared(shown: Shown) -> Fact {
    Fact::Shared { site: "https://karte.example.jp".into(), shown }
}

/// Everything that can be seen, and what it alone is taken for.
fn table() -> Vec<(Fact, Option<(Cause, Certainty)>)> {
    use Certainty::{Certain, Likely, Possible};
    let moment = Timestamp::from_unix(1_800_000_000);
    vec![
        (Fact::ClockAhead(28 * 60), Some((Cause::Clock, Certain))),
        (Fact::ClockAhead(-28 * 60), Some((Cause::Clock, Certain))),
        (Fact::ClockAhead(i64::MIN), Some((Cause::Clock, Certain))),
        (Fact::ClockAhead(90), Some((Cause::Clock, Possible))),
        (Fact::ClockAhead(-59), None),
        (Fact::Listed(slot(), Listed::Revoked), Some((Cause::Revoked, Certain))),
        (Fact::Listed(slot(), Listed::HolderLeft), Some((Cause::AccountDeleted, Certain))),
        (Fact::Listed(slot(), Listed::Not), None),
        (Fact::Held(slot(), Validity::Until(moment)), Some((Cause::OutOfDate, Certain))),
        (Fact::Held(slot(), Validity::From(moment)), Some((Cause::OutOfDate, Certain))),
        (Fact::Held(slot(), Validity::Now), None),
        (Fact::Absent(slot(), Absence::TakenOut), Some((Cause::Missing, Certain))),
        (Fact::Absent(slot(), Absence::Underway), Some((Cause::Missing, Certain))),
        (Fact::Absent(slot(), Absence::NotOrdered), Some((Cause::Quota, Likely))),
        (Fact::Key(slot(), KeyState::Gone), Some((Cause::KeyUnusable, Certain))),
        (Fact::Key(slot(), KeyState::AsksPeople), Some((Cause::KeyUnusable, Certain))),
        (Fact::Key(slot(), KeyState::Useless), Some((Cause::KeyUnusable, Certain))),
        (Fact::Key(slot(), KeyState::Signs), None),
        (site(Answer::Opened, true), None),
        (site(Answer::AskedForNone, true), Some((Cause::Intercepted, Likely))),
        (site(Answer::AskedForNone, false), Some((Cause::Intercepted, Possible))),
        (site(Answer::AskedForOthers { is_alone: true }, true), Some((Cause::ChainMissing, Certain))),
        (site(Answer::AskedForOthers { is_alone: false }, true), Some((Cause::ChainMissing, Likely))),
        (site(Answer::OtherKeys, false), Some((Cause::KeyUnusable, Certain))),
        (site(Answer::SaysRevoked, false), Some((Cause::Revoked, Certain))),
        (site(Answer::SaysExpired, false), Some((Cause::OutOfDate, Certain))),
        (site(Answer::Refused, true), Some((Cause::Revoked, Likely))),
        (site(Answer::Refused, false), Some((Cause::Revoked, Possible))),
        (site(Answer::UnknownAuthority("Shield Root".into()), true), Some((Cause::Intercepted, Certain))),
        (site(Answer::UnknownAuthority("Shield Root".into()), false), Some((Cause::Intercepted, Likely))),
        (opens_with("firefox.desktop", false), Some((Cause::WrongBrowser, Likely))),
        (opens_with("chromium.desktop", true), None),
        (link(Difference::SchemeOrPort), Some((Cause::WrongAddress, Likely))),
        (link(Difference::Host), Some((Cause::WrongAddress, Possible))),
        (shared(Shown::Of("sakura".into())), Some((Cause::OtherClinic, Possible))),
        (shared(Shown::Alike("sakura".into())), Some((Cause::OtherClinic, Likely))),
        (shared(Shown::Nobodys), Some((Cause::OtherClinic, Likely))),
        (Fact::Extension("AdBlock".into()), Some((Cause::Extension, Possible))),
        (Fact::HoldsOld, Some((Cause::OldDecision, Likely))),
    ]
}

#[test]
fn each_fact_alone_names_its_cause_first() {
    for (fact, expected) in table() {
        let first = diagnose(std::slice::from_ref(&fact)).findings.first().map(|finding| (finding.cause, finding.certainty));
        assert_eq!(first, expected, "{fact:?}");
    }
}

#[test]
fn every_cause_is_named_by_some_fact() {
    let named: Vec<Cause> = table().iter().flat_map(|(fact, _)| diagnose(std::slice::from_ref(fact)).findings).map(|it| it.cause).collect();
    for cause in Cause::ALL {
        assert!(named.contains(&cause), "{cause:?}");
    }
}

#[test]
fn the_order_is_that_of_the_enum() {
    assert!(Cause::ALL.is_sorted() && Cause::OF_CERTIFICATES.iter().all(|cause| Cause::ALL.contains(cause)));
}

#[test]
fn who_saw_nothing_found_nothing_and_calls_nothing_fine() {
    assert_eq!(diagnose(&[]), Diagnosis { findings: vec![], unchecked: Cause::ALL.to_vec() });
}

#[test]
fn one_certificate_that_could_not_be_checked_is_not_made_fine_by_another() {
    let facts = [Fact::Fine(Cause::Revoked), Fact::Unchecked(Cause::Revoked)];
    assert!(diagnose(&facts).unchecked.contains(&Cause::Revoked));
    assert!(!diagnose(&facts[..1]).unchecked.contains(&Cause::Revoked));
}

#[test]
fn the_clock_comes_before_what_it_makes_look_broken() {
    let expired = Fact::Held(slot(), Validity::Until(Timestamp::from_unix(0)));
    let found = diagnose(&[Fact::HoldsOld, site(Answer::Refused, true), expired, Fact::ClockAhead(40 * 86_400)]).findings;
    let order: Vec<Cause> = found.iter().map(|it| it.cause).collect();
    assert_eq!(order, [Cause::Clock, Cause::OutOfDate, Cause::Revoked, Cause::OldDecision, Cause::AccountDeleted]);
}

fn any_fact() -> impl Strategy<Value = Fact> {
    let known: Vec<Fact> = table().into_iter().map(|(fact, _)| fact).collect();
    let plain = Cause::ALL.into_iter().flat_map(|cause| [Fact::Fine(cause), Fact::Unchecked(cause)]);
    proptest::sample::select(known.into_iter().chain(plain).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn one_more_fact_hides_no_cause_and_weakens_none(mut facts in proptest::collection::vec(any_fact(), 0..12), more in any_fact()) {
        let before = diagnose(&facts).findings;
        facts.push(more);
        let after = diagnose(&facts).findings;
        for finding in &before {
            let still = after.iter().find(|it| it.cause == finding.cause);
            prop_assert!(still.is_some_and(|still| still.certainty >= finding.certainty), "{finding:?}");
        }
        if let (Some(before), Some(after)) = (before.first().filter(|it| it.certainty == Certainty::Certain), after.first()) {
            prop_assert!(after.certainty == Certainty::Certain && after.cause <= before.cause);
        }
    }

    #[test]
    fn every_cause_is_found_or_unchecked_or_somebody_said_that_it_is_fine(facts in proptest::collection::vec(any_fact(), 0..12)) {
        let told = diagnose(&facts);
        for cause in Cause::ALL {
            let is_found = told.findings.iter().any(|it| it.cause == cause);
            let is_fine = facts.iter().any(|fact| fact.verdict(cause) == Some(Verdict::Fine));
            prop_assert!(is_found || told.unchecked.contains(&cause) || is_fine, "{cause:?}");
        }
    }
}
