//! Which certificates on this PC are ours: nothing else is ever removed from a keystore.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tegata_core::install::Stage;
use tegata_core::name::{Sha256, SlotId};

use crate::disk::{self, DiskError};
use crate::journal::{Entry, Journal};
use crate::state::State;

/// A certificate that this agent installed, or was about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The slot it was for, `clinic/device/profile`.
    pub slot: String,
    /// The stores it was put into.
    pub stores: Vec<String>,
    /// The stores in which somebody else had put it before it was taken over; empty for what this agent installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adopted: Vec<String>,
}

/// Fingerprints in hexadecimal, as in the file.
#[derive(Clone, Default, Serialize, Deserialize)]
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

    /// What is installed for this slot.
    pub fn of_slot(&self, slot: &SlotId) -> impl Iterator<Item = Sha256> {
        let slot = slot.to_string();
        let installed = self.written.installed.iter().filter(move |(_, item)| item.slot == slot);
        installed.filter_map(|(fingerprint, _)| fingerprint.parse().ok())
    }

    /// True if something of ours is installed for this slot.
    pub fn holds(&self, slot: &SlotId) -> bool {
        self.of_slot(slot).next().is_some()
    }

    /// True if removing this certificate leaves its slot without one that works: it is proven, and nothing newer in the slot is.
    pub fn is_last_working(&self, fingerprint: Sha256, journal: &Journal) -> bool {
        let Some(item) = self.item(fingerprint) else { return false };
        let newest = proven(journal, &item.slot).filter(|newest| self.item(*newest).is_some());
        self.may_work(fingerprint, item, journal) && newest.is_none_or(|newest| newest == fingerprint)
    }

    /// How many slots have a certificate that works.
    pub fn working_slots(&self, journal: &Journal) -> usize {
        let installed = self.written.installed.iter().filter_map(|(fingerprint, item)| Some((fingerprint.parse().ok()?, item)));
        installed
            .filter(|(fingerprint, item)| self.may_work(*fingerprint, item, journal))
            .map(|(_, item)| &item.slot)
            .collect::<BTreeSet<_>>()
            .len()
    }

    /// Of what a slot held before its newest order it is not known whether it was proven; it is taken to be. The newest is known.
    fn may_work(&self, fingerprint: Sha256, item: &Item, journal: &Journal) -> bool {
        let newest = entry(journal, &item.slot).filter(|entry| entry.fingerprint == Some(fingerprint));
        newest.is_none_or(|entry| matches!(entry.stage, Stage::Proven | Stage::Settled))
    }

    /// Claims a certificate, durably. Done before it is put into any store, so that nothing of ours is ever unclaimed.
    pub fn claim(&mut self, fingerprint: Sha256, item: Item) -> Result<(), DiskError> {
        if self.item(fingerprint) == Some(&item) {
            return Ok(());
        }
        self.change(|written| {
            written.gone.remove(&fingerprint.to_string());
            written.installed.insert(fingerprint.to_string(), item);
        })
    }

    /// Takes a certificate that is not ours after all off the list. It stays where it is.
    pub fn give_back(&mut self, fingerprint: Sha256) -> Result<(), DiskError> {
        self.change(|written| {
            written.installed.remove(&fingerprint.to_string());
        })
    }

    /// True if it was already said that this certificate is gone.
    pub fn was_said_gone(&self, fingerprint: Sha256) -> bool {
        self.written.gone.contains(&fingerprint.to_string())
    }

    /// Takes a certificate off the list. Done after its receipt is on disk.
    pub fn mark_gone(&mut self, fingerprint: Sha256) -> Result<(), DiskError> {
        self.change(|written| {
            written.installed.remove(&fingerprint.to_string());
            written.gone.insert(fingerprint.to_string());
        })
    }

    /// Forgets what is gone and not asked about any more.
    pub fn forget_gone_except(&mut self, asked: &BTreeSet<Sha256>) -> Result<(), DiskError> {
        let asked: BTreeSet<String> = asked.iter().map(Sha256::to_string).collect();
        if self.written.gone.is_subset(&asked) {
            return Ok(());
        }
        self.change(|written| written.gone.retain(|fingerprint| asked.contains(fingerprint)))
    }

    /// Changes a copy, writes it, and only then believes it: what the disk did not take has not happened.
    fn change(&mut self, by: impl FnOnce(&mut Written)) -> Result<(), DiskError> {
        let mut written = self.written.clone();
        by(&mut written);
        disk::write_json(&self.state.inventory(), &written)?;
        self.written = written;
        Ok(())
    }
}

