//! What is asked of a store in order to measure: few questions, whose cost is that of what is unfinished, not of what there is.

use async_trait::async_trait;
use tegata_core::name::{ClinicId, TenantName};
use tegata_core::time::Timestamp;

use super::StoreError;

/// By what it is seen that something has changed for a clinic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClinicMark {
    /// The clinic.
    pub clinic: ClinicId,
    /// How often it was nudged.
    pub nudges: u64,
    /// When it is looked at next.
    pub wake_at: Option<Timestamp>,
}

/// How far a tenant's log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Whose.
    pub tenant: TenantName,
    /// Records that there are.
    pub records: u64,
    /// Records that the newest checkpoint covers.
    pub covered: u64,
    /// When that was signed.
    pub signed_at: Option<Timestamp>,
}

/// What was intended and has no outcome yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unfinished {
    /// An order for a certificate is open.
    Issuance,
    /// Exact bytes are on record to be signed, and no signature is.
    Signature,
    /// A letter is to be delivered.
    Letter,
}

impl Unfinished {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Issuance => "issuance",
            Self::Signature => "signature",
            Self::Letter => "letter",
        }
    }
}

/// How much of that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfinishedRow {
    /// Whose.
    pub tenant: TenantName,
    /// What.
    pub what: Unfinished,
    /// How many.
    pub count: u64,
    /// Since when the oldest waits.
    pub oldest: Timestamp,
}

/// Records that were taken by whoever they are exported to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// By whom.
    pub sink: String,
    /// Whose.
    pub tenant: TenantName,
    /// How far it had them before.
    pub from: u64,
    /// How far it has them now.
    pub through: u64,
    /// When.
    pub at: Timestamp,
}

/// What is asked.
#[async_trait]
pub trait TelemetryQueries {
    /// Every clinic of every tenant.
    async fn clinic_marks(&self) -> Result<Vec<ClinicMark>, StoreError>;
    /// The log of every tenant that has one.
    async fn logs(&self) -> Result<Vec<LogRow>, StoreError>;
    /// What is unfinished, by tenant.
    async fn unfinished(&self) -> Result<Vec<UnfinishedRow>, StoreError>;
    /// How far a sink has each tenant's records, as far as it has any.
    async fn exported(&self, sink: &str) -> Result<Vec<(TenantName, u64)>, StoreError>;
    /// Tenants that have records which a sink has not taken yet, each with how far it has them.
    async fn exports_behind(&self, sink: &str) -> Result<Vec<(TenantName, u64)>, StoreError>;
}
