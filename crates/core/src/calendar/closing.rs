//! What expires while a clinic is closed, and the last open day before.

use std::time::Duration;

use jiff::civil;

use super::{Calendar, Date, OpenHours};
use crate::time::{DAY, Timestamp};

/// How far back an open day is looked for. A clinic that was closed for longer has other worries.
const REACH_DAYS: u32 = 366;

/// A moment that falls on a day on which a clinic is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// The first day of the closed stretch.
    pub first: Date,
    /// Its last day, as far as it was looked: at most a year later.
    pub last: Date,
    /// What people call it.
    pub stretch: Stretch,
    /// The last open day before it.
    pub last_open: Date,
    /// The last open moment of that day.
    pub last_moment: Timestamp,
}

/// Why a clinic is closed for some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stretch {
    /// 年末年始: it touches 30 December to 3 January.
    YearEnd,
    /// ゴールデンウィーク: at least three days that touch 29 April to 5 May.
    GoldenWeek,
    /// お盆: at least two days that touch 13 to 16 August.
    Obon,
    /// Any other day of the week, holiday or leave.
    Closed,
}

impl Calendar {
    /// The last day on which the clinic is open at all before `moment` comes, that day itself included; `None` if there is none within
    /// a year.
    pub fn last_open_day_before(&self, moment: Timestamp) -> Option<Date> {
        let hours = self.open_hours();
        let session = hours.session_before(moment, REACH_DAYS * DAY)?;
        hours.local(session.last).map(|local| local.date().into())
    }

    /// Nothing if the clinic is open at some time on the day of `moment`; else how long it is closed, and the last open day before.
    /// Nothing either if no open day is within a year before.
    pub fn closing_at(&self, moment: Timestamp) -> Option<Closing> {
        let hours = self.open_hours();
        let day = hours.local(moment)?.date();
        if hours.is_open_on(day) {
            return None;
        }
        let session = hours.session_before(moment, REACH_DAYS * DAY)?;
        let last_open = hours.local(session.last)?.date();
        let first = last_open.tomorrow().ok()?;
        let closed = std::iter::successors(Some(day), |day| day.tomorrow().ok()).take(REACH_DAYS as usize);
        let last = closed.take_while(|day| !hours.is_open_on(*day)).last()?;
        let stretch = Stretch::of(first, last);
        Some(Closing { first: first.into(), last: last.into(), stretch, last_open: last_open.into(), last_moment: session.last })
    }

    /// How many days the clinic is open at some time between two moments, both days included: how often a replacement can be tried.
    pub fn open_days_between(&self, from: Timestamp, to: Timestamp) -> u32 {
        let hours = self.open_hours();
        let (Some(first), Some(last)) = (hours.local(from), hours.local(to)) else { return 0 };
        if to < from {
            return 0;
        }
        let days = std::iter::successors(Some(first.date()), |day| day.tomorrow().ok()).take_while(|day| *day <= last.date());
        days.take(10 * REACH_DAYS as usize).filter(|day| hours.is_open_on(*day)).count() as u32
    }
}

impl OpenHours<'_> {
    fn is_open_on(&self, day: civil::Date) -> bool {
        !self.hours_on(day).is_empty()
    }
}

impl Stretch {
    fn of(first: civil::Date, last: civil::Date) -> Self {
        let days: Vec<civil::Date> = std::iter::successors(Some(first), |day| day.tomorrow().ok()).take_while(|day| *day <= last).collect();
        let touches = |month: i8, from: i8, to: i8| days.iter().any(|day| day.month() == month && (from..=to).contains(&day.day()));
        if touches(12, 30, 31) || touches(1, 1, 3) {
            Self::YearEnd
        } else if days.len() >= 3 && (touches(4, 29, 30) || touches(5, 1, 5)) {
            Self::GoldenWeek
        } else if days.len() >= 2 && touches(8, 13, 16) {
            Self::Obon
        } else {
            Self::Closed
        }
    }
}

impl From<civil::Date> for Date {
    fn from(date: civil::Date) -> Self {
        Self { year: date.year(), month: date.month(), day: date.day() }
    }
}

/// `2026-12-28`.
impl std::fmt::Display for Date {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// How long before its expiry people are told that a certificate expires while their clinic is closed.
pub const LOOK_AHEAD: Duration = Duration::from_secs(90 * DAY.as_secs());
