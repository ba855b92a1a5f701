//! How long a log has to be provable.

use serde::{Deserialize, Serialize};

/// What a log comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retention {
    /// Whose log.
    pub log: String,
    /// As of when, seconds since the Unix epoch.
    pub at: i64,
    /// For how many years after the last certificate that a record names has expired.
    pub years: u32,
    /// How many records there are.
    pub records: u64,
    /// How many of them do not have to be provable any more, wherever they are.
    pub over: u64,
    /// The oldest that still has to be: everything from it on is needed. None: nothing has to be any more.
    pub oldest: Option<Oldest>,
    /// The longest that any has to be; absent if that is for ever, or if there is none.
    pub longest: Option<i64>,
    /// Texts beside records that are still there.
    pub texts: u64,
    /// Those of them whose record does not have to be provable any more.
    pub due: u64,
}

/// The oldest record that still has to be provable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Oldest {
    /// Its number.
    pub sequence: u64,
    /// Until when; absent: for ever, as far as anybody knows.
    pub until: Option<i64>,
    /// The certificate because of which it is so long, by the name that the record has for it; absent: its own time.
    pub because: Option<String>,
}
