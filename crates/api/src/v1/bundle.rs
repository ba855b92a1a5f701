//! Why a vendor's bundle was not taken in: a word for programs, and a sentence in Japanese and in English for people.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tegata_core::calendar::Date;
use tegata_core::time::{DAY, Timestamp};
use tegata_core::vendor::{BundleFault as Fault, FileNamePattern, Thumbprints};

use crate::hint::quote;

/// Something that keeps a vendor's bundle from being taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleFault {
    /// A word that programs can act on.
    pub code: FaultCode,
    /// What is wrong and what to do, in Japanese.
    pub ja: String,
    /// The same in English.
    pub en: String,
}

/// What keeps a vendor's bundle from being taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is the variant of tegata_core::vendor::BundleFault with the same name")]
pub enum FaultCode {
    TooLarge,
    Unreadable,
    Excessive,
    Unsupported,
    WrongPassword,
    NoKey,
    SeveralKeys,
    NoCertificate,
    OtherKey,
    Expired,
    NotYetValid,
    WrongIssuer,
    WrongInstitution,
    InstitutionUnknown,
    WrongTenant,
    TenantUnknown,
    UnknownAnchor,
    NoAnchor,
    WrongFileName,
    WrongValidity,
    OnAnotherDevice,
    OlderThanHeld,
}

impl FaultCode {
    /// Every one of them.
    pub const ALL: [Self; 22] = [
        Self::TooLarge,
        Self::Unreadable,
        Self::Excessive,
        Self::Unsupported,
        Self::WrongPassword,
        Self::NoKey,
        Self::SeveralKeys,
        Self::NoCertificate,
        Self::OtherKey,
        Self::Expired,
        Self::NotYetValid,
        Self::WrongIssuer,
        Self::WrongInstitution,
        Self::InstitutionUnknown,
        Self::WrongTenant,
        Self::TenantUnknown,
        Self::UnknownAnchor,
        Self::NoAnchor,
        Self::WrongFileName,
        Self::WrongValidity,
        Self::OnAnotherDevice,
        Self::OlderThanHeld,
    ];
}

impl From<&Fault> for BundleFault {
    fn from(fault: &Fault) -> Self {
        Self { code: code(fault), ja: japanese(fault), en: english(fault) }
    }
}

fn code(fault: &Fault) -> FaultCode {
    match fault {
        Fault::TooLarge { .. } => FaultCode::TooLarge,
        Fault::Unreadable => FaultCode::Unreadable,
        Fault::Excessive => FaultCode::Excessive,
        Fault::Unsupported => FaultCode::Unsupported,
        Fault::WrongPassword => FaultCode::WrongPassword,
        Fault::NoKey => FaultCode::NoKey,
        Fault::SeveralKeys { .. } => FaultCode::SeveralKeys,
        Fault::NoCertificate => FaultCode::NoCertificate,
        Fault::OtherKey => FaultCode::OtherKey,
        Fault::Expired { .. } => FaultCode::Expired,
        Fault::NotYetValid { .. } => FaultCode::NotYetValid,
        Fault::WrongIssuer { .. } => FaultCode::WrongIssuer,
        Fault::WrongInstitution { .. } => FaultCode::WrongInstitution,
        Fault::InstitutionUnknown => FaultCode::InstitutionUnknown,
        Fault::WrongTenant { .. } => FaultCode::WrongTenant,
        Fault::TenantUnknown => FaultCode::TenantUnknown,
        Fault::UnknownAnchor { .. } => FaultCode::UnknownAnchor,
        Fault::NoAnchor => FaultCode::NoAnchor,
        Fault::WrongFileName { .. } => FaultCode::WrongFileName,
        Fault::WrongValidity { .. } => FaultCode::WrongValidity,
        Fault::OnAnotherDevice { .. } => FaultCode::OnAnotherDevice,
        Fault::OlderThanHeld { .. } => FaultCode::OlderThanHeld,
    }
}

