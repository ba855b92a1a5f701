//! What the portal says, in Japanese and English.

use std::collections::BTreeMap;

use tegata_core::time::Timestamp;

use super::account::RoomLeft;
use super::renewal::Denial;
use super::{Place, PortalError};

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// Japanese.
    Ja,
    /// English.
    En,
}

impl Lang {
    /// Its tag (BCP 47).
    pub fn tag(self) -> &'static str {
        match self {
            Self::Ja => "ja",
            Self::En => "en",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Ja => Self::En,
            Self::En => Self::Ja,
        }
    }

    /// Reads a tag.
    pub fn read(tag: &str) -> Option<Self> {
        [Self::Ja, Self::En].into_iter().find(|lang| lang.tag() == tag)
    }

    /// The first language of an Accept-Language header that is spoken here (RFC 9110, section 12.5.4; browsers send the best first).
    pub fn accepted(header: &str) -> Option<Self> {
        header
            .split(',')
            .find_map(|part| Self::read(part.trim().split(['-', ';']).next().unwrap_or_default().to_ascii_lowercase().as_str()))
    }

    fn of<'a>(self, ja: &'a str, en: &'a str) -> &'a str {
        match self {
            Self::Ja => ja,
            Self::En => en,
        }
    }
}

/// The words of the pages by their keys.
pub fn all(lang: Lang) -> BTreeMap<&'static str, &'static str> {
    WORDS.iter().map(|(key, ja, en)| (*key, lang.of(ja, en))).collect()
}

