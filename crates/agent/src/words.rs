//! What clinic staff read on their screen, in their language. Everything else is for administrators, and in English.

use jiff::tz::TimeZone;
use tegata_core::install::Stage;

mod clinics;
mod doctor;
mod quarantine;
mod setup;
mod trust;

use crate::journal::Trouble;
pub use clinics::ClinicPhrase;
pub use doctor::DoctorPhrase;
pub use quarantine::QuarantinePhrase;
pub use setup::SetupPhrase;
pub use trust::TrustPhrase;

/// A language of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Japanese.
    Japanese,
    /// English, also for every other language.
    English,
}

/// Something to be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phrase {
    /// The PC is enrolled under this name.
    Enrolled(String),
    /// What to do after enrolling.
    EnrolledNext,
    /// Browsers on a Mac trust sites with a root of their own once an administrator has run this.
    TrustRoots(String),
    /// Enrolling failed, and this is what happened.
    NotEnrolled(String),
    /// What to do about it if it was the code.
    CodeRefusedNext,
    /// What to do about anything else.
    NotEnrolledNext,
    /// Nobody has enrolled this PC.
    NeverEnrolled,
    /// The PC's name.
    Device(String),
    /// The server answers, since.
    Connected(String, String),
    /// The server does not answer, since, because.
    Silent(String, String, String),
    /// The server's audit log is another than the one that this PC knows, since.
    OtherHistory(String),
    /// The agent has not run yet.
    NeverRun(String),
    /// The server is not reached, and files stand for it: the last one was made at, and applied at.
    Carried(String, String),
    /// The identity is valid until.
    Identity(String),
    /// There are no certificates for this PC.
    NoSlots,
    /// A certificate is ready.
    Ready(String),
    /// A certificate is being prepared, and how far it is.
    Preparing(String, Stage),
    /// A certificate is in trouble, and why.
    Trouble(String, Trouble),
    /// A certificate is not wanted any more.
    Abandoned(String),
    /// Something about the clinics of the PC.
    Clinic(ClinicPhrase),
    /// Something about why a chart does not open.
    Doctor(DoctorPhrase),
    /// Something about installing and removing.
    Setup(SetupPhrase),
    /// Something about files that were moved out of the way.
    Quarantine(QuarantinePhrase),
    /// Something about a root.
    Trust(TrustPhrase),
    /// Restart the browser.
    RestartBrowser,
    /// Everything is in order.
    AllWell,
    /// A bundle, and what came of it.
    Bundle(BundlePhrase),
}

/// Something to be said about a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundlePhrase {
    /// What a file said is done: the device's name, and when the file was made.
    Applied(String, String),
    /// A certificate waits until the answer has come to the server.
    Waiting(String),
    /// Where the answer is.
    Answer(String),
    /// A file was not applied, and why.
    NotApplied(String),
    /// All was done, but the answer is not written, and why.
    NotAnswered(String),
    /// The agent itself is running.
    AgentRuns,
}

/// The language of the surroundings (POSIX: `LC_ALL`, then `LC_MESSAGES`, then `LANG`); where they say nothing, as for most programs on
/// Windows and macOS, the one that the user has chosen in the system.
pub fn language() -> Language {
    language_amid(|name| std::env::var(name).ok(), chosen)
}

