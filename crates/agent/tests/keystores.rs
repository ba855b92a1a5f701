//! What every keystore has to do, whatever the platform, run against each: the files, and NSS with the real certutil, pk12util,
//! libnss3 and the real child process for removal, and the keychain of macOS with a double of its tool.

use std::collections::BTreeSet;

use tegata_core::name::SlotId;
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::key::PrivateKey;

use tegata_agent::disk;
use tegata_agent::keystore::file::FileStore;
use tegata_agent::keystore::monsiaj::Monsiaj;
use tegata_agent::keystore::{Keystore, Pair};

#[cfg(unix)]
#[path = "keystores/macos.rs"]
mod macos;

#[cfg(windows)]
#[path = "keystores/windows.rs"]
mod windows;

#[tokio::test]
async fn files_keep_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    check(&FileStore::new(folder.path())).await;
    assert!(disk::entries(folder.path()).unwrap().is_empty(), "nothing may be left behind");
}

#[tokio::test]
async fn monsiaj_keeps_the_contract() {
    let home = tempfile::tempdir().unwrap();
    check(&Monsiaj::of(home.path())).await;
    assert!(disk::entries(&home.path().join(".monsiaj/certificates")).unwrap().is_empty(), "nothing may be left behind");
}

#[tokio::test]
async fn monsiaj_is_switched_only_when_told_and_everything_else_stays() {
    let home = tempfile::tempdir().unwrap();
    let (store, properties) = (Monsiaj::of(home.path()), home.path().join(".monsiaj/monsiaj.jsonrpc.properties"));
    let [old, new] = [pair("old"), pair("new")];
    store.install(&slot(), &old, "old").await.unwrap();
    std::fs::write(&properties, "# settings\nmonsiaj.config.0.host=auth.example.jp\nmonsiaj.config.0.clientCertificateFile=gone\n")
        .unwrap();
    store.install(&slot(), &new, "new").await.unwrap();
    assert!(std::fs::read_to_string(&properties).unwrap().contains("File=gone"), "it was only installed");
    for pair in [&old, &new] {
        store.prefer(pair.fingerprint().unwrap(), &BTreeSet::new()).await.unwrap();
    }
    let text = std::fs::read_to_string(&properties).unwrap();
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    let file = value("monsiaj.config.0.clientCertificateFile=");
    assert!(text.starts_with("# settings\nmonsiaj.config.0.host=auth.example.jp\n"), "{text}");
    let password = value("monsiaj.config.0.clientCertificatePassword=");
    let opened = tegata_pki::pkcs12::read(&std::fs::read(&file).unwrap(), &password).unwrap();
    assert_eq!(opened.chain, new.chain, "what the settings name opens with the password that they name");
    #[cfg(unix)]
    for secret in [std::path::PathBuf::from(file).with_extension("pass"), properties] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o077, 0, "{}", secret.display());
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn nss_keeps_the_contract() {
    let pc = nss::Pc::new();
    check(&pc.store()).await;
    assert!(disk::entries(&pc.temporary()).unwrap().is_empty(), "no bundle and no password may be left behind");
}

fn slot() -> SlotId {
    "sakura/uketsuke-1/karte".parse().unwrap()
}

/// A fresh pair: all come from authorities of the same name, and have the same subject but for the unique part.
fn pair(unique: &str) -> Pair {
    pair_of(KeyAlgorithm::EcdsaP256, unique)
}

fn pair_of(algorithm: KeyAlgorithm, unique: &str) -> Pair {
    pair_issued(algorithm, 1, unique)
}

fn pair_since(days: u32, unique: &str) -> Pair {
    pair_issued(KeyAlgorithm::EcdsaP256, days, unique)
}

fn pair_issued(algorithm: KeyAlgorithm, days_ago: u32, unique: &str) -> Pair {
    let key = PrivateKey::generate(algorithm).unwrap();
    Pair { chain: certified(&key, days_ago, unique), key: key.to_pkcs8().into() }
}

fn certified(key: &PrivateKey, days_ago: u32, unique: &str) -> Vec<Vec<u8>> {
    let now = Timestamp::from_unix(tegata_agent::wall_clock());
    let root = Authority::new_root("Sakura Root", "sakura", now.before(DAY), now.after(DAY * 90)).unwrap();
    let issuing = root.new_issuing("Sakura Issuing CA", "sakura", now.before(DAY), now.after(DAY * 60)).unwrap();
    let purpose = Purpose::Client {
        common_name: "uketsuke-1.sakura".into(),
        organization: "sakura".into(),
        unique: unique.into(),
        crl_url: None,
        ocsp_url: None,
    };
    let tbs = issuing.draft(&purpose, &key.public_key(), new_serial(), now.before(DAY * days_ago), now.after(DAY * 30)).unwrap();
    vec![issuing.sign(&tbs).unwrap(), issuing.certificate().to_vec()]
}