const WORDS: &[(&str, &str, &str)] = &[
    ("portal", "クライアント証明書", "Client certificates"),
    ("other_language", "English", "日本語"),
    ("sign_out", "サインアウト", "Sign out"),
    ("footer", "証明書のパスワードと秘密鍵は、このサーバーに保存されません。", "This server keeps neither passwords nor private keys."),
    ("start_title", "証明書の申請", "Apply for a certificate"),
    ("start_lead", "アカウントのメールアドレスに 6 桁の確認コードを送ります。", "A six-digit code is mailed to the account's address."),
    ("mail", "メールアドレス", "Mail address"),
    ("apply", "申請する", "Apply"),
    ("checks", "申請の前の確認", "Checked before the clock starts"),
    ("check_clock", "この PC の時計", "This PC's clock"),
    (
        "check_clock_hint",
        "サーバーの時刻は {time} です。5 分以上ずれていないことを確かめてください。",
        "The server's time is {time}. Make sure that yours is within five minutes of it.",
    ),
    ("check_clock_ok", "サーバーとの差 {n} 秒", "{n} seconds from the server's"),
    (
        "check_clock_bad",
        "サーバーと {n} 秒ずれています。Windows の「日付と時刻」で「今すぐ同期」を押してください。",
        "{n} seconds off. Open “Date & time” in the settings and press “Sync now”.",
    ),
    ("check_browser", "ブラウザー", "Browser"),
    ("check_browser_ok", "対応しています", "supported"),
    (
        "check_browser_bad",
        "確認できていないブラウザーです。Google Chrome をお使いください。",
        "Not one that we have tried. Please use Google Chrome.",
    ),
    ("check_mail", "確認コードのメール", "Mail for the code"),
    ("check_mail_ok", "送信できます", "can be sent"),
    (
        "check_mail_bad",
        "このサーバーはメールの設定がありません。管理者に連絡してください。",
        "This server has no mail set up. Please tell its administrator.",
    ),
    ("check_quota", "証明書の枚数", "Certificates"),
    (
        "check_quota_unknown",
        "1 アカウントにつき {limit} 枚まで。残りはメールでお知らせします。",
        "At most {limit} for an account. The mail says how many are left.",
    ),
    ("check_quota_ok", "{used} / {limit} 枚", "{used} of {limit}"),
    ("check_quota_bad", "{used} / {limit} 枚。上限に達しています。", "{used} of {limit}: there is no room."),
    ("check_agent", "エージェント", "Agent"),
    (
        "check_agent_none",
        "この医院に登録された PC はありません。ファイルで受け取ります。",
        "No PC of this clinic has an agent: the certificate comes as a file.",
    ),
    (
        "check_agent_some",
        "{heard} / {all} 台が応答中。応答中の PC には自動で入るので、ここでの申請は要りません。",
        "{heard} of {all} PCs answer. Those get theirs by themselves and need no application here.",
    ),
    ("code_title", "確認コードの入力", "Enter the code"),
    (
        "code_lead",
        "アカウントがあれば、確認コードのメールが届きます。メールの 6 桁の数字を入れてください。",
        "If there is an account with this address, a mail with six digits is on its way.",
    ),
    ("code", "確認コード（6 桁）", "Code (six digits)"),
    ("code_left", "残り時間", "Time left"),
    ("code_until", "{time} まで有効", "good until {time}"),
    ("code_over", "時間切れです。新しいコードを申請してください。", "Time is up. Please ask for a new code."),
    ("send", "確認する", "Continue"),
    ("again", "新しいコードを申請する", "Ask for a new code"),
    ("list_title", "証明書の一覧", "Your certificates"),
    ("new", "新規発行", "New certificate"),
    ("download_all", "一括ダウンロード", "Download all"),
    ("download_ca", "CA 証明書", "CA certificate"),
    ("none_yet", "証明書はまだありません。", "There is none yet."),
    ("col_name", "CN, O", "CN, O"),
    ("col_state", "状態", "State"),
    ("col_type", "種別", "Type"),
    ("col_expiry", "有効期限", "Expires"),
    ("col_applied", "申請日", "Applied"),
    ("col_memo", "メモ・備考", "Memo, remarks"),
    ("col_actions", "操作", "Actions"),
    ("type_client", "クライアント", "Client"),
    ("type_device", "PC（自動）", "PC (automatic)"),
    ("state_valid", "有効", "Valid"),
    ("state_soon", "更新時期", "Renew now"),
    ("state_followed", "更新済み", "Renewed"),
    ("state_expired", "期限切れ", "Expired"),
    ("state_revoked", "失効", "Revoked"),
    ("download", "ダウンロード", "Download"),
    ("renew", "更新", "Renew"),
    ("revoke", "失効", "Revoke"),
    ("remarks", "備考", "Remarks"),
    ("edit", "編集", "Edit"),
    ("save", "保存", "Save"),
    ("cancel", "やめる", "Cancel"),
    ("back", "一覧へ戻る", "Back to the list"),
    ("days_left", "あと {n} 日", "{n} days left"),
    ("new_title", "新規発行", "New certificate"),
    ("memo", "メモ（必須）", "Memo (required)"),
    (
        "memo_hint",
        "どの PC・どなたの証明書かが分かる言葉。有効な証明書どうしで同じメモは使えません。",
        "Says which PC or person it is for. No two living certificates share one.",
    ),
    ("other", "その他（複数の施設のカルテを開く PC だけ）", "Other (only for PCs that open several facilities' charts)"),
    ("label", "施設名（半角英数字のみ）", "Facility label (half-width letters and digits only)"),
    (
        "label_hint",
        "証明書の名前に入ります。日本語・全角文字は使えません。",
        "Becomes part of the certificate's name. No Japanese, no full-width characters.",
    ),
    ("issue", "発行する", "Issue"),
    ("issued_title", "発行しました", "Issued"),
    (
        "issued_lead",
        "パスワードはこの画面に一度だけ表示されます。ファイルを開く前にコピーしてください。",
        "The password is shown on this page once. Copy it before you open the file.",
    ),
    ("password", "パスワード", "Password"),
    ("copy", "コピー", "Copy"),
    ("copied", "コピーしました", "Copied"),
    ("file", "ファイル", "File"),
    (
        "file_hint",
        "ファイル名は変えないでください。取り込んだあとは、ダウンロードしたファイルを削除してください。",
        "Do not rename the file. Delete the download once it is imported.",
    ),
    (
        "lost",
        "パスワードを控えずに閉じたときは、この証明書を失効して、もう一度発行してください。",
        "If you leave without the password, revoke this certificate and issue another.",
    ),
    ("revoke_title", "証明書を失効しますか", "Revoke this certificate?"),
    (
        "revoke_lead",
        "この証明書を使っている PC は、すぐにサインインできなくなります。取り消せません。",
        "The PC that uses it can no longer sign in, from now on. This cannot be undone.",
    ),
    ("revoke_yes", "失効する", "Revoke it"),
    ("until", "有効期限", "Good until"),
    ("could_go", "失効できる証明書", "Certificates that could go"),
];

