//! What people read when a chart does not open: what it is, what was seen, and the one thing to do next.

use jiff::tz::TimeZone;
use tegata_core::diagnosis::{Absence, Answer, Cause, Certainty, Difference, Fact, KeyState, Listed, Shown, Validity};

use super::local_time;

/// Something to be said by the doctor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DoctorPhrase {
    /// What a cause is.
    Cause(Cause),
    /// What was seen, with times as clocks in this zone show them.
    Seen(Fact, TimeZone),
    /// What to do about a cause for which this was seen.
    Next(Cause, Option<Fact>),
    /// The first cause.
    First(Certainty, Cause),
    /// A detail of it.
    Detail(Box<DoctorPhrase>),
    /// What to do.
    Do(Box<DoctorPhrase>),
    /// A further cause.
    Other(Certainty, Cause),
    /// What could not be checked.
    NotChecked(Vec<Cause>),
    /// Nothing was found, and not everything was checked.
    NothingFound,
    /// Everything was checked, and nothing is wrong.
    Well,
}

pub(super) fn both(phrase: &DoctorPhrase) -> (String, String) {
    match phrase {
        DoctorPhrase::Cause(it) => owned(cause(*it)),
        DoctorPhrase::Seen(fact, zone) => seen(fact, zone),
        DoctorPhrase::Next(it, fact) => owned(next(*it, fact.as_ref())),
        DoctorPhrase::First(certainty, it) => {
            let ((japanese, english), (word, because)) = (cause(*it), first(*certainty));
            (format!("{word}: {japanese}"), format!("{because}: {english}"))
        }
        DoctorPhrase::Detail(phrase) => {
            let (japanese, english) = both(phrase);
            (format!("  ・{japanese}"), format!("  - {english}"))
        }
        DoctorPhrase::Do(phrase) => {
            let (japanese, english) = both(phrase);
            (format!("→ {japanese}"), format!("-> {english}"))
        }
        DoctorPhrase::Other(certainty, it) => {
            let ((japanese, english), (how, how_sure)) = (cause(*it), sure(*certainty));
            (format!("ほかに ({how}): {japanese}"), format!("Also ({how_sure}): {english}"))
        }
        DoctorPhrase::NotChecked(causes) => {
            let (japanese, english): (Vec<_>, Vec<_>) = causes.iter().map(|it| topic(*it)).unzip();
            (format!("確認できなかったこと: {}", japanese.join("、")), format!("Could not be checked: {}", english.join(", ")))
        }
        DoctorPhrase::NothingFound => (
            "確認できた範囲では、問題は見つかりませんでした。それでも開かないときは、この画面を管理者に見せてください。".into(),
            "Nothing was found in what could be checked. If the chart still does not open, show this to your administrator.".into(),
        ),
        DoctorPhrase::Well => (
            "問題は見つかりませんでした。それでも開かないときは、この画面を管理者に見せてください。".into(),
            "Everything was checked, and nothing is wrong. If the chart still does not open, show this to your administrator.".into(),
        ),
    }
}

fn owned((japanese, english): (&str, &str)) -> (String, String) {
    (japanese.to_owned(), english.to_owned())
}

fn first(certainty: Certainty) -> (&'static str, &'static str) {
    match certainty {
        Certainty::Certain => ("原因", "Cause"),
        Certainty::Likely => ("おそらくの原因", "Likely cause"),
        Certainty::Possible => ("考えられる原因", "Possible cause"),
    }
}

fn sure(certainty: Certainty) -> (&'static str, &'static str) {
    match certainty {
        Certainty::Certain => ("確実", "certain"),
        Certainty::Likely => ("おそらく", "likely"),
        Certainty::Possible => ("可能性", "possible"),
    }
}

