//! What is kept of acts that take two people.

use async_trait::async_trait;
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

use crate::store::StoreError;

/// What takes two people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Reading a sealed backup of a slot. The object is the slot.
    ReadBackup,
    /// Applying documents. The object is the hash of exactly these, on top of exactly what is in force.
    Apply,
    /// Revoking many certificates. The object is the hash of exactly these, why and how.
    RevokeMany,
    /// Making a token. The object is the name that it is for, and how long it lives.
    MakeToken,
}

/// Something that somebody has asked for and that takes somebody else's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApprovalRow {
    /// What people call it.
    pub id: String,
    /// Whose.
    pub tenant: TenantName,
    /// What is to be done.
    pub what: What,
    /// To what, exactly.
    pub object: String,
    /// How many devices it reaches, where that is why it takes two.
    pub devices: u64,
    /// Who asked.
    pub asked_by: String,
    /// Until when somebody else may agree, and the first may do it.
    pub expires_at: Timestamp,
    /// Who agreed.
    pub approved_by: Option<String>,
    /// When it was done.
    pub used_at: Option<Timestamp>,
}

impl ApprovalRow {
    /// True while it may be agreed to, or done.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.used_at.is_none() && now <= self.expires_at
    }
}

/// What happens to them.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant is explained as a whole")]
pub enum ApprovalChange {
    /// Somebody asks.
    Ask(ApprovalRow),
    /// Somebody else agrees. Guard: nobody did before, and it was not done yet.
    Approve { id: String, by: String },
    /// It is done. Guard: somebody agreed, and it was not done yet.
    Use { id: String, at: Timestamp },
}

/// What can be asked.
#[async_trait]
pub trait ApprovalQueries {
    /// One of them.
    async fn approval(&self, tenant: &TenantName, id: &str) -> Result<Option<ApprovalRow>, StoreError>;
    /// Those that are neither done nor over, those that are over first soonest.
    async fn approvals_open(&self, tenant: &TenantName, now: Timestamp) -> Result<Vec<ApprovalRow>, StoreError>;
}
