//! Whom time is running out for: which notice about a deadline is due, and when the next one is.
//!
//! A ladder is a list of spans before a deadline. Its rungs fall on the clinic's own calendar days and are told in the morning of an
//! open day. After a time without a server only the newest rung is told, not all that were missed.

use std::time::Duration;

use jiff::civil;

use crate::calendar::{Calendar, OpenHours};
use crate::fleet::{Held, ObservedSlot};
use crate::plan::Obstacle;
use crate::policy::IssuerKind;
use crate::time::{DAY, Timestamp};

/// When people are told, in minutes after midnight of their own clock: at eight, before the first patients.
const MORNING: u16 = 8 * 60;
/// How many days a rung may be told early because the clinic is closed.
const EARLY_MAX: i64 = 14;
/// How many days something that has expired is told of every morning, if the ladder is daily. Then silence: whoever did not act in a
/// month is not moved by one more letter.
const AFTER_MAX: u32 = 30;

/// What has a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A certificate in a slot.
    Certificate,
    /// A certificate that an agent found, and that no slot knows.
    Found,
    /// An application whose certificate has to be fetched in time.
    Application,
}

/// One step of a ladder. Ordered by time: the newest is the largest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// So long before the deadline.
    Ahead(std::cmp::Reverse<Duration>),
    /// The deadline has passed.
    Expired,
    /// So many days have passed since it was told that the deadline has passed.
    After(u32),
}

impl Rung {
    /// The rung so long before the deadline.
    pub fn ahead(span: Duration) -> Self {
        Self::Ahead(std::cmp::Reverse(span))
    }

    /// One number for each rung, in their order: seconds before the deadline are below zero, days after it above.
    pub fn number(self) -> i64 {
        match self {
            Self::Ahead(span) => i64::try_from(span.0.as_secs()).map_or(i64::MIN, |seconds| -seconds),
            Self::Expired => 0,
            Self::After(days) => i64::from(days),
        }
    }

    /// Reads what [`Rung::number`] wrote.
    pub fn of_number(number: i64) -> Self {
        match number {
            ..0 => Self::ahead(Duration::from_secs(number.unsigned_abs())),
            0 => Self::Expired,
            1.. => Self::After(u32::try_from(number).unwrap_or(u32::MAX)),
        }
    }
}

/// When people are told of a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder<'a> {
    /// How long before it, longest first. None: nobody is told, not even afterwards.
    ahead: &'a [Duration],
    /// How many days after it people are told again. Zero: they are told once that it has passed.
    after: u32,
}

/// What a ladder says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// The rung to tell now.
    pub due: Option<Rung>,
    /// No later than this the answer changes by itself, once what is due was told.
    pub next: Option<Timestamp>,
}

impl<'a> Ladder<'a> {
    /// Takes spans before the deadline, longest first. One that ends with two days and one day is daily: it goes on after the deadline.
    pub fn new(ahead: &'a [Duration]) -> Self {
        let is_daily = matches!(ahead, [.., two, one] if *two == 2 * DAY && *one == DAY);
        Self { ahead, after: if is_daily { AFTER_MAX } else { 0 } }
    }

    /// The same for something that cannot be saved any more once the deadline has passed: that is said once.
    pub fn final_at_deadline(ahead: &'a [Duration]) -> Self {
        Self { ahead, after: 0 }
    }

    /// When the first rung after `now` is told.
    pub fn next(self, deadline: Timestamp, hours: &Calendar, now: Timestamp) -> Option<Timestamp> {
        let days = Days { hours: hours.open_hours(), deadline };
        self.rungs().map(|rung| days.moment(rung)).filter(|moment| *moment > now).min().filter(|_| !self.ahead.is_empty())
    }

    /// Which rung is due at `now`, if `told` was the last one: only the newest, and each only once.
    pub fn look(self, deadline: Timestamp, hours: &Calendar, told: Option<Rung>, now: Timestamp) -> Outlook {
        let Some(longest) = self.ahead.first() else { return Outlook::default() };
        // Far away nothing has to be reckoned out.
        let begins = deadline.before(longest.saturating_add(DAY * (EARLY_MAX as u32 + 1)));
        if now < begins {
            return Outlook { due: None, next: Some(begins) };
        }
        let days = Days { hours: hours.open_hours(), deadline };
        let (mut newest, mut later) = (None, Vec::new());
        for rung in self.rungs() {
            // Whatever follows comes due after what is known to come: no need to reckon it out.
            if later.iter().any(|(_, moment)| days.earliest(rung) > *moment) {
                break;
            }
            let moment = days.moment(rung);
            if moment <= now {
                newest = newest.max(Some(rung));
            } else if Some(rung) > told {
                later.push((rung, moment));
            }
        }
        let next = later.into_iter().filter(|(rung, _)| Some(*rung) > newest).map(|(_, moment)| moment).min();
        Outlook { due: newest.filter(|newest| Some(*newest) > told), next }
    }

    fn rungs(self) -> impl Iterator<Item = Rung> {
        let ahead = self.ahead.iter().map(|span| Rung::ahead(*span));
        ahead.chain([Rung::Expired]).chain((1..=self.after).map(Rung::After))
    }
}