fn cause(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Clock => ("パソコンの時計がずれています", "the clock of this PC is wrong"),
        Cause::Revoked => ("証明書が失効しています", "the certificate was revoked"),
        Cause::AccountDeleted => {
            ("証明書を発行したアカウントが削除されています", "the account that the certificate was issued under was deleted")
        }
        Cause::OutOfDate => ("証明書の有効期間ではありません", "the certificate is not valid today"),
        Cause::Missing => ("証明書が入っていません", "the certificate is not on this PC"),
        Cause::KeyUnusable => ("証明書の鍵が使えません", "the key of the certificate cannot be used"),
        Cause::ChainMissing => {
            ("証明書の発行元がカルテの求めるものと合いません", "the chart asks for another issuer than the certificate shows")
        }
        Cause::WrongBrowser => ("Chrome 以外のブラウザーで開いています", "the chart is opened in another browser than Chrome"),
        Cause::WrongAddress => ("カルテのアドレスが違います", "the address is not the chart's"),
        Cause::OtherClinic => ("ほかの診療所の証明書が使われています", "the certificate of another clinic may be in use"),
        Cause::Quota => ("証明書の発行枚数の上限に達しています", "the account has no certificate left to give"),
        Cause::Extension => ("ブラウザーの拡張機能が妨げています", "an extension of the browser is in the way"),
        Cause::Intercepted => {
            ("セキュリティソフトなどが通信を途中で開いています", "something on the way, such as security software, opens the connection")
        }
        Cause::OldDecision => ("ブラウザーが前の選択を覚えています", "the browser remembers an earlier choice"),
    }
}

/// What is checked, where it could not be.
fn topic(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Clock => ("時計", "clock"),
        Cause::Revoked => ("失効", "revocation"),
        Cause::AccountDeleted => ("アカウント", "account"),
        Cause::OutOfDate => ("有効期間", "dates of the certificate"),
        Cause::Missing => ("証明書の有無", "presence of the certificate"),
        Cause::KeyUnusable => ("鍵", "key"),
        Cause::ChainMissing => ("発行元", "issuer"),
        Cause::WrongBrowser => ("使うブラウザー", "browser"),
        Cause::WrongAddress => ("アドレス", "address"),
        Cause::OtherClinic => ("診療所の切り替え", "clinic in use"),
        Cause::Quota => ("発行枚数", "quota"),
        Cause::Extension => ("拡張機能", "extensions"),
        Cause::Intercepted => ("セキュリティソフト", "security software"),
        Cause::OldDecision => ("ブラウザーの再起動", "restart of the browser"),
    }
}

fn next(cause: Cause, fact: Option<&Fact>) -> (&'static str, &'static str) {
    match (cause, fact) {
        (Cause::Clock, _) | (Cause::OutOfDate, Some(Fact::Held(_, Validity::From(_)))) => (
            "日付と時刻を「自動設定」にして、ブラウザーを開き直してください。",
            "Set date and time to automatic, then start the browser again.",
        ),
        (Cause::Missing, Some(Fact::Absent(_, Absence::Underway))) => (
            "準備中です。ネットワークにつないだまま、数分待ってください。",
            "It is being prepared. Stay connected, and wait a few minutes.",
        ),
        (Cause::Missing, Some(Fact::Absent(_, Absence::TakenOut))) => (
            "ネットワークにつないだままにしてください。新しい証明書が自動で入ります。",
            "Stay connected: a new certificate comes by itself.",
        ),
        (Cause::Revoked | Cause::AccountDeleted | Cause::OutOfDate | Cause::Missing | Cause::KeyUnusable, _) => (
            "この画面を管理者に見せて、証明書の再発行を頼んでください。",
            "Show this to your administrator, and ask for a new certificate.",
        ),
        (Cause::ChainMissing, _) => (
            "この画面を管理者に見せて、中間証明書を含めた再発行を頼んでください。",
            "Show this to your administrator, and ask for a new certificate with its intermediates.",
        ),
        (Cause::WrongBrowser, _) => ("Google Chrome で開いてください。", "Open the chart in Google Chrome."),
        (Cause::WrongAddress, _) => (
            "ブックマークではなく、案内された正しいアドレスで開いてください。",
            "Open the chart by the address that you were given, not by this bookmark.",
        ),
        (Cause::OtherClinic, _) => (
            "tegata-agent switch で診療所を選び、ブラウザーをすべて閉じて開き直してください。",
            "Choose the clinic with tegata-agent switch, then close every browser window and start the browser again.",
        ),
        (Cause::Quota, _) => {
            ("使っていない証明書の失効を管理者に頼んでください。", "Ask your administrator to revoke certificates that nobody uses.")
        }
        (Cause::Extension, _) => {
            ("拡張機能をいったん切って、カルテを開き直してください。", "Turn the extension off for a moment, and open the chart again.")
        }
        (Cause::Intercepted, _) => (
            "セキュリティソフトの「暗号化通信の検査」からカルテを除外するよう、管理者に頼んでください。",
            "Ask your administrator to exempt the chart from the inspection of encrypted connections.",
        ),
        (Cause::OldDecision, _) => {
            ("ブラウザーをすべて閉じて、もう一度開いてください。", "Close every browser window and start the browser again.")
        }
    }
}

