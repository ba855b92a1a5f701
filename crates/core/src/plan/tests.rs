use std::fmt::Write;

use expect_test::{Expect, expect};

use super::check::{CHECKS, judge_all};
use super::fixtures::*;
use super::*;
use crate::fleet::{Held, Progress};
use crate::time::{DAY, HOUR, MINUTE};

fn check(scene: Scene, expect: Expect) {
    expect.assert_eq(&scene.told());
}

/// A slot with this reason and, where possible, with less urgent ones beside it.
fn example(reason: Reason) -> Scene {
    match reason {
        Reason::Unwanted => Scene::holding([proven(1)]).not_wanted("d1").not_enrolled("d1"),
        Reason::NotEnrolled => Scene::of(&["d1"]).not_enrolled("d1"),
        Reason::DeviceRevoked => Scene::of(&["d1"]).with("d1", |device| device.revoked = true),
        Reason::Missing => Scene::of(&["d1"]).asked("d1"),
        Reason::Revoked => Scene::holding([proven(1), Held { not_after: NOW.before(DAY), ..revoked(2) }]).ordered("d1", template()),
        Reason::Expired => Scene::holding([expired(1)]).ordered("d1", template()),
        Reason::Ordered => Scene::holding([held(1, Progress::Issued)]).ordered("d1", template()),
        Reason::NotInstalled => Scene::holding([proven(1), held(2, Progress::Issued)]),
        Reason::NotProven => Scene::holding([revoked(1), Held { not_after: NOW.after(DAY), ..held(2, Progress::Installed) }]),
        Reason::Exposed => Scene::holding([Held { exposed: true, template: old_template(), ..proven(1) }]).asked("d1"),
        Reason::RenewalAsked => Scene::holding([Held { template: old_template(), ..held(1, Progress::Installed) }]).asked("d1"),
        Reason::Outdated => Scene::holding([Held { template: old_template(), ..expiring_in(1, DAY) }]),
        Reason::ExpiresSoon => Scene::holding([revoked(1), expiring_in(2, DAY)]),
        Reason::DependantsOpen => Scene::holding([proven(1), proven(2)]).with_dependant("d1"),
        Reason::NotBackedUp => Scene::holding([proven(1), proven(2)]).with_backup("d1", &[]),
        Reason::Leftover => Scene::holding([proven(1), proven(2)]),
    }
}

