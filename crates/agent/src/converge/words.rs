//! What keeps a slot from being as it should, in the language of the clinic. The English words are the errors' own.

use tegata_api::client::ClientError;

use super::StepError;
use super::steps::said;
use crate::browser::BrowserError;
use crate::journal::Trouble;
use crate::keystore::KeystoreError;
use crate::probe::ProbeError;

/// Says it in both languages.
pub(super) fn told(problem: &StepError) -> Trouble {
    Trouble { ja: japanese(problem), en: crate::told(problem) }
}

/// A certificate is not in these stores.
pub(super) fn missing(stores: &str) -> Trouble {
    Trouble {
        ja: format!("証明書が保管場所にありません（{stores}）。"), en: format!("the certificate is not in its store ({stores})")
    }
}

/// A certificate is in these stores, and need not be.
pub(super) fn surplus(stores: &str) -> Trouble {
    Trouble {
        ja: format!("設定にない保管場所に証明書があります（{stores}）。"),
        en: format!("the certificate is in a store that policy does not name ({stores})"),
    }
}

fn japanese(problem: &StepError) -> String {
    match problem {
        StepError::Vendor(refusal) => return refusal.japanese(),
        StepError::Bundle(fault) => return said(fault).ja,
        StepError::NotTaken(problem) => return refused(problem),
        StepError::Browser(problem) => return browser(problem),
        StepError::Keystore(problem) => return keystore(problem),
        StepError::Probe(problem) => return probe(problem),
        StepError::Recipient(text) => {
            return format!(
                "バックアップの宛先「{text}」はageの公開鍵（age1…）ではありません。BackupTargetのspec.recipientsを直して適用してください。"
            );
        }
        StepError::Threshold => {
            "バックアップを開けるのに必要な人数が宛先より多いため、ベンダーに頼んでいません。BackupTargetのspec.thresholdを直して適用してください。"
        }
        StepError::Disk(_) => "エージェントのフォルダーを読み書きできません。ディスクの空き容量を確かめてください。",
        StepError::Key(_) => "秘密鍵を作れないか、使えません。",
        StepError::UnknownKey => "設定された種類の鍵を作れません。エージェントを更新してください。",
        StepError::Server(ClientError::Carried) => CARRIED,
        StepError::Server(_) => "証明書をサーバーから受け取れません。自動でもう一度試します。",
        StepError::NoCertificate(_) => "サーバーの返事を証明書として読み取れません。自動でもう一度試します。",
        StepError::OtherKey => "届いた証明書がこの端末の鍵のものではありません。新しい鍵でやり直します。",
        StepError::NothingStaged => "準備した証明書がエージェントのフォルダーにありません。はじめからやり直します。",
        StepError::KeyOfOneStore => "この証明書の鍵は1か所の保管場所だけのものですが、設定では複数になりました。新しい鍵でやり直します。",
        StepError::CannotSign => "保管場所にある鍵が証明書と合いません。入れ直します。",
        StepError::NoStore => "証明書の保管場所が設定されていません。プロファイルのinstall.storesを確かめてください。",
        StepError::Receipt(_) => "作業の記録を書き込めません。ディスクの空き容量を確かめてください。",
        StepError::Limited => "1時間に削除できる証明書の数に達しました。残りはあとで削除します。",
        StepError::NotOurs(_) => "置き換えた証明書はこのエージェントが入れたものではないため、残してあります。",
        StepError::Newest(_) => "いま入れた証明書が置き換えの対象になっているため、残してあります。",
        StepError::Sealed(_) => "届いたファイルをこの端末の鍵で開けません。もう一度取り込んでください。",
        StepError::OtherCertificate(_) => "届いたファイルの証明書が、登録された証明書と違います。もう一度取り込んでください。",
        StepError::NowhereFound(_) => "証明書がこの端末に見つかりません。",
        StepError::Circle => "手順が終わらないため中断しました。自動でもう一度試します。",
    }
    .to_owned()
}

/// What only the server can do, on a PC that does not reach it.
const CARRIED: &str =
    "サーバーへの依頼を返信ファイルに書きました。返信ファイルを管理者に渡し、新しい持ち運びファイルを受け取ってください。";

/// What the server says of a certificate that it does not take.
fn refused(problem: &ClientError) -> String {
    match problem {
        ClientError::Refused(problem) if !problem.faults.is_empty() => {
            problem.faults.iter().map(|fault| fault.ja.as_str()).collect::<Vec<_>>().join(" ")
        }
        ClientError::Carried => CARRIED.to_owned(),
        _ => "証明書をサーバーに登録できません。自動でもう一度試します。".to_owned(),
    }
}

fn browser(problem: &BrowserError) -> String {
    match problem {
        BrowserError::Closed { command, .. } => {
            format!("ブラウザーに証明書の選び方を設定できないため、選択画面が出ます。管理者が一度だけ実行してください: {command}")
        }
        BrowserError::Overruled { profile } => format!(
            "構成プロファイル（{profile}）がブラウザーに証明書の選び方を設定していて、この証明書が入っていないため、選択画面が出ます。管理者がプロファイルに加えてください: tegata profile mobileconfig"
        ),
        BrowserError::NoList(place) => {
            format!("{place} が文字列の一覧ではないため、ブラウザーに無視されています。設定した人が直すか削除してください。")
        }
        BrowserError::Command(_) | BrowserError::Disk(_) => "ブラウザーの設定を読み書きできません。".to_owned(),
    }
}

