use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::calendar::{Calendar, Closed, Date, Hours, Weekday};
use crate::fleet::Supply;
use crate::plan::fixtures::{NOW, proven, slot};
use crate::simulate::serial;
use crate::time::DAY;

fn renewal(window: Duration, when: RenewWhen) -> Renewal {
    Renewal { window, when }
}

fn whens() -> impl Strategy<Value = RenewWhen> {
    prop_oneof![Just(RenewWhen::Early), Just(RenewWhen::Late)]
}

fn supplies() -> impl Strategy<Value = Supply> {
    prop_oneof![Just(Supply::Own), Just(Supply::Person)]
}

fn weekdays() -> Calendar {
    let days = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    Calendar {
        time_zone: Some("Asia/Tokyo".into()),
        open: days.map(|day| (day, vec![Hours { from: 540, to: 1080 }])).into(),
        ..Calendar::default()
    }
}

/// A certificate with any validity that an authority may return, however far back-dated or cut short; not expired already.
fn any_certificate() -> impl Strategy<Value = (Held, Timestamp)> {
    (-400_i64..400, 0_u64..4_000, 1_u64..86_400).prop_map(|(backdated_days, life_days, odd_seconds)| {
        let not_before = Timestamp::from_unix(NOW.unix() - backdated_days * 86_400);
        let not_after = not_before.max(NOW).after(Duration::from_secs(life_days * 86_400 + odd_seconds));
        (Held { not_before, not_after, ..proven(1) }, NOW)
    })
}

proptest! {
    /// T1: whatever validity comes back, the next renewal is at least a third of the remaining life away.
    #[test]
    fn t1_a_fresh_certificate_is_not_due(
        (held, issued_at) in any_certificate(), window in 0_u64..5_000, when in whens(), supply in supplies(), number in any::<u64>(),
    ) {
        let calendar = weekdays();
        let window = Window::of(&held, Some(issued_at), renewal(Duration::from_secs(window * 86_400), when), supply);
        let due = window.due(when, &calendar.rhythm(), &slot("d1"), serial(number));
        let born = issued_at.max(held.not_before);
        let life = held.not_after.since(born).as_secs();
        prop_assert!(due >= plus(born, life / 3), "{born} {due} {}", held.not_after);
        prop_assert!(due > issued_at && due <= held.not_after);
    }

    /// T2: the same moment for every question, on whole seconds; so what is due stays due.
    #[test]
    fn t2_due_is_one_moment_within_its_part_of_the_window(number in any::<u64>(), window_days in 1_u32..200, when in whens()) {
        let held = proven(number);
        let window = Window::of(&held, None, renewal(window_days * DAY, when), Supply::Own);
        let calendar = Calendar::default();
        let due = window.due(when, &calendar.rhythm(), &slot("d1"), held.serial);
        prop_assert_eq!(due, window.due(when, &calendar.rhythm(), &slot("d1"), held.serial));
        let days = |part: f64| f64::from(window_days) * part * 86_400.0;
        let left = held.not_after.since(due).as_secs_f64();
        let (least, most) = if when == RenewWhen::Early { (days(2.0 / 3.0), days(1.0)) } else { (days(0.1), days(0.4)) };
        prop_assert!((least - 5.0..=most + 5.0).contains(&left), "{least} {left} {most}");
    }

    /// Whoever has to fetch a file is asked while there are days left for it: 22 of a window of 90, and no more than a third of it.
    #[test]
    fn people_are_asked_at_the_beginning_of_the_late_part(number in any::<u64>(), window_days in 30_u32..200) {
        let held = proven(number);
        let window = Window::of(&held, None, renewal(window_days * DAY, RenewWhen::Late), Supply::Person);
        let due = window.due(RenewWhen::Late, &Calendar::default().rhythm(), &slot("d1"), held.serial);
        let left = held.not_after.since(due).as_secs();
        let window = u64::from(window_days) * DAY.as_secs();
        prop_assert!((window / 4..=window / 3).contains(&left), "{} days are left", left / DAY.as_secs());
    }

    #[test]
    fn late_renewals_happen_while_the_clinic_is_open(number in any::<u64>()) {
        let (held, calendar) = (proven(number), weekdays());
        let window = Window::of(&held, None, renewal(60 * DAY, RenewWhen::Late), Supply::Own);
        let due = window.due(RenewWhen::Late, &calendar.rhythm(), &slot("d1"), held.serial);
        prop_assert!(calendar.is_open(due));
        prop_assert!(due <= window.last_call() && due >= window.opens());
    }
}

