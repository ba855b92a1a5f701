//! From a mail address to a list of certificates.

use tegata_api::v1::audit::Stage;

use super::staff::{Clinic, SAKURA, database, run};

#[tokio::test]
async fn from_a_mail_address_to_a_certificate_in_the_list() {
    let clinic = Clinic::open().await;
    let tanaka = clinic.person("tanaka");
    let start = tanaka.get(SAKURA).await;
    assert_eq!(start.status, 200);
    let page = start.text();
    assert!(
        page.contains("lang=\"ja\"") && page.contains("さくら内科クリニック") && page.contains("1 アカウントにつき 50 枚まで"),
        "{page}"
    );
    for check in ["check ok\"><b>確認コードのメール", "check bad\"><b>ブラウザー", "id=\"clock\""] {
        assert!(page.contains(check), "{check}: {page}");
    }
    let policy = start.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(start.header("cache-control"), Some("no-store"));

    // Full-width, with blanks, in another case: as people type.
    let handle = tanaka.apply(" ｔａｎａｋａ＠example.jp ").await;
    let code = tanaka.get(&format!("{SAKURA}/code?handle={handle}")).await;
    let clock = code.text().split_once("<output class=\"clock\">").map(|(_, rest)| rest[..5].to_owned()).unwrap_or_default();
    assert!(("09:30".."10:01").contains(&&clock[..]), "a slow machine has used some seconds: {clock}");
    let entered = tanaka.enter(&handle, &clinic.digits().await).await;
    let cookie = entered.header("set-cookie").unwrap();
    for part in ["__Host-tegata-portal=", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=1800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert_eq!(tanaka.states().await, []);

    let issued = tanaka.issue("受付1番 (1階)", "EAST2").await;
    assert_eq!(issued.status, 200);
    let file = tanaka.fetch(&issued).await;
    assert_eq!(file.name, "1312345678_JP_uaozora_client1.p12");
    assert_eq!(tanaka.states().await, [("受付1番 (1階)".to_owned(), "valid".to_owned())]);
    let page = tanaka.get(&format!("{SAKURA}/certificates")).await.text();
    for column in ["client1", "uaozora", "有効", "クライアント", "EAST2", "1 / 50 枚", "あと 109"] {
        assert!(page.contains(column), "{column}: {page}");
    }
    assert!(!page.contains(&file.password), "the password is shown once");
    let everything = database(&clinic);
    for secret in [file.password.as_bytes(), file.password.replace('-', "").as_bytes(), b"PRIVATE KEY"] {
        assert!(!everything.windows(secret.len()).any(|window| window == secret), "a secret is in the database");
    }
}

#[tokio::test]
async fn i1_the_exact_bytes_are_on_record_before_the_signature() {
    let clinic = Clinic::open().await;
    let tanaka = clinic.person("tanaka");
    tanaka.sign_in("tanaka@example.jp").await;
    let file = tanaka.obtain("受付1番").await;
    let (intended, done) = (clinic.world.records("aozora", "portal.sign").await, clinic.world.records("aozora", "portal.issue").await);
    assert_eq!((intended.len(), done.len()), (1, 1));
    assert!(intended[0].stage == Stage::Intended && intended[0].sequence < done[0].sequence);
    assert_eq!(intended[0].details["serial"], file.serial);
    let der = clinic.world.ledger().store().portal_certificate(&file.serial.parse().unwrap()).await.unwrap().unwrap();
    let tbs = tegata_pki::key::sha256(&der.draft.tbs).to_string();
    assert_eq!(intended[0].details["tbsSha256"], tbs);
    let position = der.der.windows(der.draft.tbs.len()).position(|window| window == der.draft.tbs);
    assert!(position.is_some(), "what was signed is what was recorded");
    let mailed = clinic.world.records("aozora", "portal.code").await;
    assert!(mailed.iter().any(|record| record.stage == Stage::Intended), "{mailed:?}");
}

#[tokio::test]
async fn the_list_renews_revokes_remarks_and_packs() {
    let clinic = Clinic::open().await;
    let tanaka = clinic.person("tanaka");
    tanaka.sign_in("tanaka@example.jp").await;
    let first = tanaka.obtain("受付1番").await;
    let second = tanaka.obtain("診察室").await;
    let token = tanaka.token().await;
    let of = |serial: &str, what: &str| format!("{SAKURA}/certificates/{serial}/{what}");

    let remarked = tanaka.post(&of(&first.serial, "remarks"), &[("token", &token), ("remarks", "<b>2027年に交換</b>")]).await;
    assert_eq!(remarked.status, 303);
    let page = tanaka.get(&format!("{SAKURA}/certificates")).await.text();
    assert!(page.contains("&lt;b&gt;2027年に交換&lt;/b&gt;"), "what people write is escaped: {page}");

    let renewed = tanaka.post(&of(&first.serial, "renew"), &[("token", &token)]).await;
    assert_eq!(renewed.status, 200, "{}", renewed.text());
    let successor = tanaka.fetch(&renewed).await;
    assert_eq!(successor.name, first.name, "the same number");
    assert_ne!(successor.password, first.password);
    let again = tanaka.post(&of(&first.serial, "renew"), &[("token", &token)]).await;
    assert_eq!(again.status, 409);
    assert!(again.text().contains("更新済み") && again.text().contains("renewed already"), "{}", again.text());
    let states: Vec<_> = tanaka.states().await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["valid", "valid", "followed"]);
    let page = tanaka.get(&format!("{SAKURA}/certificates")).await.text();
    assert!(page.contains("2 / 50 枚"), "a successor takes over the place: {page}");

    let asked = tanaka.get(&of(&second.serial, "revoke")).await;
    assert!(asked.text().contains("診察室"), "the memo says which: {}", asked.text());
    assert_eq!(tanaka.post(&of(&second.serial, "revoke"), &[("token", &token)]).await.status, 303);
    let states: Vec<_> = tanaka.states().await.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["valid", "revoked", "followed"]);
    let twice = tanaka.post(&of(&second.serial, "revoke"), &[("token", &token)]).await;
    assert_eq!(twice.status, 409);

    let list = clinic.curl("/crl/aozora/portal.crl", &[]).await;
    std::fs::write(clinic.path("portal.crl"), &list.body).unwrap();
    let (_, text) = run("openssl", &["crl", "-inform", "DER", "-noout", "-text", "-in", clinic.path("portal.crl").to_str().unwrap()]).await;
    assert!(text.contains(&second.serial.to_uppercase()) && !text.contains(&first.serial.to_uppercase()), "{text}");

    let archive = tanaka.get(&format!("{SAKURA}/certificates.zip")).await;
    std::fs::write(clinic.path("all.zip"), &archive.body).unwrap();
    let (fine, text) = run("python3", &["-m", "zipfile", "-l", clinic.path("all.zip").to_str().unwrap()]).await;
    assert!(fine && text.matches(&first.name).count() == 2 && !text.contains(&second.name), "{text}");

    assert_eq!(tanaka.post(&format!("{SAKURA}/sign-out"), &[("token", &token)]).await.status, 303);
    assert_eq!(tanaka.get(&format!("{SAKURA}/certificates")).await.header("location"), Some(SAKURA));
}

