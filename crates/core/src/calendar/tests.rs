use proptest::prelude::*;

use super::*;
use crate::time::{DAY, HOUR, MINUTE};

/// Reads `2026-09-18 17:59:59` as Tokyo time.
fn tokyo(text: &str) -> Timestamp {
    let moment: jiff::Timestamp = format!("{}+09:00", text.replace(' ', "T")).parse().unwrap();
    Timestamp::from_unix(moment.as_second())
}

/// Monday to Friday 09:00–18:00 with a lunch break, Saturday 09:00–12:30, no holidays, no New Year.
fn clinic() -> Calendar {
    let day = vec![Hours { from: 540, to: 720 }, Hours { from: 780, to: 1080 }];
    let weekdays = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    let mut open: BTreeMap<_, _> = weekdays.into_iter().map(|weekday| (weekday, day.clone())).collect();
    open.insert(Weekday::Saturday, vec![Hours { from: 540, to: 750 }]);
    let new_year = Closed::Days { first: Date::new(2026, 12, 29).unwrap(), last: Date::new(2027, 1, 3).unwrap() };
    Calendar { time_zone: Some("Asia/Tokyo".into()), open, closed: vec![Closed::Holidays, new_year], ..Calendar::default() }
}

#[test]
fn it_is_open_from_the_first_second_to_the_last() {
    let cases = [
        ("2026-09-18 08:59:59", false),
        ("2026-09-18 09:00:00", true),
        ("2026-09-18 11:59:59", true),
        ("2026-09-18 12:00:00", false),
        ("2026-09-18 17:59:59", true),
        ("2026-09-18 18:00:00", false),
        ("2026-09-19 12:29:59", true),
        ("2026-09-19 12:30:00", false),
        ("2026-09-20 10:00:00", false),
        ("2026-09-22 10:00:00", false),
        ("2026-12-29 10:00:00", false),
        ("2027-01-04 10:00:00", true),
    ];
    for (moment, open) in cases {
        assert_eq!(clinic().is_open(tokyo(moment)), open, "{moment}");
    }
}

#[test]
fn the_last_open_moment_is_found_across_nights_weekends_and_holidays() {
    let cases = [
        ("2026-09-18 10:00:00", "2026-09-18 10:00:00"),
        ("2026-09-18 12:30:00", "2026-09-18 11:59:59"),
        ("2026-09-18 03:00:00", "2026-09-17 17:59:59"),
        ("2026-09-20 10:00:00", "2026-09-19 12:29:59"),
        ("2026-09-23 23:00:00", "2026-09-19 12:29:59"),
        ("2027-01-03 12:00:00", "2026-12-28 17:59:59"),
    ];
    for (moment, expected) in cases {
        assert_eq!(clinic().last_open_before(tokyo(moment), 10 * DAY), tokyo(expected), "{moment}");
    }
}

#[test]
fn a_search_that_finds_nothing_in_reach_leaves_the_moment() {
    let sunday = tokyo("2026-09-20 10:00:00");
    assert_eq!(clinic().last_open_before(sunday, 21 * HOUR), sunday);
    assert_eq!(clinic().last_open_before(sunday, 22 * HOUR), tokyo("2026-09-19 12:29:59"));
    let never = Calendar { open: BTreeMap::from([(Weekday::Monday, Vec::new())]), ..Calendar::default() };
    assert_eq!(never.last_open_before(sunday, 365 * DAY), sunday);
}

#[test]
fn a_clinic_without_hours_is_open_all_day_except_on_closed_days() {
    let calendar = Calendar { open: BTreeMap::new(), ..clinic() };
    assert!(calendar.is_open(tokyo("2026-09-20 03:00:00")));
    assert!(!calendar.is_open(tokyo("2026-09-22 03:00:00")));
    assert_eq!(calendar.last_open_before(tokyo("2026-09-22 12:00:00"), 9 * DAY), tokyo("2026-09-20 23:59:59"));
}