async fn check(store: &dyn Keystore) {
    check_but_kinds(store).await;
    takes_every_kind_of_key(store).await;
}

async fn check_but_kinds(store: &dyn Keystore) {
    gives_back_what_was_put_in(store).await;
    installing_twice_is_once(store).await;
    removes_exactly_one(store).await;
    removing_what_is_not_there_changes_nothing(store).await;
    preferring_one_keeps_the_others(store).await;
}

async fn gives_back_what_was_put_in(store: &dyn Keystore) {
    let pair = pair("back");
    let fingerprint = pair.fingerprint().unwrap();
    assert!(store.open(fingerprint).await.is_err());
    store.install(&slot(), &pair, "受付 1番 \"quoted\" $(label)").await.unwrap();
    let opened = store.open(fingerprint).await.unwrap();
    assert_eq!(opened.chain, pair.chain, "the intermediate has to come along");
    assert!(opened.can_sign().unwrap());
    assert!(store.list().await.unwrap().contains(&fingerprint));
    assert!(store.remove(fingerprint).await.unwrap());
}

async fn installing_twice_is_once(store: &dyn Keystore) {
    let pair = pair("twice");
    let fingerprint = pair.fingerprint().unwrap();
    store.install(&slot(), &pair, "twice").await.unwrap();
    let before = store.list().await.unwrap();
    store.install(&slot(), &pair, "twice").await.unwrap();
    assert_eq!(store.list().await.unwrap(), before);
    assert!(store.remove(fingerprint).await.unwrap());
    assert!(!store.list().await.unwrap().contains(&fingerprint));
}

/// The trap of NSS: a name may mean several certificates, and removal by name takes the newest.
async fn removes_exactly_one(store: &dyn Keystore) {
    let pairs = [pair("one"), pair("two"), pair("three")];
    for pair in &pairs {
        store.install(&slot(), pair, "the same label").await.unwrap();
    }
    let [first, second, third] = pairs.map(|pair| pair.fingerprint().unwrap());
    assert!(store.remove(second).await.unwrap());
    let left = store.list().await.unwrap();
    assert!(left.contains(&first) && !left.contains(&second) && left.contains(&third));
    for kept in [first, third] {
        assert!(store.open(kept).await.unwrap().can_sign().unwrap(), "the others keep their keys");
        assert!(store.remove(kept).await.unwrap());
    }
}

async fn removing_what_is_not_there_changes_nothing(store: &dyn Keystore) {
    let (kept, absent) = (pair("kept"), pair("absent"));
    store.install(&slot(), &kept, "kept").await.unwrap();
    let before = store.list().await.unwrap();
    assert!(!store.remove(absent.fingerprint().unwrap()).await.unwrap());
    assert_eq!(store.list().await.unwrap(), before);
    assert!(store.remove(kept.fingerprint().unwrap()).await.unwrap());
}

async fn preferring_one_keeps_the_others(store: &dyn Keystore) {
    let pairs = [pair("preferred"), pair("other")];
    for pair in &pairs {
        store.install(&slot(), pair, "prefer").await.unwrap();
    }
    let before = store.list().await.unwrap();
    let [preferred, other] = pairs.map(|pair| pair.fingerprint().unwrap());
    for _again in 0..2 {
        store.prefer(preferred, &BTreeSet::new()).await.unwrap();
    }
    assert_eq!(store.list().await.unwrap(), before);
    for fingerprint in [preferred, other] {
        assert!(store.open(fingerprint).await.unwrap().can_sign().unwrap());
        assert!(store.remove(fingerprint).await.unwrap());
    }
}

async fn takes_every_kind_of_key(store: &dyn Keystore) {
    takes_keys(store, &[KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048]).await;
}

async fn takes_keys(store: &dyn Keystore, kinds: &[KeyAlgorithm]) {
    for algorithm in kinds {
        let pair = pair_of(*algorithm, "kind");
        let fingerprint = pair.fingerprint().unwrap();
        store.install(&slot(), &pair, "kind").await.unwrap();
        assert!(store.open(fingerprint).await.unwrap().can_sign().unwrap(), "{algorithm:?}");
        assert!(store.remove(fingerprint).await.unwrap());
    }
}

