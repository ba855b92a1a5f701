//! Applications: from the day on which a certificate was applied for at a vendor until it was fetched there.
//!
//! The authority of online eligibility verification sends its notice by post, and gives 180 days from the application; who comes later
//! applies and pays anew.

use std::time::Duration;

use crate::time::Timestamp;

/// How a vendor's application runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationRule {
    /// How long after the application the certificate can be fetched.
    pub window: Duration,
    /// How long before that ends people are told, longest first.
    pub notices: Vec<Duration>,
}

/// How pressing an open application is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// There is time.
    Open,
    /// The first notice is out.
    Closing,
    /// The certificate cannot be fetched any more: it has to be applied for anew.
    Lapsed,
}

impl ApplicationRule {
    /// The last moment at which the certificate can be fetched.
    pub fn deadline(&self, applied_at: Timestamp) -> Timestamp {
        applied_at.after(self.window)
    }

    /// How pressing an application is now.
    pub fn urgency(&self, applied_at: Timestamp, now: Timestamp) -> Urgency {
        let deadline = self.deadline(applied_at);
        let first_notice = self.notices.first().map(|span| deadline.before(*span));
        if now > deadline {
            Urgency::Lapsed
        } else if first_notice.is_some_and(|first| first <= now) {
            Urgency::Closing
        } else {
            Urgency::Open
        }
    }

    /// When people are told next; nothing after the last notice.
    pub fn next_notice(&self, applied_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let deadline = self.deadline(applied_at);
        self.notices.iter().map(|span| deadline.before(*span)).find(|moment| *moment > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY;

    #[test]
    fn an_application_closes_180_days_after_it_was_made_and_says_so_by_its_ladder() {
        let rule = ApplicationRule { window: 180 * DAY, notices: [60, 30, 7, 6].map(|days| days * DAY).into() };
        let applied = Timestamp::from_unix(1_790_000_000);
        let day = |days: u32| applied.after(days * DAY);
        let cases = [
            (0, Urgency::Open, Some(120)),
            (119, Urgency::Open, Some(120)),
            (120, Urgency::Closing, Some(150)),
            (173, Urgency::Closing, Some(174)),
            (174, Urgency::Closing, None),
            (180, Urgency::Closing, None),
            (181, Urgency::Lapsed, None),
        ];
        for (days, urgency, next) in cases {
            let told = (rule.urgency(applied, day(days)), rule.next_notice(applied, day(days)));
            assert_eq!(told, (urgency, next.map(day)), "day {days}");
        }
        assert_eq!(rule.deadline(applied), day(180));
    }
}
