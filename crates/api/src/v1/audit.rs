//! Entries of the audit log, as they are shown.

mod personal;
mod retention;

use serde::{Deserialize, Serialize};

pub use self::personal::{Disclosure, EraseRequest, Erased, Erasure, commitments, is_commitment, reveal};
pub use self::retention::{Oldest, Retention};

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
    /// Who: `person:<token name>`, `login:<issuer>#<subject>`, `device:<clinic/device>`, `tegata`.
    pub actor: String,
    /// What, such as `certificate.issue`.
    pub action: String,
    /// To what, such as a slot or a device.
    pub object: String,
    /// The particulars.
    pub details: serde_json::Value,
}

/// Who could open what at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AsOf {
    /// The moment, seconds since the Unix epoch.
    pub at: i64,
    /// It is told from the records up to this number.
    pub through: u64,
    /// Every certificate that could open charts then, by place.
    pub accesses: Vec<Access>,
}

/// A certificate that could open charts at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Access {
    /// The slot, or `clinic/accounts/account` for a file that a person has got from the portal.
    pub place: String,
    /// Its serial number.
    pub serial: String,
    /// SHA-256 of its DER.
    pub fingerprint: String,
    /// Who has issued it, as policy calls that.
    pub issuer: Option<String>,
    /// Since when it is on record.
    pub issued_at: i64,
    /// When its device had said, by that moment, that it is in its stores.
    pub installed_at: Option<i64>,
    /// When its device had said, by that moment, that it answered over a real handshake.
    pub proven_at: Option<i64>,
    /// From when on it opened nothing any more, or will not, as far as that is known now.
    pub until: i64,
    /// Why.
    pub ending: Ending,
    /// When its device was on record last, by that moment.
    pub heard_at: Option<i64>,
    /// Since when nothing was known of it at that moment, if that is so.
    pub unknown_since: Option<i64>,
}

/// How it came that a certificate opens nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It was revoked.
    Revoked,
    /// Its device said that it is gone.
    Gone,
    /// Its validity ended.
    Expired,
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

/// What witnesses have said about a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Witnesses {
    /// Whether a quorum of them vouches for it.
    pub vouched: Vouched,
    /// How many records the log covers now.
    pub size: u64,
    /// How many a quorum has vouched for.
    pub witnessed_size: Option<u64>,
    /// When that was.
    pub witnessed_at: Option<i64>,
    /// Each of them, in the order of the server's policy.
    pub witnesses: Vec<Witness>,
}

/// Whether a quorum of witnesses vouches for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vouched {
    /// Nobody is asked about it.
    Unasked,
    /// It does, and did so in the last 15 minutes.
    Witnessed,
    /// It does not, or did not lately.
    Unwitnessed,
}

/// What one witness has said about a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Witness {
    /// What it is called in the server's policy.
    pub name: String,
    /// What its cosignatures are checked with.
    pub key: String,
    /// Where it is asked.
    pub url: Option<String>,
    /// How many records the newest checkpoint covers that it has cosigned.
    pub size: Option<u64>,
    /// When it did.
    pub seen_at: Option<i64>,
    /// Why it did not, the last time that it did not.
    pub problem: Option<String>,
    /// When that was.
    pub problem_at: Option<i64>,
}
