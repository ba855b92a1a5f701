//! The keychain of macOS, run against a double of `security`. What only a Mac can show is in the agent's `README.md`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use expect_test::expect;
use serde_json::{Value, json};
use tegata_agent::keystore::KeystoreError;
use tegata_agent::keystore::macos::{Keychain, trust_command};
use tegata_agent::selftest;
use tegata_agent::state::State;
use tegata_pki::pkcs12::{self, Flavor};

use super::*;

const LOGIN: &str = "/Users/uketsuke/Library/Keychains/login.keychain-db";
/// Written in hexadecimal by the tool.
const FOREIGN: &str = "/Users/受付/Library/Keychains/other \"one\".keychain-db";
const SECURITY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keystores/security.py");

/// A Mac: the double, what its securityd knows, and the agent's folder in a home whose path has a blank.
struct Mac {
    folder: tempfile::TempDir,
    version: u32,
}

impl Mac {
    fn new(version: u32) -> Self {
        let mac = Self { folder: tempfile::tempdir().unwrap(), version };
        fs::copy(SECURITY, mac.tool()).unwrap();
        fs::set_permissions(mac.tool(), fs::Permissions::from_mode(0o755)).unwrap();
        let search = [LOGIN, FOREIGN];
        mac.know(json!({ "macos": version, "home": mac.home(), "search": search, "unlocked": [LOGIN], "create_joins_list": false }));
        State::make(&mac.state_folder()).unwrap();
        mac
    }

