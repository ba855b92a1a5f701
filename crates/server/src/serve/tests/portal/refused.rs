//! What the portal does not do, and what it says then.

use std::time::Duration;

use super::staff::{Clinic, SAKURA, policy};
use crate::serve::tests::world::World;
use crate::store::portal::AccountId;

/// A page that refuses says why in both languages, and keeps nothing.
fn says(answer: &super::staff::Answer, status: u16, ja: &str, en: &str) {
    let page = answer.text();
    assert_eq!(answer.status, status, "{page}");
    assert!(page.contains("role=\"alert\"") && page.contains(ja) && page.contains(en), "{ja} / {en}: {page}");
}

fn tanaka() -> AccountId {
    AccountId { tenant: "aozora".parse().unwrap(), clinic: "sakura".parse().unwrap(), account: "tanaka".parse().unwrap() }
}

#[tokio::test]
async fn a_form_that_is_wrong_is_refused_in_words_and_nothing_is_half_stored() {
    let clinic = Clinic::open().await;
    let person = clinic.person("tanaka");
    person.sign_in("tanaka@example.jp").await;
    person.obtain("受付1番").await;
    let long = "長".repeat(65);
    let cases = [
        ("", "", 422, "メモがありません", "The memo is missing"),
        ("\u{3000}", "", 422, "メモがありません", "The memo is missing"),
        (&long, "", 422, "このメモは使えません", "This memo cannot be used"),
        ("受付1番", "", 409, "このメモは使用中です", "This memo is in use"),
        ("受付2番", "ＥＡＳＴ", 422, "半角英数字だけ", "half-width letters and digits only"),
        ("受付2番", "東棟", 422, "半角英数字だけ", "half-width letters and digits only"),
        ("受付2番", "east-2", 422, "半角英数字だけ", "half-width letters and digits only"),
    ];
    for (memo, label, status, ja, en) in cases {
        let answer = person.issue(memo, label).await;
        says(&answer, status, ja, en);
        assert!(!answer.text().contains("id=\"password\""));
    }
    let again = person.issue("受付2番", "ＥＡＳＴ").await.text();
    assert!(again.contains("value=\"受付2番\"") && again.contains("value=\"ＥＡＳＴ\""), "what was filled in stays: {again}");
    let store = clinic.world.ledger().store();
    assert_eq!(store.portal_certificates(&tanaka()).await.unwrap().len(), 1);
    assert!(store.portal_drafts().await.unwrap().is_empty());
    assert_eq!(clinic.world.records("aozora", "portal.issue").await.len(), 1);
    // Once it is revoked, its memo is free again.
    let serial = store.portal_certificates(&tanaka()).await.unwrap()[0].draft.serial;
    let token = person.token().await;
    person.post(&format!("{SAKURA}/certificates/{serial}/revoke"), &[("token", &token)]).await;
    assert_eq!(person.issue("受付1番", "").await.status, 200);
}

#[tokio::test]
async fn a_code_ends_after_ten_minutes_whatever_is_typed() {
    let clinic = Clinic::open().await;
    let person = clinic.person("tanaka");
    let (handle, digits) = (person.apply("tanaka@example.jp").await, clinic.digits().await);
    clinic.world.pass(Duration::from_secs(601));
    says(&person.enter(&handle, &digits).await, 403, "確認コードの時間が過ぎました", "The code has run out");
    let (handle, digits) = (person.apply("tanaka@example.jp").await, clinic.digits().await);
    clinic.world.pass(Duration::from_secs(590));
    let answer = person.enter(&handle, &digits).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    says(&person.enter(&handle, &digits).await, 403, "もう使えません", "cannot be used any more");
    // The session ends by itself.
    clinic.world.pass(Duration::from_secs(1801));
    assert_eq!(person.get(&format!("{SAKURA}/certificates")).await.header("location"), Some(SAKURA));
}

#[tokio::test]
async fn five_wrong_tries_end_a_code_even_for_the_right_digits() {
    let clinic = Clinic::open().await;
    let person = clinic.person("tanaka");
    let (handle, digits) = (person.apply("tanaka@example.jp").await, clinic.digits().await);
    let wrong = if digits == "000000" { "000001" } else { "000000" };
    says(&person.enter(&handle, "12345").await, 422, "6 桁の数字", "Enter six digits");
    for left in (1..=4).rev() {
        says(&person.enter(&handle, wrong).await, 403, &format!("あと {left} 回"), &format!("{left} tries are left"));
    }
    for attempt in [wrong, wrong, &digits] {
        says(&person.enter(&handle, attempt).await, 403, "もう使えません", "cannot be used any more");
    }
    assert_eq!(clinic.world.records("aozora", "portal.code-refused").await.len(), 5);
    assert_eq!(clinic.world.records("aozora", "portal.sign-in").await.len(), 0);
    // Another code is another five. The right digits cost one too: it is spent before anything is compared.
    let (handle, digits) = (person.apply("tanaka@example.jp").await, clinic.digits().await);
    assert_eq!(person.enter(&handle, &digits).await.status, 303);
    assert_eq!(clinic.world.ledger().store().portal_code(&handle).await.unwrap().unwrap().tries_left, 4);
}

