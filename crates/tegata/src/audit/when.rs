//! Moments as people type them: a day, or a day and a time, by the clock of the clinic or of a zone that is named.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::Value;
use tegata_api::v1::fleet::DocumentInForce;

use crate::failure::Failure;
use crate::session::Session;

/// What somebody has typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// `2026-05-03`: the whole day.
    Day(Date),
    /// `2026-05-03T12:00`.
    Time(DateTime),
    /// `2026-05-03T12:00:00+09:00`: its own zone decides.
    Moment(Timestamp),
}

/// Reads it.
pub fn when(text: &str) -> Result<When, String> {
    // A time with a zone would be read as one without.
    let moment = text.parse().map(When::Moment);
    let time = || if text.contains('T') { text.parse().map(When::Time).ok() } else { None };
    let day = || if text.len() == 10 { text.parse().map(When::Day).ok() } else { None };
    moment.ok().or_else(time).or_else(day).ok_or_else(|| "write 2026-05-03, 2026-05-03T12:00 or 2026-05-03T12:00:00+09:00".to_owned())
}

/// Reads a time zone by its name.
pub fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| "write the name of a time zone, such as Asia/Tokyo".to_owned())
}

impl When {
    /// Its first second.
    pub fn begin(self, zone: &TimeZone) -> Result<i64, Failure> {
        self.second(zone, false)
    }

    /// The first second after it.
    pub fn end(self, zone: &TimeZone) -> Result<i64, Failure> {
        self.second(zone, true)
    }

    fn second(self, zone: &TimeZone, is_end: bool) -> Result<i64, Failure> {
        let on_wall = |time: DateTime| zone.to_zoned(time).map(|zoned| zoned.timestamp().as_second());
        let second = match self {
            Self::Day(day) if is_end => day.checked_add(Span::new().days(1)).and_then(|next| on_wall(next.to_datetime(Default::default()))),
            Self::Day(day) => on_wall(day.to_datetime(Default::default())),
            Self::Time(time) => on_wall(time),
            Self::Moment(moment) => Ok(moment.as_second()),
        };
        second.map_err(|_| Failure::NoSuchMoment)
    }
}

/// The zone that was named; else the clinic's own, by its document; else this machine's.
pub async fn zone_of(session: &Session, named: Option<&TimeZone>, clinic: Option<&str>) -> Result<TimeZone, Failure> {
    if let Some(named) = named {
        return Ok(named.clone());
    }
    let Some(clinic) = clinic else { return Ok(TimeZone::system()) };
    let documents: Vec<DocumentInForce> = session.get("documents").await?;
    let own = documents.iter().find(|document| document.kind == "ClinicNetwork" && document.name == clinic);
    let name = own.and_then(|document| document.document.pointer("/spec/hours/timeZone")).and_then(Value::as_str);
    Ok(name.and_then(|name| TimeZone::get(name).ok()).unwrap_or_else(TimeZone::system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_whole_and_by_the_clock_of_its_zone() {
        let tokyo = zone("Asia/Tokyo").unwrap();
        let day = when("2026-05-03").unwrap();
        assert_eq!((day.begin(&tokyo).unwrap(), day.end(&tokyo).unwrap()), (1_777_734_000, 1_777_734_000 + 86_400));
        assert_eq!(when("2026-05-03T12:00").unwrap().begin(&tokyo).unwrap(), 1_777_734_000 + 43_200);
        assert_eq!(when("2026-05-03T03:00:00Z").unwrap().end(&tokyo).unwrap(), 1_777_734_000 + 43_200);
        // The day on which summer time begins has 23 hours.
        let day = when("2026-03-29").unwrap();
        let berlin = zone("Europe/Berlin").unwrap();
        assert_eq!(day.end(&berlin).unwrap() - day.begin(&berlin).unwrap(), 23 * 3_600);
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for wrong in ["", "2026-5-3", "2026-02-30", "20260503", "yesterday", "2026-05-03T25:00", "2026-05-03 12:00"] {
            assert!(when(wrong).is_err(), "{wrong}");
        }
        assert!(zone("Tokyo").is_err());
    }
}
