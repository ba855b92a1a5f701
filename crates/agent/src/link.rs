//! Holds one request open at the server, which answers it the moment something is to be done, and decides which manifest is accepted.

mod log;

use serde::{Deserialize, Serialize};
use tegata_api::client::ClientError;
use tegata_api::v1::device as wire;
use tegata_core::name::DeviceId;
use tokio::time::{Duration, Instant, sleep_until};

use crate::backoff::Backoff;
use crate::chance;
use crate::disk::{self, DiskError};
use crate::manifest::{Manifest, Unreadable};
use crate::server::{Server, retry_after};
use crate::state::State;

#[cfg(test)]
pub(crate) use log::tests::{records, shown};
pub use log::{Contradiction, KnownLog};

/// How often the server is asked how far the audit log goes.
const LOG_EVERY: Duration = Duration::from_secs(6 * 3_600);

/// An empty answer that comes sooner than this did not come from a server that holds requests: asking again at once would be a storm.
const HELD_MIN: Duration = Duration::from_secs(5);

/// An empty answer that comes sooner than this was not held to its end: the server is stopping, and has let all agents go at once.
const HELD_OUT: Duration = Duration::from_secs(wire::HOLD_SECONDS - 5);
/// Over how long agents then come back, in milliseconds.
const SPREAD_MILLISECONDS: u64 = 10_000;

/// Why a manifest is not followed. The last good one stays in force.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is for another device.
    #[error("the manifest is for {0}, not for this device")]
    OtherDevice(DeviceId),
    /// It is older than one that was followed already.
    #[error("the manifest has generation {got}, but {seen} was followed already; the server may have been restored from an old backup")]
    GoesBack {
        /// The refused one's.
        got: u64,
        /// The highest so far.
        seen: u64,
    },
    /// It comes from a server whose audit log is not the one that this PC knows.
    #[error(
        "the server's audit log does not go on from what this PC has seen of it; if an old state was put back, \
         `tegata state recover` on the server puts that on record, and this PC follows again"
    )]
    OtherHistory,
    /// It makes no sense.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It cannot be kept.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Why it is not known how far the audit log goes.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The server does not answer.
    #[error(transparent)]
    Server(#[from] ClientError),
    /// It cannot be kept.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// A new manifest is in force.
    Manifest,
    /// The server answers again after a time of silence.
    Reconnected,
    /// A held request has ended, and nothing is to be done.
    Nothing,
}

/// Whether the server answers, as `status` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// Since when, by the device's clock.
    pub since: i64,
    /// Why it does not answer; absent if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The link to the server.
pub struct Link {
    state: State,
    device: DeviceId,
    manifest: Option<Manifest>,
    backoff: Backoff,
    ask_at: Instant,
    contact: Option<Contact>,
    log: Option<KnownLog>,
    log_seen: Option<Instant>,
}

impl Link {
    /// Begins with the manifest that was accepted last, so that an agent works through an outage.
    pub fn open(state: &State, device: DeviceId) -> Result<Self, Refusal> {
        let manifest = Manifest::kept(state)?;
        let (contact, log) = (disk::read_json(&state.contact())?, disk::read_json(&state.audit_log())?);
        let (state, backoff, ask_at) = (state.clone(), Backoff::default(), Instant::now());
        Ok(Self { state, device, manifest, backoff, ask_at, contact, log, log_seen: None })
    }

    /// The manifest in force.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The highest generation that was accepted.
    pub fn generation(&self) -> u64 {
        self.manifest.as_ref().map_or(0, |manifest| manifest.generation)
    }

