//! Accounts that are over: what was issued under them is revoked once nobody needs it any more, and what would be lost with them.
//!
//! Systems like CLINICS kill whatever was issued under an account that is deleted. So it is issued anew under another account
//! first; what is revoked here was replaced and proven, or is gone from its device.

use std::collections::{BTreeMap, BTreeSet};

use crate::fleet::{Desired, Held, Observed};
use crate::name::{AccountName, DeviceId, Serial, SlotId};
use crate::plan::lockout::working_tomorrow;
use crate::plan::quota::is_alive;
use crate::plan::{Action, Reason};
use crate::time::Timestamp;

/// True for a certificate that still opens something, under an account that is over.
pub(super) fn is_over(accounts: &BTreeSet<AccountName>, held: &Held, now: Timestamp) -> bool {
    is_alive(held, now) && held.account.as_ref().is_some_and(|name| !accounts.contains(name))
}

/// Revokes what was issued under accounts that are over and is gone from its device already.
pub(super) fn loose_of_the_gone(desired: &Desired, observed: &Observed, now: Timestamp) -> Vec<Action> {
    let over = observed.accounts.iter().filter(|(name, _)| !desired.accounts.contains(*name));
    let loose = over.flat_map(|(_, account)| &account.loose).filter(|loose| now <= loose.not_after);
    loose.map(|loose| Action::Revoke { slot: loose.slot.clone(), serial: loose.serial, because: Reason::Leftover }).collect()
}

/// What it means that an account is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    /// The account.
    pub account: AccountName,
    /// Certificates under it that somebody could still use.
    pub certificates: BTreeSet<Serial>,
    /// Devices that hold them, or should.
    pub devices: BTreeSet<DeviceId>,
    /// The sites that they open.
    pub sites: BTreeSet<String>,
    /// Slots that are issued anew, and under which account. Their certificates stay until the new ones are proven.
    pub moves: BTreeMap<SlotId, AccountName>,
    /// Slots that nobody takes over: their certificates are revoked at once.
    pub lost: BTreeSet<SlotId>,
    /// Devices that can sign in with them now and could not tomorrow.
    pub locked_out: BTreeSet<DeviceId>,
}

/// The blast radius of every account that is there before a change of policy and over after it.
pub fn leaving(before: &Desired, after: &Desired, observed: &Observed, now: Timestamp) -> Vec<Leaving> {
    let gone: Vec<&AccountName> = before.accounts.difference(&after.accounts).collect();
    if gone.is_empty() {
        return Vec::new();
    }
    let kept = working_tomorrow(after, observed, now);
    let lost: BTreeSet<&SlotId> = working_tomorrow(before, observed, now).difference(&kept).copied().collect();
    gone.into_iter().map(|account| blast(account, before, after, observed, &lost, now)).collect()
}

fn blast(
    account: &AccountName,
    before: &Desired,
    after: &Desired,
    observed: &Observed,
    not_working: &BTreeSet<&SlotId>,
    now: Timestamp,
) -> Leaving {
    let own = |held: &&Held| held.account.as_ref() == Some(account) && is_alive(held, now);
    let held = observed.slots.iter().flat_map(|(slot, seen)| seen.certificates.iter().filter(own).map(move |held| (slot, held.serial)));
    let held: Vec<(&SlotId, Serial)> = held.collect();
    let wanted = before.slots.iter().filter(|(_, wanted)| wanted.account.as_ref() == Some(account)).map(|(slot, _)| slot);
    let slots: BTreeSet<&SlotId> = wanted.chain(held.iter().map(|(slot, _)| *slot)).collect();
    let sites = slots.iter().filter_map(|slot| before.slots.get(*slot)).flat_map(|wanted| wanted.select.iter().chain(&wanted.probe));
    let moves = slots.iter().filter_map(|slot| Some(((*slot).clone(), after.slots.get(*slot)?.account.clone()?)));
    Leaving {
        account: account.clone(),
        certificates: held.iter().map(|(_, serial)| *serial).collect(),
        devices: slots.iter().map(|slot| slot.device.clone()).collect(),
        sites: sites.cloned().collect(),
        moves: moves.collect(),
        lost: slots.iter().filter(|slot| !after.slots.contains_key(**slot)).map(|slot| (*slot).clone()).collect(),
        locked_out: slots.iter().filter(|slot| not_working.contains(*slot)).map(|slot| slot.device.clone()).collect(),
    }
}