/// What is wrong, and what to do: in one language.
pub fn trouble(lang: Lang, error: &PortalError) -> (String, String) {
    let say = |ja: (&str, &str), en: (&str, &str)| match lang {
        Lang::Ja => (ja.0.to_owned(), ja.1.to_owned()),
        Lang::En => (en.0.to_owned(), en.1.to_owned()),
    };
    match error {
        PortalError::Unknown => {
            say(("このページはありません", "アドレスを確かめてください。"), ("There is no such page", "Please check the address."))
        }
        PortalError::NoMail => say(
            ("確認コードを送れません", "このサーバーはメールの設定がありません。管理者に連絡してください。"),
            ("No code can be sent", "This server has no mail set up. Please tell its administrator."),
        ),
        PortalError::ClockOff(off) => (
            lang.of("この PC の時計がずれています", "This PC's clock is off").to_owned(),
            lang.of(
                "サーバーと {n} 秒ずれています。時計を合わせてから、もう一度申請してください。確認コードの時間はまだ始まっていません。",
                "It is {n} seconds off. Set it right and apply again. No code's time has begun yet.",
            )
            .replace("{n}", &off.to_string()),
        ),
        PortalError::NotAnAddress => say(
            ("メールアドレスではありません", "name@example.jp の形で入れてください。"),
            ("That is no mail address", "Write it like name@example.jp."),
        ),
        PortalError::NotACode | PortalError::WrongCode(_) | PortalError::SpentCode | PortalError::ExpiredCode => code_trouble(lang, error),
        PortalError::SignedOut => say(
            ("サインインしていません", "時間が過ぎたか、サインアウトしました。もう一度、確認コードを申請してください。"),
            ("You are not signed in", "Your time is over, or you signed out. Please ask for a new code."),
        ),
        PortalError::Forged => say(
            ("この操作は受け付けられません", "ページを開き直して、もう一度操作してください。"),
            ("This was not accepted", "Open the page again and repeat what you did."),
        ),
        PortalError::NoMemo
        | PortalError::UnreadableMemo
        | PortalError::MemoTaken
        | PortalError::BadLabel
        | PortalError::Full { .. }
        | PortalError::NoCertificate
        | PortalError::Revoked
        | PortalError::Followed => certificate_trouble(lang, error),
        PortalError::Busy => say(
            ("混み合っています", "もう一度操作してください。何も発行されていません。"),
            ("Somebody else was faster", "Please try again. Nothing was issued."),
        ),
        PortalError::Authority(_) | PortalError::Key(_) | PortalError::Policy(_) | PortalError::Store(_) => say(
            ("サーバーの不具合です", "何も発行されていません。しばらくして、もう一度操作してください。"),
            ("The server has failed", "Nothing was issued. Please try again in a while."),
        ),
    }
}

fn code_trouble(lang: Lang, error: &PortalError) -> (String, String) {
    let (title, text) = match error {
        PortalError::WrongCode(_) => (
            lang.of("確認コードが違います", "The code is wrong"),
            lang.of(
                "あと {n} 回入力できます。いちばん新しいメールの数字か確かめてください。",
                "{n} tries are left. Check that it is from the newest mail.",
            ),
        ),
        PortalError::ExpiredCode => (
            lang.of("確認コードの時間が過ぎました", "The code has run out"),
            lang.of("新しいコードを申請してください。", "Please ask for a new one."),
        ),
        PortalError::SpentCode => (
            lang.of("この確認コードはもう使えません", "This code cannot be used any more"),
            lang.of(
                "入力の回数を超えたか、使用済みです。新しいコードを申請してください。",
                "It was tried too often, or used. Please ask for a new one.",
            ),
        ),
        _ => (lang.of("6 桁の数字を入れてください", "Enter six digits"), lang.of("回数は減っていません。", "No try was spent.")),
    };
    let left = if let PortalError::WrongCode(left) = error { left.to_string() } else { String::new() };
    (title.to_owned(), text.replace("{n}", &left))
}

