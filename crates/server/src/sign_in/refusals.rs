//! The records of whom nobody let in: each person and reason once an hour, and so many in all, whoever tries however often.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::name::{ProviderName, TenantName};
use tegata_core::time::{HOUR, Timestamp};

use crate::audit::Ledger;
use crate::sessions::REFUSE;
use crate::store::{Batch, NewRecord, StoreError};

/// So many are put on record of one tenant within an hour; the last one says that it is the last.
pub const HOURLY_MAX: usize = 100;

#[derive(Default)]
struct Hour {
    number: i64,
    told: HashMap<TenantName, HashSet<String>>,
}

/// What is on record of this hour.
#[derive(Default)]
pub struct Refusals(Mutex<Hour>);

impl Refusals {
    /// Puts a refusal on record, if that is to be.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn note(
        &self,
        ledger: &Ledger,
        tenant: &TenantName,
        (actor, provider, reason): (&str, &ProviderName, &'static str),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(count) = self.count(tenant, format!("{actor}\0{provider}\0{reason}"), at) else { return Ok(()) };
        let mut details = json!({ "provider": provider.as_str(), "reason": reason });
        if count == HOURLY_MAX {
            details["more"] = json!("further ones of this hour are not on record");
        }
        let (tenant, actor, object) = (tenant.clone(), actor.to_owned(), "session".to_owned());
        let record = NewRecord { tenant, at, stage: Stage::Done, actor, action: REFUSE, object, details };
        ledger.record((), Batch { records: vec![record], changes: vec![] }).await.map(drop)
    }

    /// How many with this one, if it is new and there is room.
    fn count(&self, tenant: &TenantName, key: String, at: Timestamp) -> Option<usize> {
        let mut hour = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let number = at.unix().div_euclid(HOUR.as_secs().cast_signed());
        if hour.number != number {
            *hour = Hour { number, told: HashMap::new() };
        }
        let told = hour.told.entry(tenant.clone()).or_default();
        (told.len() < HOURLY_MAX && told.insert(key)).then_some(told.len())
    }
}
