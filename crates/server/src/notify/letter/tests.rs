use expect_test::expect;

use super::*;

fn item(slot: &str, acts: Acts, waits_for: Option<&str>) -> Item {
    Item {
        kind: "certificate".into(),
        object: "4f1c0ddee1a2b3c4d5e6f708192a3b4c".into(),
        slot: slot.into(),
        place: None,
        subject: "CN=pc-1, O=sakura".into(),
        issuer: "own-ca".into(),
        deadline: 1_800_000_000,
        deadline_local: "2027-01-15 17:00".into(),
        days_left: 7,
        rung: "7d".into(),
        acts,
        because: None,
        waits_for: waits_for.map(Into::into),
        dependants: vec![],
    }
}

fn bulletin(items: Vec<Item>) -> Bulletin {
    Bulletin {
        tenant: "aozora".into(),
        clinic: "sakura".into(),
        display_name: "さくら内科クリニック".into(),
        date: "2027-01-08".into(),
        items,
    }
}

#[test]
fn a_letter_says_in_two_languages_what_happens_by_itself_and_what_a_person_must_do() {
    let place = Some("受付1番 (1階)".to_owned());
    let vendor = Item { place, issuer: "orca".into(), ..item("sakura/uketsuke-1/orca", Acts::Person, None) };
    let silent = item("sakura/pc-2/karte", Acts::Person, Some("silent-device"));
    let expired = Item { rung: "expired".into(), days_left: -1, ..silent };
    let itself =
        Item { dependants: vec!["資格確認連携ツール".into()], days_left: 1, ..item("sakura/pc-3/receipt", Acts::Itself, None) };
    let written = write(&bulletin(vec![vendor, expired, itself]), Language::Both).unwrap();
    expect![[r#"
        【要対応】さくら内科クリニック: 期限の近い証明書 3 件 / [Action needed] さくら内科クリニック: 3 certificates about to expire
        ====
        さくら内科クリニック 御中

        次の証明書は、どなたかの対応が必要です。期限が切れると、そのPCではシステムを開けなくなります。

        ■ 受付1番 (1階) (sakura/uketsuke-1/orca)
          期限: 2027年1月15日 17:00 (あと 7 日)
          証明書: CN=pc-1, O=sakura (発行元: orca)
          発行元が発行した証明書なので、自動では更新されません。
          お願い: 発行元で更新の手続きをし、新しい証明書のファイルを管理者に渡してください。

        ■ pc-2 (sakura/pc-2/karte)
          期限: 2027年1月15日 17:00 (期限が切れています)
          証明書: CN=pc-1, O=sakura (発行元: own-ca)
          このPCから1日以上連絡がないため、更新できません。
          お願い: PCの電源を入れ、ネットワークにつないでください。使わなくなったPCなら、管理者に知らせてください。

        次の証明書は自動で更新されます。今は何もする必要はありません。

        ■ pc-3 (sakura/pc-3/receipt)
          期限: 2027年1月15日 17:00 (あと 1 日)
          証明書: CN=pc-1, O=sakura (発行元: own-ca)
          期限までに自動で更新されます。
          更新されたら、次のものにも新しい証明書を設定してください: 資格確認連携ツール

        このメールは Tegata が自動で送信しました。同じ内容を繰り返し送ることはありません。

        ----

        To さくら内科クリニック

        Somebody has to do something about these certificates. Once one has expired, its PC cannot open the system any more.

        * 受付1番 (1階) (sakura/uketsuke-1/orca)
          Expires: 2027-01-15 17:00 (7 days left)
          Certificate: CN=pc-1, O=sakura (issuer: orca)
          It comes from a vendor, so it is not renewed by itself.
          Please: Renew it at the vendor, and give the new certificate file to your administrator.

        * pc-2 (sakura/pc-2/karte)
          Expires: 2027-01-15 17:00 (expired)
          Certificate: CN=pc-1, O=sakura (issuer: own-ca)
          This PC has not been heard for more than a day, so its certificate cannot be renewed.
          Please: Switch the PC on and connect it to the network. If it is not used any more, tell your administrator.

        These certificates are renewed by themselves. There is nothing to do now.

        * pc-3 (sakura/pc-3/receipt)
          Expires: 2027-01-15 17:00 (1 day left)
          Certificate: CN=pc-1, O=sakura (issuer: own-ca)
          It will be renewed by itself before it expires.
          Once it is renewed, give the new certificate to these as well: 資格確認連携ツール

        This letter was sent by Tegata. Nothing is told twice.
    "#]]
    .assert_eq(&format!("{}\n====\n{}", written.subject, written.text));
}

#[test]
fn a_letter_about_what_happens_by_itself_asks_nobody_for_anything() {
    let written = write(&bulletin(vec![item("sakura/pc-3/karte", Acts::Itself, None)]), Language::Japanese).unwrap();
    expect![[r#"
        【お知らせ】さくら内科クリニック: 期限の近い証明書 1 件
        ====
        さくら内科クリニック 御中

        次の証明書は自動で更新されます。今は何もする必要はありません。

        ■ pc-3 (sakura/pc-3/karte)
          期限: 2027年1月15日 17:00 (あと 7 日)
          証明書: CN=pc-1, O=sakura (発行元: own-ca)
          期限までに自動で更新されます。

        このメールは Tegata が自動で送信しました。同じ内容を繰り返し送ることはありません。
    "#]]
    .assert_eq(&format!("{}\n====\n{}", written.subject, written.text));
    let english = write(&bulletin(vec![item("sakura/pc-3/karte", Acts::Itself, None)]), Language::English).unwrap();
    expect!["[For information] さくら内科クリニック: 1 certificate about to expire"].assert_eq(&english.subject);
}

fn applied() -> Item {
    let (kind, subject, issuer) = ("application".into(), "A1234-56".into(), "obn".into());
    Item { kind, subject, issuer, ..item("sakura/shikaku-1/eligibility", Acts::Person, None) }
}

#[test]
fn a_letter_tells_apart_what_was_applied_for_and_what_others_installed() {
    let lapsed = Item { rung: "expired".into(), days_left: -1, slot: "sakura/shikaku-2/eligibility".into(), ..applied() };
    let found = Item { kind: "found".into(), issuer: "CN=Intermediate CA".into(), ..item("sakura/pc-2", Acts::Person, None) };
    let written = write(&bulletin(vec![applied(), lapsed, found]), Language::Both).unwrap();
    expect![[r#"
        【要対応】さくら内科クリニック: 期限の近い証明書 1 件、期限の近い申請 2 件 / [Action needed] さくら内科クリニック: 1 certificate and 2 applications about to expire
        ====
        さくら内科クリニック 御中

        次の申請の証明書は、まだ取得されていません。期限を過ぎると、申請と支払いがもう一度必要になります。

        ■ shikaku-1 (sakura/shikaku-1/eligibility)
          期限: 2027年1月15日 17:00 (あと 7 日)
          申請: リクエストID A1234-56 (発行元: obn)
          発行元から届いた通知の番号で、証明書を取得できます。
          お願い: 期限までに証明書を取得し、ファイルを管理者に渡してください（tegata certificate import）。

        ■ shikaku-2 (sakura/shikaku-2/eligibility)
          期限: 2027年1月15日 17:00 (期限が切れています)
          申請: リクエストID A1234-56 (発行元: obn)
          取得できる期間が過ぎました。この申請の証明書はもう取得できません。
          お願い: 必要なら発行元にもう一度申請し、この申請の取り下げを管理者に依頼してください（tegata application close）。

        次の証明書はどなたかがPCに入れたもので、Tegataは更新しません。使っている場合だけ、対応してください。

        ■ pc-2 (sakura/pc-2)
          期限: 2027年1月15日 17:00 (あと 7 日)
          証明書: CN=pc-1, O=sakura (発行元: CN=Intermediate CA)
          Tegataが入れた証明書ではないので、自動では更新されません。
          お願い: 使っている場合は発行元で更新し、管理者に知らせてください（tegata adopt）。使っていなければ、そのままでかまいません。

        このメールは Tegata が自動で送信しました。同じ内容を繰り返し送ることはありません。

        ----

        To さくら内科クリニック

        These were applied for, and their certificates were not fetched yet. After the deadline they have to be applied and paid for again.

        * shikaku-1 (sakura/shikaku-1/eligibility)
          Expires: 2027-01-15 17:00 (7 days left)
          Application: request ID A1234-56 (issuer: obn)
          Its certificate can be fetched with the numbers of the vendor's notice.
          Please: Fetch it before the deadline, and give the file to your administrator (tegata certificate import).

        * shikaku-2 (sakura/shikaku-2/eligibility)
          Expires: 2027-01-15 17:00 (expired)
          Application: request ID A1234-56 (issuer: obn)
          The time to fetch its certificate is over.
          Please: Apply again at the vendor if it is needed, and have your administrator close this one (tegata application close).

        Somebody else put these certificates onto PCs, and Tegata does not renew them. Only those that are in use need something done.

        * pc-2 (sakura/pc-2)
          Expires: 2027-01-15 17:00 (7 days left)
          Certificate: CN=pc-1, O=sakura (issuer: CN=Intermediate CA)
          Tegata did not put it there, so it is not renewed by itself.
          Please: If it is in use, renew it at its issuer and tell your administrator (tegata adopt). If not, leave it.

        This letter was sent by Tegata. Nothing is told twice.
    "#]].assert_eq(&format!("{}\n====\n{}", written.subject, written.text));
    let alone = write(&bulletin(vec![applied()]), Language::Both).unwrap();
    expect!["【要対応】さくら内科クリニック: 期限の近い申請 1 件 / [Action needed] さくら内科クリニック: 1 application about to expire"]
        .assert_eq(&alone.subject);
}

#[test]
fn a_letter_about_a_thousand_pcs_can_still_be_read() {
    let items = (0..1_000).map(|n| item(&format!("sakura/pc-{n}/karte"), Acts::Itself, None)).collect();
    let written = write(&bulletin(items), Language::English).unwrap();
    assert!(written.subject.contains("1000 certificates") && written.text.contains("There are 950 more."), "{}", written.text);
    assert_eq!(written.text.matches("Expires: ").count(), 50);
}

/// What people wrote into policies is text, never template.
#[test]
fn names_are_not_read_as_templates() {
    let sly = Item { place: Some("{{ 7 * 7 }} {% raw %} <b>".into()), ..item("sakura/pc-1/karte", Acts::Person, None) };
    let written = write(&bulletin(vec![sly]), Language::Both).unwrap();
    assert_eq!(written.text.matches("{{ 7 * 7 }} {% raw %} <b>").count(), 2, "{}", written.text);
}
