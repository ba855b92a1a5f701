//! The store of a Windows user, with the real crypt32: on Windows, and under Wine with a stand-in for the key storage.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, SignatureScheme, version};
use tegata_agent::keystore::windows::Windows;
use tegata_agent::keystore::windows::certificates::{Entry, KeyPlace, Store};
use tegata_agent::keystore::windows::cng::{PLATFORM, Provider, SOFTWARE};
use tegata_agent::keystore::{Key, KeystoreError};
use tegata_core::name::{OrderId, Sha256};
use tegata_pki::key::{random, sha256};
use tegata_pki::pkcs12::{self, Flavor};
use tokio::sync::{Mutex, MutexGuard};

use super::*;

#[path = "windows/system.rs"]
mod system;

/// The store is one for all tests of this user.
static ALONE: Mutex<()> = Mutex::const_new(());

/// A user's store, and what was in it before.
struct Pc {
    _alone: MutexGuard<'static, ()>,
    certificates: BTreeSet<Sha256>,
    keys: Vec<String>,
}

impl Pc {
    async fn new() -> Self {
        let alone = ALONE.lock().await;
        let has_stand_in = system::has("ncrypt.dll", b"tegata_stand_in\0");
        assert!(
            !is_wine() || has_stand_in,
            "Wine keeps no keys: build tests/keystores/stand-in/ncrypt.c beside the test, WINEDLLOVERRIDES=ncrypt=n"
        );
        // What an earlier run may have left.
        set_tpm("works");
        Windows.forget_keys(&BTreeSet::new()).await.unwrap();
        set_tpm("none");
        let certificates = Windows.list().await.unwrap();
        Self { _alone: alone, certificates, keys: keys() }
    }

    /// Everything is as it was before the test.
    async fn is_as_before(&self) -> bool {
        Windows.list().await.unwrap() == self.certificates && keys() == self.keys
    }
}

fn is_wine() -> bool {
    system::has("ntdll.dll", b"wine_get_version\0")
}

/// Wine 8 reads no P-384 key that is brought to it, so there that claim is left to `tegata-agent selftest`.
fn kinds() -> &'static [KeyAlgorithm] {
    let all = &[KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048, KeyAlgorithm::EcdsaP384];
    if is_wine() { &all[..2] } else { all }
}

fn keys() -> Vec<String> {
    let mut names = Provider::open(SOFTWARE).unwrap().names().unwrap();
    names.sort();
    names
}

fn stand_in(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("APPDATA").unwrap()).join("ksp").join(name)
}

/// Under Wine only: what the pretended TPM does.
fn set_tpm(state: &str) {
    if system::has("ncrypt.dll", b"tegata_stand_in\0") {
        std::fs::create_dir_all(stand_in("")).unwrap();
        std::fs::write(stand_in("tpm"), state).unwrap();
        let _ = std::fs::remove_file(stand_in("asked"));
    }
}

fn order() -> OrderId {
    OrderId(random())
}

/// A certificate for a key that was made in the store.
fn issued_for(key: &Key, unique: &str) -> Pair {
    let now = Timestamp::from_unix(tegata_agent::wall_clock());
    let issuing = Authority::new_root("Sakura Root", "sakura", now.before(DAY), now.after(DAY * 90)).unwrap();
    let issuing = issuing.new_issuing("Sakura Issuing CA", "sakura", now.before(DAY), now.after(DAY * 60)).unwrap();
    let (common_name, organization) = ("uketsuke-1.sakura".into(), "sakura".into());
    let purpose = Purpose::Client { common_name, organization, unique: unique.into(), crl_url: None, ocsp_url: None };
    let requested = tegata_pki::csr::check(&key.request().unwrap()).unwrap();
    let tbs = issuing.draft(&purpose, &requested.public_key, new_serial(), now.before(DAY), now.after(DAY * 30)).unwrap();
    Pair { chain: vec![issuing.sign(&tbs).unwrap(), issuing.certificate().to_vec()], key: key.clone() }
}

async fn signs(fingerprint: Sha256) -> bool {
    Windows.open(fingerprint).await.unwrap().can_sign().unwrap()
}

#[tokio::test]
async fn windows_keeps_the_contract() {
    let pc = Pc::new().await;
    check_but_kinds(&Windows).await;
    takes_keys(&Windows, kinds()).await;
    assert!(pc.is_as_before().await, "no key and no certificate may be left behind");
}

