//! When a clinic is open.

mod closing;
mod japan;

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

pub use closing::{Closing, LOOK_AHEAD, Stretch};

use crate::time::Timestamp;

/// Opening hours and closed days of one clinic, in its own time zone. The default is a clinic that never closes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Calendar {
    /// IANA name of the time zone, such as `Asia/Tokyo`; checked by [`Calendar::check_zone`]. UTC if there is none.
    pub time_zone: Option<String>,
    /// Opening hours for each weekday that has any; empty means open around the clock.
    pub open: BTreeMap<Weekday, Vec<Hours>>,
    /// Hours in which a replacement disturbs nobody, for each weekday that has any, on days on which the clinic is not closed. Empty means
    /// that no hour is better than another.
    pub quiet: BTreeMap<Weekday, Vec<Hours>>,
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

/// From when to when, in minutes after midnight, local time; `from < to <= 1440`. The clinic closes as minute `to` begins.
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

impl std::str::FromStr for Date {
    type Err = DateError;

    /// Reads `2026-12-28`.
    fn from_str(text: &str) -> Result<Self, DateError> {
        let parts: Vec<&str> = text.split('-').collect();
        let is_number = |part: &&str, length| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
        let [year, month, day] = parts[..] else { return Err(DateError) };
        if !is_number(&year, 4) || !is_number(&month, 2) || !is_number(&day, 2) {
            return Err(DateError);
        }
        let read = |part: &str| part.parse::<i16>().ok();
        let day_of = |part: &str| part.parse::<i8>().ok();
        Self::new(read(year).ok_or(DateError)?, day_of(month).ok_or(DateError)?, day_of(day).ok_or(DateError)?).ok_or(DateError)
    }
}

/// A text is not a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateError;

impl std::fmt::Display for DateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a date must be a day that there is, written 2026-12-28")
    }
}

impl std::error::Error for DateError {}

impl Date {
    /// Takes a date if there is such a day.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        civil::Date::new(year, month, day).ok().map(|_| Self { year, month, day })
    }

    /// The day in Japan, which is nine hours ahead of UTC all year. `None` outside the years −9999 to 9999.
    pub fn in_japan(moment: Timestamp) -> Option<Self> {
        let moment = jiff::Timestamp::from_second(moment.unix()).ok()?;
        let date = TimeZone::fixed(jiff::tz::offset(9)).to_datetime(moment).date();
        Some(Self { year: date.year(), month: date.month(), day: date.day() })
    }
}

impl Calendar {
    /// True if `name` is a time zone that the calendar can reckon in.
    pub fn check_zone(name: &str) -> bool {
        ZONES.get(name).is_ok()
    }

    /// True if the clinic is open at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.open_hours().is_open(now)
    }

    /// The first moment of a day, in the clinic's time zone.
    pub fn begins(&self, date: Date) -> Timestamp {
        let moment = civil::Date::new(date.year, date.month, date.day).ok().map(|day| self.open_hours().instants(day, 0)[0]);
        moment.unwrap_or(Timestamp::from_unix(i64::MAX))
    }

    /// The day of a moment, in the clinic's time zone.
    pub fn day_of(&self, moment: Timestamp) -> Option<Date> {
        self.open_hours().local(moment).map(|local| local.date().into())
    }

    /// The last open moment at or before `moment`, searched for at most `back`; `moment` itself if there is none.
    pub fn last_open_before(&self, moment: Timestamp, back: Duration) -> Timestamp {
        self.open_hours().session_before(moment, back).map_or(moment, |session| session.last)
    }

    /// The clinic's own date and time at `moment`; `None` for one that no calendar reaches.
    pub fn local(&self, moment: Timestamp) -> Option<Local> {
        let local = self.open_hours().local(moment)?;
        let date = Date { year: local.year(), month: local.month(), day: local.day() };
        Some(Local { date, weekday: local.weekday().into(), minute: minute_of(local.time()) })
    }

    /// Looks the time zone up, for asking many questions.
    pub(crate) fn open_hours(&self) -> OpenHours<'_> {
        self.hours(&self.open)
    }

    /// Open and quiet hours, for asking many questions.
    pub(crate) fn rhythm(&self) -> Rhythm<'_> {
        let quiet = (!self.quiet.is_empty()).then(|| self.hours(&self.quiet));
        Rhythm { open: self.open_hours(), quiet }
    }

    fn hours<'a>(&'a self, days: &'a BTreeMap<Weekday, Vec<Hours>>) -> OpenHours<'a> {
        let zone = self.time_zone.as_deref().and_then(|name| ZONES.get(name).ok());
        OpenHours { days, closed: &self.closed, zone: zone.unwrap_or(TimeZone::UTC) }
    }
}

/// When a clinic is open, and when it is best left alone.
pub(crate) struct Rhythm<'a> {
    pub open: OpenHours<'a>,
    /// Nothing if no hour is better than another.
    pub quiet: Option<OpenHours<'a>>,
}

/// The time zones that are compiled in, so that every machine reckons alike whatever its own files say.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

const ALL_DAY: &[Hours] = &[Hours { from: 0, to: 24 * 60 }];

/// Hours of a calendar whose time zone was looked up.
pub(crate) struct OpenHours<'a> {
    days: &'a BTreeMap<Weekday, Vec<Hours>>,
    closed: &'a [Closed],
    zone: TimeZone,
}

/// An unbroken time on one day during which a clinic is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    /// Its first moment.
    pub first: Timestamp,
    /// Its last moment, or the last that matters to who asked.
    pub last: Timestamp,
}