    /// Waits until something is heard, or a held request ends, however long that takes. Can be dropped and called again at any time: the waiting time after
    /// a failure is kept.
    pub async fn hear(&mut self, server: &dyn Server) -> Heard {
        loop {
            sleep_until(self.ask_at).await;
            let asked_at = Instant::now();
            let was_failing = self.backoff.is_failing();
            match server.manifest(self.generation()).await {
                Ok(Some(manifest)) => {
                    if self.take(&manifest) {
                        return Heard::Manifest;
                    }
                }
                Ok(None) if asked_at.elapsed() < HELD_MIN => self.wait(Some(spread())),
                Ok(None) => {
                    self.answered();
                    if asked_at.elapsed() < HELD_OUT {
                        self.ask_at += spread();
                    }
                    return if was_failing { Heard::Reconnected } else { Heard::Nothing };
                }
                Err(problem) => self.failed(&problem),
            }
        }
    }

    /// Accepts a manifest, durably, or says why not.
    pub fn accept(&mut self, said: &wire::Manifest) -> Result<(), Refusal> {
        let manifest = Manifest::try_from(said)?;
        if manifest.device != self.device {
            return Err(Refusal::OtherDevice(manifest.device));
        }
        if self.manifest.is_some() && manifest.generation <= self.generation() {
            return Err(Refusal::GoesBack { got: manifest.generation, seen: self.generation() });
        }
        if self.log.as_ref().is_some_and(|log| log.contradiction.is_some() && manifest.epoch <= log.epoch) {
            return Err(Refusal::OtherHistory);
        }
        disk::write_json(&self.state.manifest(), said)?;
        self.manifest = Some(manifest);
        Ok(())
    }

    /// Asks how far the audit log goes, if it is time for that. What does not go on from what is known is kept beside it, and from then on
    /// no manifest is followed until the server shows the known log again, or a person has put on record that an old state was put back.
    /// Gives a checkpoint that is known and what contradicts it, the first time.
    ///
    /// # Errors
    /// The server does not answer, or what it says cannot be kept.
    pub async fn look_at_log(&mut self, server: &dyn Server) -> Result<Option<(String, String)>, LogError> {
        let epoch = self.manifest.as_ref().map_or(0, |manifest| manifest.epoch);
        let is_settled = self.log.as_ref().is_some_and(|log| log.contradiction.is_none() && log.epoch >= epoch);
        if is_settled && self.log_seen.is_some_and(|at| at.elapsed() < LOG_EVERY) {
            return Ok(None);
        }
        let shown = server.log(self.log.as_ref().map_or(0, KnownLog::size)).await?;
        self.log_seen = Some(Instant::now());
        let Some(shown) = shown else { return Ok(None) };
        let heard = KnownLog::hear(self.log.clone(), &shown, epoch, crate::wall_clock());
        if heard == self.log {
            return Ok(None);
        }
        disk::write_json(&self.state.audit_log(), &heard)?;
        let before = std::mem::replace(&mut self.log, heard).and_then(|log| log.contradiction);
        let found = self.log.as_ref().and_then(|log| log.contradiction.as_ref().map(|found| (&log.checkpoint, &found.shown)));
        Ok(found.filter(|_| before.is_none()).map(|(known, shown)| (known.clone(), shown.clone())))
    }

    /// Accepts a manifest that somebody brought. The same may be brought twice, because what it asks for may have been broken off.
    pub fn accept_brought(&mut self, said: &wire::Manifest) -> Result<(), Refusal> {
        let is_in_force = self.manifest.is_some() && Manifest::try_from(said).ok() == self.manifest;
        if is_in_force { Ok(()) } else { self.accept(said) }
    }

    /// Keeps for `status` whether the server answers. Written only when that changes: an idle agent does not touch the disk.
    pub fn note_contact(&mut self, problem: Option<String>) {
        if self.contact.as_ref().is_some_and(|contact| contact.problem.is_some() == problem.is_some()) {
            return;
        }
        let contact = Contact { since: crate::wall_clock(), problem };
        if let Err(problem) = disk::write_json(&self.state.contact(), &contact) {
            tracing::warn!(problem = crate::told(&problem), "the state of the link cannot be kept");
        }
        self.contact = Some(contact);
    }