fn certificate_trouble(lang: Lang, error: &PortalError) -> (String, String) {
    let (title, text) = match error {
        PortalError::NoMemo => (
            lang.of("メモがありません", "The memo is missing"),
            lang.of("どの PC の証明書かが分かるメモを入れてください。", "Say which PC or person the certificate is for."),
        ),
        PortalError::UnreadableMemo => (
            lang.of("このメモは使えません", "This memo cannot be used"),
            lang.of("1 行、64 文字までで入れてください。", "Write one line of at most 64 characters."),
        ),
        PortalError::MemoTaken => (
            lang.of("このメモは使用中です", "This memo is in use"),
            lang.of(
                "同じメモの有効な証明書があります。二重に発行していないか一覧で確かめて、別のメモにしてください。",
                "A living certificate has it. Check the list for a double, or choose another memo.",
            ),
        ),
        PortalError::BadLabel => (
            lang.of("施設名は半角英数字だけです", "The facility label takes half-width letters and digits only"),
            lang.of(
                "全角文字・日本語・記号は使えません。32 文字までで、たとえば EAST2 のように入れてください。",
                "No Japanese, full-width characters or signs; at most 32, such as EAST2.",
            ),
        ),
        PortalError::Full { .. } => (
            lang.of("{n} 枚の上限に達しています", "All {n} certificates are in use"),
            lang.of(
                "発行していません。要らない証明書を失効すると、空きができます。期間で数える上限のときは、日が過ぎるのを待つか、別のアカウントで申請してください。",
                "Nothing was issued. Revoke one that is not needed. If the bound counts issuance over time, wait, or apply under another account.",
            ),
        ),
        PortalError::Revoked => (
            lang.of("この証明書は失効しています", "This certificate is revoked"),
            lang.of("新しく発行してください。", "Issue a new one."),
        ),
        PortalError::Followed => (
            lang.of("この証明書は更新済みです", "This certificate was renewed already"),
            lang.of("一覧の新しい証明書をお使いください。", "Use the newer one in the list."),
        ),
        _ => (
            lang.of("その証明書はありません", "There is no such certificate"),
            lang.of("一覧から選んでください。", "Choose one from the list."),
        ),
    };
    let limit = if let PortalError::Full { limit, .. } = error { limit.to_string() } else { String::new() };
    (title.replace("{n}", &limit), text.to_owned())
}

/// What a client that renews by showing its certificate is told: a line that it knows, then why, for people.
pub fn denial(denial: Denial) -> String {
    let (ja, en) = match denial {
        Denial::NotOurs => (
            "この証明書は、ここで発行したものではないか、アカウントがなくなっています。".to_owned(),
            "The certificate was not issued here, or its account is gone.".to_owned(),
        ),
        Denial::Expired => (
            "有効期限が過ぎています。ポータルで新しく発行してください。".to_owned(),
            "It has expired. Issue a new one at the portal.".to_owned(),
        ),
        Denial::Revoked => (
            "失効した証明書です。ポータルで新しく発行してください。".to_owned(),
            "It is revoked. Issue a new one at the portal.".to_owned(),
        ),
        Denial::TooEarly(opens) => {
            (format!("まだ更新できません。{opens} から更新できます。"), format!("It is too early: it can be renewed from {opens}."))
        }
        Denial::Followed => {
            ("もう更新済みです。新しい証明書をお使いください。".to_owned(), "It was renewed already. Use the newer one.".to_owned())
        }
        Denial::Full => {
            ("証明書の枚数の上限に達しています。".to_owned(), "The account has as many certificates as it may have.".to_owned())
        }
    };
    format!("NOT PERMITTED CERTIFICATE\n{ja}\n{en}\n")
}

/// What a letter with a code is about.
pub fn letter_subject(clinic: &str) -> String {
    format!("[Tegata] 確認コード / Your code ({clinic})")
}

/// A letter with a code.
pub fn letter(place: &Place, digits: &str, ends: Timestamp, room: RoomLeft) -> String {
    let clinic = place.clinic();
    let (name, until, RoomLeft { used, limit }) = (&clinic.display_name, super::pages::moment(place, ends, Lang::Ja), room);
    let until_en = super::pages::moment(place, ends, Lang::En);
    let (full, full_en) = if room.is_full() {
        (
            "\n上限に達しています。サインインして、要らない証明書を失効してください。",
            "\nThere is no room: sign in and revoke one that is not needed.",
        )
    } else {
        ("", "")
    };
    format!(
        "{name}\n\n確認コード: {digits}\n有効期限: {until}\n証明書: {used} / {limit} 枚{full}\n\n\
        申請していないときは、このメールを無視してください。コードを誰にも教えないでください。\n\n\
        --\nYour code: {digits}\nGood until: {until_en}\nCertificates: {used} of {limit}{full_en}\n\n\
        If you did not ask for it, ignore this mail. Tell the code to nobody.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_what_the_browser_asks_for() {
        let cases = [
            ("ja,en-US;q=0.9", Some(Lang::Ja)),
            ("en-US,en;q=0.9,ja;q=0.8", Some(Lang::En)),
            ("fr, en;q=0.5", Some(Lang::En)),
            ("fr", None),
            ("", None),
        ];
        for (header, lang) in cases {
            assert_eq!(Lang::accepted(header), lang, "{header}");
        }
    }

    #[test]
    fn every_key_is_there_once_and_in_both_languages() {
        assert_eq!(all(Lang::Ja).len(), WORDS.len());
        for (key, ja, en) in WORDS {
            assert!(!ja.is_empty() && !en.is_empty(), "{key}");
            let open = |text: &str| text.matches('{').count();
            assert_eq!(open(ja), open(en), "{key} leaves the same open");
        }
    }
}
