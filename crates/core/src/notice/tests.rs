use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::calendar::{Closed, Date, Hours, Weekday};
use crate::time::HOUR;

/// The ladder that vendors use: 90, 60, 30, 15 and 7 days before, then daily.
fn vendors() -> Vec<Duration> {
    [90, 60, 30, 15, 7, 6, 5, 4, 3, 2, 1].map(|days| DAY * days).to_vec()
}

/// Open on weekdays and Saturday mornings in Tokyo; closed on holidays and over New Year.
fn clinic() -> Calendar {
    let weekdays = [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday];
    let mut open: BTreeMap<_, _> = weekdays.map(|day| (day, vec![Hours { from: 9 * 60, to: 18 * 60 }])).into();
    open.insert(Weekday::Saturday, vec![Hours { from: 9 * 60, to: 12 * 60 }]);
    let new_year = Closed::Days { first: date(2026, 12, 29), last: date(2027, 1, 3) };
    Calendar { time_zone: Some("Asia/Tokyo".into()), open, closed: vec![Closed::Holidays, new_year], quiet: BTreeMap::new() }
}

fn date(year: i16, month: i8, day: i8) -> Date {
    Date::new(year, month, day).unwrap()
}

/// A moment by the clock on the wall in Tokyo.
fn tokyo(text: &str) -> Timestamp {
    let local: civil::DateTime = text.parse().unwrap();
    Timestamp::from_unix(local.to_zoned(jiff::tz::TimeZone::fixed(jiff::tz::offset(9))).unwrap().timestamp().as_second())
}

fn shown(moment: Timestamp) -> String {
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(9));
    jiff::Timestamp::from_second(moment.unix()).unwrap().to_zoned(zone).strftime("%a %m-%d %H:%M").to_string()
}

fn name(rung: Rung) -> String {
    match rung {
        Rung::Ahead(span) if span.0.as_secs().is_multiple_of(86_400) => format!("{}d", span.0.as_secs() / 86_400),
        Rung::Ahead(span) => format!("{}h", span.0.as_secs() / 3_600),
        Rung::Expired => "expired".into(),
        Rung::After(days) => format!("+{days}d"),
    }
}

/// Lives through a deadline by its own wake-ups: what is told, and when.
fn told(ahead: &[Duration], deadline: Timestamp, hours: &Calendar, from: Timestamp) -> Vec<String> {
    let (mut now, mut last, mut told) = (from, None, Vec::new());
    for _ in 0..200 {
        let outlook = Ladder::new(ahead).look(deadline, hours, last, now);
        if let Some(rung) = outlook.due {
            told.push(format!("{} {}", name(rung), shown(now)));
            last = Some(rung);
        }
        let Some(next) = outlook.next else { return told };
        assert!(next > now, "a wake-up lies ahead");
        now = next;
    }
    panic!("the ladder never ends: {told:?}")
}

#[test]
fn each_rung_is_told_in_the_morning_of_an_open_day_before_the_day_of_the_deadline() {
    // Friday, 2027-01-15, in the afternoon.
    let deadline = tokyo("2027-01-15T15:30");
    let all = told(&vendors(), deadline, &clinic(), tokyo("2026-09-01T00:00"));
    assert_eq!(
        all[..9],
        [
            "90d Sat 10-17 08:00",
            "60d Mon 11-16 08:00",
            "30d Wed 12-16 08:00",
            // 15 days before is New Year's Eve; the clinic opens again on the 4th.
            "15d Mon 01-04 08:00",
            "7d Fri 01-08 08:00",
            "6d Sat 01-09 08:00",
            // The 10th is a Sunday, the 11th Coming-of-Age Day: one letter on the 12th for three days.
            "3d Tue 01-12 08:00",
            "2d Wed 01-13 08:00",
            "1d Thu 01-14 08:00",
        ]
    );
    assert_eq!(all[9..12], ["expired Sat 01-16 08:00", "+2d Mon 01-18 08:00", "+3d Tue 01-19 08:00"]);
    assert!(all.last().unwrap().starts_with("+30d"), "{all:?}");
}