#[tokio::test]
async fn a_key_is_born_in_the_store_and_cannot_be_taken_out() {
    let pc = Pc::new().await;
    for algorithm in kinds().iter().copied() {
        let order = order();
        Windows.make_key(order, algorithm).await.unwrap().unwrap();
        let key = Windows.made_key(order).await.unwrap().expect("after a crash it is found again");
        let pair = issued_for(&key, "born");
        let fingerprint = pair.fingerprint().unwrap();
        Windows.install(&slot(), &pair, "born").await.unwrap();
        Windows.install(&slot(), &pair, "born").await.unwrap();
        let opened = Windows.open(fingerprint).await.unwrap();
        assert_eq!((opened.chain, keys().len()), (pair.chain, pc.keys.len() + 1));
        assert!(signs(fingerprint).await, "{algorithm:?}");
        let (provider, name) = (Provider::open(SOFTWARE).unwrap(), format!("tegata-order-{order}"));
        assert!(!provider.key(&name, 0).unwrap().unwrap().can_be_taken_out());
        assert!(Windows.remove(fingerprint).await.unwrap());
        assert!(Windows.made_key(order).await.unwrap().is_none(), "the key goes with its certificate");
    }
    assert!(pc.is_as_before().await);
}

#[tokio::test]
async fn a_key_made_again_for_an_order_is_another_one() {
    let pc = Pc::new().await;
    let order = order();
    let mut seen = BTreeSet::new();
    for _ in 0..3 {
        Windows.make_key(order, KeyAlgorithm::EcdsaP256).await.unwrap();
        seen.insert(Windows.made_key(order).await.unwrap().unwrap().public_key().unwrap());
    }
    assert_eq!((seen.len(), keys().len()), (3, pc.keys.len() + 1));
    Windows.forget_keys(&BTreeSet::new()).await.unwrap();
    assert!(pc.is_as_before().await);
}

/// Only with the stand-in: a real TPM is as it is.
#[tokio::test]
async fn the_tpm_has_the_key_if_it_signs() {
    let pc = Pc::new().await;
    if !system::has("ncrypt.dll", b"tegata_stand_in\0") {
        return;
    }
    for (state, in_tpm) in [("works", true), ("broken", false), ("lies", false), ("none", false)] {
        set_tpm(state);
        let order = order();
        let key = Windows.make_key(order, KeyAlgorithm::EcdsaP256).await.unwrap().unwrap();
        let pair = issued_for(&key, state);
        Windows.install(&slot(), &pair, state).await.unwrap();
        let place = entry(pair.fingerprint().unwrap()).key_place().unwrap().unwrap();
        assert_eq!((place.provider == PLATFORM, place.kind), (in_tpm, 0), "{state}");
        let left = if state == "none" { 0 } else { Provider::open(PLATFORM).unwrap().names().unwrap().len() };
        assert_eq!((left, keys().len()), (usize::from(in_tpm), pc.keys.len() + usize::from(!in_tpm)), "{state}");
        assert!(signs(pair.fingerprint().unwrap()).await);
        assert!(Windows.remove(pair.fingerprint().unwrap()).await.unwrap());
    }
    assert!(pc.is_as_before().await);
}

#[tokio::test]
async fn a_vendors_file_is_installed_whatever_protects_it_and_its_key_cannot_be_taken_out() {
    let pc = Pc::new().await;
    for (flavor, algorithm) in
        [(Flavor::Modern, KeyAlgorithm::Rsa2048), (Flavor::Legacy, KeyAlgorithm::Rsa2048), (Flavor::Modern, KeyAlgorithm::EcdsaP256)]
    {
        let made = pair_of(algorithm, "vendor");
        let key = PrivateKey::from_pkcs8(made.pkcs8().unwrap()).unwrap();
        let file = pkcs12::write(flavor, &key, &made.chain, "vendor", "password").unwrap();
        let bundle = pkcs12::read(&file, "password").unwrap();
        let pair = Pair { chain: bundle.chain, key: bundle.key.into() };
        let fingerprint = pair.fingerprint().unwrap();
        Windows.install(&slot(), &pair, "vendor").await.unwrap();
        let opened = Windows.open(fingerprint).await.unwrap();
        assert!(matches!(opened.pkcs8(), Err(KeystoreError::KeyStays(which)) if which == fingerprint));
        assert!(signs(fingerprint).await, "{flavor:?} {algorithm:?}");
        let place = entry(fingerprint).key_place().unwrap().unwrap();
        let provider = Provider::open(&place.provider).unwrap();
        assert!(!provider.key(&place.container, 0).unwrap().unwrap().can_be_taken_out());
        assert!(Windows.remove(fingerprint).await.unwrap());
    }
    assert!(pc.is_as_before().await);
}

