//! A client like monsiaj: it posts `{}` with the certificate that it has, and fetches what it is told to.

use std::time::Duration;

use super::staff::{Answer, Clinic, File, SAKURA, pass_until, run};
use crate::serve::tests::world::new_key;

/// The client: real `curl` with a PKCS#12 file.
async fn post(clinic: &Clinic, file: &File) -> Answer {
    let certificate = format!("{}:{}", file.at().display(), file.password);
    let arguments = ["--cert-type", "P12", "--cert", &certificate, "-H", "Content-Type: application/json", "--data-raw", "{}"];
    clinic.curl("/api/cert", &arguments).await
}

async fn fetch(clinic: &Clinic, uri: &str, file: Option<&File>) -> Answer {
    match file {
        Some(file) => {
            let certificate = format!("{}:{}", file.at().display(), file.password);
            clinic.curl(uri, &["--cert-type", "P12", "--cert", &certificate]).await
        }
        None => clinic.curl(uri, &[]).await,
    }
}

/// What the client keeps: the new file and its password.
async fn renewed(clinic: &Clinic, file: &File) -> (String, File) {
    let answer = post(clinic, file).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let (uri, password) = (told["uri"].as_str().unwrap().to_owned(), told["pass"].as_str().unwrap().to_owned());
    let fetched = fetch(clinic, &uri, Some(file)).await;
    assert_eq!(fetched.status, 200, "{}", fetched.text());
    let path = clinic.path("20260101120000.p12");
    std::fs::write(&path, &fetched.body).unwrap();
    (uri, File { path, password, serial: String::new(), name: String::new() })
}

fn denied(answer: &Answer, en: &str) {
    let text = answer.text();
    assert_eq!(answer.status, 403, "{text}");
    assert!(text.starts_with("NOT PERMITTED CERTIFICATE\n") && text.contains(en), "{en}: {text}");
    assert!(text.lines().count() == 3 && !text.lines().nth(1).unwrap().is_ascii(), "in Japanese too: {text}");
}

async fn clinic_with_a_file() -> (Clinic, File) {
    let clinic = Clinic::with("validity: 1095d, renewWithin: 60d").await;
    let person = clinic.person("tanaka");
    person.sign_in("tanaka@example.jp").await;
    let file = person.obtain("受付1番").await;
    (clinic, file)
}

async fn not_after(clinic: &Clinic, file: &File) -> tegata_core::time::Timestamp {
    clinic.world.ledger().store().portal_certificate(&file.serial.parse().unwrap()).await.unwrap().unwrap().draft.not_after
}

#[tokio::test]
async fn a_client_renews_with_the_certificate_that_it_has() {
    let (clinic, file) = clinic_with_a_file().await;
    denied(&post(&clinic, &file).await, "It is too early");
    pass_until(&clinic, not_after(&clinic, &file).await.before(Duration::from_secs(59 * 86_400)));
    let (uri, next) = renewed(&clinic, &file).await;
    let password = format!("pass:{}", next.password);
    let (fine, text) = run("openssl", &["pkcs12", "-in", next.at().to_str().unwrap(), "-passin", &password, "-nodes"]).await;
    assert!(fine && text.contains("CN = client1") && text.contains("O = uaozora"), "the same identity: {text}");
    // Once for whoever has the address; again for the holder, whose answer may have been lost; for nobody after ten minutes.
    assert_eq!(fetch(&clinic, &uri, None).await.status, 404);
    assert_eq!(fetch(&clinic, &uri, Some(&next)).await.status, 404, "another certificate");
    assert_eq!(fetch(&clinic, &uri, Some(&file)).await.status, 200);
    assert_eq!(fetch(&clinic, &uri.replace("token=", "token=x"), Some(&file)).await.status, 404);
    clinic.world.pass(Duration::from_secs(600));
    assert_eq!(fetch(&clinic, &uri, Some(&file)).await.status, 404);
    // The old one has its successor; the successor is too young.
    denied(&post(&clinic, &file).await, "renewed already");
    denied(&post(&clinic, &next).await, "too early");
    let person = clinic.person("tanaka");
    person.sign_in("tanaka@example.jp").await;
    let states = person.states().await;
    assert_eq!(states, [("受付1番".to_owned(), "valid".to_owned()), ("受付1番".to_owned(), "followed".to_owned())]);
}

#[tokio::test]
async fn an_answer_that_was_lost_costs_nothing() {
    let (clinic, file) = clinic_with_a_file().await;
    pass_until(&clinic, not_after(&clinic, &file).await.before(Duration::from_secs(86_400)));
    assert_eq!(post(&clinic, &file).await.status, 200);
    let (uri, _) = renewed(&clinic, &file).await;
    assert!(uri.contains("/api/cert/file?token="));
    let revoked = clinic.world.records("aozora", "portal.revoke").await;
    assert!(revoked.len() == 2 && revoked.iter().all(|record| record.details["because"] == "never-fetched"), "{revoked:?}");
    let account = clinic.world.ledger().store().portal_certificate(&file.serial.parse().unwrap()).await.unwrap().unwrap().draft.account;
    let now = clinic.world.now();
    let rows = clinic.world.ledger().store().portal_certificates(&account).await.unwrap();
    assert_eq!((rows.len(), rows.iter().filter(|row| row.takes_a_place(now)).count()), (3, 1));
}

