//! After the server was put back from a backup: what this PC holds is said anew, and proven anew, since the server may have forgotten it.

use tegata_api::v1::device::Deed;
use tegata_core::install::Stage;

use super::{Device, StepError};
use crate::disk;
use crate::manifest::Manifest;

impl Device {
    /// Says what is installed, and proves it if the manifest asks for that very order still. Begins again after a crash or a failure:
    /// what is said twice is true twice. Done before an order that the server remembers takes the place of one that it has forgotten.
    pub(super) async fn say_anew(&mut self, manifest: &Manifest) -> Result<(), StepError> {
        let said: u64 = disk::read_json(&self.state.epoch())?.unwrap_or_default();
        if manifest.epoch <= said {
            return Ok(());
        }
        self.inventory.forget_gone_except(&std::collections::BTreeSet::new())?;
        let held: Vec<_> = self.journal.entries().filter(|entry| matches!(entry.stage, Stage::Proven | Stage::Settled)).cloned().collect();
        let mut result = Ok(());
        for mut entry in held {
            let Some(fingerprint) = entry.fingerprint else { continue };
            let stores = self.inventory.item(fingerprint).map(|item| item.stores.clone()).unwrap_or_default();
            let (slot, order) = (entry.slot.to_string(), entry.order.to_string());
            self.record(Deed::Installed { slot, order, fingerprint: fingerprint.to_string(), stores })?;
            let wanted = manifest.slots.iter().find(|slot| slot.id == entry.slot && slot.order == Some(entry.order));
            if let Some(slot) = wanted {
                result = result.and(self.prove(slot, &mut entry).await);
            }
        }
        result?;
        Ok(disk::write_json(&self.state.epoch(), &manifest.epoch)?)
    }
}