    fn home(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn state_folder(&self) -> PathBuf {
        self.home().join("Library/Application Support/Tegata")
    }

    fn tool(&self) -> PathBuf {
        self.folder.path().join("security")
    }

    fn store(&self) -> Keychain {
        self.store_of(Some(self.version))
    }

    fn store_of(&self, version: Option<u32>) -> Keychain {
        Keychain::with(&State::at(&self.state_folder()), &self.home(), &self.tool(), version).unwrap()
    }

    fn keychain(&self) -> PathBuf {
        self.state_folder().join("tegata.keychain-db")
    }

    fn password(&self) -> PathBuf {
        self.state_folder().join("keychain.password")
    }

    fn known(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.path().join("model.json")).unwrap()).unwrap()
    }

    fn know(&self, what: Value) {
        fs::write(self.folder.path().join("model.json"), what.to_string()).unwrap();
    }

    fn change(&self, name: &str, value: Value) {
        let mut known = self.known();
        known[name] = value;
        self.know(known);
    }

    fn content(&self) -> Value {
        serde_json::from_slice(&fs::read(self.keychain()).unwrap()).unwrap()
    }

    fn change_content(&self, change: impl FnOnce(&mut Value)) {
        let mut content = self.content();
        change(&mut content);
        fs::write(self.keychain(), content.to_string()).unwrap();
    }

    fn calls(&self) -> Vec<Value> {
        let calls = fs::read_to_string(self.folder.path().join("calls.jsonl")).unwrap();
        calls.lines().map(|call| serde_json::from_str(call).unwrap()).collect()
    }

    /// What was asked of the tool, one call a line, without what differs from run to run.
    fn transcript(&self) -> String {
        let secret = |word: &str| word.len() == 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let line = |call: Value| {
            let words: Vec<&str> = call["arguments"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
            let input = call["input"].as_str().unwrap().trim_end().replace(&*self.home().to_string_lossy(), "~");
            let hidden: Vec<&str> = input.split('"').map(|word| if secret(word) { "SECRET" } else { word }).collect();
            let words = words.join(" ").replace(&*self.home().to_string_lossy(), "~");
            format!("{} {words} < {}\n", call["status"], hidden.join("\"")).replace(" < \n", "\n")
        };
        let text: String = self.calls().into_iter().map(line).collect();
        let random = |(at, part): (usize, &str)| if at == 0 { part.to_owned() } else { format!("/RANDOM{}", &part["123456".len()..]) };
        text.split("/.tmp").enumerate().map(random).collect()
    }

    fn run(&self, arguments: &[&str], input: &str) -> Output {
        use std::io::Write;
        let mut command = Command::new(self.tool());
        command.args(arguments).env_clear().env("HOME", self.home());
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        // What refuses its arguments does not read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }
}

fn fingerprint(pair: &Pair) -> tegata_core::name::Sha256 {
    pair.fingerprint().unwrap()
}

#[tokio::test]
async fn the_keychain_of_macos_keeps_the_contract() {
    let (old, new) = (Mac::new(14), Mac::new(26));
    check(&old.store()).await;
    // Only what reads bundles is another there.
    takes_every_kind_of_key(&new.store()).await;
    for mac in [old, new] {
        assert!(mac.content()["keys"].as_array().unwrap().is_empty(), "no key outlives its certificate");
        assert!(disk::entries(&State::at(&mac.state_folder()).temporary()).unwrap().is_empty(), "nothing may be left behind");
    }
}

#[tokio::test]
async fn a_version_that_is_not_known_gets_what_every_version_reads() {
    let mac = Mac::new(11);
    mac.store_of(None).install(&slot(), &pair("any"), "any").await.unwrap();
    let refused = mac.store_of(Some(15)).install(&slot(), &pair("new"), "new").await.unwrap_err();
    assert!(refused.to_string().contains("MAC verification failed"), "{refused}");
    assert!(disk::entries(&State::at(&mac.state_folder()).temporary()).unwrap().is_empty(), "the key may not stay on disk");
}

#[tokio::test]
async fn browsers_of_a_mac_may_use_the_key_without_asking() {
    let mac = Mac::new(14);
    mac.store().install(&slot(), &pair("browsers"), "browsers").await.unwrap();
    let (content, known) = (mac.content(), mac.known());
    let key = &content["keys"][0];
    assert_eq!(key["partitions"], json!(["apple-tool:", "apple:", "teamid:EQHXZ8M8AV", "teamid:UBF8T346G9"]));
    assert_eq!(key["acl"], "any", "the list of partitions is what bounds it");
    assert_eq!(content["settings"], json!({ "lock-on-sleep": false, "timeout": null }));
    let ours = json!(mac.keychain());
    for list in ["search", "unlocked"] {
        assert!(known[list].as_array().unwrap().contains(&ours), "{list}");
    }
}

/// A browser shows a certificate if it leads up to an authority that the site names. That takes what is above it, and no trust.
#[tokio::test]
async fn what_stands_above_comes_along_and_nothing_has_to_be_trusted() {
    for version in [14, 15] {
        let mac = Mac::new(version);
        let pairs = [pair("first"), pair("second")];
        for pair in &pairs {
            mac.store().install(&slot(), pair, "above").await.unwrap();
        }
        let listed = mac.store().list().await.unwrap();
        assert!(pairs.iter().flat_map(|pair| &pair.chain).all(|one| listed.contains(&tegata_pki::key::sha256(one))));
        assert!(!mac.transcript().contains("trust"), "{}", mac.transcript());
        for pair in &pairs {
            let opened = mac.store().open(fingerprint(pair)).await.unwrap();
            assert_eq!(opened.chain, pair.chain, "two authorities have the same name, and one of them has signed");
        }
    }
}

#[test]
fn an_administrator_is_told_the_one_command_by_which_a_root_is_trusted() {
    let told = trust_command(Path::new("/Users/uketsuke/it's a root.pem"));
    let expected =
        r"sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain '/Users/uketsuke/it'\''s a root.pem'";
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_first_install_asks_exactly_this() {
    let mac = Mac::new(14);
    mac.store().install(&slot(), &pair("transcript"), "transcript").await.unwrap();
    expect![[r#"
        0 -i < "create-keychain" "-p" "SECRET" "~/Library/Application Support/Tegata/tegata.keychain-db"
        0 -i < "unlock-keychain" "-p" "SECRET" "~/Library/Application Support/Tegata/tegata.keychain-db"
        0 set-keychain-settings ~/Library/Application Support/Tegata/tegata.keychain-db
        0 list-keychains -d user
        0 list-keychains -d user -s /Users/uketsuke/Library/Keychains/login.keychain-db /Users/受付/Library/Keychains/other "one".keychain-db ~/Library/Application Support/Tegata/tegata.keychain-db
        0 list-keychains -d user
        0 find-certificate -a -Z ~/Library/Application Support/Tegata/tegata.keychain-db
        0 -i < "import" "~/Library/Application Support/Tegata/tegata-agent-temporary/RANDOM/bundle.p12" "-k" "~/Library/Application Support/Tegata/tegata.keychain-db" "-f" "pkcs12" "-A" "-P" "SECRET"
        0 add-certificates -k ~/Library/Application Support/Tegata/tegata.keychain-db ~/Library/Application Support/Tegata/tegata-agent-temporary/RANDOM/above.cer
        0 -i < "set-key-partition-list" "-S" "apple-tool:,apple:,teamid:EQHXZ8M8AV,teamid:UBF8T346G9" "-s" "-k" "SECRET" "~/Library/Application Support/Tegata/tegata.keychain-db"
        0 find-certificate -a -Z ~/Library/Application Support/Tegata/tegata.keychain-db
        0 find-identity ~/Library/Application Support/Tegata/tegata.keychain-db
    "#]].assert_eq(&mac.transcript());
}

#[tokio::test]
async fn no_secret_is_in_an_argument_and_the_password_is_the_users_alone() {
    let mac = Mac::new(14);
    let pair = pair("secret");
    mac.store().install(&slot(), &pair, "secret").await.unwrap();
    mac.store().open(fingerprint(&pair)).await.unwrap();
    let password = fs::read_to_string(mac.password()).unwrap();
    assert!(password.len() == 32 && mac.content()["password"] == password.as_str());
    let arguments: String = mac.calls().iter().map(|call| call["arguments"].to_string()).collect();
    assert!(!arguments.contains(&password), "{arguments}");
    for secret in [mac.password(), mac.state_folder()] {
        assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o077, 0);
    }
}

#[tokio::test]
async fn the_list_of_keychains_is_changed_once_and_the_others_stay_in_it() {
    for joins in [false, true] {
        let mac = Mac::new(14);
        mac.change("create_joins_list", json!(joins));
        for name in ["one", "two"] {
            mac.store().install(&slot(), &pair(name), name).await.unwrap();
        }
        assert_eq!(mac.known()["search"], json!([LOGIN, FOREIGN, mac.keychain()]));
        let written = mac.transcript().matches("list-keychains -d user -s").count();
        assert_eq!(written, usize::from(!joins), "every change makes browsers forget what they have decided");
    }
}

#[tokio::test]
async fn a_list_that_is_read_as_empty_is_left_alone() {
    let mac = Mac::new(14);
    mac.change("search", json!([]));
    let refused = mac.store().install(&slot(), &pair("empty"), "empty").await.unwrap_err();
    assert!(refused.to_string().contains("is left alone"), "{refused}");
    assert_eq!(mac.known()["search"], json!([]));
}

#[tokio::test]
async fn what_a_login_has_locked_is_unlocked_at_the_next_start() {
    let mac = Mac::new(14);
    mac.store().wake().await.unwrap();
    assert!(!mac.keychain().exists(), "a keychain is made when there is something to put into it");
    let pair = pair("locked");
    mac.store().install(&slot(), &pair, "locked").await.unwrap();
    mac.change("unlocked", json!([]));
    assert!(mac.store().list().await.unwrap().contains(&fingerprint(&pair)));
    mac.store().wake().await.unwrap();
    assert_eq!(mac.known()["unlocked"], json!([mac.keychain()]));
    // Somebody locks it while the agent works.
    for _ in 0..2 {
        mac.change("unlocked", json!([]));
        assert!(mac.store().open(fingerprint(&pair)).await.unwrap().can_sign().unwrap());
        mac.change("unlocked", json!([]));
        mac.store().install(&slot(), &pair, "locked").await.unwrap();
    }
    mac.change("unlocked", json!([]));
    assert!(mac.store().remove(fingerprint(&pair)).await.unwrap());
}

#[tokio::test]
async fn a_keychain_that_cannot_be_unlocked_keeps_what_it_has() {
    let mac = Mac::new(14);
    let pair = pair("kept");
    mac.store().install(&slot(), &pair, "kept").await.unwrap();
    let before = mac.content();
    for password in [Some("another one"), None] {
        match password {
            Some(password) => fs::write(mac.password(), password).unwrap(),
            None => fs::remove_file(mac.password()).unwrap(),
        }
        for refused in [
            mac.store().wake().await.unwrap_err(),
            mac.store().open(fingerprint(&pair)).await.map(drop).unwrap_err(),
            mac.store().install(&slot(), &pair, "kept").await.unwrap_err(),
            mac.store().remove(fingerprint(&pair)).await.map(drop).unwrap_err(),
        ] {
            let told = refused.to_string();
            assert!(told.contains("passphrase you entered is not correct") || told.contains("move the keychain away"), "{told}");
        }
        assert!(mac.content() == before && mac.store().list().await.unwrap().contains(&fingerprint(&pair)));
    }
    assert!(!mac.password().exists(), "a new password would not fit");
}

#[tokio::test]
async fn an_install_that_was_cut_short_is_finished_by_the_next() {
    let mac = Mac::new(14);
    disk::write(&mac.password(), b"0123456789abcdef0123456789abcdef", disk::Readers::Owner).unwrap();
    let pair = pair("cut");
    mac.store().install(&slot(), &pair, "cut").await.unwrap();
    assert_eq!(mac.content()["password"], "0123456789abcdef0123456789abcdef", "it was written before the keychain was made");
    mac.change("search", json!([LOGIN]));
    mac.change_content(|content| {
        content["keys"][0]["partitions"] = json!(["apple-tool:"]);
        content["certificates"].as_array_mut().unwrap().truncate(1);
        content["settings"]["timeout"] = json!(300);
    });
    mac.store().install(&slot(), &pair, "cut").await.unwrap();
    let content = mac.content();
    assert!(content["keys"][0]["partitions"].as_array().unwrap().contains(&json!("teamid:EQHXZ8M8AV")));
    assert_eq!((content["certificates"].as_array().unwrap().len(), &content["settings"]["timeout"]), (2, &Value::Null));
    assert_eq!(mac.known()["search"], json!([LOGIN, mac.keychain()]));
    assert_eq!(mac.store().open(fingerprint(&pair)).await.unwrap().chain, pair.chain);
}

#[tokio::test]
async fn a_key_that_somebody_deleted_from_the_keychain_is_put_back() {
    let mac = Mac::new(15);
    let (kept, pair) = (pair("kept"), pair("keyless"));
    for pair in [&kept, &pair] {
        mac.store().install(&slot(), pair, "keyless").await.unwrap();
    }
    mac.change_content(|content| drop(content["keys"].as_array_mut().unwrap().pop()));
    let refused = mac.store().open(fingerprint(&pair)).await.map(drop).unwrap_err();
    assert!(matches!(refused, KeystoreError::Absent(..)), "{refused:?}");
    mac.store().install(&slot(), &pair, "keyless").await.unwrap();
    for pair in [kept, pair] {
        assert!(mac.store().open(fingerprint(&pair)).await.unwrap().can_sign().unwrap());
    }
}

#[tokio::test]
async fn a_key_that_two_certificates_share_goes_with_the_last_of_them() {
    let mac = Mac::new(14);
    let first = pair_since(2, "shared");
    let second = Pair { chain: certified(&PrivateKey::from_pkcs8(first.pkcs8().unwrap()).unwrap(), 1, "shared"), key: first.key.clone() };
    mac.store().install(&slot(), &first, "shared").await.unwrap();
    // As a vendor's renewal does that keeps the key: `security` takes the certificate alone.
    mac.change_content(|content| {
        let mut renewed = content["certificates"][0].clone();
        renewed["der"] = json!(data_encoding::HEXLOWER.encode(&second.chain[0]));
        content["certificates"].as_array_mut().unwrap().push(renewed);
    });
    assert!(mac.store().remove(fingerprint(&first)).await.unwrap());
    assert!(mac.store().open(fingerprint(&second)).await.unwrap().can_sign().unwrap());
    assert!(mac.store().remove(fingerprint(&second)).await.unwrap());
    assert!(mac.content()["keys"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_home_that_is_not_mounted_is_not_a_keychain_without_certificates() {
    let mac = Mac::new(14);
    let (store, pair) = (mac.store(), pair("home"));
    store.install(&slot(), &pair, "home").await.unwrap();
    fs::rename(mac.state_folder(), mac.home().join("unmounted")).unwrap();
    assert!(
        store.list().await.is_err() && store.holds(fingerprint(&pair)).await.is_err() && store.remove(fingerprint(&pair)).await.is_err()
    );
}

#[tokio::test]
async fn every_claim_can_be_tried_on_the_mac_itself_and_leaves_nothing() {
    let mac = Mac::new(14);
    fs::create_dir(mac.home().join("Downloads")).unwrap();
    fs::write(mac.home().join("Downloads/file"), "").unwrap();
    let tried = async |version| selftest::tell(&selftest::macos::try_all(&mac.home(), &mac.tool(), Some(version)).await);
    let before = mac.known();
    let told = tried(14).await;
    assert!(told.lines().count() == 7 && told.lines().all(|line| line.starts_with("holds")), "{told}");
    assert_eq!(mac.known(), before);
    let wrong = tried(15).await;
    assert!(wrong.contains("FAILS  1-4") && wrong.contains("MAC verification failed"), "{wrong}");
    assert_eq!(mac.known(), before);
}

#[test]
fn the_double_refuses_what_the_tool_refuses() {
    let mac = Mac::new(14);
    let (keychain, absent) = (mac.keychain().display().to_string(), "/Users/uketsuke/absent.keychain-db");
    let said = |input: &str| {
        let output = mac.run(&["-i"], input);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(said(&format!("create-keychain -p right \"{keychain}\"\n")).0, 0);
    assert_eq!(said(&format!("create-keychain -p right \"{keychain}\"\n")).0, 48);
    assert_eq!(said(&format!("unlock-keychain -p wrong \"{keychain}\"\n")).0, 51);
    let (status, complaint) = said(&format!("unlock-keychain -p right {absent}\nfind-identity \"{keychain}\"\n"));
    assert!(status == 0 && complaint.contains("unlock-keychain: returned -25294"), "only the last command counts: {complaint}");
    assert_eq!(said(&format!("set-key-partition-list -S apple: -s -k right \"{keychain}\"\n")).0, 1);
    assert_eq!(said(&format!("export -k \"{keychain}\" -t identities -f pkcs12 -P p -o /dev/null\n")).0, 1);
    for (arguments, expected) in [
        (vec!["unlock-keychain", "-p", "right", &*keychain], 1),
        (vec!["find-certificate", "-a", "-Z", absent], 50),
        (vec!["delete-identity", "-Z", &"AB".repeat(32), &*keychain], 1),
        (vec!["no-such-command"], 1),
    ] {
        let output = mac.run(&arguments, "");
        assert_eq!(output.status.code().unwrap(), expected, "{arguments:?}");
    }
    let unknown = Command::new(mac.tool()).args(["list-keychains", "-d", "user"]).env_clear().output().unwrap();
    assert!(!unknown.status.success(), "without a home it would be the list of nobody");
}

#[test]
fn the_double_reads_bundles_as_each_version_does() {
    let (pair, label) = (pair("parser"), "parser");
    let key = PrivateKey::from_pkcs8(pair.pkcs8().unwrap()).unwrap();
    for (version, flavor, format, is_read) in [
        (14, Flavor::Legacy, "-f pkcs12", true),
        (14, Flavor::Modern, "-f pkcs12", false),
        (15, Flavor::Legacy, "-f pkcs12", true),
        (15, Flavor::Modern, "-f pkcs12", true),
        (15, Flavor::Modern, "", false),
    ] {
        let mac = Mac::new(version);
        let file = mac.home().join("bundle.p12");
        fs::write(&file, pkcs12::write(flavor, &key, &pair.chain, label, "password").unwrap()).unwrap();
        let (keychain, file) = (mac.keychain(), file.display().to_string());
        assert!(mac.run(&["-i"], &format!("create-keychain -p p \"{}\"\n", keychain.display())).status.success());
        let import = format!("import {file} -k \"{}\" {format} -P ", keychain.display());
        assert!(!mac.run(&["-i"], &format!("{import}wrong\n")).status.success());
        let read = mac.run(&["-i"], &format!("{import}password\n"));
        assert_eq!(read.status.success(), is_read, "{version} {flavor:?} {format:?}: {}", String::from_utf8_lossy(&read.stderr));
    }
}
