//! A pretend PC with an agent: a journal, a store, a clock that may be wrong, and crashes.

use std::collections::{BTreeMap, BTreeSet};

use crate::install::{self, Event, Stage, Step};
use crate::name::{DeviceId, OrderId, Serial, Sha256, SlotId};
use crate::simulate::server::{Answer, Manifest, Receipt, Server};
use crate::simulate::words::{self, Log};
use crate::time::Timestamp;

/// What a PC is and holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pc {
    pub id: DeviceId,
    pub is_online: bool,
    /// Its clock minus the world's, in seconds.
    pub clock_offset: i64,
    /// True from a crash until the agent is started again.
    pub is_down: bool,
    /// Where the agent crashes next.
    pub crash: Option<Crash>,
    /// Installer files that lie on it.
    pub files: BTreeSet<Sha256>,
    manifest: Manifest,
    journal: BTreeMap<SlotId, Entry>,
    /// What its programs can use, and for which slot.
    store: BTreeMap<Serial, SlotId>,
    proven: BTreeSet<Serial>,
    receipts: Vec<Receipt>,
    keys: u32,
}

/// A moment in the agent's life at which it crashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash {
    pub when: When,
    pub step: Step,
}

/// On which side of a step's effect a crash lies. What comes after the effect, writing it down, is lost in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Before,
    After,
}

/// What the agent's journal says about one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    order: OrderId,
    replaces: Vec<Serial>,
    stage: Stage,
    key: Option<u32>,
    certificate: Option<Serial>,
    /// What went wrong last.
    trouble: Option<&'static str>,
}

/// The world around a PC.
pub struct Surroundings<'a> {
    pub server: &'a mut Server,
    pub log: &'a mut Log,
    pub now: Timestamp,
    /// True while the sites that prove certificates answer.
    pub sites_up: bool,
}

/// A clock that is further off than this finds the certificates of web servers expired or not yet valid.
const TLS_FAILS_BEYOND_SECONDS: u64 = 30 * 86_400;

impl Pc {
    pub fn new(id: DeviceId) -> Self {
        Self {
            id,
            is_online: true,
            clock_offset: 0,
            is_down: false,
            crash: None,
            files: BTreeSet::new(),
            manifest: Manifest::default(),
            journal: BTreeMap::new(),
            store: BTreeMap::new(),
            proven: BTreeSet::new(),
            receipts: Vec::new(),
            keys: 0,
        }
    }

    /// What programs on this PC can use.
    pub fn stored(&self) -> impl Iterator<Item = &Serial> {
        self.store.keys()
    }

    /// Somebody takes out of the store what was put into it last for this slot.
    pub fn lose(&mut self, slot: &SlotId) {
        let newest = self.store.iter().filter(|(_, of)| *of == slot).map(|(serial, _)| *serial).next_back();
        self.store.retain(|serial, _| Some(*serial) != newest);
    }

    /// Lets the agent do all it can until it waits, rests or crashes.
    pub fn work(&mut self, world: &mut Surroundings<'_>) {
        if self.is_down {
            return;
        }
        if self.is_online {
            self.manifest = world.server.manifest(&self.id, world.now);
        }
        self.sweep(world);
        self.adopt_orders();
        for slot in self.journal.keys().cloned().collect::<Vec<_>>() {
            self.drive(&slot, world);
            if self.is_down {
                return;
            }
        }
        if self.is_online {
            self.receipts.drain(..).for_each(|receipt| world.server.hear(&self.id, receipt));
        }
    }

    /// Removes what the manifest lists, however often it is asked.
    fn sweep(&mut self, world: &mut Surroundings<'_>) {
        for serial in self.manifest.retire.clone() {
            if self.store.contains_key(&serial) {
                self.tell(world, &format!("removes {}", words::certificate(serial)));
            }
            self.remove(serial, world);
        }
        for file in std::mem::take(&mut self.manifest.remove) {
            self.files.remove(&file);
            self.receipts.push(Receipt::InstallerRemoved(file));
            self.tell(world, &format!("removes installer f{}", file.0[31]));
        }
        self.manifest.retire.clear();
    }

    /// Begins an entry for every new order. An older one of the same slot is forgotten: its certificate stays until replaced.
    fn adopt_orders(&mut self) {
        for (slot, (order, replaces)) in &self.manifest.orders {
            if self.journal.get(slot).is_none_or(|entry| entry.order != *order) {
                let entry =
                    Entry { order: *order, replaces: replaces.clone(), stage: Stage::Wanted, key: None, certificate: None, trouble: None };
                self.journal.insert(slot.clone(), entry);
            }
        }
    }

    /// Leads one slot on, from whatever the journal says.
    fn drive(&mut self, slot: &SlotId, world: &mut Surroundings<'_>) {
        let is_withdrawn = self.is_online && !self.manifest.orders.contains_key(slot);
        let mut event = if is_withdrawn { Event::Withdrawn } else { Event::Look };
        loop {
            let Some(entry) = self.journal.get_mut(slot) else { return };
            let (stage, step) = install::next(entry.stage, event);
            entry.stage = stage;
            if matches!(step, Step::Wait | Step::Rest) || self.crashes(When::Before, step, world) {
                return;
            }
            event = self.take(slot, step, world);
            if self.crashes(When::After, step, world) {
                return;
            }
            self.note(slot, step, event);
            if step == Step::Discard {
                return drop(self.journal.remove(slot));
            }
        }
    }

