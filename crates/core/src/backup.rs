//! Sealed backups in their targets: what is done about one copy, when it is looked at again, and why it fails.

use std::time::Duration;

use crate::time::{DAY, Timestamp};

/// How often a copy is read back, where policy does not say.
pub const VERIFY_EVERY: Duration = DAY.saturating_mul(7);

/// A copy that was not read back for longer than this is not relied on.
pub const STALE_AFTER: Duration = DAY.saturating_mul(30);

/// How long ago a backup must have come before it can stand for an older one of the same thing. Whoever sends poorer ones, by mistake or
/// on purpose, takes that long to push out what was whole, and people have that long to see it.
pub const SETTLED_AFTER: Duration = DAY.saturating_mul(30);

/// How many that have settled stand for an older one.
pub const NEWER_MIN: usize = 2;

/// For how long it is tried to take away what is not wanted any more.
pub const REMOVE_FOR: Duration = DAY.saturating_mul(90);

/// Who can open a backup: so many of these together, whichever they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepers {
    /// How many of them it takes; 1: each can alone.
    pub threshold: u8,
    /// age X25519 recipients (`age1…`), each once.
    pub of: Vec<String>,
}

impl Keepers {
    /// Each of them alone; of an empty list, nobody.
    pub const fn each(of: Vec<String>) -> Self {
        Self { threshold: 1, of }
    }

    /// True if nobody is to open anything.
    pub fn is_nobody(&self) -> bool {
        self.of.is_empty()
    }

    /// What is wrong with a backup that these can open, where policy wants it for `wanted`.
    pub fn lacks(&self, wanted: &Self) -> Option<Trouble> {
        let known = self.of.iter().filter(|one| wanted.of.contains(one)).count();
        if known < usize::from(self.threshold.max(1)) {
            return Some(Trouble::NotSealed);
        }
        (self.threshold < wanted.threshold).then_some(Trouble::TooFew)
    }
}

/// What is known about one backup in one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// When it was last read back and found whole; `None` until then, and again once it was found otherwise.
    pub verified_at: Option<Timestamp>,
    /// When its certificate expires.
    pub not_after: Timestamp,
    /// Newer backups of the same thing at the same place, that were read back there and can be opened by whom policy names.
    pub newer: Vec<Newer>,
}

/// A newer backup of the same thing at the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Newer {
    /// When it came.
    pub sealed_at: Timestamp,
    /// When it was last read back and found whole.
    pub verified_at: Timestamp,
}

/// What policy says about a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How long a backup is kept after its certificate expired.
    pub retention: Duration,
    /// How often it is read back.
    pub verify_every: Duration,
}

/// What is done about a copy whose time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Put it there, and read it back.
    Store,
    /// Read it back.
    Verify,
    /// Take it away: its time is over.
    Remove,
}

impl Copy {
    /// What is done about it now.
    pub fn deed(&self, terms: Terms, now: Timestamp) -> Deed {
        match self.verified_at {
            _ if self.is_superseded(now) || self.is_over(terms, now) => Deed::Remove,
            None => Deed::Store,
            Some(_) => Deed::Verify,
        }
    }

    /// True once enough newer ones stand for it, each of which has settled and can be relied on.
    pub fn is_superseded(&self, now: Timestamp) -> bool {
        let stands = |newer: &&Newer| now.since(newer.sealed_at) >= SETTLED_AFTER && now.since(newer.verified_at) <= STALE_AFTER;
        self.newer.iter().filter(stands).count() >= NEWER_MIN
    }

    /// True once it is kept for as long as policy says.
    pub fn is_over(&self, terms: Terms, now: Timestamp) -> bool {
        now > self.not_after.after(terms.retention)
    }

    /// When a copy that was just found whole is looked at again: to be read back, or to be taken away.
    pub fn next_look(&self, terms: Terms, now: Timestamp) -> Timestamp {
        let over = self.not_after.after(terms.retention).after(Duration::from_secs(1));
        now.after(terms.verify_every).min(over).max(now.after(Duration::from_secs(1)))
    }

    /// True if it can be relied on: read back, and not long ago.
    pub fn is_whole(&self, now: Timestamp) -> bool {
        self.verified_at.is_some_and(|at| now.since(at) <= STALE_AFTER)
    }
}

/// Why a copy is not where it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trouble {
    /// Nobody answers there, or the folder is not there: a share that is not mounted.
    Unreachable,
    /// It did not answer in time.
    Slow,
    /// The folder is there, and what marks it is not: a share that is not mounted, or another one.
    Unmarked,
    /// It shows another host key than policy pins: nothing is sent to it.
    WrongHostKey,
    /// Its certificate is not of an authority that policy, or else the operating system, trusts: nothing is sent to it.
    WrongAuthority,
    /// The server was started without what it needs to sign in there.
    NoCredentials,
    /// It refuses to let the server in.
    SignIn,
    /// The server may not write or read there.
    Forbidden,
    /// It has no room, or does not take more.
    Full,
    /// It does not have the copy any more.
    Missing,
    /// The copy is not what was put there.
    Altered,
    /// It failed in another way.
    Broken,
    /// Nobody who could open it is among the target's recipients: it was sealed before policy named them.
    NotSealed,
    /// Fewer people can open it than policy asks for: it was sealed before policy said so.
    TooFew,
    /// Nobody has opened it for longer than policy allows.
    NotOpened,
    /// A person tried to open it with the right key, and could not.
    Closed,
    /// A person opened it, and found something else in it than the key of its certificate.
    OtherContent,
}

