//! Entries of the audit log, as they are shown.

use serde::{Deserialize, Serialize};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its place in the tenant's log: 1, 2, 3… without gaps.
    pub sequence: u64,
    /// When, seconds since the Unix epoch, by the server's clock.
    pub at: i64,
    /// Whether this was about to happen, has happened, or was witnessed.
    pub stage: Stage,
    /// Who: `person:<token name>`, `device:<clinic/device>`, `tegata`.
    pub actor: String,
    /// What, such as `certificate.issue`.
    pub action: String,
    /// To what, such as a slot or a device.
    pub object: String,
    /// The particulars.
    pub details: serde_json::Value,
}

/// *intended*, *done* or *seen*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Decided and durable, before any effect left.
    Intended,
    /// Carried out.
    Done,
    /// Witnessed by a device, whose signed receipt is in the particulars.
    Seen,
}
