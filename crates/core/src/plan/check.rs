//! *Judge*: looks at one slot alone and says what is wrong with it.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use crate::calendar::Rhythm;
use crate::fleet::{Desired, DesiredSlot, Held, Observed, ObservedDevice, ObservedSlot, Progress, Supply, Template};
use crate::name::{AccountName, SlotId};
use crate::plan::spread::Window;
use crate::plan::{Backups, Reason};
use crate::time::Timestamp;

/// Everything that is known about one slot.
pub(super) struct Case<'a> {
    pub slot: &'a SlotId,
    pub wanted: Option<&'a DesiredSlot>,
    pub seen: &'a ObservedSlot,
    pub device: Option<&'a ObservedDevice>,
    /// When the newest certificate is replaced, if there is one and the slot is wanted.
    pub turn: Option<Turn>,
    pub now: Timestamp,
}

/// When a certificate is replaced.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    /// From this moment on.
    pub due: Timestamp,
    /// From this moment on without regard to other replacements.
    pub last_call: Timestamp,
}

/// A case and what was found wrong with it.
pub(super) struct Judged<'a> {
    pub case: Case<'a>,
    pub reason: Option<Reason>,
}

/// The table: one check for each reason, most urgent first. The first that applies is the verdict.
pub(super) const CHECKS: [fn(&Case<'_>) -> Option<Reason>; Reason::ALL.len()] = [
    unwanted,
    not_enrolled,
    device_revoked,
    missing,
    revoked,
    expired,
    ordered,
    not_installed,
    not_proven,
    exposed,
    renewal_asked,
    outdated,
    expires_soon,
    dependants_open,
    not_backed_up,
    leftover,
];

/// Judges every slot that is wanted, or that still holds or awaits something. In the order of the slots.
pub(super) fn judge_all<'a>(desired: &'a Desired, observed: &'a Observed, now: Timestamp) -> Vec<Judged<'a>> {
    let hours = desired.hours.rhythm();
    both(desired, observed).filter_map(|(slot, wanted, seen)| Case::of(slot, wanted, seen, observed, &hours, now)).map(Judged::of).collect()
}

fn unwanted(case: &Case<'_>) -> Option<Reason> {
    case.wanted.is_none().then_some(Reason::Unwanted)
}

fn not_enrolled(case: &Case<'_>) -> Option<Reason> {
    case.device.is_none().then_some(Reason::NotEnrolled)
}

fn device_revoked(case: &Case<'_>) -> Option<Reason> {
    case.device.is_some_and(|device| device.revoked).then_some(Reason::DeviceRevoked)
}

/// A certificate that is on its way off the device is as good as gone.
fn missing(case: &Case<'_>) -> Option<Reason> {
    let gone = |newest: &Held| !newest.revoked && case.seen.retiring.contains(&newest.serial);
    (case.seen.order.is_none() && case.newest().is_none_or(gone)).then_some(Reason::Missing)
}

fn revoked(case: &Case<'_>) -> Option<Reason> {
    case.newest().is_some_and(|newest| newest.revoked).then_some(Reason::Revoked)
}

fn expired(case: &Case<'_>) -> Option<Reason> {
    case.newest().is_some_and(|newest| newest.is_expired(case.now)).then_some(Reason::Expired)
}

fn ordered(case: &Case<'_>) -> Option<Reason> {
    case.seen.order.is_some().then_some(Reason::Ordered)
}

fn not_installed(case: &Case<'_>) -> Option<Reason> {
    case.awaits(Progress::Issued).then_some(Reason::NotInstalled)
}

fn not_proven(case: &Case<'_>) -> Option<Reason> {
    case.awaits(Progress::Installed).then_some(Reason::NotProven)
}

fn exposed(case: &Case<'_>) -> Option<Reason> {
    case.newest().is_some_and(|newest| newest.exposed).then_some(Reason::Exposed)
}

fn renewal_asked(case: &Case<'_>) -> Option<Reason> {
    case.seen.renewal_asked.then_some(Reason::RenewalAsked)
}

fn outdated(case: &Case<'_>) -> Option<Reason> {
    case.newest().is_some_and(|newest| !case.asks_for(&newest.template, newest.account.as_ref())).then_some(Reason::Outdated)
}

fn expires_soon(case: &Case<'_>) -> Option<Reason> {
    case.turn.is_some_and(|turn| turn.due <= case.now).then_some(Reason::ExpiresSoon)
}

fn dependants_open(case: &Case<'_>) -> Option<Reason> {
    case.has_dependants_open().then_some(Reason::DependantsOpen)
}

fn not_backed_up(case: &Case<'_>) -> Option<Reason> {
    (!case.backups().is_enough()).then_some(Reason::NotBackedUp)
}

fn leftover(case: &Case<'_>) -> Option<Reason> {
    case.leftovers().next().map(|_| Reason::Leftover)
}

impl<'a> Judged<'a> {
    pub fn of(case: Case<'a>) -> Self {
        let reason = CHECKS.iter().find_map(|check| check(&case));
        Self { case, reason }
    }
}

impl<'a> Case<'a> {
    /// Gathers what is known about a slot; `None` if it is neither wanted nor holds or awaits anything.
    fn of(
        slot: &'a SlotId,
        wanted: Option<&'a DesiredSlot>,
        seen: Option<&'a ObservedSlot>,
        observed: &'a Observed,
        hours: &Rhythm<'_>,
        now: Timestamp,
    ) -> Option<Self> {
        static NOTHING: ObservedSlot =
            ObservedSlot { certificates: Vec::new(), order: None, retiring: BTreeSet::new(), renewal_asked: false, issued_at: Vec::new() };
        let seen = seen.unwrap_or(&NOTHING);
        if wanted.is_none() && seen.certificates.is_empty() && seen.order.is_none() {
            return None;
        }
        let turn = wanted.zip(seen.certificates.last()).map(|(wanted, newest)| {
            let window = Window::of(newest, seen.issued_at.last().copied(), wanted.renewal, wanted.supply);
            Turn { due: window.due(wanted.renewal.when, hours, slot, newest.serial), last_call: window.last_call() }
        });
        Some(Self { slot, wanted, seen, device: observed.devices.get(&slot.device), turn, now })
    }

    /// The certificate that was issued last.
    pub fn newest(&self) -> Option<&'a Held> {
        self.seen.certificates.last()
    }

    /// True if policy asks for exactly this today.
    pub fn asks_for(&self, template: &Template, account: Option<&AccountName>) -> bool {
        self.wanted.is_some_and(|wanted| template.answers(&wanted.template) && wanted.account.as_ref() == account)
    }

    /// True if a person can sign in with something in this slot, and can go on doing so.
    pub fn works(&self) -> bool {
        self.keeper().is_some()
    }

    /// True if the device is about to replace a certificate that still works. Until a person has brought the vendor's file it is not.
    pub fn is_replacing(&self) -> bool {
        let newest_is_new = self.newest().is_some_and(|newest| newest.progress < Progress::Proven && !newest.revoked);
        let is_ordered = self.seen.order.is_some() && !self.waits_for_person();
        self.wanted.is_some() && self.works() && (is_ordered || newest_is_new)
    }

    /// True if a certificate for this slot is something that a person has to bring.
    pub fn waits_for_person(&self) -> bool {
        match self.wanted.map(|wanted| wanted.supply) {
            Some(Supply::Person) => true,
            Some(Supply::Renewal) => !self.works(),
            Some(Supply::Own) | None => false,
        }
    }

    /// True if something depends on the certificate that works, and nobody has said that it was changed.
    pub fn has_dependants_open(&self) -> bool {
        let newest = self.newest().filter(|newest| newest.is_valid_proof(self.now));
        let open = |newest: &Held| self.wanted.is_some_and(|wanted| wanted.dependants.iter().any(|name| !newest.confirmed.contains(name)));
        newest.is_some_and(open)
    }

    /// In how many of the targets that policy names the newest certificate's file is, as far as there is a file.
    pub fn backups(&self) -> Backups {
        let kept = self.newest().and_then(|newest| newest.backed_up.as_ref());
        self.wanted.zip(kept).map_or_else(Backups::default, |(wanted, kept)| Backups::of(wanted, kept))
    }

    /// Certificates that have no business on the device any more: revoked, or replaced by a newer one that works, in everything that
    /// depends on it too.
    pub fn leftovers(&self) -> impl Iterator<Item = &'a Held> {
        let keeper = self.keeper().filter(|_| !self.has_dependants_open()).unwrap_or(0);
        self.seen.certificates.iter().enumerate().filter(move |(index, held)| held.revoked || *index < keeper).map(|(_, held)| held)
    }

    /// True if the device can be told anything.
    pub fn hears(&self) -> bool {
        self.device.is_some_and(|device| !device.revoked)
    }

    /// Certificates that a plan for a wanted slot leaves on the device: a device that hears nothing keeps its leftovers.
    pub fn stays(&self) -> impl Iterator<Item = &'a Held> {
        let keeper = self.keeper().filter(|_| self.hears() && !self.has_dependants_open()).unwrap_or(0);
        let retiring = &self.seen.retiring;
        self.seen.certificates.iter().skip(keeper).filter(|held| !held.revoked && !retiring.contains(&held.serial))
    }

    /// True if the newest certificate has come only this far, and is worth waiting for.
    fn awaits(&self, progress: Progress) -> bool {
        let worth_it = |newest: &Held| !self.seen.renewal_asked && self.asks_for(&newest.template, newest.account.as_ref());
        self.newest().is_some_and(|newest| newest.progress == progress && worth_it(newest))
    }

    /// The place of the newest certificate that works and is there to stay.
    fn keeper(&self) -> Option<usize> {
        self.seen.certificates.iter().rposition(|held| held.is_valid_proof(self.now) && !self.seen.retiring.contains(&held.serial))
    }
}

/// Walks what is desired and what was observed side by side.
fn both<'a>(
    desired: &'a Desired,
    observed: &'a Observed,
) -> impl Iterator<Item = (&'a SlotId, Option<&'a DesiredSlot>, Option<&'a ObservedSlot>)> {
    let (mut wanted, mut seen) = (desired.slots.iter().peekable(), observed.slots.iter().peekable());
    std::iter::from_fn(move || {
        let first = match (wanted.peek(), seen.peek()) {
            (Some((wanted, _)), Some((seen, _))) => wanted.cmp(seen),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return None,
        };
        let wanted = if first.is_le() { wanted.next() } else { None };
        let seen = if first.is_ge() { seen.next() } else { None };
        let slot = wanted.map(|(slot, _)| slot).or(seen.map(|(slot, _)| slot))?;
        Some((slot, wanted.map(|(_, wanted)| wanted), seen.map(|(_, seen)| seen)))
    })
}
