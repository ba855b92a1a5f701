mod witnesses;

use std::path::Path;

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::time::Timestamp;
use tegata_pki::key::Seal;
use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::note::VerifierKey;
use tegata_tlog::period::Period;
use tegata_tlog::proof::Consistency;
use tegata_tlog::verify::{self, Fault};

use super::keys::LogKeys;
use super::sequencer::{LogError, Sequencer};
use super::*;
use crate::clock::Clock;
use crate::issuers::authorities::instance;
use crate::store::sql::Database;
use crate::store::{Batch, NewRecord};

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

struct World {
    folder: tempfile::TempDir,
    sequencer: Sequencer,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Database::sqlite(&database(folder.path())).await.unwrap();
        let keys = LogKeys::of(&Seal::generate()).into();
        Self {
            folder,
            sequencer: Sequencer { ledger: Ledger::open(std::sync::Arc::new(store)).await.unwrap(), clock: Clock::fixed(NOW), keys },
        }
    }

    /// With as many records of one tenant.
    async fn with(count: u64) -> Self {
        let world = Self::new().await;
        world.append(count).await;
        world
    }

    async fn append(&self, count: u64) {
        let record = |number: u64| NewRecord {
            tenant: tenant(),
            at: NOW,
            stage: Stage::Done,
            actor: "tegata".into(),
            action: "certificate.issue",
            object: format!("sakura/uketsuke-{number}/karte"),
            details: json!({}),
        };
        self.sequencer.ledger.note(Batch { records: (0..count).map(record).collect(), changes: vec![] }).await.unwrap();
    }

    fn key(&self) -> VerifierKey {
        self.sequencer.keys.signer(&tenant()).verifier().clone()
    }

    async fn checkpoint(&self) -> Checkpoint {
        let head = self.sequencer.ledger.store().log_head(&tenant()).await.unwrap().unwrap();
        verify::checkpoint(&head.note, &self.key()).unwrap()
    }

    /// What an auditor finds who reads everything.
    async fn audited(&self, kept: &[&Checkpoint]) -> Result<(), Fault> {
        let now = self.checkpoint().await;
        kept.iter().try_for_each(|kept| verify::goes_on(kept, &now))?;
        let kept = kept.iter().copied().cloned().collect();
        let mut checked = Period::whole(now.size).against(now.clone(), kept)?;
        for index in 0..now.size.div_ceil(WIDTH) {
            let Some(bytes) = read(&self.sequencer.ledger, &tenant(), Resource::entries(index, now.size)).await.unwrap() else { break };
            entry::unbundle(&bytes).unwrap().into_iter().try_for_each(|entry| checked.push(entry))?;
        }
        checked.finish()
    }

    /// Does to the database what only its owner can.
    async fn tamper(&self, sql: &str) {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database(self.folder.path()));
        let mut db = sqlx::ConnectOptions::connect(&options).await.unwrap();
        let unguarded = "DROP TRIGGER IF EXISTS audit_is_append_only_update; DROP TRIGGER IF EXISTS audit_is_append_only_delete;
            DROP TRIGGER IF EXISTS log_heads_only_grow; DROP TRIGGER IF EXISTS log_heads_stay;";
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{unguarded} {sql}"))).execute(&mut db).await.unwrap();
    }
}

/// What a device checks that knows a log's beginning.
#[tokio::test]
async fn a_device_is_shown_that_the_log_goes_on_from_any_size() {
    let world = World::new().await;
    let (ledger, keys) = (&world.sequencer.ledger, &world.sequencer.keys);
    assert_eq!(shown(ledger, keys, &tenant(), 0).await.unwrap(), None, "there is no log yet");
    let mut roots = Vec::new();
    for _step in 0..5 {
        world.append(130).await;
        world.sequencer.catch_up().await.unwrap();
        roots.push(world.checkpoint().await);
    }
    let now = world.checkpoint().await;
    for known in &roots {
        let shown = shown(ledger, keys, &tenant(), known.size).await.unwrap().unwrap();
        assert_eq!(verify::checkpoint(&shown.checkpoint, &shown.key.parse().unwrap()), Ok(now.clone()));
        let hash = |text: &String| Hash(BASE64.decode(text.as_bytes()).unwrap().try_into().unwrap());
        let proof = Consistency { old: known.size, new: now.size, path: shown.consistency.iter().map(hash).collect() };
        assert!(proof.holds(known.root, now.root), "{}", known.size);
    }
    assert_eq!(
        shown(ledger, keys, &tenant(), now.size + 1).await.unwrap().unwrap().consistency,
        [""; 0],
        "whoever knows more sees that it is less"
    );
}

fn database(folder: &Path) -> std::path::PathBuf {
    folder.join("tegata.db")
}

fn tenant() -> TenantName {
    "aozora".parse().unwrap()
}

#[tokio::test]
async fn every_record_is_covered_and_what_is_covered_never_changes() {
    let world = World::with(300).await;
    world.sequencer.catch_up().await.unwrap();
    let before = world.checkpoint().await;
    assert_eq!(before.size, 300);
    assert_eq!(world.audited(&[]).await, Ok(()));
    world.append(5_000).await;
    world.sequencer.catch_up().await.unwrap();
    assert_eq!(world.checkpoint().await.size, 5_300);
    assert_eq!(world.audited(&[&before]).await, Ok(()));

    let told = world.sequencer.ledger.store().audit(&instance(), 0, 100).await.unwrap();
    let told: Vec<_> =
        told.iter().map(|record| (record.action.as_str(), record.object.as_str(), record.details["size"].as_u64())).collect();
    let expected = [300, 4_396, 5_300].map(|size| ("log.checkpoint", "aozora", Some(size)));
    assert_eq!(told, expected, "checkpoints of tenants are records of the installation's log");
    let head = world.sequencer.ledger.store().log_head(&instance()).await.unwrap().unwrap();
    assert_eq!(head.size, 3, "which is a log like any other");
}

