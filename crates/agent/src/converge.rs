//! Leads every slot to what the manifest says: one order at a time, one step at a time, each stage written down before its step.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tegata_core::install::{self, Event, Stage, Step};
use tegata_core::name::{OrderId, Sha256, SlotId};
use tegata_pki::bundle::DeviceKey;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::browser::Browser;
use crate::chance;
use crate::disk::{self, DiskError};
use crate::inventory::Inventory;
use crate::journal::{Entry, Journal, Pause, Trouble};
use crate::keystore::Keystores;
use crate::limit::Limit;
use crate::manifest::{Manifest, Slot, Source};
use crate::probe::Prober;
use crate::receipts::Receipts;
use crate::selection::Selection;
use crate::server::{self, Server};
use crate::state::State;
use crate::switch;
use crate::vendor::Vendor;

mod anew;
mod sources;
mod steps;
#[cfg(test)]
mod tests;
mod words;

pub use steps::StepError;

/// More steps than any order can need in one go; whoever wants more has gone round in a circle and waits for the next look.
const STEPS_MAX: usize = 16;

/// Everything on this PC that a step can touch.
pub struct Device {
    /// The agent's own folder.
    pub state: State,
    /// How far each slot has come.
    pub journal: Journal,
    /// Which certificates are ours.
    pub inventory: Inventory,
    /// What was done and is not on record yet.
    pub receipts: Receipts,
    /// The local limit on removing certificates.
    pub limit: Limit,
    /// The stores.
    pub keystores: Keystores,
    /// The browsers.
    pub browser: Box<dyn Browser>,
    /// Makes handshakes.
    pub prober: Box<dyn Prober>,
    /// The server.
    pub server: Rc<dyn Server>,
    /// Opens vendors' files that were sealed for this PC.
    pub bundle_key: Rc<DeviceKey>,
    /// Vendors whose certificates renew themselves.
    pub vendor: Rc<dyn Vendor>,
}

/// No pause is longer than this, in seconds. One that seems to be was noted by a clock that has been set back since.
const PAUSE_MAX: i64 = 24 * 3_600;

/// When things that failed are tried again. What only a person can help is noted in the journal too; with everything else a restarted agent
/// tries at once.
#[derive(Default)]
pub struct Retries {
    slots: BTreeMap<SlotId, Waiting>,
    rest: Backoff,
    rest_at: Option<Instant>,
}

/// One slot that waits for its next try.
struct Waiting {
    backoff: Backoff,
    at: Instant,
    /// What is the matter will not pass by itself soon: another manifest is no reason to try, unless it says something else here.
    on: Option<(OrderId, Source)>,
}

impl Retries {
    /// Goes on waiting where an earlier run was waiting.
    pub fn resume(journal: &Journal) -> Self {
        let waiting = |entry: &Entry| {
            let pause = entry.pause.as_ref()?;
            let left = pause.until.saturating_sub(crate::wall_clock());
            let at = Instant::now() + Duration::from_secs(u64::try_from(left).ok().filter(|_| left <= PAUSE_MAX)?);
            Some((entry.slot.clone(), Waiting { backoff: Backoff::default(), at, on: Some((entry.order, pause.source.clone())) }))
        };
        Self { slots: journal.entries().filter_map(waiting).collect(), ..Self::default() }
    }

    /// When the next try is due, if anything failed.
    pub fn next(&self) -> Option<Instant> {
        self.slots.values().map(|waiting| waiting.at).chain(self.rest_at).min()
    }

    /// Forgets failures: a new manifest deserves a fresh try. What only a person can help waits on, as long as it asks for the same.
    pub fn forget(&mut self) {
        self.slots.retain(|_, waiting| waiting.on.is_some());
        self.rest_ended(true);
    }

    fn is_due(&self, slot: &Slot) -> bool {
        let Some(waiting) = self.slots.get(&slot.id) else { return true };
        let asks_for_another = waiting.on.as_ref().is_some_and(|(order, source)| slot.order != Some(*order) || slot.source != *source);
        asks_for_another || waiting.at <= Instant::now()
    }

