//! People by token: what bindings give, what auditors read, and who stays.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tegata_api::client::{Client, Credentials};
use tegata_api::v1::access::{Approval, Binding, Token, TokenMade, TokenRequest};
use tegata_api::v1::audit::Record;
use tegata_api::v1::fleet::{ApplyRequest, Clinic, CodeAnswer, CodeKind, CodeRequest, Documents, File, Preview};
use tegata_api::v1::problem::Code;
use tegata_core::time::DAY;
use tegata_tlog::note::{Kind, SignerKey};

use super::world::{World, ask, clinic, clock, code_of, config, policy, problem};
use crate::http::routes;
use crate::serve::{Config, start_at};
use crate::store::log::Alarm;
use crate::store::{Batch, Change};

const DAY_SECONDS: u64 = DAY.as_secs();

async fn by_token(world: &World, name: &str) -> Client {
    world.client(Credentials::Token(world.token(name, Some("aozora")).await))
}

async fn apply(client: &Client, text: &str, prune: bool) -> Result<Preview, tegata_api::client::ClientError> {
    let documents = Documents { files: vec![File { name: "f.yaml".into(), text: text.into() }], prune };
    client.post("/v1/tenants/aozora/apply", &ApplyRequest { documents, allow_lockout: 99, allow_over_quota: 0 }).await
}

fn admin(role: &str) -> String {
    format!(
        "apiVersion: tegata.dev/v1alpha1\nkind: AccessBinding\nmetadata: {{ name: ito }}\nspec: {{ subject: {{ token: ito }}, role: {role} }}\n"
    )
}

#[tokio::test]
async fn a_token_may_nothing_before_a_binding_names_it_and_nothing_after_it_ends() {
    let world = World::start().await;
    let ito = by_token(&world, "ito").await;
    let asked = async || ito.get::<Vec<Clinic>>("/v1/tenants/aozora/clinics").await;
    let refused = problem(asked().await);
    assert_eq!(refused.code, Code::Forbidden);
    let detail = refused.detail.unwrap();
    assert!(detail.contains("'read-fleet'") && detail.contains("no AccessBinding in force names you"), "{detail}");
    world.bind("aozora", "ito", &format!("role: viewer, notAfter: \"{}\"", world.now().after(2 * DAY))).await;
    assert_eq!(asked().await.unwrap().len(), 1);
    let renewing = ask(&ito, true, "/v1/tenants/aozora/revocations", &json!({})).await.unwrap();
    assert!(renewing.detail.unwrap().contains("make you viewer"));
    world.bind("aozora", "ito", &format!("role: viewer, notAfter: \"{}\"", world.now().before(DAY))).await;
    assert_eq!(code_of(asked().await), Code::Forbidden);
}

#[tokio::test]
async fn without_witnesses_what_takes_much_away_rests_first_and_no_clinic_stops() {
    let rests: Vec<_> = routes().into_iter().filter_map(|route| Some((route.path, route.rests_after?.as_secs() / 3_600))).collect();
    let clinic = "/v1/tenants/{tenant}/devices/{clinic}/{device}/code";
    let expected = [(clinic, 24), ("/v1/tenants/{tenant}/revocations", 4), ("/v1/tenants/{tenant}/playbooks/runs", 4)];
    assert_eq!(rests, expected);

    let (place, offset) = (tempfile::tempdir().unwrap(), Arc::default());
    // Nobody answers there.
    let key = SignerKey::new("witness.example.jp", Kind::Witness, &[1; 32]).unwrap();
    let asked = format!("witness w {} http://127.0.0.1:1/\nquorum w\n", key.verifier());
    let witnesses = Some(asked.parse().unwrap());
    let server = start_at(Config { witnesses, ..config(&place) }, clock(&offset)).await.unwrap();
    let world = World::of(place, server, offset);
    world.apply("aozora", &policy("sakura")).await;
    let admin = world.admin();
    let revoke = async || ask(&admin, true, "/v1/tenants/aozora/revocations", &json!({})).await.unwrap();
    let code =
        async || admin.post::<_, CodeAnswer>("/v1/tenants/aozora/devices/sakura/pc-1/code", &CodeRequest { kind: CodeKind::Join }).await;
    let alarm = Alarm { tenant: "aozora".parse().unwrap(), since: Some(world.now()) };
    world.ledger().note(Batch { records: vec![], changes: vec![Change::LogAlarm(alarm)] }).await.unwrap();
    for (hours, many, one) in [(0, true, true), (3, true, true), (4, false, true), (23, false, true), (24, false, false)] {
        world.offset.store(hours * 3_600, Ordering::Relaxed);
        let answer = revoke().await;
        assert_eq!(answer.code, if many { Code::Malformed } else { Code::Busy }, "{hours} h: {answer:?}");
        assert!(many || answer.detail.unwrap().contains("tegata audit witnesses"));
        assert_eq!(code().await.is_ok(), one, "{hours} h");
    }
    let renewed = ask(&admin, true, "/v1/tenants/aozora/certificates/00/renew", &json!({})).await.unwrap();
    assert_eq!(renewed.code, Code::NotFound, "let through");
}

