//! How many certificates each account may still have.

use std::collections::BTreeMap;

use crate::fleet::{Desired, Held, Observed};
use crate::name::AccountName;
use crate::plan::Obstacle;
use crate::plan::check::Case;
use crate::plan::pace::Wait;
use crate::policy::Quota;
use crate::time::Timestamp;

/// The accounts that have a quota, and how much of it is used: by what was issued, is under way, or is ordered in this plan.
///
/// A quota of living certificates counts seats: a slot takes one of its account however many certificates follow each other
/// in it, so replacing is always allowed. A quota over a rolling span counts issuance, replacements too.
pub(super) struct Ledger<'a> {
    accounts: BTreeMap<&'a AccountName, Account>,
    now: Timestamp,
}

struct Account {
    quota: Quota,
    used: i64,
    /// What was issued within the span of a rolling quota, oldest first.
    history: Vec<Timestamp>,
}

impl<'a> Ledger<'a> {
    /// Counts what was issued under each account that has a quota.
    pub fn open(desired: &'a Desired, observed: &Observed, now: Timestamp) -> Self {
        let open = |(name, quota): (&'a AccountName, &Quota)| {
            let seen = observed.accounts.get(name);
            let mut history = match quota.per {
                Some(span) => seen.map_or_else(Vec::new, |seen| seen.issued_at.iter().copied().filter(|at| at.after(span) > now).collect()),
                None => Vec::new(),
            };
            history.sort_unstable();
            let used = if quota.per.is_some() { history.len() as i64 } else { seen.map_or(0, |seen| i64::from(seen.alive)) };
            (name, Account { quota: *quota, used, history })
        };
        Self { accounts: desired.quotas.iter().map(open).collect(), now }
    }

    /// Corrects the count by what is under way in one slot, and by what this plan takes back there.
    pub fn count(&mut self, case: &Case<'_>, stays: bool) {
        if self.accounts.is_empty() {
            return;
        }
        let (certificates, now) = (&case.seen.certificates, self.now);
        for (index, held) in certificates.iter().enumerate().filter(|(_, held)| is_alive(held, now)) {
            let is_followed = certificates[index + 1..].iter().any(|later| later.account == held.account && is_alive(later, now));
            if (is_followed || !stays)
                && let Some(account) = self.account(held.account.as_ref())
                && account.quota.per.is_none()
            {
                account.used -= 1;
            }
        }
        if let Some(order) = case.seen.order.as_ref().filter(|_| stays) {
            self.take(case, order.account.as_ref());
        }
    }

    /// Says what a further certificate for this slot would wait for.
    pub fn obstacle(&self, case: &Case<'_>) -> Option<Wait> {
        let name = case.wanted?.account.as_ref()?;
        let account = self.accounts.get(name)?;
        let needs = account.needs(case, Some(name), self.now);
        let has_room = needs == 0 || account.used + needs <= i64::from(account.quota.certificates);
        (!has_room).then(|| Wait { because: Obstacle::Quota, until: account.frees_at() })
    }

    /// Uses up what one more certificate for this slot needs.
    pub fn take(&mut self, case: &Case<'_>, name: Option<&AccountName>) {
        let now = self.now;
        if let Some(account) = self.account(name) {
            account.used += account.needs(case, name, now);
        }
    }

    fn account(&mut self, name: Option<&AccountName>) -> Option<&mut Account> {
        self.accounts.get_mut(name?)
    }
}

impl Account {
    /// How much of the quota one more certificate for this slot needs.
    fn needs(&self, case: &Case<'_>, name: Option<&AccountName>, now: Timestamp) -> i64 {
        let is_seated = || case.seen.certificates.iter().any(|held| held.account.as_ref() == name && is_alive(held, now));
        i64::from(self.quota.per.is_some() || !is_seated())
    }

    /// When enough of what was issued has left the rolling span, if time alone can bring that about.
    fn frees_at(&self) -> Option<Timestamp> {
        let span = self.quota.per?;
        let surplus = usize::try_from(self.used - i64::from(self.quota.certificates)).ok()?;
        let limit_allows = self.quota.certificates > 0;
        self.history.get(surplus).filter(|_| limit_allows).map(|at| at.after(span))
    }
}

fn is_alive(held: &Held, now: Timestamp) -> bool {
    !held.revoked && !held.is_expired(now)
}