fn keystore(problem: &KeystoreError) -> String {
    match problem {
        KeystoreError::Absent(_, store) => format!("証明書かその鍵が保管場所（{store}）にありません。"),
        KeystoreError::ToolMissing(tool) => {
            format!(
                "{tool} が入っていないため、ブラウザーに証明書を入れられません。管理者が実行してください: apt-get install libnss3-tools"
            )
        }
        KeystoreError::Unknown(store) => format!("保管場所「{store}」をこのエージェントは扱えません。"),
        KeystoreError::Ambiguous(file) => format!(
            "monsiajの設定に接続先が複数あり、どれが {file} を使うのか判断できません。monsiajの設定で、使う接続先にこのファイルを一度選んでください（パスワードは隣の.passファイルにあります）。"
        ),
        KeystoreError::KeyStays(_) => {
            "証明書の秘密鍵を取り出せないため、引き継げません。新しい証明書のファイルを取り込んでください。".to_owned()
        }
        KeystoreError::AsksPeople(_) => {
            "証明書の秘密鍵は、使うたびに確認の画面を出す設定（秘密キーの保護を強力にする）のため、エージェントが使えません。\
             新しい証明書のファイルを取り込むか、その項目を外して入れ直してください。"
                .to_owned()
        }
        KeystoreError::Unreadable(store, _) => format!("保管場所（{store}）から取り出したものを使えません。"),
        KeystoreError::System(problem) => format!("Windowsの証明書の保管場所を使えません（{problem}）。"),
        KeystoreError::Key(_) | KeystoreError::Disk(_) | KeystoreError::Command(_) => "証明書の保管場所を使えません。".to_owned(),
    }
}

fn probe(problem: &ProbeError) -> String {
    match problem {
        ProbeError::Address(url) => format!("確認先「{url}」がhttpsのアドレスではありません。プロファイルのprobeを確かめてください。"),
        ProbeError::Unusable(_) => "証明書を接続に使えません。".to_owned(),
        ProbeError::Roots(_) => "接続先を確かめるためのルート証明書を読み取れません。".to_owned(),
        ProbeError::Unanswered { site, .. } => format!("{site} にこの証明書で接続できません。自動でもう一度試します。"),
        ProbeError::NotAsked { site } => {
            format!("{site} がクライアント証明書を求めなかったため、確認できません。前の証明書は残してあります。")
        }
        ProbeError::OtherIssuers { site } => format!("{site} は別の認証局の証明書を求めています。"),
        ProbeError::OtherKeys { site } => format!("{site} はこの種類の鍵を受け付けません。"),
        ProbeError::Refused { site, status } => format!("{site} が証明書を受け付けません（HTTP {status}）。"),
    }
}

#[cfg(test)]
mod tests {
    use tegata_core::name::Sha256;

    use super::*;
    use crate::disk::DiskError;

    fn disk() -> DiskError {
        DiskError { operation: "write", path: "/etc/chromium".into(), source: std::io::ErrorKind::PermissionDenied.into() }
    }

    #[test]
    fn both_languages_say_the_same_facts() {
        let site = || "https://karte.example.jp/".to_owned();
        let closed = BrowserError::Closed { command: "sudo install -d x".into(), source: disk() };
        for (problem, facts) in [
            (StepError::Probe(ProbeError::Refused { site: site(), status: 403 }), vec!["https://karte.example.jp/", "403"]),
            (StepError::Probe(ProbeError::NotAsked { site: site() }), vec!["https://karte.example.jp/"]),
            (StepError::Browser(closed), vec!["sudo install -d x"]),
            (StepError::Browser(BrowserError::Overruled { profile: "/a.plist".into() }), vec!["/a.plist", "tegata profile mobileconfig"]),
            (StepError::Browser(BrowserError::NoList("com.google.Chrome".into())), vec!["com.google.Chrome"]),
            (StepError::Keystore(KeystoreError::ToolMissing("certutil")), vec!["certutil", "apt-get install libnss3-tools"]),
            (StepError::Keystore(KeystoreError::Ambiguous("/a/1.p12".into())), vec!["/a/1.p12", ".pass"]),
            (StepError::Recipient("age1x".into()), vec!["age1x", "BackupTarget", "spec.recipients"]),
            (StepError::Threshold, vec!["BackupTarget", "spec.threshold"]),
            (StepError::Disk(disk()), vec![]),
            (StepError::Server(ClientError::Carried), vec![]),
            (StepError::NotTaken(ClientError::Carried), vec![]),
            (StepError::NotOurs(Sha256([7; 32])), vec![]),
            (StepError::Keystore(KeystoreError::AsksPeople(Sha256([7; 32]))), vec![]),
        ] {
            let Trouble { ja, en } = told(&problem);
            assert!(facts.iter().all(|fact| ja.contains(fact) && en.contains(fact)), "{ja} / {en}");
            let is_japanese = |text: &str| text.chars().any(|c| ('ぁ'..='ん').contains(&c));
            assert!(is_japanese(&ja) && !is_japanese(&en), "{ja} / {en}");
        }
    }
}
