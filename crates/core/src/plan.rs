//! The first brain: compares what policy desires with what agents observe, and plans the difference.
//!
//! Two movements: *judge* looks at every slot alone, by an ordered table of tiny checks; *pace* looks at them
//! together and turns reasons into actions, or into holds that say what they wait for.

mod check;
mod forecast;
mod installers;
mod lockout;
mod outlook;
mod over;
mod pace;
mod quota;
mod spread;
mod statement;

use std::collections::{BTreeMap, BTreeSet};

pub use lockout::locked_out;
pub use outlook::{Outlook, outlooks};
pub use over::{Leaving, leaving};
pub use pace::{CLOCK_TOLERANCE_SECONDS, SILENT_AFTER};
pub use statement::{Pressure, Short, Spare, Standing, Statement, TIGHT_FROM_PERCENT, Useless, statements};

use crate::fleet::{Desired, DesiredSlot, Observed, Template};
use crate::name::{AccountName, DeviceId, Serial, Sha256, SlotId, TargetName};
use crate::time::Timestamp;

/// What one clinic needs, and when to look again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What to do, in order: what is taken back, what is ordered (most urgent first), installer files, and what is held.
    pub actions: Vec<Action>,
    /// Why each slot is not right; `None` is a slot that is: its certificate is proven and nothing is due.
    pub verdicts: BTreeMap<SlotId, Option<Reason>>,
    /// The next moment at which the answer could change by itself: until then the same arguments give the same actions.
    /// Whoever carries actions out looks again at once, whatever this says, for then the arguments have changed.
    pub wake_at: Option<Timestamp>,
}

/// Why a slot is not right. Ordered by urgency: the first that applies is the one that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Policy does not ask for it any more, but there is still a certificate or an order.
    Unwanted,
    /// Its device has not enrolled.
    NotEnrolled,
    /// Its device's identity was revoked.
    DeviceRevoked,
    /// There was never a certificate, and none is ordered.
    Missing,
    /// Its newest certificate was revoked.
    Revoked,
    /// Its newest certificate has expired.
    Expired,
    /// An order is open: the device is making its key, or its request is on the way.
    Ordered,
    /// A certificate is signed, but the device has not installed it.
    NotInstalled,
    /// A certificate is installed, but has not answered over a real handshake.
    NotProven,
    /// The file that its certificate came in was removed from a PC and has come back: it may be in other hands.
    Exposed,
    /// A replacement was asked for: by a person, or by the device because the certificate is not where it belongs.
    RenewalAsked,
    /// The certificate does not say what policy says today.
    Outdated,
    /// The certificate is in its renewal window, and its turn has come.
    ExpiresSoon,
    /// The certificate works, but nobody has said yet that what depends on it was changed too.
    DependantsOpen,
    /// The certificate works, but a backup of its file that policy asks for is not where it belongs, or was not read back lately.
    NotBackedUp,
    /// A certificate that was replaced or revoked is still on the device.
    Leftover,
}

impl Reason {
    /// Every reason, most urgent first.
    pub const ALL: [Self; 16] = [
        Self::Unwanted,
        Self::NotEnrolled,
        Self::DeviceRevoked,
        Self::Missing,
        Self::Revoked,
        Self::Expired,
        Self::Ordered,
        Self::NotInstalled,
        Self::NotProven,
        Self::Exposed,
        Self::RenewalAsked,
        Self::Outdated,
        Self::ExpiresSoon,
        Self::DependantsOpen,
        Self::NotBackedUp,
        Self::Leftover,
    ];
}

/// One thing to do, or one thing knowingly not done yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Order a certificate: the device is told to make a key and to send a request.
    Issue {
        /// Where it goes.
        slot: SlotId,
        /// Why.
        because: Reason,
        /// What it must say.
        template: Template,
        /// The account it counts against.
        account: Option<AccountName>,
        /// The certificates that go once the new one is proven.
        replaces: Vec<Serial>,
    },
    /// Take an order back that nobody needs any more.
    Cancel {
        /// The slot it was for.
        slot: SlotId,
        /// Why.
        because: Reason,
    },
    /// Declare a certificate invalid, in the revocation list.
    Revoke {
        /// The slot it was for.
        slot: SlotId,
        /// The certificate.
        serial: Serial,
        /// Why.
        because: Reason,
    },
    /// Have the device remove a certificate and its key now.
    Retire {
        /// The slot it is in.
        slot: SlotId,
        /// The certificate.
        serial: Serial,
        /// Why.
        because: Reason,
    },
    /// Have the device remove an installer file, wherever it lies in the folders that agents look at.
    RemoveInstaller {
        /// The device.
        device: DeviceId,
        /// SHA-256 of the file.
        sha256: Sha256,
    },
    /// Have the device move a file with a private key, that nobody has put on record, out of the way. It is not deleted.
    QuarantineInstaller {
        /// The device.
        device: DeviceId,
        /// SHA-256 of the file.
        sha256: Sha256,
    },
    /// An installer file that is knowingly left where it lies for now.
    KeepInstaller {
        /// The device.
        device: DeviceId,
        /// SHA-256 of the file.
        sha256: Sha256,
        /// Why.
        because: Keeping,
        /// Until when, if time alone can end it.
        until: Option<Timestamp>,
    },
    /// Knowingly not done yet.
    Hold {
        /// The slot.
        slot: SlotId,
        /// What is wrong with it.
        reason: Reason,
        /// What it waits for.
        because: Obstacle,
        /// When to look again, if time alone can change it.
        until: Option<Timestamp>,
    },
}

