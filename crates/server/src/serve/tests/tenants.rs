//! Who may see what: every route with every kind of caller, generated from the table of routes.

use std::fs;

use axum::http::Method;
use expect_test::expect_file;
use serde_json::json;
use tegata_api::v1::audit::Record;
use tegata_api::v1::device::{Manifest, Report, ReportAnswer};
use tegata_api::v1::fleet::CodeKind;
use tegata_api::v1::problem::Code;
use tegata_pki::authority::Authority;
use tegata_pki::key::{PrivateKey, Seal};

use super::lifecycle::sign_identity;
use super::world::{World, ask, clock, code_of, device_client, new_key, pem};
use crate::http::{Audience, Route, routes};
use crate::issuers::authorities::Authorities;

/// A body that every route can read.
pub fn body() -> serde_json::Value {
    json!({
        "files": [], "kind": "typed", "note": "", "sha256": "00".repeat(32), "size": 1, "name": "client.pfx",
        "applied": "2026-10-01", "requestId": "1", "sealedReference": "", "sealedPin": "", "url": "https://hooks.example.jp/",
        "handle": "AAAAAA", "secret": "000000", "csr": "", "facts": {},
        "slot": "nowhere/nothing/karte", "chain": "", "fileName": "client.pfx", "file": { "sha256": "00".repeat(32), "size": 1 },
        "sealed": "", "recipients": [], "fingerprint": "00000000", "answer": "", "signature": "", "id": "", "target": "nas", "outcome": "opened",
        "playbook": "nothing", "mode": "run", "hosts": [], "key": "", "fingerprint": "",
        "ticket": "", "code": "", "verifier": "", "port": 1, "state": "", "challenge": "",
    })
}

/// What stands in a path where a name is left open.
pub struct Names<'a> {
    pub tenant: &'a str,
    pub clinic: &'a str,
    pub device: &'a str,
    pub serial: &'a str,
    pub order: &'a str,
}

/// Names that nothing has.
pub const RANDOM: Names<'static> = Names {
    tenant: "nobody",
    clinic: "nowhere",
    device: "nothing",
    serial: "40000000000000000000000000000000",
    order: "00000000000000000000000000000000",
};

pub fn filled(route: &Route, names: &Names) -> String {
    // Every clinic has this account and this profile.
    let path = route.path.replace("{account}", "staff").replace("{profile}", "karte");
    let filled = path.replace("{tenant}", names.tenant).replace("{clinic}", names.clinic).replace("{device}", names.device);
    filled
        .replace("{serial}", names.serial)
        .replace("{order}", names.order)
        .replace("{token}", "0000000000000000")
        .replace("{session}", "0000000000000000")
        .replace("{file}", "portal.pem")
        .replace("{*path}", "entries/000.p/1")
}

fn of_people() -> impl Iterator<Item = Route> {
    routes().into_iter().filter(|route| matches!(route.audience, Audience::Person(_)))
}

fn is_post(route: &Route) -> bool {
    route.method == Method::POST
}

#[test]
fn the_routes_are_those_of_the_wire() {
    let table: String = routes().iter().map(|route| format!("{:?} {} {}\n", route.audience, route.method, route.path)).collect();
    expect_file!["routes.txt"].assert_eq(&table);
}

#[tokio::test]
async fn f4_another_tenants_objects_answer_like_made_up_ones_on_every_route() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let order = pc.order().await;
    let serial = pc.request(&order, &new_key()).await.unwrap().serial;
    let theirs = Names { tenant: "aozora", clinic: "sakura", device: "pc-1", serial: &serial, order: &order };
    let own_path = Names { tenant: "momiji", ..theirs };
    let made_up = Names { tenant: "momiji", ..RANDOM };
    let momiji = world.person("momiji-staff", "momiji").await;
    let mut with_objects = 0;
    for route in of_people() {
        let asked = async |names: &Names<'_>| ask(&momiji, is_post(&route), &filled(&route, names), &body()).await;
        let (foreign, unknown) = (asked(&theirs).await, asked(&RANDOM).await);
        assert_eq!(foreign.as_ref().map(|problem| problem.code), Some(Code::NotFound), "{}", route.path);
        assert_eq!(foreign, unknown, "{}", route.path);
        if route.path.contains("{clinic}") || route.path.contains("{serial}") {
            with_objects += 1;
            let (by_own_path, unknown) = (asked(&own_path).await, asked(&made_up).await);
            assert_eq!(by_own_path, foreign, "{}", route.path);
            assert_eq!(unknown, foreign, "{}", route.path);
        }
    }
    assert_eq!(with_objects, 16, "every route that names an object");
    // Nothing of all this has touched the other tenant.
    assert!(world.records("aozora", "certificate.revoke").await.is_empty());
    pc.client.post::<_, ReportAnswer>("/v1/agent/report", &Report::default()).await.unwrap();
}

