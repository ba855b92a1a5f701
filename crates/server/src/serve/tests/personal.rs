//! What may name a person: sent into every place from which it could come into the log, and looked for in the log's bytes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tegata_api::client::ClientError;
use tegata_api::v1::audit::{Disclosure, EraseRequest, Erasure, Record};
use tegata_api::v1::device::{Deed, EnrollRequest, Enrolled, Facts, FileHash, FoundCertificate, Report, ReportAnswer};
use tegata_api::v1::fleet::CodeKind;
use tegata_api::v1::revocation::{Blast, Mode, RevokeMany, RevokedMany, Selection};

use super::world::{Pc, World, enroll_request, new_key};

/// Every text that a person could be known by has this in it.
const CANARY: &str = "sato";

async fn lines(world: &World, path: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let take = |line: &[u8]| {
        lines.push(String::from_utf8(line.to_vec()).unwrap());
        Ok::<(), ClientError>(())
    };
    world.admin().get_lines(&format!("/v1/tenants/aozora/{path}"), Duration::from_secs(30), take).await.unwrap();
    lines
}

async fn kept(world: &World) -> String {
    world.ledger().store().log_entries(&"aozora".parse().unwrap(), 0, 10_000).await.unwrap().concat()
}

/// Gives how many different texts were sent.
async fn everywhere(world: &World) -> usize {
    let clinic = super::world::clinic("ayame").replace("quota:", "mail: sato-account@example.jp, quota:");
    world.add("aozora", &clinic.replace("  devices:", "  contacts: [sato-contact@example.jp]\n  devices:")).await;
    let (handle, secret) = world.code("sakura/pc-1", CodeKind::Join).await;
    let key = new_key();
    let facts = Facts { hostname: "SATO-PC-sato".into(), ..Facts::default() };
    let request = EnrollRequest { facts, ..enroll_request(&handle, &secret, &key) };
    let enrolled: Enrolled = world.anyone.post("/v1/enroll", &request).await.unwrap();
    let mut pc = Pc::new(world, key, &enrolled);
    let (_, issued) = pc.install_and_prove().await;
    let other = world.enroll("sakura/pc-2").await.install_and_prove().await.1;

    let file = |number: u8| FileHash { sha256: format!("{number:02x}").repeat(32), size: 9 };
    let path = |what: &str| format!("C:\\Users\\sato\\{what}.p12");
    pc.did(Deed::InstallerRemoved { path: path("removed"), file: file(1), generation: 1 }).await;
    pc.did(Deed::InstallerQuarantined { path: path("quarantined"), file: file(2), generation: 1 }).await;
    pc.did(Deed::InstallerRestored { path: path("restored"), file: file(3) }).await;
    let admin = world.admin();
    let stranger = FoundCertificate {
        fingerprint: "0f".repeat(32),
        store: "nss".into(),
        subject: "CN=sato".into(),
        issuer: "CN=Clinic CA".into(),
        serial: "1".into(),
        not_before: 0,
        not_after: 2_000_000_000,
        has_key: true,
    };
    let report = Report { found: vec![stranger], ..Report::default() };
    let _: ReportAnswer = pc.client.post("/v1/agent/report", &report).await.unwrap();
    admin.tell("/v1/tenants/aozora/installers", &json!({ "sha256": "04".repeat(32), "size": 9, "name": "sato.p12" })).await.unwrap();
    let revoke = format!("/v1/tenants/aozora/certificates/{}/revoke", issued.serial);
    admin.tell(&revoke, &json!({ "note": "sato has lost it" })).await.unwrap();
    let selection = Selection { serials: vec![other.serial], ..Selection::default() };
    let blast: Blast = admin.post("/v1/tenants/aozora/revocations/preview", &selection).await.unwrap();
    let wish = RevokeMany {
        selection,
        digest: blast.digest,
        reason: tegata_api::v1::revocation::Cause::Superseded,
        note: "sato has left".into(),
        mode: Mode::Now,
    };
    let _: RevokedMany = admin.post("/v1/tenants/aozora/revocations", &wish).await.unwrap();
    // Addresses in a document, host name, three receipts, subject, file name, and two notes.
    2 + 1 + 3 + 1 + 1 + 2
}

#[tokio::test]
async fn whatever_may_name_a_person_is_no_part_of_the_log_is_shown_while_it_is_there_and_then_is_erased() {
    let world = World::start().await;
    let sent = everywhere(&world).await;
    assert!(!kept(&world).await.contains(CANARY), "a record has a text in clear");
    assert!(!lines(&world, "audit/query").await.concat().contains(CANARY), "exact bytes are what they are");

    let told: Vec<Disclosure> = lines(&world, "audit/personal").await.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: BTreeSet<&str> = told.iter().map(|told| &*told.text).filter(|text| text.contains(CANARY)).collect();
    assert_eq!(texts.len(), sent, "{texts:#?}");
    let (listed, shown) = (all(&world).await, lines(&world, "audit/query?texts=true").await.concat());
    for text in &texts {
        let quoted = json!(text).to_string();
        assert!(shown.contains(&quoted) && listed.contains(&quoted), "{text}");
    }
    // By its contents a file is found as before, though its receipt is committed to.
    let removed = lines(&world, &format!("audit/query?certificate={}", "01".repeat(32))).await;
    assert!(removed.iter().any(|line| line.contains("installer.removed")), "{removed:?}");

    let before = kept(&world).await;
    let records: BTreeSet<u64> = told.iter().filter(|told| told.text.contains(CANARY)).map(|told| told.sequence).collect();
    let request = EraseRequest { records: records.into_iter().collect(), text: None, due: None, why: "asked".into(), sure: true };
    let done: Erasure = world.admin().post("/v1/tenants/aozora/audit/erase", &request).await.unwrap();
    assert!(done.texts.len() >= sent);
    assert!(kept(&world).await.starts_with(&before), "no record has changed");
    for everything in
        [lines(&world, "audit/personal").await.concat(), lines(&world, "audit/query?texts=true").await.concat(), all(&world).await]
    {
        assert!(!everything.contains(CANARY), "{everything}");
    }
    let removed = lines(&world, &format!("audit/query?certificate={}", "01".repeat(32))).await;
    assert!(removed.iter().any(|line| line.contains("installer.removed")), "what was erased is found by what is left");
}

async fn all(world: &World) -> String {
    let all: Vec<Record> = world.admin().get("/v1/tenants/aozora/audit?limit=1000").await.unwrap();
    json!(all).to_string()
}

#[tokio::test]
async fn only_who_has_the_right_erases() {
    let world = World::start().await;
    let world = &world;
    world.bind("aozora", "operators", "role: operator").await;
    let operator = world.token("operators", Some("aozora")).await;
    let operator = world.client(tegata_api::client::Credentials::Token(operator));
    let request = EraseRequest { records: vec![1], ..EraseRequest::default() };
    let refused = operator.post::<_, Erasure>("/v1/tenants/aozora/audit/erase", &request).await;
    assert_eq!(super::world::code_of(refused), tegata_api::v1::problem::Code::Forbidden);
}
