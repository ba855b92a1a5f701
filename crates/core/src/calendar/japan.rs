//! Japanese public holidays, by the rules of the law instead of a table that somebody has to keep current.
//!
//! Act on National Holidays (Act No. 178 of 1948), articles 2 and 3, as in force since 2020, with the two years in which
//! the Tokyo Olympics moved three of them. Right for 2020 to 2099: the equinoxes are announced each February for the
//! year after, and the astronomers' approximation used here holds until 2099.

use jiff::civil::{Date, Weekday};

/// True if `date` is a public holiday: one that article 2 names, its substitute, or a day between two of them.
pub fn is_holiday(date: Date) -> bool {
    is_national(date) || is_substitute(date) || is_sandwiched(date)
}

/// Article 3(2): if a holiday falls on a Sunday, the next day that is not one itself is free instead.
fn is_substitute(date: Date) -> bool {
    let mut before = std::iter::successors(date.yesterday().ok(), |day| day.yesterday().ok()).take_while(|day| is_national(*day));
    !is_national(date) && before.any(|day| day.weekday() == Weekday::Sunday)
}

/// Article 3(3): a day whose neighbours are both holidays is one too.
fn is_sandwiched(date: Date) -> bool {
    let national = |day: Result<Date, jiff::Error>| day.is_ok_and(is_national);
    !is_national(date) && national(date.yesterday()) && national(date.tomorrow())
}

/// Article 2.
fn is_national(date: Date) -> bool {
    let (year, day) = (date.year(), date.day());
    match date.month() {
        1 => day == 1 || is_nth_monday(date, 2),
        2 => day == 11 || day == 23,
        3 => day == vernal_equinox(year),
        4 => day == 29,
        5 => (3..=5).contains(&day),
        7 => match year {
            2020 => day == 23 || day == 24,
            2021 => day == 22 || day == 23,
            _ => is_nth_monday(date, 3),
        },
        8 => match year {
            2020 => day == 10,
            2021 => day == 8,
            _ => day == 11,
        },
        9 => is_nth_monday(date, 3) || day == autumnal_equinox(year),
        10 => !matches!(year, 2020 | 2021) && is_nth_monday(date, 2),
        11 => day == 3 || day == 23,
        _ => false,
    }
}

fn is_nth_monday(date: Date, nth: i8) -> bool {
    date.weekday() == Weekday::Monday && (date.day() - 1) / 7 + 1 == nth
}

/// The day in March, by the approximation of the Hydrographic Department for 1980 to 2099.
fn vernal_equinox(year: i16) -> i8 {
    equinox(year, 208_431)
}

/// The day in September, likewise.
fn autumnal_equinox(year: i16) -> i8 {
    equinox(year, 232_488)
}

/// `base` is the day in 1980, and each year adds 0.242194 of a day; in whole millionths, so that nothing is rounded.
fn equinox(year: i16, base_ten_thousandths: i64) -> i8 {
    let years = i64::from(year) - 1980;
    let millionths = base_ten_thousandths * 100 + years * 242_194;
    (millionths.div_euclid(1_000_000) - years.div_euclid(4)) as i8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holidays(year: i16) -> String {
        let first = Date::constant(year, 1, 1);
        let days = first.series(jiff::Span::new().days(1)).take_while(|day| day.year() == year);
        days.filter(|day| is_holiday(*day)).map(|day| format!("{}/{}", day.month(), day.day())).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn known_years_are_as_the_cabinet_office_published_them() {
        let known = [
            (2020, "1/1 1/13 2/11 2/23 2/24 3/20 4/29 5/3 5/4 5/5 5/6 7/23 7/24 8/10 9/21 9/22 11/3 11/23"),
            (2021, "1/1 1/11 2/11 2/23 3/20 4/29 5/3 5/4 5/5 7/22 7/23 8/8 8/9 9/20 9/23 11/3 11/23"),
            (2022, "1/1 1/10 2/11 2/23 3/21 4/29 5/3 5/4 5/5 7/18 8/11 9/19 9/23 10/10 11/3 11/23"),
            (2023, "1/1 1/2 1/9 2/11 2/23 3/21 4/29 5/3 5/4 5/5 7/17 8/11 9/18 9/23 10/9 11/3 11/23"),
            (2024, "1/1 1/8 2/11 2/12 2/23 3/20 4/29 5/3 5/4 5/5 5/6 7/15 8/11 8/12 9/16 9/22 9/23 10/14 11/3 11/4 11/23"),
            (2025, "1/1 1/13 2/11 2/23 2/24 3/20 4/29 5/3 5/4 5/5 5/6 7/21 8/11 9/15 9/23 10/13 11/3 11/23 11/24"),
            (2026, "1/1 1/12 2/11 2/23 3/20 4/29 5/3 5/4 5/5 5/6 7/20 8/11 9/21 9/22 9/23 10/12 11/3 11/23"),
            (2027, "1/1 1/11 2/11 2/23 3/21 3/22 4/29 5/3 5/4 5/5 7/19 8/11 9/20 9/23 10/11 11/3 11/23"),
        ];
        for (year, days) in known {
            assert_eq!(holidays(year), days, "{year}");
        }
    }

    /// Another implementation of the same law. It does not know that the Olympic year of 2021 was different, so it begins after that.
    #[test]
    fn the_rules_agree_with_a_crate_of_other_hands_until_2099() {
        let others = jpholiday::jpholiday::JPHoliday::new();
        for year in 2022_i16..=2099 {
            for day in Date::constant(year, 1, 1).series(jiff::Span::new().days(1)).take_while(|day| day.year() == year) {
                let (month, number) = (day.month().unsigned_abs().into(), day.day().unsigned_abs().into());
                let theirs = jpholiday::chrono::NaiveDate::from_ymd_opt(year.into(), month, number).unwrap();
                assert_eq!(is_holiday(day), others.is_holiday(&theirs), "{day}");
            }
        }
    }

    #[test]
    fn a_day_between_two_holidays_is_one() {
        assert!(is_sandwiched(Date::constant(2026, 9, 22)));
        assert!(is_sandwiched(Date::constant(2032, 9, 21)));
        assert!(!is_holiday(Date::constant(2027, 9, 21)));
    }

    #[test]
    fn equinoxes_stay_where_astronomy_allows() {
        for year in 2020..=2099 {
            assert!((19..=21).contains(&vernal_equinox(year)), "{year}");
            assert!((22..=23).contains(&autumnal_equinox(year)), "{year}");
        }
        assert_eq!([vernal_equinox(2092), autumnal_equinox(2012)], [19, 22]);
    }
}