#[tokio::test]
async fn f4_a_person_of_the_tenant_is_served_on_every_route_that_only_reads() {
    let world = World::start().await;
    let staff = world.person("aozora-staff", "aozora").await;
    let names = Names { tenant: "aozora", clinic: "sakura", device: "pc-1", ..RANDOM };
    world.log_covers_something("aozora").await;
    for route in of_people().filter(|route| !is_post(route)) {
        assert_eq!(ask(&staff, false, &filled(&route, &names), &()).await, None, "{}", route.path);
    }
}

#[tokio::test]
async fn f4_another_devices_order_answers_like_a_made_up_one() {
    let world = World::start().await;
    let (one, neighbour, stranger) =
        (world.enroll("sakura/pc-1").await, world.enroll("sakura/pc-2").await, world.enroll("kaede/pc-1").await);
    let order = one.order().await;
    for other in [neighbour, stranger] {
        let foreign = super::world::problem(other.request(&order, &new_key()).await);
        let unknown = super::world::problem(other.request(RANDOM.order, &new_key()).await);
        assert_eq!((foreign.code, &foreign), (Code::NotFound, &unknown));
    }
    one.request(&order, &new_key()).await.unwrap();
}

#[tokio::test]
async fn nobody_is_served_where_a_person_or_a_device_is_asked_for() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    let names = Names { tenant: "aozora", clinic: "sakura", device: "pc-1", ..RANDOM };
    let (nobody, person) = (world.anyone.clone(), world.admin());
    let mut asked = 0;
    for route in routes() {
        let callers = match route.audience {
            Audience::Person(_) => [&nobody, &pc.client],
            Audience::Device => [&nobody, &person],
            Audience::Anyone => continue,
        };
        {
            for caller in callers {
                let problem = ask(caller, is_post(&route), &filled(&route, &names), &body()).await;
                assert_eq!(problem.map(|problem| problem.code), Some(Code::Unauthorized), "{}", route.path);
                asked += 1;
            }
        }
    }
    let guarded = routes().iter().filter(|route| route.audience != Audience::Anyone).count();
    assert_eq!(asked, 2 * guarded);
}

#[tokio::test]
async fn f7_a_valid_certificate_of_another_tenant_or_of_an_unknown_key_is_nobody() {
    let world = World::start().await;
    let pc = world.enroll("sakura/pc-1").await;
    pc.order().await;
    let devices = device_authority(&world).await;
    let served = |key: &PrivateKey, identity: Vec<u8>| {
        let client = device_client(&world, key, &pem(&identity));
        async move { client.get::<Manifest>("/v1/agent/manifest").await }
    };
    let good = sign_identity(&devices, &pc.key, "aozora", world.now());
    assert!(served(&pc.key, good).await.is_ok(), "same key, same tenant");
    let cross = sign_identity(&devices, &pc.key, "momiji", world.now());
    assert_eq!(code_of(served(&pc.key, cross).await), Code::Unauthorized);
    let stranger = new_key();
    let unknown = sign_identity(&devices, &stranger, "aozora", world.now());
    assert_eq!(code_of(served(&stranger, unknown).await), Code::Unauthorized);
}

