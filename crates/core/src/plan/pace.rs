//! *Pace*: looks at all slots together and turns reasons into actions, or into holds that say what they wait for.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::fleet::{Desired, Observed, ObservedDevice};
use crate::name::{AccountName, SlotId};
use crate::plan::check::{Case, Judged};
use crate::plan::quota::{Ledger, Wish};
use crate::plan::{Action, Obstacle, Reason, installers, over};
use crate::time::{DAY, HOUR, Timestamp};

/// A device that was not heard for longer than this is silent.
pub const SILENT_AFTER: Duration = DAY;

/// A clock that is further off than this is wrong: a fresh certificate begins five minutes in the past, for smaller errors.
pub const CLOCK_TOLERANCE_SECONDS: u64 = 300;

/// The circuit breaker: so many issuances into one slot within [`BREAKER_SPAN`], and no more.
const BREAKER_LIMIT: usize = 3;
const BREAKER_SPAN: Duration = HOUR;

/// What an action waits for, and until when if time alone can end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    pub because: Obstacle,
    pub until: Option<Timestamp>,
}

/// Gives the actions, in order, and the next moment at which they could change by themselves.
pub(super) fn pace<'a>(
    desired: &'a Desired,
    observed: &Observed,
    judged: &[Judged<'a>],
    now: Timestamp,
) -> (Vec<Action>, Option<Timestamp>) {
    let mut pacer = Pacer {
        ledger: Ledger::open(desired, observed, now),
        places: Places { at_once: desired.replace_at_once, ..Places::default() },
        alarm: Alarm { now, next: None },
        accounts: &desired.accounts,
        taken_back: over::loose_of_the_gone(desired, observed, now),
        issued: Vec::new(),
        held: Vec::new(),
    };
    let mut needs = Vec::new();
    for Judged { case, reason } in judged {
        pacer.alarm.set_for(case, *reason);
        pacer.count(case);
        if pacer.settle(case, *reason) == Settled::NeedsCertificate {
            needs.extend(reason.map(|reason| (reason, case)));
        }
    }
    pacer.ledger.reserve(judged);
    needs.sort_by_key(|(reason, case)| urgency(case, *reason));
    for (reason, case) in needs {
        pacer.issue_or_hold(case, reason);
    }
    pacer.alarm.set(pacer.ledger.holds_until());
    let mut actions = pacer.taken_back;
    actions.append(&mut pacer.issued);
    for action in installers::decide(desired, observed, judged, now) {
        if let Action::KeepInstaller { until, .. } = &action {
            pacer.alarm.set(*until);
        }
        actions.push(action);
    }
    actions.append(&mut pacer.held);
    (actions, pacer.alarm.next)
}

/// In which order slots are given what they need: by reason, then by what expires first.
pub(super) fn urgency<'a>(case: &Case<'a>, reason: Reason) -> (Reason, Option<Timestamp>, &'a SlotId) {
    (reason, case.newest().map(|newest| newest.not_after), case.slot)
}

/// True if this slot has to be ordered a certificate: nothing that policy asks for is under way.
pub(super) fn needs_certificate(case: &Case<'_>, reason: Reason) -> bool {
    let is_lack = match reason {
        Reason::Missing
        | Reason::Revoked
        | Reason::Expired
        | Reason::Exposed
        | Reason::RenewalAsked
        | Reason::Outdated
        | Reason::ExpiresSoon => true,
        Reason::Unwanted
        | Reason::NotEnrolled
        | Reason::DeviceRevoked
        | Reason::Ordered
        | Reason::NotInstalled
        | Reason::NotProven
        | Reason::DependantsOpen
        | Reason::NotBackedUp
        | Reason::Leftover => false,
    };
    is_lack && case.seen.order.is_none()
}

/// What one plan has decided so far, and what it may still spend.
struct Pacer<'a> {
    ledger: Ledger<'a>,
    /// Accounts whose person is there.
    accounts: &'a BTreeSet<AccountName>,
    places: Places,
    alarm: Alarm,
    taken_back: Vec<Action>,
    issued: Vec<Action>,
    held: Vec<Action>,
}

/// Whether a slot is dealt with.
#[derive(PartialEq, Eq)]
enum Settled {
    Yes,
    NeedsCertificate,
}

