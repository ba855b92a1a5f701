//! People who have signed in, at the door: what bindings give them, and what ends it.

use serde_json::{Value, json};
use tegata_api::client::{Client, Credentials};
use tegata_api::v1::access::{Approval, TokenRequest};
use tegata_api::v1::backup::ApproveRequest;
use tegata_api::v1::fleet::{Clinic, File};
use tegata_api::v1::problem::Code;
use tegata_api::v1::sign_in::Session;
use tegata_api::yaml;
use tegata_core::access::Login;
use tegata_core::time::{DAY, HOUR};

use super::world::{World, ask, code_of, config, problem};
use crate::serve::{Config, start_at};
use crate::sessions;
use crate::sign_in::provider::ProviderSettings;

const ISSUER: &str = "https://id.example.jp";
const OTHER: &str = "https://other.example.jp";

/// Providers `id` and `other` of `aozora`. Nobody asks them anything here.
fn providers() -> Vec<ProviderSettings> {
    let one = |name: &str, issuer: &str| {
        format!(
            "apiVersion: tegata.dev/v1alpha1\nkind: OpenIdProvider\nmetadata: {{ name: {name} }}\nspec: {{ tenants: [aozora], issuer: {issuer}, clientId: tegata }}\n"
        )
    };
    let text = format!("{}---\n{}", one("id", ISSUER), one("other", OTHER));
    let providers = yaml::providers(&File { name: "oidc.yaml".into(), text }).unwrap();
    providers.into_iter().map(|provider| ProviderSettings { provider, secret: None, authority: None }).collect()
}

impl World {
    /// Both tenants; `aozora` has providers.
    async fn with_providers() -> Self {
        Self::start().await.serving(providers()).await
    }

    async fn serving(self, providers: Vec<ProviderSettings>) -> Self {
        let Self { place, server, offset, .. } = self;
        server.stop().await;
        let server = start_at(Config { providers, ..config(&place) }, super::world::clock(&offset)).await.unwrap();
        Self::of(place, server, offset)
    }

    /// A session of somebody, as a sign-in begins it.
    async fn session(&self, tenant: &str, issuer: &str, subject: &str, groups: &[&str]) -> Client {
        let groups = groups.iter().map(ToString::to_string).collect();
        let login = Login { issuer: issuer.into(), subject: subject.into(), groups };
        let begun = sessions::begin(self.ledger(), (&tenant.parse().unwrap(), login), 8 * HOUR, json!({}), self.now()).await.unwrap();
        self.client(Credentials::Token(begun.1.to_string()))
    }

    async fn bind_login(&self, tenant: &str, name: &str, subject: &str, rest: &str) {
        let head = "apiVersion: tegata.dev/v1alpha1\nkind: AccessBinding";
        self.add(tenant, &format!("{head}\nmetadata: {{ name: {name} }}\nspec: {{ subject: {{ {subject} }}, {rest} }}\n")).await;
    }
}

async fn clinics(client: &Client) -> Result<Vec<Clinic>, tegata_api::client::ClientError> {
    client.get("/v1/tenants/aozora/clinics").await
}

#[tokio::test]
async fn what_somebody_may_do_is_looked_up_at_each_request() {
    let world = World::with_providers().await;
    let ito = world.session("aozora", ISSUER, "8d1e", &["g-1"]).await;
    assert_eq!(code_of(clinics(&ito).await), Code::Forbidden);
    world.bind_login("aozora", "staff", &format!("issuer: {ISSUER}, group: g-1"), "role: viewer").await;
    assert_eq!(clinics(&ito).await.unwrap().len(), 1);
    assert_eq!(code_of(ito.post::<_, Value>("/v1/tenants/aozora/apply", &json!({ "files": [] })).await), Code::Forbidden);
    world.bind_login("aozora", "staff", &format!("issuer: {ISSUER}, group: g-9"), "role: viewer").await;
    assert_eq!(code_of(clinics(&ito).await), Code::Forbidden, "at once, without signing in anew");
    world.bind_login("aozora", "ito", &format!("issuer: {ISSUER}, subject: 8d1e"), "role: viewer").await;
    clinics(&ito).await.unwrap();
}

