//! The pretend world: one tenant, its server, its PCs, and a clock that moves only when told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::desire::desire;
use crate::fleet::{Held, Observed, Progress};
use crate::name::{AccountName, ClinicName, DeviceId, Sha256, SlotId};
use crate::plan::{Action, locked_out, plan};
use crate::policy::{Quota, Tenant};
use crate::simulate::letters::Letters;
use crate::simulate::pc::{Pc, Surroundings};
use crate::simulate::people::People;
use crate::simulate::policy::{declare, empty_tenant};
use crate::simulate::script::{Command, Declaration};
use crate::simulate::server::Server;
use crate::simulate::words::{self, Log};
use crate::time::Timestamp;

/// Everything there is.
pub struct World {
    pub log: Log,
    now: Timestamp,
    policy: Tenant,
    server: Server,
    pcs: BTreeMap<DeviceId, Pc>,
    sites_up: bool,
    people: People,
    letters: Letters,
    /// Slots that have to go on working, once `watch` was said.
    watched: Option<BTreeSet<SlotId>>,
    /// What each clinic's last plan held back, so that only news is said.
    held: BTreeMap<ClinicName, BTreeSet<String>>,
}

/// 2026-04-01T00:00:00Z, nine in the morning in Tokyo.
const BEGINNING: Timestamp = Timestamp::from_unix(1_775_001_600);

/// After so many rounds in which something changed, a world that is not quiet never will be.
const ROUNDS_MAX: u32 = 100;

impl World {
    /// A world in which nothing was declared yet.
    pub fn empty() -> Result<Self, String> {
        Ok(Self {
            log: Log::default(),
            now: BEGINNING,
            policy: empty_tenant()?,
            server: Server::default(),
            pcs: BTreeMap::new(),
            sites_up: true,
            people: People::default(),
            letters: Letters::default(),
            watched: None,
            held: BTreeMap::new(),
        })
    }