/// The folder of the files, and what programs find in `current`.
struct Files(tempfile::TempDir);

impl Files {
    fn store(&self) -> FileStore {
        FileStore::new(self.0.path())
    }

    fn slot(&self) -> std::path::PathBuf {
        self.0.path().join("sakura/uketsuke-1/karte")
    }

    fn current(&self) -> Option<Vec<u8>> {
        let current = disk::pointed_at(&self.slot().join("current")).unwrap()?;
        let pem = disk::read_text(&self.slot().join(current).join("certificate.pem")).unwrap()?;
        Some(tegata_pki::certificate::read_pem(&pem).unwrap().swap_remove(0).der)
    }
}

#[tokio::test]
async fn programs_keep_what_they_have_until_the_new_one_is_preferred() {
    let files = Files(tempfile::tempdir().unwrap());
    let (old, new) = (pair("old"), pair("new"));
    files.store().install(&slot(), &old, "old").await.unwrap();
    assert_eq!(files.current().as_ref(), old.chain.first(), "a first one is better than none");
    files.store().install(&slot(), &new, "new").await.unwrap();
    assert_eq!(files.current().as_ref(), old.chain.first());
    files.store().prefer(new.fingerprint().unwrap(), &BTreeSet::new()).await.unwrap();
    assert_eq!(files.current().as_ref(), new.chain.first());
    files.store().install(&slot(), &old, "old").await.unwrap();
    assert_eq!(files.current().as_ref(), new.chain.first());
    assert!(files.store().prefer(pair("absent").fingerprint().unwrap(), &BTreeSet::new()).await.is_err());
}

#[tokio::test]
async fn removing_the_current_one_gives_programs_the_newest_that_is_left() {
    let files = Files(tempfile::tempdir().unwrap());
    let pairs = [pair_since(3, "oldest"), pair_since(1, "newest"), pair_since(2, "middle"), pair_since(0, "broken")];
    for pair in &pairs {
        files.store().install(&slot(), pair, "any").await.unwrap();
    }
    let [oldest, newest, middle, broken] = pairs.each_ref().map(|pair| pair.fingerprint().unwrap());
    disk::remove(&files.slot().join(format!("{broken}/key.pem"))).unwrap();
    for (removed, current) in [(oldest, Some(1)), (newest, Some(2)), (broken, Some(2)), (middle, None)] {
        files.store().remove(removed).await.unwrap();
        assert_eq!(files.current().as_ref(), current.and_then(|index: usize| pairs[index].chain.first()));
    }
    assert!(disk::entries(files.0.path()).unwrap().is_empty(), "nothing may be left behind");
}

#[tokio::test]
async fn what_was_half_removed_can_still_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = FileStore::new(folder.path());
    let pair = pair("half");
    let fingerprint = pair.fingerprint().unwrap();
    store.install(&slot(), &pair, "half").await.unwrap();
    disk::remove(&folder.path().join(format!("sakura/uketsuke-1/karte/{fingerprint}/key.pem"))).unwrap();
    assert!(store.list().await.unwrap().contains(&fingerprint), "something must be left to retry");
    assert!(store.open(fingerprint).await.is_err());
    assert!(store.remove(fingerprint).await.unwrap());
    assert!(!store.list().await.unwrap().contains(&fingerprint));
}

#[cfg(target_os = "linux")]
mod nss {
    use std::path::PathBuf;
    use std::process::Command;

    use tegata_agent::keystore::nss::Nss;
    use tegata_agent::keystore::{KeystoreError, Rooted};

    use super::*;

    /// A user's home with a folder for the agent.
    pub(super) struct Pc(tempfile::TempDir);

    impl Pc {
        pub(super) fn new() -> Self {
            let pc = Self(tempfile::tempdir().unwrap());
            disk::make_folder(&pc.temporary()).unwrap();
            pc
        }

        pub(super) fn temporary(&self) -> PathBuf {
            self.0.path().join("agent/tmp")
        }

        pub(super) fn store(&self) -> Nss {
            let child = env!("CARGO_BIN_EXE_tegata-agent").into();
            let store = Nss::with(self.0.path(), None, &self.temporary(), child);
            assert!(store.is_ready(), "these tests need: apt-get install libnss3-tools libnss3");
            store
        }