#[test]
fn what_ends_while_the_clinic_is_closed_is_told_on_the_last_open_day_before() {
    // New Year's Day. From the 29th on nobody is there.
    let all = told(&[7 * DAY, 2 * DAY], tokyo("2027-01-01T10:00"), &clinic(), tokyo("2026-12-01T00:00"));
    assert_eq!(all, ["7d Fri 12-25 08:00", "2d Mon 12-28 08:00", "expired Sat 01-02 08:00"]);
}

#[test]
fn a_clinic_that_is_never_open_is_told_on_the_day_itself() {
    let closed = vec![Closed::Days { first: date(2000, 1, 1), last: date(2100, 1, 1) }];
    let never = Calendar { time_zone: Some("Asia/Tokyo".into()), closed, ..Calendar::default() };
    let all = told(&[7 * DAY, DAY], tokyo("2027-01-15T07:00"), &never, tokyo("2026-12-01T00:00"));
    assert_eq!(all, ["7d Fri 01-08 08:00", "1d Thu 01-14 08:00", "expired Fri 01-15 08:00"]);
}

#[test]
fn after_three_weeks_off_there_is_one_notice_not_five() {
    let deadline = tokyo("2027-01-15T15:30");
    let ladder = vendors();
    let look = |told, now| Ladder::new(&ladder).look(deadline, &clinic(), told, now);
    let back = look(Some(Rung::ahead(30 * DAY)), tokyo("2027-01-13T11:00"));
    assert_eq!(back.due, Some(Rung::ahead(2 * DAY)), "told at once, and only the newest");
    assert_eq!(back.next, Some(tokyo("2027-01-14T08:00")));
    assert_eq!(look(back.due, tokyo("2027-01-13T11:00")), Outlook { due: None, ..back });
}

#[test]
fn what_is_expired_for_long_is_told_once_if_the_ladder_is_not_daily() {
    let ladder = [30 * DAY, 7 * DAY];
    let look = |told| Ladder::new(&ladder).look(tokyo("2027-01-15T15:30"), &clinic(), told, tokyo("2029-01-01T00:00"));
    assert_eq!(look(None), Outlook { due: Some(Rung::Expired), next: None });
    assert_eq!(look(Some(Rung::Expired)), Outlook::default());
    assert_eq!(Ladder::new(&[]).look(tokyo("2027-01-15T15:30"), &clinic(), None, tokyo("2029-01-01T00:00")), Outlook::default());
}

#[test]
fn spans_that_are_not_whole_days_are_told_to_the_second() {
    let all = told(&[36 * HOUR, HOUR], tokyo("2027-01-15T03:30"), &clinic(), tokyo("2027-01-01T00:00"));
    assert_eq!(all, ["36h Wed 01-13 15:30", "1h Fri 01-15 02:30", "expired Fri 01-15 08:00"]);
}

#[test]
fn a_clinic_gets_one_letter_a_day_unless_that_would_be_too_late() {
    let (clinic, morning, noon) = (clinic(), tokyo("2027-01-12T08:00"), tokyo("2027-01-12T12:00"));
    let tomorrow = tokyo("2027-01-13T08:00");
    let at = |last, deadline, now| letter_at(&clinic, last, tokyo(deadline), now);
    assert_eq!(at(None, "2027-01-20T00:00", noon), noon);
    assert_eq!(at(Some(tokyo("2027-01-11T23:59")), "2027-01-20T00:00", noon), noon, "that was yesterday");
    assert_eq!(at(Some(morning), "2027-01-20T00:00", noon), tomorrow);
    assert_eq!(at(Some(morning), "2027-01-13T02:00", noon), noon, "tomorrow it would be too late");
    assert_eq!(at(Some(morning), "2027-01-12T10:00", noon), tomorrow, "it is too late already");
    assert_eq!(at(Some(morning), "2027-01-20T00:00", tomorrow), tomorrow);
}

#[test]
fn a_rung_survives_being_written_as_a_number() {
    for rung in [Rung::ahead(90 * DAY), Rung::ahead(HOUR), Rung::Expired, Rung::After(1), Rung::After(30)] {
        assert_eq!(Rung::of_number(rung.number()), rung);
    }
    assert!(Rung::ahead(90 * DAY) < Rung::ahead(DAY) && Rung::ahead(DAY) < Rung::Expired && Rung::Expired < Rung::After(1));
}

