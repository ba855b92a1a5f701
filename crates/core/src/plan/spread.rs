//! When a certificate is replaced: at one end of its renewal window, spread by a hash so that no fleet renews all at once.

use crate::calendar::OpenHours;
use crate::fleet::Held;
use crate::name::{Serial, SlotId};
use crate::policy::{RenewWhen, Renewal};
use crate::time::Timestamp;

/// The time before expiry in which one certificate may be replaced. Whole seconds throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    closes: Timestamp,
    seconds: u64,
}

impl Window {
    /// Takes the window that policy asks for, but at most two thirds of the life that the certificate really got: whatever
    /// validity an authority returns, its replacement is due no earlier than a third of a life after `issued_at`.
    pub fn of(held: &Held, issued_at: Option<Timestamp>, renewal: Renewal) -> Self {
        let born = issued_at.map_or(held.not_before, |issued| issued.max(held.not_before));
        let life = held.not_after.since(born).as_secs();
        Self { closes: held.not_after, seconds: renewal.window.as_secs().min(life / 3 * 2) }
    }

    /// The moment from which on this certificate is due: the same for every question, so what is due stays due.
    ///
    /// Early: spread over the first third of the window. Late: spread over the last four tenths but for the last one, then
    /// moved into the opening hours before, so that somebody is there and the PC is switched on.
    pub fn due(self, when: RenewWhen, hours: &OpenHours<'_>, slot: &SlotId, serial: Serial) -> Timestamp {
        let lot = draw(slot, serial);
        match when {
            RenewWhen::Early => plus(self.opens(), lot % (self.seconds / 3 + 1)),
            RenewWhen::Late => {
                let from = minus(self.closes, self.seconds / 5 * 2);
                let length = self.last_call().since(from).as_secs();
                self.open_moment(plus(from, lot % (length + 1)), hours, mix(lot))
            }
        }
    }

    /// When it gets so late that other replacements do not matter any more: a tenth of the window before expiry.
    pub fn last_call(self) -> Timestamp {
        minus(self.closes, self.seconds / 10)
    }

    fn opens(self) -> Timestamp {
        minus(self.closes, self.seconds)
    }

    /// The moment itself if the clinic is open then; else one within the open hours before it, not all at closing time.
    fn open_moment(self, moment: Timestamp, hours: &OpenHours<'_>, lot: u64) -> Timestamp {
        if hours.is_open(moment) {
            return moment;
        }
        hours.session_before(moment, moment.since(self.opens())).map_or(moment, |session| {
            let length = session.last.since(session.first).as_secs();
            plus(session.first, lot % (length + 1))
        })
    }
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
