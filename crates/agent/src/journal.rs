//! How far each slot has come, written down before the next step is taken, so that a crash costs at most one repetition.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tegata_api::v1::device::{BrowserRule, SlotReport};
use tegata_core::install::Stage;
use tegata_core::name::{OrderId, Sha256, SlotId};

use crate::disk::{self, DiskError};
use crate::state::State;

/// What is known about one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which slot.
    pub slot: SlotId,
    /// The order that is worked on, or was settled.
    pub order: OrderId,
    /// How far it has come.
    pub stage: Stage,
    /// The certificate of this order, once there is one.
    pub fingerprint: Option<Sha256>,
    /// The browser rules of what was proven last. They stay in force until this order is proven.
    pub proven_rules: BTreeSet<BrowserRule>,
    /// True if what was settled is not in exactly the stores where it belongs.
    pub misplaced: bool,
    /// What went wrong last, for people.
    pub trouble: Option<String>,
    /// Why the browsers do not have the slot's rules, for people. It stops nothing: they ask instead.
    pub untold: Option<String>,
}

impl Entry {
    /// Begins with an order.
    pub fn wanted(slot: SlotId, order: OrderId) -> Self {
        Self {
            slot,
            order,
            stage: Stage::Wanted,
            fingerprint: None,
            proven_rules: BTreeSet::new(),
            misplaced: false,
            trouble: None,
            untold: None,
        }
    }

    /// Turns to a newer order of the same slot. What was proven stays in force meanwhile.
    pub fn turn_to(&mut self, order: OrderId) {
        let proven_rules = std::mem::take(&mut self.proven_rules);
        *self = Self { proven_rules, ..Self::wanted(self.slot.clone(), order) };
    }

    /// As it is reported to the server.
    pub fn report(&self) -> SlotReport {
        SlotReport {
            slot: self.slot.to_string(),
            order: self.order.to_string(),
            stage: stage_word(self.stage).into(),
            misplaced: self.misplaced,
            trouble: self.trouble.clone().or_else(|| self.untold.clone()),
        }
    }
}

/// The word for a stage, in files and reports.
pub fn stage_word(stage: Stage) -> &'static str {
    match stage {
        Stage::Wanted => "wanted",
        Stage::Keyed => "keyed",
        Stage::Staged => "staged",
        Stage::Installed => "installed",
        Stage::Proven => "proven",
        Stage::Settled => "settled",
        Stage::Abandoned => "abandoned",
    }
}

/// The stage that a word means.
pub fn stage_of(word: &str) -> Option<Stage> {
    Stage::ALL.into_iter().find(|stage| stage_word(*stage) == word)
}

/// The entry as it is written. Fields are only added.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    slot: String,
    order: String,
    stage: String,
    #[serde(default)]
    fingerprint: Option<String>,
    #[serde(default)]
    proven_rules: BTreeSet<BrowserRule>,
    #[serde(default)]
    misplaced: bool,
    #[serde(default)]
    trouble: Option<String>,
    #[serde(default)]
    untold: Option<String>,
}

impl From<&Entry> for Written {
    fn from(entry: &Entry) -> Self {
        Self {
            slot: entry.slot.to_string(),
            order: entry.order.to_string(),
            stage: stage_word(entry.stage).into(),
            fingerprint: entry.fingerprint.map(|fingerprint| fingerprint.to_string()),
            proven_rules: entry.proven_rules.clone(),
            misplaced: entry.misplaced,
            trouble: entry.trouble.clone(),
            untold: entry.untold.clone(),
        }
    }
}

impl TryFrom<Written> for Entry {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let stage = stage_of(&written.stage);
        Ok(Self {
            slot: written.slot.parse().map_err(|_| format!("slot '{}'", written.slot))?,
            order: written.order.parse().map_err(|_| format!("order '{}'", written.order))?,
            stage: stage.ok_or_else(|| format!("stage '{}'", written.stage))?,
            fingerprint: written.fingerprint.map(|text| text.parse().map_err(|_| format!("fingerprint '{text}'"))).transpose()?,
            proven_rules: written.proven_rules,
            misplaced: written.misplaced,
            trouble: written.trouble,
            untold: written.untold,
        })
    }
}

/// All entries, in memory and on disk.
pub struct Journal {
    state: State,
    entries: BTreeMap<SlotId, Entry>,
}

impl Journal {
    /// Reads what is there.
    pub fn open(state: &State) -> Result<Self, DiskError> {
        let mut entries = BTreeMap::new();
        for path in disk::files(&state.journal())? {
            let Some(written) = disk::read_json::<Written>(&path)? else { continue };
            let entry = Entry::try_from(written)
                .map_err(|problem| std::io::Error::new(std::io::ErrorKind::InvalidData, format!("it holds the unreadable {problem}")))
                .map_err(disk::failing("read", &path))?;
            entries.insert(entry.slot.clone(), entry);
        }
        Ok(Self { state: state.clone(), entries })
    }

    /// The entry of a slot.
    pub fn entry(&self, slot: &SlotId) -> Option<&Entry> {
        self.entries.get(slot)
    }

    /// Every entry.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Writes an entry down, durably, if it says something new.
    pub fn save(&mut self, entry: &Entry) -> Result<(), DiskError> {
        if self.entries.get(&entry.slot) != Some(entry) {
            disk::write_json(&self.state.journal_of(&entry.slot), &Written::from(entry))?;
            self.entries.insert(entry.slot.clone(), entry.clone());
        }
        Ok(())
    }

    /// Forgets a slot.
    pub fn forget(&mut self, slot: &SlotId) -> Result<(), DiskError> {
        disk::remove(&self.state.journal_of(slot))?;
        self.entries.remove(slot);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(folder.path()).unwrap();
        for stage in Stage::ALL {
            let mut entry = Entry::wanted("sakura/uketsuke-1@momiji/karte".parse().unwrap(), OrderId([7; 16]));
            entry.stage = stage;
            entry.fingerprint = Some(Sha256([9; 32]));
            entry.trouble = Some("認証局に届かない".into());
            entry.untold = Some("closed".into());
            Journal::open(&state).unwrap().save(&entry).unwrap();
            assert_eq!(Journal::open(&state).unwrap().entry(&entry.slot), Some(&entry));
        }
        assert_eq!(disk::files(&state.journal()).unwrap().len(), 1);
    }
}