#[tokio::test]
async fn a_renewed_certificate_takes_the_place_of_the_old_one() {
    let pc = Pc::new().await;
    let mut fingerprints = Vec::new();
    for _ in 0..2 {
        // Both have the same subject.
        let key = Windows.make_key(order(), KeyAlgorithm::EcdsaP256).await.unwrap().unwrap();
        let pair = issued_for(&key, "same");
        Windows.install(&slot(), &pair, "karte").await.unwrap();
        fingerprints.push(pair.fingerprint().unwrap());
    }
    assert!(signs(fingerprints[0]).await && signs(fingerprints[1]).await, "the old one works until it goes");
    assert!(Windows.remove(fingerprints[0]).await.unwrap());
    let listed = Windows.list().await.unwrap();
    assert!(!listed.contains(&fingerprints[0]) && signs(fingerprints[1]).await);
    assert_eq!(keys().len(), pc.keys.len() + 1);
    assert!(Windows.remove(fingerprints[1]).await.unwrap());
    assert!(pc.is_as_before().await);
}

#[tokio::test]
async fn keys_that_no_certificate_uses_go_if_they_are_ours() {
    let pc = Pc::new().await;
    let orders = [order(), order(), order()];
    for order in orders {
        Windows.make_key(order, KeyAlgorithm::EcdsaP256).await.unwrap();
    }
    let used = issued_for(&Windows.made_key(orders[0]).await.unwrap().unwrap(), "used");
    Windows.install(&slot(), &used, "used").await.unwrap();
    let software = Provider::open(SOFTWARE).unwrap();
    // What a crash leaves between bringing a key and its certificate; and what somebody else made.
    software.make(&format!("tegata-certificate-{}", Sha256([7; 32])), KeyAlgorithm::EcdsaP256, None).unwrap();
    let theirs = ["somebody-elses", "tegata", "x-tegata-order-1"];
    let theirs = theirs.map(|name| format!("{name}-{}", order()).replace("tegata-0", "tegatas-0"));
    theirs.iter().for_each(|name| drop(software.make(name, KeyAlgorithm::EcdsaP256, None).unwrap()));
    Windows.forget_keys(&[orders[1]].into()).await.unwrap();
    let mut left: Vec<String> = keys().into_iter().filter(|name| !pc.keys.contains(name)).collect();
    let mut kept: Vec<String> = orders[..2].iter().map(|order| format!("tegata-order-{order}")).chain(theirs.clone()).collect();
    left.sort();
    kept.sort();
    assert_eq!(left, kept);
    assert!(Windows.remove(used.fingerprint().unwrap()).await.unwrap());
    Windows.forget_keys(&BTreeSet::new()).await.unwrap();
    theirs.iter().for_each(|name| software.key(name, 0).unwrap().unwrap().delete().unwrap());
    assert!(pc.is_as_before().await);
}

#[tokio::test]
async fn what_an_installer_put_there_is_shown_signs_and_is_left_alone() {
    let pc = Pc::new().await;
    let (theirs, ours) = (pair_of(KeyAlgorithm::Rsa2048, "theirs"), pair("ours"));
    let key = PrivateKey::from_pkcs8(theirs.pkcs8().unwrap()).unwrap();
    system::import(&pkcs12::write(Flavor::Modern, &key, &theirs.chain[..1], "theirs", "password").unwrap(), "password");
    let fingerprint = theirs.fingerprint().unwrap();
    assert!(entry(fingerprint).key_place().unwrap().unwrap().container != format!("tegata-certificate-{fingerprint}"));
    Windows.install(&slot(), &ours, "ours").await.unwrap();
    assert!(Windows.remove(ours.fingerprint().unwrap()).await.unwrap());
    Windows.forget_keys(&BTreeSet::new()).await.unwrap();
    assert!(Windows.list().await.unwrap().contains(&fingerprint) && signs(fingerprint).await);
    // Taken over, it is no other one: installing it again changes nothing, and one day it goes with its key.
    let opened = Windows.open(fingerprint).await.unwrap();
    let before = entry(fingerprint).key_place().unwrap();
    Windows.install(&slot(), &opened, "ours now").await.unwrap();
    assert_eq!(entry(fingerprint).key_place().unwrap(), before);
    assert!(Windows.remove(fingerprint).await.unwrap());
    assert!(pc.is_as_before().await);
}

