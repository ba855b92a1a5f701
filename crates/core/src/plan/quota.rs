//! How many certificates each account may still have.

use std::collections::BTreeMap;

use crate::fleet::{Desired, Held, Observed, ObservedAccount};
use crate::name::AccountName;
use crate::plan::check::{Case, Judged};
use crate::plan::forecast::{Demand, Foresight, Rolling};
use crate::plan::pace::{Wait, needs_certificate};
use crate::plan::{Obstacle, Reason};
use crate::policy::{Counting, Quota};
use crate::time::Timestamp;

/// The accounts that have a quota, and how much of it is used: by what was issued, is under way, or is ordered in this plan.
///
/// A quota of living certificates counts seats: a slot takes one of its account however many certificates follow each other
/// in it, so replacing is always allowed. A quota over a rolling span counts issuance, replacements too.
///
/// Who has a certificate comes before who never had one: places are kept for what is due or broken now, and a new slot is
/// given one only if every replacement that will fall due still finds its own in time.
pub(super) struct Ledger<'a> {
    accounts: BTreeMap<&'a AccountName, Account<'a>>,
    now: Timestamp,
}

/// One account's bounds, and who will want something of it.
pub(super) struct Account<'a> {
    pub bounds: Vec<Bound>,
    /// Replacements that are not due yet, by when they are.
    pub demands: Vec<Demand<'a>>,
    /// The earliest of their last calls.
    first_call: Option<Timestamp>,
    /// Set once a new slot found that it would starve a replacement: the next one would too.
    is_reserved: bool,
    /// Until when what new slots were given starves nobody.
    holds_until: Option<Timestamp>,
}

/// One bound of an account.
pub(super) struct Bound {
    pub quota: Quota,
    /// What counts against it now.
    pub used: i64,
    /// What is due or broken now will need so much more.
    pub pending: i64,
    /// What was issued within the span of a rolling quota, oldest first.
    pub history: Vec<Timestamp>,
}

/// What a slot wants a certificate for, as far as quotas care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// There never was one.
    First,
    /// What is there does not work any more, or is due.
    Due,
    /// What is there still works, and could stay a while.
    Early,
}

impl Wish {
    pub fn of(case: &Case<'_>, reason: Reason) -> Self {
        let is_new = case.seen.certificates.is_empty() && case.seen.issued_at.is_empty();
        match reason {
            Reason::Missing | Reason::NotEnrolled if is_new => Self::First,
            Reason::Exposed | Reason::RenewalAsked | Reason::Outdated
                if case.works() && case.turn.is_some_and(|turn| turn.due > case.now) =>
            {
                Self::Early
            }
            _ => Self::Due,
        }
    }
}

impl<'a> Ledger<'a> {
    /// Counts what was issued under each account that has a quota.
    pub fn open(desired: &'a Desired, observed: &Observed, now: Timestamp) -> Self {
        let open = |(name, quotas): (&'a AccountName, &Vec<Quota>)| {
            let seen = observed.accounts.get(name);
            let bounds = quotas.iter().map(|quota| Bound::open(*quota, seen, now)).collect();
            (name, Account { bounds, demands: Vec::new(), first_call: None, is_reserved: false, holds_until: None })
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
            {
                account.bounds.iter_mut().filter(|bound| bound.quota.per.is_none()).for_each(|bound| bound.used -= 1);
            }
        }
        if let Some(order) = case.seen.order.as_ref().filter(|_| stays) {
            self.take(case, order.account.as_ref());
        }
    }

    /// Notes what every slot that has a certificate wants now, or will want. Asked once, when everything was counted.
    pub fn reserve(&mut self, judged: &[Judged<'a>]) {
        if self.accounts.is_empty() {
            return;
        }
        for Judged { case, reason } in judged {
            let Some(name) = case.wanted.and_then(|wanted| wanted.account.as_ref()) else { continue };
            let (now, wish) = (self.now, reason.map(|reason| (Wish::of(case, reason), needs_certificate(case, reason))));
            let Some(account) = self.accounts.get_mut(name).filter(|_| case.hears()) else { continue };
            match wish {
                Some((Wish::Due, true)) => {
                    account.bounds.iter_mut().for_each(|bound| bound.pending += bound.needs(case, Some(name), now));
                }
                Some((Wish::First, true)) => {}
                _ => account.demands.extend(Demand::of(case)),
            }
        }
        for account in self.accounts.values_mut() {
            account.demands.sort_by_key(|demand| (demand.from, demand.until, demand.slot));
            account.first_call = account.demands.iter().map(|demand| demand.until).min();
        }
    }

    /// Says what a further certificate for this slot would wait for.
    pub fn obstacle(&mut self, case: &Case<'_>, wish: Wish) -> Option<Wait> {
        let (name, now) = (case.wanted?.account.as_ref()?, self.now);
        let account = self.accounts.get_mut(name)?;
        if let Some(until) = account.blocked(case, name, wish, now) {
            return Some(Wait { because: Obstacle::Quota, until });
        }
        let starves = wish == Wish::First && !account.admits(now);
        starves.then_some(Wait { because: Obstacle::Quota, until: None })
    }

    /// Which bound says no, and the number that this certificate would have under it.
    pub fn refusing(&self, case: &Case<'_>, wish: Wish) -> Option<(Quota, u32)> {
        let name = case.wanted?.account.as_ref()?;
        let account = self.accounts.get(name)?;
        let full = account.bounds.iter().find(|bound| !bound.has_room(case, name, wish, self.now));
        let bound = full.or_else(|| account.bounds.iter().find(|bound| bound.quota.per.is_some()))?;
        Some((bound.quota, u32::try_from(bound.used.max(0) + bound.pending.max(0) + 1).unwrap_or(u32::MAX)))
    }

    /// Uses up what one more certificate for this slot needs.
    pub fn take(&mut self, case: &Case<'_>, name: Option<&AccountName>) {
        let now = self.now;
        if let Some(account) = self.account(name) {
            account.bounds.iter_mut().for_each(|bound| bound.used += bound.needs(case, name, now));
        }
    }

    /// The same for a slot that was kept a place before.
    pub fn take_for(&mut self, case: &Case<'_>, name: Option<&AccountName>, wish: Wish) {
        let now = self.now;
        if wish == Wish::Due
            && let Some(account) = self.account(name)
        {
            account.bounds.iter_mut().for_each(|bound| bound.pending -= bound.needs(case, name, now));
        }
        self.take(case, name);
    }

    /// Until when the answers that new slots were given stay the same.
    pub fn holds_until(&self) -> Option<Timestamp> {
        self.accounts.values().filter_map(|account| account.holds_until).min()
    }

    /// What is known about one account that has a quota.
    pub fn of(&self, name: &AccountName) -> Option<&Account<'a>> {
        self.accounts.get(name)
    }