#[test]
fn every_reason_has_its_case_and_the_table_is_in_the_order_of_urgency() {
    let mut table = String::new();
    for (place, reason) in Reason::ALL.into_iter().enumerate() {
        let scene = example(reason);
        assert_eq!(scene.plan().verdicts[&slot("d1")], Some(reason));
        let judged = judge_all(&scene.desired, &scene.observed, scene.now);
        let found: Vec<_> = CHECKS.iter().map(|check| check(&judged[0].case)).collect();
        assert_eq!(found[place], Some(reason), "the check in place {place}");
        assert!(found[..place].iter().all(Option::is_none), "{reason:?} comes too late");
        writeln!(table, "{reason:?}\n{}", scene.told()).unwrap();
    }
    assert!(Reason::ALL.is_sorted());
    expect![[r#"
        Unwanted
        revoke c1 in sakura/d1/karte (Unwanted)
        hold sakura/d1/karte (Unwanted): Enrolment

        NotEnrolled
        hold sakura/d1/karte (NotEnrolled): Enrolment

        DeviceRevoked
        hold sakura/d1/karte (DeviceRevoked): Enrolment

        Missing
        issue sakura/d1/karte (Missing)

        Revoked
        retire c2 from sakura/d1/karte (Revoked)
        hold sakura/d1/karte (Revoked): Device

        Expired
        hold sakura/d1/karte (Expired): Device

        Ordered
        hold sakura/d1/karte (Ordered): Device

        NotInstalled
        hold sakura/d1/karte (NotInstalled): Device

        NotProven
        retire c1 from sakura/d1/karte (Revoked)
        hold sakura/d1/karte (NotProven): Device

        Exposed
        issue sakura/d1/karte (Exposed), replacing c1

        RenewalAsked
        issue sakura/d1/karte (RenewalAsked), replacing c1

        Outdated
        issue sakura/d1/karte (Outdated), replacing c1

        ExpiresSoon
        retire c1 from sakura/d1/karte (Revoked)
        issue sakura/d1/karte (ExpiresSoon), replacing c1, c2

        DependantsOpen
        hold sakura/d1/karte (DependantsOpen): Dependants

        NotBackedUp
        retire c1 from sakura/d1/karte (Leftover)
        hold sakura/d1/karte (NotBackedUp): BackupTarget(Backups { verified: 0, needed: 2, targets: 2 })

        Leftover
        retire c1 from sakura/d1/karte (Leftover)

    "#]]
    .assert_eq(&table);
}

#[test]
fn every_obstacle_has_its_case() {
    let obstacles = [
        (Obstacle::Enrolment, Scene::of(&["d1"]).not_enrolled("d1")),
        (Obstacle::Device, Scene::of(&["d1"]).ordered("d1", template())),
        (Obstacle::SilentDevice, Scene::of(&["d1"]).ordered("d1", template()).silent("d1")),
        (Obstacle::WrongClock, Scene::of(&["d1"]).with("d1", |device| device.clock_offset = -301)),
        (Obstacle::Quota, Scene::of(&["d1"]).quota(0, None)),
        (Obstacle::OthersFirst, Scene::holding([proven(1)]).asked("d1").at_once(0)),
        (Obstacle::TooOften, Scene::of(&["d1"]).issued_ago("d1", [MINUTE; 3])),
    ];
    for (obstacle, scene) in obstacles {
        let actions = scene.plan().actions;
        assert!(matches!(&actions[..], [Action::Hold { because, .. }] if *because == obstacle), "{obstacle:?}: {actions:?}");
    }
}

#[test]
fn a_slot_whose_certificate_is_proven_and_not_due_needs_nothing() {
    let plan = Scene::holding([proven(1)]).plan();
    assert_eq!(plan.actions, []);
    assert_eq!(plan.verdicts[&slot("d1")], None);
    let opens = NOW.after((265 - 60) * DAY);
    assert!(plan.wake_at.is_some_and(|wake_at| (opens..=opens.after(20 * DAY)).contains(&wake_at)));
}

#[test]
fn what_is_gone_and_not_wanted_is_not_mentioned() {
    let scene = Scene::holding([]).not_wanted("d1").asked("d1");
    assert_eq!(scene.plan(), Plan::default());
}

mod taking_back {
    use super::*;

    #[test]
    fn an_unwanted_slot_loses_its_order_and_everything_it_holds() {
        let scene = Scene::holding([expired(1), revoked(2), proven(3)]).ordered("d1", template()).not_wanted("d1");
        check(
            scene,
            expect![[r#"
            cancel the order for sakura/d1/karte (Unwanted)
            revoke c3 in sakura/d1/karte (Unwanted)
            retire c1 from sakura/d1/karte (Unwanted)
            retire c2 from sakura/d1/karte (Unwanted)
            retire c3 from sakura/d1/karte (Unwanted)
        "#]],
        );
    }

    #[test]
    fn what_was_ordered_off_an_unwanted_slot_is_waited_for() {
        check(
            Scene::holding([revoked(1)]).retiring("d1", 1).not_wanted("d1"),
            expect![[r#"
            hold sakura/d1/karte (Unwanted): Device
        "#]],
        );
    }

    #[test]
    fn a_device_that_hears_nothing_is_not_told_to_remove_anything() {
        check(
            Scene::holding([proven(1)]).not_wanted("d1").not_enrolled("d1"),
            expect![[r#"
            revoke c1 in sakura/d1/karte (Unwanted)
            hold sakura/d1/karte (Unwanted): Enrolment
        "#]],
        );
        check(
            Scene::holding([proven(1)]).ordered("d1", template()).with("d1", |device| device.revoked = true),
            expect![[r#"
            cancel the order for sakura/d1/karte (DeviceRevoked)
            revoke c1 in sakura/d1/karte (DeviceRevoked)
            hold sakura/d1/karte (DeviceRevoked): Enrolment
        "#]],
        );
    }

    #[test]
    fn an_order_for_yesterdays_policy_is_taken_back_before_it_is_placed_anew() {
        check(
            Scene::of(&["d1"]).ordered("d1", old_template()),
            expect![[r#"
            cancel the order for sakura/d1/karte (Outdated)
        "#]],
        );
        check(
            Scene::of(&["d1"]).ordered("d1", template()).quota(9, None).then_account_of_order(None),
            expect![[r#"
            cancel the order for sakura/d1/karte (Outdated)
        "#]],
        );
    }

    #[test]
    fn a_revoked_certificate_goes_at_once_and_is_replaced() {
        check(
            Scene::holding([revoked(1)]),
            expect![[r#"
            retire c1 from sakura/d1/karte (Revoked)
            issue sakura/d1/karte (Revoked), replacing c1
        "#]],
        );
        check(
            Scene::holding([revoked(1)]).retiring("d1", 1).ordered("d1", template()),
            expect![[r#"
            hold sakura/d1/karte (Revoked): Device
        "#]],
        );
    }

    #[test]
    fn leftovers_are_retired_once_and_then_waited_for() {
        check(
            Scene::holding([proven(1), held(2, Progress::Issued), proven(3)]),
            expect![[r#"
            retire c1 from sakura/d1/karte (Leftover)
            retire c2 from sakura/d1/karte (Leftover)
        "#]],
        );
        check(
            Scene::holding([proven(1), proven(2)]).retiring("d1", 1),
            expect![[r#"
            hold sakura/d1/karte (Leftover): Device
        "#]],
        );
        check(
            Scene::holding([proven(1), proven(2)]).retiring("d1", 1).silent("d1"),
            expect![[r#"
            hold sakura/d1/karte (Leftover): SilentDevice
        "#]],
        );
    }

    #[test]
    fn nothing_is_retired_for_a_successor_that_does_not_work() {
        let successors = [
            held(2, Progress::Issued),
            held(2, Progress::Installed),
            revoked(2),
            expired(2),
            Held { not_before: NOW.after(HOUR), ..proven(2) },
        ];
        for successor in successors {
            let plan = Scene::holding([proven(1), successor.clone()]).plan();
            let goes = |action: &Action| matches!(action, Action::Retire { serial, .. } | Action::Revoke { serial, .. } if *serial == proven(1).serial);
            assert!(!plan.actions.iter().any(goes), "{successor:?}");
        }
        let leaving = Scene::holding([proven(1), proven(2)]).retiring("d1", 2).plan();
        assert!(!leaving.actions.iter().any(|action| matches!(action, Action::Retire { .. })));
    }
}

mod following {
    use super::*;

    #[test]
    fn what_is_under_way_is_waited_for() {
        check(
            Scene::of(&["d1"]).ordered("d1", template()),
            expect![[r#"
            hold sakura/d1/karte (Ordered): Device
        "#]],
        );
        check(
            Scene::holding([held(1, Progress::Issued)]),
            expect![[r#"
            hold sakura/d1/karte (NotInstalled): Device
        "#]],
        );
        check(
            Scene::holding([held(1, Progress::Installed)]).with("d1", |device| device.clock_offset = 3600),
            expect![[r#"
            hold sakura/d1/karte (NotProven): WrongClock
        "#]],
        );
        check(
            Scene::holding([held(1, Progress::Installed)]).silent("d1"),
            expect![[r#"
            hold sakura/d1/karte (NotProven): SilentDevice
        "#]],
        );
    }

    #[test]
    fn what_cannot_be_proven_is_replaced_when_policy_changes_or_a_person_asks() {
        let stuck = Held { template: old_template(), ..held(2, Progress::Installed) };
        check(
            Scene::holding([proven(1), stuck]),
            expect![[r#"
            issue sakura/d1/karte (Outdated), replacing c1, c2
        "#]],
        );
        check(
            Scene::holding([held(1, Progress::Issued)]).asked("d1"),
            expect![[r#"
            issue sakura/d1/karte (RenewalAsked), replacing c1
        "#]],
        );
    }

    #[test]
    fn a_certificate_of_another_account_is_outdated() {
        let scene = Scene::holding([proven(1)]);
        check(
            scene.quota(5, None).then_account_of_certificates(None),
            expect![[r#"
            issue sakura/d1/karte (Outdated), replacing c1
        "#]],
        );
    }

    #[test]
    fn a_certificate_that_is_leaving_counts_as_missing() {
        check(
            Scene::holding([proven(1)]).retiring("d1", 1),
            expect![[r#"
            issue sakura/d1/karte (Missing)
        "#]],
        );
    }

    #[test]
    fn a_silent_device_gets_its_order_so_that_it_finds_it_when_it_wakes() {
        check(
            Scene::of(&["d1"]).silent("d1"),
            expect![[r#"
            issue sakura/d1/karte (Missing)
        "#]],
        );
    }
}

mod breaker {
    use super::*;

    #[test]
    fn the_fourth_issuance_within_an_hour_waits_until_the_hour_is_over_even_if_a_person_asks() {
        let thrice = [50 * MINUTE, 30 * MINUTE, 10 * MINUTE];
        check(
            Scene::holding([proven(3)]).issued_ago("d1", thrice).asked("d1"),
            expect![[r#"
            hold sakura/d1/karte (RenewalAsked): TooOften until 2026-04-01T00:10:00Z
        "#]],
        );
        check(
            Scene::holding([revoked(3)]).issued_ago("d1", thrice),
            expect![[r#"
            retire c3 from sakura/d1/karte (Revoked)
            hold sakura/d1/karte (Revoked): TooOften until 2026-04-01T00:10:00Z
        "#]],
        );
        check(
            Scene::holding([proven(3)]).issued_ago("d1", [HOUR, 30 * MINUTE, 10 * MINUTE]).asked("d1"),
            expect![[r#"
            issue sakura/d1/karte (RenewalAsked), replacing c3
        "#]],
        );
    }
}

mod quotas {
    use super::*;

    #[test]
    fn seats_are_counted_and_replacing_takes_none() {
        let scene = || Scene::of(&["d1", "d2", "d3", "d4"]).holds("d1", [expiring_in(1, DAY)]).ordered("d2", template());
        check(
            scene().quota(3, None),
            expect![[r#"
            issue sakura/d3/karte (Missing)
            issue sakura/d1/karte (ExpiresSoon), replacing c1
            hold sakura/d2/karte (Ordered): Device
            hold sakura/d4/karte (Missing): Quota
        "#]],
        );
        check(
            scene().quota(2, None),
            expect![[r#"
            issue sakura/d1/karte (ExpiresSoon), replacing c1
            hold sakura/d2/karte (Ordered): Device
            hold sakura/d3/karte (Missing): Quota
            hold sakura/d4/karte (Missing): Quota
        "#]],
        );
        check(
            scene().quota(1, None),
            expect![[r#"
            issue sakura/d1/karte (ExpiresSoon), replacing c1
            hold sakura/d2/karte (Ordered): Device
            hold sakura/d3/karte (Missing): Quota
            hold sakura/d4/karte (Missing): Quota
        "#]],
        );
    }

    #[test]
    fn a_certificate_and_its_successor_share_one_seat() {
        check(
            Scene::of(&["d1", "d2"]).holds("d1", [proven(1), held(2, Progress::Issued)]).quota(2, None),
            expect![[r#"
            issue sakura/d2/karte (Missing)
            hold sakura/d1/karte (NotInstalled): Device
        "#]],
        );
    }

    #[test]
    fn a_seat_that_this_plan_frees_is_free() {
        check(
            Scene::of(&["d1", "d2"]).holds("d1", [proven(1)]).quota(1, None).not_wanted("d1"),
            expect![[r#"
            revoke c1 in sakura/d1/karte (Unwanted)
            retire c1 from sakura/d1/karte (Unwanted)
            issue sakura/d2/karte (Missing)
        "#]],
        );
    }

    #[test]
    fn an_order_that_this_plan_takes_back_takes_no_seat() {
        check(
            Scene::of(&["d1", "d2"]).ordered("d1", template()).quota(1, None).not_wanted("d1"),
            expect![[r#"
            cancel the order for sakura/d1/karte (Unwanted)
            issue sakura/d2/karte (Missing)
        "#]],
        );
    }

    /// What a slot needs goes to those that have a certificate first, to those that never had one last.
    #[test]
    fn a_due_renewal_never_starves_behind_a_new_slot() {
        let month = Some(30 * DAY);
        // Due now.
        let due = || Scene::of(&["d1", "d2"]).holds("d1", [expiring_in(1, DAY)]).issued_ago("d1", [29 * DAY]);
        check(
            due().quota(2, month),
            expect![[r#"
            issue sakura/d1/karte (ExpiresSoon), replacing c1
            hold sakura/d2/karte (Missing): Quota until 2026-04-02T00:00:00Z
        "#]],
        );
        // Due in some days: the place that is free now would not be free again before the last call.
        let soon = expiring_in(1, 55 * DAY);
        let later = || Scene::of(&["d1", "d2"]).holds("d1", [soon.clone()]);
        check(
            later().quota(1, Some(90 * DAY)),
            expect![[r#"
                issue sakura/d1/karte (ExpiresSoon), replacing c1
                hold sakura/d2/karte (Missing): Quota
            "#]],
        );
        // Here it would.
        check(
            later().quota(1, Some(40 * DAY)),
            expect![[r#"
                issue sakura/d1/karte (ExpiresSoon), replacing c1
                hold sakura/d2/karte (Missing): Quota
            "#]],
        );
    }

    #[test]
    fn what_works_and_could_stay_leaves_the_last_place_to_what_is_due() {
        let scene = Scene::of(&["d1", "d2"]).holds("d1", [proven(1)]).asked("d1").holds("d2", [expiring_in(2, 10 * DAY)]);
        check(
            scene.quota(1, Some(30 * DAY)),
            expect![[r#"
            issue sakura/d2/karte (ExpiresSoon), replacing c2
            hold sakura/d1/karte (RenewalAsked): Quota
        "#]],
        );
    }

    #[test]
    fn every_bound_of_an_account_holds() {
        let mut scene = Scene::of(&["d1", "d2", "d3"]).holds("d1", [proven(1)]).issued_ago("d1", [DAY]).quota(3, None);
        let rolling = crate::policy::Quota { certificates: 2, per: Some(30 * DAY), counting: Default::default() };
        scene.desired.quotas.values_mut().for_each(|quotas| quotas.push(rolling));
        check(
            scene.clone(),
            expect![[r#"
            issue sakura/d2/karte (Missing)
            hold sakura/d3/karte (Missing): Quota until 2026-04-30T00:00:00Z
        "#]],
        );
        scene.desired.quotas.values_mut().for_each(|quotas| quotas[0].certificates = 1);
        check(
            scene,
            expect![[r#"
            hold sakura/d2/karte (Missing): Quota
            hold sakura/d3/karte (Missing): Quota
        "#]],
        );
    }

    #[test]
    fn who_waits_for_two_bounds_waits_for_the_later() {
        let mut scene = Scene::of(&["d1"]).issued_ago("d1", [20 * DAY]).quota(1, Some(30 * DAY));
        let longer = crate::policy::Quota { certificates: 1, per: Some(90 * DAY), counting: Default::default() };
        scene.desired.quotas.values_mut().for_each(|quotas| quotas.push(longer));
        check(
            scene,
            expect![[r#"
            hold sakura/d1/karte (Missing): Quota until 2026-06-10T00:00:00Z
        "#]],
        );
    }

    #[test]
    fn who_has_lost_a_certificate_comes_before_who_never_had_one() {
        check(
            Scene::of(&["d1", "d2"]).issued_ago("d2", [40 * DAY]).quota(1, None),
            expect![[r#"
            issue sakura/d2/karte (Missing)
            hold sakura/d1/karte (Missing): Quota
        "#]],
        );
    }

    #[test]
    fn a_rolling_quota_counts_replacements_too_and_says_when_it_frees() {
        let scene = |limit| {
            let scene = Scene::of(&["d1", "d2"]).holds("d1", [proven(1)]).asked("d1").issued_ago("d1", [31 * DAY, 20 * DAY, 10 * DAY]);
            scene.quota(limit, Some(30 * DAY))
        };
        check(
            scene(4),
            expect![[r#"
            issue sakura/d2/karte (Missing)
            issue sakura/d1/karte (RenewalAsked), replacing c1
        "#]],
        );
        check(
            scene(3),
            expect![[r#"
            issue sakura/d2/karte (Missing)
            hold sakura/d1/karte (RenewalAsked): Quota until 2026-04-11T00:00:00Z
        "#]],
        );
        check(
            scene(2),
            expect![[r#"
            hold sakura/d2/karte (Missing): Quota until 2026-04-11T00:00:00Z
            hold sakura/d1/karte (RenewalAsked): Quota until 2026-04-11T00:00:00Z
        "#]],
        );
        check(
            scene(1),
            expect![[r#"
            hold sakura/d2/karte (Missing): Quota until 2026-04-21T00:00:00Z
            hold sakura/d1/karte (RenewalAsked): Quota until 2026-04-21T00:00:00Z
        "#]],
        );
        check(
            scene(0),
            expect![[r#"
            hold sakura/d2/karte (Missing): Quota
            hold sakura/d1/karte (RenewalAsked): Quota
        "#]],
        );
    }
}

mod accounts {
    use super::*;
    use crate::fleet::Loose;

    /// Everything was issued under `reception`, whose person has left, and `doctor` succeeds.
    fn succession(scene: Scene) -> Scene {
        let mut scene = scene.quota(9, None);
        scene.desired.quotas.clear();
        scene.desired.accounts.remove(&"reception".parse().unwrap());
        scene.desired.slots.values_mut().for_each(|slot| slot.account = Some("doctor".parse().unwrap()));
        scene
    }

    fn of_doctor(number: u64, progress: Progress) -> Held {
        Held { account: Some("doctor".parse().unwrap()), ..held(number, progress) }
    }

    #[test]
    fn what_was_issued_under_an_account_that_is_over_goes_only_once_its_successor_is_proven() {
        check(
            succession(Scene::holding([proven(1)])),
            expect![[r#"
            issue sakura/d1/karte (Outdated), replacing c1
        "#]],
        );
        let with = |progress| {
            let mut scene = succession(Scene::holding([proven(1)]));
            scene.seen("d1").certificates.push(of_doctor(2, progress));
            scene
        };
        check(
            with(Progress::Installed),
            expect![[r#"
            hold sakura/d1/karte (NotProven): Device
        "#]],
        );
        check(
            with(Progress::Proven),
            expect![[r#"
            revoke c1 in sakura/d1/karte (Leftover)
            retire c1 from sakura/d1/karte (Leftover)
        "#]],
        );
    }

    #[test]
    fn what_is_gone_from_its_device_is_revoked_with_its_account() {
        let mut scene = succession(Scene::of(&["d1"]));
        scene.seen("d1").certificates.push(of_doctor(2, Progress::Proven));
        let loose = |number| Loose { slot: slot("d1"), serial: crate::simulate::serial(number), not_after: NOW };
        for (name, number) in [("reception", 1), ("doctor", 3)] {
            scene.observed.accounts.entry(name.parse().unwrap()).or_default().loose.push(loose(number));
        }
        check(
            scene,
            expect![[r#"
            revoke c1 in sakura/d1/karte (Leftover)
        "#]],
        );
    }

    #[test]
    fn the_successor_needs_a_place_for_what_it_takes_over() {
        let mut scene = succession(Scene::of(&["d1", "d2"]).holds("d1", [proven(1)]).holds("d2", [proven(2)]));
        let quota = crate::policy::Quota { certificates: 1, per: None, counting: Default::default() };
        scene.desired.quotas.insert("doctor".parse().unwrap(), vec![quota]);
        check(
            scene,
            expect![[r#"
            issue sakura/d1/karte (Outdated), replacing c1
            hold sakura/d2/karte (Outdated): Quota
        "#]],
        );
    }

    #[test]
    fn the_blast_radius_of_an_account_is_known_before_it_goes() {
        let before = Scene::of(&["d1", "d2", "d3"]).holds("d1", [proven(1)]).holds("d2", [held(2, Progress::Installed)]).quota(9, None);
        let told = |after: &Scene| {
            let list = leaving(&before.desired, &after.desired, &before.observed, NOW);
            let names = |slots: Vec<&SlotId>| slots.iter().map(|slot| slot.device.device.to_string()).collect::<Vec<_>>().join(" ");
            list.into_iter()
                .map(|left| {
                    let locked: Vec<_> = left.locked_out.iter().map(|device| device.device.to_string()).collect();
                    let (moves, lost) = (names(left.moves.keys().collect()), names(left.lost.iter().collect()));
                    format!(
                        "{}: {} alive, moves [{moves}], lost [{lost}], locks out [{}]",
                        left.account,
                        left.certificates.len(),
                        locked.join(" ")
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&before), [""; 0]);
        assert_eq!(told(&succession(before.clone())), ["reception: 2 alive, moves [d1 d2 d3], lost [], locks out []"]);
        let mut without = succession(before.clone());
        without.desired.slots.clear();
        assert_eq!(told(&without), ["reception: 2 alive, moves [], lost [d1 d2 d3], locks out [d1]"]);
    }
}

mod places {
    use super::*;

    fn three_due() -> Scene {
        let due = |number| [expiring_in(number, (10 + number as u32) * DAY)];
        Scene::of(&["d1", "d2", "d3"]).holds("d1", due(3)).holds("d2", due(1)).holds("d3", due(2))
    }

    #[test]
    fn replacements_wait_for_each_other_and_the_most_urgent_goes_first() {
        check(
            three_due().at_once(1),
            expect![[r#"
            issue sakura/d2/karte (ExpiresSoon), replacing c1
            hold sakura/d3/karte (ExpiresSoon): OthersFirst until 2026-04-07T00:00:00Z
            hold sakura/d1/karte (ExpiresSoon): OthersFirst until 2026-04-08T00:00:00Z
        "#]],
        );
        check(
            three_due().at_once(1).ordered("d1", template()),
            expect![[r#"
            hold sakura/d1/karte (Ordered): Device
            hold sakura/d2/karte (ExpiresSoon): OthersFirst until 2026-04-06T00:00:00Z
            hold sakura/d3/karte (ExpiresSoon): OthersFirst until 2026-04-07T00:00:00Z
        "#]],
        );
        check(
            three_due().at_once(1).holds("d1", [proven(3), held(4, Progress::Installed)]),
            expect![[r#"
            hold sakura/d1/karte (NotProven): Device
            hold sakura/d2/karte (ExpiresSoon): OthersFirst until 2026-04-06T00:00:00Z
            hold sakura/d3/karte (ExpiresSoon): OthersFirst until 2026-04-07T00:00:00Z
        "#]],
        );
    }

    #[test]
    fn what_does_not_work_any_more_never_waits() {
        let scene = Scene::of(&["d1", "d2", "d3"]).holds("d2", [expired(2)]).holds("d3", [revoked(3)]);
        check(
            scene.at_once(0),
            expect![[r#"
            retire c3 from sakura/d3/karte (Revoked)
            issue sakura/d1/karte (Missing)
            issue sakura/d3/karte (Revoked), replacing c3
            issue sakura/d2/karte (Expired), replacing c2
        "#]],
        );
    }

    #[test]
    fn the_last_tenth_of_the_window_does_not_wait_either() {
        let scene = Scene::of(&["d1", "d2"]).holds("d1", [expiring_in(1, 6 * DAY)]).holds("d2", [expiring_in(2, 6 * DAY + MINUTE)]);
        check(
            scene.at_once(0),
            expect![[r#"
            issue sakura/d1/karte (ExpiresSoon), replacing c1
            hold sakura/d2/karte (ExpiresSoon): OthersFirst until 2026-04-01T00:01:00Z
        "#]],
        );
    }

    #[test]
    fn a_sleeping_device_keeps_its_place_only_from_other_sleepers() {
        let asleep = || three_due().at_once(1).silent("d1").ordered("d1", template());
        check(
            asleep(),
            expect![[r#"
            issue sakura/d2/karte (ExpiresSoon), replacing c1
            hold sakura/d1/karte (Ordered): SilentDevice
            hold sakura/d3/karte (ExpiresSoon): OthersFirst until 2026-04-07T00:00:00Z
        "#]],
        );
        check(
            asleep().silent("d2").silent("d3"),
            expect![[r#"
            hold sakura/d1/karte (Ordered): SilentDevice
            hold sakura/d2/karte (ExpiresSoon): OthersFirst until 2026-04-06T00:00:00Z
            hold sakura/d3/karte (ExpiresSoon): OthersFirst until 2026-04-07T00:00:00Z
        "#]],
        );
    }
}

mod installers {
    use super::*;
    use crate::fleet::{KnownFrom, Supply};

    fn with_file(scene: Scene) -> Scene {
        scene.with("d1", |device| device.installers.extend([1, 2].map(|number| Sha256([number; 32]))))
    }

    #[test]
    fn files_go_once_every_certificate_of_the_device_is_proven() {
        check(
            with_file(Scene::holding([proven(1)])),
            expect![[r#"
            remove installer f1 from sakura/d1
            remove installer f2 from sakura/d1
        "#]],
        );
        check(
            with_file(Scene::holding([proven(1)])).with("d1", |device| device.removing.extend([Sha256([1; 32])])),
            expect![[r#"
            remove installer f2 from sakura/d1
        "#]],
        );
        check(
            with_file(Scene::holding([held(1, Progress::Installed)])),
            expect![[r#"
                keep installer f1 on sakura/d1: NotSafe
                keep installer f2 on sakura/d1: NotSafe
                hold sakura/d1/karte (NotProven): Device
            "#]],
        );
        let mut second = with_file(Scene::holding([proven(1)]));
        second.desired.slots.insert("sakura/d1/weborca".parse().unwrap(), wanted());
        check(
            second,
            expect![[r#"
                issue sakura/d1/weborca (Missing)
                keep installer f1 on sakura/d1: NotSafe
                keep installer f2 on sakura/d1: NotSafe
            "#]],
        );
    }

    #[test]
    fn an_exempt_file_stays_until_its_day_and_an_exempt_device_keeps_all() {
        let exempt = |device: Option<&str>, file: Option<u8>, until| {
            let exemption = crate::policy::Exemption {
                device: device.map(|name| name.parse().unwrap()),
                file: file.map(|number| Sha256([number; 32])),
                until,
            };
            let mut scene = with_file(Scene::holding([proven(1)])).with("d1", |device| device.removing.extend([Sha256([2; 32])]));
            scene.desired.installers.as_mut().unwrap().exempt = vec![exemption];
            scene
        };
        check(
            exempt(None, Some(1), NOW.after(DAY)),
            expect![[r#"
                keep installer f1 on sakura/d1: Exempt until 2026-04-02T00:00:00Z
            "#]],
        );
        check(
            exempt(Some("d1"), None, NOW.after(DAY)),
            expect![[r#"
                keep installer f1 on sakura/d1: Exempt until 2026-04-02T00:00:00Z
                keep installer f2 on sakura/d1: Exempt until 2026-04-02T00:00:00Z
            "#]],
        );
        check(
            exempt(Some("d2"), None, NOW.after(DAY)),
            expect![[r#"
                remove installer f1 from sakura/d1
            "#]],
        );
        check(
            exempt(None, Some(1), NOW),
            expect![[r#"
                remove installer f1 from sakura/d1
            "#]],
        );
        assert_eq!(exempt(None, Some(2), NOW.after(HOUR)).plan().wake_at, Some(NOW.after(HOUR)), "also where it was ordered away before");
    }

    #[test]
    fn files_stay_where_policy_says_so_and_where_no_certificate_is_wanted() {
        let mut never = with_file(Scene::holding([proven(1)]));
        never.desired.installers.as_mut().unwrap().remove = crate::policy::RemoveInstallers::Never;
        check(never, expect![]);
        check(
            with_file(Scene::of(&["d1"]).not_wanted("d1")),
            expect![[r#"
            keep installer f1 on sakura/d1: NotSafe
            keep installer f2 on sakura/d1: NotSafe
        "#]],
        );
    }

    #[test]
    fn files_stay_until_every_backup_that_policy_asks_for_was_read_back() {
        for kept in [&[][..], &["nas"]] {
            let told = with_file(Scene::holding([proven(1)]).with_backup("d1", kept)).told();
            let waits = format!("BackupTarget(Backups {{ verified: {}, needed: 2, targets: 2 }})", kept.len());
            let keeps = "keep installer f1 on sakura/d1: NotSafe\nkeep installer f2 on sakura/d1: NotSafe";
            assert_eq!(told.trim_end(), format!("{keeps}\nhold sakura/d1/karte (NotBackedUp): {waits}"));
        }
        let one_is_enough = |kept: &[&str]| {
            let scene = with_file(Scene::holding([proven(1)]).with_backup("d1", kept));
            scene.wishing("d1", |wanted| wanted.backups_min = Some(1))
        };
        let kept = with_file(Scene::holding([proven(1)]).with_backup("d1", &["nas", "offsite"]));
        assert_eq!(one_is_enough(&["offsite"]).told(), kept.told(), "policy asks for one of the two");
        assert!(one_is_enough(&["elsewhere"]).told().contains("NotBackedUp"), "and for none that it does not name");
        assert_eq!(kept.told(), with_file(Scene::holding([proven(1)])).told(), "as if there were no backups");
        let mut found = with_file(Scene::holding([proven(1)]).with_backup("d1", &[]));
        found.seen("d1").certificates[0].backed_up = None;
        assert_eq!(found.told(), kept.told(), "a certificate that was found on the device has no file");
    }

    fn known(slot: &str, held: &Held) -> KnownFrom {
        let slot = slot.parse().unwrap();
        KnownFrom { slot, fingerprint: held.fingerprint, not_before: held.not_before, not_after: held.not_after, proven: true }
    }

    /// A file on `d1` that nobody has put on record, with the keys of these certificates.
    fn with_keys(scene: Scene, certificates: &[&[KnownFrom]]) -> Scene {
        let certificates = certificates.iter().map(|known| known.to_vec()).collect();
        scene.with("d1", |device| drop(device.recognized.insert(Sha256([9; 32]), certificates)))
    }

    const KARTE: &str = "sakura/d1/karte";
    const GOES: &str = "remove installer f9 from sakura/d1\n";
    const NEEDED: &str = "keep installer f9 on sakura/d1: Needed\n";
    const NOT_SAFE: &str = "keep installer f9 on sakura/d1: NotSafe\n";
    const OTHER_CLINIC: &str = "keep installer f9 on sakura/d1: OtherClinic\n";

    #[test]
    fn a_file_that_is_known_by_a_certificate_goes_once_that_very_certificate_is_proven() {
        let own = known(KARTE, &proven(1));
        let told = |scene: Scene| with_keys(scene, &[std::slice::from_ref(&own)]).told();
        assert_eq!(told(Scene::holding([proven(1)])), GOES);
        assert!(told(Scene::holding([held(1, Progress::Installed)])).starts_with(NOT_SAFE));
        assert!(told(Scene::holding([proven(1)]).with_backup("d1", &["nas"])).starts_with(NOT_SAFE));
        assert_eq!(told(Scene::holding([proven(1)]).with_backup("d1", &["nas", "offsite"])), GOES);
        assert!(told(Scene::holding([revoked(1)])).contains(NOT_SAFE));
        assert!(told(Scene::holding([proven(1)]).not_wanted("d1")).contains(NOT_SAFE));
        let recorded = with_keys(Scene::holding([proven(1)]), &[&[]]).with("d1", |device| device.installers.extend([Sha256([9; 32])]));
        assert_eq!(recorded.told(), GOES, "a file that is on record by its hash goes as it always did");
        let gone = with_keys(Scene::holding([proven(1)]), &[std::slice::from_ref(&own)])
            .with("d1", |device| device.removing.extend([Sha256([9; 32])]));
        assert_eq!(gone.told(), "");
    }

    #[test]
    fn a_file_with_something_newer_than_its_slot_stays_and_one_with_something_older_goes() {
        let slot = || Scene::holding([proven(1)]);
        let newer = KnownFrom { not_after: NOW.after(266 * DAY), ..known(KARTE, &proven(2)) };
        let begun_later = KnownFrom { not_before: NOW, ..known(KARTE, &proven(2)) };
        let never_proven = KnownFrom { proven: false, ..known(KARTE, &proven(2)) };
        for (what, other) in [("newer", newer), ("begun later", begun_later), ("never proven", never_proven)] {
            assert_eq!(with_keys(slot(), &[&[other]]).told(), NEEDED, "{what}");
        }
        assert_eq!(
            with_keys(slot(), &[&[known(KARTE, &proven(2))]]).told(),
            GOES,
            "what it holds was replaced by something that lives as long"
        );
    }

    #[test]
    fn every_key_in_a_file_has_to_be_accounted_for() {
        let own = known(KARTE, &proven(1));
        let stranger = KnownFrom { not_after: NOW.after(999 * DAY), ..known(KARTE, &proven(2)) };
        assert_eq!(with_keys(Scene::holding([proven(1)]), &[std::slice::from_ref(&own), &[stranger]]).told(), NEEDED);
        assert_eq!(
            with_keys(Scene::holding([proven(1)]), &[std::slice::from_ref(&own), &[]]).told(),
            OTHER_CLINIC,
            "known from nowhere any more"
        );
        assert_eq!(with_keys(Scene::holding([proven(1)]), &[]).told(), NEEDED);
    }

    #[test]
    fn a_file_with_a_certificate_of_another_clinic_stays() {
        let theirs = known("momiji/d1/karte", &proven(1));
        let scene = || Scene::holding([proven(1)]);
        assert_eq!(with_keys(scene(), &[std::slice::from_ref(&theirs)]).told(), OTHER_CLINIC);
        let guests = known("momiji/d1@sakura/karte", &proven(1));
        assert_eq!(with_keys(scene(), &[&[guests]]).told(), OTHER_CLINIC, "also one that this PC is a guest with");
        assert_eq!(with_keys(scene(), &[&[theirs, known(KARTE, &proven(1))]]).told(), GOES, "one that both have is ours too");
    }

    #[test]
    fn a_file_for_another_device_stays_while_this_one_could_need_it() {
        let other = Held { not_after: NOW.after(300 * DAY), ..proven(2) };
        let scene = Scene::of(&["d1", "d2"]).holds("d1", [proven(1)]).holds("d2", [other.clone()]);
        let theirs = known("sakura/d2/karte", &other);
        assert_eq!(with_keys(scene.clone(), &[std::slice::from_ref(&theirs)]).told(), NEEDED, "it may have been brought for this device");
        let older = scene.holds("d2", [proven(2)]);
        assert_eq!(with_keys(older, &[&[known("sakura/d2/karte", &proven(2))]]).told(), GOES);
        let longest =
            Scene::of(&["d1", "d2"]).holds("d1", [Held { not_after: NOW.after(400 * DAY), ..proven(1) }]).holds("d2", [proven(3)]);
        assert_eq!(with_keys(longest, &[std::slice::from_ref(&theirs)]).told(), NEEDED, "what its own slot has now does not live as long");
        let unproven = Scene::of(&["d1", "d2"]).holds("d1", [proven(1)]).holds("d2", [held(2, Progress::Installed)]);
        assert!(with_keys(unproven, &[&[known("sakura/d2/karte", &proven(2))]]).told().starts_with(NEEDED), "its own slot has to prove it");
    }

    #[test]
    fn what_a_vendor_made_stays_while_policy_wants_a_backup_and_there_is_none() {
        let mut scene = Scene::holding([proven(1)]).vendors("d1", Supply::Person).with_backup("d1", &["nas", "offsite"]);
        let told = |scene: &Scene| with_keys(scene.clone(), &[&[known(KARTE, &proven(1))]]).told();
        assert_eq!(told(&scene), GOES);
        scene.seen("d1").certificates[0].backed_up = None;
        assert_eq!(told(&scene), NEEDED, "it was found on the device, so the file may be all that there is");
        scene = scene.wishing("d1", |wanted| wanted.backups.clear());
        assert_eq!(told(&scene), GOES);
    }

    /// A file with a private key on `d1` that nobody has put on record, where policy wants such files out of the way.
    fn with_stranger(scene: Scene) -> Scene {
        let mut scene = scene.with("d1", |device| device.unknown.extend([Sha256([7; 32])]));
        scene.desired.installers.as_mut().unwrap().on_unknown = crate::policy::OnUnknown::Quarantine;
        scene
    }

    const MOVES: &str = "move f7 on sakura/d1 out of the way\n";

    #[test]
    fn what_nobody_has_put_on_record_is_moved_once_the_device_can_do_without_it() {
        assert_eq!(with_stranger(Scene::holding([proven(1)])).told(), MOVES);
        let keeps = "keep installer f7 on sakura/d1: NotSafe\n";
        for unsafe_yet in [Scene::of(&["d1"]), Scene::holding([held(1, Progress::Installed)]), Scene::holding([proven(1)]).not_wanted("d1")]
        {
            assert!(with_stranger(unsafe_yet).told().contains(keeps));
        }
        assert!(with_stranger(Scene::holding([proven(1)]).with_backup("d1", &["nas"])).told().contains(keeps));
        let ordered = with_stranger(Scene::holding([proven(1)])).with("d1", |device| device.quarantining.extend([Sha256([7; 32])]));
        assert_eq!(ordered.told(), "");
    }

    #[test]
    fn nothing_is_moved_while_a_person_is_to_bring_a_vendors_file() {
        let waits = Scene::holding([proven(1)]).vendors("d1", Supply::Person).ordered("d1", vendors_template());
        assert!(with_stranger(waits).told().starts_with("keep installer f7 on sakura/d1: Awaited\n"));
        let renews = Scene::holding([proven(1)]).ordered("d1", template());
        assert!(with_stranger(renews).told().starts_with(MOVES), "what the device does by itself needs no file");
    }

    #[test]
    fn files_are_moved_only_where_policy_says_so_also_where_none_is_removed_and_none_that_is_exempt() {
        let mut scene = with_stranger(Scene::holding([proven(1)]));
        scene.desired.installers.as_mut().unwrap().remove = crate::policy::RemoveInstallers::Never;
        assert_eq!(scene.told(), MOVES);
        for on_unknown in [crate::policy::OnUnknown::Ask, crate::policy::OnUnknown::Ignore] {
            scene.desired.installers.as_mut().unwrap().on_unknown = on_unknown;
            assert_eq!(scene.told(), "");
        }
        let mut exempt = with_stranger(Scene::holding([proven(1)]));
        let exemption = crate::policy::Exemption { device: None, file: Some(Sha256([7; 32])), until: NOW.after(DAY) };
        exempt.desired.installers.as_mut().unwrap().exempt = vec![exemption];
        assert_eq!(exempt.told(), "keep installer f7 on sakura/d1: Exempt until 2026-04-02T00:00:00Z\n");
    }

    #[test]
    fn files_of_a_guest_are_its_home_clinics_business() {
        let mut scene = Scene::of(&[]);
        let guest: SlotId = "sakura/note@momiji/karte".parse().unwrap();
        let home = with_file(Scene::of(&["d1"])).observed.devices.remove(&device("d1")).unwrap();
        scene.observed.devices.insert(guest.device.clone(), home);
        scene.observed.slots.insert(guest.clone(), crate::fleet::ObservedSlot { certificates: vec![proven(1)], ..Default::default() });
        scene.desired.slots.insert(guest, wanted());
        check(
            scene,
            expect![[r#"
            keep installer f1 on momiji/note: NotSafe
            keep installer f2 on momiji/note: NotSafe
        "#]],
        );
    }
}

mod lockout {
    use super::*;

    fn locked_out_by(before: &Scene, after: &Scene) -> Vec<String> {
        locked_out(&before.desired, &after.desired, &before.observed, NOW).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_device_that_policy_drops_is_locked_out_and_one_that_never_worked_is_not() {
        let scene = Scene::of(&["d1", "d2", "d3"]).holds("d1", [proven(1)]).holds("d2", [held(2, Progress::Installed)]);
        let after = scene.clone().not_wanted("d1").not_wanted("d2").not_wanted("d3");
        assert_eq!(locked_out_by(&scene, &after), ["sakura/d1"]);
    }

    #[test]
    fn a_certificate_that_is_to_be_replaced_counts_as_kept() {
        let scene = Scene::holding([proven(1)]);
        let mut after = scene.clone();
        after.desired.slots.values_mut().for_each(|slot| slot.template = old_template());
        assert_eq!(locked_out_by(&scene, &after), [""; 0]);
    }

    #[test]
    fn what_expires_within_a_day_anyway_is_not_caused_by_the_change() {
        let scene = Scene::of(&["d1", "d2"]).holds("d1", [expiring_in(1, 23 * HOUR)]).holds("d2", [expiring_in(2, 25 * HOUR)]);
        let after = scene.clone().not_wanted("d1").not_wanted("d2");
        assert_eq!(locked_out_by(&scene, &after), ["sakura/d2"]);
    }

    #[test]
    fn a_device_that_loses_one_of_its_systems_is_locked_out_of_that() {
        let mut scene = Scene::holding([proven(1)]);
        let other: SlotId = "sakura/d1/weborca".parse().unwrap();
        scene.desired.slots.insert(other.clone(), wanted());
        scene.observed.slots.insert(other, crate::fleet::ObservedSlot { certificates: vec![proven(2)], ..Default::default() });
        assert_eq!(locked_out_by(&scene, &scene.clone().not_wanted("d1")), ["sakura/d1"]);
    }
}

/// A vendor's file has to be brought by a person.
mod vendor {
    use super::*;
    use crate::fleet::Supply;

    #[test]
    fn the_file_is_ordered_and_then_waited_for() {
        check(
            Scene::of(&["d1"]).vendors("d1", Supply::Person),
            expect![[r#"
                issue sakura/d1/karte (Missing)
            "#]],
        );
        check(
            Scene::of(&["d1"]).vendors("d1", Supply::Person).ordered("d1", vendors_template()),
            expect![[r#"
                hold sakura/d1/karte (Ordered): VendorFile
            "#]],
        );
    }

    #[test]
    fn what_a_person_has_to_bring_keeps_no_other_replacement_waiting() {
        let devices = ["d1", "d2", "d3"];
        let scene = devices.iter().fold(Scene::of(&devices), |scene, name| scene.holds(name, [expiring_in(1, DAY * 25)])).at_once(1);
        let scene = devices.iter().take(2).fold(scene, |scene, name| scene.vendors(name, Supply::Person));
        check(
            scene.ordered("d1", vendors_template()),
            expect![[r#"
                issue sakura/d2/karte (ExpiresSoon), replacing c1
                issue sakura/d3/karte (ExpiresSoon), replacing c1
                hold sakura/d1/karte (Ordered): VendorFile
            "#]],
        );
    }

    #[test]
    fn the_device_renews_at_the_vendors_with_what_works_and_only_then() {
        let works = Scene::holding([expiring_in(1, DAY)]).vendors("d1", Supply::Renewal).ordered("d1", vendors_template());
        let expired = Scene::holding([expired(1)]).vendors("d1", Supply::Renewal).ordered("d1", vendors_template());
        check(
            works,
            expect![[r#"
                hold sakura/d1/karte (Ordered): Device
            "#]],
        );
        check(
            expired,
            expect![[r#"
                hold sakura/d1/karte (Expired): VendorFile
            "#]],
        );
    }

    #[test]
    fn names_are_the_vendors_choice_the_issuer_is_not() {
        let named = |change: fn(&mut Template)| {
            let mut scene = Scene::holding([proven(1)]).vendors("d1", Supply::Person);
            change(&mut scene.seen("d1").certificates[0].template);
            scene.plan().verdicts[&slot("d1")]
        };
        assert_eq!(named(|template| template.common_name = "client1210".into()), None);
        assert_eq!(named(|template| template.validity = DAY), None);
        assert_eq!(named(|template| template.issuer = "other".parse().unwrap()), Some(Reason::Outdated));
        assert_eq!(named(|template| template.key = super::template().key), Some(Reason::Outdated));
    }
}

/// Other programs hold a copy of the certificate, and a person has to change it there.
mod dependants {
    use super::*;

    fn confirmed(number: u64) -> Held {
        Held { confirmed: ["tool".parse().unwrap()].into(), ..proven(number) }
    }

    #[test]
    fn both_certificates_stay_until_a_person_says_that_the_tool_was_changed() {
        check(
            Scene::holding([confirmed(1), proven(2)]).with_dependant("d1"),
            expect![[r#"
                hold sakura/d1/karte (DependantsOpen): Dependants
            "#]],
        );
        check(
            Scene::holding([proven(1), confirmed(2)]).with_dependant("d1"),
            expect![[r#"
                retire c1 from sakura/d1/karte (Leftover)
            "#]],
        );
    }

    #[test]
    fn what_was_revoked_goes_at_once() {
        check(
            Scene::holding([revoked(1), proven(2)]).with_dependant("d1"),
            expect![[r#"
                retire c1 from sakura/d1/karte (Revoked)
                hold sakura/d1/karte (DependantsOpen): Dependants
            "#]],
        );
    }

    #[test]
    fn a_tool_that_nobody_changed_never_keeps_a_renewal_waiting() {
        let scene = Scene::holding([expiring_in(1, DAY)]).with_dependant("d1");
        assert_eq!(scene.plan().verdicts[&slot("d1")], Some(Reason::ExpiresSoon));
    }
}