impl Action {
    /// True for what is knowingly not done: it is shown to whoever asks, and changes nothing.
    pub fn is_waiting(&self) -> bool {
        matches!(self, Self::Hold { .. } | Self::KeepInstaller { .. })
    }
}

/// Why an installer file stays for now, although policy has such files removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keeping {
    /// Policy spares it until a certain day.
    Exempt,
    /// Not every certificate of the clinic on this device is proven, and kept where policy wants backups.
    NotSafe,
    /// It is known by a certificate in it, and may be the only copy of that key: the slot does not prove that nobody needs it.
    Needed,
    /// It is known by a certificate of another clinic. It is told, and stays.
    OtherClinic,
    /// It is not on record, and a person is to bring a vendor's file for this device: it may be that one.
    Awaited,
}

/// What a held action waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Obstacle {
    /// Someone has to enrol the device.
    Enrolment,
    /// The device itself: it was told, and has not answered yet.
    Device,
    /// A device that has not been heard for a day.
    SilentDevice,
    /// A device whose clock is more than five minutes off.
    WrongClock,
    /// Certificates of the account that have to go first.
    Quota,
    /// Other replacements that are under way.
    OthersFirst,
    /// The circuit breaker: this slot was issued to too often lately.
    TooOften,
    /// Someone has to bring the vendor's file.
    VendorFile,
    /// Someone has to change what depends on the certificate, and to say so.
    Dependants,
    /// Backup targets that do not take the backup, or do not give it back.
    BackupTarget(Backups),
}

/// How much of what policy asks for is in backup targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Backups {
    /// How many targets gave it back lately.
    pub verified: usize,
    /// How many of them have to.
    pub needed: usize,
    /// How many policy names.
    pub targets: usize,
}

impl Backups {
    /// Counts them, of those that are `kept`.
    pub fn of(wanted: &DesiredSlot, kept: &BTreeSet<TargetName>) -> Self {
        let targets = wanted.backups.len();
        let needed = wanted.backups_min.map_or(targets, |least| least.min(targets));
        Self { verified: wanted.backups.intersection(kept).count(), needed, targets }
    }

    /// True if installer files need not wait for more.
    pub fn is_enough(&self) -> bool {
        self.verified >= self.needed
    }
}

/// Decides what each slot of one clinic needs. Same arguments, same answer, always.
///
/// Carrying the actions out and planning again gives nothing but holds; only after a [`Action::Cancel`] the slot may be
/// ordered anew. Things that are decided here and nowhere else:
///
/// - A certificate is removed only if it was revoked, if a newer one in its slot is proven and works, or if policy does not
///   want the slot any more. Make before break.
/// - An order is opened for a silent device too, so that it finds it when it wakes; nothing is signed until it asks.
/// - What a device with a revoked identity holds is revoked as well: that device is lost or stolen.
/// - While somebody has yet to say that what depends on a certificate was changed too, the one before stays beside it.
/// - While a backup that policy asks for is nowhere to be read back, the installer files of its device stay where they are.
/// - A file that is known only by a certificate in it goes no sooner than that certificate is proven in its slot of this clinic, or has been
///   and lives no longer than what is proven there now.
/// - What was issued under an account that is over is revoked as soon as its successor is proven, and what is gone at once.
/// - What is ordered or signed but says something else than policy today is not waited for: a wrong template may be the very
///   reason why it cannot be proven.
pub fn plan(desired: &Desired, observed: &Observed, now: Timestamp) -> Plan {
    let judged: Vec<check::Judged> = check::judge_all(desired, observed, now);
    let (actions, wake_at) = pace::pace(desired, observed, &judged, now);
    let verdicts = judged.into_iter().map(|judged| (judged.case.slot.clone(), judged.reason)).collect();
    Plan { actions, verdicts, wake_at }
}

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