#[tokio::test]
async fn whoever_was_first_makes_a_second_owner_and_each_is_named_by_the_log() {
    let world = World::start().await;
    let request = TokenRequest { name: "second".into(), life: DAY_SECONDS };
    let made: TokenMade = world.admin().post("/v1/tenants/tegata/tokens", &request).await.unwrap();
    let second = world.client(Credentials::Token(made.token.clone()));
    apply(&second, &clinic("ayame"), false).await.unwrap();
    let applied = world.records("aozora", "policy.apply").await;
    assert_eq!(applied.last().unwrap().actor, "person:second");
    let logged = serde_json::to_string(&world.records("tegata", "token.create").await).unwrap();
    assert!(logged.contains("person:admin") && logged.contains(&made.about.id) && !logged.contains(&made.token));
    let listed: Vec<Token> = second.get("/v1/tenants/tegata/tokens").await.unwrap();
    assert_eq!(listed.iter().map(|token| &token.name[..]).collect::<Vec<_>>(), ["admin", "second"]);
    let _: Vec<Token> = world.admin().post("/v1/tenants/tegata/tokens/second/revoke", &()).await.unwrap();
    assert_eq!(code_of(second.get::<Value>("/v1/tenants/aozora/clinics").await), Code::Unauthorized);
}

#[tokio::test]
async fn an_admin_of_a_tenant_gives_tokens_of_that_tenant_only() {
    let world = World::start().await;
    let ito = world.person("ito", "aozora").await;
    let request = |name: &str, life| TokenRequest { name: name.into(), life };
    let made: TokenMade = ito.post("/v1/tenants/aozora/tokens", &request("sato", DAY_SECONDS)).await.unwrap();
    assert_eq!((&made.about.created_by[..], &made.about.state[..]), ("person:ito", "in-force"));
    for elsewhere in ["momiji", "tegata", "nobody"] {
        let refused = ito.post::<_, TokenMade>(&format!("/v1/tenants/{elsewhere}/tokens"), &request("x", DAY_SECONDS)).await;
        assert_eq!(code_of(refused), Code::NotFound, "{elsewhere}");
    }
    for (name, life, code) in [("admin", DAY_SECONDS, Code::Conflict), ("Ito", DAY_SECONDS, Code::Malformed), ("ito", 1, Code::Malformed)] {
        let refused = ito.post::<_, TokenMade>("/v1/tenants/aozora/tokens", &request(name, life)).await;
        assert_eq!(code_of(refused), code, "{name}");
    }
    let stranger = world.client(Credentials::Token(made.token));
    assert_eq!(code_of(stranger.get::<Value>("/v1/tenants/aozora/clinics").await), Code::Forbidden);
}

#[tokio::test]
async fn lists_hold_the_clinics_in_scope_and_no_others() {
    let world = World::start().await;
    world.add("aozora", &clinic("ayame")).await;
    world.bind("aozora", "desk", "role: operator, clinics: { names: [ayame] }").await;
    let desk = by_token(&world, "desk").await;
    let rows: Vec<Value> = desk.get("/v1/tenants/aozora/slots").await.unwrap();
    assert_eq!(rows.len(), 2);
    for what in ["clinics", "devices", "slots", "certificates", "actions", "quotas", "expiring", "notices", "backups", "installers"] {
        let rows: Vec<Value> = desk.get(&format!("/v1/tenants/aozora/{what}")).await.unwrap();
        let text = serde_json::to_string(&rows).unwrap();
        assert!(!text.contains("sakura"), "{what}: {text}");
    }
    let whole = problem(desk.get::<Value>("/v1/tenants/aozora/documents").await);
    assert!(whole.detail.unwrap().contains("in ayame only"));
    assert_eq!(code_of(desk.get::<Value>("/v1/tenants/aozora/audit/as-of?clinic=sakura").await), Code::NotFound);
    desk.get::<Value>("/v1/tenants/aozora/audit/as-of?clinic=ayame").await.unwrap();
}

