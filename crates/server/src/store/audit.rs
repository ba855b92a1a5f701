//! What goes into the audit log, and what of it is asked for.

pub mod filter;
pub mod keys;
pub mod personal;

use std::collections::BTreeMap;

use tegata_api::v1::audit::{Record, Stage};
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;

use self::filter::Filter;

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
    /// The particulars. Never a secret, and what may name a person only as [`Personal`](personal::Personal).
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

/// A question to the index of a tenant's log.
#[derive(Debug, Clone)]
pub struct Search {
    /// Where in the log.
    pub part: Part,
    /// The last number that counts: what came later was not there yet when the question was asked.
    pub through: u64,
    /// How many at most.
    pub limit: u32,
    /// Which ones.
    pub filter: Filter,
}

/// A record as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its exact bytes.
    pub bytes: String,
    /// What they say, with the texts behind its commitments as far as they are still there.
    pub record: Record,
}

/// What the index gains by some more records of a tenant, which follow on those that it has.
#[derive(Debug, Clone)]
pub struct Indexed {
    /// Whose.
    pub tenant: TenantName,
    /// How far it went before.
    pub from: u64,
    /// How far it goes now.
    pub through: u64,
    /// Keys, each with the number of a record.
    pub keys: Vec<(i64, u64)>,
    /// Days since 1970, each with its first and last number.
    pub days: BTreeMap<i64, (u64, u64)>,
}

impl Indexed {
    /// Of these records, given as they are kept, the first of which has the number after `from`.
    ///
    /// # Errors
    /// One of them is none.
    pub fn of(tenant: &TenantName, from: u64, records: &[String]) -> Result<Self, serde_json::Error> {
        let mut gained = Self { tenant: tenant.clone(), from, through: from, keys: vec![], days: BTreeMap::new() };
        for text in records {
            let record: Record = serde_json::from_str(text)?;
            gained.through += 1;
            let number = gained.through;
            gained.keys.extend(keys::keys(tenant, &record).into_iter().map(|key| (key, number)));
            let day = gained.days.entry(day(Timestamp::from_unix(record.at))).or_insert((number, number));
            *day = (day.0.min(number), day.1.max(number));
        }
        // Neighbours in the index are written together.
        gained.keys.sort_unstable();
        Ok(gained)
    }
}

/// Days since 1970, in UTC.
pub fn day(at: Timestamp) -> i64 {
    at.unix().div_euclid(86_400)
}
