//! Reads texts that have a written form of their own: spans, hours, dates, sites, thumbprints.

use std::time::Duration;

use tegata_core::calendar::{Closed, Date, Hours, Weekday};
use tegata_core::name::Sha256;
use tegata_core::policy::{URL_PLACEHOLDERS, UrlTemplate};
use tegata_core::time::{DAY, HOUR, MINUTE};
use tegata_core::vendor::Thumbprint;

use super::gather::Wrong;
use crate::hint::{did_you_mean, quote};

/// Days of the week as policies write them.
const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Reads `90d`, `2h`, `30min` or `3y`. A year is 365 days.
pub(super) fn span(text: &str) -> Result<Duration, Wrong> {
    let wrong = || Wrong::new(format!("{} is not a span of time", quote(text)), "write a whole number and min, h, d or y, such as 90d");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "min" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        "y" => 365 * DAY,
        _ => return Err(wrong()),
    };
    if number.starts_with('0') {
        return Err(Wrong::new(format!("the span {} is zero or begins with a zero", quote(text)), "write a number from 1 on"));
    }
    let number: u32 = number.parse().ok().filter(|_| number.len() <= 6).ok_or_else(wrong)?;
    Ok(unit * number)
}

/// Reads `mon` or `mon-fri`.
pub(super) fn days(text: &str) -> Result<Vec<Weekday>, Wrong> {
    let day = |name: &str| {
        let found = DAYS.iter().position(|(known, _)| *known == name);
        found.ok_or_else(|| Wrong {
            message: format!("{} is not a day or a row of days", quote(text)),
            hint: did_you_mean(name, DAYS.map(|(known, _)| known)).map(|hint| format!("{hint}; a row is written mon-fri")),
        })
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (day(first)?, day(last)?);
    let count = (last + DAYS.len() - first) % DAYS.len() + 1;
    Ok(DAYS.iter().cycle().skip(first).take(count).map(|(_, day)| *day).collect())
}

/// Reads `09:00-18:00`, or several with commas between, in order and without overlap.
pub(super) fn hours(text: &str) -> Result<Vec<Hours>, Wrong> {
    let mut list: Vec<Hours> = Vec::new();
    for part in text.split(',') {
        let hours = from_to(part.trim()).ok_or_else(|| {
            Wrong::new(format!("{} are not opening hours", quote(text)), "write \"09:00-18:00\", and commas between several")
        })?;
        if hours.from >= hours.to {
            return Err(Wrong::new(
                format!("the hours {} end before they begin", quote(part.trim())),
                "hours stay within one day; the latest end is 24:00",
            ));
        }
        if list.last().is_some_and(|before| before.to > hours.from) {
            return Err(Wrong::new(format!("the hours {} overlap or are not in order", quote(text)), "begin with the earliest"));
        }
        list.push(hours);
    }
    Ok(list)
}

fn from_to(text: &str) -> Option<Hours> {
    let (from, to) = text.split_once('-')?;
    Some(Hours { from: minute(from.trim())?, to: minute(to.trim())? })
}

/// Reads `HH:MM` up to `24:00`.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let two_digits =
        |digits: &str| digits.parse::<u16>().ok().filter(|_| digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
    Some(hour * 60 + minute).filter(|total| minute < 60 && *total <= 24 * 60)
}

/// Reads `holidays`, `2026-08-13` or `2026-12-29/2027-01-03`.
pub(super) fn closed(text: &str) -> Result<Closed, Wrong> {
    if text == "holidays" {
        return Ok(Closed::Holidays);
    }
    let (first, last) = text.split_once('/').unwrap_or((text, text));
    let (first, last) = (date(text, first)?, date(text, last)?);
    if first > last {
        return Err(Wrong::new(format!("the days {} end before they begin", quote(text)), "write the first day before the '/'"));
    }
    Ok(Closed::Days { first, last })
}

pub(super) fn date(whole: &str, text: &str) -> Result<Date, Wrong> {
    let wrong = || {
        Wrong::new(
            format!("{} is not a day", quote(whole)),
            "write holidays, a day such as 2026-08-13, or a row of days such as 2026-12-29/2027-01-03",
        )
    };
    let mut parts = text.split('-');
    let mut number = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        part.parse::<i16>().ok()
    };
    let (year, month, day) = (number(4).ok_or_else(wrong)?, number(2).ok_or_else(wrong)?, number(2).ok_or_else(wrong)?);
    if parts.next().is_some() {
        return Err(wrong());
    }
    // Two digits fit into an i8.
    Date::new(year, month as i8, day as i8)
        .ok_or_else(|| Wrong::new(format!("there is no day {}", quote(text)), "look at a calendar: year, month, day"))
}

/// Reads a site that a browser can select for: no path.
pub(super) fn site(text: &str) -> Result<UrlTemplate, Wrong> {
    let template = url(text)?;
    match text.get("https://".len()..).unwrap_or_default().split_once('/') {
        None => Ok(template),
        Some((site, _)) => Err(Wrong::new(
            format!("{} names a page, but browsers select for whole sites", quote(text)),
            format!("write {}", quote(&format!("https://{site}"))),
        )),
    }
}