        fn certutil(&self, arguments: &[&str]) -> String {
            let database = format!("sql:{}/.local/share/pki/nssdb", self.0.path().display());
            let output = Command::new("certutil").args(arguments).args(["-d", &database]).output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        }

        /// A file below the home folder, for arguments of certutil.
        fn file(&self, name: &str, text: &str) -> String {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        }
    }

    #[tokio::test]
    async fn a_root_is_trusted_for_servers_only_and_known_by_its_bytes() {
        let pc = Pc::new();
        let now = Timestamp::from_unix(1_800_000_000);
        let root = || Authority::new_root("Site: Root", "sakura", now.before(DAY), now.after(DAY)).unwrap().certificate().to_vec();
        // Two of the same name: NSS calls both alike.
        let [ours, other] = [root(), root()];
        let pins = [&ours, &other].map(|der| tegata_pki::key::sha256(der));
        assert_eq!(pc.store().root(pins[0]).await.unwrap(), Rooted::Absent);
        pc.store().trust(&ours, true).await.unwrap();
        assert_eq!(pc.store().root(pins[0]).await.unwrap(), Rooted::There { der: ours.clone(), is_trusted: true });
        assert!(pc.certutil(&["-L"]).contains("C,,"), "{}", pc.certutil(&["-L"]));
        pc.store().trust(&other, false).await.unwrap();
        assert_eq!(
            pc.store().root(pins[1]).await.unwrap(),
            Rooted::There { der: other.clone(), is_trusted: false },
            "not by the other's trust"
        );
        pc.store().trust(&ours, false).await.unwrap();
        assert_eq!(pc.store().root(pins[0]).await.unwrap(), Rooted::There { der: ours.clone(), is_trusted: false });
        assert!(pc.store().remove(pins[0]).await.unwrap());
        assert_eq!(pc.store().root(pins[0]).await.unwrap(), Rooted::Absent);
        assert_eq!(pc.store().root(pins[1]).await.unwrap(), Rooted::There { der: other, is_trusted: false });
    }

    #[tokio::test]
    async fn no_key_outlives_its_certificate() {
        let pc = Pc::new();
        let pair = pair("keys");
        pc.store().install(&slot(), &pair, "keys").await.unwrap();
        assert_eq!(pc.certutil(&["-K"]).matches("< 0>").count(), 1);
        pc.store().remove(pair.fingerprint().unwrap()).await.unwrap();
        assert!(!pc.certutil(&["-K"]).contains("< 0>"));
    }

