//! A sign-in from its beginning to its end, or to what ends it early.

use data_encoding::BASE64URL_NOPAD;
use reqwest::Url;
use tegata_api::v1::audit::Record;
use tegata_api::v1::fleet::{ApplyRequest, Documents};
use tegata_api::v1::sign_in::{Begin, Begun, Finish};
use tegata_core::name::TenantName;
use tegata_core::time::{HOUR, MINUTE};
use tegata_pki::key::{Seal, sha256};

use super::stand_in::StandIn;
use super::*;
use crate::policy;
use crate::pretend::World;
use crate::sign_in::provider::Trouble;
use crate::sign_in::refusals::HOURLY_MAX;
use crate::sign_in::token::TokenFault;
use crate::sign_in::{SignIn, SignInError, SignInKey};
use crate::store::sessions::SessionRow;

const VERIFIER: &str = "somebody-knows-this-and-nobody-else-does-000";

fn tenant(name: &str) -> TenantName {
    name.parse().unwrap()
}

/// A provider that knows people, a server that asks it, and a tenant in which viewers of group `g-1` may look.
struct Scene {
    world: World,
    stand_in: StandIn,
    key: Key,
    settings: ProviderSettings,
    sign_in: SignIn,
}

fn sign_in(settings: &ProviderSettings) -> SignIn {
    SignIn::new(std::slice::from_ref(settings), SignInKey::of(&Seal::generate())).unwrap()
}

impl Scene {
    async fn start() -> Self {
        let key = Key::new("k", Algorithm::ES256);
        let stand_in = StandIn::start(set(&[&key])).await;
        let settings = ProviderSettings { authority: Some(stand_in.authority.clone()), ..settings(&stand_in.issuer, "") };
        let scene = Self { world: World::new().await, sign_in: sign_in(&settings), stand_in, key, settings };
        scene.bind("g-1").await;
        scene
    }

    async fn bind(&self, group: &str) {
        let text = format!(
            "apiVersion: tegata.dev/v1alpha1\nkind: AccessBinding\nmetadata: {{ name: staff }}\nspec: {{ subject: {{ issuer: \"{}\", group: {group} }}, role: viewer }}\n",
            self.stand_in.issuer
        );
        let documents = Documents { files: vec![File { name: "access.yaml".into(), text }], prune: true };
        let request = ApplyRequest { documents, allow_lockout: 0, allow_over_quota: 0 };
        policy::apply(&self.world.ledger, &self.world.bells, &tenant("aozora"), &request, "person:test", self.world.now).await.unwrap();
    }

    async fn begin(&self, of: &str) -> Result<Begun, SignInError> {
        let (state, challenge) = (BASE64URL_NOPAD.encode(&[7; 32]), BASE64URL_NOPAD.encode(&sha256(VERIFIER.as_bytes()).0));
        let begin = Begin { provider: None, port: 4321, state, challenge };
        self.sign_in.begin(&self.world.ledger, &tenant(of), &begin, self.world.now).await
    }

    /// What the provider says of somebody in a sign-in.
    fn claims(&self, begun: &Begun, changes: Value) -> Value {
        let now = self.world.now.unix();
        let nonce = asked(begun, "nonce");
        let mut claims = json!({ "iss": self.stand_in.issuer, "aud": "tegata", "sub": "8d1e", "nonce": nonce, "iat": now, "exp": now + 60, "groups": ["g-1"] });
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        claims
    }

    async fn finish(&self, begun: &Begun) -> Result<SessionRow, SignInError> {
        self.finish_as("aozora", begun, VERIFIER).await
    }

    async fn finish_as(&self, of: &str, begun: &Begun, verifier: &str) -> Result<SessionRow, SignInError> {
        let finish = Finish { ticket: begun.ticket.clone(), code: "c-1".into(), verifier: verifier.into() };
        self.sign_in.finish(&self.world.ledger, &tenant(of), &finish, self.world.now).await.map(|(row, _)| row)
    }

    /// Who, what, and why, of the sessions in the log.
    async fn told(&self) -> Vec<String> {
        self.records()
            .await
            .iter()
            .map(|record| format!("{} {} {}", record.actor, record.action, record.details["reason"].as_str().unwrap_or("-")))
            .collect()
    }

    async fn records(&self) -> Vec<Record> {
        let log = self.world.ledger.store().audit(&tenant("aozora"), 0, 10_000).await.unwrap();
        log.into_iter().filter(|record| record.action.starts_with("session.")).collect()
    }
}

fn asked(begun: &Begun, what: &str) -> String {
    let address = Url::parse(&begun.address).unwrap();
    address.query_pairs().find(|(name, _)| name == what).unwrap().1.to_string()
}

