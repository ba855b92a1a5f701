use tegata_core::policy::KeyAlgorithm;
use tegata_pki::key::PrivateKey;

use super::*;
use crate::pretend::{Pc, World, installed, proven, retired, sakura, tenant};

const SLOT: &str = "sakura/pc-1/karte";

/// Two PCs; the first has a certificate that it was not heard about yet.
async fn two() -> (World, Pc, Pc, CertificateRow) {
    let world = World::with(&[&sakura(&["pc-1", "pc-2"])]).await;
    let (one, other) = (world.enrol("sakura/pc-1").await, world.enrol("sakura/pc-2").await);
    world.settle().await;
    let row = world.issue(SLOT).await;
    (world, one, other, row)
}

async fn send(world: &World, pc: &Pc, receipts: Vec<SignedReceipt>) -> Result<u64, ReceiptError> {
    let row = world.row(pc).await;
    accept(&world.ledger, &world.bells, &row, receipts, world.now).await.map(|answer| answer.up_to)
}

#[tokio::test]
async fn the_exact_signed_bytes_go_into_the_log() {
    let (world, mut pc, _, row) = two().await;
    let signed = pc.sign(world.now, proven(&row));
    assert_eq!(send(&world, &pc, vec![signed.clone()]).await.unwrap(), 1);
    let log = world.ledger.store().audit(&tenant(), 0, 100).await.unwrap();
    let seen = log.last().unwrap();
    assert_eq!((seen.stage, &seen.actor[..], &seen.object[..]), (Stage::Seen, "device:sakura/pc-1", SLOT));
    assert_eq!(
        (seen.details["receipt"].as_str().unwrap(), seen.details["signature"].as_str().unwrap()),
        (&signed.receipt[..], &signed.signature[..])
    );
    let stored = world.ledger.store().certificate(&row.serial).await.unwrap().unwrap();
    assert_eq!((stored.proven_at, stored.installed_at), (Some(world.now), Some(world.now)));
}

#[tokio::test]
async fn a_receipt_that_is_sent_again_counts_once() {
    let (world, mut pc, _, row) = two().await;
    let receipts = vec![pc.sign(world.now, installed(&row)), pc.sign(world.now, proven(&row))];
    assert_eq!(send(&world, &pc, receipts.clone()).await.unwrap(), 2);
    let log = world.log().await;
    assert_eq!(send(&world, &pc, receipts).await.unwrap(), 2);
    assert_eq!(world.log().await, log);
}

#[tokio::test]
async fn a_gap_ends_the_message_and_what_came_before_it_counts() {
    let (world, mut pc, _, row) = two().await;
    let first = pc.sign(world.now, installed(&row));
    let lost = pc.sign(world.now, installed(&row));
    let third = pc.sign(world.now, proven(&row));
    assert_eq!(send(&world, &pc, vec![first, third.clone()]).await.unwrap(), 1);
    assert_eq!(world.logged("seen").await, 1);
    assert_eq!(send(&world, &pc, vec![lost, third]).await.unwrap(), 3);
}

#[tokio::test]
async fn what_the_device_did_not_sign_is_refused() {
    let (world, mut pc, _, row) = two().await;
    let good = pc.sign(world.now, installed(&row));
    let forged = Pc { device: pc.device.clone(), key: PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap(), number: 0 };
    let one_byte = SignedReceipt { receipt: good.receipt.replace("file", "filf"), signature: good.signature.clone() };
    let no_base64 = SignedReceipt { receipt: good.receipt.clone(), signature: "?".into() };
    for bad in [forged.sign_text(good.receipt.clone()), one_byte, no_base64] {
        assert!(matches!(send(&world, &pc, vec![bad]).await, Err(ReceiptError::NotSigned { number: 1 })));
    }
    assert!(matches!(send(&world, &pc, vec![pc.sign_text("{}".into())]).await, Err(ReceiptError::Unreadable(1))));
    assert_eq!(world.logged("seen").await, 0);
}

#[tokio::test]
async fn f4_nobody_speaks_about_what_is_not_theirs() {
    let (world, pc, mut other, row) = two().await;
    // About another device's certificate, in another device's name, about another slot, about nothing that was issued.
    let theirs = other.sign(world.now, retired(&row));
    let mut as_pc_1 = Pc { device: pc.device.clone(), key: other.key, number: 0 };
    let impersonated = as_pc_1.sign(world.now, proven(&row));
    other = Pc { device: other.device, key: as_pc_1.key, number: 1 };
    let unknown = other.sign_text(theirs.receipt.replace(&row.fingerprint.to_string(), &"00".repeat(32)));
    for bad in [theirs, impersonated, unknown] {
        assert!(matches!(send(&world, &other, vec![bad]).await, Err(ReceiptError::NotYours { number: 1 })));
    }
    let mut pc = pc;
    let Deed::Installed { order, fingerprint, stores, .. } = installed(&row) else { unreachable!() };
    let elsewhere = Deed::Installed { slot: "sakura/pc-2/karte".into(), order, fingerprint, stores };
    let wrong_slot = pc.sign(world.now, elsewhere);
    assert!(matches!(send(&world, &pc, vec![wrong_slot]).await, Err(ReceiptError::NotYours { number: 1 })));
    assert_eq!(world.logged("seen").await, 0);
}

#[tokio::test]
async fn those_before_a_refused_one_are_on_record() {
    let (world, mut pc, _, row) = two().await;
    let good = pc.sign(world.now, installed(&row));
    let mut bad = pc.sign(world.now, proven(&row));
    bad.signature = good.signature.clone();
    assert!(matches!(send(&world, &pc, vec![good, bad]).await, Err(ReceiptError::NotSigned { number: 2 })));
    assert_eq!((world.row(&pc).await.receipts, world.logged("seen certificate.installed").await), (1, 1));
}

#[tokio::test]
async fn what_the_pc_before_held_is_revoked_when_this_one_does_not_have_it() {
    let mut world = World::with(&[&sakura(&["pc-1"])]).await;
    let mut before = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let old = world.prove(&mut before, SLOT).await;
    world.now = world.now.after(std::time::Duration::from_secs(60));
    let mut after = world.enrol("sakura/pc-1").await;
    world.settle().await;
    let new = world.prove(&mut after, SLOT).await;
    let stored = async |row: &CertificateRow| world.ledger.store().certificate(&row.serial).await.unwrap().unwrap();
    assert_eq!((stored(&old).await.revoked_at, stored(&new).await.revoked_at), (Some(world.now), None));
    assert!(world.log().await.contains(&format!("done certificate.revoke {SLOT}")));
    // Said twice, it is done once.
    world.tell(&mut after, vec![retired(&old), retired(&old)]).await;
    assert_eq!(world.logged("done certificate.revoke").await, 1);
}