/// Reads the address of a page.
pub(super) fn url(text: &str) -> Result<UrlTemplate, Wrong> {
    let wrong = |why: &str| Wrong::new(format!("{} is not an address that can be used here", quote(text)), why);
    let template = UrlTemplate::parse(text).map_err(|error| wrong(&error.problem))?;
    let filled = URL_PLACEHOLDERS.iter().fold(text.to_owned(), |text, name| text.replace(&format!("{{{name}}}"), "x"));
    match reqwest::Url::parse(&filled) {
        Ok(url) if url.host_str().is_some_and(|host| host.len() <= 253 && !host.ends_with('.')) => Ok(template),
        _ => Err(wrong("its host or its port cannot exist")),
    }
}

/// Reads 64 hexadecimal digits, with colons between the bytes or without.
pub(super) fn thumbprint(text: &str) -> Result<Sha256, Wrong> {
    let plain: String =
        if text.len() == 95 && text.bytes().skip(2).step_by(3).all(|byte| byte == b':') { text.replace(':', "") } else { text.to_owned() };
    plain.parse().map_err(|_| {
        let digits = text.bytes().filter(u8::is_ascii_hexdigit).count();
        let hint = if digits == 40 {
            "this looks like a SHA-1 thumbprint; the SHA-256 is needed"
        } else {
            "write the 64 hexadecimal digits of the certificate's SHA-256"
        };
        Wrong::new(format!("{} is not a SHA-256 thumbprint", quote(text)), hint)
    })
}

/// Reads an authority's SHA-1 or SHA-256, with colons or blanks between the bytes, as Windows and manuals print it, or without.
pub(super) fn anchor(text: &str) -> Result<Thumbprint, Wrong> {
    if text.starts_with('<') {
        return Err(Wrong::new(
            format!("{} is still to be filled in", quote(text)),
            "write the thumbprint that the vendor published, from its manual; never take it from the file that is to be checked",
        ));
    }
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | ' ')).collect();
    let read = match digits.len() {
        40 => digits.parse().ok().map(Thumbprint::Sha1),
        64 => digits.parse().ok().map(Thumbprint::Sha256),
        _ => None,
    };
    let hint = "write the 40 hexadecimal digits of the authority's SHA-1 as published, or the 64 of its SHA-256";
    read.ok_or_else(|| Wrong::new(format!("{} is not the thumbprint of an authority", quote(text)), hint))
}

/// A span as a person would write it.
pub(super) fn in_days(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        _ if seconds.is_multiple_of(DAY.as_secs()) => format!("{}d", seconds / DAY.as_secs()),
        _ if seconds.is_multiple_of(HOUR.as_secs()) => format!("{}h", seconds / HOUR.as_secs()),
        _ => format!("{}min", seconds / MINUTE.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_has_365_days() {
        assert_eq!(span("3y").unwrap(), span("1095d").unwrap());
        assert_eq!(span("2h").unwrap(), span("120min").unwrap());
        for text in ["", "90", "d", "090d", "0d", "-1d", "1.5d", "90 d", "90D", "1m", "1234567d", "９０d", "99999999999999999999d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn days_go_round_the_week() {
        assert_eq!(days("mon").unwrap(), [Weekday::Monday]);
        assert_eq!(days("fri-mon").unwrap(), [Weekday::Friday, Weekday::Saturday, Weekday::Sunday, Weekday::Monday]);
        assert_eq!(days("mon-sun").unwrap().len(), 7);
        for text in ["", "-", "mon-", "Mon", "mon-fri-sun", "holiday"] {
            assert!(days(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hours_stay_within_the_day() {
        assert_eq!(hours("09:00-12:30, 15:00-24:00").unwrap(), [Hours { from: 540, to: 750 }, Hours { from: 900, to: 1440 }]);
        for text in [
            "",
            "9-18",
            "9:00-18:00",
            "09:00",
            "18:00-09:00",
            "09:00-09:00",
            "09:60-10:00",
            "09:00-24:01",
            "09:00-12:00,11:00-13:00",
            "+9:00-10:00",
        ] {
            assert!(hours(text).is_err(), "{text}");
        }
    }

    #[test]
    fn closed_days_exist() {
        let day = |year, month, day| Date::new(year, month, day).unwrap();
        assert_eq!(closed("2028-02-29").unwrap(), Closed::Days { first: day(2028, 2, 29), last: day(2028, 2, 29) });
        assert_eq!(closed("2026-12-29/2027-01-03").unwrap(), Closed::Days { first: day(2026, 12, 29), last: day(2027, 1, 3) });
        for text in [
            "",
            "holiday",
            "2026-02-30",
            "2027-01-03/2026-12-29",
            "2026-1-3",
            "2026-01-03-04",
            "2026-01-01/2026-01-02/2026-01-03",
            "2026/01/03",
            "+026-01-01",
        ] {
            assert!(closed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sites_have_no_path_and_a_port_that_exists() {
        for text in ["https://karte-{facilitySlug}.example.jp", "https://{clinic}.example.jp:8443"] {
            assert_eq!(site(text).unwrap().as_str(), text);
        }
        assert!(url("https://karte.example.jp/d/signin").is_ok());
        for text in
            ["https://h/", "https://h:99999", "https://h:x", "http://h", "https://{slug}.jp", "https://", "https://a b", "https://.."]
        {
            assert!(site(text).is_err(), "{text}");
        }
    }

    #[test]
    fn thumbprints_may_have_colons() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        assert_eq!(thumbprint(&plain).unwrap(), thumbprint(&colons).unwrap());
        assert!(thumbprint(&"ab".repeat(20)).unwrap_err().hint.unwrap().contains("SHA-1"));
        assert!(thumbprint(&colons.replacen(':', "-", 1)).is_err());
    }
}