    fn take(&mut self, manifest: &wire::Manifest) -> bool {
        match self.accept(manifest) {
            Ok(()) => {
                tracing::info!(generation = self.generation(), "a new manifest is in force");
                self.answered();
                true
            }
            Err(refusal) => {
                tracing::error!(refusal = crate::told(&refusal), "a manifest is refused");
                self.wait(None);
                false
            }
        }
    }

    fn answered(&mut self) {
        self.note_contact(None);
        self.backoff.succeeded();
        self.ask_at = Instant::now();
    }

    fn failed(&mut self, problem: &ClientError) {
        if !self.backoff.is_failing() {
            tracing::warn!(problem = crate::told(problem), "the server is silent; everything that is installed goes on working");
        }
        self.note_contact(Some(problem.to_string()));
        self.wait(retry_after(problem));
    }

    fn wait(&mut self, at_least: Option<Duration>) {
        self.ask_at = Instant::now() + self.backoff.failed(chance::number(), at_least);
    }
}

fn spread() -> Duration {
    Duration::from_millis(chance::number() % SPREAD_MILLISECONDS)
}

#[cfg(test)]
mod tests {
    use tegata_api::v1::device::HOLD_SECONDS;
    use tegata_api::v1::problem::Code;

    use super::*;
    use crate::pretend::{World, problem};

    fn link(world: &World) -> Link {
        Link::open(&world.state, world.device()).unwrap()
    }

    fn manifest(generation: u64) -> wire::Manifest {
        wire::Manifest { generation, device: "sakura/uketsuke-1".into(), ..Default::default() }
    }

    #[test]
    fn a_generation_never_goes_back_not_even_over_a_restart() {
        let world = World::new();
        link(&world).accept(&manifest(7)).unwrap();
        for old in [0, 6, 7] {
            let mut link = link(&world);
            assert!(matches!(link.accept(&manifest(old)), Err(Refusal::GoesBack { seen: 7, .. })), "{old}");
            assert_eq!(link.generation(), 7);
        }
        link(&world).accept(&manifest(8)).unwrap();
        assert_eq!(link(&world).generation(), 8);
    }