#[test]
fn what_expires_while_closed_names_the_last_open_day_before() {
    let cases = [
        ("2026-09-18 03:00:00", ""),
        ("2026-09-20 10:00:00", "2026-09-20..2026-09-23 Closed, open on 2026-09-19"),
        ("2026-12-31 23:59:59", "2026-12-29..2027-01-03 YearEnd, open on 2026-12-28"),
        ("2027-05-04 12:00:00", "2027-05-02..2027-05-05 GoldenWeek, open on 2027-05-01"),
        ("2026-08-11 12:00:00", "2026-08-11..2026-08-11 Closed, open on 2026-08-10"),
    ];
    for (moment, expected) in cases {
        let closing = clinic().closing_at(tokyo(moment));
        let told = closing.map(|found| format!("{}..{} {:?}, open on {}", found.first, found.last, found.stretch, found.last_open));
        assert_eq!(told.unwrap_or_default(), expected, "{moment}");
        if let Some(closing) = closing {
            assert_eq!(clinic().last_open_day_before(tokyo(moment)), Some(closing.last_open));
            assert!(clinic().is_open(closing.last_moment));
        }
    }
    let leave = Closed::Days { first: Date::new(2027, 8, 13).unwrap(), last: Date::new(2027, 8, 15).unwrap() };
    let closing = Calendar { closed: vec![leave], ..clinic() }.closing_at(tokyo("2027-08-14 10:00:00")).unwrap();
    assert_eq!((closing.stretch, closing.last_open.to_string()), (Stretch::Obon, "2027-08-12".into()));
}

#[test]
fn a_clinic_that_never_opens_has_no_last_open_day() {
    let never = Calendar { open: BTreeMap::from([(Weekday::Monday, Vec::new())]), ..Calendar::default() };
    assert_eq!((never.last_open_day_before(tokyo("2026-09-20 10:00:00")), never.closing_at(tokyo("2026-09-20 10:00:00"))), (None, None));
    assert_eq!(Calendar::default().closing_at(tokyo("2026-09-20 10:00:00")), None);
}

#[test]
fn open_days_are_counted_with_both_ends() {
    let days = |from, to| clinic().open_days_between(tokyo(from), tokyo(to));
    assert_eq!(days("2026-09-17 10:00:00", "2026-09-19 23:00:00"), 3);
    assert_eq!(days("2026-09-20 10:00:00", "2026-09-23 23:00:00"), 0);
    assert_eq!(days("2026-09-25 10:00:00", "2026-09-24 23:00:00"), 0);
}

#[test]
fn a_date_is_read_and_begins_at_midnight_in_its_zone() {
    let date: Date = "2026-12-28".parse().unwrap();
    assert_eq!((date.to_string(), clinic().begins(date)), ("2026-12-28".into(), tokyo("2026-12-28 00:00:00")));
    assert_eq!(clinic().day_of(tokyo("2026-12-28 23:59:59")), Some(date));
    for wrong in ["2026-12-32", "2026-2-03", "2026/12/28", "2026-12", "2026-12-28T00", "+026-12-28", ""] {
        assert_eq!(wrong.parse::<Date>(), Err(DateError), "{wrong}");
    }
}

#[test]
fn the_default_never_closes() {
    for moment in [i64::MIN, -1, 0, 1_800_000_000, i64::MAX].map(Timestamp::from_unix) {
        assert!(Calendar::default().is_open(moment));
        assert_eq!(Calendar::default().last_open_before(moment, DAY), moment);
    }
}

#[test]
fn zones_are_known_by_their_iana_names() {
    assert!(Calendar::check_zone("Asia/Tokyo"));
    assert!(!Calendar::check_zone("Asia/Edo"));
}

proptest! {
    /// In a zone that puts its clocks forward and back, around both changes of 2026, against trying every minute.
    #[test]
    fn the_last_open_moment_agrees_with_brute_force(
        spring in any::<bool>(), minutes in 0_u32..6 * 1440, from in 0_u16..1439, length in 1_u16..600, reach in 1_u32..4 * 1440,
    ) {
        let hours = vec![Hours { from, to: (from + length).min(1440) }];
        let open = BTreeMap::from([(Weekday::Saturday, hours.clone()), (Weekday::Sunday, hours)]);
        let calendar = Calendar { time_zone: Some("Europe/Berlin".into()), open, ..Calendar::default() };
        let start = if spring { tokyo("2026-03-27 00:00:00") } else { tokyo("2026-10-23 00:00:00") };
        let (moment, back) = (start.after(minutes * MINUTE), reach * MINUTE);
        let minutes_before = (0..=reach).map(|minute| moment.before(minute * MINUTE));
        // The last open second of a minute that begins open is its 59th, but not later than the moment itself.
        let last = minutes_before.flat_map(|minute| [minute, minute.before(Duration::from_secs(1))])
            .find(|second| *second >= moment.before(back) && calendar.is_open(*second));
        prop_assert_eq!(calendar.last_open_before(moment, back), last.unwrap_or(moment));
    }
}