impl Pacer<'_> {
    /// Counts what is under way in a slot against quotas and places.
    fn count(&mut self, case: &Case<'_>) {
        let stays = case.wanted.is_some() && case.device.is_none_or(|device| !device.revoked);
        self.ledger.count(case, stays);
        if stays && case.is_replacing() {
            self.places.take(is_awake(case));
        }
    }

    /// Does everything about a slot that does not depend on other slots.
    fn settle(&mut self, case: &Case<'_>, reason: Option<Reason>) -> Settled {
        let Some(reason) = reason else { return Settled::Yes };
        match reason {
            Reason::Unwanted | Reason::DeviceRevoked => self.withdraw(case, reason),
            Reason::NotEnrolled => self.hold(case, reason, wait_for_device(case)),
            Reason::Leftover => {
                if !self.retire_leftovers(case) {
                    self.hold(case, reason, wait_for_device(case));
                }
            }
            Reason::DependantsOpen => {
                self.retire_leftovers(case);
                self.hold(case, reason, Wait { because: Obstacle::Dependants, until: None });
            }
            Reason::NotBackedUp => {
                self.retire_leftovers(case);
                self.hold(case, reason, Wait { because: Obstacle::BackupTarget(case.backups()), until: None });
            }
            Reason::Ordered
            | Reason::NotInstalled
            | Reason::NotProven
            | Reason::Missing
            | Reason::Revoked
            | Reason::Expired
            | Reason::Exposed
            | Reason::RenewalAsked
            | Reason::Outdated
            | Reason::ExpiresSoon => {
                self.retire_leftovers(case);
                return self.follow(case, reason);
            }
        }
        Settled::Yes
    }

    /// Waits for what is on its way, if it is still what policy asks for.
    fn follow(&mut self, case: &Case<'_>, reason: Reason) -> Settled {
        match &case.seen.order {
            Some(order) if !case.asks_for(&order.template, order.account.as_ref()) => {
                self.taken_back.push(Action::Cancel { slot: case.slot.clone(), because: Reason::Outdated });
            }
            None if needs_certificate(case, reason) => return Settled::NeedsCertificate,
            Some(_) if case.waits_for_person() => self.hold(case, reason, Wait { because: Obstacle::VendorFile, until: None }),
            _ => self.hold(case, reason, wait_for_device(case)),
        }
        Settled::Yes
    }

    /// Takes back everything that a slot holds or awaits.
    fn withdraw(&mut self, case: &Case<'_>, because: Reason) {
        let slot = case.slot;
        if case.seen.order.is_some() {
            self.taken_back.push(Action::Cancel { slot: slot.clone(), because });
        }
        let alive = case.seen.certificates.iter().filter(|held| !held.revoked && !held.is_expired(case.now));
        self.taken_back.extend(alive.map(|held| Action::Revoke { slot: slot.clone(), serial: held.serial, because }));
        let there = case.seen.certificates.iter().filter(|held| case.hears() && !case.seen.retiring.contains(&held.serial));
        let retired_before = self.taken_back.len();
        self.taken_back.extend(there.map(|held| Action::Retire { slot: slot.clone(), serial: held.serial, because }));
        let is_waiting = self.taken_back.len() == retired_before && !case.seen.certificates.is_empty();
        if is_waiting || because == Reason::DeviceRevoked {
            self.hold(case, because, wait_for_device(case));
        }
    }

    /// Orders leftovers off the device; true if there were any that it was not told about.
    fn retire_leftovers(&mut self, case: &Case<'_>) -> bool {
        let over = case.leftovers().filter(|held| over::is_over(self.accounts, held, case.now));
        let revoked = over.map(|held| Action::Revoke { slot: case.slot.clone(), serial: held.serial, because: Reason::Leftover });
        self.taken_back.extend(revoked);
        let before = self.taken_back.len();
        let told = |serial| case.seen.retiring.contains(serial);
        self.taken_back.extend(case.leftovers().filter(|held| !told(&held.serial)).map(|held| Action::Retire {
            slot: case.slot.clone(),
            serial: held.serial,
            because: if held.revoked { Reason::Revoked } else { Reason::Leftover },
        }));
        self.taken_back.len() > before
    }

    /// Orders a certificate, unless something stands in the way.
    fn issue_or_hold(&mut self, case: &Case<'_>, reason: Reason) {
        let Some(wanted) = case.wanted else { return };
        let own = wrong_clock(case).or_else(|| too_often(case));
        let wish = Wish::of(case, reason);
        let shared = || self.ledger.obstacle(case, wish).or_else(|| self.places.obstacle(case, reason));
        if let Some(wait) = own.or_else(shared) {
            return self.hold(case, reason, wait);
        }
        self.ledger.take_for(case, wanted.account.as_ref(), wish);
        if case.works() && !case.is_replacing() && !case.waits_for_person() {
            self.places.take(is_awake(case));
        }
        self.issued.push(Action::Issue {
            slot: case.slot.clone(),
            because: reason,
            template: wanted.template.clone(),
            account: wanted.account.clone(),
            replaces: case.seen.certificates.iter().map(|held| held.serial).filter(|serial| !case.seen.retiring.contains(serial)).collect(),
        });
    }

    fn hold(&mut self, case: &Case<'_>, reason: Reason, wait: Wait) {
        self.alarm.set(wait.until);
        self.held.push(Action::Hold { slot: case.slot.clone(), reason, because: wait.because, until: wait.until });
    }
}