    #[test]
    fn another_devices_manifest_and_nonsense_leave_the_last_good_one_in_force() {
        let world = World::new();
        link(&world).accept(&manifest(7)).unwrap();
        let other = wire::Manifest { device: "sakura/uketsuke-2".into(), ..manifest(8) };
        let nonsense = wire::Manifest { retire: vec!["*".into()], ..manifest(8) };
        for refused in [other, nonsense] {
            let mut link = link(&world);
            link.accept(&refused).unwrap_err();
            assert_eq!(link.manifest(), Some(&Manifest::try_from(&manifest(7)).unwrap()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_with_another_history_is_not_followed_until_that_is_on_record() {
        let world = World::new();
        let mut own = link(&world);
        own.accept(&manifest(7)).unwrap();
        let records = records(12);
        *world.server.log.borrow_mut() = Some(shown(&records, 0));
        assert_eq!(own.look_at_log(&*world.server).await.unwrap(), None);
        // An older state was put back.
        *world.server.log.borrow_mut() = Some(shown(&records[..9], 12));
        assert_eq!(own.look_at_log(&*world.server).await.unwrap(), None, "it is not asked all the time");
        tokio::time::advance(LOG_EVERY).await;
        let (known, shown) = own.look_at_log(&*world.server).await.unwrap().unwrap();
        assert!(known.contains("\n12\n") && shown.contains("\n9\n"));
        assert_eq!(own.look_at_log(&*world.server).await.unwrap(), None, "it is told once");

        // Not by a restart either.
        for mut own in [own, link(&world)] {
            assert!(matches!(own.accept(&manifest(8)), Err(Refusal::OtherHistory)));
            assert_eq!(own.generation(), 7);
        }
        let mut own = link(&world);
        own.accept(&wire::Manifest { epoch: 1, ..manifest(8) }).unwrap();
        assert_eq!(own.look_at_log(&*world.server).await.unwrap(), None);
        let log: KnownLog = disk::read_json(&world.state.audit_log()).unwrap().unwrap();
        assert_eq!((log.size(), log.epoch, log.left), (9, 1, vec![known]));
        own.accept(&wire::Manifest { epoch: 1, ..manifest(9) }).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn t5_an_outage_of_a_week_is_survived_without_a_storm() {
        let world = World::new();
        let mut link = link(&world);
        world.server.down_for(Duration::from_secs(7 * 86_400));
        assert_eq!(link.hear(&*world.server).await, Heard::Reconnected);
        let asked = world.server.asked();
        // At most one question each 150 s on average once the ceiling is reached, and never fewer than one each 300 s.
        assert!((2_016..6_000).contains(&asked), "{asked} questions in a week");
    }

    #[tokio::test(start_paused = true)]
    async fn t5_retry_after_is_honoured() {
        let world = World::new();
        let mut link = link(&world);
        let mut busy = problem(Code::Busy);
        busy.retry_after = Some(600);
        world.server.refuse_with(busy);
        let begun = Instant::now();
        let heard = tokio::time::timeout(Duration::from_secs(599), link.hear(&*world.server)).await;
        assert!(heard.is_err() && world.server.asked() == 1);
        world.server.accept_again();
        // The waiting time is kept although the call was dropped.
        assert_eq!(link.hear(&*world.server).await, Heard::Reconnected);
        assert!(begun.elapsed() >= Duration::from_secs(600));
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_empty_at_once_is_not_asked_in_a_circle() {
        let world = World::new();
        let mut link = link(&world);
        world.server.holds_for(Duration::ZERO);
        let _ = tokio::time::timeout(Duration::from_secs(3_600), async {
            loop {
                link.hear(&*world.server).await;
            }
        })
        .await;
        assert!(world.server.asked() < 100, "{} questions in an hour", world.server.asked());
    }

    /// A server that stops lets go of every request it holds, all at the same moment.
    #[cfg_attr(windows, ignore = "120 agents, which take Wine a minute")]
    #[tokio::test(start_paused = true)]
    async fn t5_agents_that_a_stopping_server_lets_go_come_back_spread_over_seconds() {
        for held in [1, 20, 40] {
            let mut came_back = Vec::new();
            for _agent in 0..40 {
                let world = World::new();
                let mut link = link(&world);
                world.server.holds_for(Duration::from_secs(held));
                let begun = Instant::now();
                let hears = async {
                    while world.server.asked() < 2 {
                        let _ = tokio::time::timeout(Duration::from_secs(60), link.hear(&*world.server)).await;
                    }
                };
                let is_back = async {
                    while world.server.asked() < 2 {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    begun.elapsed()
                };
                let back = tokio::select! { back = is_back => back, () = hears => begun.elapsed() };
                came_back.push(back - Duration::from_secs(held));
            }
            let late = came_back.iter().filter(|wait| **wait > Duration::from_secs(2)).count();
            assert!(late > 20 && came_back.iter().all(|wait| *wait < Duration::from_secs(12)), "{held}: {came_back:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_was_held_to_its_end_is_followed_by_the_next_at_once() {
        let world = World::new();
        let mut link = link(&world);
        let begun = Instant::now();
        for _ in 0..3 {
            assert_eq!(link.hear(&*world.server).await, Heard::Nothing);
        }
        assert_eq!(begun.elapsed().as_secs(), 3 * HOLD_SECONDS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_identity_changes_nothing_on_the_pc() {
        let world = World::new();
        let mut link = link(&world);
        link.accept(&manifest(3)).unwrap();
        world.server.refuse_with(problem(Code::Unauthorized));
        let heard = tokio::time::timeout(Duration::from_secs(86_400), link.hear(&*world.server)).await;
        assert!(heard.is_err() && link.generation() == 3);
        crate::identity::Identity::load(&world.state).unwrap();
    }
}
