//! Why a vendor's renewal brought nothing: a closed set, told to people in Japanese and in English.

use std::fmt;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

/// Why there is no successor yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// `NOT PERMITTED CERTIFICATE`: certificates of this kind do not renew themselves.
    NotPermitted,
    /// `USER NOT IN TENANTDB`.
    UserUnknown,
    /// `ON PREMISES ONLY TENANT`.
    OnPremisesOnly,
    /// The vendor is at work (503).
    Maintenance,
    /// The certificate that has to be shown is over.
    Expired,
    /// What was offered is not there any more; the next call asks for another.
    OfferOver,
    /// Nothing answered, or not to the end.
    Unanswered(String),
    /// Another status.
    Status(u16),
    /// The answer cannot be read.
    Nonsense,
    /// More bytes came than any certificate has.
    TooMuch,
    /// The answer leads to another host.
    OtherHost,
    /// The address that policy names is not an https address.
    Address,
    /// The certificate cannot be shown.
    Setup(String),
}

impl Refusal {
    /// What a status and its text mean.
    pub(super) fn of(status: u16, text: &str) -> Self {
        let says = |word: &str| text.contains(word);
        match status {
            503 => Self::Maintenance,
            _ if says("NOT PERMITTED CERTIFICATE") => Self::NotPermitted,
            _ if says("USER NOT IN TENANTDB") => Self::UserUnknown,
            _ if says("ON PREMISES ONLY TENANT") => Self::OnPremisesOnly,
            other => Self::Status(other),
        }
    }

    /// How long the vendor is left alone: what only a person can change is asked again a few times a day, and what makes another
    /// certificate each time, no more often.
    pub fn patience(&self) -> Duration {
        match self {
            Self::Maintenance | Self::Unanswered(_) | Self::OfferOver => HOUR,
            Self::Status(_) | Self::Nonsense | Self::TooMuch | Self::Address | Self::Setup(_) => 4 * HOUR,
            Self::NotPermitted | Self::UserUnknown | Self::OnPremisesOnly | Self::Expired | Self::OtherHost => 12 * HOUR,
        }
    }

    /// Says it in Japanese; in English it is displayed.
    pub(crate) fn japanese(&self) -> String {
        match self {
            Self::NotPermitted => "発行元が、この証明書での自動更新を許可していません（NOT PERMITTED CERTIFICATE）。管理画面で更新し、ファイルを取り込んでください。".into(),
            Self::UserUnknown => "発行元に、この証明書の利用者が登録されていません（USER NOT IN TENANTDB）。発行元に問い合わせてください。".into(),
            Self::OnPremisesOnly => "発行元で、このテナントは院内版だけの契約です（ON PREMISES ONLY TENANT）。発行元に問い合わせてください。".into(),
            Self::Maintenance => "発行元がメンテナンス中です。自動でもう一度試します。".into(),
            Self::Expired => "いまの証明書の有効期限が切れているため、自動では更新できません。管理画面で発行したファイルを取り込んでください。".into(),
            Self::OfferOver => "発行元が用意したファイルを受け取れませんでした。もう一度更新を頼みます。".into(),
            Self::Unanswered(why) => format!("発行元に接続できません。自動でもう一度試します（{why}）。"),
            Self::Status(status) => format!("発行元が更新を断りました（HTTP {status}）。続くときは発行元に問い合わせてください。"),
            Self::Nonsense => "発行元の返事を読み取れません。設定された接続先が正しいか確かめてください。".into(),
            Self::TooMuch => "発行元の返事が大きすぎるため、受け取りませんでした。設定された接続先が正しいか確かめてください。".into(),
            Self::OtherHost => "発行元の返事が別のサーバーを指しているため、従いませんでした。発行元に問い合わせてください。".into(),
            Self::Address => "設定された発行元の接続先が正しくありません。設定のurlを確かめてください。".into(),
            Self::Setup(why) => format!("いまの証明書を使って接続できません（{why}）。"),
        }
    }

    fn english(&self) -> String {
        match self {
            Self::NotPermitted => "the vendor does not let this certificate renew itself (NOT PERMITTED CERTIFICATE); renew it in the vendor's console and bring the file".into(),
            Self::UserUnknown => "the vendor does not know the user of this certificate (USER NOT IN TENANTDB); ask the vendor".into(),
            Self::OnPremisesOnly => "at the vendor this tenant is on premises only (ON PREMISES ONLY TENANT); ask the vendor".into(),
            Self::Maintenance => "the vendor is closed for maintenance; this is tried again".into(),
            Self::Expired => "the current certificate has expired, so it cannot renew itself; issue one in the vendor's console and bring the file".into(),
            Self::OfferOver => "what the vendor offered is not there any more; it is asked once more".into(),
            Self::Unanswered(why) => format!("the vendor did not answer; this is tried again ({why})"),
            Self::Status(status) => format!("the vendor refused to renew (HTTP status {status}); if it goes on, ask the vendor"),
            Self::Nonsense => "the vendor's answer cannot be understood; check the url in policy".into(),
            Self::TooMuch => "the vendor's answer is too long and was not read; check the url in policy".into(),
            Self::OtherHost => "the vendor's answer leads to another host and was not followed; ask the vendor".into(),
            Self::Address => "the vendor's url in policy is not an https address".into(),
            Self::Setup(why) => format!("the current certificate cannot be used for the connection ({why})"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.english())
    }
}

impl std::error::Error for Refusal {}
