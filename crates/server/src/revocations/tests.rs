use std::time::Duration;

use tegata_api::v1::revocation::Cause as Reason;

use super::*;
use crate::pretend::{Pc, World, installed, proven, sakura, tenant};
use crate::store::CertificateRow;

const SLOT: &str = "sakura/pc-1/karte";

/// A world in which three PCs have one certificate each, proven.
async fn three() -> (World, Vec<Pc>, Vec<CertificateRow>) {
    let world = World::with(&[&sakura(&["pc-1", "pc-2", "pc-3"])]).await;
    let (mut pcs, mut rows) = (vec![], vec![]);
    for name in ["sakura/pc-1", "sakura/pc-2", "sakura/pc-3"] {
        pcs.push(world.enrol(name).await);
    }
    world.settle().await;
    for pc in &mut pcs {
        let slot = format!("{}/karte", pc.device);
        rows.push(world.prove(pc, &slot).await);
    }
    (world, pcs, rows)
}

fn of_issuer() -> Said {
    Said { issuer: Some("portal".into()), ..Said::default() }
}

async fn shown(world: &World, selection: &Said) -> Blast {
    preview(&world.ledger, &tenant(), selection, world.now).await.unwrap()
}

async fn carry(world: &World, selection: Said, digest: String, mode: Mode) -> Result<RevokedMany, AskError> {
    let wish = RevokeMany { selection, digest, reason: Reason::KeyCompromise, note: "broken generator".into(), mode };
    carry_out(&world.ledger, &world.bells, &tenant(), &wish, "person:test", world.now).await
}

async fn row(world: &World, serial: &Serial) -> CertificateRow {
    world.ledger.store().certificate(serial).await.unwrap().unwrap()
}

async fn cause(world: &World, serial: &Serial) -> Option<Cause> {
    let verdict = world.ledger.store().verdict(&tenant(), &"portal".parse().unwrap(), serial).await.unwrap();
    verdict.unwrap().revoked.map(|(_, cause)| cause)
}

#[tokio::test]
async fn r3_what_was_shown_is_done_and_nothing_else() {
    let (world, _, rows) = three().await;
    let one = Said { device: Some("sakura/pc-1".into()), ..Said::default() };
    let (few, all) = (shown(&world, &one).await, shown(&world, &of_issuer()).await);
    assert_eq!((few.certificates, few.cut_off, all.certificates, all.cut_off), (1, 1, 3, 3));
    assert_eq!(all.clinics, [ClinicBlast { clinic: "sakura".into(), certificates: 3, cut_off: 3 }]);
    assert_ne!(few.digest, all.digest);
    let log = world.log().await;
    assert_eq!(carry(&world, one.clone(), few.digest, Mode::Now).await.unwrap(), RevokedMany { revoked: 1, replacing: 0, left: 0 });
    assert_eq!(cause(&world, &rows[0].serial).await, Some(Cause::KeyCompromise));
    for row in &rows[1..] {
        assert_eq!(cause(&world, &row.serial).await, None);
    }
    let told = world.log().await.split_off(log.len());
    let slot = format!("certificate.revoke {SLOT}");
    let expected = ["intended certificates.revoke aozora".into(), format!("intended {slot}"), format!("done {slot}")];
    assert_eq!(told, [&expected[..], &["done certificates.revoke aozora".into()]].concat());
}

#[tokio::test]
async fn r3_if_the_set_has_changed_meanwhile_nothing_is_done() {
    let (world, _, rows) = three().await;
    let before = shown(&world, &of_issuer()).await;
    let one = Said { serials: vec![rows[1].serial.to_string()], ..Said::default() };
    let digest = shown(&world, &one).await.digest;
    carry(&world, one, digest, Mode::Now).await.unwrap();
    let log = world.log().await;
    for mode in [Mode::Now, Mode::Replace] {
        let refused = carry(&world, of_issuer(), before.digest.clone(), mode).await;
        assert!(matches!(refused, Err(AskError::Store(StoreError::Conflict(_)))), "{refused:?}");
    }
    assert_eq!(world.log().await, log);
    assert_eq!((cause(&world, &rows[0].serial).await, cause(&world, &rows[2].serial).await), (None, None));
}

#[tokio::test]
async fn r3_replaced_is_revoked_only_when_its_successor_is_proven() {
    let (world, mut pcs, rows) = three().await;
    let digest = shown(&world, &of_issuer()).await.digest;
    let done = carry(&world, of_issuer(), digest, Mode::Replace).await.unwrap();
    assert_eq!(done, RevokedMany { revoked: 0, replacing: 3, left: 0 });
    world.settle().await;
    let next = world.issue(SLOT).await;
    world.tell(&mut pcs[0], vec![installed(&next)]).await;
    world.settle().await;
    for old in &rows {
        assert_eq!(cause(&world, &old.serial).await, None, "make before break");
        assert_eq!(row(&world, &old.serial).await.retiring_at, None, "make before break");
    }
    world.tell(&mut pcs[0], vec![proven(&next)]).await;
    world.settle().await;
    let causes = [cause(&world, &rows[0].serial).await, cause(&world, &rows[1].serial).await, cause(&world, &next.serial).await];
    assert_eq!(causes, [Some(Cause::KeyCompromise), None, None]);
    assert!(row(&world, &rows[0].serial).await.retiring_at.is_some(), "and it is ordered off its device");
    assert_eq!(world.logged(&format!("done certificate.revoke {SLOT}")).await, 1);
    for number in [1, 2] {
        let slot = format!("{}/karte", pcs[number].device);
        world.prove(&mut pcs[number], &slot).await;
        assert_eq!(cause(&world, &rows[number].serial).await, Some(Cause::KeyCompromise));
    }
    let left = shown(&world, &of_issuer()).await;
    assert_eq!(left.certificates, 3, "only the successors are left");
}