    fn account(&mut self, name: Option<&AccountName>) -> Option<&mut Account<'a>> {
        self.accounts.get_mut(name?)
    }
}

impl Account<'_> {
    /// If some bound has no room: until when, as far as time alone makes some.
    fn blocked(&self, case: &Case<'_>, name: &AccountName, wish: Wish, now: Timestamp) -> Option<Option<Timestamp>> {
        let full = self.bounds.iter().filter(|bound| !bound.has_room(case, name, wish, now));
        full.map(|bound| bound.frees_at(wish)).reduce(|one, other| Some(one?.max(other?)))
    }

    /// True if a new slot may have a place: every replacement to come still finds one before its last call.
    fn admits(&mut self, now: Timestamp) -> bool {
        if self.is_reserved {
            return false;
        }
        match self.foresight(now).admits() {
            Foresight::Always => true,
            Foresight::Until(moment) => {
                self.holds_until = self.holds_until.into_iter().chain([moment]).min();
                true
            }
            Foresight::Never => {
                self.is_reserved = true;
                false
            }
        }
    }

    /// Its rolling quotas, for thinking ahead.
    pub fn foresight(&self, now: Timestamp) -> Rolling<'_> {
        Rolling { bounds: &self.bounds, demands: &self.demands, first_call: self.first_call, now }
    }
}

impl Bound {
    fn open(quota: Quota, seen: Option<&ObservedAccount>, now: Timestamp) -> Self {
        let counted = |seen: &ObservedAccount| match quota.counting {
            Counting::Issued => seen.issued_at.clone(),
            Counting::Unrevoked => seen.unrevoked_at.clone(),
        };
        let mut history = match quota.per {
            Some(span) => seen.map(counted).unwrap_or_default().into_iter().filter(|at| at.after(span) > now).collect(),
            None => Vec::new(),
        };
        history.sort_unstable();
        let used = if quota.per.is_some() { history.len() as i64 } else { seen.map_or(0, |seen| i64::from(seen.alive)) };
        Self { quota, used, pending: 0, history }
    }

    /// The most that it allows.
    pub fn limit(&self) -> i64 {
        i64::from(self.quota.certificates)
    }

    /// How much of the quota one more certificate for this slot needs.
    pub fn needs(&self, case: &Case<'_>, name: Option<&AccountName>, now: Timestamp) -> i64 {
        let is_seated = || case.seen.certificates.iter().any(|held| held.account.as_ref() == name && is_alive(held, now));
        i64::from(self.quota.per.is_some() || !is_seated())
    }

    /// True if it allows one more for this slot. What is due may take any place, everything else leaves those that are kept for it.
    fn has_room(&self, case: &Case<'_>, name: &AccountName, wish: Wish, now: Timestamp) -> bool {
        let needs = self.needs(case, Some(name), now);
        needs == 0 || self.used + self.kept(wish) + needs <= self.limit()
    }

    fn kept(&self, wish: Wish) -> i64 {
        if wish == Wish::Due { 0 } else { self.pending }
    }

    /// When enough of what was issued has left the rolling span, if time alone can bring that about.
    fn frees_at(&self, wish: Wish) -> Option<Timestamp> {
        let span = self.quota.per?;
        let surplus = usize::try_from(self.used + self.kept(wish) - self.limit()).ok()?;
        let limit_allows = self.quota.certificates > 0;
        self.history.get(surplus).filter(|_| limit_allows).map(|at| at.after(span))
    }
}

/// True if an issuer would say that this certificate is there.
pub(super) fn is_alive(held: &Held, now: Timestamp) -> bool {
    !held.revoked && !held.is_expired(now)
}
