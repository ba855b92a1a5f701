//! What goes into the audit log, and what of it is asked for.

use tegata_api::v1::audit::Stage;
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

/// An audit record before it has its place in the log.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// Whose log.
    pub tenant: TenantName,
    /// When.
    pub at: Timestamp,
    /// *intended*, *done* or *seen*.
    pub stage: Stage,
    /// Who.
    pub actor: String,
    /// What.
    pub action: &'static str,
    /// To what.
    pub object: String,
    /// The particulars. Never a secret.
    pub details: serde_json::Value,
}

/// Which records of a tenant's log are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// Where in the log.
    pub part: Part,
    /// How many at most.
    pub limit: u32,
    /// Only those about this object or about a part of it: of `a/b`, also `a/b/c` and `a/b@c`, but not `a/bc`.
    pub object: Option<String>,
}

/// A part of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What comes first after this number.
    After(u64),
    /// What came last.
    Newest,
}
