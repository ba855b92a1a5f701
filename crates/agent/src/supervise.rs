//! Which logon of a Windows PC needs a helper: decided from what is seen, afresh at every look.
//!
//! The service works for nobody itself: browsers and keystores are a user's. It keeps one `tegata-agent run` for each logon, as that user.
//! No event says what to do; whatever wakes the service, it looks at all logons and helpers, and asks [`Supervisor::decide`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::backoff::Backoff;

/// How long a helper has to work for its earlier failures to be forgotten.
pub const STEADY: Duration = Duration::from_secs(600);

/// One logon of one user. Windows uses the numbers of sessions again, those of logons only after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Logon {
    /// The session that it has its desktop in.
    pub session: u32,
    /// Its own number (the LUID of the token's authentication).
    pub number: u64,
}

/// What one look has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Who is logged on.
    pub logons: BTreeSet<Logon>,
    /// Whose helper is alive.
    pub alive: BTreeSet<Logon>,
}

/// Something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start the helper of this logon.
    Start(Logon),
    /// End the helper of this logon.
    End(Logon),
}

/// Remembers since when helpers work, and how often they failed.
#[derive(Debug, Default)]
pub struct Supervisor {
    helpers: BTreeMap<Logon, Helper>,
}

#[derive(Debug, Default)]
struct Helper {
    phase: Phase,
    backoff: Backoff,
}

/// Times are those of a clock that never goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Wanted,
    Started(Duration),
    Resting {
        until: Duration,
    },
}

impl Supervisor {
    /// Says what has to be done. A helper that could not be started is one that ended at once. `chance` is any random number.
    pub fn decide(&mut self, seen: &Seen, now: Duration, chance: u64) -> Vec<Action> {
        let left = seen.alive.difference(&seen.logons).copied().map(Action::End).collect();
        self.helpers.retain(|logon, _| seen.logons.contains(logon));
        seen.logons.iter().fold(left, |mut actions: Vec<Action>, logon| {
            let helper = self.helpers.entry(*logon).or_default();
            let starts = helper.starts(seen.alive.contains(logon), now, chance);
            actions.extend(starts.then_some(Action::Start(*logon)));
            actions
        })
    }

    /// When somebody has to look again, even if nothing happens.
    pub fn look_again(&self) -> Option<Duration> {
        let resting = |helper: &Helper| if let Phase::Resting { until } = helper.phase { Some(until) } else { None };
        self.helpers.values().filter_map(resting).min()
    }
}

impl Helper {
    /// True if it has to be started now; it counts as started then.
    fn starts(&mut self, is_alive: bool, now: Duration, chance: u64) -> bool {
        match self.phase {
            Phase::Started(since) if !is_alive => self.rest(since, now, chance),
            _ => {}
        }
        let starts = match self.phase {
            Phase::Wanted => true,
            Phase::Started(_) => false,
            Phase::Resting { until } => until <= now,
        };
        if starts {
            self.phase = Phase::Started(now);
        }
        starts
    }

