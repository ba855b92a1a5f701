//! Every route of people × every role × {the tenant's own, another tenant's, made up, a clinic out of scope}, generated from the router.
//!
//! What each cell answers is written down in `matrix.txt`: a route without a row there fails.

use std::fmt::Write;

use axum::http::Method;
use expect_test::expect_file;
use reqwest::{Client as Web, StatusCode};
use serde_json::{Value, json};
use tegata_core::access::{Right, Role};
use tegata_core::time::{DAY, Timestamp};

use super::tenants::{Names, RANDOM, body, filled};
use super::world::World;
use crate::http::access::Narrowing;
use crate::http::{Audience, Route, routes};

/// An answer, as far as two of them could differ.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    status: StatusCode,
    body: Vec<u8>,
}

impl Answer {
    /// What a row says of it: let through, whatever the handler then answered; `no right`; or `not there`.
    fn word(&self) -> &'static str {
        let problem: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        match (self.status, problem["title"].as_str()) {
            (StatusCode::NOT_FOUND, _) => "not there",
            (StatusCode::FORBIDDEN, Some("you may not do that")) => "no right",
            (StatusCode::UNAUTHORIZED, _) => "nobody",
            _ => "let through",
        }
    }
}

struct Asker<'a> {
    world: &'a World,
    web: Web,
    token: String,
}

impl<'a> Asker<'a> {
    fn new(world: &'a World, token: String) -> Self {
        let authority = reqwest::Certificate::from_pem(world.server.access().authority.as_bytes()).unwrap();
        let web = Web::builder().tls_certs_only([authority]).build().unwrap();
        Self { world, web, token }
    }

    async fn ask(&self, method: &Method, path: &str, body: &Value) -> Answer {
        let address = format!("{}{path}", self.world.server.access().server);
        let request = self.web.request(method.clone(), address).bearer_auth(&self.token);
        let request = if *method == Method::POST { request.json(body) } else { request };
        let response = request.send().await.unwrap();
        let status = response.status();
        let body = if status.is_success() { Vec::new() } else { response.bytes().await.unwrap().to_vec() };
        Answer { status, body }
    }
}

/// A world in which `aozora` has two clinics, each with a PC that holds a certificate, and `momiji` has its own.
struct Scene {
    world: World,
    own: String,
    away: String,
    foreign: String,
}

impl Scene {
    async fn start() -> Self {
        let world = World::start().await;
        world.add("aozora", &super::world::clinic("ayame")).await;
        let mut serials = Vec::new();
        for (tenant, device) in [("aozora", "sakura/pc-1"), ("aozora", "ayame/pc-1"), ("momiji", "kaede/pc-1")] {
            let pc = world.enroll_at(tenant, device).await;
            let order = pc.order().await;
            serials.push(pc.request(&order, &super::world::new_key()).await.unwrap().serial);
        }
        let [own, away, foreign] = serials.try_into().unwrap();
        Self { world, own, away, foreign }
    }

    fn names<'a>(&'a self, of: Whose) -> Names<'a> {
        let order = RANDOM.order;
        match of {
            Whose::Own => Names { tenant: "aozora", clinic: "sakura", device: "pc-1", serial: &self.own, order },
            Whose::Away => Names { tenant: "aozora", clinic: "ayame", device: "pc-1", serial: &self.away, order },
            Whose::MadeUp => Names { tenant: "aozora", ..RANDOM },
            Whose::Foreign => Names { tenant: "momiji", clinic: "kaede", device: "pc-1", serial: &self.foreign, order },
            Whose::ForeignMadeUp => RANDOM,
        }
    }
}

/// Whose objects a request names.
#[derive(Debug, Clone, Copy)]
enum Whose {
    Own,
    Away,
    MadeUp,
    Foreign,
    ForeignMadeUp,
}

fn people() -> Vec<(Route, Right)> {
    let of = |route: Route| match route.audience {
        Audience::Person(right) => Some((route, right)),
        Audience::Anyone | Audience::Device => None,
    };
    routes().into_iter().filter_map(of).collect()
}

