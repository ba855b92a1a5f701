//! Codes: what they let through, and what they survive.

use serde_json::json;
use tegata_api::client::ClientError;
use tegata_api::v1::device::{Enrolled, Manifest};
use tegata_api::v1::fleet::{CodeAnswer, CodeKind, CodeRequest};
use tegata_api::v1::problem::{Code, Problem};
use tegata_core::name::{DeviceId, TenantName};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, MINUTE};
use tegata_pki::key::PrivateKey;

use super::world::{Pc, World, code_of, enroll_request, new_key, policy, problem};
use crate::store::{Batch, Change};

/// A secret of six digits that is not `right`.
fn wrong(right: &str) -> String {
    let first = if right.starts_with('0') { '1' } else { '0' };
    format!("{first}{}", &right[1..])
}

fn refused(result: Result<Enrolled, ClientError>) -> Problem {
    let problem = problem(result);
    assert_eq!(problem.code, Code::CodeRefused);
    problem
}

#[tokio::test]
async fn every_refusal_of_a_code_is_the_same_answer() {
    let world = World::start().await;
    let key = new_key();
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Typed).await;
    let mut seen = vec![
        refused(world.redeem(&handle, &wrong(&secret), &key).await),
        refused(world.redeem("000000", &secret, &key).await),
        refused(world.redeem("", &secret, &key).await),
        refused(world.redeem("'; DROP", &secret, &key).await),
        refused(world.redeem(&handle, "", &key).await),
        refused(world.redeem(&handle, &"0".repeat(10_000), &key).await),
    ];
    let mut request = enroll_request(&handle, &secret, &key);
    request.device = Some("sakura/pc-2".into());
    seen.push(refused(world.anyone.post("/v1/enroll", &request).await));
    world.redeem(&handle, &secret, &key).await.unwrap();
    seen.push(refused(world.redeem(&handle, &secret, &new_key()).await));
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Typed).await;
    world.pass(MINUTE * 10);
    seen.push(refused(world.redeem(&handle, &secret, &key).await));
    assert!(seen.iter().all(|problem| *problem == seen[0]), "{seen:#?}");
}

#[tokio::test]
async fn a_wrong_code_is_on_record_without_its_secret() {
    let world = World::start().await;
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Typed).await;
    refused(world.redeem(&handle, &wrong(&secret), &new_key()).await);
    refused(world.redeem("000000", &secret, &new_key()).await);
    let records = world.records("aozora", "device.code-refused").await;
    let told: Vec<_> = records.iter().map(|record| (&record.object[..], &record.details)).collect();
    assert_eq!(told, [("sakura/pc-1", &json!({ "handle": handle }))]);
}

#[tokio::test]
async fn a_code_of_a_device_that_policy_dropped_is_refused() {
    let world = World::start().await;
    let (handle, secret) = world.code("sakura/pc-2", CodeKind::Join).await;
    world.apply("aozora", &policy("sakura").replace("    - { name: pc-2, platform: linux }\n", "")).await;
    refused(world.redeem(&handle, &secret, &new_key()).await);
    world.apply("aozora", &policy("sakura")).await;
    world.redeem(&handle, &secret, &new_key()).await.expect("no try was spent");
}

#[tokio::test]
async fn a_code_lives_until_just_before_its_end() {
    let world = World::start().await;
    for (kind, life) in [(CodeKind::Typed, MINUTE * 10), (CodeKind::Join, DAY)] {
        let (handle, secret) = world.code("sakura/pc-1", kind).await;
        world.pass(life - MINUTE);
        world.redeem(&handle, &secret, &new_key()).await.unwrap();
    }
}

