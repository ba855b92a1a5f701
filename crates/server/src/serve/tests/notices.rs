//! From a certificate that nobody renews to the letter, the console and the silence after it.

use std::time::Duration;

use tegata_api::v1::notice::{DeliveryState, Expiring, Notice, SecretAnswer, SecretRequest};
use tegata_api::v1::problem::Code;
use tegata_core::name::ClinicId;
use tegata_core::time::{DAY, HOUR};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::world::{PATIENCE, World, clock, code_of, config, policy};
use crate::mail::MailSettings;
use crate::mail::sink::Sink;
use crate::serve::{Config, start_at};
use crate::store::{Batch, Change};

/// Certificates that live for three days only: the clock of the clients cannot be put forward, and what the server shows itself by must
/// suit both.
fn told_of(clinic: &str) -> String {
    let notices = "  renewal: { window: 1d, when: early }\n  notices: [2d, 1d]\n";
    let told =
        "  facilitySlug: sakura\n  contacts: [incho@example.jp]\n  notify: { webhooks: [{ url: \"https://hooks.example.jp/a\" }] }\n";
    let policy = policy(clinic).replace("  renewal: { window: 30d, when: early }\n", notices).replace("validity: 90d", "validity: 3d");
    policy.replace("  facilitySlug: sakura\n", told)
}

fn mailing(place: &TempDir, sink: &Sink) -> Config {
    let mail = MailSettings {
        url: sink.url(),
        password: Some(Zeroizing::new(Sink::PASSWORD.into())),
        from: "Tegata <tegata@example.jp>".into(),
        authority: Some(std::fs::read_to_string(sink.authority()).unwrap()),
    };
    Config { mail: Some(mail), ..config(place) }
}

async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
}

#[tokio::test]
async fn a_certificate_that_is_not_renewed_is_told_of_by_mail_once_and_shown_on_the_console() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (place, offset) = (tempfile::tempdir().unwrap(), std::sync::Arc::default());
    let sink = Sink::start(&place.path().join("mail")).unwrap();
    let server = start_at(mailing(&place, &sink), clock(&offset)).await.unwrap();
    let world = World::of(place, server, offset);
    world.apply("aozora", &told_of("sakura")).await;
    let mut pc = world.enroll("sakura/pc-1").await;
    let (_, issued) = pc.install_and_prove().await;
    let admin = world.admin();
    let expiring: Vec<Expiring> = admin.get("/v1/tenants/aozora/expiring?within=600").await.unwrap();
    assert!(expiring.is_empty());
    let key = SecretRequest { url: "https://hooks.example.jp/a".into(), rotate: false };
    let secret: SecretAnswer = admin.post("/v1/tenants/aozora/webhooks/sakura/secret", &key).await.unwrap();
    assert!(secret.secret.starts_with("whsec_"));
    let again = admin.post::<_, SecretAnswer>("/v1/tenants/aozora/webhooks/sakura/secret", &key).await;
    assert_eq!(code_of(again), Code::Conflict, "it is shown once");

    world.pass(3 * DAY - 2 * HOUR);
    // Nothing rings when time is put forward; anything that makes the server look will do.
    world.apply("aozora", &told_of("sakura").replace("displayName: sakura", "displayName: さくら内科")).await;
    until("the letter", async || sink.letters().unwrap().first().cloned()).await;
    let notices = async || -> Vec<Notice> { admin.get("/v1/tenants/aozora/notices?clinic=sakura").await.unwrap() };
    let told = until("its record", async || {
        let told = notices().await;
        let mail = told.first()?.deliveries.iter().find(|delivery| delivery.channel == "mail")?.clone();
        (mail.state == DeliveryState::Done).then_some(told)
    })
    .await;
    assert_eq!((told.len(), &told[0].bulletin.items[0].object), (1, &issued.serial));
    assert_eq!(told[0].bulletin.items[0].waits_for.as_deref(), Some("silent-device"));
    let expiring: Vec<Expiring> = admin.get("/v1/tenants/aozora/expiring").await.unwrap();
    assert_eq!((expiring.len(), &expiring[0].serial, expiring[0].waits_for.as_deref()), (1, &issued.serial, Some("silent-device")));
    drop((notices, pc));

    // The same server, started again on a clinic that is due: it says nothing twice.
    let sakura = ClinicId { tenant: "aozora".parse().unwrap(), clinic: "sakura".parse().unwrap() };
    let nudge = Change::Nudge { clinic: sakura.clone(), at: world.now() };
    let World { place, server, offset, .. } = world;
    server.ledger.note(Batch { records: vec![], changes: vec![nudge] }).await.unwrap();
    server.stop().await;
    let server = start_at(mailing(&place, &sink), clock(&offset)).await.unwrap();
    let world = World::of(place, server, offset);
    let store = world.ledger().store();
    let quiet = async || store.clinics(&sakura.tenant).await.unwrap()[&sakura.clinic].filter(|at| *at > world.now());
    until("the turn after it", quiet).await;
    assert_eq!((sink.letters().unwrap().len(), store.letters(&sakura.tenant, None, 9).await.unwrap().len()), (1, 1));
    let log = store.audit(&sakura.tenant, 0, 1_000).await.unwrap();
    assert_eq!(log.iter().filter(|record| record.action == "notice.send").count(), 2, "intended and done");
}

#[tokio::test]
async fn mail_settings_that_make_no_sense_stop_the_server_before_it_begins() {
    let place = tempfile::tempdir().unwrap();
    let mail = MailSettings { url: "smtp:/nowhere".into(), password: None, from: "tegata@example.jp".into(), authority: None };
    let refused = crate::serve::start(Config { mail: Some(mail), ..config(&place) }).await.err().unwrap();
    assert!(refused.to_string().contains("expected smtp://"), "{refused}");
    assert!(!place.path().join("state").exists());
}