/// A path that names a clinic where the route takes one in its query or body.
fn asked(route: &Route, names: &Names<'_>) -> (String, Value) {
    let mut path = filled(route, names);
    if route.narrowing == Narrowing::Handler && route.method == Method::GET {
        path = format!("{path}?clinic={}", names.clinic);
    }
    let mut body = body();
    body["slot"] = json!(format!("{}/{}/karte", names.clinic, names.device));
    (path, body)
}

#[tokio::test]
async fn f4_every_route_and_role_answers_as_the_table_says() {
    let scene = Scene::start().await;
    let world = &scene.world;
    let until = Timestamp::from_unix(world.now().unix() + i64::try_from((30 * DAY).as_secs()).unwrap());
    let mut table = String::new();
    let mut askers = Vec::new();
    for role in Role::ALL {
        let end = if role == Role::Auditor { format!(", notAfter: \"{until}\"") } else { String::new() };
        for (scope, clinics) in [("tenant", ""), ("clinic", ", clinics: { names: [sakura] }")] {
            let name = format!("{}-{scope}", role.as_str());
            world.bind("aozora", &name, &format!("role: {}{clinics}{end}", role.as_str())).await;
            askers.push((role, scope == "clinic", Asker::new(world, world.token(&name, Some("aozora")).await)));
        }
    }
    for (route, right) in people() {
        writeln!(table, "{} {} ({})", route.method, route.path, right.as_str()).unwrap();
        for (role, is_narrow, asker) in &askers {
            let scope = if *is_narrow { "one clinic" } else { "tenant" };
            let Row { own, made_up, away } = row(&scene, asker, &route, (*role, right, *is_narrow)).await;
            writeln!(table, "    {:<8} of {scope:<10}  own: {own:<11}  made up: {made_up:<11}  out of scope: {away}", role.as_str())
                .unwrap();
        }
    }
    expect_file!["matrix.txt"].assert_eq(&table);
    assert!(world.records("momiji", "certificate.revoke").await.is_empty());
}

struct Row {
    own: &'static str,
    made_up: &'static str,
    away: &'static str,
}

/// Asks one route as somebody, and checks what holds in every cell.
async fn row(scene: &Scene, asker: &Asker<'_>, route: &Route, (role, right, is_narrow): (Role, Right, bool)) -> Row {
    let what = format!("{} of a clinic only: {is_narrow}, {} {}", role.as_str(), route.method, route.path);
    let foreign = answer(asker, scene, route, Whose::Foreign).await;
    assert_eq!(foreign.word(), "not there", "{what}");
    assert_eq!(foreign, answer(asker, scene, route, Whose::ForeignMadeUp).await, "{what}");
    let made_up = answer(asker, scene, route, Whose::MadeUp).await;
    let names_something = route.narrowing != Narrowing::Tenant;
    let away = answer(asker, scene, route, Whose::Away).await;
    if is_narrow {
        assert_eq!(away, made_up, "{what}: a clinic out of scope answers like one that was made up");
    }
    let own = answer(asker, scene, route, Whose::Own).await;
    let may = role.may(right) && (!is_narrow || names_something);
    for asked in [&own, &made_up, &away] {
        assert_eq!(asked.word() == "no right", !may, "{what}");
    }
    Row { own: own.word(), made_up: made_up.word(), away: away.word() }
}

/// What is the tenant's own is asked for in words that no handler can read: that it was let through is seen, and as little as can be done.
async fn answer(asker: &Asker<'_>, scene: &Scene, route: &Route, of: Whose) -> Answer {
    let (path, body) = asked(route, &scene.names(of));
    let body = if matches!(of, Whose::Own | Whose::Away) && !is_narrowed_by_body(route) { json!("unreadable") } else { body };
    asker.ask(&route.method, &path, &body).await
}

fn is_narrowed_by_body(route: &Route) -> bool {
    route.narrowing == Narrowing::Handler && route.method == Method::POST
}
