//! A database that was put back: what it refuses, what it forgets, and what it learns from devices.

use tegata_api::v1::device::Deed;
use tegata_core::name::SlotId;
use tegata_core::time::DAY;

use super::*;
use crate::pretend::{Pc, World, device, installed, proven, sakura, tenant};
use crate::receipts::{self, ReceiptError};
use crate::store::approvals::{ApprovalChange, ApprovalRow, What};
use crate::store::{CertificateRow, CodeRow, OrderState};
use crate::{asks, turn};

const SLOT: &str = "sakura/pc-1/karte";

/// A clinic with a proven certificate, a copy of that, and what was issued afterwards and lost.
async fn lost() -> (World, Pc, CertificateRow) {
    let world = World::with(&[&sakura(&["pc-1", "pc-2"])]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let first = world.prove(&mut pc, SLOT).await;
    let copy = world.copy().await;
    asks::ask_renewal(&world.ledger, &world.bells, &tenant(), &first.serial, "person:test", world.now).await.unwrap();
    world.settle().await;
    let second = world.prove(&mut pc, SLOT).await;
    let seen = world.manifest(&pc).await.generation;
    let world = world.put_back(copy).await;
    assert!(world.manifest(&pc).await.generation < seen);
    // The receipts that it is sent from now on are numbered behind those that the database knows.
    pc.number = world.row(&pc).await.receipts;
    (world, pc, second)
}

async fn recovered(world: &World) -> Recovered {
    let request = RecoverRequest { note: "the disk broke".into(), by_hand: false };
    recover(&world.ledger, &world.bells, &request, ("person:test", world.now)).await.unwrap()
}

async fn say(world: &World, pc: &mut Pc, deed: Deed) -> Result<u64, ReceiptError> {
    let signed = pc.sign(world.now, deed);
    let row = world.row(pc).await;
    receipts::accept(&world.ledger, &world.bells, &row, vec![signed], world.now).await.map(|answer| answer.up_to)
}

fn is_refused<T>(done: Result<T, StoreError>) -> bool {
    matches!(done, Err(StoreError::Recovering))
}

#[tokio::test]
async fn s5_nothing_is_given_out_until_the_epoch_is_on_record() {
    let (world, mut pc, second) = lost().await;
    let clinic = ClinicId { tenant: tenant(), clinic: "sakura".parse().unwrap() };
    let first = world.newest(SLOT).await;
    asks::revoke_certificate(&world.ledger, &world.bells, &tenant(), &first.serial, &revocation(), "person:test", world.now).await.unwrap();
    for (action, changes) in [
        ("identity.sign", vec![]),
        ("certificate.sign", vec![]),
        ("manifest.raise", vec![Change::PutManifest { tenant: tenant(), device: pc.device.clone(), manifest: Manifest::default() }]),
        ("backup.read", vec![Change::Rest { clinic: clinic.clone(), as_of: 0, at: None }]),
    ] {
        let records = vec![record(&tenant(), Stage::Intended, "tegata", action, SLOT, json!({}), world.now)];
        assert!(is_refused(world.ledger.record((), Batch { records, changes: changes.clone() }).await.map(drop)), "{action}");
        assert!(changes.is_empty() || is_refused(world.ledger.note(Batch { records: vec![], changes }).await), "{action}");
    }
    assert!(matches!(turn::turn(&world.ledger, &world.bells, &clinic, world.now).await, Err(TurnError::Store(StoreError::Recovering))));
    assert!(matches!(say(&world, &mut pc, proven(&second)).await, Err(ReceiptError::Store(StoreError::Recovering))));
    pc.number -= 1;

    assert_eq!(recovered(&world).await.epoch, 1);
    assert_eq!(world.ledger.history(), History { epoch: 1, is_open: false });
    world.settle().await;
    let world = world.restart().await;
    assert_eq!(world.ledger.history(), History { epoch: 1, is_open: false });
    let again =
        recover(&world.ledger, &world.bells, &RecoverRequest { note: "x".into(), by_hand: false }, ("person:test", world.now)).await;
    assert!(matches!(again, Err(RecoverError::NotRestored)));
}

fn revocation() -> tegata_api::v1::fleet::RevokeRequest {
    serde_json::from_value(json!({ "reason": "unspecified", "note": "" })).unwrap()
}

#[tokio::test]
async fn s5_what_may_have_been_used_is_not_used_again() {
    let world = World::with(&[&sakura(&["pc-1", "pc-2"])]).await;
    let pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let order = world.order(SLOT).await.id;
    let code = CodeRow {
        handle: "AAAAAA".into(),
        tenant: tenant(),
        device: pc.device.clone(),
        digest: tegata_core::name::Sha256([1; 32]),
        tries_left: 5,
        expires_at: world.now.after(DAY),
        used_by: None,
    };
    let read = ApprovalRow {
        id: "AAAAAAAA".into(),
        tenant: tenant(),
        what: What::ReadBackup,
        object: SLOT.into(),
        devices: 0,
        asked_by: "person:one".into(),
        expires_at: world.now.after(DAY),
        approved_by: Some("person:two".into()),
        used_at: None,
    };
    world.note(vec![Change::PutCode(code), Change::Approval(ApprovalChange::Ask(read))]).await;
    let copy = world.copy().await;
    let world = world.put_back(copy).await;
    assert_eq!(recovered(&world).await.orders_cancelled, 1);
    assert_eq!(world.ledger.store().order(&order).await.unwrap().unwrap().state, OrderState::Cancelled);
    assert_eq!(world.ledger.store().code("AAAAAA").await.unwrap(), None);
    assert_eq!(world.ledger.store().approval(&tenant(), "AAAAAAAA").await.unwrap(), None);
    world.settle().await;
    assert_ne!(world.order(SLOT).await.id, order);
    assert_eq!((world.logged("done order.cancel").await, world.logged("done state.recover").await), (1, 1));
}

#[tokio::test]
async fn s5_a_device_that_is_ahead_is_counted_on_from_where_it_is() {
    let (world, pc, _) = lost().await;
    let row = world.row(&pc).await;
    ahead(&world.ledger, &world.bells, &row, 40, world.now).await.unwrap();
    assert_eq!(world.manifest(&pc).await.generation, 40);
    recovered(&world).await;
    world.settle().await;
    let manifest = world.manifest(&pc).await;
    assert_eq!((manifest.generation, manifest.epoch, manifest.slots.len()), (41, 1, 1), "made anew, and newer than all that it has seen");
    for impossible in [40, u64::MAX] {
        let row = world.row(&pc).await;
        if impossible > row.manifest.generation {
            ahead(&world.ledger, &world.bells, &row, impossible, world.now).await.unwrap();
        }
        assert_eq!(world.manifest(&pc).await.generation, 41);
    }
}

#[tokio::test]
async fn nobody_is_ahead_of_a_database_that_was_never_put_back() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let pc = world.enrol("sakura/pc-1").await;
    let row = world.row(&pc).await;
    ahead(&world.ledger, &world.bells, &row, 40, world.now).await.unwrap();
    assert_eq!((world.manifest(&pc).await.generation, world.logged("seen device.ahead").await), (0, 0));
    let request = RecoverRequest { note: "the file was copied back".into(), by_hand: true };
    recover(&world.ledger, &world.bells, &request, ("person:test", world.now)).await.unwrap();
    ahead(&world.ledger, &world.bells, &row, 40, world.now).await.unwrap();
    assert_eq!((world.manifest(&pc).await.generation, world.logged("seen device.ahead").await), (40, 1));
}

