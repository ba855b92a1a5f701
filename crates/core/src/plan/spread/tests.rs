use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::calendar::{Calendar, Hours, Weekday};
use crate::plan::fixtures::{NOW, proven, slot};
use crate::simulate::serial;
use crate::time::DAY;

fn renewal(window: Duration, when: RenewWhen) -> Renewal {
    Renewal { window, when }
}

fn whens() -> impl Strategy<Value = RenewWhen> {
    prop_oneof![Just(RenewWhen::Early), Just(RenewWhen::Late)]
}

fn weekdays() -> Calendar {
    let days = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    Calendar {
        time_zone: Some("Asia/Tokyo".into()),
        open: days.map(|day| (day, vec![Hours { from: 540, to: 1080 }])).into(),
        closed: Vec::new(),
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
    fn t1_a_fresh_certificate_is_not_due((held, issued_at) in any_certificate(), window in 0_u64..5_000, when in whens(), number in any::<u64>()) {
        let calendar = weekdays();
        let window = Window::of(&held, Some(issued_at), renewal(Duration::from_secs(window * 86_400), when));
        let due = window.due(when, &calendar.open_hours(), &slot("d1"), serial(number));
        let born = issued_at.max(held.not_before);
        let life = held.not_after.since(born).as_secs();
        prop_assert!(due >= plus(born, life / 3), "{born} {due} {}", held.not_after);
        prop_assert!(due > issued_at && due <= held.not_after);
    }

    /// T2: the same moment for every question, on whole seconds; so what is due stays due.
    #[test]
    fn t2_due_is_one_moment_within_its_part_of_the_window(number in any::<u64>(), window_days in 1_u32..200, when in whens()) {
        let held = proven(number);
        let window = Window::of(&held, None, renewal(window_days * DAY, when));
        let calendar = Calendar::default();
        let due = window.due(when, &calendar.open_hours(), &slot("d1"), held.serial);
        prop_assert_eq!(due, window.due(when, &calendar.open_hours(), &slot("d1"), held.serial));
        let days = |part: f64| f64::from(window_days) * part * 86_400.0;
        let left = held.not_after.since(due).as_secs_f64();
        let (least, most) = if when == RenewWhen::Early { (days(2.0 / 3.0), days(1.0)) } else { (days(0.1), days(0.4)) };
        prop_assert!((least - 5.0..=most + 5.0).contains(&left), "{least} {left} {most}");
    }

    #[test]
    fn late_renewals_happen_while_the_clinic_is_open(number in any::<u64>()) {
        let (held, calendar) = (proven(number), weekdays());
        let window = Window::of(&held, None, renewal(60 * DAY, RenewWhen::Late));
        let due = window.due(RenewWhen::Late, &calendar.open_hours(), &slot("d1"), held.serial);
        prop_assert!(calendar.is_open(due));
        prop_assert!(due <= window.last_call() && due >= window.opens());
    }
}

/// T6, for a fleet whose certificates were all issued in the same second: how many fall into each bucket of ten minutes.
fn buckets(when: RenewWhen, calendar: &Calendar) -> BTreeMap<i64, u32> {
    let window = Window::of(&proven(1), None, renewal(3 * DAY, when));
    let hours = calendar.open_hours();
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