/// A moment on the wall of the clinic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// The date.
    pub date: Date,
    /// The day of the week.
    pub weekday: Weekday,
    /// Minutes after midnight.
    pub minute: u16,
}

impl OpenHours<'_> {
    /// The clinic's date at `moment`; `None` for one that no calendar reaches.
    pub fn date(&self, moment: Timestamp) -> Option<civil::Date> {
        self.local(moment).map(|local| local.date())
    }

    /// True if the clinic is open at some time of this day.
    pub fn is_open_day(&self, date: civil::Date) -> bool {
        !self.hours_on(date).is_empty()
    }

    /// The first moment at which clocks show this minute of this day.
    pub fn moment(&self, date: civil::Date, minute: u16) -> Timestamp {
        self.instants(date, minute)[0]
    }

    /// True if the clinic is open at `now`. A moment that no calendar reaches counts as open: nothing waits for it.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let Some(local) = self.local(now) else { return true };
        let minute = minute_of(local.time());
        self.hours_on(local.date()).iter().any(|hours| (hours.from..hours.to).contains(&minute))
    }

    /// True if every moment is open.
    pub fn never_closes(&self) -> bool {
        self.days.is_empty() && self.closed.is_empty()
    }

    /// The open time that ends last at or before `moment`, cut off there, if it ends at most `back` earlier.
    pub fn session_before(&self, moment: Timestamp, back: Duration) -> Option<Session> {
        let floor = moment.before(back);
        let mut date = self.local(moment)?.date();
        loop {
            let sessions = self.hours_on(date).iter().filter_map(|hours| self.session(date, *hours, moment));
            if let Some(session) = sessions.max_by_key(|session| session.last) {
                return (session.last >= floor).then(|| Session { first: session.first.max(floor), ..session });
            }
            if self.instants(date, 0)[1] < floor {
                return None;
            }
            date = date.yesterday().ok()?;
        }
    }

    /// What of these hours lies at or before `moment`. Where clocks are put back, the same hours may come twice.
    fn session(&self, date: civil::Date, hours: Hours, moment: Timestamp) -> Option<Session> {
        let (from, to) = (self.instants(date, hours.from), self.instants(date, hours.to));
        let put_back = if from[0] == from[1] { to[1] } else { self.transition(from[1]) };
        let ends = [to[1], put_back, to[0]].map(|end| Timestamp::from_unix(end.unix() - 1).min(moment));
        let last = ends.into_iter().filter(|last| *last >= from[0] && self.is_open(*last)).max()?;
        Some(Session { first: if last < from[1] { from[0] } else { from[1] }, last })
    }

    /// The earlier and the later moment at which clocks show this minute of this day; nearly always the same. Where clocks
    /// are put forward and never show it, the moment at which they are.
    fn instants(&self, date: civil::Date, minute: u16) -> [Timestamp; 2] {
        let is_midnight_after = minute == 24 * 60;
        let date = if is_midnight_after { date.tomorrow().unwrap_or(date) } else { date };
        let minute = if is_midnight_after { 0 } else { minute };
        let shown = self.zone.to_ambiguous_timestamp(date.at((minute / 60) as i8, (minute % 60) as i8, 0, 0));
        // A moment beyond the reach of the calendar never comes.
        let moment = |found: Result<jiff::Timestamp, jiff::Error>| Timestamp::from_unix(found.map_or(i64::MAX, |found| found.as_second()));
        let is_skipped = matches!(shown.offset(), AmbiguousOffset::Gap { .. });
        let both = [moment(shown.earlier()), moment(shown.later())];
        if is_skipped { [self.transition(both[1]); 2] } else { both }
    }

    /// When clocks were last put forward or back, up to and including `moment`.
    fn transition(&self, moment: Timestamp) -> Timestamp {
        let after = jiff::Timestamp::from_second(moment.unix().saturating_add(1)).ok();
        let found = after.and_then(|after| self.zone.preceding(after).next());
        found.map_or(moment, |transition| Timestamp::from_unix(transition.timestamp().as_second()))
    }

    fn local(&self, moment: Timestamp) -> Option<civil::DateTime> {
        jiff::Timestamp::from_second(moment.unix()).ok().map(|moment| self.zone.to_datetime(moment))
    }

    fn hours_on(&self, date: civil::Date) -> &[Hours] {
        if self.closed.iter().any(|closed| closed.covers(date)) {
            &[]
        } else if self.days.is_empty() {
            ALL_DAY
        } else {
            self.days.get(&Weekday::from(date.weekday())).map_or(&[], Vec::as_slice)
        }
    }
}

impl Closed {
    fn covers(self, date: civil::Date) -> bool {
        match self {
            Self::Holidays => japan::is_holiday(date),
            Self::Days { first, last } => (first..=last).contains(&Date { year: date.year(), month: date.month(), day: date.day() }),
        }
    }
}

impl From<civil::Weekday> for Weekday {
    fn from(day: civil::Weekday) -> Self {
        match day {
            civil::Weekday::Monday => Self::Monday,
            civil::Weekday::Tuesday => Self::Tuesday,
            civil::Weekday::Wednesday => Self::Wednesday,
            civil::Weekday::Thursday => Self::Thursday,
            civil::Weekday::Friday => Self::Friday,
            civil::Weekday::Saturday => Self::Saturday,
            civil::Weekday::Sunday => Self::Sunday,
        }
    }
}

fn minute_of(time: civil::Time) -> u16 {
    time.hour() as u16 * 60 + time.minute() as u16
}

#[cfg(test)]
mod tests;