#[tokio::test]
async fn f4_the_right_digits_open_no_other_clinics_portal() {
    let clinic = Clinic::open().await;
    let person = clinic.person("tanaka");
    let (handle, digits) = (person.apply("tanaka@example.jp").await, clinic.digits().await);
    // There is a tanaka too.
    let elsewhere = person.post("/portal/momiji/kaede/code", &[("handle", &handle), ("digits", &digits)]).await;
    says(&elsewhere, 403, "もう使えません", "cannot be used any more");
    assert_eq!(person.enter(&handle, &digits).await.status, 303, "nor is a try spent there");
}

#[tokio::test]
async fn an_account_with_a_quota_of_its_own_gets_no_more_than_that() {
    let clinic = Clinic::open().await;
    let person = clinic.person("one");
    person.sign_in("one@example.jp").await;
    let first = person.obtain("受付1番").await;
    assert_eq!(person.issue("受付2番", "").await.status, 409);
    let token = person.token().await;
    person.post(&format!("{SAKURA}/certificates/{}/revoke", first.serial), &[("token", &token)]).await;
    person.obtain("受付2番").await;
}

#[tokio::test]
async fn who_has_left_neither_comes_in_nor_stays() {
    let clinic = Clinic::open().await;
    let person = clinic.person("tanaka");
    person.sign_in("tanaka@example.jp").await;
    let token = person.token().await;
    let (handle, digits) = (person.apply("tanaka@example.jp").await, clinic.digits().await);
    let left = policy("sakura", "validity: 1095d").replace("mail: Tanaka@example.jp", "mail: Tanaka@example.jp, state: left");
    clinic.world.apply("aozora", &left).await;
    says(&person.enter(&handle, &digits).await, 403, "確認コードが違います", "The code is wrong");
    let issued = person.post(&format!("{SAKURA}/new"), &[("token", &token), ("memo", "受付1番"), ("label", "")]).await;
    assert_ne!(issued.status, 200, "{issued:?}");
    assert!(clinic.world.records("aozora", "portal.issue").await.is_empty());
}

#[tokio::test]
async fn an_address_that_nobody_has_is_answered_alike() {
    let clinic = Clinic::open().await;
    let person = clinic.person("anyone");
    let mut pages = Vec::new();
    for mail in ["suzuki@example.jp", "nobody@example.jp", "sato@example.jp"] {
        let handle = person.apply(mail).await;
        let mut page = person.get(&format!("{SAKURA}/code?handle={handle}")).await.text();
        for digits in ["000000", "000000", "000000", "000000", "000000", "000000"] {
            page += &person.enter(&handle, digits).await.text();
        }
        // The countdown may have gone on by a second.
        let same = page.replace(&handle, "HANDLE");
        let same: Vec<_> =
            same.lines().filter(|line| !line.contains("clock") && !line.contains("left") && !line.contains("progress")).collect();
        pages.push(same.iter().filter(|line| !line.contains("まで有効")).copied().collect::<Vec<_>>().join("\n"));
    }
    assert_eq!(pages[0], pages[1], "an unknown address");
    assert_eq!(pages[0], pages[2], "somebody who has left");
    assert_eq!(clinic.letter().await.matches("X-Rcpt: suzuki@example.jp").count(), 1);
    assert_eq!(clinic.sink.letters().unwrap().len(), 1, "nobody else got mail");
}

#[tokio::test]
async fn codes_for_one_address_are_few_in_a_day() {
    let clinic = Clinic::open().await;
    let person = clinic.person("tanaka");
    for _ in 0..22 {
        person.apply("tanaka@example.jp").await;
    }
    let asked = clinic.world.records("aozora", "portal.code").await;
    let intended = asked.iter().filter(|record| record.stage == tegata_api::v1::audit::Stage::Intended).count();
    assert_eq!(intended, 20);
}

#[tokio::test]
async fn the_clock_of_a_code_does_not_start_before_everything_is_ready() {
    let clinic = Clinic::open().await;
    let person = clinic.person("tanaka");
    let off = person.post(&format!("{SAKURA}/apply"), &[("mail", "tanaka@example.jp"), ("offset", "1680")]).await;
    says(&off, 422, "この PC の時計がずれています", "This PC&#x27;s clock is off");
    let no_address = person.post(&format!("{SAKURA}/apply"), &[("mail", "tanaka"), ("offset", "0")]).await;
    says(&no_address, 422, "メールアドレスではありません", "no mail address");
    assert!(clinic.world.records("aozora", "portal.code").await.is_empty());

    let world = World::empty().await;
    world.apply("aozora", &super::staff::policy("sakura", "validity: 1095d")).await;
    let place = world.place.path().join("server.pem");
    std::fs::write(&place, &world.server.access().authority).unwrap();
    let url = format!("{}{SAKURA}/apply", world.server.access().server);
    let (_, page) =
        super::staff::run("curl", &["-s", "--cacert", place.to_str().unwrap(), "--data-raw", "mail=tanaka@example.jp", &url]).await;
    assert!(page.contains("確認コードを送れません") && page.contains("No code can be sent"), "{page}");
}

