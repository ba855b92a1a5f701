//! What the report says, in both languages.

use serde::Serialize;

/// Its words.
#[derive(Serialize)]
pub struct Words {
    title: &'static str,
    period: &'static str,
    beginning: &'static str,
    end: &'static str,
    records: &'static str,
    number: &'static str,
    checkpoint: &'static str,
    believe: &'static str,
    complete: &'static str,
    complete_how: &'static str,
    complete_holds: &'static str,
    complete_fails: &'static str,
    intended: &'static str,
    issued: &'static str,
    abandoned: &'static str,
    open: &'static str,
    begun_before: &'static str,
    exceptions: &'static str,
    no_exceptions: &'static str,
    certificates: &'static str,
    no_certificates: &'static str,
    kinds: &'static str,
    guideline: &'static str,
    guideline_how: &'static str,
    time: &'static str,
    why: &'static str,
    action: &'static str,
    object: &'static str,
    actor: &'static str,
    about: &'static str,
    place: &'static str,
    serial: &'static str,
    stage: &'static str,
    how_many: &'static str,
    more: &'static str,
}

impl Words {
    /// In one of them.
    pub fn of(is_japanese: bool) -> &'static Self {
        if is_japanese { &JAPANESE } else { &ENGLISH }
    }
}

const ENGLISH: Words = Words {
    title: "Audit report: client certificates",
    period: "Period",
    beginning: "beginning of the log",
    end: "newest record",
    records: "Records",
    number: "number",
    checkpoint: "Signed checkpoint (records, root)",
    believe: "This page is a reading aid; the evidence is records.jsonl. Whoever has the log's public key checks it without network and without Tegata:",
    complete: "Completeness",
    complete_how: "Every certificate is announced (certificate.sign, portal.sign, intended) before it is signed. Each announcement has one outcome: certificate.issue or portal.issue, or certificate.abandon or portal.abandon. These counts can be made again with records.jsonl.",
    complete_holds: "Announced = signed + given up + open. The counts agree.",
    complete_fails: "The counts do not agree.",
    intended: "Announced",
    issued: "of these, signed",
    abandoned: "of these, given up",
    open: "of these, without outcome in this period",
    begun_before: "Outcomes of announcements before this period",
    exceptions: "What to look at",
    no_exceptions: "Nothing.",
    certificates: "Certificates issued, taken in and revoked",
    no_certificates: "None.",
    kinds: "Records by kind",
    guideline: "Guideline for the security management of medical information systems, version 6.0 (MHLW, May 2023), volume on system operation",
    guideline_how: "Which of its chapters this log has something to say to. It is no statement that they are fulfilled.",
    time: "Time",
    why: "Why",
    action: "Action",
    object: "Object",
    actor: "By whom",
    about: "About",
    place: "Place",
    serial: "Serial number",
    stage: "Stage",
    how_many: "Count",
    more: "More, in records.csv:",
};

const JAPANESE: Words = Words {
    title: "監査報告書:クライアント証明書",
    period: "対象期間",
    beginning: "記録の最初",
    end: "最新の記録",
    records: "記録の件数",
    number: "番号",
    checkpoint: "署名済みチェックポイント(件数、ルート)",
    believe: "このページは読むための補助です。証拠は records.jsonl です。ログの公開鍵があれば、ネットワークも Tegata もなしで検証できます:",
    complete: "完全性",
    complete_how: "証明書は署名の前に必ず予告されます(certificate.sign、portal.sign、intended)。予告にはそれぞれ一つの結果があります:certificate.issue か portal.issue、または certificate.abandon か portal.abandon。件数は records.jsonl から数え直せます。",
    complete_holds: "予告 = 署名 + 取りやめ + 未完了。件数は一致しています。",
    complete_fails: "件数が一致しません。",
    intended: "予告",
    issued: "うち署名されたもの",
    abandoned: "うち取りやめたもの",
    open: "うちこの期間に結果のないもの",
    begun_before: "この期間より前の予告の結果",
    exceptions: "確認が必要な記録",
    no_exceptions: "ありません。",
    certificates: "発行・受入・失効した証明書",
    no_certificates: "ありません。",
    kinds: "種類ごとの件数",
    guideline: "医療情報システムの安全管理に関するガイドライン 第6.0版(厚生労働省、令和5年5月) システム運用編",
    guideline_how: "この記録が関係する章です。要求を満たしていることを示すものではありません。",
    time: "日時",
    why: "理由",
    action: "操作",
    object: "対象",
    actor: "実行者",
    about: "識別",
    place: "場所",
    serial: "シリアル番号",
    stage: "段階",
    how_many: "件数",
    more: "残りは records.csv にあります。件数:",
};

/// A chapter of the guideline, and what of it is in the log.
#[derive(Serialize)]
pub struct Chapter {
    chapter: &'static str,
    asks: &'static str,
    here: &'static str,
}

/// Those that the log has something to say to. System-operation volume of version 6.0: chapters 10, 13 and 17.
pub fn chapters(is_japanese: bool) -> [Chapter; 6] {
    let rows = [
        (
            (
                "Chapter 10",
                "Remote maintenance is recorded and compared with a plan",
                "playbook.run, device.code, and every record by a person",
            ),
            ("第10章", "リモート保守の記録と作業計画との照合", "playbook.run、device.code、および person: と login: による全記録"),
        ),
        (
            ("Chapter 13", "TLS with client certificates on open networks", "issued, proven and revoked certificates, by PC and account"),
            ("第13章", "オープンネットワークでのクライアント証明書による TLS 相互認証", "証明書の発行・動作確認・失効(端末・アカウント別)"),
        ),
        (
            (
                "Chapter 17",
                "Who accessed, when, and what was done",
                "actor, time, action and object of each record; reads by auditors too (audit.read)",
            ),
            ("第17章", "アクセスした者・日時・操作内容の記録", "各記録の実行者・日時・操作・対象。監査人の閲覧も記録(audit.read)"),
        ),
        (
            (
                "Chapter 17",
                "Records cannot be deleted, changed or added to",
                "signed checkpoint; every record's bytes are checked against it",
            ),
            ("第17章", "記録の削除・改ざん・追加の防止", "署名済みチェックポイントと全記録の照合"),
        ),
        (
            (
                "Chapter 17",
                "Trustworthy time",
                "times are the server's clock, in the order of the numbers; that this clock is synchronised is for its operator to show",
            ),
            ("第17章", "信頼できる時刻", "日時はサーバーの時計、順序は番号による。時計の同期は運用者が示すこと"),
        ),
        (
            ("Chapter 17", "Records are reviewed regularly", "this report, and the list of what to look at"),
            ("第17章", "記録の定期的な点検", "この報告書と「確認が必要な記録」"),
        ),
    ];
    rows.map(|(english, japanese)| {
        let (chapter, asks, here) = if is_japanese { japanese } else { english };
        Chapter { chapter, asks, here }
    })
}
