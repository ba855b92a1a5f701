use std::time::Duration;

use expect_test::{Expect, expect};

use super::*;
use crate::fleet::{Loose, Progress};
use crate::plan::fixtures::*;
use crate::simulate::serial;
use crate::time::HOUR;

fn reception() -> AccountName {
    "reception".parse().unwrap()
}

/// One account with these bounds on top of what [`Scene::quota`] gives it.
fn bounded(scene: Scene, quotas: &[(u32, Option<Duration>, Counting)]) -> Scene {
    let mut scene = scene.quota(0, None);
    let quotas = quotas.iter().map(|(certificates, per, counting)| Quota { certificates: *certificates, per: *per, counting: *counting });
    scene.desired.quotas.insert(reception(), quotas.collect());
    scene
}

fn statement(scene: &Scene) -> Statement {
    statements(&scene.desired, &scene.observed, NOW).remove(&reception()).unwrap()
}

fn check(scene: &Scene, expected: Expect) {
    let Statement { bounds, short, spares } = statement(scene);
    let mut told = String::new();
    let day = |at: Option<Timestamp>| at.map_or("never".into(), |at| at.to_string());
    for bound in bounds {
        let per = bound.quota.per.map_or("alive".into(), |per| format!("in {} days", per.as_secs() / 86_400));
        told += &format!(
            "{} of {} {per}, {} reserved: {:?}, full {}\n",
            bound.used,
            bound.quota.certificates,
            bound.reserved,
            bound.pressure,
            day(bound.exhausted_at)
        );
    }
    for Short { slot, quota, number, until } in short {
        told += &format!("number {number} of {}: {slot}, room {}\n", quota.certificates, day(until));
    }
    for spare in spares {
        told += &format!("{} {:?}, since {}\n", spare.slot, spare.because, day(spare.since));
    }
    expected.assert_eq(&told);
}

const PER_730: Option<Duration> = Some(Duration::from_secs(730 * 86_400));

#[test]
fn number_51_is_named_before_anybody_asks_a_portal_for_it() {
    let names: Vec<String> = (1..=51).map(|number| format!("d{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut scene = Scene::of(&names);
    for (name, number) in names.iter().take(50).zip(1..) {
        scene = scene.holds(name, [proven(number)]);
    }
    let scene = bounded(scene.silent("d07").with("d03", |device| device.last_seen = NOW.before(90 * DAY)), &[(50, None, Counting::Issued)]);
    check(
        &scene,
        expect![[r#"
            50 of 50 alive, 1 reserved: Short, full 2026-04-01T00:00:00Z
            number 51 of 50: sakura/d51/karte, room never
            sakura/d03/karte SilentDevice, since 2026-01-01T00:00:00Z
            sakura/d07/karte SilentDevice, since 2026-03-30T00:00:00Z
        "#]],
    );
    // A device that has not enrolled is asked for just as well.
    assert_eq!(statement(&scene.not_enrolled("d51")).short[0].number, 51);
}

#[test]
fn both_bounds_of_an_account_are_told_and_a_warning_comes_at_four_fifths() {
    let scene = Scene::of(&["d1", "d2", "d3", "d4"]).holds("d1", [proven(1)]).issued_ago("d1", [700 * DAY, 100 * DAY]);
    let scene = scene.holds("d2", [proven(2)]).issued_ago("d2", [100 * DAY]);
    check(
        &bounded(scene, &[(5, None, Counting::Issued), (9, PER_730, Counting::Issued)]),
        expect![[r#"
            2 of 5 alive, 2 reserved: Tight, full never
            3 of 9 in 730 days, 4 reserved: Ample, full never
        "#]],
    );
}

#[test]
fn what_could_go_is_ranked_by_how_little_it_would_be_missed() {
    let never = crate::fleet::Held { not_before: NOW.before(3 * DAY), ..held(5, Progress::Installed) };
    let fresh = crate::fleet::Held { not_before: NOW.before(HOUR), ..held(6, Progress::Installed) };
    let scene = Scene::of(&["d1", "d2", "d3", "d4", "d5", "d6", "d7"])
        .holds("d1", [proven(1), proven(11)])
        .holds("d2", [proven(2)])
        .silent("d2")
        .holds("d3", [proven(3)])
        .holds("d4", [proven(4)])
        .with("d4", |device| device.revoked = true)
        .holds("d5", [never])
        .holds("d6", [fresh])
        .holds("d7", [expired(7)]);
    let mut scene = bounded(scene, &[(50, None, Counting::Issued), (25, PER_730, Counting::Unrevoked)]).not_wanted("d3");
    let loose = Loose { slot: slot("d8"), serial: serial(8), not_after: NOW.after(DAY) };
    scene.observed.accounts.get_mut(&reception()).unwrap().loose.push(loose);
    let order: Vec<Useless> = statement(&scene).spares.iter().map(|spare| spare.because).collect();
    assert_eq!(order, Useless::ALL);
    // An issuer that counts what was revoked too gives nothing back.
    let scene = Scene { desired: bounded(scene.clone(), &[(25, PER_730, Counting::Issued)]).desired, ..scene };
    assert_eq!(statement(&scene).spares, []);
}

#[test]
fn revoking_frees_a_place_only_where_the_issuer_counts_so() {
    let scene = |counting| {
        let mut scene = bounded(Scene::of(&["d1"]), &[(1, PER_730, counting)]);
        let account = scene.observed.accounts.get_mut(&reception()).unwrap();
        account.issued_at.push(NOW.before(DAY));
        scene
    };
    assert_eq!(statement(&scene(Counting::Unrevoked)).short, []);
    assert_eq!(statement(&scene(Counting::Issued)).short[0].until, Some(NOW.after(729 * DAY)));
}