    /// Gives the pause, if it is worth being noted.
    fn slot_failed(&mut self, slot: &Slot, problem: &StepError) -> Option<Pause> {
        let fresh = || Waiting { backoff: Backoff::default(), at: Instant::now(), on: None };
        let waiting = self.slots.entry(slot.id.clone()).or_insert_with(fresh);
        let wait = waiting.backoff.failed(chance::number(), problem.server().and_then(server::retry_after));
        let patience = problem.patience();
        let wait = wait + patience.unwrap_or_default();
        waiting.at = Instant::now() + wait;
        waiting.on = slot.order.filter(|_| patience.is_some()).map(|order| (order, slot.source.clone()));
        let until = crate::wall_clock() + i64::try_from(wait.as_secs()).unwrap_or(PAUSE_MAX);
        patience.map(|_| Pause { until, source: slot.source.clone() })
    }

    fn slot_succeeded(&mut self, slot: &SlotId) {
        self.slots.remove(slot);
    }

    fn rest_ended(&mut self, well: bool) {
        if well {
            self.rest.succeeded();
            self.rest_at = None;
        } else {
            self.rest_at = Some(Instant::now() + self.rest.failed(chance::number(), None));
        }
    }
}

/// What each store holds, looked up at most once in a look.
type Listed = BTreeMap<&'static str, BTreeSet<Sha256>>;

/// What a pass has shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// True if the local limit kept a certificate from being removed.
    pub limited: bool,
}

impl Device {
    /// Takes every slot as far as it can go now. A slot in trouble waits for its own retry and stops no other.
    pub async fn converge(&mut self, manifest: &Manifest, retries: &mut Retries) -> Outcome {
        let mut outcome = Outcome::default();
        if let Err(problem) = self.say_anew(manifest).await {
            tracing::warn!(problem = crate::told(&problem), "the server does not know yet what is installed here");
        }
        for slot in &manifest.slots {
            if retries.is_due(slot) {
                self.lead(manifest, slot, retries, &mut outcome).await;
            }
        }
        let rest = self.tidy(manifest, &mut outcome).await;
        if let Err(problem) = &rest {
            tracing::warn!(problem = crate::told(problem), "not everything is as the manifest says");
        }
        retries.rest_ended(rest.is_ok() && !outcome.limited);
        outcome
    }

    /// Looks whether what was settled is where the manifest wants it. Says so in the report; only the server can order a new one.
    pub async fn look_after_settled(&mut self, manifest: &Manifest) -> Result<(), StepError> {
        let (mut listed, mut result) = (Listed::default(), Ok(()));
        for slot in &manifest.slots {
            let Some(mut entry) = self.journal.entry(&slot.id).filter(|entry| entry.stage == Stage::Settled).cloned() else { continue };
            result = result.and(self.look_after(slot, &mut entry, &mut listed).await);
            self.journal.save(&entry)?;
        }
        result
    }

    async fn look_after(&mut self, slot: &Slot, entry: &mut Entry, listed: &mut Listed) -> Result<(), StepError> {
        let Some(fingerprint) = entry.fingerprint else { return Ok(()) };
        let Some(item) = self.inventory.item(fingerprint).cloned() else { return Ok(()) };
        entry.trouble = self.misplacement(fingerprint, &slot.stores, &item.stores, listed).await?;
        entry.misplaced = entry.trouble.is_some();
        if !entry.misplaced && slot.order == Some(entry.order) {
            // What is not ours may have been removed by whose it is.
            let left = self.retire_replaced(slot, fingerprint).await?;
            entry.trouble = left.map(|left| words::told(&left));
        }
        Ok(())
    }

