//! Promises that hold for every fleet, tried on thousands of small ones drawn at random.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::fixtures::*;
use super::*;
use crate::fleet::{Held, Observed, ObservedDevice, ObservedSlot, Progress, Supply};
use crate::name::Label;
use crate::policy::{Counting, KeyOrigin, Quota, RenewWhen, Renewal};
use crate::simulate::Server;
use crate::time::{DAY, HOUR, MINUTE};

/// Moments around now at which things happen to change: a few days, on the hour, give or take a second.
fn moment() -> impl Strategy<Value = Timestamp> {
    (-72_i64..72, -1_i64..=1).prop_map(|(hours, seconds)| Timestamp::from_unix(NOW.unix() + hours * 3600 + seconds))
}

fn account() -> impl Strategy<Value = Option<AccountName>> {
    prop_oneof![Just(None), Just(Some("reception".parse().unwrap())), Just(Some("doctor".parse().unwrap()))]
}

fn any_template() -> impl Strategy<Value = Template> {
    prop_oneof![4 => Just(template()), 1 => Just(old_template()), 2 => Just(vendors_template())]
}

fn any_held() -> impl Strategy<Value = Held> {
    let progress = prop_oneof![1 => Just(Progress::Issued), 1 => Just(Progress::Installed), 3 => Just(Progress::Proven)];
    let not_after = prop_oneof![1 => moment(), 3 => (1_u32..400).prop_map(|days| NOW.after(days * DAY))];
    (progress, any_template(), account(), moment(), not_after, prop::bool::weighted(0.15), any::<bool>()).prop_map(
        |(progress, template, account, not_before, not_after, revoked, confirmed)| Held {
            confirmed: confirmed.then(tool).into_iter().collect(),
            template,
            account,
            not_before: not_before.min(not_after),
            not_after,
            revoked,
            ..held(0, progress)
        },
    )
}

fn any_slot() -> impl Strategy<Value = ObservedSlot> {
    let ordered = prop::option::weighted(0.3, (any_template(), account()));
    let issued_at = prop::collection::vec((0_u32..90).prop_map(|minutes| NOW.before(minutes * MINUTE)), 0..5);
    (prop::collection::vec(any_held(), 0..4), ordered, any::<[bool; 3]>(), prop::bool::weighted(0.15), issued_at).prop_map(
        |(certificates, ordered, retiring, renewal_asked, mut issued_at)| {
            issued_at.sort_unstable();
            let numbered = certificates.into_iter().zip(1..).map(|(held, number)| Held { serial: crate::simulate::serial(number), ..held });
            let certificates: Vec<Held> = numbered.collect();
            let retiring = certificates.iter().zip(retiring).filter(|(_, retiring)| *retiring).map(|(held, _)| held.serial).collect();
            let order = ordered.map(|(template, account)| crate::fleet::OpenOrder { account, ..order(template) });
            ObservedSlot { certificates, order, retiring, renewal_asked, issued_at }
        },
    )
}

fn any_device() -> impl Strategy<Value = ObservedDevice> {
    let offset = prop_oneof![4 => Just(0), 1 => Just(301), 1 => Just(-315_360_000)];
    let files = prop::collection::btree_set((1_u8..4).prop_map(|number| Sha256([number; 32])), 0..3);
    (moment(), offset, prop::bool::weighted(0.1), files.clone(), files).prop_map(
        |(last_seen, clock_offset, revoked, installers, removing)| ObservedDevice {
            last_seen: last_seen.min(NOW),
            clock_offset,
            revoked,
            installers,
            removing,
            recognized: BTreeMap::new(),
            unknown: BTreeSet::new(),
            quarantining: BTreeSet::new(),
        },
    )
}

fn tool() -> Label {
    "tool".parse().unwrap()
}

/// What policy asks of one slot, now and after a change.
type Wish = (Template, Option<AccountName>, Renewal, bool, bool);

fn any_wish() -> impl Strategy<Value = Option<Wish>> {
    let when = prop_oneof![Just(RenewWhen::Early), Just(RenewWhen::Late)];
    let renewal = (1_u32..100, when).prop_map(|(days, when)| Renewal { window: days * DAY, when });
    prop::option::weighted(0.85, (any_template(), account(), renewal, any::<bool>(), prop::bool::weighted(0.2)))
}

