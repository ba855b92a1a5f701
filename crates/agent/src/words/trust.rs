//! What people read who agree that their PC trusts a root.

/// Something to be said about a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustPhrase {
    /// It was agreed to: its SHA-256.
    Granted(String),
    /// That was taken back.
    TakenBack(String),
}

pub(super) fn both(phrase: &TrustPhrase) -> (String, String) {
    match phrase {
        TrustPhrase::Granted(pin) => {
            (format!("このパソコンで信頼する認証局に加えました: {pin}"), format!("This PC may trust the root {pin}."))
        }
        TrustPhrase::TakenBack(pin) => {
            (format!("信頼する認証局から外しました: {pin}"), format!("This PC no longer trusts the root {pin} by our doing."))
        }
    }
}