    /// Takes one step, with its effect on the PC and on the server.
    fn take(&mut self, slot: &SlotId, step: Step, world: &mut Surroundings<'_>) -> Event {
        let Some(entry) = self.journal.get(slot).cloned() else { return Event::Failed };
        match step {
            Step::MakeKey => {
                self.keys += 1;
                self.change(slot, |entry, keys| entry.key = Some(keys));
                Event::Done
            }
            Step::Request => self.request(slot, &entry, world),
            Step::Install => {
                self.store.extend(entry.certificate.map(|serial| (serial, slot.clone())));
                self.tell(world, &format!("installs {}", words::certificates(&entry.certificate)));
                Event::Done
            }
            Step::Prove => self.prove(slot, &entry, world),
            Step::RetireOld => {
                let old: Vec<_> = entry.replaces.iter().filter(|serial| self.store.contains_key(serial)).collect();
                if !old.is_empty() {
                    self.tell(world, &format!("removes the old {}", words::certificates(old)));
                }
                entry.replaces.iter().for_each(|serial| self.remove(*serial, world));
                Event::Done
            }
            Step::Discard => {
                self.tell(world, &format!("discards what it made for {slot}"));
                self.store.retain(|serial, _| Some(*serial) != entry.certificate);
                Event::Done
            }
            Step::Wait | Step::Rest => Event::Look,
        }
    }

    fn request(&mut self, slot: &SlotId, entry: &Entry, world: &mut Surroundings<'_>) -> Event {
        let (true, Some(key)) = (self.is_online, entry.key) else { return self.trouble(slot, "no network", world) };
        match world.server.request(entry.order, key, world.now) {
            Answer::Issued(serial) => {
                self.tell(world, &format!("receives {}", words::certificate(serial)));
                self.change(slot, |entry, _| entry.certificate = Some(serial));
                if world.server.issued_within_an_hour(slot, world.now) > 3 {
                    world.log.violated(world.now, format!("more than three issuances into {slot} within an hour"));
                }
                Event::Done
            }
            Answer::Withdrawn => Event::Withdrawn,
        }
    }

    fn prove(&mut self, slot: &SlotId, entry: &Entry, world: &mut Surroundings<'_>) -> Event {
        let Some(serial) = entry.certificate else { return Event::Mismatch };
        if !self.store.contains_key(&serial) {
            self.tell(world, &format!("finds {} gone from its store", words::certificate(serial)));
            return Event::Vanished;
        }
        if !self.is_online || !world.sites_up {
            return self.trouble(slot, "the site does not answer", world);
        }
        if self.clock_offset.unsigned_abs() > TLS_FAILS_BEYOND_SECONDS {
            return self.trouble(slot, "the site's certificate is not valid by this clock", world);
        }
        if !world.server.is_good(serial, world.now) {
            return self.trouble(slot, "the site refuses the certificate", world);
        }
        self.proven.insert(serial);
        self.tell(world, &format!("proves {}", words::certificate(serial)));
        Event::Done
    }

    /// Writes down what follows from a step that was taken.
    fn note(&mut self, slot: &SlotId, step: Step, event: Event) {
        let Some(entry) = self.journal.get_mut(slot) else { return };
        if event != Event::Done {
            return;
        }
        entry.trouble = None;
        match step {
            Step::Install => self.receipts.extend(entry.certificate.map(Receipt::Installed)),
            Step::Prove => self.receipts.extend(entry.certificate.map(Receipt::Proven)),
            _ => {}
        }
    }

    /// Removes a certificate and its key, and checks that something that works is left.
    fn remove(&mut self, serial: Serial, world: &mut Surroundings<'_>) {
        self.receipts.push(Receipt::Retired(serial));
        let Some(slot) = self.store.remove(&serial) else { return };
        let is_good = |serial: &Serial| self.proven.contains(serial) && world.server.is_good(*serial, world.now);
        let is_left = self.store.iter().any(|(other, of)| *of == slot && is_good(other));
        if is_good(&serial) && !is_left {
            world.log.violated(world.now, format!("{} lost {} before anything else was proven", slot, words::certificate(serial)));
        }
        self.proven.remove(&serial);
    }

    fn crashes(&mut self, when: When, step: Step, world: &mut Surroundings<'_>) -> bool {
        let hit = self.crash == Some(Crash { when, step });
        if hit {
            self.crash = None;
            self.is_down = true;
            self.tell(world, &format!("CRASHES {when:?} {step:?}"));
        }
        hit
    }

    /// A step failed in a way that may pass. Said once, however often it is tried.
    fn trouble(&mut self, slot: &SlotId, problem: &'static str, world: &mut Surroundings<'_>) -> Event {
        let is_new = self.journal.get(slot).is_some_and(|entry| entry.trouble != Some(problem));
        if is_new {
            self.tell(world, &format!("waits: {problem}"));
            self.change(slot, |entry, _| entry.trouble = Some(problem));
        }
        Event::Failed
    }

    fn change(&mut self, slot: &SlotId, change: impl FnOnce(&mut Entry, u32)) {
        let keys = self.keys;
        self.journal.entry(slot.clone()).and_modify(|entry| change(entry, keys));
    }

    fn tell(&self, world: &mut Surroundings<'_>, what: &str) {
        world.log.happened(world.now, &format!("{} {what}", self.id));
    }
}