    /// Does what one line of a script says.
    ///
    /// # Errors
    ///
    /// It names what was not declared or has not enrolled.
    pub fn obey(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::Declare(declaration) => self.change_policy(declaration)?,
            Command::Enrol(devices) => {
                for device in devices {
                    self.server.enrol(&device, self.now);
                    self.pcs.insert(device.clone(), Pc::new(device));
                }
            }
            Command::Network { device, is_online } => self.pc(&device)?.is_online = is_online,
            Command::Crash { device, crash } => self.pc(&device)?.crash = Some(crash),
            Command::Clock { device, offset } => self.pc(&device)?.clock_offset = offset,
            Command::File { device, number } => self.pc(&device)?.files.extend([Sha256([number; 32])]),
            Command::Lose(slot) => self.pc(&slot.device)?.lose(&slot),
            Command::Revoke(slot) => {
                let serial = self.server.revoke_newest(&slot)?;
                self.log.say(&format!("{} is revoked", words::certificate(serial)));
            }
            Command::Renew(slot) => self.server.slot(&slot).renewal_asked = true,
            Command::RevokeDevice(device) => {
                let known = self.server.known.devices.get_mut(&device);
                known.ok_or_else(|| format!("{device} has not enrolled"))?.revoked = true;
            }
            Command::Bring(slot) => {
                let serial = self.server.bring(&slot, self.now)?;
                self.log.say(&format!("{} is brought", words::certificate(serial)));
            }
            Command::People { after } => self.people.after = Some(after),
            Command::Watch => self.watched = Some(BTreeSet::new()),
            Command::Sites { are_up } => self.sites_up = are_up,
            Command::Advance(span) => self.advance(span),
            Command::ShowSlots => self.show_slots(),
            Command::ShowDevices => self.show_devices(),
        }
        Ok(())
    }

    fn pc(&mut self, device: &DeviceId) -> Result<&mut Pc, String> {
        self.pcs.get_mut(device).ok_or_else(|| format!("{device} has not enrolled"))
    }

    /// Changes policy, and says who would be locked out by it.
    fn change_policy(&mut self, declaration: Declaration) -> Result<(), String> {
        let before = self.policy.clone();
        declare(&mut self.policy, declaration)?;
        let copied = self.policy.profiles.iter().filter(|(_, profile)| !profile.dependants.is_empty());
        self.server.copied = copied.map(|(name, _)| name.clone()).collect();
        for clinic in before.clinics.keys() {
            let observed = self.server.observed(clinic, self.now);
            for device in locked_out(&desire(&before, clinic), &desire(&self.policy, clinic), &observed, self.now) {
                self.log.say(&format!("locks {device} out of {clinic}"));
            }
        }
        Ok(())
    }

    /// Starts what has crashed, and lets time pass from one alarm to the next.
    fn advance(&mut self, span: Duration) {
        for pc in self.pcs.values_mut().filter(|pc| pc.is_down) {
            pc.is_down = false;
            self.log.happened(self.now, &format!("{} starts again", pc.id));
        }
        let end = self.now.after(span);
        while let Some(wake_at) = self.settle().filter(|wake_at| *wake_at <= end) {
            self.now = wake_at;
        }
        if self.now < end {
            self.now = end;
            self.settle();
        }
    }

    /// Plans and works until nothing changes any more; gives the next moment at which a plan could.
    fn settle(&mut self) -> Option<Timestamp> {
        for _ in 0..ROUNDS_MAX {
            self.hear_reports();
            let (wake_at, has_acted) = self.turn();
            let has_worked = self.work();
            let (helped_at, has_helped) = self.people.work(&self.policy, &mut self.server, &mut self.log, self.now);
            if !has_acted && !has_worked && !has_helped {
                self.watch();
                let told_at = self.letters.write(&self.policy, &self.server, &mut self.log, self.now);
                return wake_at.into_iter().chain(helped_at).chain(told_at).min();
            }
        }
        self.log.violated(self.now, "the world does not come to rest".to_owned());
        None
    }

    /// Checks that what worked works still, and that no account has more than it may.
    fn watch(&mut self) {
        let Some(watched) = &mut self.watched else { return };
        let (works, fails): (BTreeSet<_>, BTreeSet<_>) =
            self.server.known.slots.keys().cloned().partition(|slot| self.server.works(slot, self.now));
        for slot in watched.intersection(&fails) {
            self.log.violated(self.now, format!("{slot} has no certificate that works"));
        }
        *watched = works;
        for (name, clinic) in &self.policy.clinics {
            let accounts = self.server.observed(name, self.now).accounts;
            for (account, seen) in accounts {
                let quotas = clinic.accounts.get(&account).map(|account| account.quotas.as_slice()).unwrap_or_default();
                let used = |quota: &Quota| match quota.per {
                    Some(span) => seen.issued_at.iter().filter(|at| at.after(span) > self.now).count(),
                    None => seats(&self.server.known, name, &account, self.now),
                };
                if quotas.iter().any(|quota| used(quota) > quota.certificates as usize) {
                    self.log.violated(self.now, format!("{name}: account {account} has more certificates than it may"));
                }
            }
        }
    }

    /// Agents that are up tell what they see.
    fn hear_reports(&mut self) {
        for pc in self.pcs.values().filter(|pc| pc.is_online && !pc.is_down) {
            if let Some(device) = self.server.known.devices.get_mut(&pc.id).filter(|device| !device.revoked) {
                device.last_seen = self.now;
                device.clock_offset = pc.clock_offset;
                device.installers = pc.files.clone();
            }
        }
    }

    /// Plans every clinic and carries the plans out.
    fn turn(&mut self) -> (Option<Timestamp>, bool) {
        let declared = self.policy.clinics.keys().cloned();
        let clinics: BTreeSet<_> = declared.chain(self.server.known.slots.keys().map(|slot| slot.clinic.clone())).collect();
        let (mut wake_at, mut has_acted) = (None, false);
        for clinic in clinics {
            let plan = plan(&desire(&self.policy, &clinic), &self.server.observed(&clinic, self.now), self.now);
            if plan.wake_at.is_some_and(|wake_at| wake_at <= self.now) {
                self.log.violated(self.now, format!("the plan of {clinic} wants to be woken in the past"));
                return (None, false);
            }
            wake_at = wake_at.into_iter().chain(plan.wake_at).min();
            has_acted |= self.carry_out(&clinic, &plan.actions);
        }
        (wake_at, has_acted)
    }

    /// True if something was done.
    fn carry_out(&mut self, clinic: &ClinicName, actions: &[Action]) -> bool {
        let (holds, acts): (Vec<_>, Vec<_>) = actions.iter().partition(|action| action.is_waiting());
        for act in &acts {
            self.log.happened(self.now, &words::told(act));
            self.server.carry_out(act, self.now);
        }
        let holds: BTreeSet<String> = holds.into_iter().map(words::told).collect();
        let known = self.held.insert(clinic.clone(), holds.clone()).unwrap_or_default();
        holds.difference(&known).for_each(|hold| self.log.happened(self.now, hold));
        !acts.is_empty()
    }

    /// Lets every agent work; true if any of them changed something.
    fn work(&mut self) -> bool {
        let Self { pcs, server, log, now, sites_up, .. } = self;
        let mut has_changed = false;
        for pc in pcs.values_mut() {
            if server.known.devices.get(&pc.id).is_none_or(|device| device.revoked) {
                continue;
            }
            let before = pc.clone();
            pc.work(&mut Surroundings { server, log, now: *now, sites_up: *sites_up });
            has_changed |= *pc != before;
        }
        has_changed
    }

    fn show_slots(&mut self) {
        let clinics: BTreeSet<ClinicName> =
            self.policy.clinics.keys().chain(self.server.known.slots.keys().map(|slot| &slot.clinic)).cloned().collect();
        for clinic in clinics {
            let observed = self.server.observed(&clinic, self.now);
            for (slot, reason) in plan(&desire(&self.policy, &clinic), &observed, self.now).verdicts {
                let verdict = reason.map_or("right".to_owned(), |reason| format!("{reason:?}"));
                let held = observed.slots.get(&slot).map(|seen| seen.certificates.as_slice()).unwrap_or_default();
                self.log.say(&format!("{slot}: {verdict}; {}", self.held_told(held)));
            }
        }
    }

    fn held_told(&self, held: &[Held]) -> String {
        let told = |held: &Held| {
            let state = match held.progress {
                _ if held.revoked => "revoked",
                _ if held.is_expired(self.now) => "expired",
                Progress::Issued => "issued",
                Progress::Installed => "installed",
                Progress::Proven => "proven",
            };
            format!("{} {state} until {}", words::certificate(held.serial), held.not_after)
        };
        if held.is_empty() { "nothing".to_owned() } else { held.iter().map(told).collect::<Vec<_>>().join(", ") }
    }

    fn show_devices(&mut self) {
        for (id, pc) in &self.pcs {
            let network = if pc.is_online { "online" } else { "offline" };
            let files: Vec<_> = pc.files.iter().map(|file| format!(", file f{}", file.0[31])).collect();
            self.log.say(&format!("{id}: {network}, can use {}{}", words::certificates(pc.stored()), files.concat()));
        }
    }
}

/// How many slots hold something of an account: certificates that follow each other in a slot take one seat.
fn seats(known: &Observed, clinic: &ClinicName, account: &AccountName, now: Timestamp) -> usize {
    let lives = |held: &Held| held.account.as_ref() == Some(account) && !held.revoked && !held.is_expired(now);
    known.slots.iter().filter(|(slot, seen)| slot.clinic == *clinic && seen.certificates.iter().any(lives)).count()
}