#[tokio::test]
async fn r3_what_has_a_successor_or_is_gone_is_revoked_at_once() {
    let (mut world, mut pcs, rows) = three().await;
    // The first was replaced already and only waits to be removed; the second is gone from its PC.
    let ask = |serial| crate::asks::ask_renewal(&world.ledger, &world.bells, device_tenant(), serial, "person:test", world.now);
    ask(&rows[0].serial).await.unwrap();
    world.settle().await;
    let next = world.issue(SLOT).await;
    world.tell(&mut pcs[0], vec![installed(&next), proven(&next)]).await;
    world.tell(&mut pcs[1], vec![crate::pretend::retired(&rows[1])]).await;
    world.pass(Duration::from_secs(1));
    let selection = Said { serials: rows.iter().map(|row| row.serial.to_string()).collect(), ..Said::default() };
    let blast = shown(&world, &selection).await;
    assert_eq!((blast.certificates, blast.cut_off), (3, 1), "only the third PC depends on one of them");
    let done = carry(&world, selection, blast.digest, Mode::Replace).await.unwrap();
    assert_eq!(done, RevokedMany { revoked: 2, replacing: 1, left: 0 });
    assert_eq!(cause(&world, &rows[2].serial).await, None);
}

fn device_tenant() -> &'static TenantName {
    static TENANT: std::sync::LazyLock<TenantName> = std::sync::LazyLock::new(tenant);
    &TENANT
}

#[tokio::test]
async fn r3_many_batches_are_carried_out_like_one() {
    let names: Vec<String> = (0..TOGETHER + 20).map(|n| format!("pc-{n}")).collect();
    let world = World::with(&[&sakura(&names.iter().map(String::as_str).collect::<Vec<_>>())]).await;
    let pc = world.enrol("sakura/pc-0").await;
    let (mut changes, mut orders) = (vec![], vec![]);
    world.settle().await;
    let snapshot =
        world.ledger.store().snapshot(&ClinicId { tenant: tenant(), clinic: "sakura".parse().unwrap() }, world.now).await.unwrap();
    orders.extend(snapshot.orders);
    // Only one PC has enrolled; the others' certificates were given to PCs that are not here any more.
    let template = orders[0].clone();
    for (n, name) in names.iter().enumerate().skip(1) {
        let (id, serial) = (tegata_core::name::OrderId(u128::try_from(n).unwrap().to_be_bytes()), tegata_pki::authority::new_serial());
        let slot = format!("sakura/{name}/karte").parse().unwrap();
        changes.push(Change::OpenOrder(crate::store::OrderRow { id, slot, ..template.clone() }));
        let draft = crate::store::Draft { serial, public_key: sha256(&serial.0), tbs: vec![1], shard: 1 };
        changes.push(Change::PutDraft { id, draft });
        let (fingerprint, not_after) = (sha256(&serial.0), world.now.after(Duration::from_secs(9_000)));
        let issued = crate::store::Issued { order: id, serial, der: vec![1], fingerprint, not_before: world.now, not_after, at: world.now };
        changes.push(Change::Fulfil(issued));
    }
    world.note(changes).await;
    let blast = shown(&world, &of_issuer()).await;
    assert_eq!(blast.certificates, (TOGETHER + 19) as u64);
    let done = carry(&world, of_issuer(), blast.digest, Mode::Now).await.unwrap();
    assert_eq!(done.revoked, blast.certificates);
    assert_eq!(shown(&world, &of_issuer()).await.certificates, 0);
    assert_eq!(world.logged("done certificate.revoke ").await, TOGETHER + 19);
    drop(pc);
}

#[tokio::test]
async fn a_selection_that_says_nothing_or_nonsense_is_refused() {
    let (world, _, rows) = three().await;
    let nonsense = [
        Said::default(),
        Said { serials: vec!["4f".into()], ..Said::default() },
        Said { device: Some("pc-1".into()), ..Said::default() },
        Said { issuer: Some("Portal!".into()), ..Said::default() },
    ];
    for selection in nonsense {
        let refused = preview(&world.ledger, &tenant(), &selection, world.now).await;
        assert!(matches!(refused, Err(AskError::Malformed(_))), "{selection:?}: {refused:?}");
    }
    let unknown = Said { serials: vec![rows[0].serial.to_string(), "40".repeat(16)], ..Said::default() };
    let refused = preview(&world.ledger, &tenant(), &unknown, world.now).await;
    assert!(matches!(refused, Err(AskError::NotFound(_))), "{refused:?}");
    let midori = "midori".parse().unwrap();
    let foreign = Said { serials: vec![rows[0].serial.to_string()], ..Said::default() };
    let refused = preview(&world.ledger, &midori, &foreign, world.now).await;
    assert!(matches!(refused, Err(AskError::NotFound(_))), "{refused:?}");
    assert_eq!(preview(&world.ledger, &midori, &of_issuer(), world.now).await.unwrap().certificates, 0);
}
