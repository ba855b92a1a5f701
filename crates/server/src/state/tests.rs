//! What a drill has to find, and what is put back.

use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::audit::Ledger;
use crate::clock::Clock;
use crate::issuers::authorities::{Authorities, Own};
use crate::recovery::History;
use crate::store::Store;
use crate::store::sql::Database;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

struct Scene {
    place: TempDir,
    key: Seal,
    _ledger: Ledger,
}

impl Scene {
    /// A server's state with two authorities, in use, and a backup of it that holds the seal.
    async fn set() -> Self {
        let (place, key) = (tempfile::tempdir().unwrap(), Seal::generate());
        let folder = Folder::take(&place.path().join("state")).unwrap();
        let seal = folder.seal(true).unwrap();
        folder.keep_database_private().unwrap();
        let ledger = Ledger::open(Arc::new(Database::sqlite(&folder.database()).await.unwrap())).await.unwrap();
        let authorities = Authorities::new(ledger.clone(), Clock::system(), seal);
        authorities.own(Own::Server).await.unwrap();
        authorities.own(Own::Devices).await.unwrap();
        let scene = Self { place, key, _ledger: ledger };
        back_up(&scene.path("state"), &scene.path("backup"), &[scene.key.recipient()], NOW).await.unwrap();
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    fn keys(&self) -> Keys {
        Keys { identities: vec![Seal::from_text(&self.key.text()).unwrap()], seal: None }
    }

    async fn drill(&self) -> Result<Proof, StateError> {
        drill(&self.path("backup"), tempfile::tempdir().unwrap().path(), &self.keys()).await
    }

    /// Changes the database in the backup, and its manifest so that the checksum is right.
    async fn forge(&self, sql: &'static str) {
        let database = self.path("backup").join(DATABASE);
        crate::store::sql::sqlite::archive::forge(&database, sql).await;
        let mut manifest = self.manifest();
        manifest.files.insert(DATABASE.to_owned(), files::settle(&database).unwrap());
        self.put(&manifest);
    }

    fn manifest(&self) -> Manifest {
        serde_json::from_slice(&fs::read(self.path("backup").join(MANIFEST)).unwrap()).unwrap()
    }

    fn put(&self, manifest: &Manifest) {
        fs::write(self.path("backup").join(MANIFEST), serde_json::to_vec(manifest).unwrap()).unwrap();
    }
}

#[tokio::test]
async fn s4_a_good_backup_is_proven_and_put_back_and_gives_nothing_out() {
    let scene = Scene::set().await;
    let proof = scene.drill().await.unwrap();
    assert_eq!((proof.authorities, proof.keys_opened, proof.records, proof.made_at), (2, true, 2, NOW.unix()));
    restore(&scene.path("backup"), &scene.path("new"), &scene.keys(), NOW).await.unwrap();
    let folder = Folder::take(&scene.path("new")).unwrap();
    let seal = folder.seal(true).unwrap();
    let ledger = Ledger::open(Arc::new(Database::sqlite(&folder.database()).await.unwrap())).await.unwrap();
    assert_eq!(ledger.history(), History { epoch: 0, is_open: true });
    Authorities::new(ledger, Clock::system(), seal).own(Own::Devices).await.unwrap();
}

#[tokio::test]
async fn the_index_of_the_audit_log_is_made_anew_whatever_the_backup_says_of_it() {
    for forgery in [
        // It claims to cover every record, and holds nothing.
        "INSERT INTO audit_indexed SELECT tenant, 1, max(sequence) FROM audit GROUP BY tenant",
        // A version that had none.
        "DROP TABLE audit_index; DROP TABLE audit_days; DROP TABLE audit_indexed; DELETE FROM _sqlx_migrations WHERE version = 20",
    ] {
        let scene = Scene::set().await;
        scene.forge(forgery).await;
        assert_eq!(scene.drill().await.unwrap().records, 2, "{forgery}");
        restore(&scene.path("backup"), &scene.path("new"), &scene.keys(), NOW).await.unwrap();
        let store = Database::sqlite(&Folder::take(&scene.path("new")).unwrap().database()).await.unwrap();
        let tenants = store.indexes_behind().await.unwrap();
        assert!(!tenants.is_empty() && tenants.iter().all(|(_, through)| *through == 0), "{forgery}: {tenants:?}");
    }
}

#[tokio::test]
async fn the_folder_opens_nothing_by_itself() {
    let scene = Scene::set().await;
    let seal = read_seal(&scene.path("state/seal.key")).unwrap();
    for entry in fs::read_dir(scene.path("backup")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(16).any(|window| window == b"AGE-SECRET-KEY-1"));
    }
    let without = back_up(&scene.path("state"), &scene.path("without"), &[], NOW).await.unwrap();
    assert!(without.recipients.is_empty() && !scene.path("without").join(SEALED_SEAL).exists());
    let refused = restore(&scene.path("without"), &scene.path("new"), &Keys::default(), NOW).await;
    assert!(matches!(refused, Err(StateError::NoSeal)) && !scene.path("new").exists());
    restore(&scene.path("without"), &scene.path("new"), &Keys { seal: Some(seal), ..Keys::default() }, NOW).await.unwrap();
}