/// No bound, one or several, over minutes or over months.
fn any_quotas() -> impl Strategy<Value = Vec<Quota>> {
    let span = prop_oneof![(1_u32..120).prop_map(|minutes| minutes * MINUTE), (1_u32..400).prop_map(|days| days * DAY)];
    let counting = prop_oneof![Just(Counting::Issued), Just(Counting::Unrevoked)];
    let quota =
        (0_u32..6, prop::option::of(span), counting).prop_map(|(certificates, per, counting)| Quota { certificates, per, counting });
    prop::collection::vec(quota, 0..3)
}

/// A clinic of four devices with two profiles each.
fn any_scene() -> impl Strategy<Value = Scene> {
    let slots = prop::collection::vec((any_wish(), prop::option::of(any_slot())), 8);
    let devices = prop::collection::vec(prop::option::weighted(0.9, any_device()), 4);
    let issued_at = prop::collection::vec((0_u32..200).prop_map(|minutes| NOW.before(minutes * MINUTE)), 0..6);
    (slots, devices, [any_quotas(), any_quotas()], 0_u32..4, issued_at).prop_map(|(slots, devices, quotas, at_once, issued_at)| {
        let mut scene = Scene::of(&[]).at_once(at_once);
        for (index, (wish, seen)) in slots.into_iter().enumerate() {
            let profile = if index % 2 == 0 { "karte" } else { "weborca" };
            let slot: SlotId = format!("sakura/d{}/{profile}", index / 2).parse().unwrap();
            scene.desired.slots.extend(wish.map(|wish| (slot.clone(), wished(wish))));
            scene.observed.slots.extend(seen.map(|seen| (slot, with_own_serials(seen, index as u64))));
        }
        for (index, facts) in devices.into_iter().enumerate() {
            scene.observed.devices.extend(facts.map(|facts| (device(&format!("d{index}")), facts)));
        }
        for (name, quota) in ["reception", "doctor"].into_iter().zip(quotas) {
            let name: AccountName = name.parse().unwrap();
            scene.observed.accounts.entry(name.clone()).or_default().issued_at = issued_at.clone();
            scene.desired.quotas.extend((!quota.is_empty()).then_some((name, quota)));
        }
        let server = Server::knowing(&clinic(), scene.observed.clone());
        Scene { observed: server.observed(&clinic(), NOW), ..scene }
    })
}

/// A clinic of six devices, some of which have a certificate and will renew it, and others never had one; all under one account whose
/// rolling quotas are nearly used up.
fn crowded_scene() -> impl Strategy<Value = Scene> {
    let device = prop::option::weighted(0.6, 1_u32..300);
    let span = (10_u32..400).prop_map(|days| days * DAY);
    let quotas = prop::collection::vec((1_u32..9, span), 1..3);
    (prop::collection::vec(device, 6), quotas, prop::collection::vec(0_u32..300, 0..6), 1_u32..90).prop_map(
        |(devices, quotas, issued, window)| {
            let names = ["d1", "d2", "d3", "d4", "d5", "d6"];
            let mut scene = Scene::of(&names);
            for ((name, left), number) in names.iter().zip(devices).zip(1..) {
                if let Some(days) = left {
                    scene = scene.holds(name, [expiring_in(number, days * DAY)]);
                }
            }
            let mut scene = scene.quota(0, None);
            let bound = |(certificates, per)| Quota { certificates, per: Some(per), counting: Counting::Issued };
            scene.desired.quotas.insert("reception".parse().unwrap(), quotas.into_iter().map(bound).collect());
            scene.desired.slots.values_mut().for_each(|slot| slot.renewal.window = window * DAY);
            let account = scene.observed.accounts.get_mut(&"reception".parse().unwrap()).unwrap();
            account.issued_at = issued.into_iter().map(|days| NOW.before(days * DAY)).collect();
            scene
        },
    )
}

fn wished((template, account, renewal, renews, has_dependant): Wish) -> crate::fleet::DesiredSlot {
    let supply = match template.key {
        KeyOrigin::Device(_) => Supply::Own,
        KeyOrigin::Vendor if renews => Supply::Renewal,
        KeyOrigin::Vendor => Supply::Person,
    };
    let dependants = has_dependant.then(tool).into_iter().collect();
    crate::fleet::DesiredSlot { template, account, renewal, supply, dependants, ..wanted() }
}

