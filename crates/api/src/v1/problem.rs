//! How the server says no: problem documents (RFC 9457), `application/problem+json`.

use serde::{Deserialize, Serialize};

use super::account::Short;
use super::bundle::BundleFault;

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The HTTP status code.
    pub status: u16,
    /// A word that programs can act on.
    pub code: Code,
    /// What happened, for people, in one sentence.
    pub title: String,
    /// Why, and what to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Seconds to wait before asking again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// What is wrong with each document, when documents were sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The devices that could no longer sign in, when that is the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locked_out: Vec<String>,
    /// What is wrong with a vendor's file, when one was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<BundleFault>,
    /// The slots that find no place under the quota of their account, when that is the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub over_quota: Vec<Short>,
}

/// Why the server says no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// The request cannot be read.
    Malformed,
    /// Nobody, or nobody any more, with these credentials.
    Unauthorized,
    /// Known, but not allowed to do this.
    Forbidden,
    /// There is no such thing, or none that the caller may know of.
    NotFound,
    /// The enrolment code is wrong, spent, expired or for another device. Which of these is not said.
    CodeRefused,
    /// The order is not open any more.
    OrderClosed,
    /// The certificate request is not acceptable.
    RequestRefused,
    /// A vendor's file is not what policy expects: see `faults`.
    BundleRefused,
    /// Documents have errors: see `findings`.
    InvalidDocuments,
    /// Applying would keep devices from signing in: see `locked_out`.
    WouldLockOut,
    /// Applying would ask for more certificates than the quota of an account allows: see `over_quota`.
    OverQuota,
    /// Somebody else has to agree first: see `detail`.
    NeedsApproval,
    /// It contradicts what is there.
    Conflict,
    /// Try again later.
    Busy,
    /// A fault of the server.
    Internal,
}

/// One thing that is wrong with a document, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The file as the sender named it.
    pub file: String,
    /// The line, from 1; 0 if the whole file is meant.
    pub line: u32,
    /// The column in characters, from 1; 0 if the whole line is meant.
    pub column: u32,
    /// Where in the document, as a JSON pointer (RFC 6901).
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