#[tokio::test]
async fn s4_a_drill_finds_whatever_is_wrong() {
    let bit = |scene: &Scene, name: &str| {
        let path = scene.path("backup").join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    for name in [DATABASE, SEALED_SEAL] {
        let scene = Scene::set().await;
        bit(&scene, name);
        assert!(matches!(scene.drill().await, Err(StateError::Altered(path)) if path.ends_with(name)));
    }
    let scene = Scene::set().await;
    let bytes = fs::read(scene.path("backup").join(DATABASE)).unwrap();
    fs::write(scene.path("backup").join(DATABASE), &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(scene.drill().await, Err(StateError::Altered(_))));

    let scene = Scene::set().await;
    fs::remove_file(scene.path("backup").join(MANIFEST)).unwrap();
    assert!(scene.drill().await.is_err());
}

/// What is done to the database, and what is said of it.
type Forgery = (&'static str, fn(&StateError) -> bool);

#[tokio::test]
async fn s4_a_drill_finds_what_a_checksum_cannot() {
    // A record is missing in the middle, at the end, or says that it is another; the keys of two authorities are exchanged.
    let forgeries: [Forgery; 4] = [
        ("DELETE FROM audit WHERE sequence = 1", |error| matches!(error, StateError::BrokenLog(_))),
        ("DELETE FROM audit WHERE sequence = 2", |error| matches!(error, StateError::BrokenLog(_))),
        ("UPDATE audit SET record = json_set(record, '$.sequence', 2)", |error| matches!(error, StateError::BrokenLog(_))),
        ("UPDATE authorities SET sealed_key = (SELECT sealed_key FROM authorities AS o WHERE o.name <> authorities.name)", |error| {
            matches!(error, StateError::OtherKey { .. })
        }),
    ];
    for (sql, is_found) in forgeries {
        let scene = Scene::set().await;
        scene.forge(sql).await;
        let found = scene.drill().await.unwrap_err();
        assert!(is_found(&found), "{sql}: {found}");
        assert!(restore(&scene.path("backup"), &scene.path("new"), &scene.keys(), NOW).await.is_err());
        assert!(!scene.path("new").exists() && !scene.path(".new.part").exists(), "nothing is half-done");
    }
}

#[tokio::test]
async fn another_seal_and_another_identity_are_told() {
    let scene = Scene::set().await;
    let other = Keys { identities: vec![Seal::generate()], seal: None };
    let refused = drill(&scene.path("backup"), tempfile::tempdir().unwrap().path(), &other).await;
    assert!(matches!(refused, Err(StateError::Sealed(recipients)) if recipients == [scene.key.recipient()]));
    let other = Keys { identities: vec![], seal: Some(Seal::generate()) };
    let refused = drill(&scene.path("backup"), tempfile::tempdir().unwrap().path(), &other).await;
    assert!(matches!(refused, Err(StateError::OtherSeal { .. })));
}

#[tokio::test]
async fn nothing_is_written_over_and_two_runs_do_not_mix() {
    let scene = Scene::set().await;
    let again = back_up(&scene.path("state"), &scene.path("backup"), &[], NOW).await;
    assert!(matches!(again, Err(StateError::AlreadyThere(_))));
    fs::create_dir(scene.path("empty")).unwrap();
    let running = Whole::begin(&scene.path("empty")).unwrap();
    assert!(matches!(restore(&scene.path("backup"), &scene.path("empty"), &scene.keys(), NOW).await, Err(StateError::InUse(_))));
    drop(running);
    restore(&scene.path("backup"), &scene.path("empty"), &scene.keys(), NOW).await.unwrap();
    assert!(matches!(Whole::begin(&scene.path("backup/manifest.json")), Err(StateError::AlreadyThere(_))), "a file");
}