    /// What is wrong with where a certificate is, given where it should be and where it was put.
    async fn misplacement(
        &self,
        fingerprint: Sha256,
        wanted: &[String],
        put: &[String],
        listed: &mut Listed,
    ) -> Result<Option<Trouble>, StepError> {
        let mut missing = Vec::new();
        for name in wanted {
            let store = self.keystores.of(name)?;
            if !listed.contains_key(store.name()) {
                listed.insert(store.name(), store.list().await?);
            }
            if !listed[store.name()].contains(&fingerprint) {
                missing.push(name.as_str());
            }
        }
        let surplus: Vec<&str> = put.iter().filter(|name| !wanted.contains(name)).map(String::as_str).collect();
        let missing = (!missing.is_empty()).then(|| words::missing(&missing.join(", ")));
        Ok(missing.or_else(|| (!surplus.is_empty()).then(|| words::surplus(&surplus.join(", ")))))
    }

    async fn lead(&mut self, manifest: &Manifest, slot: &Slot, retries: &mut Retries, outcome: &mut Outcome) {
        let Some(mut entry) = self.entry_for(slot) else { return };
        let was_settled = entry.stage == Stage::Settled;
        let result = self.walk(manifest, slot, &mut entry).await;
        entry.pause = match &result {
            Ok(()) => {
                retries.slot_succeeded(&slot.id);
                None
            }
            Err(problem) => {
                tracing::warn!(slot = %slot.id, problem = crate::told(problem), "a step failed and will be tried again");
                outcome.limited |= matches!(problem, StepError::Limited);
                retries.slot_failed(slot, problem)
            }
        };
        match result {
            Err(problem) => entry.trouble = Some(words::told(&problem)),
            // What look_after_settled has found stands until something is done about it.
            Ok(()) if was_settled => {}
            Ok(()) => self.close(slot, &mut entry).await,
        }
        if entry.stage == Stage::Settled {
            entry.proven_rules = slot.select.clone();
        }
        if let Err(problem) = self.journal.save(&entry) {
            tracing::error!(slot = %slot.id, problem = crate::told(&problem), "the journal cannot be written");
        }
    }

    /// The order came as far as it can for now, without trouble; what has settled is looked at once before it is left alone.
    async fn close(&mut self, slot: &Slot, entry: &mut Entry) {
        entry.trouble = None;
        if entry.stage == Stage::Settled && self.look_after(slot, entry, &mut Listed::default()).await.is_err() {
            tracing::debug!(slot = %slot.id, "the settled certificate could not be looked at; the hourly look does");
        }
    }

    /// The slot's entry, turned to the order that the manifest names. Nothing if there is nothing to do yet.
    fn entry_for(&self, slot: &Slot) -> Option<Entry> {
        let order = slot.order?;
        let mut entry = self.journal.entry(&slot.id).cloned().unwrap_or_else(|| Entry::wanted(slot.id.clone(), order));
        if entry.order != order {
            entry.turn_to(order);
        }
        Some(entry)
    }

    /// Step by step, until there is nothing to do or a step fails.
    async fn walk(&mut self, manifest: &Manifest, slot: &Slot, entry: &mut Entry) -> Result<(), StepError> {
        let mut event = Event::Look;
        for _ in 0..STEPS_MAX {
            let (stage, step) = install::next(entry.stage, event);
            entry.stage = stage;
            self.journal.save(entry)?;
            if matches!(step, Step::Wait | Step::Rest) {
                return Ok(());
            }
            tracing::debug!(slot = %slot.id, ?stage, ?step, "next step");
            let result = self.take(step, manifest, slot, entry).await;
            event = match &result {
                Ok(()) => Event::Done,
                Err(problem) => problem.event(),
            };
            if matches!(event, Event::Failed | Event::Mismatch | Event::Vanished) {
                entry.stage = install::next(entry.stage, event).0;
                self.journal.save(entry)?;
                return result;
            }
        }
        Err(StepError::Circle)
    }