#[tokio::test]
async fn whoever_the_provider_knows_and_a_binding_names_gets_a_session() {
    let scene = Scene::start().await;
    let begun = scene.begin("aozora").await.unwrap();
    assert!(begun.address.starts_with(&format!("{}/authorize?tenant=1&response_type=code&client_id=tegata&", scene.stand_in.issuer)));
    assert_eq!((asked(&begun, "redirect_uri"), asked(&begun, "code_challenge_method")), ("http://127.0.0.1:4321/".into(), "S256".into()));
    scene.stand_in.give(&scene.key.sign(&scene.claims(&begun, json!({}))));
    let session = scene.finish(&begun).await.unwrap();
    assert_eq!((&session.login.subject[..], session.expires_at), ("8d1e", scene.world.now.after(8 * HOUR)));
    let form = format!(
        "token  grant_type=authorization_code&code=c-1&redirect_uri=http%3A%2F%2F127.0.0.1%3A4321%2F&code_verifier={VERIFIER}&client_id=tegata"
    );
    assert_eq!(scene.stand_in.asked(&form), 1, "{:?}", scene.stand_in.says.lock().unwrap().asked);
    assert_eq!(scene.told().await, [format!("login:{}#8d1e session.begin -", scene.stand_in.issuer)]);
    // The same ticket and code once more, from a provider that takes codes twice.
    assert!(matches!(scene.finish(&begun).await, Err(SignInError::Stale)));
}

#[tokio::test]
async fn a_token_or_ticket_of_another_sign_in_is_worth_nothing() {
    let mut scene = Scene::start().await;
    let (begun, other) = (scene.begin("aozora").await.unwrap(), scene.begin("aozora").await.unwrap());
    scene.stand_in.give(&scene.key.sign(&scene.claims(&other, json!({}))));
    assert!(matches!(scene.finish(&begun).await, Err(SignInError::Token(TokenFault::Nonce))));
    scene.stand_in.give(&scene.key.sign(&scene.claims(&begun, json!({}))));
    let asked = scene.stand_in.asked("token");
    for verifier in ["guessed", ""] {
        assert!(matches!(scene.finish_as("aozora", &begun, verifier).await, Err(SignInError::Stale)), "{verifier}");
    }
    for of in ["momiji", "nobody"] {
        assert!(matches!(scene.finish_as(of, &begun, VERIFIER).await, Err(SignInError::NotFound)), "{of}");
        assert!(matches!(scene.begin(of).await, Err(SignInError::NotFound)), "{of}");
    }
    let forged = Begun { ticket: begun.ticket.replacen("ey", "eX", 1), ..begun.clone() };
    assert!(matches!(scene.finish(&forged).await, Err(SignInError::Stale)));
    scene.world.pass(10 * MINUTE);
    assert!(matches!(scene.finish(&begun).await, Err(SignInError::Stale)));
    assert_eq!(scene.stand_in.asked("token"), asked, "nobody asks the provider for these");
    assert_eq!(scene.told().await, ["tegata session.refuse nonce"]);
}

#[tokio::test]
async fn of_two_tenants_of_one_provider_each_has_its_own_sign_ins() {
    let mut scene = Scene::start().await;
    scene.settings.provider.tenants.insert(tenant("momiji"));
    scene.sign_in = sign_in(&scene.settings);
    let begun = scene.begin("aozora").await.unwrap();
    scene.stand_in.give(&scene.key.sign(&scene.claims(&begun, json!({}))));
    assert!(matches!(scene.finish_as("momiji", &begun, VERIFIER).await, Err(SignInError::Stale)));
    let begun = scene.begin("momiji").await.unwrap();
    scene.stand_in.give(&scene.key.sign(&scene.claims(&begun, json!({}))));
    let refused = scene.finish_as("momiji", &begun, VERIFIER).await.unwrap_err().to_string();
    assert!(refused.starts_with("no AccessBinding in force names you: you are '8d1e' of https://127.0.0.1"), "{refused}");
}

#[tokio::test]
async fn whom_no_binding_names_gets_no_session_and_floods_no_log() {
    let mut scene = Scene::start().await;
    let try_as = async |scene: &Scene, subject: &str| {
        let begun = scene.begin("aozora").await.unwrap();
        scene.stand_in.give(&scene.key.sign(&scene.claims(&begun, json!({ "sub": subject, "groups": ["g-2"] }))));
        assert!(matches!(scene.finish(&begun).await, Err(SignInError::Unbound { .. })));
    };
    for _ in 0..3 {
        try_as(&scene, "8d1e").await;
    }
    assert_eq!(scene.told().await, [format!("login:{}#8d1e session.refuse unbound", scene.stand_in.issuer)]);
    for stranger in 0..HOURLY_MAX + 5 {
        try_as(&scene, &format!("s-{stranger}")).await;
    }
    let refusals = scene.records().await;
    assert_eq!(refusals.len(), HOURLY_MAX);
    assert!(
        refusals.iter().rev().map(|record| record.details["more"].is_string()).eq((0..HOURLY_MAX).map(|from_the_end| from_the_end == 0))
    );
    scene.world.pass(HOUR);
    try_as(&scene, "8d1e").await;
    assert_eq!(scene.told().await.len(), HOURLY_MAX + 1);
    scene.bind("g-2").await;
    let begun = scene.begin("aozora").await.unwrap();
    scene.stand_in.give(&scene.key.sign(&scene.claims(&begun, json!({ "groups": ["g-2"] }))));
    scene.finish(&begun).await.unwrap();
}