fn seen(fact: &Fact, zone: &TimeZone) -> (String, String) {
    match fact {
        Fact::ClockAhead(seconds) => clock(*seconds),
        Fact::Held(slot, Validity::Until(moment)) => {
            let moment = local_time(moment.unix(), zone);
            (format!("{slot}: {moment} に期限切れ"), format!("{slot}: expired on {moment}"))
        }
        Fact::Held(slot, Validity::From(moment)) => {
            let moment = local_time(moment.unix(), zone);
            (
                format!("{slot}: {moment} から有効 (パソコンの時計ではまだ先)"),
                format!("{slot}: valid from {moment}, which this PC's clock has not reached"),
            )
        }
        Fact::Held(slot, Validity::Now) => (format!("{slot}: 有効期間内"), format!("{slot}: valid")),
        Fact::Absent(slot, absence) => named(slot, absent(*absence)),
        Fact::Key(slot, KeyState::Signs) => named(slot, ("鍵は使えます", "the key signs")),
        Fact::Key(slot, KeyState::Useless) => named(slot, ("鍵が証明書と合いません", "the key does not sign for the certificate")),
        Fact::Key(slot, KeyState::AsksPeople) => {
            named(slot, ("鍵が使うたびに確認の画面を出します", "the key asks people each time it is used"))
        }
        Fact::Key(slot, KeyState::Gone) => named(slot, ("鍵がありません", "the key is gone")),
        Fact::Listed(slot, Listed::Not) => named(slot, ("失効リストに載っていません", "not on the revocation list")),
        Fact::Listed(slot, Listed::Revoked) => named(slot, ("発行元の失効リストに載っています", "on its issuer's revocation list")),
        Fact::Listed(slot, Listed::HolderLeft) => {
            named(slot, ("発行元の失効リストに「所属の変更」とあります", "on its issuer's revocation list: its holder has left"))
        }
        Fact::Site { site, answer, .. } => answered(site, answer),
        Fact::OpensWith { program, .. } => (format!("{program} で開く設定です"), format!("opened with {program}")),
        Fact::Link { name, leads_to, differs } => link(name, leads_to, *differs),
        Fact::Shared { site, shown: Shown::Of(clinic) } => {
            (format!("{site}: いまは {clinic} の証明書"), format!("{site}: now with the certificate of {clinic}"))
        }
        Fact::Shared { site, shown: Shown::Alike(clinic) } => (
            format!("{site}: {clinic} の証明書と、ほかの診療所のものをブラウザーが見分けられません"),
            format!("{site}: browsers cannot tell the certificate of {clinic} from another clinic's"),
        ),
        Fact::Shared { site, shown: Shown::Nobodys } => {
            (format!("{site}: どの診療所の証明書か、ブラウザーが尋ねます"), format!("{site}: the browser asks for which clinic"))
        }
        Fact::Extension(name) => (format!("拡張機能「{name}」"), format!("extension '{name}'")),
        Fact::HoldsOld => {
            ("証明書が変わる前から開いているブラウザーがあります".into(), "a browser has been open since before the last change".into())
        }
        Fact::Fine(cause) | Fact::Unchecked(cause) => owned(topic(*cause)),
    }
}