#[tokio::test]
async fn after_five_wrong_tries_the_right_one_comes_too_late() {
    let world = World::start().await;
    let (key, (handle, secret)) = (new_key(), world.code("sakura/pc-1", CodeKind::Typed).await);
    for _ in 0..4 {
        refused(world.redeem(&handle, &wrong(&secret), &key).await);
    }
    // Four leave one.
    world.redeem(&handle, &secret, &key).await.unwrap();

    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Typed).await;
    for _ in 0..5 {
        refused(world.redeem(&handle, &wrong(&secret), &key).await);
    }
    refused(world.redeem(&handle, &secret, &key).await);
}

#[tokio::test]
async fn many_guesses_at_once_have_no_more_tries_than_one_after_the_other() {
    let world = World::start().await;
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Typed).await;
    let (key, wrong) = (new_key(), wrong(&secret));
    let guesses = (0..40).map(|_| world.redeem(&handle, &wrong, &key));
    futures::future::join_all(guesses).await.into_iter().for_each(|guess| drop(refused(guess)));
    assert_eq!(world.ledger().store().code(&handle).await.unwrap().unwrap().tries_left, 0);
    refused(world.redeem(&handle, &secret, &key).await);
    // Thirty comparisons would have frozen the tenant; only five were made.
    world.enroll("sakura/pc-2").await;
}

#[tokio::test]
async fn f5_a_thousand_spellings_of_one_code_are_one_code() {
    let world = World::start().await;
    let (key, (handle, secret)) = (new_key(), world.code("sakura/pc-1", CodeKind::Typed).await);
    let row = || async { world.ledger().store().code(&handle).await.unwrap().unwrap() };
    // Every spelling of the handle finds the same row, whose tries are all there is: a thousand wrong guesses spend five.
    for number in 0..1000 {
        refused(world.redeem(&spelled(&handle, number), &spelled(&wrong(&secret), number), &key).await);
        assert_eq!(row().await.tries_left, 4_u32.saturating_sub(number));
    }
}

#[tokio::test]
async fn f5_every_spelling_of_the_right_code_is_right() {
    let world = World::start().await;
    for number in 0..16 {
        let (handle, secret) = world.code("sakura/pc-1", CodeKind::Typed).await;
        world.redeem(&spelled(&handle, number), &spelled(&secret, number), &new_key()).await.unwrap();
    }
}

/// One of many ways to write a code: each bit of `number` is one liberty.
fn spelled(code: &str, number: u32) -> String {
    let bit = |index: u32| number >> index & 1 == 1;
    let mut text = code.to_owned();
    if bit(0) {
        text = text.to_lowercase();
    }
    if bit(1) {
        text = text.replace('0', "O").replace('1', "l");
    }
    if bit(2) {
        text = text.chars().map(|c| if c.is_ascii_graphic() { char::from_u32(c as u32 + 0xfee0).unwrap() } else { c }).collect();
    }
    if bit(3) {
        text = text.chars().flat_map(|c| [c, '-']).collect();
    }
    let blanks = (number >> 4) as usize;
    format!("{}{text}{}", " ".repeat(blanks % 9), "\u{3000}".repeat(blanks / 9))
}

#[tokio::test]
async fn the_same_code_and_key_give_the_same_device_again_and_lose_nothing() {
    let world = World::start().await;
    let (key, (handle, secret)) = (new_key(), world.code("sakura/pc-1", CodeKind::Typed).await);
    let first = world.redeem(&handle, &secret, &key).await.unwrap();
    let (tenant, device): (TenantName, DeviceId) = ("aozora".parse().unwrap(), "sakura/pc-1".parse().unwrap());
    let counted = Change::CountReceipt { tenant: tenant.clone(), device: device.clone(), number: 1 };
    world.ledger().note(Batch { records: vec![], changes: vec![counted] }).await.unwrap();
    let again = world.redeem(&handle, &secret, &key).await.unwrap();
    assert_eq!(first.device, again.device);
    // Not enrolled a second time: its receipts are still counted.
    assert_eq!(world.ledger().store().device(&tenant, &device).await.unwrap().unwrap().receipts, 1);
    assert_eq!(world.records("aozora", "device.enroll").await.len(), 1);
    refused(world.redeem(&handle, &wrong(&secret), &key).await);
    Pc::new(&world, key, &again).manifest(0).await;
}