/// When a clinic whose last letter left at `last` gets the next one about something with this deadline: one letter a day gathers all, unless
/// waiting for tomorrow would be too late.
pub fn letter_at(hours: &Calendar, last: Option<Timestamp>, deadline: Timestamp, now: Timestamp) -> Timestamp {
    let hours = hours.open_hours();
    let (Some(today), Some(last)) = (hours.date(now), last.and_then(|last| hours.date(last))) else { return now };
    let tomorrow = today.tomorrow().map_or(now, |tomorrow| hours.moment(tomorrow, MORNING));
    let has_time = deadline > tomorrow || deadline < now;
    if last >= today && has_time { tomorrow.max(now) } else { now }
}

/// Whole days until a deadline by the clinic's calendar: 0 on the day itself, below zero afterwards.
pub fn days_left(hours: &Calendar, deadline: Timestamp, now: Timestamp) -> i64 {
    let hours = hours.open_hours();
    let days = hours.date(now).zip(hours.date(deadline)).and_then(|(now, deadline)| now.until(deadline).ok());
    days.map_or_else(|| deadline.unix().saturating_sub(now.unix()) / 86_400, |span| i64::from(span.get_days()))
}

/// The certificate that a slot lives by: the newest that was proven, else the newest. What was revoked or is on its way off the device is
/// none. Once a successor is proven, it is the successor, and nobody is told of the old one any more.
pub fn bearer(seen: &ObservedSlot) -> Option<&Held> {
    let there = |held: &&Held| !held.revoked && !seen.retiring.contains(&held.serial);
    let proven = seen.certificates.iter().rev().filter(there).find(|held| held.progress == crate::fleet::Progress::Proven);
    proven.or_else(|| seen.certificates.iter().rev().find(there))
}

/// Who has to act, so that nobody stands before a closed door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Acts {
    /// It is renewed by itself.
    Itself,
    /// A person.
    Person,
    /// Nobody: it is replaced already, or not wanted any more.
    Nobody,
}

/// Who has to act about a certificate that is still needed: what its renewal waits for says so, or that it comes from a vendor.
pub fn acts(issuer: Option<&IssuerKind>, waits_for: Option<Obstacle>) -> Acts {
    match (issuer, waits_for) {
        (None | Some(IssuerKind::Vendor), _) => Acts::Person,
        (_, Some(Obstacle::Enrolment | Obstacle::SilentDevice | Obstacle::WrongClock | Obstacle::Quota)) => Acts::Person,
        (_, Some(Obstacle::VendorFile | Obstacle::Dependants)) => Acts::Person,
        (_, None | Some(Obstacle::Device | Obstacle::OthersFirst | Obstacle::TooOften | Obstacle::BackupTarget(_))) => Acts::Itself,
    }
}

/// The calendar days around one deadline.
struct Days<'a> {
    hours: OpenHours<'a>,
    deadline: Timestamp,
}

impl Days<'_> {
    /// When a rung is told.
    fn moment(&self, rung: Rung) -> Timestamp {
        let told = match rung {
            Rung::Ahead(span) => self.ahead(span.0),
            Rung::Expired => self.first_morning(0),
            Rung::After(days) => self.first_morning(days),
        };
        told.unwrap_or_else(|| match rung {
            // Beyond the reach of the calendar there are no days.
            Rung::Ahead(span) => self.deadline.before(span.0),
            Rung::Expired => self.deadline,
            Rung::After(days) => self.deadline.after(DAY * days),
        })
    }

    /// A moment before which a rung is never told; found without a calendar.
    fn earliest(&self, rung: Rung) -> Timestamp {
        match rung {
            Rung::Ahead(span) => self.deadline.before(span.0.saturating_add(DAY * (EARLY_MAX as u32 + 1))),
            Rung::Expired => self.deadline,
            // A day may have 23 hours.
            Rung::After(days) => self.deadline.after(DAY * days.saturating_sub(1)),
        }
    }

    /// The morning of that day, of the next open day as long as it is before the day of the deadline, or else of the last open day before.
    /// What is not whole days has no morning: it is told when it is due.
    fn ahead(&self, span: Duration) -> Option<Timestamp> {
        if !span.as_secs().is_multiple_of(DAY.as_secs()) {
            return Some(self.deadline.before(span));
        }
        let last = self.hours.date(self.deadline)?.yesterday().ok()?;
        let day = plus(self.hours.date(self.deadline)?, -i64::try_from(span.as_secs() / DAY.as_secs()).ok()?)?.min(last);
        let open = |day: &civil::Date| self.hours.is_open_day(*day);
        let later = (0..).map_while(|days| plus(day, days)).take_while(|day| *day <= last).find(open);
        let earlier = || (1..=EARLY_MAX).map_while(|days| plus(day, -days)).find(open);
        Some(self.hours.moment(later.or_else(earlier).unwrap_or(day), MORNING))
    }

    /// The first morning after the deadline, or so many days later, then on an open day if there is one within a week.
    fn first_morning(&self, later: u32) -> Option<Timestamp> {
        let date = self.hours.date(self.deadline)?;
        let first = if self.hours.moment(date, MORNING) > self.deadline { date } else { date.tomorrow().ok()? };
        let day = plus(first, i64::from(later))?;
        let open = (0..7).map_while(|days| plus(day, days)).find(|day| later == 0 || self.hours.is_open_day(*day));
        Some(self.hours.moment(open.unwrap_or(day), MORNING))
    }
}

fn plus(date: civil::Date, days: i64) -> Option<civil::Date> {
    date.checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

#[cfg(test)]
mod tests;
