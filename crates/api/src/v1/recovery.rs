//! After a backup of the server's state was put back.

use serde::{Deserialize, Serialize};

/// Somebody knows that the database was put back, and lets work begin again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecoverRequest {
    /// What happened, for the audit log.
    pub note: String,
    /// True if it was put back by other means than `tegata state restore`, so that the server cannot know.
    #[serde(default)]
    pub by_hand: bool,
}

/// That is on record now.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recovered {
    /// How often that has happened to this database.
    pub epoch: u64,
    /// When the backup was made, seconds since the Unix epoch; absent if nobody knows.
    pub backed_up_at: Option<i64>,
    /// When it was put back.
    pub restored_at: i64,
    /// Orders that were open in it, and were taken back because they may have been answered.
    pub orders_cancelled: u64,
}
