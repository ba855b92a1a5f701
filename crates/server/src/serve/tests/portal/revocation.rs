//! Certificates that the portal handed out, revoked among many others.

use tegata_api::v1::problem::Code;
use tegata_api::v1::revocation::{Blast, Cause, ClinicBlast, Mode, RevokeMany, RevokedMany, Selection};
use tegata_core::time::DAY;

use super::staff::{Clinic, File, run};
use crate::serve::tests::revocation::list;
use crate::serve::tests::world::code_of;

async fn shown(clinic: &Clinic, selection: &Selection) -> Blast {
    clinic.world.admin().post("/v1/tenants/aozora/revocations/preview", selection).await.unwrap()
}

async fn carry_out(
    clinic: &Clinic,
    selection: Selection,
    digest: String,
    mode: Mode,
) -> Result<RevokedMany, tegata_api::client::ClientError> {
    let wish = RevokeMany { selection, digest, reason: Cause::KeyCompromise, note: "broken generator".into(), mode };
    clinic.world.admin().post("/v1/tenants/aozora/revocations", &wish).await
}

fn of_issuer() -> Selection {
    Selection { issuer: Some("portal".into()), ..Selection::default() }
}

fn of_account(name: &str) -> Selection {
    Selection { account: Some(name.into()), ..Selection::default() }
}

/// Two people with a certificate each.
async fn two() -> (Clinic, File, File) {
    let clinic = Clinic::open().await;
    let mut files = vec![];
    for name in ["tanaka", "suzuki"] {
        let person = clinic.person(name);
        person.sign_in(&format!("{name}@example.jp")).await;
        files.push(person.obtain("受付1番").await);
    }
    let second = files.pop().unwrap();
    (clinic, files.pop().unwrap(), second)
}

async fn is_revoked(clinic: &Clinic, file: &File) -> bool {
    clinic.world.ledger().store().portal_certificate(&file.serial.parse().unwrap()).await.unwrap().unwrap().revoked_at.is_some()
}

#[tokio::test]
async fn r3_what_the_portal_handed_out_is_meant_by_issuer_account_time_and_serial_and_by_nothing_else() {
    let (clinic, first, second) = two().await;
    let count = async |selection: Selection| shown(&clinic, &selection).await.certificates;
    let all = shown(&clinic, &of_issuer()).await;
    assert_eq!((all.certificates, all.from_portal, all.cut_off), (2, 2, 0));
    assert_eq!(all.clinics, [ClinicBlast { clinic: "sakura".into(), certificates: 2, cut_off: 0 }]);
    assert_eq!((count(of_account("tanaka")).await, count(of_account("few")).await), (1, 0));
    let now = clinic.world.now();
    let since = |moment: tegata_core::time::Timestamp| Selection { issued_from: Some(moment.unix()), ..Selection::default() };
    assert_eq!((count(since(now.before(DAY))).await, count(since(now.after(DAY))).await), (2, 0));
    let until = Selection { issued_until: Some(now.before(DAY).unix()), ..of_issuer() };
    assert_eq!(count(until).await, 0);
    assert_eq!(count(Selection { serials: vec![first.serial.clone(), second.serial.clone()], ..Selection::default() }).await, 2);
    assert_eq!(count(Selection { device: Some("sakura/uketsuke-1".into()), ..of_issuer() }).await, 0, "it lies on no device that is known");
    assert_eq!(count(Selection { profile: Some("karte".into()), ..of_issuer() }).await, 0);
    // Another tenant has an issuer of the same name, and nothing of ours.
    let preview =
        async |selection: &Selection| clinic.world.admin().post::<_, Blast>("/v1/tenants/momiji/revocations/preview", selection).await;
    assert_eq!(preview(&of_issuer()).await.unwrap().certificates, 0);
    let theirs = Selection { serials: vec![first.serial.clone()], ..Selection::default() };
    assert_eq!(code_of(preview(&theirs).await), Code::NotFound);
}

#[tokio::test]
async fn r3_exactly_what_was_shown_is_revoked_and_on_the_list_that_its_certificate_names() {
    let (clinic, first, second) = two().await;
    let password = format!("pass:{}", first.password);
    let at = first.at().to_str().unwrap();
    let (_, pem) = run("openssl", &["pkcs12", "-in", at, "-passin", &password, "-nokeys", "-clcerts"]).await;
    std::fs::write(clinic.path("first.pem"), pem).unwrap();
    let (_, text) =
        run("openssl", &["x509", "-in", clinic.path("first.pem").to_str().unwrap(), "-noout", "-ext", "crlDistributionPoints"]).await;
    assert!(text.contains("/crl/aozora/portal/1.crl"), "a shard, not the whole list: {text}");

    let before = shown(&clinic, &of_account("tanaka")).await;
    let person = clinic.person("tanaka");
    let newer = person.obtain("受付2番").await;
    let refused = carry_out(&clinic, of_account("tanaka"), before.digest, Mode::Now).await;
    assert_eq!(code_of(refused), Code::Conflict, "the set is another one");
    let digest = shown(&clinic, &of_account("tanaka")).await.digest;
    let done = carry_out(&clinic, of_account("tanaka"), digest, Mode::Now).await.unwrap();
    assert_eq!(done, RevokedMany { revoked: 2, ..RevokedMany::default() });
    clinic.world.pass(std::time::Duration::from_secs(1));
    let mut gone = [first.serial, newer.serial];
    gone.sort();
    assert_eq!(list(&clinic.world, "/crl/aozora/portal/1.crl").await.serials, gone);
    assert!(!is_revoked(&clinic, &second).await);
    let told = clinic.world.records("aozora", "portal.revoke").await;
    assert!(told.len() == 4 && told.iter().all(|record| record.object == "sakura/accounts/tanaka"), "{told:?}");
}

#[tokio::test]
async fn r3_nobody_but_its_holder_replaces_a_portals_certificate_so_it_stays_until_it_is_followed() {
    let (clinic, first, second) = two().await;
    let replace = async || {
        let digest = shown(&clinic, &of_issuer()).await.digest;
        carry_out(&clinic, of_issuer(), digest, Mode::Replace).await.unwrap()
    };
    assert_eq!(replace().await, RevokedMany { left: 2, ..RevokedMany::default() }, "make before break");
    assert!(!is_revoked(&clinic, &first).await && !is_revoked(&clinic, &second).await);
    let person = clinic.person("tanaka");
    let token = person.token().await;
    let renewed = person.post(&format!("{}/certificates/{}/renew", super::staff::SAKURA, first.serial), &[("token", &token)]).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    // Only those from before: the successor was made by a good generator.
    let old = Selection { serials: vec![first.serial.clone(), second.serial.clone()], ..Selection::default() };
    let digest = shown(&clinic, &old).await.digest;
    let done = carry_out(&clinic, old, digest, Mode::Replace).await.unwrap();
    assert_eq!(done, RevokedMany { revoked: 1, left: 1, ..RevokedMany::default() });
    assert!(is_revoked(&clinic, &first).await && !is_revoked(&clinic, &second).await);
}
