//! Which certificates on this PC are ours: nothing else is ever removed from a keystore.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tegata_core::name::{Sha256, SlotId};

use crate::disk::{self, DiskError};
use crate::state::State;

/// A certificate that this agent installed, or was about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The slot it was for, `clinic/device/profile`.
    pub slot: String,
    /// The stores it was put into.
    pub stores: Vec<String>,
}

/// Fingerprints in hexadecimal, as in the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    installed: BTreeMap<String, Item>,
    gone: BTreeSet<String>,
}

/// The list, in memory and on disk.
pub struct Inventory {
    state: State,
    written: Written,
}

impl Inventory {
    /// Reads what is there.
    pub fn open(state: &State) -> Result<Self, DiskError> {
        Ok(Self { state: state.clone(), written: disk::read_json(&state.inventory())?.unwrap_or_default() })
    }

    /// The certificate with this fingerprint, if it is ours.
    pub fn item(&self, fingerprint: Sha256) -> Option<&Item> {
        self.written.installed.get(&fingerprint.to_string())
    }

    /// True if something of ours is installed for this slot.
    pub fn holds(&self, slot: &SlotId) -> bool {
        let slot = slot.to_string();
        self.written.installed.values().any(|item| item.slot == slot)
    }

    /// Claims a certificate, durably. Done before it is put into any store, so that nothing of ours is ever unclaimed.
    pub fn claim(&mut self, fingerprint: Sha256, item: Item) -> Result<(), DiskError> {
        if self.item(fingerprint) == Some(&item) {
            return Ok(());
        }
        self.written.gone.remove(&fingerprint.to_string());
        self.written.installed.insert(fingerprint.to_string(), item);
        self.save()
    }

    /// True if it was already said that this certificate is gone.
    pub fn was_said_gone(&self, fingerprint: Sha256) -> bool {
        self.written.gone.contains(&fingerprint.to_string())
    }

    /// Takes a certificate off the list. Done after its receipt is on disk.
    pub fn mark_gone(&mut self, fingerprint: Sha256) -> Result<(), DiskError> {
        self.written.installed.remove(&fingerprint.to_string());
        self.written.gone.insert(fingerprint.to_string());
        self.save()
    }

    /// Forgets what is gone and not asked about any more.
    pub fn forget_gone_except(&mut self, asked: &BTreeSet<Sha256>) -> Result<(), DiskError> {
        let asked: BTreeSet<String> = asked.iter().map(Sha256::to_string).collect();
        let before = self.written.gone.len();
        self.written.gone.retain(|fingerprint| asked.contains(fingerprint));
        if self.written.gone.len() == before { Ok(()) } else { self.save() }
    }

    fn save(&self) -> Result<(), DiskError> {
        disk::write_json(&self.state.inventory(), &self.written)
    }
}
