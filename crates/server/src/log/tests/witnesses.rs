//! Logs and real witnesses, over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tegata_api::v1::audit::{Record, Vouched};
use tegata_core::time::{HOUR, MINUTE};
use tegata_tlog::note::Note;
use tegata_tlog::policy::Policy;
use tegata_witness::{Cosigner, Door, WitnessError};
use tokio::task::JoinHandle;

use super::*;
use crate::log::witnesses::{ALARM, Witnesses, missed_for, told};

/// A witness that can be shut and opened again, and remembers.
struct Peer {
    folder: tempfile::TempDir,
    logs: Vec<VerifierKey>,
    key: VerifierKey,
    address: SocketAddr,
    open: Option<JoinHandle<()>>,
}

impl Peer {
    async fn start(logs: Vec<VerifierKey>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = Cosigner::open(folder.path(), "witness.example.jp", vec![]).unwrap().verifier().clone();
        let mut peer = Self { folder, logs, key, address: ([127, 0, 0, 1], 0).into(), open: None };
        peer.open().await;
        peer
    }

    async fn open(&mut self) {
        // Visits that were ended hold the folder for a moment.
        let cosigner = loop {
            match Cosigner::open(self.folder.path(), "witness.example.jp", self.logs.clone()) {
                Err(WitnessError::InUse(_)) => tokio::task::yield_now().await,
                opened => break opened.unwrap(),
            }
        };
        let door = Door::listen(self.address, cosigner).await.unwrap();
        self.address = door.address().unwrap();
        self.open = Some(tokio::spawn(door.open()));
    }

    async fn shut(&mut self) {
        let door = self.open.take().unwrap();
        door.abort();
        let _ = door.await;
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.open.iter().for_each(JoinHandle::abort);
    }
}

fn clock(passed: &Arc<AtomicI64>) -> Clock {
    let passed = passed.clone();
    Clock::with(move || Timestamp::from_unix(NOW.unix() + passed.load(Ordering::Relaxed)))
}

struct Witnessed {
    world: World,
    peers: Vec<Peer>,
    policy: Arc<Policy>,
    asking: Witnesses,
    passed: Arc<AtomicI64>,
}

impl Witnessed {
    /// A log of 300 records and three witnesses, of whom two are needed.
    async fn new() -> Self {
        Self::with("group office 2 w0 w1 w2\nquorum office\n", "").await
    }

    async fn with(quorum: &str, logs: &str) -> Self {
        let world = World::with(300).await;
        world.sequencer.catch_up().await.unwrap();
        let keys = [tenant(), instance()].map(|tenant| world.sequencer.keys.signer(&tenant).verifier().clone());
        let mut peers = Vec::new();
        let mut text = logs.replace("KEY", &keys[0].to_string());
        for number in 0..3 {
            let peer = Peer::start(keys.to_vec()).await;
            text += &format!("witness w{number} {} http://{}/\n", peer.key, peer.address);
            peers.push(peer);
        }
        let policy: Arc<Policy> = Arc::new((text + quorum).parse().unwrap());
        let passed = Arc::<AtomicI64>::default();
        let asking = Witnesses::new(world.sequencer.ledger.clone(), clock(&passed), world.sequencer.keys.clone(), policy.clone()).unwrap();
        Self { world, peers, policy, asking, passed }
    }

    fn pass(&self, span: Duration) {
        self.passed.fetch_add(span.as_secs() as i64, Ordering::Relaxed);
    }

    /// What was done, and what came of asking.
    async fn round(&self) -> tegata_api::v1::audit::Witnesses {
        self.world.sequencer.catch_up().await.unwrap();
        self.asking.round().await.unwrap();
        self.told().await
    }

    /// As after a restart of the server.
    fn begin_anew(&mut self) {
        let (sequencer, clock) = (&self.world.sequencer, clock(&self.passed));
        self.asking = Witnesses::new(sequencer.ledger.clone(), clock, sequencer.keys.clone(), self.policy.clone()).unwrap();
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_unix(NOW.unix() + self.passed.load(Ordering::Relaxed))
    }

    async fn missed_for(&self, most: Duration) -> Option<Timestamp> {
        missed_for(&self.world.sequencer.ledger, Some(&self.policy), &tenant(), (most, self.now())).await.unwrap()
    }

    async fn told(&self) -> tegata_api::v1::audit::Witnesses {
        let now = self.now();
        let sequencer = &self.world.sequencer;
        told(&sequencer.ledger, &sequencer.keys, Some(&self.policy), &tenant(), now).await.unwrap()
    }