fn with_own_serials(mut seen: ObservedSlot, slot: u64) -> ObservedSlot {
    let own = |serial: Serial| crate::simulate::serial(u64::from(serial.0[15]) + 10 * (slot + 1));
    seen.certificates.iter_mut().for_each(|held| held.serial = own(held.serial));
    seen.retiring = seen.retiring.into_iter().map(own).collect();
    seen
}

fn clinic() -> crate::name::ClinicName {
    "sakura".parse().unwrap()
}

/// The fleet after a plan was carried out, and before any device has moved.
fn carried_out(observed: &Observed, actions: &[Action]) -> Observed {
    let mut server = Server::knowing(&clinic(), observed.clone());
    actions.iter().for_each(|action| server.carry_out(action, NOW));
    server.observed(&clinic(), NOW)
}

fn is_hold(action: &Action) -> bool {
    action.is_waiting()
}

/// The slots in which somebody can sign in at all these moments, with nothing but what is on the device then.
fn working(desired: &Desired, observed: &Observed, moments: &[Timestamp]) -> BTreeSet<SlotId> {
    let opens = |seen: &ObservedSlot| {
        let left = seen.certificates.iter().filter(|held| !seen.retiring.contains(&held.serial));
        left.filter(|held| moments.iter().all(|moment| held.is_valid_proof(*moment))).count() > 0
    };
    let open = observed.slots.iter().filter(|(slot, seen)| desired.slots.contains_key(*slot) && opens(seen));
    open.map(|(slot, _)| slot.clone()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    /// Until `wake_at`, the same observations give the same plan; so nothing is missed by sleeping until then.
    #[test]
    fn nothing_changes_before_wake_at(scene in prop_oneof![2 => any_scene(), 1 => crowded_scene()], fraction in 0.0_f64..1.0) {
        let plan = scene.plan();
        let last = plan.wake_at.map_or(NOW.after(4_000 * DAY), |wake_at| wake_at.before(Duration::from_secs(1)));
        prop_assert!(last >= NOW, "wake_at does not lie ahead");
        let between = Timestamp::from_unix(NOW.unix() + ((last.unix() - NOW.unix()) as f64 * fraction) as i64);
        for now in [between, last] {
            let later = Scene { now, ..scene.clone() }.plan();
            prop_assert_eq!(&later.actions, &plan.actions, "at {}", now);
            prop_assert_eq!(&later.verdicts, &plan.verdicts, "at {}", now);
        }
    }

    /// A plan that was carried out leaves nothing to do; only a slot whose order was taken back is ordered anew.
    #[test]
    fn a_plan_that_was_carried_out_is_not_made_again(scene in any_scene()) {
        let first = scene.plan();
        let observed = carried_out(&scene.observed, &first.actions);
        let second = Scene { observed, ..scene.clone() }.plan();
        let has_cancelled = first.actions.iter().any(|action| matches!(action, Action::Cancel { .. }));
        let is_allowed = |action: &Action| is_hold(action) || (has_cancelled && matches!(action, Action::Issue { .. }));
        prop_assert!(second.actions.iter().all(is_allowed), "{:?}\n{:?}", first.actions, second.actions);

        let observed = carried_out(&Scene { observed: carried_out(&scene.observed, &first.actions), ..scene.clone() }.observed, &second.actions);
        let third = Scene { observed, ..scene }.plan();
        prop_assert!(third.actions.iter().all(is_hold), "{:?}\n{:?}", second.actions, third.actions);
    }

    /// Where somebody can sign in and policy wants the slot, no plan takes the last certificate that works.
    #[test]
    fn a_plan_never_breaks_what_works(scene in any_scene()) {
        let is_lost = |slot: &SlotId| scene.observed.devices.get(&slot.device).is_some_and(|device| device.revoked);
        let before: BTreeSet<_> = working(&scene.desired, &scene.observed, &[NOW]).into_iter().filter(|slot| !is_lost(slot)).collect();
        let after = working(&scene.desired, &carried_out(&scene.observed, &scene.plan().actions), &[NOW]);
        prop_assert!(before.is_subset(&after), "{before:?} {after:?}");
    }

    /// T1: no slot is ordered a fourth certificate within an hour, nor a second order while one is open.
    #[test]
    fn t1_a_slot_is_issued_to_at_most_three_times_an_hour(scene in any_scene()) {
        for action in scene.plan().actions {
            let Action::Issue { slot, .. } = action else { continue };
            let nothing = ObservedSlot::default();
            let seen = scene.observed.slots.get(&slot).unwrap_or(&nothing);
            prop_assert!(seen.order.is_none());
            prop_assert!(seen.issued_at.iter().filter(|at| at.after(HOUR) > NOW).count() < 3);
        }
    }

    /// Quotas hold, whatever is ordered together; a quota that was exceeded before is not exceeded further.
    #[test]
    fn a_rolling_quota_is_never_exceeded(scene in prop_oneof![any_scene(), crowded_scene()]) {
        let actions = scene.plan().actions;
        for (name, quota) in scene.desired.quotas.iter().flat_map(|(name, quotas)| quotas.iter().map(move |quota| (name, quota))) {
            let Some(span) = quota.per else { continue };
            let seen = &scene.observed.accounts[name];
            let counted = if quota.counting == Counting::Unrevoked { &seen.unrevoked_at } else { &seen.issued_at };
            let issued = counted.iter().filter(|at| at.after(span) > NOW).count();
            let new = actions.iter().filter(|action| matches!(action, Action::Issue { account: Some(account), .. } if account == name)).count();
            prop_assert!(new == 0 || issued + new <= quota.certificates as usize);
        }
    }

    /// Seats: what is alive and what is ordered together never take more than the bound, unless they did before this plan.
    #[test]
    fn a_quota_of_living_certificates_is_never_exceeded(scene in any_scene()) {
        let actions = scene.plan().actions;
        for (name, quotas) in &scene.desired.quotas {
            let of = |account: &Option<AccountName>| account.as_ref() == Some(name);
            let new: BTreeSet<&SlotId> = actions.iter().filter_map(|action| match action {
                Action::Issue { slot, account, .. } if of(account) => Some(slot),
                _ => None,
            }).collect();
            // The order that is taken back to be placed anew keeps its seat.
            let renewed = |slot: &SlotId| {
                let is_it = |action: &Action| matches!(action, Action::Cancel { slot: of, because: Reason::Outdated } if of == slot);
                actions.iter().any(is_it) && scene.observed.slots[slot].order.as_ref().is_some_and(|order| of(&order.account))
            };
            let seated = |slot: &SlotId, seen: &ObservedSlot| {
                let alive = seen.certificates.iter().any(|held| of(&held.account) && !held.revoked && !held.is_expired(NOW));
                alive || seen.order.as_ref().is_some_and(|order| of(&order.account)) || renewed(slot)
            };
            let after = carried_out(&scene.observed, &actions);
            let seats = after.slots.iter().filter(|(slot, seen)| seated(slot, seen)).count();
            let had = |slot: &&&SlotId| scene.observed.slots.get(**slot).is_some_and(|seen| seated(slot, seen));
            let newly_seated = new.iter().filter(|slot| !had(slot)).count();
            for quota in quotas.iter().filter(|quota| quota.per.is_none() && newly_seated > 0) {
                prop_assert!(seats <= quota.certificates as usize, "{seats} {quota:?} {actions:?}");
            }
        }
    }

    /// Against brute force: whoever never had a certificate is given one only if every renewal that is due or will be still finds room,
    /// under each bound, before its last call.
    #[test]
    fn a_new_slot_never_starves_a_renewal(scene in prop_oneof![any_scene(), crowded_scene()]) {
        let plan = scene.plan();
        for (name, quotas) in &scene.desired.quotas {
            let of = |slot: &SlotId| scene.desired.slots.get(slot).is_some_and(|wanted| wanted.account.as_ref() == Some(name));
            let blank = |slot: &SlotId| scene.observed.slots.get(slot).is_none_or(|seen| seen.certificates.is_empty() && seen.issued_at.is_empty());
            let issued: BTreeSet<&SlotId> = plan.actions.iter().filter_map(|action| match action {
                Action::Issue { slot, .. } if of(slot) => Some(slot),
                _ => None,
            }).collect();
            if !issued.iter().any(|slot| blank(slot)) {
                continue;
            }
            // What counts in each bound from now on: what was issued, what was ordered before, what this plan orders.
            let seen = &scene.observed.accounts[name];
            let hears = |slot: &SlotId| scene.observed.devices.get(&slot.device).is_some_and(|device| !device.revoked);
            let is_open = |slot: &SlotId, seen: &ObservedSlot| {
                let stays = scene.desired.slots.contains_key(slot) && scene.observed.devices.get(&slot.device).is_none_or(|device| !device.revoked);
                stays && seen.order.as_ref().is_some_and(|order| order.account.as_ref() == Some(name))
            };
            let open = scene.observed.slots.iter().filter(|(slot, seen)| is_open(slot, seen)).count();
            let mut times: Vec<Vec<Timestamp>> = quotas.iter().map(|quota| {
                let counted = if quota.counting == Counting::Unrevoked { &seen.unrevoked_at } else { &seen.issued_at };
                counted.iter().copied().chain(std::iter::repeat_n(NOW, open + issued.len())).collect()
            }).collect();
            let mut renewals: Vec<Outlook> = outlooks(&scene.desired, &scene.observed, NOW).into_iter()
                .filter(|(slot, _)| of(slot) && hears(slot) && !issued.contains(slot) && scene.observed.slots[slot].order.is_none())
                .filter(|(slot, _)| plan.verdicts[slot] != Some(Reason::Missing))
                .map(|(_, outlook)| outlook).collect();
            renewals.sort_by_key(|outlook| (outlook.due, outlook.last_call));
            for outlook in renewals.iter().filter(|outlook| outlook.due > NOW) {
                let mut at = outlook.due.max(NOW);
                loop {
                    let full = quotas.iter().zip(&times).filter_map(|(quota, times)| {
                        let span = quota.per?;
                        let mut within: Vec<Timestamp> = times.iter().copied().filter(|time| time.after(span) > at).collect();
                        within.sort_unstable();
                        let surplus = (within.len() + 1).checked_sub(quota.certificates as usize)?;
                        (surplus > 0).then(|| within[surplus - 1].after(span))
                    }).max();
                    match full {
                        Some(later) => at = later,
                        None => break,
                    }
                }
                prop_assert!(at <= outlook.last_call, "{name}: due {}, last call {}, room {at}", outlook.due, outlook.last_call);
                times.iter_mut().for_each(|times| times.push(at));
            }
        }
    }

    /// What is said to find no place would wait, and everything else would not: the statement and the plan agree.
    #[test]
    fn statements_agree_with_the_plan(scene in prop_oneof![any_scene(), crowded_scene()]) {
        let statements = statements(&scene.desired, &scene.observed, NOW);
        let short: BTreeSet<SlotId> = statements.values().flat_map(|statement| &statement.short).map(|short| short.slot.clone()).collect();
        let quota = |action: &Action| match action {
            Action::Hold { slot, because: Obstacle::Quota, .. } => Some(slot.clone()),
            _ => None,
        };
        let actions = scene.plan().actions;
        let issued = actions.iter().filter_map(|action| if let Action::Issue { slot, .. } = action { Some(slot) } else { None });
        prop_assert!(issued.clone().all(|slot| !short.contains(slot) || scene.plan().actions.iter().any(|action| matches!(action,
            Action::Hold { because: Obstacle::OthersFirst | Obstacle::WrongClock | Obstacle::TooOften, .. }))), "{short:?} {actions:?}");
        let held: BTreeSet<SlotId> = actions.iter().filter_map(quota).collect();
        prop_assert!(held.is_subset(&short), "{held:?} {short:?}");
    }

    /// Against brute force: carry out the plans for both policies, and see what is left on the devices a day later.
    #[test]
    fn locked_out_agrees_with_brute_force(scene in any_scene(), wishes in prop::collection::vec(any_wish(), 8)) {
        let mut after = scene.clone();
        for (slot, wish) in scene.observed.slots.keys().zip(wishes) {
            after.desired.slots.remove(slot);
            after.desired.slots.extend(wish.map(|wish| (slot.clone(), wished(wish))));
        }
        let moments = [NOW, NOW.after(DAY)];
        let left = |scene: &Scene| working(&scene.desired, &carried_out(&scene.observed, &scene.plan().actions), &moments);
        let expected: BTreeSet<_> = left(&scene).difference(&left(&after)).map(|slot| slot.device.clone()).collect();
        prop_assert_eq!(locked_out(&scene.desired, &after.desired, &scene.observed, NOW), expected);
    }
}