fn entry<'a>(journal: &'a Journal, slot: &str) -> Option<&'a Entry> {
    journal.entry(&slot.parse().ok()?)
}

/// The certificate of the slot's newest order, if it is proven.
fn proven(journal: &Journal, slot: &str) -> Option<Sha256> {
    entry(journal, slot).filter(|entry| matches!(entry.stage, Stage::Proven | Stage::Settled))?.fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: Sha256 = Sha256([7; 32]);

    fn item() -> Item {
        Item { slot: "sakura/uketsuke-1/karte".into(), stores: vec!["file".into()], adopted: vec![] }
    }

    /// Has a change fail on the disk, then succeed, and gives what a restarted agent finds.
    fn second_try(state: &State, mut change: impl FnMut(&mut Inventory) -> Result<(), DiskError>) -> Inventory {
        let mut inventory = Inventory::open(state).unwrap();
        let kept = disk::read(&state.inventory()).unwrap();
        disk::remove(&state.inventory()).unwrap();
        std::fs::create_dir(state.inventory()).unwrap();
        change(&mut inventory).unwrap_err();
        std::fs::remove_dir(state.inventory()).unwrap();
        if let Some(kept) = kept {
            std::fs::write(state.inventory(), kept).unwrap();
        }
        change(&mut inventory).unwrap();
        Inventory::open(state).unwrap()
    }

    #[test]
    fn s2_what_the_disk_did_not_take_is_written_at_the_next_try() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(folder.path()).unwrap();
        assert_eq!(second_try(&state, |inventory| inventory.claim(OURS, item())).item(OURS), Some(&item()));
        let gone = second_try(&state, |inventory| inventory.mark_gone(OURS));
        assert!(gone.item(OURS).is_none() && gone.was_said_gone(OURS));
        let forgotten = second_try(&state, |inventory| inventory.forget_gone_except(&BTreeSet::new()));
        assert!(!forgotten.was_said_gone(OURS));
    }

    const SLOT: &str = "sakura/uketsuke-1/karte";
    const OLDER: Sha256 = Sha256([6; 32]);

    /// Two certificates of one slot, the newer one at this stage.
    fn renewing(stage: Stage) -> (tempfile::TempDir, Inventory, Journal) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(folder.path()).unwrap();
        let mut inventory = Inventory::open(&state).unwrap();
        for fingerprint in [OLDER, OURS] {
            inventory.claim(fingerprint, item()).unwrap();
        }
        let mut journal = Journal::open(&state).unwrap();
        let wanted = Entry::wanted(SLOT.parse().unwrap(), tegata_core::name::OrderId([1; 16]));
        journal.save(&Entry { stage, fingerprint: Some(OURS), ..wanted }).unwrap();
        (folder, inventory, journal)
    }

    #[test]
    fn f1_a_certificate_is_the_last_one_until_a_newer_one_is_proven() {
        for (stage, older, newer) in
            [(Stage::Installed, true, false), (Stage::Proven, false, true), (Stage::Settled, false, true), (Stage::Abandoned, true, false)]
        {
            let (_folder, inventory, journal) = renewing(stage);
            let last = [OLDER, OURS].map(|fingerprint| inventory.is_last_working(fingerprint, &journal));
            assert_eq!((last, inventory.working_slots(&journal)), ([older, newer], 1), "{stage:?}");
        }
    }

    #[test]
    fn f1_what_was_never_proven_does_not_count_as_working() {
        let (_folder, mut inventory, journal) = renewing(Stage::Installed);
        inventory.mark_gone(OLDER).unwrap();
        assert_eq!((inventory.is_last_working(OURS, &journal), inventory.working_slots(&journal)), (false, 0));
        assert!(!inventory.is_last_working(OLDER, &journal), "it is not ours any more");
    }
}
