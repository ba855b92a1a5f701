//! Applications: from the day on which a certificate was applied for at a vendor until it was fetched there.
//!
//! The authority of online eligibility verification sends its notice by post, and gives 180 days from the application; who comes later
//! applies and pays anew.

use std::time::Duration;

use crate::calendar::Calendar;
use crate::notice::Ladder;
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

    /// When people are told.
    pub fn ladder(&self) -> Ladder<'_> {
        Ladder::final_at_deadline(&self.notices)
    }

    /// How pressing an application is now.
    pub fn urgency(&self, applied_at: Timestamp, hours: &Calendar, now: Timestamp) -> Urgency {
        let deadline = self.deadline(applied_at);
        if now > deadline {
            Urgency::Lapsed
        } else if self.ladder().look(deadline, hours, None, now).due.is_some() {
            Urgency::Closing
        } else {
            Urgency::Open
        }
    }

    /// When people are told next; nothing after the last notice.
    pub fn next_notice(&self, applied_at: Timestamp, hours: &Calendar, now: Timestamp) -> Option<Timestamp> {
        self.ladder().next(self.deadline(applied_at), hours, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notice::Rung;
    use crate::time::{DAY, HOUR};

    #[test]
    fn an_application_closes_180_days_after_it_was_made_and_says_so_by_its_ladder() {
        let rule = ApplicationRule { window: 180 * DAY, notices: [60, 30, 2, 1].map(|days| days * DAY).into() };
        // 2026-09-22 in UTC, which is the calendar of a clinic that says nothing.
        let applied = Timestamp::from_unix(1_790_035_200);
        let hours = Calendar::default();
        let morning = |days: u32| applied.after(days * DAY + 8 * HOUR);
        let cases = [
            (0, Urgency::Open, Some(120)),
            (119, Urgency::Open, Some(120)),
            (120, Urgency::Closing, Some(150)),
            (177, Urgency::Closing, Some(178)),
            (178, Urgency::Closing, Some(179)),
            (179, Urgency::Closing, Some(180)),
            (180, Urgency::Lapsed, None),
            (190, Urgency::Lapsed, None),
        ];
        for (days, urgency, next) in cases {
            let now = morning(days);
            let told = (rule.urgency(applied, &hours, now), rule.next_notice(applied, &hours, now));
            assert_eq!(told, (urgency, next.map(morning)), "day {days}");
        }
        assert_eq!(rule.deadline(applied), applied.after(180 * DAY));
        let over = rule.ladder().look(rule.deadline(applied), &hours, Some(Rung::Expired), morning(185));
        assert_eq!((over.due, over.next), (None, None), "what has lapsed is said once");
    }

    #[test]
    fn without_notices_nobody_is_told() {
        let rule = ApplicationRule { window: 180 * DAY, notices: vec![] };
        let applied = Timestamp::from_unix(1_790_035_200);
        assert_eq!(rule.next_notice(applied, &Calendar::default(), applied), None);
        assert_eq!(rule.urgency(applied, &Calendar::default(), applied.after(179 * DAY)), Urgency::Open);
    }
}