    /// The checkpoint that a quorum has cosigned, as whoever has the policy believes it.
    async fn believed(&self) -> Checkpoint {
        let cosigned = self.world.sequencer.ledger.store().log_cosigned(&tenant()).await.unwrap().unwrap();
        verify::witnessed(&cosigned.note, &self.world.key(), &self.policy).unwrap().0
    }

    async fn alarms(&self) -> Vec<Record> {
        let records = self.world.sequencer.ledger.store().audit(&tenant(), 300, 1_000).await.unwrap();
        records.into_iter().filter(|record| record.action.starts_with("log.")).collect()
    }
}

#[tokio::test]
async fn a_log_is_vouched_for_as_it_grows() {
    let scene = Witnessed::new().await;
    assert_eq!(scene.told().await.vouched, Vouched::Unwitnessed);
    let first = scene.round().await;
    assert_eq!((first.vouched, first.witnessed_size), (Vouched::Witnessed, Some(300)));
    assert!(first.witnesses.iter().all(|witness| witness.size == Some(300) && witness.problem.is_none()), "{first:?}");
    let before = scene.believed().await;
    scene.world.append(700).await;
    assert_eq!(scene.round().await.witnessed_size, Some(1_000));
    let now = scene.believed().await;
    assert_eq!(scene.world.audited(&[&before, &now]).await, Ok(()));

    let head = scene.world.sequencer.ledger.store().log_head(&instance()).await.unwrap().unwrap();
    let of_installation = scene.world.sequencer.ledger.store().log_cosigned(&instance()).await.unwrap().unwrap();
    assert_eq!(of_installation.size, head.size, "the installation's own log is a log like any other");
}

#[tokio::test]
async fn a_silent_log_is_vouched_for_anew_so_that_silence_can_be_told_from_hiding() {
    let scene = Witnessed::new().await;
    let first = scene.round().await;
    scene.pass(MINUTE * 9);
    assert_eq!(scene.round().await.witnessed_at, first.witnessed_at, "nobody is asked about what is fresh");
    scene.pass(MINUTE * 2);
    assert_eq!(scene.round().await.witnessed_at, Some(NOW.unix() + 660));
}

#[tokio::test]
async fn a_quorum_is_enough_and_less_is_not() {
    let mut scene = Witnessed::new().await;
    scene.round().await;
    scene.peers[0].shut().await;
    scene.world.append(10).await;
    let one_down = scene.round().await;
    assert_eq!((one_down.witnessed_size, one_down.witnesses[0].size), (Some(310), Some(300)));
    assert_eq!(one_down.witnesses[0].problem.as_deref(), Some("no answer: no connection"));
    scene.peers[1].shut().await;
    scene.world.append(10).await;
    assert_eq!(scene.round().await.witnessed_size, Some(310), "one of three is no quorum");

    // The one that was away longest is where it was, and the others are where they were.
    scene.peers[0].open().await;
    let back = scene.round().await;
    assert_eq!((back.vouched, back.witnessed_size), (Vouched::Witnessed, Some(320)));
}

#[tokio::test]
async fn a_log_that_nobody_vouches_for_is_on_record_once_and_so_is_its_end() {
    let mut scene = Witnessed::new().await;
    scene.round().await;
    for peer in &mut scene.peers {
        peer.shut().await;
    }
    scene.world.append(1).await;
    scene.pass(ALARM - MINUTE);
    assert_eq!(scene.round().await.vouched, Vouched::Witnessed);
    assert_eq!(scene.alarms().await, []);
    scene.pass(MINUTE * 2);
    assert_eq!(scene.round().await.vouched, Vouched::Unwitnessed);
    scene.round().await;
    let alarms = scene.alarms().await;
    assert_eq!(alarms.iter().map(|record| &*record.action).collect::<Vec<_>>(), ["log.unwitnessed"]);
    assert_eq!(alarms[0].details["since"], NOW.unix());
    assert_eq!((scene.missed_for(ALARM).await, scene.missed_for(HOUR).await), (Some(NOW), None));
    scene.pass(HOUR);
    // A server that begins anew knows it still: it is neither said twice nor forgotten.
    scene.begin_anew();
    scene.round().await;
    assert_eq!((scene.alarms().await.len(), scene.missed_for(HOUR).await), (1, Some(NOW)));
    assert_eq!(missed_for(&scene.world.sequencer.ledger, None, &tenant(), (ALARM, scene.now())).await.unwrap(), None, "nobody is asked");
    for peer in &mut scene.peers {
        peer.open().await;
    }
    assert_eq!(scene.round().await.vouched, Vouched::Witnessed);
    assert_eq!(scene.alarms().await.last().unwrap().action, "log.witnessed");
    assert_eq!((scene.alarms().await.len(), scene.missed_for(Duration::ZERO).await), (2, None));
}

