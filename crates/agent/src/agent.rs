//! `tegata-agent run`: works, tells the server, waits; for ever.

use std::fs::File;
use std::rc::Rc;

use tegata_api::client::ClientError;
use tegata_api::v1::device::{Deed, Facts, FoundCertificate, InstallerSeen, Manifest, Note, Report, Suspect, UNREAD_MAX};
use tegata_api::v1::diagnosis::Diagnosis;
use tegata_api::v1::trust::RootReport;
use tegata_core::diagnosis::diagnose;
use tegata_core::name::DeviceId;
use tegata_core::time::Timestamp;
use tokio::time::{Duration, Instant, sleep_until};

use crate::backoff::Backoff;
use crate::browser;
use crate::bundle_key;
use crate::chance;
use crate::checkup::{self, Checkup};
use crate::converge::{Device, Retries};
use crate::disk::{self, DiskError};
use crate::doctor::Doctor;
use crate::facts;
use crate::found::Finder;
use crate::identity::{Identity, IdentityError};
use crate::inventory::Inventory;
use crate::journal::Journal;
use crate::keystore::{self, KeystoreError};
use crate::limit::Limit;
use crate::link::{Heard, Link, LogError, Refusal};
use crate::priority;
use crate::probe;
use crate::quarantine;
use crate::receipts::{ReceiptError, Receipts, SendError};
use crate::server::{Online, Server, retry_after};
use crate::settings::Settings;
use crate::snapshot::{self, SnapshotError};
use crate::state::State;
use crate::sweep::{self, Memory, Pace, SweepError, Sweeper};
use crate::vendor;

/// How often everything is looked at and reported although nothing has happened, give or take a quarter.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// When a look for installer files goes on that was cut off: a million files are then looked at in some four hours, in three percent of the time.
const GO_ON_AFTER: Duration = Duration::from_secs(300);

