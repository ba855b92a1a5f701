//! Sealed backups in their targets: what lies where, and how one is got back.
//!
//! Under `/v1/tenants/{tenant}`, with `Authorization: Bearer <token>`:
//!
//! | request | answer |
//! |---|---|
//! | `GET /backups` `?clinic=` | `[`[`Backup`]`]` |
//! | `POST /backups/{clinic}/{device}/{profile}/fetch` [`FetchRequest`] | [`Fetched`]; that it was handed out is on record |
//! | `POST /backups/{clinic}/{device}/{profile}/drill` [`DrillReport`] | 204; that is on record |
//! | `POST /backup-approvals` [`ApproveRequest`] | [`Approved`] |
//!
//! and for devices `POST /v1/agent/backups` [`KeepRequest`], answered with 204.
//!
//! In a target a backup is two objects, `TENANT/CLINIC/ID.age` and `TENANT/CLINIC/ID.json`: an age file, and its [`Manifest`]. Where it takes
//! several keepers, the first is a text with several age files (`tegata-quorum/v1`).

use serde::{Deserialize, Serialize};
use tegata_core::backup::{Keepers, Trouble};

/// One backup in one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Backup {
    /// The slot that it is of, `clinic/device/profile`.
    pub slot: String,
    /// What was sealed: `file` or `monsiaj`.
    pub kind: String,
    /// What its objects are called, 32 hexadecimal digits.
    pub id: String,
    /// SHA-256 of the DER of the certificate that it belongs to.
    pub fingerprint: String,
    /// The target.
    pub target: String,
    /// `due`, `verified`, `stale` (not read back for 30 days) or `failing`.
    pub state: String,
    /// When it was put there, seconds since the Unix epoch.
    pub stored_at: Option<i64>,
    /// When it was last read back and found whole.
    pub verified_at: Option<i64>,
    /// When a person last opened it and found its certificate's own key: `tegata backup drill`. Nothing proves more.
    #[serde(default)]
    pub opened_at: Option<i64>,
    /// When it is tried or read back next.
    pub next_at: Option<i64>,
    /// Why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Said>,
}

/// A trouble: a word for programs, and a sentence in Japanese and in English for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Said {
    /// A word that programs can act on.
    pub code: String,
    /// What is wrong and what to do, in Japanese.
    pub ja: String,
    /// The same in English.
    pub en: String,
}

/// Asks for a sealed backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchRequest {
    /// From which target. Left out: as the server itself has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Which kind: `file`, which is meant if nothing is said, or `monsiaj`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Which one of the slot, as [`Backup`] calls it. Left out: the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What was found by opening one copy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillReport {
    /// Which backup, as [`Backup`] calls it.
    pub id: String,
    /// In which target.
    pub target: String,
    /// What was found.
    pub outcome: Drilled,
}

/// What a copy turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Drilled {
    /// It opens, and the key in it is the one of its certificate.
    Opened,
    /// It is not what was put there.
    Altered,
    /// It was sealed to whoever tried, and does not open.
    Closed,
    /// It opens, and holds something else.
    OtherContent,
}

/// Agrees to a read that somebody else has asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApproveRequest {
    /// What whoever asked was told.
    pub id: String,
}

/// Who asked may read now, once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approved {
    /// A backup of which slot.
    pub slot: String,
}

/// A sealed backup on its way to whoever can open it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fetched {
    /// What it is.
    pub manifest: Manifest,
    /// An age file, base64.
    pub sealed: String,
}

/// Keepers of backups who open them only together. Programs from before there were such are told of no keepers, and seal to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Quorum {
    /// How many of them it takes.
    pub threshold: u8,
    /// age recipients.
    pub of: Vec<String>,
}

impl Quorum {
    /// Keepers as they are told: those who open a backup alone, or those who open it together.
    pub fn told(keepers: Keepers) -> (Vec<String>, Option<Self>) {
        let Keepers { threshold, of } = keepers;
        if threshold > 1 { (vec![], Some(Self { threshold, of })) } else { (of, None) }
    }

