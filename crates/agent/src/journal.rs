//! How far each slot has come, written down before the next step is taken, so that a crash costs at most one repetition.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use tegata_api::v1::device::{self as wire, BrowserRule, SlotReport};
use tegata_core::install::Stage;
use tegata_core::name::{OrderId, Sha256, SlotId};

use crate::disk::{self, DiskError};
use crate::manifest::Source;
use crate::state::State;

/// What went wrong, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In Japanese.
    pub ja: String,
    /// In English.
    pub en: String,
}

/// How long a slot is left alone although something is asked for: what is the matter will not pass by itself before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Seconds since the Unix epoch, by this PC's clock.
    pub until: i64,
    /// What was asked for. Anything else ends the pause.
    pub source: Source,
}

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
    /// What went wrong last.
    pub trouble: Option<Trouble>,
    /// Why the browsers do not have the slot's rules. It stops nothing: they ask instead.
    pub untold: Option<Trouble>,
    /// Until when it is left alone, if it is.
    pub pause: Option<Pause>,
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
            pause: None,
        }
    }

    /// Turns to a newer order of the same slot. What was proven stays in force meanwhile.
    pub fn turn_to(&mut self, order: OrderId) {
        let proven_rules = std::mem::take(&mut self.proven_rules);
        *self = Self { proven_rules, ..Self::wanted(self.slot.clone(), order) };
    }

    /// As it is reported to the server.
    pub fn report(&self) -> SlotReport {
        let trouble = self.trouble.as_ref().or(self.untold.as_ref());
        SlotReport {
            slot: self.slot.to_string(),
            order: self.order.to_string(),
            stage: stage_word(self.stage).into(),
            misplaced: self.misplaced,
            trouble: trouble.map(|trouble| trouble.en.clone()),
            trouble_ja: trouble.map(|trouble| trouble.ja.clone()),
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
    trouble_ja: Option<String>,
    #[serde(default)]
    untold: Option<String>,
    #[serde(default)]
    untold_ja: Option<String>,
    #[serde(default)]
    pause: Option<WrittenPause>,
}

#[derive(Serialize, Deserialize)]
struct WrittenPause {
    until: i64,
    source: wire::Source,
}

/// Before there were two languages there was one text.
fn trouble(en: Option<String>, ja: Option<String>) -> Option<Trouble> {
    en.map(|en| Trouble { ja: ja.unwrap_or_else(|| en.clone()), en })
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
            trouble: entry.trouble.as_ref().map(|trouble| trouble.en.clone()),
            trouble_ja: entry.trouble.as_ref().map(|trouble| trouble.ja.clone()),
            untold: entry.untold.as_ref().map(|untold| untold.en.clone()),
            untold_ja: entry.untold.as_ref().map(|untold| untold.ja.clone()),
            pause: entry.pause.as_ref().map(|pause| WrittenPause { until: pause.until, source: (&pause.source).into() }),
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
            trouble: trouble(written.trouble, written.trouble_ja),
            untold: trouble(written.untold, written.untold_ja),
            // One that cannot be read costs a try.
            pause: written.pause.and_then(|pause| Some(Pause { until: pause.until, source: (&pause.source).try_into().ok()? })),
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
    use tegata_core::backup::Keepers;

    use super::*;
    use crate::manifest::Renewal;

    #[test]
    fn every_stage_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(folder.path()).unwrap();
        for stage in Stage::ALL {
            let mut entry = Entry::wanted("sakura/uketsuke-1@momiji/karte".parse().unwrap(), OrderId([7; 16]));
            entry.stage = stage;
            entry.fingerprint = Some(Sha256([9; 32]));
            entry.trouble = Some(Trouble { ja: "認証局に届かない".into(), en: "no answer".into() });
            entry.untold = Some(Trouble { ja: "閉じている".into(), en: "closed".into() });
            let renewal = Renewal { url: "https://auth.test".into(), current: Sha256([8; 32]), backup: Keepers::each(vec!["age1".into()]) };
            let sources = [Source::Request, Source::Bundle(Sha256([7; 32])), Source::Found(Sha256([6; 32])), Source::Renewal(renewal)];
            entry.pause = Some(Pause { until: 1_800_000_000, source: sources[stage as usize % 4].clone() });
            Journal::open(&state).unwrap().save(&entry).unwrap();
            assert_eq!(Journal::open(&state).unwrap().entry(&entry.slot), Some(&entry));
        }
        assert_eq!(disk::files(&state.journal()).unwrap().len(), 1);
    }
}