#[tokio::test]
async fn keys_are_kept_and_asked_for_anew_at_a_bounded_rate() {
    let mut scene = Scene::start().await;
    let next = Key::new("next", Algorithm::ES256);
    let try_by = async |scene: &Scene, key: &Key| {
        let begun = scene.begin("aozora").await.unwrap();
        scene.stand_in.give(&key.sign(&scene.claims(&begun, json!({}))));
        scene.finish(&begun).await.map(drop)
    };
    for _ in 0..3 {
        try_by(&scene, &scene.key).await.unwrap();
    }
    assert_eq!(scene.stand_in.asked("/keys"), 1);
    scene.stand_in.says.lock().unwrap().keys = set(&[&next]);
    for _ in 0..3 {
        assert!(matches!(try_by(&scene, &next).await, Err(SignInError::Token(TokenFault::Key))), "not within a minute");
    }
    assert_eq!(scene.stand_in.asked("/keys"), 1);
    scene.world.pass(MINUTE);
    try_by(&scene, &next).await.unwrap();
    assert!(matches!(try_by(&scene, &scene.key).await, Err(SignInError::Token(TokenFault::Key))), "a key that the provider took back");
    assert_eq!(scene.stand_in.asked("/keys"), 2);
}

#[tokio::test]
async fn what_is_wrong_with_a_provider_is_said_and_it_is_left_alone_for_a_while() {
    let mut scene = Scene::start().await;
    let trouble = async |scene: &Scene| match scene.begin("aozora").await {
        Err(SignInError::Provider { trouble, .. }) => trouble,
        other => panic!("{other:?}"),
    };
    scene.stand_in.says.lock().unwrap().issuer = Some("https://evil.example".into());
    for _ in 0..3 {
        let told = trouble(&scene).await.to_string();
        assert!(told.contains("it calls itself \"https://evil.example\""), "{told}");
    }
    assert_eq!(scene.stand_in.asked("/.well-known"), 1);
    scene.stand_in.says.lock().unwrap().issuer = None;
    scene.world.pass(MINUTE);
    let begun = scene.begin("aozora").await.unwrap();
    for (status, answer, said) in [
        (400, json!({ "error": "invalid_grant" }), "does not take the code"),
        (401, json!({ "error": "invalid_client" }), "refuses this server: invalid_client"),
        (502, json!("down"), "HTTP status 502"),
        (200, json!({ "access_token": "a" }), "no ID token"),
        (200, json!({ "id_token": "x".repeat(300_000) }), "an answer without end"),
    ] {
        scene.stand_in.refuse(status, answer);
        let told = scene.finish(&begun).await.unwrap_err().to_string();
        assert!(told.contains(said), "{told}");
    }
    let other = StandIn::start(set(&[&scene.key])).await;
    let untrusted = ProviderSettings { authority: Some(other.authority), ..scene.settings.clone() };
    scene.sign_in = sign_in(&untrusted);
    assert!(matches!(trouble(&scene).await, Trouble::Unreachable(_)));
}

#[tokio::test]
async fn a_server_with_a_secret_shows_it_to_the_provider() {
    let mut scene = Scene::start().await;
    scene.settings.secret = Some("s:1 é".to_owned().into());
    scene.sign_in = sign_in(&scene.settings);
    let begun = scene.begin("aozora").await.unwrap();
    scene.stand_in.give(&scene.key.sign(&scene.claims(&begun, json!({}))));
    scene.finish(&begun).await.unwrap();
    let basic = data_encoding::BASE64.encode(b"tegata:s%3A1%20%C3%A9");
    assert_eq!(scene.stand_in.asked(&format!("token Basic {basic} ")), 1);
    assert!(!format!("{:?}", scene.settings).contains("s:1"));
}

#[tokio::test]
async fn while_nothing_is_given_out_nobody_is_let_in() {
    let mut scene = Scene::start().await;
    let copy = scene.world.copy().await;
    scene.world = scene.world.put_back(copy).await;
    assert!(matches!(scene.begin("aozora").await, Err(SignInError::Store(crate::store::StoreError::Recovering))));
}