    /// Reads what [`Quorum::told`] said.
    pub fn heard(alone: &[String], together: Option<&Self>) -> Keepers {
        match together {
            Some(quorum) => Keepers { threshold: quorum.threshold, of: quorum.of.clone() },
            None => Keepers::each(alone.to_vec()),
        }
    }
}

fn one() -> u8 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_one(number: &u8) -> bool {
    *number == 1
}

/// What lies beside a sealed backup, so that it can be found and checked without a server. Nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Whose.
    pub tenant: String,
    /// The clinic.
    pub clinic: String,
    /// The slot, `clinic/device/profile`.
    pub slot: String,
    /// What was sealed: `file` or `monsiaj`.
    pub kind: String,
    /// What its objects are called, 32 hexadecimal digits.
    pub id: String,
    /// The order whose certificate it belongs to.
    pub order: String,
    /// SHA-256 of that certificate's DER.
    pub fingerprint: String,
    /// SHA-256 of the age file.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Who can open it, beside the device: age recipients.
    pub recipients: Vec<String>,
    /// How many of them it takes. Left out: each can alone.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub threshold: u8,
    /// When it was sealed, seconds since the Unix epoch.
    pub sealed_at: i64,
    /// When its certificate expires, seconds since the Unix epoch.
    pub not_after: i64,
}

/// What a device sealed of its own files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeepRequest {
    /// The slot that uses them, `clinic/device/profile`.
    pub slot: String,
    /// To whom it was sealed: the recipients that the device's manifest names.
    pub recipients: Vec<String>,
    /// An age file, base64.
    pub sealed: String,
}

/// The word for a trouble.
pub fn word(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable => "unreachable",
        Trouble::Slow => "slow",
        Trouble::Unmarked => "unmarked",
        Trouble::WrongHostKey => "wrong-host-key",
        Trouble::WrongAuthority => "wrong-authority",
        Trouble::NoCredentials => "no-credentials",
        Trouble::SignIn => "sign-in",
        Trouble::Forbidden => "forbidden",
        Trouble::Full => "full",
        Trouble::Missing => "missing",
        Trouble::Altered => "altered",
        Trouble::Broken => "broken",
        Trouble::NotSealed => "not-sealed",
        Trouble::TooFew => "too-few",
        Trouble::NotOpened => "not-opened",
        Trouble::Closed => "closed",
        Trouble::OtherContent => "other-content",
    }
}

/// A trouble in all its forms.
pub fn said(trouble: Trouble) -> Said {
    Said { code: word(trouble).into(), ja: japanese(trouble).into(), en: english(trouble).into() }
}