    #[tokio::test]
    async fn people_see_the_label_and_the_end_of_the_serial_number() {
        let pc = Pc::new();
        let pair = pair("label");
        let serial = tegata_pki::certificate::read(&pair.chain[0]).unwrap().serial;
        pc.store().install(&slot(), &pair, "受付1番: さくら").await.unwrap();
        let name = format!("受付1番  さくら {}", serial[12..].iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        assert!(pc.certutil(&["-L"]).contains(&name), "{}", pc.certutil(&["-L"]));
    }

    #[tokio::test]
    async fn other_peoples_certificates_are_left_alone() {
        let pc = Pc::new();
        let (ours, theirs) = (pair("ours"), pair("theirs"));
        pc.store().install(&slot(), &theirs, "theirs").await.unwrap();
        pc.store().install(&slot(), &ours, "ours").await.unwrap();
        assert!(pc.store().remove(ours.fingerprint().unwrap()).await.unwrap());
        assert!(pc.store().open(theirs.fingerprint().unwrap()).await.unwrap().can_sign().unwrap());
    }

    /// What people and other programs have put there: certutil shows names that it does not find again.
    #[tokio::test]
    async fn certificates_with_unusual_names_are_in_nobodys_way() {
        let pc = Pc::new();
        pc.store().install(&slot(), &pair("first"), "first").await.unwrap();
        let mut foreign = Vec::new();
        for (number, name) in ["", "blank at the end ", "line\nbreak", "  ", "u,u,u", "token:name"].into_iter().enumerate() {
            let theirs = pair(&format!("unusual{number}"));
            let pem = pc.file("theirs.pem", &tegata_pki::certificate::to_pem(&theirs.chain[0]));
            pc.certutil(&["-A", "-n", name, "-t", ",,", "-i", &pem]);
            foreign.push(theirs.fingerprint().unwrap());
        }
        assert!(pc.certutil(&["-L"]).contains("(NULL)"));
        let before = pc.store().list().await.unwrap();
        assert!(foreign.iter().filter(|theirs| before.contains(theirs)).count() >= 4, "{}", pc.certutil(&["-L"]));
        check(&pc.store()).await;
        assert!(pc.store().list().await.unwrap().is_superset(&before));
    }

    #[tokio::test]
    async fn a_database_with_a_password_keeps_both_certificate_and_key() {
        let pc = Pc::new();
        let pair = pair("locked");
        let fingerprint = pair.fingerprint().unwrap();
        pc.store().install(&slot(), &pair, "locked").await.unwrap();
        let (none, password) = (pc.file("none", "\n"), pc.file("password", "secret\n"));
        pc.certutil(&["-W", "-f", &none, "-@", &password]);
        let refused = pc.store().remove(fingerprint).await.unwrap_err();
        assert!(refused.to_string().contains("unlock the database"), "{refused}");
        assert!(pc.store().list().await.unwrap().contains(&fingerprint));
        let closed = pc.store().open(fingerprint).await.map(drop).unwrap_err();
        assert!(matches!(closed, KeystoreError::Command(_)), "it is there, only locked: {closed:?}");
        assert_eq!(pc.certutil(&["-K", "-f", &password]).matches("< 0>").count(), 1);
        pc.certutil(&["-W", "-f", &password, "-@", &none]);
        assert!(pc.store().remove(fingerprint).await.unwrap());
        assert!(!pc.certutil(&["-K"]).contains("< 0>"));
    }

    /// The browser looks into one folder; which one, can change after something was installed.
    #[tokio::test]
    async fn what_the_browser_does_not_find_any_more_is_still_removed() {
        let pc = Pc::new();
        let pair = pair("moved");
        let fingerprint = pair.fingerprint().unwrap();
        pc.store().install(&slot(), &pair, "moved").await.unwrap();
        std::fs::create_dir_all(pc.0.path().join(".pki/nssdb")).unwrap();
        assert!(pc.store().list().await.unwrap().is_empty(), "the browser finds nothing in the new folder");
        assert!(matches!(pc.store().open(fingerprint).await, Err(KeystoreError::Absent(..))));
        assert!(pc.store().holds(fingerprint).await.unwrap());
        pc.store().install(&slot(), &pair, "moved").await.unwrap();
        assert!(pc.store().open(fingerprint).await.unwrap().can_sign().unwrap());
        assert!(pc.store().remove(fingerprint).await.unwrap());
        assert!(!pc.store().holds(fingerprint).await.unwrap());
        assert!(!pc.certutil(&["-K"]).contains("< 0>"));
    }

    #[tokio::test]
    async fn a_key_that_somebody_deleted_is_put_back_by_the_next_install() {
        let pc = Pc::new();
        let pair = pair("keyless");
        let fingerprint = pair.fingerprint().unwrap();
        pc.store().install(&slot(), &pair, "keyless").await.unwrap();
        let keys = pc.certutil(&["-K"]);
        let id = keys.split_whitespace().find(|word| word.len() == 40).unwrap();
        pc.certutil(&["-F", "-k", id]);
        assert!(!pc.certutil(&["-K"]).contains("< 0>") && pc.store().list().await.unwrap().contains(&fingerprint));
        let refused = pc.store().open(fingerprint).await.map(drop).unwrap_err();
        assert!(matches!(refused, KeystoreError::Absent(..)), "{refused:?}");
        pc.store().install(&slot(), &pair, "keyless").await.unwrap();
        assert!(pc.store().open(fingerprint).await.unwrap().can_sign().unwrap());
    }

    #[tokio::test]
    async fn a_home_that_is_not_mounted_is_not_one_without_certificates() {
        let pc = Pc::new();
        let home = pc.0.path().join("not-mounted");
        let store = Nss::with(&home, None, &pc.temporary(), env!("CARGO_BIN_EXE_tegata-agent").into());
        let pair = pair("home");
        let fingerprint = pair.fingerprint().unwrap();
        assert!(store.list().await.is_err() && store.holds(fingerprint).await.is_err() && store.remove(fingerprint).await.is_err());
        assert!(store.install(&slot(), &pair, "home").await.is_err() && !home.exists());
    }

    #[test]
    fn the_child_refuses_a_database_that_is_not_there() {
        let output =
            Command::new(env!("CARGO_BIN_EXE_tegata-agent")).args(["nss-remove", "--database", "sql:/nonexistent"]).output().unwrap();
        assert!(!output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("NSS could not open the database"));
    }
}