/// Any opening hours, quiet hours and closed stretches, sensible or not.
fn any_calendar() -> impl Strategy<Value = Calendar> {
    let day = prop_oneof![Just(Weekday::Monday), Just(Weekday::Wednesday), Just(Weekday::Saturday), Just(Weekday::Sunday)];
    let hours = (0_u16..1439, 1_u16..900).prop_map(|(from, length)| vec![Hours { from, to: (from + length).min(1440) }]);
    let week = prop::collection::btree_map(day, hours, 0..4);
    let shut = (-30_i64..400, 0_u32..200).prop_map(|(from, days)| {
        let date = |days: i64| jiff::civil::date(2026, 4, 1).checked_add(jiff::Span::new().days(days)).unwrap();
        Closed::Days { first: date(from).into(), last: date(from + i64::from(days)).into() }
    });
    let closed = prop::collection::vec(prop_oneof![1 => Just(Closed::Holidays), 4 => shut], 0..4);
    let zone = prop_oneof![Just(None), Just(Some("Asia/Tokyo".to_owned())), Just(Some("Europe/Berlin".to_owned()))];
    (zone, week.clone(), week, closed).prop_map(|(time_zone, open, quiet, closed)| Calendar { time_zone, open, quiet, closed })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// No certificate expires for the calendar's sake: whatever a clinic writes about its hours, what is due falls due in its window,
    /// a tenth of the window before expiry at the latest, and stays due.
    #[test]
    fn no_calendar_puts_a_replacement_off(
        (held, issued_at) in any_certificate(), window_days in 1_u64..400, (when, supply) in (whens(), supplies()), number in any::<u64>(),
        calendar in any_calendar(),
    ) {
        let window = Window::of(&held, Some(issued_at), renewal(Duration::from_secs(window_days * 86_400), when), supply);
        let due = window.due(when, &calendar.rhythm(), &slot("d1"), serial(number));
        prop_assert!(due >= window.opens(), "{due} is before {}", window.opens());
        prop_assert!(due <= window.last_call() && window.last_call() <= held.not_after, "{due} {} {}", window.last_call(), held.not_after);
        prop_assert_eq!(due, window.due(when, &calendar.rhythm(), &slot("d1"), serial(number)));
    }

    /// Quiet hours are kept whenever there are any within the window and before the last call.
    #[test]
    fn what_can_be_replaced_in_quiet_hours_is(
        number in any::<u64>(), window_days in 1_u32..15, when in whens(), calendar in any_calendar(),
    ) {
        let held = proven(number);
        let window = Window::of(&held, None, renewal(window_days * DAY, when), Supply::Own);
        let due = window.due(when, &calendar.rhythm(), &slot("d1"), held.serial);
        let Some(quiet) = calendar.rhythm().quiet else { return Ok(()) };
        let last_call = window.last_call();
        let minutes = (0..u64::from(window_days) * 1440).map(|minute| minus(last_call, minute * 60)).take_while(|at| *at >= window.opens());
        if minutes.into_iter().any(|at| quiet.is_open(at)) {
            prop_assert!(quiet.is_open(due), "{due} is not quiet");
        }
    }
}