/// How many replacements of working certificates are under way.
///
/// A device that is asleep, its clock wrong or its agent silent, keeps its place from others that are asleep, so that a clinic
/// does not come back from its holidays with every PC replacing at once; but it never keeps those waiting that are awake.
#[derive(Default)]
struct Places {
    at_once: u32,
    awake: u32,
    asleep: u32,
}

impl Places {
    fn take(&mut self, is_awake: bool) {
        *(if is_awake { &mut self.awake } else { &mut self.asleep }) += 1;
    }

    /// Says whether a replacement has to wait for others. What does not work any more never does, nor what expires at once.
    fn obstacle(&self, case: &Case<'_>, reason: Reason) -> Option<Wait> {
        let is_replacement = matches!(reason, Reason::Exposed | Reason::RenewalAsked | Reason::Outdated | Reason::ExpiresSoon);
        let can_wait = is_replacement && case.works() && !case.is_replacing();
        let can_wait = can_wait && !case.waits_for_person();
        let last_call = case.turn.map(|turn| turn.last_call).filter(|last_call| case.now < *last_call);
        let taken = if is_awake(case) { self.awake } else { self.awake + self.asleep };
        let must_wait = can_wait && last_call.is_some() && taken >= self.at_once;
        must_wait.then_some(Wait { because: Obstacle::OthersFirst, until: last_call })
    }
}

/// Keeps the earliest moment at which a plan could change by itself.
struct Alarm {
    now: Timestamp,
    next: Option<Timestamp>,
}

impl Alarm {
    fn set(&mut self, moment: Option<Timestamp>) {
        self.next = self.next.into_iter().chain(moment.filter(|moment| *moment > self.now)).min();
    }

    /// Validity begins and ends, renewal falls due, a device that is waited for falls silent.
    fn set_for(&mut self, case: &Case<'_>, reason: Option<Reason>) {
        for held in &case.seen.certificates {
            self.set(Some(held.not_before));
            self.set(Some(held.not_after.after(SECOND)));
        }
        match reason {
            None
            | Some(
                Reason::DependantsOpen | Reason::NotBackedUp | Reason::Leftover | Reason::Exposed | Reason::RenewalAsked | Reason::Outdated,
            ) => {
                self.set(case.turn.map(|turn| turn.due));
            }
            Some(_) => {}
        }
        if reason.is_some() {
            self.set(case.device.map(|device| device.last_seen.after(SILENT_AFTER + SECOND)));
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// What a slot waits for when it is the device's turn.
fn wait_for_device(case: &Case<'_>) -> Wait {
    let because = match case.device {
        None => Obstacle::Enrolment,
        Some(device) if device.revoked => Obstacle::Enrolment,
        Some(device) if is_silent(device, case.now) => Obstacle::SilentDevice,
        Some(device) if is_clock_wrong(device) => Obstacle::WrongClock,
        Some(_) => Obstacle::Device,
    };
    Wait { because, until: None }
}

fn is_awake(case: &Case<'_>) -> bool {
    wait_for_device(case).because == Obstacle::Device
}

fn is_silent(device: &ObservedDevice, now: Timestamp) -> bool {
    now.since(device.last_seen) > SILENT_AFTER
}

fn is_clock_wrong(device: &ObservedDevice) -> bool {
    device.clock_offset.unsigned_abs() > CLOCK_TOLERANCE_SECONDS
}

fn wrong_clock(case: &Case<'_>) -> Option<Wait> {
    case.device.is_some_and(is_clock_wrong).then_some(Wait { because: Obstacle::WrongClock, until: None })
}

fn too_often(case: &Case<'_>) -> Option<Wait> {
    let third_last = case.seen.issued_at.iter().nth_back(BREAKER_LIMIT - 1)?;
    let until = third_last.after(BREAKER_SPAN);
    (until > case.now).then_some(Wait { because: Obstacle::TooOften, until: Some(until) })
}