#[tokio::test]
async fn f4_administrators_revoke_by_serial_number_in_their_own_tenant() {
    let clinic = Clinic::open().await;
    let tanaka = clinic.person("tanaka");
    tanaka.sign_in("tanaka@example.jp").await;
    let file = tanaka.obtain("受付1番").await;
    let revoke = async |tenant: &str| {
        let path = format!("/v1/tenants/{tenant}/certificates/{}/revoke", file.serial);
        crate::serve::tests::world::ask(&clinic.world.admin(), true, &path, &serde_json::json!({ "note": "lost" })).await
    };
    assert_eq!(revoke("momiji").await.map(|problem| problem.status), Some(404));
    for _ in 0..2 {
        assert!(revoke("aozora").await.is_none(), "repeating it changes nothing");
    }
    assert_eq!(tanaka.states().await, [("受付1番".to_owned(), "revoked".to_owned())]);
    assert_eq!(tanaka.get(&format!("{SAKURA}/certificates/{}/file", file.serial)).await.status, 404);
    assert_eq!(clinic.world.records("aozora", "portal.revoke").await.len(), 2);
}

#[tokio::test]
async fn pages_speak_the_language_that_is_chosen() {
    let clinic = Clinic::open().await;
    let anyone = clinic.person("anyone");
    let english = clinic.curl(SAKURA, &["-H", "Accept-Language: en-GB,en;q=0.9"]).await;
    assert!(english.text().contains("Apply for a certificate") && english.text().contains("lang=\"en\""));
    assert!(anyone.get(SAKURA).await.text().contains("証明書の申請"));
    assert!(anyone.get(&format!("{SAKURA}?lang=en")).await.text().contains("Apply for a certificate"));
    assert!(anyone.get(SAKURA).await.text().contains("Apply for a certificate"), "the choice is kept");
    for (file, kind) in [("portal.css", "text/css"), ("portal.js", "text/javascript")] {
        let asset = clinic.curl(&format!("/portal-assets/{file}"), &[]).await;
        assert!(asset.status == 200 && asset.header("content-type").unwrap().starts_with(kind));
    }
}

#[tokio::test]
async fn i3_an_intention_whose_key_is_gone_is_forgotten_at_the_next_start() {
    use crate::store::portal::{AccountId, PortalChange, PortalDraft, Room};
    use crate::store::{Batch, Change};
    let clinic = Clinic::open().await;
    let account = AccountId { tenant: "aozora".parse().unwrap(), clinic: "sakura".parse().unwrap(), account: "tanaka".parse().unwrap() };
    let now = clinic.world.now();
    let draft = PortalDraft {
        serial: tegata_core::name::Serial([0x41; 16]),
        account: account.clone(),
        issuer: "portal".parse().unwrap(),
        shard: 1,
        n: 1,
        common_name: "client1".into(),
        organization: "uaozora".into(),
        memo: "受付1番".into(),
        label: None,
        remarks: String::new(),
        file_name: "a.p12".into(),
        public_key: tegata_core::name::Sha256([1; 32]),
        tbs: vec![1],
        not_after: now.after(tegata_core::time::DAY),
        applied_at: now,
        replaces: None,
    };
    let change = Change::Portal(PortalChange::PutDraft { draft: draft.into(), room: Room { living_max: 50, issued: vec![] } });
    clinic.world.ledger().note(Batch { records: vec![], changes: vec![change] }).await.unwrap();
    let Clinic { world, .. } = clinic;
    let world = world.restart().await;
    assert!(world.ledger().store().portal_drafts().await.unwrap().is_empty());
    assert_eq!(world.records("aozora", "portal.abandon").await.len(), 1, "never silently");
}