fn japanese(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable => "保存先に接続できません。電源・ネットワーク・共有フォルダーの接続を確認してください。",
        Trouble::Slow => "保存先が時間内に応答しません。自動でもう一度試します。",
        Trouble::WrongHostKey => {
            "保存先のホスト鍵がポリシーのhostKeyと違うため、何も送っていません。機器の入れ替えでなければ、なりすましを疑ってください。"
        }
        Trouble::Unmarked => {
            "フォルダーに目印のファイルがないため、何も書いていません。共有フォルダーが接続されているか確認してください。ディスクを交換したときは、目印のファイルを作り直してください。"
        }
        Trouble::WrongAuthority => {
            "保存先の証明書を確認できないため、何も送っていません。ポリシーのauthorityとendpoint、証明書の期限を確認し、なりすましも疑ってください。"
        }
        Trouble::NoCredentials => {
            "保存先に入るための鍵がありません。サーバーを--backup-key（SFTP）または--backup-credentials（S3）を付けて起動してください。"
        }
        Trouble::SignIn => "保存先がサーバーのサインインを拒みました。保存先に登録した鍵とユーザー名を確認してください。",
        Trouble::Forbidden => "保存先で読み書きが許可されていません。フォルダーの権限を確認してください。",
        Trouble::Full => "保存先に空きがないか、それ以上受け取りません。空き容量を増やしてください。",
        Trouble::Missing => "保存先からコピーがなくなっています。サーバーにある控えから自動で置き直します。",
        Trouble::Altered => "保存先のコピーが置いたものと違います。自動で置き直します。続くときは保存先のディスクを調べてください。",
        Trouble::Broken => "保存先で失敗しました。詳しくはサーバーのログを見てください。自動でもう一度試します。",
        Trouble::NotSealed => {
            "この保存先のrecipientsが決まる前に封をしたため、開ける人がいません。同じファイルをもう一度certificate importで取り込んでください。"
        }
        Trouble::TooFew => {
            "ポリシーが求める人数より少ない人数で開けられます。人数が決まる前に封をしたものです。同じファイルをもう一度certificate importで取り込んでください。"
        }
        Trouble::NotOpened => "決められた期間、誰も開いて確かめていません。鍵を持つ人がtegata backup drillを実行してください。",
        Trouble::Closed => "正しい鍵でも開けませんでした。ベンダーのファイルをもう一度certificate importで取り込んでください。",
        Trouble::OtherContent => {
            "開けましたが、別の証明書の鍵が入っていました。ベンダーのファイルをもう一度certificate importで取り込んでください。"
        }
    }
}

fn english(trouble: Trouble) -> &'static str {
    match trouble {
        Trouble::Unreachable => "Nobody answers there. Check its power, the network, and that a share is mounted.",
        Trouble::Slow => "It did not answer in time. It is tried again.",
        Trouble::WrongHostKey => {
            "It shows another host key than policy pins as hostKey, so nothing was sent. Unless the machine was replaced, suspect an impostor."
        }
        Trouble::Unmarked => {
            "The folder has no file that marks it, so nothing was written. Check that the share is mounted; if its disk is a new one, make the file again."
        }
        Trouble::WrongAuthority => {
            "Its certificate cannot be trusted, so nothing was sent. Check authority and endpoint in policy and when it expires; suspect an impostor."
        }
        Trouble::NoCredentials => "The server has no key for it. Start it with --backup-key (SFTP) or --backup-credentials (S3).",
        Trouble::SignIn => "It refused to let the server in. Check the user name, and the key that it has on record for it.",
        Trouble::Forbidden => "The server may not write or read there. Check the folder's permissions.",
        Trouble::Full => "It has no room, or takes no more. Make room there.",
        Trouble::Missing => "The copy is gone from there. It is put there again from what the server keeps.",
        Trouble::Altered => "The copy is not what was put there. It is put there again; if this goes on, examine the disk.",
        Trouble::Broken => "It failed; the server's log says how. It is tried again.",
        Trouble::NotSealed => {
            "It was sealed before policy named this target's recipients, so nobody could open it. Import the same file once more."
        }
        Trouble::TooFew => {
            "Fewer people can open it than policy asks for: it was sealed before policy said so. Import the same file once more."
        }
        Trouble::NotOpened => "Nobody has opened it for longer than policy allows. Whoever has the key should run `tegata backup drill`.",
        Trouble::Closed => "It did not open with the right key. Import the vendor's file once more.",
        Trouble::OtherContent => "It opened, and held the key of another certificate. Import the vendor's file once more.",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_trouble_has_its_own_word_and_sentence_in_both_languages() {
        let said: Vec<Said> = Trouble::ALL.into_iter().map(said).collect();
        for part in [|said: &Said| said.code.clone(), |said: &Said| said.ja.clone(), |said: &Said| said.en.clone()] {
            assert_eq!(said.iter().map(part).collect::<BTreeSet<_>>().len(), Trouble::ALL.len());
        }
        assert!(said.iter().all(|said| !said.ja.is_ascii() && said.en.is_ascii()));
    }
}
