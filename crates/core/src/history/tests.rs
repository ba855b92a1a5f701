use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn device(number: u8) -> DeviceId {
    format!("sakura/pc-{number}").parse().unwrap()
}

fn slot(number: u8) -> Place {
    Place::Slot(format!("sakura/pc-{number}/karte").parse().unwrap())
}

fn certificate(number: u8, not_after: i64) -> Certificate {
    let order = Some(OrderId([number; 16]));
    Certificate { serial: Serial([number; 16]), fingerprint: Sha256([number; 32]), order, not_after: Timestamp::from_unix(not_after) }
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_unix(day * 86_400)
}

fn asked(day: i64, events: &[(i64, Event)]) -> Vec<Access> {
    let mut as_of = AsOf::new(at(day));
    events.iter().for_each(|(day, event)| as_of.push(at(*day), event.clone()));
    as_of.accesses()
}

#[test]
fn a_certificate_opens_from_its_record_until_it_is_revoked_and_says_so_before() {
    let (pc, print) = (device(1), Sha256([1; 32]));
    let events = [
        (1, Event::Ordered(OrderId([1; 16]), "own-ca".parse().unwrap())),
        (2, Event::Issued(slot(1), certificate(1, 90 * 86_400))),
        (2, Event::Heard(pc.clone())),
        (3, Event::Installed(pc.clone(), print)),
        (4, Event::Proven(pc.clone(), print)),
        (50, Event::Revoked(Serial([1; 16]))),
        (51, Event::Gone(pc, print)),
    ];
    let [one] = &asked(3, &events)[..] else { panic!("one certificate") };
    assert_eq!((one.issued_at, one.installed_at, one.proven_at), (at(2), Some(at(3)), None), "not proven yet on day 3");
    assert_eq!((one.until, one.unknown_since), ((at(50), Ending::Revoked), None));
    assert_eq!(one.issuer.as_ref().map(ToString::to_string), Some("own-ca".into()));
    let counts = [1, 2, 49, 50, 51, 200].map(|day| asked(day, &events).len());
    assert_eq!(counts, [0, 1, 1, 0, 0, 0]);
}

#[test]
fn silence_is_said_and_a_file_that_a_person_fetched_is_never_known() {
    let account = Place::Account("sakura".parse().unwrap(), "reception".parse().unwrap());
    let events = [
        (0, Event::Issued(slot(1), certificate(1, 900 * 86_400))),
        (10, Event::Heard(device(1))),
        (20, Event::Issued(account, certificate(2, 900 * 86_400))),
        (60, Event::Heard(device(1))),
    ];
    let unknown = |day| asked(day, &events).iter().map(|access| access.unknown_since).collect::<Vec<_>>();
    assert_eq!(unknown(15), [None]);
    assert_eq!(unknown(47), [None, Some(at(20))], "37 days after it was heard");
    assert_eq!(unknown(48), [Some(at(10)), Some(at(20))], "what is heard on day 60 tells nothing of day 48");
    assert_eq!(unknown(60), [None, Some(at(20))]);
}

#[test]
fn the_same_vendors_certificate_on_two_devices_ends_on_each_alone() {
    let two = Certificate { serial: Serial([9; 16]), ..certificate(1, 900 * 86_400) };
    let events = [
        (0, Event::Issued(slot(1), certificate(1, 900 * 86_400))),
        (0, Event::Issued(slot(2), two)),
        (5, Event::Gone(device(1), Sha256([1; 32]))),
    ];
    let places: Vec<Place> = asked(6, &events).into_iter().map(|access| access.place).collect();
    assert_eq!(places, [slot(2)]);
}

fn event() -> impl Strategy<Value = Event> {
    let number = 0..6_u8;
    prop_oneof![
        (number.clone(), 0..200_i64).prop_map(|(number, day)| Event::Issued(slot(number), certificate(number, day * 86_400))),
        number.clone().prop_map(|number| Event::Installed(device(number), Sha256([number; 32]))),
        number.clone().prop_map(|number| Event::Proven(device(number), Sha256([number; 32]))),
        number.clone().prop_map(|number| Event::Gone(device(number), Sha256([number; 32]))),
        number.clone().prop_map(|number| Event::Revoked(Serial([number; 16]))),
        number.prop_map(|number| Event::Heard(device(number))),
    ]
}

/// Events in order of time, each certificate issued at most once.
fn story() -> impl Strategy<Value = Vec<(i64, Event)>> {
    prop::collection::vec((0..5_i64, event()), 0..60).prop_map(|steps| {
        let (mut day, mut issued) = (0, BTreeSet::new());
        let dated = steps.into_iter().map(|(step, event)| {
            day += step;
            (day, event)
        });
        dated.filter(|(_, event)| !matches!(event, Event::Issued(_, one) if !issued.insert(one.serial.0))).collect()
    })
}

proptest! {
    #[test]
    fn whoever_asked_on_that_day_was_told_the_same(story in story(), day in 0..200_i64) {
        let until_then: Vec<_> = story.iter().filter(|(on, _)| *on <= day).cloned().collect();
        // Only how it will end is known better today.
        let told = |events: &[(i64, Event)]| -> Vec<Access> {
            asked(day, events).into_iter().map(|access| Access { until: (at(0), Ending::Expired), ..access }).collect()
        };
        prop_assert_eq!(told(&story), told(&until_then));
    }

    /// A second way: a set that certificates come into and go from, day by day.
    #[test]
    fn it_is_what_a_set_holds_that_is_kept_day_by_day(story in story(), day in 0..200_i64) {
        let mut open: BTreeMap<u8, i64> = BTreeMap::new();
        for (_, event) in story.iter().filter(|(on, _)| *on <= day) {
            match event {
                Event::Issued(_, one) => drop(open.insert(one.serial.0[0], one.not_after.unix())),
                Event::Gone(_, print) => drop(open.remove(&print.0[0])),
                Event::Revoked(serial) => drop(open.remove(&serial.0[0])),
                _ => {}
            }
        }
        open.retain(|_, not_after| *not_after >= day * 86_400);
        let told: BTreeSet<u8> = asked(day, &story).iter().map(|access| access.certificate.serial.0[0]).collect();
        prop_assert_eq!(told, open.into_keys().collect());
    }
}