impl Trouble {
    /// Every one of them.
    pub const ALL: [Self; 17] = [
        Self::Unreachable,
        Self::Slow,
        Self::Unmarked,
        Self::WrongHostKey,
        Self::WrongAuthority,
        Self::NoCredentials,
        Self::SignIn,
        Self::Forbidden,
        Self::Full,
        Self::Missing,
        Self::Altered,
        Self::Broken,
        Self::NotSealed,
        Self::TooFew,
        Self::NotOpened,
        Self::Closed,
        Self::OtherContent,
    ];

    /// True if it is the target's, whatever is to be done there: whoever else waits for it need not try.
    pub fn is_of_target(self) -> bool {
        let is_of_copy =
            matches!(self, Self::Broken | Self::NotSealed | Self::TooFew | Self::NotOpened | Self::Closed | Self::OtherContent);
        !self.is_loss() && !is_of_copy
    }

    /// True if the copy itself is known to be bad.
    pub fn is_loss(self) -> bool {
        matches!(self, Self::Missing | Self::Altered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
    const TERMS: Terms = Terms { retention: DAY.saturating_mul(365), verify_every: VERIFY_EVERY };

    fn copy() -> Copy {
        Copy { verified_at: Some(NOW), not_after: NOW.after(DAY * 100), newer: vec![] }
    }

    #[test]
    fn a_copy_is_stored_read_back_and_taken_away_in_its_time() {
        let new = Copy { verified_at: None, ..copy() };
        assert_eq!(new.deed(TERMS, NOW), Deed::Store);
        assert_eq!(copy().deed(TERMS, NOW), Deed::Verify);
        assert_eq!(copy().deed(TERMS, NOW.after(DAY * 465)), Deed::Verify, "the last day of its retention");
        assert_eq!(copy().deed(TERMS, NOW.after(DAY * 465 + Duration::from_secs(1))), Deed::Remove);
        assert_eq!(new.deed(TERMS, NOW.after(DAY * 466)), Deed::Remove, "nothing is stored that would be taken away at once");
    }

    #[test]
    fn a_copy_goes_early_only_for_two_newer_ones_that_have_been_there_for_a_month_and_are_there_still() {
        let newer = |came: u32, read: u32| Newer { sealed_at: NOW.before(DAY * came), verified_at: NOW.before(DAY * read) };
        let deed = |newer: &[Newer]| Copy { newer: newer.to_vec(), ..copy() }.deed(TERMS, NOW);
        assert_eq!(deed(&[newer(30, 1), newer(31, 30)]), Deed::Remove);
        for (why, newer) in [
            ("one is not enough", vec![newer(400, 1)]),
            ("a hundred of today are none", vec![newer(29, 1); 100]),
            ("one of them has to settle", vec![newer(31, 1), newer(29, 1)]),
            ("one of them was not read back for a month", vec![newer(90, 1), newer(90, 31)]),
        ] {
            assert_eq!(deed(&newer), Deed::Verify, "{why}");
        }
    }

    #[test]
    fn it_is_looked_at_weekly_and_when_its_time_is_over_and_never_at_once() {
        assert_eq!(copy().next_look(TERMS, NOW), NOW.after(DAY * 7));
        let late = NOW.after(DAY * 462);
        let next = copy().next_look(TERMS, late);
        assert_eq!((next, copy().deed(TERMS, next)), (NOW.after(DAY * 465 + Duration::from_secs(1)), Deed::Remove));
        assert!(copy().next_look(TERMS, NOW.after(DAY * 500)) > NOW.after(DAY * 500), "whatever policy says meanwhile");
    }

    #[test]
    fn what_was_not_read_back_for_a_month_is_not_relied_on() {
        assert!(copy().is_whole(NOW.after(STALE_AFTER)));
        assert!(!copy().is_whole(NOW.after(STALE_AFTER + Duration::from_secs(1))));
        assert!(!Copy { verified_at: None, ..copy() }.is_whole(NOW));
    }

    #[test]
    fn what_counts_can_be_opened_by_people_of_today_and_by_no_fewer_than_policy_asks_for() {
        let keepers = |threshold: u8, of: &str| Keepers { threshold, of: of.chars().map(String::from).collect() };
        for (sealed_to, wanted, lacks) in [
            (keepers(1, "a"), keepers(1, "ab"), None),
            (keepers(1, "b"), keepers(1, "a"), Some(Trouble::NotSealed)),
            (keepers(2, "abc"), keepers(2, "abc"), None),
            (keepers(2, "abc"), keepers(2, "abd"), None),
            (keepers(2, "abc"), keepers(2, "ade"), Some(Trouble::NotSealed)),
            (keepers(1, "abc"), keepers(2, "abc"), Some(Trouble::TooFew)),
            (keepers(2, "abcd"), keepers(3, "abcd"), Some(Trouble::TooFew)),
            (keepers(3, "abcd"), keepers(1, "abcd"), None),
            (keepers(3, "abcd"), keepers(1, "ab"), Some(Trouble::NotSealed)),
            (Keepers::each(vec![]), keepers(1, "a"), Some(Trouble::NotSealed)),
        ] {
            assert_eq!(sealed_to.lacks(&wanted), lacks, "{sealed_to:?} for {wanted:?}");
        }
    }

    #[test]
    fn a_loss_is_of_one_copy_and_what_keeps_the_server_out_is_of_the_target() {
        let of_copies: Vec<Trouble> = Trouble::ALL.into_iter().filter(|trouble| !trouble.is_of_target()).collect();
        assert_eq!(
            of_copies,
            [
                Trouble::Missing,
                Trouble::Altered,
                Trouble::Broken,
                Trouble::NotSealed,
                Trouble::TooFew,
                Trouble::NotOpened,
                Trouble::Closed,
                Trouble::OtherContent,
            ]
        );
        assert!([Trouble::Missing, Trouble::Altered].into_iter().eq(Trouble::ALL.into_iter().filter(|trouble| trouble.is_loss())));
    }
}
