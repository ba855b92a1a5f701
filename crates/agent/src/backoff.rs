//! How long to wait after a failure, so that a whole fleet does not come back on the same tick.

use std::time::Duration;

/// The most that is waited after the first failure.
pub const BASE: Duration = Duration::from_secs(1);
/// The most that is waited after many.
pub const CAP: Duration = Duration::from_secs(300);
/// The most that a server can ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// Counts failures in a row. Exponential, with full jitter: each wait is drawn evenly between nothing and a ceiling that doubles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Takes note of a failure and says how long to wait. `chance` is any random number; `at_least` is what the server asked
    /// for (`Retry-After`), and the jitter comes on top of it.
    pub fn failed(&mut self, chance: u64, at_least: Option<Duration>) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        let jitter = chance % (u64::try_from(ceiling.as_millis()).unwrap_or(u64::MAX) + 1);
        at_least.unwrap_or_default().min(RETRY_AFTER_MAX) + Duration::from_millis(jitter)
    }

    /// Takes note of a success.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// True if the last try failed.
    pub fn is_failing(self) -> bool {
        self.failures > 0
    }

    fn ceiling(self) -> Duration {
        BASE.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(CAP)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn t5_every_wait_lies_between_nothing_and_a_ceiling_that_doubles_up_to_the_cap(chances in prop::collection::vec(any::<u64>(), 1..100)) {
            let mut backoff = Backoff::default();
            for (failures, chance) in chances.into_iter().enumerate() {
                let ceiling = BASE.saturating_mul(1_u32.checked_shl(failures as u32).unwrap_or(u32::MAX)).min(CAP);
                prop_assert!(backoff.failed(chance, None) <= ceiling);
            }
            backoff.succeeded();
            prop_assert!(backoff.failed(u64::MAX, None) <= BASE);
        }

        #[test]
        fn t5_retry_after_is_never_undercut_and_a_fleet_is_still_spread(asked in 0_u64..=3_600, failures in 0_u32..40, one: u64, other: u64) {
            let wait = |chance| Backoff { failures }.failed(chance, Some(Duration::from_secs(asked)));
            prop_assert!(wait(one) >= Duration::from_secs(asked));
            let width = u64::try_from(Backoff { failures }.ceiling().as_millis()).unwrap() + 1;
            prop_assert_eq!(wait(one) == wait(other), one % width == other % width);
        }
    }

    #[test]
    fn t5_the_whole_width_is_used() {
        let mut backoff = Backoff { failures: 20 };
        assert_eq!(backoff.failed(0, None), Duration::ZERO);
        assert_eq!(backoff.failed(300_000, None), CAP);
        assert_eq!(backoff.failed(300_001, None), Duration::ZERO);
        assert_eq!(backoff.failed(0, Some(Duration::from_secs(u64::MAX))), RETRY_AFTER_MAX);
    }
}
