//! After the server was put back from a backup: what this PC holds is said anew, and proven anew, since the server may have forgotten it.

use std::collections::BTreeSet;

use tegata_api::v1::device::Deed;
use tegata_core::install::Stage;

use super::{Device, StepError};
use crate::disk;
use crate::manifest::Manifest;

impl Device {
    /// Says what lies in a store, and has it proven again where the manifest asks for that very order still, as a certificate that was just
    /// installed is. Begins again after a crash: what is said twice is true twice. Done before an order that the server remembers takes
    /// the place of one that it has forgotten.
    pub(super) async fn say_anew(&mut self, manifest: &Manifest) -> Result<(), StepError> {
        let said: u64 = disk::read_json(&self.state.epoch())?.unwrap_or_default();
        if manifest.epoch <= said {
            return Ok(());
        }
        let mut there = BTreeSet::new();
        for store in self.keystores.all() {
            there.extend(store.list().await?);
        }
        self.inventory.forget_gone_except(&BTreeSet::new())?;
        let held: Vec<_> = self.journal.entries().filter(|entry| matches!(entry.stage, Stage::Proven | Stage::Settled)).cloned().collect();
        for mut entry in held {
            let Some(fingerprint) = entry.fingerprint.filter(|fingerprint| there.contains(fingerprint)) else { continue };
            let stores = self.inventory.item(fingerprint).map(|item| item.stores.clone()).unwrap_or_default();
            let (slot, order) = (entry.slot.to_string(), entry.order.to_string());
            self.record(Deed::Installed { slot, order, fingerprint: fingerprint.to_string(), stores })?;
            let wanted = manifest.slots.iter().find(|slot| slot.id == entry.slot && slot.order == Some(entry.order));
            if wanted.is_some() {
                entry.stage = Stage::Installed;
                self.journal.save(&entry)?;
            }
        }
        Ok(disk::write_json(&self.state.epoch(), &manifest.epoch)?)
    }
}