#[tokio::test]
async fn the_fifty_first_certificate_is_refused_with_what_could_go() {
    let clinic = Clinic::open().await;
    let person = clinic.person("tanaka");
    person.sign_in("tanaka@example.jp").await;
    let token = person.token().await;
    for number in 1..=50 {
        let memo = format!("PC {number:02}");
        let issued = person.post(&format!("{SAKURA}/new"), &[("token", &token), ("memo", &memo), ("label", "")]).await;
        assert_eq!(issued.status, 200, "{number}: {}", issued.text());
    }
    let full = person.issue("PC 51", "").await;
    says(&full, 409, "50 枚の上限に達しています", "All 50 certificates are in use");
    assert!(full.text().contains("<span>PC 01</span>") && full.text().contains("/revoke\">失効"), "what could go: {}", full.text());
    let certificates = clinic.world.ledger().store().portal_certificates(&tanaka()).await.unwrap();
    assert_eq!(certificates.len(), 50);
    // A successor takes over its place, and a revoked one leaves it.
    let serial = certificates[0].draft.serial;
    let renewed = person.post(&format!("{SAKURA}/certificates/{serial}/renew"), &[("token", &token)]).await;
    assert_eq!(renewed.status, 200);
    let serial = certificates[7].draft.serial;
    person.post(&format!("{SAKURA}/certificates/{serial}/revoke"), &[("token", &token)]).await;
    assert_eq!(person.issue("PC 51", "").await.status, 200);
    assert_eq!(person.issue("PC 52", "").await.status, 409);
}

#[tokio::test]
async fn a_rolling_bound_counts_what_was_issued_whatever_became_of_it() {
    let clinic = Clinic::open().await;
    let person = clinic.person("few");
    person.sign_in("few@example.jp").await;
    let token = person.token().await;
    for memo in ["1", "2"] {
        let file = person.obtain(memo).await;
        person.post(&format!("{SAKURA}/certificates/{}/revoke", file.serial), &[("token", &token)]).await;
    }
    says(&person.issue("3", "").await, 409, "2 枚の上限に達しています", "All 2 certificates are in use");
    clinic.world.pass(Duration::from_secs(731 * 86_400));
    person.sign_in("few@example.jp").await;
    assert_eq!(person.issue("3", "").await.status, 200);
}

#[tokio::test]
async fn f4_accounts_clinics_and_tenants_do_not_see_each_other() {
    let clinic = Clinic::open().await;
    let (tanaka, suzuki) = (clinic.person("tanaka"), clinic.person("suzuki"));
    tanaka.sign_in("tanaka@example.jp").await;
    let file = tanaka.obtain("受付1番").await;
    suzuki.sign_in("suzuki@example.jp").await;
    let token = suzuki.token().await;
    let made_up = "40000000000000000000000000000000";
    for what in ["file", "revoke"] {
        let path = |serial: &str| format!("{SAKURA}/certificates/{serial}/{what}");
        let (theirs, nothing) = (suzuki.get(&path(&file.serial)).await, suzuki.get(&path(made_up)).await);
        assert_eq!((theirs.status, nothing.status), (404, 404), "{what}");
        assert_eq!(theirs.text().replace(&file.serial, made_up), nothing.text(), "{what}");
    }
    for what in ["revoke", "renew", "remarks"] {
        let answer = suzuki.post(&format!("{SAKURA}/certificates/{}/{what}", file.serial), &[("token", &token)]).await;
        assert_eq!(answer.status, 404, "{what}");
    }
    // The cookie of one clinic opens nothing elsewhere.
    let elsewhere = tanaka.get("/portal/momiji/kaede/certificates").await;
    assert_eq!(elsewhere.header("location"), Some("/portal/momiji/kaede"));
    assert_eq!(tanaka.states().await, [("受付1番".to_owned(), "valid".to_owned())]);
    for path in ["/portal/aozora/nowhere", "/portal/nobody/sakura", "/portal/aozora/kaede"] {
        assert_eq!(clinic.curl(path, &[]).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn forms_of_other_pages_are_refused() {
    let clinic = Clinic::open().await;
    let person = clinic.person("tanaka");
    person.sign_in("tanaka@example.jp").await;
    let (path, token) = (format!("{SAKURA}/new"), person.token().await);
    let fields = |token: &str| vec![("memo".to_owned(), "受付1番".to_owned()), ("token".to_owned(), token.to_owned())];
    for (site, token) in [("same-origin", ""), ("same-origin", "00"), ("cross-site", token.as_str()), ("same-site", token.as_str())] {
        let fields = fields(token);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = person.post_from(site, &path, &fields).await;
        says(&answer, 403, "受け付けられません", "This was not accepted");
    }
    let apply = person.post_from("cross-site", &format!("{SAKURA}/apply"), &[("mail", "tanaka@example.jp")]).await;
    assert_eq!(apply.status, 403);
    assert!(clinic.world.records("aozora", "portal.issue").await.is_empty());
}