#[tokio::test]
async fn a_key_that_asks_people_is_told_and_nobody_is_asked() {
    let pc = Pc::new().await;
    let name = format!("somebody-elses-{}", order());
    let public_key = system::make_protected(&name);
    let theirs = certificate_for(&public_key);
    let fingerprint = sha256(&theirs);
    put(&theirs, Some(&name));
    let problem = Windows.open(fingerprint).await.map(drop).unwrap_err();
    assert!(matches!(problem, KeystoreError::AsksPeople(which) if which == fingerprint), "{problem}");
    assert!(!stand_in("asked").exists(), "nobody may be asked");
    Windows.forget_keys(&BTreeSet::new()).await.unwrap();
    assert!(keys().contains(&name));
    Windows.remove(fingerprint).await.unwrap();
    assert!(pc.is_as_before().await);
}

#[tokio::test]
async fn a_certificate_that_came_without_its_key_is_given_one() {
    let pc = Pc::new().await;
    let pair = pair("bare");
    let fingerprint = pair.fingerprint().unwrap();
    for wrong in [None, Some("gone")] {
        put(&pair.chain[0], wrong);
        assert!(matches!(Windows.open(fingerprint).await, Err(KeystoreError::Absent(..))));
        Windows.install(&slot(), &pair, "bare").await.unwrap();
        assert!(signs(fingerprint).await);
        assert!(Windows.remove(fingerprint).await.unwrap());
    }
    assert!(pc.is_as_before().await);
}

#[tokio::test]
async fn a_key_that_two_certificates_use_goes_with_the_last() {
    let pc = Pc::new().await;
    let (order, mut fingerprints) = (order(), Vec::new());
    let key = Windows.make_key(order, KeyAlgorithm::EcdsaP256).await.unwrap().unwrap();
    for unique in ["first", "second"] {
        let pair = issued_for(&key, unique);
        Windows.install(&slot(), &pair, unique).await.unwrap();
        fingerprints.push(pair.fingerprint().unwrap());
    }
    assert!(Windows.remove(fingerprints[0]).await.unwrap());
    assert!(signs(fingerprints[1]).await);
    assert!(Windows.remove(fingerprints[1]).await.unwrap());
    assert!(pc.is_as_before().await);
}

#[tokio::test]
async fn what_was_half_removed_is_removed_at_the_next_try() {
    let pc = Pc::new().await;
    let order = order();
    let key = Windows.make_key(order, KeyAlgorithm::EcdsaP256).await.unwrap().unwrap();
    let pair = issued_for(&key, "half");
    Windows.install(&slot(), &pair, "half").await.unwrap();
    let name = format!("tegata-order-{order}");
    Provider::open(SOFTWARE).unwrap().key(&name, 0).unwrap().unwrap().delete().unwrap();
    let fingerprint = pair.fingerprint().unwrap();
    assert!(Windows.list().await.unwrap().contains(&fingerprint), "something must be left to retry");
    assert!(matches!(Windows.open(fingerprint).await, Err(KeystoreError::Absent(..))));
    assert!(Windows.remove(fingerprint).await.unwrap());
    assert!(pc.is_as_before().await);
}

/// What of it Wine cannot show is named here and in the agent's README.
#[tokio::test]
async fn the_selftest_holds_and_leaves_nothing_behind() {
    let pc = Pc::new().await;
    let claims = tegata_agent::selftest::windows::try_all().await;
    let fails = |claim: &&tegata_agent::selftest::Claim| claim.outcome.is_err();
    let failing: Vec<&str> = claims.iter().filter(fails).map(|claim| claim.says.split(' ').next().unwrap_or_default()).collect();
    let beyond_wine: &[&str] = if is_wine() { &["W1", "W2", "W4", "a"] } else { &[] };
    assert_eq!(failing, beyond_wine, "{}", tegata_agent::selftest::tell(&claims));
    assert!(claims.len() == 9 && pc.is_as_before().await);
    let ca = Store::open("CA").unwrap().entries().unwrap();
    let named = |entry: &Entry| tegata_pki::certificate::read(entry.der()).unwrap().common_name;
    assert!(!ca.iter().any(|entry| named(entry).as_deref() == Some("Tegata selftest")));
}