/// Whoever has everything of the server, its keys included, writes a new history and signs it.
#[tokio::test]
async fn no_witness_vouches_for_a_history_that_was_signed_anew() {
    let anew = "DELETE FROM log_tiles WHERE tenant = 'aozora'; DELETE FROM log_heads WHERE tenant = 'aozora';";
    let edit = "UPDATE audit SET record = replace(record, 'uketsuke-7/', 'uketsuke-8/') WHERE tenant = 'aozora' AND sequence = 8";
    let (other, fewer) = ("history is not what it was", "it has cosigned 300 entries and the log has fewer");
    for (what, sql, more, noticed) in [
        ("edited", edit, 0, other),
        ("edited, and grown", edit, 20, other),
        ("cut off", "DELETE FROM audit WHERE tenant = 'aozora' AND sequence > 290", 0, fewer),
        (
            "forked",
            "UPDATE audit SET record = replace(record, 'uketsuke-', 'uketuke-') WHERE tenant = 'aozora' AND sequence = 300",
            20,
            other,
        ),
    ] {
        let scene = Witnessed::new().await;
        scene.round().await;
        let kept = scene.believed().await;
        scene.world.tamper(&format!("{sql}; {anew}")).await;
        scene.world.append(more).await;
        let after = scene.round().await;
        assert_eq!(scene.world.audited(&[]).await, Ok(()), "{what}: the server alone looks fine");
        assert_eq!(after.witnessed_size, Some(300), "{what}: nobody vouches for more");
        assert!(
            after.witnesses.iter().all(|witness| witness.problem.as_ref().is_some_and(|told| told.contains(noticed))),
            "{what}: {after:?}"
        );
        assert!(scene.world.audited(&[&kept]).await.is_err(), "{what}: and what they did vouch for does not fit");
        // The installation's log has only grown, with both histories in it: it alone would have told nobody.
        let store = scene.world.sequencer.ledger.store();
        let (head, cosigned) =
            (store.log_head(&instance()).await.unwrap().unwrap(), store.log_cosigned(&instance()).await.unwrap().unwrap());
        assert_eq!(head.size, cosigned.size, "{what}");
    }
}

#[tokio::test]
async fn an_older_state_that_was_put_back_is_told_as_that() {
    let scene = Witnessed::new().await;
    scene.round().await;
    scene.world.tamper("DELETE FROM audit WHERE tenant = 'aozora' AND sequence > 290; DELETE FROM log_tiles WHERE tenant = 'aozora'; DELETE FROM log_heads WHERE tenant = 'aozora'; DELETE FROM log_cosigned; DELETE FROM log_witnesses").await;
    let after = scene.round().await;
    assert_eq!((after.vouched, after.witnessed_size), (Vouched::Unwitnessed, None));
    assert!(after.witnesses[0].problem.as_ref().unwrap().starts_with("it has cosigned 300 entries and the log has fewer"), "{after:?}");
}

#[tokio::test]
async fn what_is_forgotten_of_a_witness_it_says_itself() {
    let scene = Witnessed::new().await;
    scene.round().await;
    scene.world.tamper("DELETE FROM log_witnesses").await;
    scene.world.append(10).await;
    let after = scene.round().await;
    assert!(after.witnesses.iter().all(|witness| witness.size == Some(310) && witness.problem.is_none()), "{after:?}");
}

#[tokio::test]
async fn only_the_logs_that_a_policy_names_are_asked_about() {
    let scene = Witnessed::with("quorum w0\n", "log KEY\n").await;
    assert_eq!(scene.round().await.witnessed_size, Some(300));
    let store = scene.world.sequencer.ledger.store();
    assert_eq!(store.log_cosigned(&instance()).await.unwrap(), None);
    let sequencer = &scene.world.sequencer;
    let of_installation = told(&sequencer.ledger, &sequencer.keys, Some(&scene.policy), &instance(), NOW).await.unwrap();
    assert_eq!((of_installation.vouched, of_installation.witnesses), (Vouched::Unasked, vec![]));
    let note: Note = store.log_cosigned(&tenant()).await.unwrap().unwrap().note.parse().unwrap();
    assert_eq!(note.lines().lines().count(), 4, "whoever cosigned is there, needed or not");
}