#[tokio::test]
async fn a_group_or_person_of_another_provider_is_somebody_else() {
    let world = World::with_providers().await;
    world.bind_login("aozora", "staff", &format!("issuer: {ISSUER}, group: g-1"), "role: viewer").await;
    world.bind_login("aozora", "ito", &format!("issuer: {ISSUER}, subject: 8d1e"), "role: viewer").await;
    world.bind("aozora", "ito-by-token", "role: viewer").await;
    clinics(&world.session("aozora", ISSUER, "8d1e", &[]).await).await.unwrap();
    clinics(&world.session("aozora", ISSUER, "x", &["g-1"]).await).await.unwrap();
    for (issuer, subject, groups) in
        [(OTHER, "8d1e", &["g-1"][..]), (ISSUER, "8D1E", &["G-1"]), (ISSUER, "g-1", &["8d1e"]), (ISSUER, "ito-by-token", &[])]
    {
        let stranger = world.session("aozora", issuer, subject, groups).await;
        assert_eq!(code_of(clinics(&stranger).await), Code::Forbidden, "{issuer} {subject} {groups:?}");
    }
}

#[tokio::test]
async fn a_session_is_of_one_tenant_and_of_a_provider_that_is_for_it() {
    let world = World::with_providers().await;
    for tenant in ["aozora", "momiji"] {
        world.bind_login(tenant, "staff", &format!("issuer: {ISSUER}, group: g-1"), "role: admin").await;
    }
    let ito = world.session("aozora", ISSUER, "8d1e", &["g-1"]).await;
    clinics(&ito).await.unwrap();
    for elsewhere in ["momiji", "tegata", "nobody"] {
        assert_eq!(code_of(ito.get::<Value>(&format!("/v1/tenants/{elsewhere}/clinics")).await), Code::NotFound, "{elsewhere}");
    }
    // Not even a session that somebody wrote into the database: the provider is for another tenant.
    let smuggled = world.session("momiji", ISSUER, "8d1e", &["g-1"]).await;
    assert_eq!(code_of(smuggled.get::<Value>("/v1/tenants/momiji/clinics").await), Code::Unauthorized);
    let begin = json!({ "port": 1, "state": "", "challenge": "" });
    let asked = async |tenant: &str| ask(&world.anyone, true, &format!("/v1/tenants/{tenant}/sign-in"), &begin).await.unwrap();
    let without = asked("momiji").await;
    assert_eq!(without.code, Code::NotFound);
    for made_up in ["nobody", "tegata", "A_b"] {
        assert_eq!(asked(made_up).await, without, "{made_up}");
    }
    assert_eq!(asked("aozora").await.detail.unwrap(), "this tenant has several providers: id, other");
}