fn language_amid(variable: impl Fn(&str) -> Option<String>, chosen: impl Fn() -> Option<String>) -> Language {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    language_of(["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(set).or_else(chosen).as_deref())
}

/// What the user reads first, of the languages in the settings.
fn chosen() -> Option<String> {
    #[cfg(any(windows, target_os = "macos"))]
    {
        sys_locale::get_locale()
    }
    #[cfg(not(any(windows, target_os = "macos")))]
    {
        None
    }
}

fn language_of(locale: Option<&str>) -> Language {
    if locale.is_some_and(|locale| locale.starts_with("ja")) { Language::Japanese } else { Language::English }
}

/// Says it.
pub fn say(language: Language, phrase: &Phrase) -> String {
    let (japanese, english) = both(phrase);
    match language {
        Language::Japanese => japanese,
        Language::English => english,
    }
}

fn both(phrase: &Phrase) -> (String, String) {
    match phrase {
        Phrase::Enrolled(device) => {
            (format!("このパソコンを「{device}」として登録しました。"), format!("This PC is enrolled as {device}."))
        }
        Phrase::EnrolledNext => (
            "このあとの操作は不要です。電子証明書は自動で入ります。".into(),
            "Nothing more to do: certificates arrive by themselves.".into(),
        ),
        Phrase::TrustRoots(command) => (
            format!(
                "指定したルート証明書をブラウザに信頼させるには、この Mac の管理者が次のコマンドを1回だけ実行してください:\n  {command}"
            ),
            format!("For browsers to trust the roots that you named, an administrator of this Mac runs this once:\n  {command}"),
        ),
        Phrase::NotEnrolled(problem) => (format!("登録できませんでした: {problem}"), format!("This PC was not enrolled: {problem}")),
        Phrase::CodeRefusedNext => (
            "登録コードは10分間、1台だけに使えます。入力を確かめるか、管理者に新しいコードを頼んでください。".into(),
            "A code is good for ten minutes and one PC. Check what was typed, or ask your administrator for a new code.".into(),
        ),
        Phrase::NotEnrolledNext => (
            "もう一度試しても登録できないときは、この画面を管理者に見せてください。".into(),
            "If it fails again, show this to your administrator.".into(),
        ),
        Phrase::NeverEnrolled => (
            "このパソコンはまだ登録されていません。管理者から登録コードを受け取ってください。".into(),
            "This PC is not enrolled yet. Ask your administrator for a code.".into(),
        ),
        Phrase::Device(device) => (format!("端末: {device}"), format!("Device: {device}")),
        Phrase::Connected(server, since) => {
            (format!("サーバー: {server} と通信できています ({since} から)"), format!("Server: {server} answers (since {since})"))
        }
        Phrase::Silent(server, since, problem) => (
            format!("サーバー: {server} と {since} から通信できていません: {problem}\n  入っている証明書はそのまま使えます。"),
            format!("Server: {server} has been silent since {since}: {problem}\n  Certificates that are installed go on working."),
        ),
        Phrase::OtherHistory(since) => other_history(since),
        Phrase::NeverRun(server) => {
            (format!("サーバー: {server} にはまだ接続していません。"), format!("Server: {server} was not contacted yet."))
        }
        Phrase::Carried(made, applied) => (
            format!("サーバー: 持ち運びファイルでやり取りしています (前回のファイル: {made} 作成、{applied} 適用)"),
            format!("Server: by files. The last one was made {made}, and applied {applied}"),
        ),
        Phrase::Identity(until) => (format!("端末の身分証明: {until} まで有効"), format!("Identity: valid until {until}")),
        Phrase::NoSlots => ("証明書: まだありません。".into(), "Certificates: none yet.".into()),
        Phrase::Ready(slot) => (format!("証明書 {slot}: 使えます"), format!("Certificate {slot}: ready")),
        Phrase::Preparing(slot, stage) => {
            let (japanese, english) = stage_words(*stage);
            (format!("証明書 {slot}: 準備中 ({japanese})"), format!("Certificate {slot}: being prepared ({english})"))
        }
        Phrase::Trouble(slot, Trouble { ja, en }) => (format!("証明書 {slot}: 確認が必要です: {ja}"), format!("Certificate {slot}: {en}")),
        Phrase::Abandoned(slot) => (format!("証明書 {slot}: 取り消されました"), format!("Certificate {slot}: withdrawn")),
        Phrase::Clinic(phrase) => clinics::both(phrase),
        Phrase::Doctor(phrase) => doctor::both(phrase),
        Phrase::Setup(phrase) => setup::both(phrase),
        Phrase::Quarantine(phrase) => quarantine::both(phrase),
        Phrase::Trust(phrase) => trust::both(phrase),
        Phrase::RestartBrowser => (
            "ブラウザーをすべて閉じて、もう一度開いてください。新しい証明書に切り替わります。".into(),
            "Close every browser window and start the browser again: it then uses the new certificate.".into(),
        ),
        Phrase::AllWell => ("問題はありません。".into(), "All is well.".into()),
        Phrase::Bundle(phrase) => of_bundle(phrase),
    }
}

fn other_history(since: &str) -> (String, String) {
    (
        format!(
            "サーバーの監査記録が、このパソコンが確認していた内容とつながりません ({since} から)。新しい指示は受け付けません。管理者に連絡してください。\n  入っている証明書はそのまま使えます。"
        ),
        format!(
            "The server's audit log does not go on from what this PC has seen of it (since {since}). New instructions are not followed: tell your administrator.\n  Certificates that are installed go on working."
        ),
    )
}

fn of_bundle(phrase: &BundlePhrase) -> (String, String) {
    match phrase {
        BundlePhrase::Applied(device, made_at) => (
            format!("端末: {device}\n持ち運びファイル ({made_at} 作成) を適用しました。"),
            format!("Device: {device}\nThe bundle was applied (made {made_at})."),
        ),
        BundlePhrase::Waiting(slot) => (
            format!("証明書 {slot}: サーバーへの依頼を返信ファイルに書きました。次の持ち運びファイルで届きます。"),
            format!("Certificate {slot}: its request is in the answer file; it comes with the next bundle"),
        ),
        BundlePhrase::Answer(path) => (
            format!("返信ファイル: {path}\n  管理者に渡してください。サーバーはこれで、この端末の状態を知ります。"),
            format!("Answer file: {path}\n  Take it to your administrator: it tells the server how far this PC is."),
        ),
        BundlePhrase::NotApplied(problem) => (format!("適用できませんでした: {problem}"), format!("The bundle was not applied: {problem}")),
        BundlePhrase::NotAnswered(problem) => (
            format!(
                "適用は済みましたが、返信ファイルを書けませんでした: {problem}\n  USBメモリーを確かめ、同じ操作をもう一度してください。"
            ),
            format!(
                "The bundle was applied, but its answer was not written: {problem}\n  Check the USB stick, and apply the bundle once more."
            ),
        ),
        BundlePhrase::AgentRuns => (
            "tegata-agentが動作中です。先に止めてください。サーバーと通信できる端末では、この操作は不要です。".into(),
            "tegata-agent runs on this PC. Stop it first; where it reaches its server, bundles are not needed.".into(),
        ),
    }
}

fn stage_words(stage: Stage) -> (&'static str, &'static str) {
    match stage {
        Stage::Wanted => ("これから鍵を作ります", "its key is made next"),
        Stage::Keyed => ("証明書の発行を待っています", "waiting for the certificate"),
        Stage::Staged => ("これから組み込みます", "installed next"),
        Stage::Installed => ("動作を確認しています", "being tried out"),
        Stage::Proven => ("動作を確認しました", "tried out"),
        Stage::Settled => ("完了", "done"),
        Stage::Abandoned => ("取り消し", "withdrawn"),
    }
}

/// A moment as the clock on this PC's wall would show it.
pub fn local_time(seconds: i64, zone: &TimeZone) -> String {
    let Ok(moment) = jiff::Timestamp::from_second(seconds) else { return format!("@{seconds}") };
    moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// The same in digits only: `yyyyMMddHHmmss`.
pub fn local_digits(seconds: i64, zone: &TimeZone) -> String {
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    moment.to_zoned(zone.clone()).strftime("%Y%m%d%H%M%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_said_in_the_readers_language() {
        for stage in Stage::ALL {
            let said = |language| say(language, &Phrase::Preparing("karte".into(), stage));
            let (japanese, english) = (said(Language::Japanese), said(Language::English));
            let inside = japanese.split_once('(').unwrap().1;
            assert!(!inside.chars().any(|letter| letter.is_ascii_alphabetic()), "{japanese}");
            assert!(english.is_ascii() && !english.contains("()"), "{english}");
        }
    }

    #[test]
    fn times_are_those_of_the_clock_on_the_wall() {
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        assert_eq!(local_time(1_800_000_000, &tokyo), "2027-01-15 17:00");
        assert_eq!(local_time(1_800_000_000, &TimeZone::UTC), "2027-01-15 08:00");
        assert_eq!(local_time(i64::MAX, &tokyo), format!("@{}", i64::MAX));
    }

    #[test]
    fn japanese_is_spoken_in_japanese_surroundings_only() {
        for (locale, language) in [
            (Some("ja_JP.UTF-8"), Language::Japanese),
            (Some("ja"), Language::Japanese),
            (Some("de_DE.UTF-8"), Language::English),
            (Some("C"), Language::English),
            (None, Language::English),
        ] {
            assert_eq!(language_of(locale), language, "{locale:?}");
        }
    }

    #[test]
    fn what_the_user_has_chosen_counts_where_nothing_else_is_said() {
        let amid = |set: Option<&str>, chosen: Option<&str>| {
            language_amid(|name| set.filter(|_| name == "LANG").map(Into::into), || chosen.map(Into::into))
        };
        assert_eq!(amid(None, Some("ja-JP")), Language::Japanese);
        assert_eq!(amid(Some(""), Some("ja-JP")), Language::Japanese);
        assert_eq!(amid(Some("en_US.UTF-8"), Some("ja-JP")), Language::English);
        assert_eq!(amid(None, Some("de-DE")), Language::English);
        assert_eq!(chosen().is_some(), cfg!(any(windows, target_os = "macos")));
    }

    #[test]
    fn both_languages_say_the_same_facts() {
        let phrase = Phrase::Silent("https://a:1".into(), "10:00".into(), "why".into());
        for language in [Language::Japanese, Language::English] {
            let said = say(language, &phrase);
            assert!(["https://a:1", "10:00", "why"].iter().all(|fact| said.contains(fact)), "{said}");
        }
    }
}