#[test]
fn a_person_acts_where_nothing_can_go_on_by_itself() {
    let own = IssuerKind::Ca { common_name: "Clinic CA".parse().unwrap() };
    assert_eq!(acts(Some(&own), None), Acts::Itself);
    assert_eq!(acts(Some(&own), Some(Obstacle::SilentDevice)), Acts::Person);
    assert_eq!(acts(Some(&own), Some(Obstacle::OthersFirst)), Acts::Itself);
    assert_eq!(acts(Some(&IssuerKind::Vendor), None), Acts::Person);
}

mod bearers {
    use super::*;
    use crate::fleet::{Held, Progress, Template};
    use crate::name::{Serial, Sha256};
    use crate::policy::KeyAlgorithm;

    fn held(number: u8, progress: Progress) -> Held {
        let (issuer, organization) = ("own".parse().unwrap(), "sakura".into());
        let template = Template {
            issuer,
            common_name: "pc-1".into(),
            organization,
            key: crate::policy::KeyOrigin::Device(KeyAlgorithm::EcdsaP256),
            validity: DAY,
        };
        let (not_before, not_after) = (Timestamp::from_unix(0), Timestamp::from_unix(i64::from(number) * 1_000));
        let (serial, fingerprint) = (Serial([number; 16]), Sha256([number; 32]));
        Held {
            serial,
            fingerprint,
            template,
            account: None,
            not_before,
            not_after,
            progress,
            revoked: false,
            confirmed: Default::default(),
            backed_up: None,
            exposed: false,
        }
    }

    fn bears(certificates: Vec<Held>, retiring: &[u8]) -> Option<u8> {
        let retiring = retiring.iter().map(|number| Serial([*number; 16])).collect();
        bearer(&ObservedSlot { certificates, retiring, ..ObservedSlot::default() }).map(|held| held.serial.0[0])
    }

    #[test]
    fn a_slot_lives_by_the_newest_that_was_proven() {
        use Progress::{Installed, Issued, Proven};
        assert_eq!(bears(vec![], &[]), None);
        assert_eq!(bears(vec![held(1, Proven), held(2, Installed)], &[]), Some(1), "the successor is not proven yet");
        assert_eq!(bears(vec![held(1, Proven), held(2, Proven)], &[]), Some(2));
        assert_eq!(bears(vec![held(1, Proven), held(2, Proven)], &[2]), Some(1));
        assert_eq!(bears(vec![held(1, Issued), held(2, Issued)], &[]), Some(2));
        let revoked = Held { revoked: true, ..held(2, Proven) };
        assert_eq!(bears(vec![held(1, Proven), revoked], &[]), Some(1));
    }
}

fn any_calendar() -> impl Strategy<Value = Calendar> {
    let zone = prop::sample::select(vec!["Asia/Tokyo", "UTC", "America/Sao_Paulo", "Europe/Berlin"]);
    (zone, any::<[bool; 7]>(), 0..60_i64, 0..40_i64).prop_map(|(zone, open_on, from, length)| {
        let days =
            [Weekday::Monday, Weekday::Tuesday, Weekday::Wednesday, Weekday::Thursday, Weekday::Friday, Weekday::Saturday, Weekday::Sunday];
        let open = days.into_iter().zip(open_on).filter(|(_, open)| *open).map(|(day, _)| (day, vec![Hours { from: 540, to: 1_080 }]));
        let day = |days| plus(civil::date(2027, 1, 1), days).map(|day| date(day.year(), day.month(), day.day())).unwrap();
        let closed = Closed::Days { first: day(from), last: day(from + length) };
        Calendar { time_zone: Some(zone.into()), open: open.collect(), closed: vec![Closed::Holidays, closed], quiet: BTreeMap::new() }
    })
}