fn named(subject: impl std::fmt::Display, (japanese, english): (&str, &str)) -> (String, String) {
    (format!("{subject}: {japanese}"), format!("{subject}: {english}"))
}

fn clock(ahead: i64) -> (String, String) {
    let (seconds, is_ahead) = (ahead.unsigned_abs(), ahead > 0);
    let (minutes, rest) = (seconds / 60, seconds % 60);
    let (way, fast) = if is_ahead { ("進んで", "fast") } else { ("遅れて", "slow") };
    (format!("{minutes}分{rest}秒{way}います"), format!("{minutes} min {rest} s {fast}"))
}

fn absent(absence: Absence) -> (&'static str, &'static str) {
    match absence {
        Absence::TakenOut => ("入れた証明書がなくなっています", "it was installed, and is gone"),
        Absence::Underway => ("準備中です", "it is being prepared"),
        Absence::NotOrdered => ("まだ発行されていません", "none was issued yet"),
    }
}

fn link(name: &str, leads_to: &str, differs: Difference) -> (String, String) {
    match differs {
        Difference::SchemeOrPort => (format!("「{name}」は {leads_to} を開きます"), format!("'{name}' opens {leads_to}")),
        Difference::Host => (
            format!("「{name}」は {leads_to} を開きます (カルテとは別のサイト)"),
            format!("'{name}' opens {leads_to}, another site than the chart's"),
        ),
    }
}

fn answered(site: &str, answer: &Answer) -> (String, String) {
    let plain = match answer {
        Answer::UnknownAuthority(authority) => {
            return (
                format!("{site}: 通信相手の証明書が「{authority}」から出ています"),
                format!("{site}: the other side's certificate comes from '{authority}'"),
            );
        }
        Answer::Opened => ("開けました", "it opened"),
        Answer::AskedForNone => ("証明書を求められませんでした", "it did not ask for a certificate"),
        Answer::AskedForOthers { is_alone: true } => {
            ("中間証明書がないため、ブラウザーは証明書を示しません", "without the intermediate the browser does not offer the certificate")
        }
        Answer::AskedForOthers { is_alone: false } => {
            ("ほかの発行元の証明書を求められました", "it asked for certificates of other issuers")
        }
        Answer::OtherKeys => ("この種類の鍵は受け付けられません", "it does not take this kind of key"),
        Answer::SaysRevoked => ("失効していると断られました", "it said that the certificate is revoked"),
        Answer::SaysExpired => ("期限切れと断られました", "it said that the certificate has expired"),
        Answer::Refused => ("証明書が断られました", "it refused the certificate"),
    };
    named(site, plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_is_said_in_both_languages_and_says_what_to_do() {
        for it in Cause::ALL {
            for phrase in [DoctorPhrase::Cause(it), DoctorPhrase::Next(it, None), DoctorPhrase::NotChecked(vec![it])] {
                let (japanese, english) = both(&phrase);
                assert!(english.is_ascii() && !english.is_empty(), "{english}");
                assert!(japanese.chars().any(|c| ('ぁ'..='龥').contains(&c)), "{japanese}");
            }
        }
    }

    #[test]
    fn a_clock_is_said_to_be_fast_or_slow() {
        assert_eq!(clock(28 * 60 + 3), ("28分3秒進んでいます".into(), "28 min 3 s fast".into()));
        assert_eq!(clock(-70), ("1分10秒遅れています".into(), "1 min 10 s slow".into()));
    }
}