#[tokio::test]
async fn the_servers_own_log_can_be_read_but_takes_no_documents() {
    let world = World::empty().await;
    let made = world.records("tegata", "authority.create").await;
    assert_eq!(made.len(), 2);
    for path in ["/v1/tenants/tegata/plan", "/v1/tenants/tegata/apply"] {
        let problem = ask(&world.admin(), true, path, &body()).await.unwrap();
        assert_eq!(problem.code, Code::Forbidden);
    }
}

#[tokio::test]
async fn every_refusal_is_a_problem_document() {
    let world = World::start().await;
    let admin = world.admin();
    let cases = [
        (false, "/", body(), 404, Code::NotFound),
        (false, "/v1/enroll", body(), 405, Code::Malformed),
        (true, "/v1/enroll", json!({ "handle": 7 }), 400, Code::Malformed),
        (true, "/v1/enroll", json!({ "handle": "x".repeat(100_000) }), 413, Code::Malformed),
        (true, "/v1/tenants/aozora/devices/sakura/pc-1/code", json!({ "kind": "other" }), 400, Code::Malformed),
        (false, "/v1/tenants/aozora/clinics?clinic=%20", body(), 400, Code::Malformed),
        (false, "/v1/tenants/aozora/audit?limit=many", body(), 400, Code::Malformed),
        (true, "/v1/tenants/aozora/certificates/short/revoke", body(), 404, Code::NotFound),
    ];
    for (is_post, path, body, status, code) in cases {
        let problem = ask(&admin, is_post, path, &body).await.unwrap();
        assert_eq!((problem.status, problem.code), (status, code), "{path}");
    }
}

/// The authorities of a running server, opened once more from its state folder.
pub fn authorities(world: &World) -> Authorities {
    Authorities::new(world.ledger().clone(), clock(&Default::default()), seal(world))
}

fn seal(world: &World) -> Seal {
    Seal::from_text(fs::read_to_string(world.place.path().join("state/seal.key")).unwrap().trim()).unwrap()
}

async fn device_authority(world: &World) -> Authority {
    let rows = world.ledger().store().authorities(None).await.unwrap();
    let row = rows.iter().find(|row| row.name == "devices/root").unwrap();
    let key = PrivateKey::from_pkcs8(&seal(world).open(&row.sealed_key).unwrap()).unwrap();
    Authority::load(&row.certificate, key).unwrap()
}

#[tokio::test]
async fn the_log_is_read_from_its_end_and_by_what_it_is_about() {
    let world = World::start().await;
    world.code("sakura/pc-1", CodeKind::Typed).await;
    world.code("sakura/pc-1", CodeKind::Join).await;
    let records = async |query: &str| -> Vec<Record> { world.admin().get(&format!("/v1/tenants/aozora/audit?{query}")).await.unwrap() };
    let all = records("").await;
    let newest: Vec<u64> = records("last=2").await.iter().map(|record| record.sequence).collect();
    // Turns may write meanwhile.
    assert!(newest[1] >= all[all.len() - 1].sequence && newest == [newest[1] - 1, newest[1]], "{newest:?}");
    let codes: Vec<Record> = all.iter().filter(|record| record.object == "sakura/pc-1").cloned().collect();
    assert_eq!(codes.len(), 2);
    assert_eq!(records("object=sakura/&last=1000").await, codes);
    assert_eq!(records(&format!("object=sakura%2Fpc-1&after={}&limit=1", codes[0].sequence)).await, codes[1..]);
    assert!(records("object=sak&last=1000").await.is_empty());
}

#[tokio::test]
async fn f4_a_clinic_of_another_tenant_answers_like_one_that_was_made_up() {
    let world = World::start().await;
    let person = world.person("a", "aozora").await;
    for what in ["clinics", "devices", "slots", "certificates", "actions", "quotas", "applications", "backups", "expiring", "notices"] {
        for clinic in ["kaede", "nosuch"] {
            let asked = person.get::<serde_json::Value>(&format!("/v1/tenants/aozora/{what}?clinic={clinic}")).await;
            assert_eq!(code_of(asked), Code::NotFound, "{what} of {clinic}");
        }
        person.get::<serde_json::Value>(&format!("/v1/tenants/aozora/{what}?clinic=sakura")).await.expect("the tenant's own");
    }
}