#[tokio::test]
async fn nothing_to_add_writes_nothing() {
    let world = World::with(1).await;
    world.sequencer.catch_up().await.unwrap();
    let before = world.sequencer.ledger.store().log_head(&instance()).await.unwrap();
    world.sequencer.catch_up().await.unwrap();
    assert_eq!(world.sequencer.ledger.store().log_head(&instance()).await.unwrap(), before);
}

/// What somebody with the database does to its records does not fit the checkpoint.
#[tokio::test]
async fn a_database_that_was_tampered_with_does_not_fit_its_checkpoint() {
    for (what, sql) in [
        ("edited", "UPDATE audit SET record = replace(record, 'uketsuke-7/', 'uketsuke-8/') WHERE tenant = 'aozora' AND sequence = 8"),
        ("deleted", "DELETE FROM audit WHERE tenant = 'aozora' AND sequence = 8"),
        ("truncated", "DELETE FROM audit WHERE tenant = 'aozora' AND sequence > 290"),
        (
            "reordered",
            "UPDATE audit SET sequence = 1000 - sequence WHERE tenant = 'aozora' AND sequence IN (8, 9);
            UPDATE audit SET sequence = sequence - 983 WHERE tenant = 'aozora' AND sequence > 900",
        ),
        (
            "duplicated",
            "UPDATE audit SET record = (SELECT record FROM audit WHERE tenant = 'aozora' AND sequence = 7) WHERE tenant = 'aozora' AND sequence = 8",
        ),
        ("back-dated", "UPDATE audit SET record = replace(record, '1800000000', '1700000000') WHERE tenant = 'aozora' AND sequence = 300"),
    ] {
        let world = World::with(300).await;
        world.sequencer.catch_up().await.unwrap();
        assert_eq!(world.audited(&[]).await, Ok(()));
        world.tamper(sql).await;
        assert!(world.audited(&[]).await.is_err(), "{what}");
    }
}

/// Whoever has the log's key too can sign a new history; whoever kept a checkpoint of the old one sees it.
#[tokio::test]
async fn a_history_that_was_signed_anew_does_not_fit_what_somebody_kept() {
    let anew = "DELETE FROM log_tiles; DELETE FROM log_heads;";
    for (what, sql) in [
        ("edited", "UPDATE audit SET record = replace(record, 'uketsuke-7/', 'uketsuke-8/') WHERE tenant = 'aozora' AND sequence = 8"),
        ("cut off", "DELETE FROM audit WHERE tenant = 'aozora' AND sequence > 290"),
        ("forked", "UPDATE audit SET record = replace(record, 'uketsuke-', 'uketuke-') WHERE tenant = 'aozora' AND sequence = 300"),
    ] {
        let world = World::with(300).await;
        world.sequencer.catch_up().await.unwrap();
        let kept = world.checkpoint().await;
        world.tamper(&format!("{sql}; {anew}")).await;
        world.sequencer.catch_up().await.unwrap();
        assert_eq!(world.audited(&[]).await, Ok(()), "{what}: the server alone looks fine");
        assert!(world.audited(&[&kept]).await.is_err(), "{what}");
    }
}

#[tokio::test]
async fn a_damaged_tree_is_never_signed() {
    for sql in [
        "UPDATE log_tiles SET hashes = zeroblob(length(hashes)) WHERE tenant = 'aozora' AND level = 0 AND number = 1",
        "DELETE FROM log_tiles WHERE tenant = 'aozora' AND level = 1",
    ] {
        let world = World::with(300).await;
        world.sequencer.catch_up().await.unwrap();
        world.tamper(sql).await;
        world.append(1).await;
        assert!(matches!(world.sequencer.catch_up().await, Err(LogError::Damaged(_))), "{sql}");
        assert_eq!(world.checkpoint().await.size, 300);
    }
}

/// Two servers that both believe they are the one: one checkpoint for each size.
#[tokio::test]
async fn two_sequencers_never_sign_two_histories() {
    let world = World::with(10).await;
    let other = Sequencer { ledger: world.sequencer.ledger.clone(), clock: Clock::fixed(NOW), keys: world.sequencer.keys.clone() };
    let (one, two) = tokio::join!(world.sequencer.catch_up(), other.catch_up());
    assert!(one.is_ok() || two.is_ok());
    for outcome in [one, two] {
        assert!(matches!(outcome, Ok(()) | Err(LogError::Store(StoreError::Conflict(_)))), "{outcome:?}");
    }
    assert_eq!(world.audited(&[]).await, Ok(()));
}

#[tokio::test]
async fn more_than_there_is_cannot_be_read() {
    let world = World::with(300).await;
    let ask = |path: &'static str| {
        let (ledger, asked) = (&world.sequencer.ledger, path.parse().unwrap());
        async move { read(ledger, &tenant(), asked).await.unwrap() }
    };
    assert_eq!(ask("0/000").await, None, "nothing is covered yet");
    world.sequencer.catch_up().await.unwrap();
    assert_eq!(ask("0/000").await.map(|bytes| bytes.len()), Some(256 * 32));
    assert_eq!(ask("0/001.p/44").await.map(|bytes| bytes.len()), Some(44 * 32));
    assert_eq!(ask("0/001.p/43").await.map(|bytes| bytes.len()), Some(43 * 32), "what it was before is still there");
    for path in ["0/001.p/45", "0/001", "0/002.p/1", "2/000.p/1", "entries/001", "entries/001.p/45"] {
        assert_eq!(ask(path).await, None, "{path}");
    }
}