#[tokio::test]
async fn what_is_expired_revoked_or_not_ours_is_not_renewed() {
    let (clinic, file) = clinic_with_a_file().await;
    // Nobody, and a certificate that says it is ours: same names, another key.
    denied(&clinic.curl("/api/cert", &["--data-raw", "{}"]).await, "not issued here");
    let now = clinic.world.now();
    let stranger = tegata_pki::authority::Authority::new_root("Clinic CA", "aozora", now, now.after(tegata_core::time::DAY)).unwrap();
    let key = new_key();
    let purpose = tegata_pki::authority::Purpose::Identity { common_name: "client1".into(), organization: "uaozora".into() };
    let serial = file.serial.parse().unwrap();
    let tbs = stranger.draft(&purpose, &key.public_key(), serial, now, now.after(tegata_core::time::HOUR)).unwrap();
    let chain = [stranger.sign(&tbs).unwrap()];
    let bundle = tegata_pki::pkcs12::write(tegata_pki::pkcs12::Flavor::Modern, &key, &chain, "x", "pw").unwrap();
    let forged = File { path: clinic.path("forged.p12"), password: "pw".into(), serial: String::new(), name: String::new() };
    std::fs::write(&forged.path, bundle).unwrap();
    denied(&post(&clinic, &forged).await, "not issued here");

    // Ours, but the account has left.
    pass_until(&clinic, not_after(&clinic, &file).await.before(Duration::from_secs(86_400)));
    let policy = super::staff::policy("sakura", "validity: 1095d, renewWithin: 60d");
    clinic.world.apply("aozora", &policy.replace("mail: Tanaka@example.jp", "mail: Tanaka@example.jp, state: left")).await;
    denied(&post(&clinic, &file).await, "its account is gone");
    // Ours, but the clinic's portal has another issuer now.
    let issuer = policy.split_once("---").unwrap().0.replace("name: portal", "name: other").replace("Clinic CA", "Other CA");
    let moved = format!("{issuer}---\n{}", policy.replace("portal: { issuer: portal }", "portal: { issuer: other }"));
    clinic.world.apply("aozora", &moved).await;
    denied(&post(&clinic, &file).await, "not issued here");
    clinic.world.apply("aozora", &policy).await;

    clinic.world.pass(Duration::from_secs(2 * 86_400));
    denied(&post(&clinic, &file).await, "It has expired");
    let person = clinic.person("tanaka");
    person.sign_in("tanaka@example.jp").await;
    let other = person.obtain("受付2番").await;
    let token = person.token().await;
    person.post(&format!("{SAKURA}/certificates/{}/revoke", other.serial), &[("token", &token)]).await;
    denied(&post(&clinic, &other).await, "It is revoked");
    let refused = clinic.world.records("aozora", "portal.renewal-refused").await;
    let because: Vec<_> = refused.iter().map(|record| record.details["because"].as_str().unwrap().to_owned()).collect();
    assert_eq!(because, ["expired", "revoked"]);
}

#[tokio::test]
async fn agents_and_browsers_are_let_in_as_before() {
    let (clinic, file) = clinic_with_a_file().await;
    // Somebody whose browser or program offers a portal certificate sees the pages like everybody else, and is no device.
    let certificate = format!("{}:{}", file.at().display(), file.password);
    let with = ["--cert-type", "P12", "--cert", certificate.as_str()];
    assert_eq!(clinic.curl(SAKURA, &with).await.status, 200);
    assert_eq!(clinic.curl("/v1/agent/manifest", &with).await.status, 401);
}

/// Java sends its certificate only if its authority is named, or none is; a browser would ask its user to choose from what is named.
#[tokio::test]
async fn only_who_cannot_be_a_browser_is_asked_for_any_certificate() {
    let (clinic, _) = clinic_with_a_file().await;
    let address = clinic.world.server.address().to_string();
    let hello = async |alpn: &[&str]| {
        let arguments = [&["s_client", "-connect", address.as_str()][..], alpn].concat();
        run("sh", &["-c", &format!("openssl {} </dev/null", arguments.join(" "))]).await.1
    };
    let browser = hello(&["-alpn", "http/1.1"]).await;
    assert!(browser.contains("Tegata Device Authority") && !browser.contains("Clinic CA"), "{browser}");
    let client = hello(&[]).await;
    assert!(client.contains("No client certificate CA names sent"), "{client}");
}

#[tokio::test]
async fn a_java_client_renews_as_monsiaj_does() {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join("javac").is_file()) {
        eprintln!("there is no Java compiler here: not tried");
        return;
    }
    let (clinic, file) = clinic_with_a_file().await;
    let source = clinic.path("Renew.java");
    std::fs::write(&source, include_str!("Renew.java")).unwrap();
    let (authority, new) = (clinic.path("server.pem"), clinic.path("new.p12"));
    let access = clinic.world.server.access().server.clone();
    let arguments = [source.to_str().unwrap(), &access, authority.to_str().unwrap(), file.at().to_str().unwrap(), &file.password];
    let arguments = [&arguments[..], &[new.to_str().unwrap()]].concat();
    let (fine, said) = run("java", &arguments).await;
    assert!(!fine && said.contains("403 NOT PERMITTED CERTIFICATE"), "{said}");
    pass_until(&clinic, not_after(&clinic, &file).await.before(Duration::from_secs(86_400)));
    let (fine, said) = run("java", &arguments).await;
    assert!(fine && said.contains("renewed") && said.contains("CN=client1") && said.contains("O=uaozora"), "{said}");
}
