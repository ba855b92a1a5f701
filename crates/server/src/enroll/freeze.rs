//! Stops all enrolment of a tenant for a while when too many wrong codes were tried: each code has few tries, but a tenant may have
//! many codes.
//!
//! Kept in memory: a restart forgets it, and the tries that each code has left do not depend on it.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tegata_core::name::TenantName;
use tegata_core::time::{MINUTE, Timestamp};

/// Wrong codes of one tenant after which it is frozen.
const FAILURES: usize = 30;
/// Within how long they count, and so how long a freeze lasts at most.
const WITHIN: Duration = MINUTE.saturating_mul(10);

/// When wrong codes were tried lately.
#[derive(Default)]
pub struct Freeze(HashMap<TenantName, VecDeque<Timestamp>>);

impl Freeze {
    /// A wrong code of this tenant was tried.
    pub fn failed(&mut self, tenant: &TenantName, now: Timestamp) {
        let failures = self.0.entry(tenant.clone()).or_default();
        failures.push_back(now);
        if failures.len() > FAILURES {
            failures.pop_front();
        }
    }

    /// True while nobody may try a code of this tenant.
    pub fn is_frozen(&self, tenant: &TenantName, now: Timestamp) -> bool {
        let Some(failures) = self.0.get(tenant) else { return false };
        failures.iter().filter(|at| now.since(**at) < WITHIN).count() >= FAILURES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_failures_within_ten_minutes_freeze_one_tenant_until_the_first_is_ten_minutes_old() {
        let (aozora, momiji): (TenantName, TenantName) = ("aozora".parse().unwrap(), "momiji".parse().unwrap());
        let mut freeze = Freeze::default();
        (0..29).for_each(|second| freeze.failed(&aozora, Timestamp::from_unix(second)));
        assert!(!freeze.is_frozen(&aozora, Timestamp::from_unix(29)));
        freeze.failed(&aozora, Timestamp::from_unix(100));
        assert!(freeze.is_frozen(&aozora, Timestamp::from_unix(100)));
        assert!(freeze.is_frozen(&aozora, Timestamp::from_unix(599)));
        assert!(!freeze.is_frozen(&aozora, Timestamp::from_unix(600)));
        assert!(!freeze.is_frozen(&momiji, Timestamp::from_unix(100)));
    }

    #[test]
    fn failures_long_ago_take_no_memory() {
        let tenant: TenantName = "aozora".parse().unwrap();
        let mut freeze = Freeze::default();
        (0..10_000).for_each(|second| freeze.failed(&tenant, Timestamp::from_unix(second)));
        assert_eq!(freeze.0[&tenant].len(), FAILURES);
    }
}
