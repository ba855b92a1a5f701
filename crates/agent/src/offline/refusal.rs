//! Why a bundle is not believed: a closed set, told to staff in Japanese and in English.

use std::fmt;

use tegata_api::v1::offline::{FILE_MAX, Unreadable};

use crate::manifest;
use crate::words::Language;

/// Why a bundle is not applied. Nothing was done then.
#[derive(Debug)]
pub enum Refusal {
    /// The file cannot be read at all.
    Unreadable(Unreadable),
    /// Its bytes are not those that were signed.
    Altered,
    /// Another server made it, or nobody's.
    Foreign,
    /// The server's certificate is not valid by this PC's clock.
    WrongTime,
    /// The server signed something that this agent does not understand.
    Newer,
    /// It is for a device of another tenant.
    OtherTenant(String),
    /// It is for another device.
    OtherDevice(String),
    /// It was made before this PC was enrolled anew.
    OtherIdentity,
    /// It says less than what is followed already.
    TooOld {
        /// Its generation.
        got: u64,
        /// The highest so far.
        seen: u64,
    },
    /// The server's audit log is not the one that this PC knows.
    OtherHistory,
    /// What it says makes no sense.
    Nonsense(manifest::Unreadable),
}

impl Refusal {
    /// Says it in one language.
    pub fn said(&self, language: Language) -> String {
        match language {
            Language::Japanese => self.japanese(),
            Language::English => self.english(),
        }
    }

    fn japanese(&self) -> String {
        match self {
            Self::Unreadable(Unreadable::TooLarge) => {
                format!("ファイルが大きすぎます（{} MiBまで）。選んだファイルを確かめてください。", FILE_MAX >> 20)
            }
            Self::Unreadable(Unreadable::CutShort) => {
                "ファイルが途中で切れています。もう一度コピーし、USBメモリーは「安全な取り外し」をしてから抜いてください。".into()
            }
            Self::Unreadable(Unreadable::Other) => "これは持ち運びファイルではありません。選んだファイルを確かめてください。".into(),
            Self::Unreadable(Unreadable::Io(problem)) => format!("ファイルを開けません。名前と場所を確かめてください（{problem}）。"),
            Self::Altered => "ファイルが壊れているか、書き換えられています。管理者に作り直してもらい、もう一度コピーしてください。".into(),
            Self::Foreign => "このパソコンを登録したサーバーが作ったファイルではありません。使わずに、管理者に知らせてください。".into(),
            Self::WrongTime => {
                "ファイルの署名の有効期間外です。パソコンの日付と時刻を確かめ、合っていれば、管理者に作り直してもらってください。".into()
            }
            Self::Newer => "新しい形式のファイルのため読み取れません。tegata-agentを更新してください。".into(),
            Self::OtherTenant(tenant) => format!("別のテナント「{tenant}」の端末のファイルです。この端末のファイルを選んでください。"),
            Self::OtherDevice(device) => format!("別の端末「{device}」のファイルです。この端末のファイルを選んでください。"),
            Self::OtherIdentity => "このパソコンを登録し直す前のファイルです。管理者に作り直してもらってください。".into(),
            Self::OtherHistory => {
                "サーバーの監査記録が、このパソコンが確認していた内容とつながりません。使わずに、管理者に知らせてください。".into()
            }
            Self::TooOld { got, seen } => {
                format!("古いファイルです（第{got}版。この端末には第{seen}版が適用済み）。新しいファイルを使ってください。")
            }
            Self::Nonsense(_) => {
                "ファイルの内容を理解できません。tegata-agentを更新し、それでも続くときは管理者に知らせてください。".into()
            }
        }
    }

    fn english(&self) -> String {
        match self {
            Self::Unreadable(Unreadable::Io(problem)) => format!("the file cannot be read ({problem}); check its name and place"),
            Self::Unreadable(problem) => problem.to_string(),
            Self::Altered => "the file is damaged, or was changed; have your administrator export it again, and copy it anew".into(),
            Self::Foreign => "the file was not made by the server that this PC was enrolled with; do not use it, and tell your administrator".into(),
            Self::WrongTime => {
                "the signature of the file is not valid at this time; check the date and time of this PC, and if they are right, have the file exported again".into()
            }
            Self::Newer => "the file is of a newer kind; update tegata-agent".into(),
            Self::OtherTenant(tenant) => format!("the file is for a device of another tenant, {tenant}; choose the one for this device"),
            Self::OtherDevice(device) => format!("the file is for another device, {device}; choose the one for this device"),
            Self::OtherIdentity => "the file was made before this PC was enrolled anew; have it exported again".into(),
            Self::OtherHistory => {
                "the server's audit log does not go on from what this PC has seen of it; do not use the file, and tell your administrator".into()
            }
            Self::TooOld { got, seen } => {
                format!("the file is old (generation {got}; this device follows {seen} already); use the newest one")
            }
            Self::Nonsense(problem) => format!("{problem}; update tegata-agent, and if that does not help, tell your administrator"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.japanese(), self.english())
    }
}

impl std::error::Error for Refusal {}
