//! What people read about files that the agent has moved out of the way.

/// Something to be said about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuarantinePhrase {
    /// There is none.
    Empty,
    /// What the list begins with.
    List,
    /// One of them: its name here, when it was moved, where it lay.
    Listed(String, String, String),
    /// It is back where it was.
    Restored(String),
    /// There is none of this name.
    Unknown(String),
    /// Something else has its place.
    Taken(String),
    /// It cannot go where it was, and why.
    NotRestored(String, String),
}

pub(super) fn both(phrase: &QuarantinePhrase) -> (String, String) {
    match phrase {
        QuarantinePhrase::Empty => ("移動されたファイルはありません。".into(), "No file was moved away.".into()),
        QuarantinePhrase::List => (
            "登録されていない証明書ファイルです。削除はされていません。元に戻す: tegata-agent quarantine restore ID".into(),
            "Certificate files that nobody has put on record. None was deleted. To put one back: tegata-agent quarantine restore ID".into(),
        ),
        QuarantinePhrase::Listed(id, at, path) => (format!("{id}  {at}  {path}"), format!("{id}  {at}  {path}")),
        QuarantinePhrase::Restored(path) => {
            (format!("{path} に戻しました。もう移動されません。"), format!("It is back at {path}, and is not moved again."))
        }
        QuarantinePhrase::Unknown(id) => (
            format!("「{id}」というファイルはありません。一覧: tegata-agent quarantine list"),
            format!("There is no file '{id}'. To list them: tegata-agent quarantine list"),
        ),
        QuarantinePhrase::Taken(path) => (
            format!("{path} には別のファイルがあります。そのファイルの名前を変えてから、もう一度実行してください。"),
            format!("There is another file at {path} now. Give that one another name, and try again."),
        ),
        QuarantinePhrase::NotRestored(path, problem) => (
            format!("{path} に戻せませんでした: {problem}\n  フォルダーがなくなっていれば、作り直してからもう一度実行してください。"),
            format!("It cannot be put back at {path}: {problem}\n  If the folder is not there any more, make it again and try once more."),
        ),
    }
}