#[tokio::test]
async fn what_an_auditor_reads_and_what_is_refused_is_on_record_once_an_hour() {
    let world = World::start().await;
    world.bind("aozora", "kansa", &format!("role: auditor, notAfter: \"{}\"", world.now().after(9 * DAY))).await;
    world.bind("aozora", "ito", "role: viewer").await;
    let (kansa, ito) = (by_token(&world, "kansa").await, by_token(&world, "ito").await);
    for _ in 0..3 {
        for client in [&kansa, &ito] {
            client.get::<Value>("/v1/tenants/aozora/slots?clinic=sakura").await.unwrap();
            client.get::<Value>("/v1/tenants/aozora/devices").await.unwrap();
            assert_eq!(code_of(client.post::<_, Value>("/v1/tenants/aozora/apply", &json!({ "files": [] })).await), Code::Forbidden);
        }
        kansa.get_bytes("/v1/tenants/aozora/audit/query?limit=1").await.unwrap();
    }
    let told = |records: Vec<Record>| -> Vec<(String, String)> {
        records.into_iter().map(|record| (record.actor, record.details["what"].as_str().unwrap_or_default().to_owned())).collect()
    };
    let read = told(world.records("aozora", "access.read").await);
    let whats = ["/v1/tenants/aozora/slots?clinic=sakura", "/v1/tenants/aozora/devices"];
    assert_eq!(read, whats.map(|what| ("person:kansa".to_owned(), what.to_owned())));
    let refused = world.records("aozora", "access.refuse").await;
    assert_eq!(refused.iter().map(|record| &record.actor[..]).collect::<Vec<_>>(), ["person:kansa", "person:ito"]);
    assert!(refused.iter().all(|record| record.details["right"] == "change-policy"));
    assert_eq!(world.records("aozora", "audit.read").await.len(), 3, "each question about the log is a record of its own");
    world.pass(2 * DAY / 24);
    kansa.get::<Value>("/v1/tenants/aozora/devices").await.unwrap();
    assert_eq!(world.records("aozora", "access.read").await.len(), 3);
}

#[tokio::test]
async fn the_last_admin_stays_until_there_is_another() {
    let world = World::start().await;
    let ito = world.person("ito", "aozora").await;
    let (mail, end) = (world.now().after(DAY), "notAfter");
    for (text, prune, line) in [
        (admin("viewer"), false, 4),
        (admin(&format!("admin, {end}: \"{mail}\"")), false, 4),
        (admin("admin, clinics: { names: [sakura] }"), false, 4),
        (super::world::policy("sakura"), true, 0),
    ] {
        let refused = problem(apply(&ito, &text, prune).await);
        let [finding] = &refused.findings[..] else { panic!("{refused:?}") };
        assert!(finding.line == line && finding.message.contains("ito was its last admin"), "{finding:?}");
    }
    world.bind("aozora", "sato", "role: admin").await;
    apply(&ito, &admin("viewer"), false).await.unwrap();
    assert_eq!(code_of(apply(&ito, &admin("admin"), false).await), Code::Forbidden, "and cannot take it back");
    let bindings: Vec<Binding> = ito.get("/v1/tenants/aozora/access").await.unwrap();
    let said = |binding: &Binding| format!("{} {} {}", binding.subject, binding.role, binding.in_force);
    assert_eq!(bindings.iter().map(said).collect::<Vec<_>>(), ["token ito viewer true", "token sato admin true"]);
}

#[tokio::test]
async fn the_owners_file_is_made_anew_and_the_token_before_is_dead() {
    let world = World::empty().await;
    let before = world.server.access().token.clone();
    let world = world.restart().await;
    assert_eq!(world.server.access().token, before, "a restart is no reason for another");
    std::fs::remove_file(world.place.path().join("state/admin.json")).unwrap();
    let world = world.restart().await;
    world.admin().get::<Value>("/v1/tenants/tegata/tokens").await.unwrap();
    let old = world.client(Credentials::Token(before));
    assert_eq!(code_of(old.get::<Value>("/v1/tenants/tegata/tokens").await), Code::Unauthorized);
}

async fn agreed(world: &World, refused: tegata_api::v1::problem::Problem, by: &Client) -> Approval {
    assert_eq!(refused.code, Code::NeedsApproval, "{refused:?}");
    let open: Vec<Approval> = by.get("/v1/tenants/aozora/approvals").await.unwrap();
    let [asked] = &open[..] else { panic!("{open:?}") };
    assert!(refused.detail.unwrap().contains(&asked.id));
    assert!(!world.records("aozora", "act.ask").await.is_empty());
    by.post("/v1/tenants/aozora/approvals", &json!({ "id": asked.id })).await.unwrap()
}