#[test]
fn a_clinic_that_is_closed_for_months_still_renews() {
    let all_year = Closed::Days { first: Date::new(2026, 4, 1).unwrap(), last: Date::new(2027, 12, 31).unwrap() };
    let calendar = Calendar { closed: vec![all_year], quiet: weekdays().open, ..weekdays() };
    for when in [RenewWhen::Early, RenewWhen::Late] {
        let window = Window::of(&proven(1), None, renewal(60 * DAY, when), Supply::Own);
        let due = window.due(when, &calendar.rhythm(), &slot("d1"), serial(1));
        assert!(due >= window.opens() && due <= window.last_call(), "{when:?}: {due}");
    }
}

/// The clinic shuts on 20 November and the certificate expires on 22 December: an early renewal would fall into that time.
#[test]
fn what_expires_within_a_closed_stretch_is_replaced_on_an_open_day_before_it() {
    let shut = Closed::Days { first: Date::new(2026, 11, 20).unwrap(), last: Date::new(2027, 1, 10).unwrap() };
    let calendar = Calendar { closed: vec![shut], ..weekdays() };
    for number in 0..500 {
        let window = Window::of(&proven(number), None, renewal(40 * DAY, RenewWhen::Early), Supply::Own);
        let due = window.due(RenewWhen::Early, &calendar.rhythm(), &slot("d1"), serial(number));
        let last_open = Timestamp::from_unix(NOW.unix()).after(234 * DAY);
        assert!(due < last_open && due >= window.opens(), "{number}: {due}");
    }
}

#[test]
fn quiet_replacements_spread_over_the_quiet_hours() {
    let lunch = weekdays().open.into_keys().map(|day| (day, vec![Hours { from: 750, to: 840 }])).collect();
    let calendar = Calendar { quiet: lunch, ..weekdays() };
    for when in [RenewWhen::Early, RenewWhen::Late] {
        let buckets = buckets(when, &calendar);
        let (mean, most) = (20_000 / buckets.len() as u32, buckets.values().max().copied().unwrap_or_default());
        assert!(buckets.len() >= 8 && most <= 3 * mean, "{when:?}: {most} in one bucket, {mean} on average of {}", buckets.len());
    }
}

/// T6, for a fleet whose certificates were all issued in the same second: how many fall into each bucket of ten minutes.
fn buckets(when: RenewWhen, calendar: &Calendar) -> BTreeMap<i64, u32> {
    let window = Window::of(&proven(1), None, renewal(3 * DAY, when), Supply::Own);
    let hours = calendar.rhythm();
    let mut buckets = BTreeMap::new();
    for number in 0..20_000 {
        let due = window.due(when, &hours, &slot(&format!("d{}", number % 40)), serial(number));
        *buckets.entry(due.unix() / 600).or_default() += 1;
    }
    buckets
}

#[test]
fn t6_a_fleet_that_was_issued_together_does_not_renew_together() {
    for when in [RenewWhen::Early, RenewWhen::Late] {
        let buckets = buckets(when, &Calendar::default());
        let spread = 600 * buckets.len() as u64;
        assert!(spread * 10 >= 3 * (3 * DAY).as_secs(), "{when:?} spreads over {spread} seconds only");
        let (mean, most) = (20_000 / buckets.len() as u32, buckets.values().max().copied().unwrap_or_default());
        assert!(most <= 3 * mean, "{when:?}: {most} in one bucket, {mean} on average");
    }
}

#[test]
fn late_renewals_do_not_gather_at_closing_time() {
    let buckets = buckets(RenewWhen::Late, &weekdays());
    let (mean, most) = (20_000 / buckets.len() as u32, buckets.values().max().copied().unwrap_or_default());
    assert!(most <= 3 * mean, "{most} in one bucket, {mean} on average");
}

#[test]
fn the_same_slot_and_serial_always_draw_the_same_lot() {
    assert_eq!(draw(&slot("d1"), serial(1)), 12_536_651_237_575_751_532, "renewals of a running fleet must not move");
    assert_ne!(draw(&slot("d1"), serial(1)), draw(&slot("d1"), serial(2)));
    assert_ne!(draw(&slot("d1"), serial(1)), draw(&slot("d2"), serial(1)));
}