#[tokio::test]
async fn a_session_ends_by_time_by_its_owner_and_by_an_admin() {
    let world = World::with_providers().await;
    world.bind_login("aozora", "staff", &format!("issuer: {ISSUER}, group: g-1"), "role: admin").await;
    let [first, second, third] = ["a", "b", "c"].map(|subject| world.session("aozora", ISSUER, subject, &["g-1"]));
    let (first, second, third) = (first.await, second.await, third.await);
    first.tell("/v1/tenants/aozora/sign-out", &()).await.unwrap();
    assert_eq!(code_of(clinics(&first).await), Code::Unauthorized);
    assert_eq!(ask(&first, true, "/v1/tenants/aozora/sign-out", &()).await.unwrap().code, Code::Unauthorized);
    let listed: Vec<Session> = third.get("/v1/tenants/aozora/sessions").await.unwrap();
    let states: Vec<_> = listed.iter().map(|session| (&session.subject[..], &session.state[..])).collect();
    let mut sorted = states.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [("a", "ended"), ("b", "in-force"), ("c", "in-force")]);
    let id = &listed.iter().find(|session| session.subject == "b").unwrap().id;
    let momiji = world.person("momiji-admin", "momiji").await;
    let foreign = ask(&momiji, true, &format!("/v1/tenants/momiji/sessions/{id}/revoke"), &()).await.unwrap();
    assert_eq!(foreign.code, Code::NotFound);
    let _: Session = third.post(&format!("/v1/tenants/aozora/sessions/{id}/revoke"), &()).await.unwrap();
    assert_eq!(code_of(clinics(&second).await), Code::Unauthorized);
    let ends: Vec<_> = world.records("aozora", "session.end").await;
    let by: Vec<_> = ends.iter().map(|record| (&record.actor[..], record.details["subject"].as_str().unwrap())).collect();
    assert_eq!(by, [("login:https://id.example.jp#a", "a"), ("login:https://id.example.jp#c", "b")]);
    world.pass(8 * HOUR - HOUR);
    clinics(&third).await.unwrap();
    world.pass(HOUR);
    assert_eq!(code_of(clinics(&third).await), Code::Unauthorized);
    let (tenant, groups) = ("aozora".parse().unwrap(), ["g-1".to_owned()].into());
    let login = Login { issuer: ISSUER.into(), subject: "d".into(), groups };
    let (row, token) = sessions::begin(world.ledger(), (&tenant, login), 30 * DAY, json!({}), world.now()).await.unwrap();
    assert_eq!(row.expires_at, world.now().after(DAY), "whatever is asked for");
    clinics(&world.client(Credentials::Token(token.to_string()))).await.unwrap();
}

#[tokio::test]
async fn a_session_is_nobodys_once_its_provider_is_for_the_tenant_no_more() {
    let world = World::with_providers().await;
    world.bind_login("aozora", "staff", &format!("issuer: {ISSUER}, group: g-1"), "role: viewer").await;
    let login = Login { issuer: ISSUER.into(), subject: "8d1e".into(), groups: ["g-1".to_owned()].into() };
    let begun = sessions::begin(world.ledger(), (&"aozora".parse().unwrap(), login), HOUR, json!({}), world.now()).await.unwrap();
    let asked = async |world: &World| clinics(&world.client(Credentials::Token(begun.1.to_string()))).await;
    asked(&world).await.unwrap();
    let world = world.serving(vec![]).await;
    assert_eq!(code_of(asked(&world).await), Code::Unauthorized);
    let world = world.serving(providers()).await;
    asked(&world).await.unwrap();
}

#[tokio::test]
async fn one_person_in_two_sessions_is_one_person() {
    let world = World::with_providers().await;
    world.bind_login("aozora", "staff", &format!("issuer: {ISSUER}, group: g-1"), "role: admin, alone: 0").await;
    let request = TokenRequest { name: "robot".into(), life: DAY.as_secs() };
    let (one, again) = (world.session("aozora", ISSUER, "8d1e", &["g-1"]).await, world.session("aozora", ISSUER, "8d1e", &["g-1"]).await);
    let make = async |client: &Client| client.post::<_, Value>("/v1/tenants/aozora/tokens", &request).await;
    assert_eq!(code_of(make(&one).await), Code::NeedsApproval);
    let waiting: Vec<Approval> = again.get("/v1/tenants/aozora/approvals").await.unwrap();
    assert_eq!(waiting[0].asked_by, "login:https://id.example.jp#8d1e");
    let approve = async |client: &Client| {
        client.post::<_, Approval>("/v1/tenants/aozora/approvals", &ApproveRequest { id: waiting[0].id.clone() }).await
    };
    assert_eq!(problem(approve(&again).await).title, "whoever asked cannot agree");
    approve(&world.session("aozora", ISSUER, "77aa", &["g-1"]).await).await.unwrap();
    make(&again).await.unwrap();
}
