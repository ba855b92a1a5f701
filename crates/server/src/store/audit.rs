//! What of the audit log is asked for.

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