    /// What does not belong to one slot: certificates that go at once, slots that are no more, and the browser's rules.
    async fn tidy(&mut self, manifest: &Manifest, outcome: &mut Outcome) -> Result<(), StepError> {
        let mut result = Ok(());
        for fingerprint in &manifest.retire {
            match self.retire(*fingerprint).await {
                Err(StepError::Limited) => outcome.limited = true,
                other => result = result.and(other),
            }
        }
        let told = self.tell_browser(manifest, None);
        let noted = self.note_untold(manifest, told.as_ref().err());
        let forgotten = self.inventory.forget_gone_except(&asked_about(manifest));
        result.and(self.forget_slots(manifest).await).and(told).and(noted.and(forgotten).map_err(StepError::Disk))
    }

    /// Writes down for every slot whose rules should be in force, and the browsers do not have, why not. That stops nothing.
    fn note_untold(&mut self, manifest: &Manifest, problem: Option<&StepError>) -> Result<(), DiskError> {
        let problem = problem.map(words::told);
        for slot in &manifest.slots {
            let Some(entry) = self.journal.entry(&slot.id).cloned() else { continue };
            let untold = problem.clone().filter(|_| self.is_shown(manifest, slot, None));
            self.journal.save(&Entry { untold, ..entry })?;
        }
        Ok(())
    }

    /// Slots that policy does not name any more: nothing is begun for them. What is installed stays until its removal is ordered.
    async fn forget_slots(&mut self, manifest: &Manifest) -> Result<(), StepError> {
        let wanted: BTreeSet<&SlotId> = manifest.slots.iter().map(|slot| &slot.id).collect();
        let gone: Vec<SlotId> = self.journal.entries().map(|entry| entry.slot.clone()).filter(|slot| !wanted.contains(slot)).collect();
        for slot in gone.iter().filter(|slot| !self.inventory.holds(slot)).cloned().collect::<Vec<_>>() {
            self.journal.forget(&slot)?;
        }
        let in_work = |order: &str| self.journal.entries().any(|entry| wanted.contains(&entry.slot) && entry.order.to_string() == order);
        for folder in disk::entries(&self.state.staged())? {
            if !folder.file_name().and_then(|name| name.to_str()).is_some_and(in_work) {
                disk::wipe_folder(&folder)?;
            }
        }
        self.forget_keys(&wanted).await
    }

    /// Keys that were made in a store for an order which no certificate will come for any more.
    async fn forget_keys(&self, wanted: &BTreeSet<&SlotId>) -> Result<(), StepError> {
        let is_underway = |entry: &&Entry| entry.stage < Stage::Proven && wanted.contains(&entry.slot);
        let underway = self.journal.entries().filter(is_underway).map(|entry| entry.order).collect();
        for store in self.keystores.all() {
            store.forget_keys(&underway).await?;
        }
        Ok(())
    }

    /// Gives browsers the rules for the clinic that is worked for as they are given them.
    fn tell_browser(&mut self, manifest: &Manifest, installing: Option<&SlotId>) -> Result<(), StepError> {
        let _alone = self.state.hold_browsers()?;
        let rules = self.selection(manifest, installing)?.rules();
        self.browser.select(&rules)?;
        Ok(())
    }

    /// True if browsers are to show the slot's certificate; also if they could, and it cannot be told whether they are to.
    fn is_shown(&self, manifest: &Manifest, slot: &Slot, installing: Option<&SlotId>) -> bool {
        let could = slot.is_for_browser() && !slot.select.is_empty();
        self.selection(manifest, installing).map_or(could, |selection| selection.shows(&slot.id))
    }

    fn selection(&self, manifest: &Manifest, installing: Option<&SlotId>) -> Result<Selection, DiskError> {
        Ok(Selection::of(manifest, &self.journal, switch::active(&self.state, manifest)?, installing))
    }
}

/// Every certificate whose removal the manifest asks for, now or later.
fn asked_about(manifest: &Manifest) -> BTreeSet<Sha256> {
    manifest.slots.iter().flat_map(|slot| slot.replaces.iter()).chain(&manifest.retire).copied().collect()
}