fn japanese(fault: &Fault) -> String {
    match fault {
        Fault::TooLarge { bytes, limit } => {
            format!("ファイルが大きすぎます（{bytes}バイト、上限は{limit}バイト）。証明書のファイルかどうか確かめてください。")
        }
        Fault::Unreadable => "証明書のファイル（PKCS#12）として読めません。途中で切れているか、壊れているか、別の種類のファイルです。もう一度ダウンロードしてください。".into(),
        Fault::Excessive => "開くための計算や中身が異常に多いファイルのため、開きませんでした。発行元から届いたファイルかどうか確かめてください。".into(),
        Fault::Unsupported => "対応していない方式で保護されたファイルです。発行元に、AESまたは3DESで保護されたファイルを頼んでください。".into(),
        Fault::WrongPassword => "パスワード（暗証番号）が違います。試したのは1回だけで、自動では繰り返しません。確かめてからもう一度入力してください。".into(),
        Fault::NoKey => "ファイルに秘密鍵が入っていません。秘密鍵を含む形式（.p12または.pfx）でダウンロードしてください。".into(),
        Fault::SeveralKeys { count } => format!("ファイルに秘密鍵が{count}個入っています。1台分の証明書だけが入ったファイルを使ってください。"),
        Fault::NoCertificate => "ファイルに証明書が入っていません。もう一度ダウンロードしてください。".into(),
        Fault::OtherKey => "ファイルの証明書と秘密鍵が組になっていません。もう一度ダウンロードし、それでも同じなら発行元に問い合わせてください。".into(),
        Fault::Expired { at } => format!("この証明書は{}に有効期限が切れています。新しい証明書を発行してください。", day_ja(*at)),
        Fault::NotYetValid { at } => format!("この証明書が使えるのは{}からです。それ以降にもう一度取り込むか、時計が合っているか確かめてください。", day_ja(*at)),
        Fault::WrongIssuer { found, wanted } => format!("発行元は{}です。{}が発行した証明書が必要です。", named_ja(found, "不明"), kagi(wanted.as_str())),
        Fault::WrongInstitution { found, wanted } => {
            format!("証明書の医療機関コードは{}で、この医院の{}ではありません。別の医院の証明書でないか確かめてください。", named_ja(found, "記載なし"), kagi(wanted.as_str()))
        }
        Fault::InstitutionUnknown => "この医院の医療機関コードが設定されていないため、証明書と照合できません。医院の設定にinstitutionNumberを書いてください。".into(),
        Fault::WrongTenant { found, wanted } => {
            format!("証明書のテナントは{}で、この医院の{}ではありません。別の医院の証明書でないか確かめてください。", named_ja(found, "記載なし"), kagi(wanted.as_str()))
        }
        Fault::TenantUnknown => "この医院のテナント番号が設定されていないため、証明書と照合できません。医院の設定にvendorTenantを書いてください。".into(),
        Fault::UnknownAnchor { found } => {
            format!("証明書を発行した認証局の拇印が、登録済みの拇印と一致しません。偽物のおそれがあるため使わないでください。ファイルの認証局: {}", all(found))
        }
        Fault::NoAnchor => "ファイルに、この証明書を発行した認証局が入っていないため、本物かどうか確かめられません。認証局の証明書を含むファイルを使ってください。".into(),
        Fault::WrongFileName { found, wanted } => format!("ファイル名が{}です。発行元が付けた名前（{}）のまま使ってください。", kagi(found), shown(wanted, ["〈数字〉", "〈テナント〉", "〈医療機関コード〉"])),
        Fault::WrongValidity { found, wanted } => {
            format!("有効期間が{}日です。この種類の証明書は約{}日です。別の用途の証明書でないか確かめてください。", days(*found), days(*wanted))
        }
        Fault::OnAnotherDevice { device } => {
            format!("この証明書はすでに端末「{device}」で使われています。発行元は1枚につき1台と定めています。この端末用に発行してください。")
        }
        Fault::OlderThanHeld { until, held_until } => {
            format!("この証明書の期限（{}）は、いま使っている証明書の期限（{}）より前です。新しい方のファイルを選んでください。", day_ja(*until), day_ja(*held_until))
        }
    }
}

