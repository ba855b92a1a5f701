//! When a certificate is replaced: at one end of its renewal window, spread by a hash so that no fleet renews all at once.

use crate::calendar::{OpenHours, Rhythm, Session};
use crate::fleet::{Held, Supply};
use crate::name::{Serial, SlotId};
use crate::policy::{RenewWhen, Renewal};
use crate::time::Timestamp;

/// The time before expiry in which one certificate may be replaced. Whole seconds throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    closes: Timestamp,
    seconds: u64,
    by_hand: bool,
}

impl Window {
    /// Takes the window that policy asks for, but at most two thirds of the life that the certificate really got: whatever
    /// validity an authority returns, its replacement is due no earlier than a third of a life after `issued_at`.
    pub fn of(held: &Held, issued_at: Option<Timestamp>, renewal: Renewal, supply: Supply) -> Self {
        let born = issued_at.map_or(held.not_before, |issued| issued.max(held.not_before));
        let life = held.not_after.since(born).as_secs();
        let seconds = renewal.window.as_secs().min(life / 3 * 2);
        Self { closes: held.not_after, seconds, by_hand: supply == Supply::Person }
    }

    /// The moment from which on this certificate is due: the same for every question, so what is due stays due.
    ///
    /// Early: spread over the first third of the window. Late: spread over the last four tenths but for the last one, and where a person
    /// has to bring a file, who needs days for it, over the first quarter of the last third; then moved into the opening hours before, so
    /// that somebody is there and the PC is switched on.
    ///
    /// Both are moved into the clinic's quiet hours, if it has any within the window before its last call, and neither waits for the end
    /// of a closed stretch in which the certificate expires. Never later than the last call: no certificate expires for the calendar's
    /// sake.
    pub fn due(self, when: RenewWhen, hours: &Rhythm<'_>, slot: &SlotId, serial: Serial) -> Timestamp {
        let lot = draw(slot, serial);
        let (from, to) = match when {
            RenewWhen::Early => (self.opens(), plus(self.opens(), self.seconds / 3)),
            RenewWhen::Late if self.by_hand => (minus(self.closes, self.seconds / 3), minus(self.closes, self.seconds / 4)),
            RenewWhen::Late => (minus(self.closes, self.seconds / 5 * 2), self.last_call()),
        };
        let moment = plus(from, lot % (to.since(from).as_secs() + 1));
        match hours.quiet.as_ref().and_then(|quiet| self.quiet_moment(moment, to, quiet, mix(lot))) {
            Some(quiet) => quiet,
            None if when == RenewWhen::Late || self.is_closed_from(moment, &hours.open) => self.open_moment(moment, &hours.open, mix(lot)),
            None => moment,
        }
    }

    /// When it gets so late that other replacements do not matter any more: a tenth of the window before expiry.
    pub fn last_call(self) -> Timestamp {
        minus(self.closes, self.seconds / 10)
    }

    fn opens(self) -> Timestamp {
        minus(self.closes, self.seconds)
    }

    /// True if the clinic does not open again before expiry: whoever waits until then finds the PC switched off.
    fn is_closed_from(self, moment: Timestamp, hours: &OpenHours<'_>) -> bool {
        // Asked of every slot in every plan: the usual answers come first.
        !hours.never_closes()
            && !hours.is_open(moment)
            && self.session_before(self.closes, hours).is_none_or(|session| session.last < moment)
    }

    /// The moment itself if the clinic is open then; else one within the open hours before it, not all at closing time.
    fn open_moment(self, moment: Timestamp, hours: &OpenHours<'_>, lot: u64) -> Timestamp {
        if hours.is_open(moment) {
            return moment;
        }
        self.session_before(moment, hours).map_or(moment, |session| within(session, hours, lot))
    }

    /// The moment itself if it is quiet; else one within the quiet hours before it, else before `to`, else before the last call.
    fn quiet_moment(self, moment: Timestamp, to: Timestamp, quiet: &OpenHours<'_>, lot: u64) -> Option<Timestamp> {
        if quiet.is_open(moment) {
            return Some(moment);
        }
        let found = [moment, to, self.last_call()].into_iter().find_map(|latest| self.session_before(latest, quiet));
        found.map(|session| within(session, quiet, lot))
    }

    fn session_before(self, moment: Timestamp, hours: &OpenHours<'_>) -> Option<Session> {
        hours.session_before(moment, moment.since(self.opens()))
    }
}

/// A moment of these hours, so that not everybody comes at their end. Where clocks are put back, hours may have a gap.
fn within(session: Session, hours: &OpenHours<'_>, lot: u64) -> Timestamp {
    let moment = plus(session.first, lot % (session.last.since(session.first).as_secs() + 1));
    if hours.is_open(moment) { moment } else { session.last }
}

fn plus(moment: Timestamp, seconds: u64) -> Timestamp {
    moment.after(std::time::Duration::from_secs(seconds))
}

fn minus(moment: Timestamp, seconds: u64) -> Timestamp {
    moment.before(std::time::Duration::from_secs(seconds))
}

/// A number that slot and serial always draw, on every machine and in every release: FNV-1a over their bytes, mixed.
fn draw(slot: &SlotId, serial: Serial) -> u64 {
    let names = [slot.clinic.as_str(), slot.device.clinic.as_str(), slot.device.device.as_str(), slot.profile.as_str()];
    // No name holds a slash, so different slots never give the same bytes.
    let bytes = names.into_iter().flat_map(|name| name.bytes().chain([b'/'])).chain(serial.0);
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    mix(fnv)
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of the answer depends on every bit of the question.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests;