    fn rest(&mut self, since: Duration, now: Duration, chance: u64) {
        if now.saturating_sub(since) >= STEADY {
            self.backoff.succeeded();
        }
        self.phase = Phase::Resting { until: now + self.backoff.failed(chance, None) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logon(session: u32, number: u64) -> Logon {
        Logon { session, number }
    }

    const TANAKA: Logon = Logon { session: 1, number: 10 };
    const SUZUKI: Logon = Logon { session: 2, number: 20 };
    /// The console again, after one has logged off and another on.
    const SATO: Logon = Logon { session: 1, number: 30 };

    /// Chance that makes the first wait a second long, the second two, and so on.
    const LONGEST: [u64; 4] = [1_000, 2_000, 4_000, 8_000];

    /// One look: when, who is logged on, whose helper is alive, chance; what has to be done, and when to look again.
    type Look<'a> = (u64, &'a [Logon], &'a [Logon], u64, &'a [Action], Option<u64>);

    fn check(story: &[Look<'_>]) {
        let mut supervisor = Supervisor::default();
        for (index, (now, logons, alive, chance, actions, again)) in story.iter().enumerate() {
            let seen = Seen { logons: logons.iter().copied().collect(), alive: alive.iter().copied().collect() };
            assert_eq!(supervisor.decide(&seen, Duration::from_secs(*now), *chance), *actions, "look {index}");
            assert_eq!(supervisor.look_again(), again.map(Duration::from_secs), "look {index}");
        }
    }

    use Action::{End, Start};

    #[test]
    fn a_helper_is_started_for_each_logon_and_ended_with_it() {
        check(&[
            (0, &[], &[], 0, &[], None),
            (1, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (2, &[TANAKA], &[TANAKA], 0, &[], None),
            (3, &[TANAKA, SUZUKI], &[TANAKA], 0, &[Start(SUZUKI)], None),
            (4, &[SUZUKI], &[TANAKA, SUZUKI], 0, &[End(TANAKA)], None),
            (5, &[SUZUKI], &[SUZUKI], 0, &[], None),
            (6, &[], &[], 0, &[], None),
        ]);
    }

    #[test]
    fn a_service_that_starts_late_serves_everybody_who_is_logged_on_already() {
        check(&[(9, &[TANAKA, SUZUKI], &[], 0, &[Start(TANAKA), Start(SUZUKI)], None)]);
    }

    #[test]
    fn the_next_user_of_a_session_is_not_taken_for_the_one_before() {
        check(&[
            (0, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (9, &[SATO], &[TANAKA], 0, &[End(TANAKA), Start(SATO)], None),
            (10, &[SATO], &[SATO], 0, &[], None),
        ]);
    }

    #[test]
    fn a_helper_that_dies_is_started_again_later_each_time() {
        check(&[
            (0, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (5, &[TANAKA], &[], LONGEST[0], &[], Some(6)),
            (6, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (7, &[TANAKA], &[], LONGEST[1], &[], Some(9)),
            (8, &[TANAKA], &[], 0, &[], Some(9)),
            (9, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (10, &[TANAKA], &[], LONGEST[2], &[], Some(14)),
        ]);
    }

    #[test]
    fn what_worked_for_ten_minutes_is_started_soon_again() {
        check(&[
            (0, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (1, &[TANAKA], &[], LONGEST[0], &[], Some(2)),
            (2, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            // As a first failure a whole second, as a second one nothing.
            (602, &[TANAKA], &[], 2_001, &[], Some(603)),
        ]);
        check(&[
            (0, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (1, &[TANAKA], &[], LONGEST[0], &[], Some(2)),
            (2, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (601, &[TANAKA], &[], LONGEST[1], &[], Some(603)),
        ]);
    }

    #[test]
    fn the_failures_of_one_do_not_keep_another_waiting() {
        check(&[
            (0, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (5, &[TANAKA, SUZUKI], &[], LONGEST[0], &[Start(SUZUKI)], Some(6)),
            (6, &[TANAKA, SUZUKI], &[SUZUKI], 0, &[Start(TANAKA)], None),
        ]);
    }

    #[test]
    fn who_logs_on_anew_begins_without_the_failures_of_before() {
        check(&[
            (0, &[TANAKA], &[], 0, &[Start(TANAKA)], None),
            (1, &[TANAKA], &[], LONGEST[0], &[], Some(2)),
            (2, &[], &[], 0, &[], None),
            (3, &[SATO], &[], 0, &[Start(SATO)], None),
        ]);
    }

    proptest! {
        #[test]
        fn nobody_gets_two_helpers_and_who_is_gone_keeps_none(looks in prop::collection::vec((prop::collection::btree_set((0_u32..3, 0_u64..3), 0..4), any::<u8>(), any::<u64>()), 1..60)) {
            let (mut supervisor, mut alive, mut now) = (Supervisor::default(), BTreeSet::new(), Duration::ZERO);
            for (logons, dies, chance) in looks {
                now += Duration::from_secs(u64::from(dies));
                alive = alive.into_iter().enumerate().filter(|(index, _)| dies >> (index % 8) & 1 == 0).map(|(_, logon)| logon).collect();
                let seen = Seen { logons: logons.into_iter().map(|(session, number)| logon(session, number)).collect(), alive: alive.clone() };
                for action in supervisor.decide(&seen, now, chance) {
                    match action {
                        Start(logon) => prop_assert!(alive.insert(logon), "two helpers"),
                        End(logon) => prop_assert!(alive.remove(&logon), "nobody to end"),
                    }
                }
                prop_assert!(alive.is_subset(&seen.logons));
                let waits = seen.logons.difference(&alive).next().is_some();
                prop_assert_eq!(waits, supervisor.look_again().is_some(), "whoever waits is looked at again");
            }
        }
    }
}
