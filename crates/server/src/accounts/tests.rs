use std::time::Duration;

use super::*;
use crate::policy::ApplyError;
use crate::pretend::{World, clinic as clinic_with, retired, tenant};

/// The clinic `sakura` whose certificates all count against `reception`, with these accounts.
fn sakura(devices: &[&str], accounts: &str) -> String {
    let clinic = clinic_with("sakura", devices, &format!("  accounts:\n{accounts}"));
    clinic.replace("{ profile: karte }", "{ profile: karte, account: reception }")
}

fn sakura_name() -> ClinicName {
    "sakura".parse().unwrap()
}

const TWO: &str = "    - { name: reception, quota: { certificates: 2, also: [{ certificates: 20, per: 365d, counting: unrevoked }] } }\n";

#[tokio::test]
async fn an_account_says_what_it_may_still_have() {
    let world = World::with(&[&sakura(&["pc-1", "pc-2"], TWO)]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    world.prove(&mut pc, "sakura/pc-1/karte").await;
    let accounts = quotas(&world.ledger, &tenant(), None, world.now).await.unwrap();
    let account = &accounts[0];
    assert_eq!((accounts.len(), &account.name[..], &account.state[..], account.short.len()), (1, "sakura/reception", "active", 0));
    let told: Vec<_> =
        account.bounds.iter().map(|b| (b.limit, b.per_seconds, &b.counting[..], b.used, b.reserved, &b.pressure[..])).collect();
    assert_eq!(told, [(2, None, "alive", 1, 1, "full"), (20, Some(31_536_000), "unrevoked", 1, 2, "ample")]);
    assert_eq!(quotas(&world.ledger, &tenant(), Some(&sakura_name()), world.now).await.unwrap(), accounts);
    let wider = |limit: u32| format!("    - {{ name: reception, quota: {{ certificates: {limit} }} }}\n");
    let world = World::with(&[&sakura(&["pc-1"], &wider(5))]).await;
    let preview = world.preview(&[&sakura(&["pc-1", "pc-2", "pc-3", "pc-4"], &wider(5))]).await.unwrap();
    let told: Vec<_> = preview.tight.iter().map(|tight| (&tight.account[..], &tight.bound.pressure[..], tight.bound.reserved)).collect();
    assert_eq!((told, preview.over_quota.len()), (vec![("sakura/reception", "tight", 4)], 0));
    assert!(world.preview(&[&sakura(&["pc-1", "pc-2", "pc-3"], &wider(5))]).await.unwrap().tight.is_empty());
}

/// The policy is possible, and was until two PCs were set up again and again: number 3 is refused, and named, before anybody is asked.
#[tokio::test]
async fn what_finds_no_place_is_told_and_refused_unless_allowed() {
    let rolling = |more: &[&str]| {
        let devices = [&["pc-1"], more].concat();
        sakura(&devices, "    - { name: reception, quota: { certificates: 3, per: 30d, counting: unrevoked } }\n")
    };
    let mut world = World::with(&[&rolling(&[])]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let first = world.prove(&mut pc, "sakura/pc-1/karte").await;
    for _ in 0..2 {
        crate::asks::ask_renewal(
            &world.ledger,
            &world.bells,
            &tenant(),
            &world.newest("sakura/pc-1/karte").await.serial,
            "person:test",
            world.now,
        )
        .await
        .unwrap();
        world.pass(Duration::from_secs(7_200));
        world.settle().await;
        world.prove(&mut pc, "sakura/pc-1/karte").await;
    }
    let refused = world.apply(&[&rolling(&["pc-2"])]).await;
    let Err(ApplyError::OverQuota(preview)) = refused else { panic!("{refused:?}") };
    let short = &preview.over_quota[0];
    assert_eq!((&short.account[..], &short.slot[..], short.number, short.limit), ("sakura/reception", "sakura/pc-2/karte", 4, 3));
    assert!(short.spares.iter().any(|spare| spare.because == "gone" && spare.serial == first.serial.to_string()), "{short:?}");
    assert!(short.until.is_some() && preview.over_quota.len() == 1);
    assert_eq!(world.ledger.policy(&tenant()).await.unwrap().clinics[&sakura_name()].devices.len(), 1, "nothing was applied");

    crate::asks::revoke_certificate(&world.ledger, &world.bells, &tenant(), &first.serial, &Default::default(), "person:test", world.now)
        .await
        .unwrap();
    world.apply(&[&rolling(&["pc-2"])]).await.expect("there is a place now");
}

const TO_RECEPTION: &str =
    "    - { name: reception, state: left, successor: doctor }\n    - { name: doctor, quota: { certificates: 5 } }\n";

#[tokio::test]
async fn who_leaves_shows_what_goes_and_what_is_taken_over_and_is_revoked_only_then() {
    let here = "    - { name: reception }\n    - { name: doctor }\n";
    let world = World::with(&[&sakura(&["pc-1"], here)]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let old = world.prove(&mut pc, "sakura/pc-1/karte").await;

    let gone = detail(&world.ledger, &tenant(), &sakura_name(), &"reception".parse().unwrap(), world.now).await.unwrap().unwrap();
    assert_eq!((gone.leaving.certificates, &gone.leaving.lost[..]), (1, &["sakura/pc-1/karte".to_owned()][..]));
    assert_eq!((&gone.leaving.locked_out[..], gone.slots.len()), (&["sakura/pc-1".to_owned()][..], 1));
    assert_eq!(gone.leaving.sites, ["https://sakura.karte.example.jp"]);

    let refused = world.apply(&[&sakura(&["pc-1"], "    - { name: reception, state: left }\n    - { name: doctor }\n")]).await;
    let Err(ApplyError::WouldLockOut(preview)) = refused else { panic!("{refused:?}") };
    assert_eq!(preview.leaving, [gone.leaving], "a preview says the same");

    let preview = world.apply(&[&sakura(&["pc-1"], TO_RECEPTION)]).await.unwrap();
    let left = &preview.leaving[0];
    assert_eq!(
        (&left.account[..], &left.moves[0].to[..], left.lost.len(), left.locked_out.len()),
        ("sakura/reception", "sakura/doctor", 0, 0)
    );
    world.settle().await;
    assert!(world.ledger.store().certificate(&old.serial).await.unwrap().unwrap().revoked_at.is_none(), "not before the new one is proven");
    let new = world.issue("sakura/pc-1/karte").await;
    world.settle().await;
    assert!(world.ledger.store().certificate(&old.serial).await.unwrap().unwrap().revoked_at.is_none(), "issued is not proven");
    world.tell(&mut pc, vec![crate::pretend::installed(&new), crate::pretend::proven(&new), retired(&old)]).await;
    world.settle().await;
    let old = world.ledger.store().certificate(&old.serial).await.unwrap().unwrap();
    assert!(old.revoked_at.is_some() && old.retired_at.is_some());
    assert_eq!(new.account, Some("doctor".parse().unwrap()));
    let other = "nobody".parse().unwrap();
    assert!(detail(&world.ledger, &tenant(), &sakura_name(), &other, world.now).await.unwrap().is_none());
}

#[tokio::test]
async fn a_slot_says_when_it_is_renewed_and_that_it_expires_while_the_clinic_is_closed() {
    // 90 days from 2027-01-15 is 2027-04-15.
    let hours = "  hours: { timeZone: Asia/Tokyo, open: { mon-fri: \"09:00-18:00\" }, closed: [2027-04-12/2027-04-18] }\n";
    let closed = clinic_with("sakura", &["pc-1"], hours);
    let world = World::with(&[&closed]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let row = world.prove(&mut pc, "sakura/pc-1/karte").await;
    let found = slot(&world.ledger, &tenant(), &"sakura/pc-1/karte".parse().unwrap(), world.now).await.unwrap().unwrap();
    let closing = found.closing.clone().unwrap();
    assert_eq!((&closing.first[..], &closing.last[..], &closing.last_open[..]), ("2027-04-10", "2027-04-18", "2027-04-09"));
    assert!(found.due.unwrap() < row.not_after.unix() && found.attempts.unwrap() >= 10, "{found:?}");
    let preview = world.preview(&[&closed.replace("displayName: sakura", "displayName: Sakura")]).await.unwrap();
    assert_eq!(preview.expires_while_closed, [closing]);
}
