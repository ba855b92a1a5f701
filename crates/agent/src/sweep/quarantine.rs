//! Moving files out of the way that nobody has put on record: by handle, one at a time, and never to the point of no return.

use std::collections::BTreeSet;

use tegata_api::v1::device::{Deed, FileHash, InstallerSeen};

use super::{Found, Intent, Shelf, SweepError, Sweeper, os};
use crate::disk;
use crate::quarantine::{Kept, Quarantine, Stage, new_id};

impl Sweeper<'_> {
    /// Moves one file out of the way: first the intent, then the file, then the receipt. True if it is gone from where it lay. What holds
    /// no private key, and what somebody has put back before, stays whatever the server says.
    pub(super) fn set_apart(&mut self, file: &Found, quarantine: &mut Quarantine, limited: &mut bool) -> Result<bool, SweepError> {
        let has_key = file.inside.as_ref().is_some_and(|inside| inside.keys > 0);
        // A name that is no text cannot be written down, so the way back would be lost.
        let Some(name) = file.name.to_str().filter(|_| has_key && !quarantine.was_restored(&file.file)) else { return Ok(false) };
        let begun = self.intent()?.filter(|intent| file.is_half_removed() && intent.seen.file == file.file);
        let (seen, shelf) = begun.map_or_else(|| (file.seen(), None), |intent| (intent.seen, intent.to));
        if !self.limit.take(&format!("{} {}", seen.file.sha256, seen.path))? {
            *limited = true;
            return Ok(false);
        }
        let shelf = shelf.unwrap_or_else(|| Shelf { id: new_id(), name: name.to_owned() });
        let id = shelf.id.clone();
        let mut intent = Intent { seen, folder: file.folder.clone(), aside: None, generation: self.generation, to: Some(shelf) };
        disk::write_json(&self.state.sweeping(), &intent)?;
        let moved = match os::set_aside(self.home, file) {
            Ok(aside) => {
                intent.aside = Some(aside.name.clone());
                disk::write_json(&self.state.sweeping(), &intent)?;
                aside.keep(quarantine.folder(), &id)
            }
            Err(problem) => Err(problem),
        };
        if let Err(problem) = moved {
            tracing::warn!(path = %intent.seen.path, %problem, "a file was not moved into the quarantine");
            disk::remove(&self.state.sweeping())?;
            return Ok(false);
        }
        self.shelve(intent, quarantine)?;
        Ok(true)
    }

    /// Writes down what has arrived in the quarantine.
    pub(super) fn shelve(&mut self, intent: Intent, quarantine: &mut Quarantine) -> Result<(), SweepError> {
        let Intent { seen: InstallerSeen { path, file, inside, .. }, folder, generation, to: Some(Shelf { id, name }), .. } = intent else {
            return Ok(());
        };
        let at = crate::wall_clock();
        quarantine.add(Kept { id, path: path.clone(), file: file.clone(), inside, at, folder, name, stage: Stage::Here })?;
        self.receipts.record(Deed::InstallerQuarantined { path, file, generation }, at)?;
        disk::remove(&self.state.sweeping())?;
        Ok(())
    }

    /// Removes what is `listed` by now, tells what was put back, and says what is still here.
    pub(super) fn look_after(
        &mut self,
        quarantine: &mut Quarantine,
        listed: &BTreeSet<&FileHash>,
        limited: &mut bool,
    ) -> Result<Vec<InstallerSeen>, SweepError> {
        let mut here = Vec::new();
        for kept in quarantine.all().to_vec() {
            match kept.stage {
                Stage::Here if listed.contains(&kept.file) => {
                    if self.limit.take(&format!("{} {}", kept.file.sha256, kept.path))? {
                        quarantine.set(&kept.id, Stage::Removing { generation: self.generation })?;
                        self.remove_for_good(quarantine, kept, self.generation)?;
                    } else {
                        *limited = true;
                        here.push(kept.seen());
                    }
                }
                Stage::Here | Stage::Restoring => here.push(kept.seen()),
                Stage::Removing { generation } => self.remove_for_good(quarantine, kept, generation)?,
                Stage::Restored { told: false } => {
                    self.receipts.record(Deed::InstallerRestored { path: kept.path, file: kept.file }, crate::wall_clock())?;
                    quarantine.set(&kept.id, Stage::Restored { told: true })?;
                }
                Stage::Restored { told: true } => {}
            }
        }
        Ok(here)
    }

    fn remove_for_good(&mut self, quarantine: &mut Quarantine, kept: Kept, generation: u64) -> Result<(), SweepError> {
        disk::remove(&quarantine.folder().join(&kept.id))?;
        self.receipts.record(Deed::InstallerRemoved { path: kept.path, file: kept.file, generation }, crate::wall_clock())?;
        Ok(quarantine.forget(&kept.id)?)
    }
}