/// A further certificate on some PCs of `sakura`.
fn one_more(profile: &str, devices: &str) -> String {
    let all = super::world::policy("sakura").replace("name: karte }", &format!("name: {profile} }}"));
    let assigned = format!("    - {{ profile: karte }}\n    - {{ profile: {profile}, devices: {{ {devices} }} }}\n");
    all.replace("    - { profile: karte }\n", &assigned)
}

async fn two_enrolled() -> World {
    let world = World::start().await;
    for device in ["sakura/pc-1", "sakura/pc-2"] {
        let pc = world.enroll(device).await;
        let order = pc.order().await;
        pc.request(&order, &super::world::new_key()).await.unwrap();
    }
    world
}

#[tokio::test]
async fn documents_that_reach_many_devices_take_two_people_and_so_does_who_may_do_what() {
    let world = two_enrolled().await;
    world.bind("aozora", "ito", "role: admin, alone: 1").await;
    let (ito, sato) = (by_token(&world, "ito").await, world.person("sato", "aozora").await);
    apply(&ito, &one_more("tenken", "names: [pc-1]"), false).await.expect("one PC is within reach");
    let more = one_more("yoyaku", "names: [pc-1, pc-2]");
    let asked = problem(apply(&ito, &more, false).await);
    let own = world.client(Credentials::Token(world.token("ito", Some("aozora")).await));
    let open: Vec<Approval> = own.get("/v1/tenants/aozora/approvals").await.unwrap();
    let by_themselves = own.post::<_, Approval>("/v1/tenants/aozora/approvals", &json!({ "id": open[0].id })).await;
    assert_eq!(code_of(by_themselves), Code::Forbidden, "another token of the same name is the same person");
    let said = agreed(&world, asked, &sato).await;
    assert_eq!(
        (&said.what[..], said.devices, &said.asked_by[..], said.approved_by.as_deref()),
        ("apply", 2, "person:ito", Some("person:sato"))
    );
    let other = problem(apply(&ito, &one_more("kensa", "names: [pc-1, pc-2]"), false).await);
    assert_eq!(other.code, Code::NeedsApproval, "a word is for exactly these documents");
    apply(&ito, &more, false).await.unwrap();
    assert_eq!(world.records("aozora", "act.release").await.len(), 1);
    for text in [admin("admin"), admin("viewer").replace("name: ito", "name: other")] {
        assert_eq!(code_of(apply(&ito, &text, false).await), Code::NeedsApproval, "nobody lifts their own limit");
    }
    let request = TokenRequest { name: "sato".into(), life: DAY_SECONDS };
    let token = ito.post::<_, TokenMade>("/v1/tenants/aozora/tokens", &request).await;
    assert_eq!(code_of(token), Code::NeedsApproval, "nor do they become the second person");
}

#[tokio::test]
async fn a_word_for_documents_is_none_once_others_were_applied() {
    let world = two_enrolled().await;
    world.bind("aozora", "ito", "role: admin, alone: 1").await;
    let (ito, sato) = (by_token(&world, "ito").await, world.person("sato", "aozora").await);
    let more = one_more("yoyaku", "names: [pc-1, pc-2]");
    let asked = problem(apply(&ito, &more, false).await);
    agreed(&world, asked, &sato).await;
    world.add("aozora", &clinic("kiku")).await;
    assert_eq!(code_of(apply(&ito, &more, false).await), Code::NeedsApproval);
}

#[tokio::test]
async fn revoking_more_than_one_may_reach_alone_takes_two_people() {
    let world = two_enrolled().await;
    world.bind("aozora", "ito", "role: admin, alone: 1").await;
    let (ito, sato) = (by_token(&world, "ito").await, world.person("sato", "aozora").await);
    let wish = async |selection: Value| {
        let blast: Value = ito.post("/v1/tenants/aozora/revocations/preview", &selection).await.unwrap();
        json!({ "selection": selection, "digest": blast["digest"] })
    };
    let revoke = async |wish: &Value| ito.post::<_, Value>("/v1/tenants/aozora/revocations", wish).await;
    let all = wish(json!({ "profile": "karte" })).await;
    let asked = problem(revoke(&all).await);
    assert!(world.records("aozora", "certificate.revoke").await.is_empty(), "nothing is done before somebody else agrees");
    agreed(&world, asked, &sato).await;
    let mut harsher = all.clone();
    harsher["reason"] = json!("key-compromise");
    assert_eq!(code_of(revoke(&harsher).await), Code::NeedsApproval);
    assert_eq!(revoke(&all).await.unwrap()["revoked"], 2);
    assert_eq!(revoke(&wish(json!({ "profile": "karte" })).await).await.unwrap()["revoked"], 0, "nothing is left");
}