/// What the agent proves, and what Chrome does: TLS 1.3, and 1.2, with a key that stays where it is.
#[tokio::test]
async fn a_handshake_is_made_with_a_key_that_stays_in_the_store() {
    let pc = Pc::new().await;
    for algorithm in kinds().iter().copied() {
        let key = Windows.make_key(order(), algorithm).await.unwrap().unwrap();
        let pair = issued_for(&key, "handshake");
        let fingerprint = pair.fingerprint().unwrap();
        Windows.install(&slot(), &pair, "handshake").await.unwrap();
        let opened = Windows.open(fingerprint).await.unwrap();
        for version in [&version::TLS13, &version::TLS12] {
            assert_eq!(shown_in_handshake(&opened, version), opened.chain, "{algorithm:?} {version:?}");
        }
        if let Key::Stored(key) = &opened.key {
            let tampered = [key.sign(key.schemes()[0], b"one").unwrap(), key.sign(key.schemes()[0], b"two").unwrap()];
            assert_ne!(tampered[0], tampered[1]);
            assert!(
                algorithm != KeyAlgorithm::Rsa2048 || key.schemes() == [SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256]
            );
        }
        assert!(Windows.remove(fingerprint).await.unwrap());
    }
    assert!(pc.is_as_before().await);
}

/// Makes a handshake in memory with a server that wants exactly this issuer's certificates, and gives what it was shown.
fn shown_in_handshake(pair: &Pair, version: &'static rustls::SupportedProtocolVersion) -> Vec<Vec<u8>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let now = Timestamp::from_unix(tegata_agent::wall_clock());
    let web = Authority::new_root("Web", "web", now.before(DAY), now.after(DAY)).unwrap();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let purpose = Purpose::Server { names: vec!["karte.test".into()] };
    let tbs = web.draft(&purpose, &key.public_key(), new_serial(), now.before(DAY), now.after(DAY)).unwrap();
    let own = vec![CertificateDer::from(web.sign(&tbs).unwrap())];
    let roots = |der: &[u8]| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(der.to_vec())).unwrap();
        Arc::new(roots)
    };
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&pair.chain[1]), Arc::clone(&provider)).build().unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]).unwrap();
    let server = server.with_client_cert_verifier(verifier);
    let server = server.with_single_cert(own, PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec()).into()).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let client = client.with_root_certificates(roots(web.certificate()));
    let client = client.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair.for_tls().unwrap())));
    let mut client = ClientConnection::new(Arc::new(client), "karte.test".try_into().unwrap()).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().unwrap();
    }
    server.peer_certificates().unwrap().iter().map(|der| der.to_vec()).collect()
}

fn entry(fingerprint: Sha256) -> Entry {
    Store::open("MY").unwrap().entries().unwrap().into_iter().find(|entry| sha256(entry.der()) == fingerprint).unwrap()
}

/// As another program would put it there.
fn put(der: &[u8], container: Option<&str>) {
    let entry = Entry::new(der).unwrap();
    if let Some(container) = container {
        let place = KeyPlace { container: container.into(), provider: SOFTWARE.into(), kind: 0, flags: 0, spec: 0 };
        entry.set_key_place(&place).unwrap();
    }
    Store::open("MY").unwrap().add(&entry).unwrap();
}

fn certificate_for(public_key: &[u8]) -> Vec<u8> {
    let now = Timestamp::from_unix(tegata_agent::wall_clock());
    let issuing = Authority::new_root("Vendor CA", "vendor", now.before(DAY), now.after(DAY * 90)).unwrap();
    let (common_name, organization, unique) = ("client1".into(), "vendor".into(), "1".into());
    let purpose = Purpose::Client { common_name, organization, unique, crl_url: None, ocsp_url: None };
    let tbs = issuing.draft(&purpose, public_key, new_serial(), now.before(DAY), now.after(DAY * 30)).unwrap();
    issuing.sign(&tbs).unwrap()
}