fn english(fault: &Fault) -> String {
    match fault {
        Fault::TooLarge { bytes, limit } => {
            format!("The file is too large: {bytes} bytes, where at most {limit} are read. Check that it is the certificate file.")
        }
        Fault::Unreadable => {
            "This cannot be read as a certificate file (PKCS#12): it is cut short, damaged or of another kind. Download it again.".into()
        }
        Fault::Excessive => {
            "The file asks for far more than any honest one, so it was not opened. Check that it came from the vendor.".into()
        }
        Fault::Unsupported => {
            "The file is protected in a way that is not supported. Ask the vendor for one that is protected with AES or 3DES.".into()
        }
        Fault::WrongPassword => {
            "The password or PIN does not fit. It was tried once and is never retried by itself. Check it, then type it again.".into()
        }
        Fault::NoKey => "There is no private key in the file. Download it in the form that contains the key (.p12 or .pfx).".into(),
        Fault::SeveralKeys { count } => {
            format!("There are {count} private keys in the file. Use a file with the certificate of one device only.")
        }
        Fault::NoCertificate => "There is no certificate in the file. Download it again.".into(),
        Fault::OtherKey => {
            "The certificate in the file belongs to another key. Download it again; if that does not help, ask the vendor.".into()
        }
        Fault::Expired { at } => format!("This certificate expired on {}. Have a new one issued.", day_en(*at)),
        Fault::NotYetValid { at } => {
            format!("This certificate is valid only from {} on. Bring it again then, or check that the clock is right.", day_en(*at))
        }
        Fault::WrongIssuer { found, wanted } => {
            format!("The issuer is {}; a certificate of {} is needed.", named(found, "not named"), quote(wanted.as_str()))
        }
        Fault::WrongInstitution { found, wanted } => of_another("institution number", found, wanted.as_str()),
        Fault::InstitutionUnknown => not_in_policy("institution number", "institutionNumber"),
        Fault::WrongTenant { found, wanted } => of_another("tenant", found, wanted.as_str()),
        Fault::TenantUnknown => not_in_policy("tenant at the vendor", "vendorTenant"),
        Fault::UnknownAnchor { found } => {
            format!(
                "No authority that signed this certificate is pinned. It may be a forgery: do not use it. Those that did sign: {}",
                all(found)
            )
        }
        Fault::NoAnchor => {
            "No authority in the file signed this certificate, so it cannot be told from a forgery. Use a file that includes its authority."
                .into()
        }
        Fault::WrongFileName { found, wanted } => {
            let wanted = shown(wanted, ["<digits>", "<tenant>", "<institution number>"]);
            format!("The file is called {}. Use it under the name that the vendor gave it: {wanted}.", quote(found))
        }
        Fault::WrongValidity { found, wanted } => {
            let (found, wanted) = (days(*found), days(*wanted));
            format!("It is valid for {found} days, but such certificates for about {wanted}. Check that it is not for another purpose.")
        }
        Fault::OnAnotherDevice { device } => {
            format!(
                "This certificate is on device {device} already, and the vendor allows one device each. Have one issued for this device."
            )
        }
        Fault::OlderThanHeld { until, held_until } => {
            let (until, held_until) = (day_en(*until), day_en(*held_until));
            format!("This certificate ends on {until}, before the one in use, which ends on {held_until}. Choose the newer file.")
        }
    }
}

fn of_another(what: &str, found: &Option<String>, wanted: &str) -> String {
    let (found, wanted) = (named(found, "missing"), quote(wanted));
    format!("The {what} in the certificate is {found}, not this clinic's {wanted}. Check that it is not another clinic's.")
}

fn not_in_policy(what: &str, key: &str) -> String {
    format!("Policy does not say this clinic's {what}, so nothing can be compared. Write {key} into the clinic's document.")
}

fn named(found: &Option<String>, otherwise: &str) -> String {
    found.as_deref().map_or_else(|| otherwise.to_owned(), quote)
}

fn named_ja(found: &Option<String>, otherwise: &str) -> String {
    found.as_deref().map_or_else(|| otherwise.to_owned(), kagi)
}

/// The same as [`quote`], in Japanese quotation marks.
fn kagi(text: &str) -> String {
    let quoted = quote(text);
    let inside = quoted.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).unwrap_or(&quoted);
    format!("「{inside}」")
}

/// A pattern for file names with words in the place of its placeholders: digits, tenant, institution number.
fn shown(pattern: &FileNamePattern, [digits, tenant, institution]: [&str; 3]) -> String {
    let text = pattern.as_str().replace("{digits}", digits).replace("{n}", digits);
    text.replace("{tenant}", tenant).replace("{institutionNumber}", institution)
}

/// The thumbprints of authorities, as vendors publish them and as policy pins them best.
fn all(found: &[Thumbprints]) -> String {
    let shown: Vec<String> = found.iter().map(|anchor| format!("SHA-1 {}, SHA-256 {}", anchor.sha1, anchor.sha256)).collect();
    shown.join("; ")
}

fn days(span: Duration) -> u64 {
    span.as_secs() / DAY.as_secs()
}

fn day_ja(moment: Timestamp) -> String {
    Date::in_japan(moment).map_or_else(|| moment.to_string(), |date| format!("{}年{}月{}日", date.year, date.month, date.day))
}

fn day_en(moment: Timestamp) -> String {
    Date::in_japan(moment).map_or_else(|| moment.to_string(), |date| format!("{:04}-{:02}-{:02}", date.year, date.month, date.day))
}