#[tokio::test]
async fn s5_a_certificate_of_the_lost_past_is_told_and_replaced_and_not_taken_away() {
    let (world, mut pc, second) = lost().await;
    recovered(&world).await;
    world.settle().await;
    assert_eq!(say(&world, &mut pc, installed(&second)).await.unwrap(), pc.number);
    assert_eq!(say(&world, &mut pc, proven(&second)).await.unwrap(), pc.number);
    world.settle().await;
    assert_eq!(world.logged("seen certificate.unknown").await, 2);
    let manifest = world.manifest(&pc).await;
    assert_eq!(manifest.slots[0].order.as_deref(), Some(&world.order(SLOT).await.id.to_string()[..]));
    let unknown = second.fingerprint.to_string();
    assert!(!manifest.retire.contains(&unknown) && !manifest.slots[0].replaces.contains(&unknown));

    let slot: SlotId = "sakura/pc-2/karte".parse().unwrap();
    let others = CertificateRow { slot, ..second };
    assert!(matches!(say(&world, &mut pc, installed(&others)).await, Err(ReceiptError::NotYours { .. })));
}

#[tokio::test]
async fn what_nobody_issued_is_refused_where_nothing_was_lost() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let mut pc = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let row = CertificateRow { fingerprint: tegata_core::name::Sha256([9; 32]), ..world.issue(SLOT).await };
    assert!(matches!(say(&world, &mut pc, installed(&row)).await, Err(ReceiptError::NotYours { .. })));
    assert_eq!(device("sakura/pc-1"), pc.device);
}

#[tokio::test]
async fn numbers_of_portal_certificates_leave_room_for_those_that_were_lost() {
    let world = World::with(&[&sakura(&["pc-1"])]).await;
    let issuer = "portal".parse().unwrap();
    let authority =
        |name: &str| crate::store::AuthorityRow { tenant: Some(tenant()), name: name.into(), certificate: vec![], sealed_key: vec![] };
    world.note(vec![Change::PutAuthority(authority("portal/issuing")), Change::PutAuthority(authority("portal/root"))]).await;
    assert_eq!(world.ledger.store().portal_next(&tenant(), &issuer).await.unwrap(), 1);
    let mut world = world;
    for next in [1_001, 2_001] {
        let copy = world.copy().await;
        world = world.put_back(copy).await;
        recovered(&world).await;
        assert_eq!(world.ledger.store().portal_next(&tenant(), &issuer).await.unwrap(), next);
    }
}
