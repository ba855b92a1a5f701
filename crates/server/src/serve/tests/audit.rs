//! What auditors ask, of a fleet that has lived for a while.

use std::time::Duration;

use tegata_api::client::{Client, ClientError};
use tegata_api::v1::audit::{Access, AsOf, Ending, Record};
use tegata_api::v1::device::Deed;
use tegata_api::v1::problem::Code;
use tegata_core::time::DAY;

use super::world::{World, code_of, fingerprint};
use crate::indexer;

async fn lines(client: &Client, asked: &str) -> Vec<String> {
    let (mut lines, path) = (Vec::new(), format!("/v1/tenants/aozora/audit/query?{asked}"));
    let take = |line: &[u8]| {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
        Ok::<(), ClientError>(())
    };
    client.get_lines(&path, Duration::from_secs(30), take).await.unwrap();
    lines
}

async fn actions(client: &Client, asked: &str) -> Vec<String> {
    let read = |line: String| serde_json::from_str::<Record>(&line).unwrap().action;
    lines(client, asked).await.into_iter().map(read).collect()
}

async fn as_of(client: &Client, at: i64) -> Vec<Access> {
    let answer: AsOf = client.get(&format!("/v1/tenants/aozora/audit/as-of?clinic=sakura&at={at}")).await.unwrap();
    answer.accesses
}

#[tokio::test]
async fn a_certificate_is_found_by_any_of_its_names_in_the_bytes_that_are_kept() {
    let world = World::start().await;
    let mut pc = world.enroll("sakura/pc-1").await;
    world.enroll("sakura/pc-2").await.install_and_prove().await;
    let (order, issued) = pc.install_and_prove().await;
    let admin = world.admin();
    let told = ["certificate.sign", "certificate.issue", "certificate.installed", "certificate.proven"];
    for _ in 0..2 {
        for name in [&issued.serial, &fingerprint(&issued.certificate), &order.to_uppercase()] {
            let found = actions(&admin, &format!("certificate={name}")).await;
            assert_eq!(found.iter().filter(|action| told.contains(&action.as_str())).collect::<Vec<_>>(), told, "{name}");
        }
        // Not indexed yet the first time, and then it is.
        indexer::catch_up(world.ledger()).await.unwrap();
    }
    let kept = world.ledger().store().log_entries(&"aozora".parse().unwrap(), 0, 1_000).await.unwrap();
    let proven = lines(&admin, "device=sakura/pc-1&kind=certificate.proven").await;
    assert!(proven.len() == 1 && kept.contains(&proven[0]), "{proven:?}");
    let first = lines(&admin, "limit=3").await;
    assert_eq!(first, kept[..3]);
    assert_eq!(lines(&admin, "after=3&limit=2").await, kept[3..5]);
    assert_eq!(code_of(admin.get::<AsOf>(&format!("/v1/tenants/aozora/audit/query?clinic={}", "x".repeat(401))).await), Code::Malformed);
}

#[tokio::test]
async fn each_question_is_one_record_and_says_what_was_asked() {
    let world = World::start().await;
    let staff = world.person("kansa", "aozora").await;
    lines(&staff, "clinic=sakura&since=5").await;
    as_of(&staff, 7).await;
    let told: Vec<_> = world.records("aozora", "audit.read").await.into_iter().map(|one| (one.actor, one.details.to_string())).collect();
    let expected =
        [r#"{"asked":{"after":0,"clinic":"sakura","since":5},"what":"query"}"#, r#"{"asked":{"at":7,"clinic":"sakura"},"what":"as-of"}"#];
    assert_eq!(told, expected.map(|details| ("person:kansa".to_owned(), details.to_owned())));
}

#[tokio::test]
async fn who_could_open_the_charts_is_told_for_every_day() {
    let world = World::start().await;
    let before = world.now().unix() - 1;
    let mut pc = world.enroll("sakura/pc-1").await;
    let (_, first) = pc.install_and_prove().await;
    let then = world.now().unix();
    world.pass(Duration::from_secs(3_600));
    let admin = world.admin();
    admin.tell(&format!("/v1/tenants/aozora/certificates/{}/revoke", first.serial), &()).await.unwrap();
    pc.did(Deed::Retired { fingerprint: fingerprint(&first.certificate) }).await;
    let revoked = world.now().unix();

    assert_eq!(as_of(&admin, before).await, []);
    let [access] = &as_of(&admin, then).await[..] else { panic!("one certificate") };
    assert_eq!((access.place.as_str(), &access.serial, access.issuer.as_deref()), ("sakura/pc-1/karte", &first.serial, Some("portal")));
    assert_eq!((access.fingerprint.clone(), access.ending), (fingerprint(&first.certificate), Ending::Revoked));
    assert!(access.proven_at.is_some() && access.unknown_since.is_none() && access.until > then, "{access:?}");
    assert_eq!(as_of(&admin, revoked).await, []);
    assert_eq!(as_of(&admin, revoked + i64::try_from(DAY.as_secs()).unwrap()).await, []);
}