#[tokio::test]
async fn a_revoked_key_cannot_use_its_code_again_nor_a_new_one() {
    let world = World::start().await;
    let (key, (handle, secret)) = (new_key(), world.code("sakura/pc-1", CodeKind::Typed).await);
    world.redeem(&handle, &secret, &key).await.unwrap();
    world.admin().tell("/v1/tenants/aozora/devices/sakura/pc-1/revoke", &()).await.unwrap();
    refused(world.redeem(&handle, &secret, &key).await);
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Typed).await;
    assert_eq!(code_of(world.redeem(&handle, &secret, &key).await), Code::RequestRefused);
    // A person made the new code on purpose: with a new key the PC is a device again.
    world.redeem(&handle, &secret, &new_key()).await.unwrap();
}

#[tokio::test]
async fn one_key_is_one_device() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    for other in ["sakura/pc-2", "kaede/pc-1"] {
        let (handle, secret) = world.code(other, CodeKind::Typed).await;
        assert_eq!(code_of(world.redeem(&handle, &secret, &pc.key).await), Code::RequestRefused);
    }
}

#[tokio::test]
async fn enrolling_anew_ends_the_earlier_identity() {
    let world = World::start().await;
    let old = world.enroll("sakura/pc-1").await;
    let new = world.enroll("sakura/pc-1").await;
    assert_eq!(code_of(old.client.get::<Manifest>("/v1/agent/manifest").await), Code::Unauthorized);
    new.order().await;
}

#[tokio::test]
async fn an_identity_key_is_p256_and_a_bad_request_spends_no_try() {
    let world = World::start().await;
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Typed).await;
    let other = PrivateKey::generate(KeyAlgorithm::EcdsaP384).unwrap();
    for _ in 0..6 {
        assert_eq!(code_of(world.redeem(&handle, &secret, &other).await), Code::RequestRefused);
        let mut request = enroll_request(&handle, &secret, &new_key());
        request.csr = "no request".into();
        assert_eq!(code_of(world.anyone.post::<_, Enrolled>("/v1/enroll", &request).await), Code::RequestRefused);
    }
    world.redeem(&handle, &secret, &new_key()).await.unwrap();
}

#[tokio::test]
async fn thirty_wrong_codes_freeze_the_tenant_and_no_other() {
    let world = World::start().await;
    let key = new_key();
    for _ in 0..6 {
        let (handle, secret) = world.code("sakura/pc-1", CodeKind::Typed).await;
        for _ in 0..5 {
            refused(world.redeem(&handle, &wrong(&secret), &key).await);
        }
    }
    let (handle, secret) = world.code("sakura/pc-2", CodeKind::Join).await;
    refused(world.redeem(&handle, &secret, &key).await);
    world.enroll("kaede/pc-1").await;
    world.pass(MINUTE * 10);
    world.redeem(&handle, &secret, &key).await.unwrap();
}

#[tokio::test]
async fn codes_are_for_devices_that_policy_names_and_their_secret_is_in_no_log() {
    let world = World::start().await;
    let admin = world.admin();
    for unknown in ["sakura/pc-9", "nowhere/pc-1", "sakura/PC!"] {
        let path = format!("/v1/tenants/aozora/devices/{unknown}/code");
        assert_eq!(code_of(admin.post::<_, CodeAnswer>(&path, &CodeRequest { kind: CodeKind::Typed }).await), Code::NotFound);
    }
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Join).await;
    world.redeem(&handle, &secret, &new_key()).await.unwrap();
    let log: Vec<serde_json::Value> = admin.get("/v1/tenants/aozora/audit?limit=1000").await.unwrap();
    let log = serde_json::to_string(&log).unwrap();
    assert!(log.contains("device.code") && log.contains(&handle) && !log.contains(&secret));
}