fn any_ladder() -> impl Strategy<Value = Vec<Duration>> {
    let days = prop::collection::btree_set(1..100_u32, 1..8).prop_map(|days| days.into_iter().rev().map(|days| DAY * days).collect());
    prop_oneof![days, Just(vendors()), Just(vec![36 * HOUR, HOUR])]
}

/// A deadline within the first months of 2027.
fn any_deadline() -> impl Strategy<Value = Timestamp> {
    (0..100 * 86_400_i64).prop_map(|seconds| Timestamp::from_unix(1_798_700_000 + seconds))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever moments a server happens to look at: each rung is told at most once, in order, and never the day of the deadline or later
    /// if it was looked at in time.
    #[test]
    fn rungs_are_told_once_and_in_order(ladder in any_ladder(), hours in any_calendar(), deadline in any_deadline(),
            looks in prop::collection::btree_set(-150 * 24..60 * 24_i64, 1..60)) {
        let mut last = None;
        for hour in looks {
            let now = Timestamp::from_unix(deadline.unix() + hour * 3_600);
            let outlook = Ladder::new(&ladder).look(deadline, &hours, last, now);
            if let Some(rung) = outlook.due {
                prop_assert!(Some(rung) > last);
                prop_assert!(rung < Rung::Expired || now > deadline, "nothing is called expired before it is");
                last = Some(rung);
                let again = Ladder::new(&ladder).look(deadline, &hours, last, now);
                prop_assert_eq!(again, Outlook { due: None, ..outlook });
            }
        }
    }

    /// Until the moment that was named nothing comes due; looking in between changes nothing.
    #[test]
    fn nothing_comes_due_before_the_wake_up(ladder in any_ladder(), hours in any_calendar(), deadline in any_deadline(),
            hour in -150 * 24..60 * 24_i64, early in 0.0..1.0_f64) {
        let now = Timestamp::from_unix(deadline.unix() + hour * 3_600);
        let outlook = Ladder::new(&ladder).look(deadline, &hours, None, now);
        let told = outlook.due;
        let later = outlook.next.map_or(now.after(900 * DAY), |next| {
            now.after(Duration::from_secs_f64(early * (next.since(now).as_secs() - 1) as f64))
        });
        let then = Ladder::new(&ladder).look(deadline, &hours, told, later);
        prop_assert_eq!(then.due, None);
        prop_assert_eq!(then.next, outlook.next);
    }

    /// Every rung before the deadline is told before the day of the deadline, at eight by the clinic's clock.
    #[test]
    fn whole_days_are_told_in_the_morning_before_the_day_of_the_deadline(days in 1..100_u32, hours in any_calendar(), deadline in any_deadline()) {
        let around = Days { hours: hours.open_hours(), deadline };
        let moment = around.moment(Rung::ahead(DAY * days));
        let (told, ends) = (around.hours.date(moment).unwrap(), around.hours.date(deadline).unwrap());
        prop_assert!(told < ends, "{} is not before {}", told, ends);
        prop_assert_eq!(hours.local(moment).unwrap().minute, MORNING);
        let open_before = (1..=i64::from(days) + EARLY_MAX).any(|back| around.hours.is_open_day(plus(ends, -back).unwrap()));
        prop_assert!(around.hours.is_open_day(told) || !open_before, "{} is closed though another day was open", told);
    }

    /// What is not reckoned out would not have mattered.
    #[test]
    fn no_rung_is_told_before_the_bound_that_is_found_without_a_calendar(ladder in any_ladder(), hours in any_calendar(),
            deadline in any_deadline()) {
        let days = Days { hours: hours.open_hours(), deadline };
        for rung in Ladder::new(&ladder).rungs() {
            prop_assert!(days.earliest(rung) <= days.moment(rung), "{:?}", rung);
        }
    }

    /// A later rung never comes due before an earlier one.
    #[test]
    fn moments_follow_the_order_of_the_rungs(ladder in any_ladder(), hours in any_calendar(), deadline in any_deadline()) {
        let days = Days { hours: hours.open_hours(), deadline };
        let moments: Vec<Timestamp> = Ladder::new(&ladder).rungs().map(|rung| days.moment(rung)).collect();
        prop_assert!(moments.is_sorted(), "{:?}", moments);
    }
}