/// Why the agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The agent's folder cannot be worked in.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another agent works in the folder.
    #[error("another tegata-agent works in {0}; only one may")]
    Taken(String),
    /// The receipts cannot be read.
    #[error(transparent)]
    Receipts(#[from] ReceiptError),
    /// A keystore is not there.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The kept manifest cannot be read.
    #[error("manifest.json cannot be followed")]
    Manifest(#[from] Refusal),
    /// The connection cannot be prepared.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// `agent.json` names a device in a way that is none.
    #[error("agent.json is damaged; enrol this PC again")]
    Settings,
}

/// Takes the folder for this process, and clears away what a crash may have left in it. The folder is given back when the lock is
/// dropped, or the process ends in whatever way.
pub fn lock(state: &State) -> Result<File, RunError> {
    let path = state.lock();
    let file = File::create(&path).map_err(disk::failing("open", &path))?;
    file.try_lock().map_err(|_| RunError::Taken(state.root().display().to_string()))?;
    // Who switches clinics right now writes without this lock.
    let _alone = state.hold_browsers()?;
    state.clear()?;
    Ok(file)
}

/// The running agent.
pub struct Agent {
    settings: Settings,
    identity: Identity,
    device: Device,
    link: Link,
    retries: Retries,
    installer_limit: Limit,
    facts: Facts,
    seen: Seen,
    finder: Finder,
    checkup: Checkup,
    /// What looks for installer files have seen so far.
    memory: Memory,
    telling: Telling,
    look_at: Instant,
    /// When a look for installer files goes on that was cut off.
    go_on_at: Option<Instant>,
    pace: Pace,
}

/// What the last pass has seen.
#[derive(Default)]
struct Seen {
    /// Client certificates that others installed.
    found: Vec<FoundCertificate>,
    installers: Vec<InstallerSeen>,
    installers_limited: bool,
    /// Places that were not looked at.
    unread: Vec<String>,
    /// Folders that policy names and that are not there.
    absent: Vec<String>,
    suspects: Vec<Suspect>,
    certificates_limited: bool,
    holds_old: bool,
    roots: Vec<RootReport>,
}

/// What the server was told last, and when it is told again.
struct Telling {
    last: Option<Report>,
    /// True if a report is due although it may say nothing new.
    due: bool,
    backoff: Backoff,
    at: Instant,
}

impl Agent {
    /// Puts the agent of an enrolled PC together, with the real server, stores and browsers.
    pub fn open(state: &State) -> Result<Self, RunError> {
        let (settings, identity) = Self::own(state)?;
        let server = Rc::new(Online::new(&settings.server, &identity)?);
        Self::behind(state, settings, identity, server)
    }

    /// Who this PC is.
    pub fn own(state: &State) -> Result<(Settings, Identity), RunError> {
        let absent = || IdentityError::NotEnrolled(state.root().display().to_string());
        Ok((Settings::read(state)?.ok_or_else(absent)?, Identity::load(state)?))
    }

    /// The same with another server, but with the real stores and browsers.
    pub fn behind(state: &State, settings: Settings, identity: Identity, server: Rc<dyn Server>) -> Result<Self, RunError> {
        let keystores = keystore::available(state, &settings.home, settings.keystore)?;
        let device = Device {
            state: state.clone(),
            journal: Journal::open(state)?,
            inventory: Inventory::open(state)?,
            receipts: Receipts::open(state, &settings.device, Rc::clone(&identity.key))?,
            limit: Limit::open(&state.removals())?,
            keystores,
            browser: browser::of_this_pc(state, &settings),
            prober: Box::new(probe::Online::new(state, &settings.resolve)),
            server,
            bundle_key: Rc::new(bundle_key::of(state)?),
            vendor: Rc::new(vendor::Online::new(state, &settings.resolve)),
        };
        Self::with(settings, identity, device)
    }

    /// The same of parts that are already there.
    pub fn with(settings: Settings, identity: Identity, device: Device) -> Result<Self, RunError> {
        let name: DeviceId = settings.device.parse().map_err(|_| RunError::Settings)?;
        let now = Instant::now();
        Ok(Self {
            link: Link::open(&device.state, name)?,
            installer_limit: Limit::open(&device.state.installer_removals())?,
            facts: facts::gather(&settings.home, device.keystores.names(), device.bundle_key.recipient()),
            telling: Telling { last: None, due: true, backoff: Backoff::default(), at: now },
            retries: Retries::resume(&device.journal),
            seen: Seen::default(),
            finder: Finder::default(),
            checkup: Checkup::open(&device.state),
            memory: Memory::default(),
            look_at: now,
            go_on_at: None,
            pace: Pace::default(),
            settings,
            identity,
            device,
        })
    }

    /// Works until the process is ended. That may happen at any moment: everything is resumed from disk.
    pub async fn run(mut self) {
        loop {
            self.work().await;
            self.wait().await;
        }
    }

    /// One pass over everything that can be done now, and the server is told.
    pub async fn work(&mut self) {
        let looks = Instant::now() >= self.look_at;
        self.pass(looks).await;
        if self.go_on_at.is_some_and(|at| at <= Instant::now()) {
            complain("installer files cannot be swept", self.sweep().await);
        }
        self.check_up().await;
        self.tell(looks).await;
    }

    /// Follows a manifest that somebody brought.
    pub fn follow(&mut self, manifest: &Manifest) -> Result<(), Refusal> {
        self.link.accept_brought(manifest)
    }

    /// What was done and is not known to be on record.
    pub fn receipts(&mut self) -> &mut Receipts {
        &mut self.device.receipts
    }

    /// One pass over everything that can be done now.
    pub async fn pass(&mut self, looks: bool) {
        if looks {
            for store in self.device.keystores.all() {
                complain("a store cannot be made usable", store.wake().await);
            }
        }
        if let Some(manifest) = self.link.manifest().cloned() {
            if looks {
                let roots = self.device.settle_roots(&manifest).await;
                complain("roots cannot be looked after", roots.map(|roots| self.seen.roots = roots));
            }
            self.seen.certificates_limited = self.device.converge(&manifest, &mut self.retries).await.limited;
            if looks {
                complain("settled certificates cannot be looked after", self.device.look_after_settled(&manifest).await);
            }
        }
        if looks {
            self.facts = facts::gather(&self.settings.home, self.device.keystores.names(), self.device.bundle_key.recipient());
            self.seen.found = self.finder.look(&self.device.keystores, &self.device.inventory).await;
            complain("installer files cannot be swept", self.sweep().await);
            complain("what monsiaj keeps is not backed up yet", self.back_up().await);
            self.look_at = Instant::now() + until_next_look(chance::number());
        }
        complain("the time of removals cannot be kept", self.device.limit.keep_time().and(self.installer_limit.keep_time()));
        self.seen.holds_old = self.device.browser.holds_old().unwrap_or(self.seen.holds_old);
    }

    /// Has the doctor look if it is time for that, and hears what people at the PC had it look at.
    async fn check_up(&mut self) {
        self.checkup.refresh();
        let (now, in_trouble) = (Timestamp::from_unix(crate::wall_clock()), checkup::in_trouble(&self.device.journal));
        let has_charts = self.link.manifest().is_some_and(|manifest| !manifest.slots.is_empty());
        if !has_charts || !self.checkup.is_due(&in_trouble, now.unix()) {
            return;
        }
        let Device { state, keystores, prober, browser, .. } = &self.device;
        let doctor = Doctor { state, settings: &self.settings, keystores, prober: &**prober, browser: &**browser };
        let made = match doctor.examine(now).await {
            Ok(facts) => self.checkup.made(Diagnosis::of(&diagnose(&facts), now.unix()), in_trouble),
            Err(problem) => Err(problem),
        };
        complain("the doctor cannot look, or what it found cannot be kept", made);
    }

    /// Waits for the server, for a retry, or for the hour, whichever comes first.
    async fn wait(&mut self) {
        let wake_at = self.wake_at();
        let heard = loop {
            tokio::select! {
                heard = self.link.hear(&*self.device.server) => match heard {
                    // Browsers are looked at here: to drop a held request for it would cost a handshake each time.
                    Heard::Nothing if self.has_browser_changed() || self.checkup.has_news() => return,
                    Heard::Nothing if self.have_grants_changed() => {
                        self.look_at = Instant::now();
                        return;
                    }
                    // Somebody has put a file back.
                    Heard::Nothing if quarantine::has_news(&self.device.state) => {
                        self.look_at = Instant::now();
                        return;
                    }
                    Heard::Nothing => {}
                    heard => break heard,
                },
                () = sleep_until(wake_at) => return,
            }
        };
        if heard == Heard::Manifest {
            self.retries.forget();
            self.look_at = Instant::now();
        }
        self.telling.at = Instant::now();
        self.telling.backoff.succeeded();
    }

    fn wake_at(&self) -> Instant {
        let telling = self.is_telling_due().then_some(self.telling.at);
        [Some(self.look_at), self.go_on_at, self.retries.next(), telling].into_iter().flatten().min().unwrap_or(self.look_at)
    }

    /// A browser has ended, or people switched clinics while one ran.
    fn has_browser_changed(&self) -> bool {
        self.device.browser.holds_old().is_ok_and(|holds_old| holds_old != self.seen.holds_old)
    }

    /// Somebody has agreed to a root, or taken that back.
    fn have_grants_changed(&mut self) -> bool {
        let Ok(Some(now)) = Settings::read(&self.device.state) else { return false };
        let before = std::mem::replace(&mut self.settings.granted_roots, now.granted_roots);
        before != self.settings.granted_roots
    }

    fn is_telling_due(&self) -> bool {
        self.device.receipts.is_waiting() || self.telling.last.is_none() || self.telling.backoff.is_failing()
    }

    async fn sweep(&mut self) -> Result<(), SweepError> {
        self.go_on_at = None;
        let Some(manifest) = self.link.manifest().cloned() else { return Ok(()) };
        let wanted = manifest.remove_installers.union(&manifest.tombstones).cloned().collect();
        let (home, words, mut memory) = (self.settings.home.clone(), manifest.folders.clone(), std::mem::take(&mut self.memory));
        let pace = self.pace;
        let look = move || (sweep::look(&home, &words, &wanted, &mut memory, pace), memory);
        let Some((looked, memory)) = priority::in_peace(look).await else { return Ok(()) };
        self.memory = memory;
        let mut sweeper = Sweeper {
            state: &self.device.state,
            home: &self.settings.home,
            receipts: &mut self.device.receipts,
            limit: &mut self.installer_limit,
            generation: manifest.generation,
        };
        let swept = sweeper.clean(looked?, &manifest.remove_installers, &manifest.quarantine)?;
        self.seen.installers = swept.left;
        self.seen.installers_limited = swept.limited;
        self.seen.suspects = swept.suspects.into_iter().take(UNREAD_MAX).collect();
        self.seen.unread = swept.unread.iter().take(UNREAD_MAX).map(|place| place.display().to_string()).collect();
        self.seen.absent = swept.absent;
        self.go_on_at = swept.goes_on.then(|| Instant::now() + GO_ON_AFTER);
        Ok(())
    }

    /// Only what the server has taken in may be backed up: a bundle that is carried by hand has no way back for it.
    async fn back_up(&self) -> Result<(), SnapshotError> {
        let Some(manifest) = self.link.manifest() else { return Ok(()) };
        snapshot::send(&self.device.state, &self.settings.home, manifest, &*self.device.server).await
    }

    /// Sends receipts, then what is to be seen if that has changed or the hour is over. Failures wait and come back.
    async fn tell(&mut self, hourly: bool) {
        self.telling.due |= hourly;
        if self.telling.backoff.is_failing() && Instant::now() < self.telling.at {
            return;
        }
        let result = self.try_to_tell().await;
        match &result {
            Ok(()) => self.telling.backoff.succeeded(),
            Err(problem) => {
                let at_least = match problem {
                    SendError::Server(problem) => retry_after(problem),
                    _ => None,
                };
                self.telling.at = Instant::now() + self.telling.backoff.failed(chance::number(), at_least);
            }
        }
        self.link.note_contact(result.err().map(|problem| match problem {
            SendError::Server(problem) => problem.to_string(),
            other => crate::told(&other),
        }));
    }

    /// A receipt that the server does not take must not keep it from hearing the rest, nor the identity from being renewed.
    async fn try_to_tell(&mut self) -> Result<(), SendError> {
        let sent = self.device.receipts.send(&*self.device.server).await;
        if let Err(SendError::Server(problem)) = &sent
            && asks_for_peace(problem)
        {
            return sent;
        }
        let report = self.report();
        let is_news = self.telling.last.as_ref().is_none_or(|last| Report { clock: last.clock, ..report.clone() } != *last);
        if self.telling.due || is_news {
            self.look_at_log().await?;
            let answer = self.device.server.report(&report).await?;
            self.telling.last = Some(report);
            self.telling.due = false;
            self.renew_identity(Timestamp::from_unix(answer.clock)).await;
        }
        sent
    }

    /// Whether the audit log is still the one that this PC knows. What it finds is a receipt, which goes out with the next.
    async fn look_at_log(&mut self) -> Result<(), SendError> {
        match self.link.look_at_log(&*self.device.server).await {
            Ok(None) => {}
            Ok(Some((known, shown))) => {
                tracing::error!(
                    "the server's audit log does not go on from what this PC has seen of it: no new instruction of it is followed"
                );
                self.device.receipts.record(Deed::LogContradicted { known, shown }, crate::wall_clock())?;
            }
            Err(LogError::Server(problem)) if asks_for_peace(&problem) => return Err(SendError::Server(problem)),
            Err(problem) => complain("it is not known how far the audit log goes", Err::<(), _>(problem)),
        }
        Ok(())
    }

    /// What is to be seen on this PC.
    pub fn report(&self) -> Report {
        let limited = self.seen.certificates_limited || self.seen.installers_limited;
        let notes = [(self.seen.holds_old, Note::BrowserHoldsOld), (limited, Note::RemovalLimit)];
        Report {
            clock: crate::wall_clock(),
            facts: self.facts.clone(),
            generation: self.link.generation(),
            slots: self.device.journal.entries().map(crate::journal::Entry::report).collect(),
            installers: self.seen.installers.clone(),
            unread: self.seen.unread.clone(),
            absent: self.seen.absent.clone(),
            suspects: self.seen.suspects.clone(),
            found: self.seen.found.clone(),
            notes: notes.into_iter().filter(|(is_so, _)| *is_so).map(|(_, note)| note).collect(),
            diagnosis: self.checkup.last().cloned(),
            roots: self.seen.roots.clone(),
        }
    }

    async fn renew_identity(&mut self, server_time: Timestamp) {
        if self.identity.is_due(server_time) {
            complain("the identity is not renewed yet", self.identity.renew(&self.device.state, &*self.device.server).await);
        }
    }
}

/// True if the server is not there, or has asked for time: another request at once would be no use.
fn asks_for_peace(problem: &ClientError) -> bool {
    matches!(problem, ClientError::Unreachable { .. }) || retry_after(problem).is_some()
}

/// Drawn evenly around the hour: a manifest reaches a whole fleet at the same moment, and it must not go on in step.
fn until_next_look(chance: u64) -> Duration {
    let width = LOOK_EVERY.as_secs() / 2;
    LOOK_EVERY * 3 / 4 + Duration::from_secs(chance % (width + 1))
}

/// Says that something did not go well. It is tried again; nothing else stops for it.
fn complain<E: std::error::Error>(what: &str, result: Result<(), E>) {
    if let Err(problem) = result {
        tracing::warn!(problem = crate::told(&problem), "{what}");
    }
}

#[cfg(test)]
mod tests;
