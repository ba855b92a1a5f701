//! Each fault is made, with real stores, files, lists and handshakes, and has to be named first.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::CertificateRevocationListDer;
use tegata_api::v1::device as wire;
use tegata_core::diagnosis::{Certainty, diagnose};
use tegata_core::name::{OrderId, Serial, SlotId};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::revocation;
use tegata_core::time::{DAY, HOUR, MINUTE};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::certificate::to_pem;
use tegata_pki::crl::{self, Revoked};
use tegata_pki::key::PrivateKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::disk::Readers;
use crate::inventory::Item;
use crate::keystore::Pair;
use crate::pretend::World;
use crate::probe::tests::{Site, asking_for, authority};
use crate::settings::Resolve;
use crate::words::Language;

const SLOT: &str = "sakura/uketsuke-1/karte";
const LIST: &str = "http://lists.test/1.crl";

/// A PC whose chart opens, until something is broken.
struct Pc {
    world: World,
    root: Authority,
    issuing: Authority,
    key: PrivateKey,
    serial: Serial,
    pair: Pair,
}

fn now() -> Timestamp {
    Timestamp::from_unix(crate::wall_clock())
}

impl Pc {
    /// With its certificate installed, and a user who has a browser, a bookmark and no extensions. Nothing answers yet.
    async fn new() -> Self {
        Self::with(now().before(DAY), now().after(DAY * 30)).await
    }

    async fn with(not_before: Timestamp, not_after: Timestamp) -> Self {
        let world = World::new();
        let root = Authority::new_root("Clinic Root", "sakura", now().before(DAY * 90), now().after(DAY * 90)).unwrap();
        let issuing = root.new_issuing("Clinic CA", "sakura", now().before(DAY * 90), now().after(DAY * 90)).unwrap();
        let (key, serial) = (PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap(), new_serial());
        let pair = issued(&issuing, "sakura", &key, serial, (not_before, not_after));
        let mut pc = Self { world, root, issuing, key, serial, pair };
        pc.install(&Pair { chain: pc.pair.chain.clone(), key: pc.pair.key.clone() }).await;
        pc.wants(&[(SLOT, Some(OrderId([1; 16])))]);
        pc.write(".config/mimeapps.list", "[Default Applications]\nx-scheme-handler/https=google-chrome.desktop\n");
        pc.bookmark("https://karte.test/d/signin");
        pc.write(".config/google-chrome/Default/Preferences", "{}");
        pc
    }

    async fn install(&mut self, pair: &Pair) {
        self.install_into(SLOT, OrderId([1; 16]), pair).await;
    }

    async fn install_into(&mut self, slot: &str, order: OrderId, pair: &Pair) {
        let (id, mut parts): (SlotId, _) = (slot.parse().unwrap(), self.world.parts());
        parts.keystores.file.install(&id, pair, "Karte").await.unwrap();
        let fingerprint = pair.fingerprint().unwrap();
        let item = Item { slot: slot.into(), stores: vec!["browser".into()], adopted: vec![] };
        parts.inventory.claim(fingerprint, item).unwrap();
        let entry = Entry { stage: Stage::Settled, fingerprint: Some(fingerprint), ..Entry::wanted(id, order) };
        parts.journal.save(&entry).unwrap();
    }

    /// What the server's manifest asks for.
    fn wants(&self, slots: &[(&str, Option<OrderId>)]) {
        let slot = |(id, order): &(&str, Option<OrderId>)| wire::SlotManifest {
            backup: vec![],
            quorum: None,
            source: wire::Source::Request,
            slot: (*id).into(),
            order: order.map(|order| order.to_string()),
            key: "ecdsa-p256".into(),
            label: "Karte".into(),
            stores: vec!["browser".into()],
            select: vec![wire::BrowserRule {
                pattern: "https://karte.test".into(),
                issuer_common_name: "Clinic CA".into(),
                subject_organization: id.split('/').next().unwrap().into(),
                subject_common_name: None,
            }],
            probe: Some("https://karte.test/".into()),
            replaces: vec![],
        };
        let device = "sakura/uketsuke-1".into();
        let manifest = wire::Manifest { generation: 1, device, slots: slots.iter().map(slot).collect(), ..Default::default() };
        disk::write_json(&self.world.state.manifest(), &manifest).unwrap();
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.world.home().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn bookmark(&self, url: &str) {
        self.bookmark_in("Default", url);
    }

    fn bookmark_in(&self, profile: &str, url: &str) {
        let page = serde_json::json!({ "type": "url", "name": "カルテ", "url": url });
        let folder = serde_json::json!({ "type": "folder", "name": "診療", "children": [page] });
        let tree =
            serde_json::json!({ "roots": { "bookmark_bar": { "children": [folder], "name": "x", "type": "folder" } }, "version": 1 });
        self.write(&format!(".config/google-chrome/{profile}/Bookmarks"), &tree.to_string());
    }

    /// A chart that takes the clinic's certificates and whose clock is `ahead` of this PC's by so many seconds.
    async fn chart(&mut self, ahead: i64) {
        let verifier = asking_for(&self.root).allow_unauthenticated().build().unwrap();
        self.chart_with(verifier, 200, ahead).await;
    }

    async fn chart_with(&mut self, verifier: Arc<dyn ClientCertVerifier>, status: u16, ahead: i64) {
        let web = authority("Web Root");
        let site = Site::serving(&server(&web, "karte.test", now().before(DAY)), &web, verifier, status, &date(ahead)).await;
        disk::write(&self.world.state.probe_roots(), site.root.as_bytes(), Readers::Owner).unwrap();
        self.reach("karte.test", 443, site.address);
    }

    fn reach(&mut self, host: &str, port: u16, address: std::net::SocketAddr) {
        self.world.settings.resolve.push(Resolve { host: host.into(), port, address });
    }

    /// The issuer's list, which names this certificate if there is a reason.
    async fn list(&mut self, because: Option<revocation::Cause>) {
        let list = self.written(because);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.reach("lists.test", 80, listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", list.len());
                let _ = stream.write_all(&[head.as_bytes(), &list].concat()).await;
            }
        });
    }

    fn written(&self, because: Option<revocation::Cause>) -> Vec<u8> {
        let revoked: Vec<Revoked> =
            because.iter().map(|because| Revoked { serial: self.serial, at: now().before(HOUR), because: *because }).collect();
        crl::create_shard(&self.issuing, LIST, 3, &revoked, now().before(HOUR), now().after(DAY)).unwrap()
    }

    async fn facts(&self) -> Vec<Fact> {
        examine(&self.world.state, &self.world.settings, now()).await.unwrap()
    }

    /// The first cause, and how sure it is.
    async fn first(&self) -> (Cause, Certainty) {
        let facts = self.facts().await;
        let found = diagnose(&facts).findings;
        let first = found.first().unwrap_or_else(|| panic!("nothing was found in {facts:?}"));
        (first.cause, first.certainty)
    }

    async fn told(&self) -> Told {
        Told::of(&diagnose(&self.facts().await), Language::English, &jiff::tz::TimeZone::UTC)
    }
}

/// A client certificate of a clinic.
fn issued(issuing: &Authority, clinic: &str, key: &PrivateKey, serial: Serial, validity: (Timestamp, Timestamp)) -> Pair {
    let (common_name, organization, unique) = ("pc".to_owned(), clinic.to_owned(), "1".to_owned());
    let purpose = Purpose::Client { common_name, organization, unique, crl_url: Some(LIST.into()), ocsp_url: None };
    let tbs = issuing.draft(&purpose, &key.public_key(), serial, validity.0, validity.1).unwrap();
    Pair { chain: vec![issuing.sign(&tbs).unwrap(), issuing.certificate().to_vec()], key: key.to_pkcs8().into() }
}

fn server(web: &Authority, name: &str, not_before: Timestamp) -> Pair {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let purpose = Purpose::Server { names: vec![name.into()] };
    let tbs = web.draft(&purpose, &key.public_key(), new_serial(), not_before, not_before.after(DAY * 7)).unwrap();
    Pair { chain: vec![web.sign(&tbs).unwrap()], key: key.to_pkcs8().into() }
}

fn date(ahead: i64) -> String {
    let moment = jiff::Timestamp::from_second(now().unix() + ahead).unwrap();
    format!("date: {}\r\n", moment.strftime("%a, %d %b %Y %H:%M:%S GMT"))
}

/// A PC whose chart opens, whose issuer says that its certificate is good.
async fn well() -> Pc {
    let mut pc = Pc::new().await;
    pc.chart(0).await;
    pc.list(None).await;
    pc
}

#[tokio::test]
async fn when_nothing_is_broken_everything_was_checked_and_nothing_is_found() {
    let told = well().await.told().await;
    assert_eq!((told.exit_code, told.findings, told.unchecked), (0, vec![], vec![]));
}

#[tokio::test]
async fn s1_10_a_clock_that_is_wrong_is_named_by_the_charts_own() {
    for ahead in [28 * 60, -28 * 60] {
        let mut pc = Pc::new().await;
        pc.chart(ahead).await;
        assert_eq!(pc.first().await, (Cause::Clock, Certainty::Certain));
    }
}

#[tokio::test]
async fn the_servers_clock_is_asked_first_even_if_its_certificate_is_not_valid_today() {
    let mut pc = well().await;
    let ours = Authority::new_root("Server Root", "aozora", now().before(DAY * 900), now().after(DAY)).unwrap();
    let own = server(&ours, "server.test", now().before(DAY * 400));
    let site = Site::serving(&own, &ours, WebPkiClientVerifier::no_client_auth(), 200, &date(-86_400 * 399)).await;
    pc.reach("server.test", 1, site.address);
    disk::write(&pc.world.state.authorities(), to_pem(ours.certificate()).as_bytes(), Readers::Owner).unwrap();
    assert_eq!(pc.first().await, (Cause::Clock, Certainty::Certain));
    // Nobody else is believed.
    disk::write(&pc.world.state.authorities(), to_pem(pc.root.certificate()).as_bytes(), Readers::Owner).unwrap();
    assert_eq!(pc.told().await.exit_code, 0);
}

#[tokio::test]
async fn s1_6_a_revoked_certificate_is_named_by_its_issuer_although_the_chart_still_opens() {
    for because in [revocation::Cause::Unspecified, revocation::Cause::KeyCompromise, revocation::Cause::CessationOfOperation] {
        let mut pc = Pc::new().await;
        pc.chart(0).await;
        pc.list(Some(because)).await;
        assert_eq!(pc.first().await, (Cause::Revoked, Certainty::Certain));
    }
}

#[tokio::test]
async fn s1_6_a_revoked_certificate_is_named_by_the_chart_too() {
    let mut pc = Pc::new().await;
    let list = CertificateRevocationListDer::from(pc.written(Some(revocation::Cause::Superseded)));
    pc.chart_with(asking_for(&pc.root).with_crls([list]).only_check_end_entity_revocation().build().unwrap(), 200, 0).await;
    assert_eq!(pc.first().await, (Cause::Revoked, Certainty::Certain));
    // A chart that says no without saying why, after it had said yes once.
    pc.chart_with(asking_for(&pc.root).allow_unauthenticated().build().unwrap(), 403, 0).await;
    pc.world.settings.resolve.remove(0);
    assert_eq!(pc.first().await, (Cause::Revoked, Certainty::Likely));
    // A chart in trouble says nothing of the certificate.
    pc.chart_with(asking_for(&pc.root).allow_unauthenticated().build().unwrap(), 503, 0).await;
    pc.world.settings.resolve.remove(0);
    let told = pc.told().await;
    assert_eq!((told.exit_code, told.findings), (3, vec![]));
}

#[tokio::test]
async fn s1_7_who_left_is_named() {
    let mut pc = Pc::new().await;
    pc.chart(0).await;
    pc.list(Some(revocation::Cause::AffiliationChanged)).await;
    assert_eq!(pc.first().await, (Cause::AccountDeleted, Certainty::Certain));
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_today_is_named() {
    for (not_before, not_after) in [(now().before(DAY * 60), now().before(MINUTE)), (now().after(HOUR), now().after(DAY))] {
        let mut pc = Pc::with(not_before, not_after).await;
        pc.chart(0).await;
        assert_eq!(pc.first().await, (Cause::OutOfDate, Certainty::Certain));
    }
}

#[tokio::test]
async fn a_certificate_that_was_taken_out_is_named() {
    let pc = well().await;
    pc.world.parts().keystores.file.remove(pc.pair.fingerprint().unwrap()).await.unwrap();
    assert_eq!(pc.first().await, (Cause::Missing, Certainty::Certain));
    assert_eq!(pc.told().await.findings[0].evidence, [format!("{SLOT}: it was installed, and is gone")]);
}

#[tokio::test]
async fn s1_9_a_certificate_that_the_server_never_ordered_may_be_one_too_many() {
    let pc = well().await;
    pc.wants(&[("sakura/uketsuke-1/orca", None)]);
    let named: Vec<_> = pc.told().await.findings.iter().map(|it| (it.cause, it.certainty)).collect();
    assert_eq!(named, [("quota", "likely")]);
    pc.wants(&[("sakura/uketsuke-1/orca", Some(OrderId([2; 16])))]);
    let told = pc.told().await;
    assert_eq!((told.findings.len(), &told.findings[0].evidence[0][..]), (1, "sakura/uketsuke-1/orca: it is being prepared"));
}

#[tokio::test]
async fn a_key_that_does_not_sign_for_its_certificate_is_named() {
    let mut pc = well().await;
    let other = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    assert_ne!(other.public_key(), pc.key.public_key());
    pc.install(&Pair { chain: pc.pair.chain.clone(), key: other.to_pkcs8().into() }).await;
    assert_eq!(pc.first().await, (Cause::KeyUnusable, Certainty::Certain));
    let folder = pc.world.state.store().join(SLOT).join(pc.pair.fingerprint().unwrap().to_string());
    assert!(disk::remove(&folder.join("key.pem")).unwrap());
    assert_eq!(pc.first().await, (Cause::KeyUnusable, Certainty::Certain));
}

#[tokio::test]
async fn an_intermediate_that_is_missing_is_named() {
    let mut pc = well().await;
    let alone = Pair { chain: vec![pc.pair.chain[0].clone()], key: pc.pair.key.clone() };
    pc.install(&alone).await;
    assert_eq!(pc.first().await, (Cause::ChainMissing, Certainty::Certain));
}

#[tokio::test]
async fn s1_1_another_browser_is_named_and_an_unknown_program_is_not() {
    let pc = well().await;
    pc.write(".config/mimeapps.list", "[Default Applications]\nx-scheme-handler/https=firefox-esr.desktop\n");
    assert_eq!(pc.first().await, (Cause::WrongBrowser, Certainty::Likely));
    pc.write(".config/mimeapps.list", "[Default Applications]\nx-scheme-handler/https=chooser.desktop\n");
    assert_eq!((pc.told().await.exit_code, pc.told().await.unchecked), (3, vec!["wrong-browser"]));
    pc.write(".config/mimeapps.list", "[Default Applications]\nx-scheme-handler/https=chromium.desktop\n");
    pc.write(
        "Desktop/karte.desktop",
        "[Desktop Entry]\nType=Application\nName=カルテ\nExec=/usr/bin/firefox \"https://karte.test/d/signin\"\n",
    );
    assert_eq!(pc.first().await, (Cause::WrongBrowser, Certainty::Likely));
    pc.write("Desktop/karte.desktop", "[Desktop Entry]\nType=Application\nName=他\nExec=/usr/bin/firefox https://news.test/\n");
    assert_eq!(pc.told().await.exit_code, 0);
}

#[tokio::test]
async fn s1_2_a_bookmark_beside_the_chart_is_named_and_nothing_else_of_it_is_told() {
    let pc = well().await;
    pc.bookmark("http://karte.test/patient/12345?name=yamada");
    assert_eq!(pc.first().await, (Cause::WrongAddress, Certainty::Likely));
    assert_eq!(pc.told().await.findings[0].evidence, ["'カルテ' opens http://karte.test"]);
    pc.bookmark("https://karte.test/d/signin");
    pc.write("Desktop/old.desktop", "[Desktop Entry]\nType=Link\nName=旧カルテ\nURL=https://karte.test:8443/\n");
    assert_eq!(pc.first().await, (Cause::WrongAddress, Certainty::Likely));
}

#[tokio::test]
async fn s1_8_a_site_of_several_clinics_of_which_none_is_in_use_is_named() {
    let mut pc = well().await;
    let slots = [(SLOT, "sakura", 1), ("momiji/uketsuke-1@sakura/karte", "momiji", 2), ("himawari/uketsuke-1@sakura/karte", "himawari", 3)];
    for (slot, clinic, number) in &slots[1..] {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let pair = issued(&pc.issuing, clinic, &key, new_serial(), (now().before(DAY), now().after(DAY)));
        pc.install_into(slot, OrderId([*number; 16]), &pair).await;
    }
    let wants = |slots: &[(&'static str, &str, u8)]| {
        slots.iter().map(|(slot, _, number)| (*slot, Some(OrderId([*number; 16])))).collect::<Vec<_>>()
    };
    // Its own clinic's is shown, and another one's might be meant; then it has none of its own there, and nobody has chosen.
    pc.wants(&wants(&slots));
    assert_eq!(pc.first().await, (Cause::OtherClinic, Certainty::Possible));
    assert_eq!(pc.told().await.findings[0].evidence, ["https://karte.test: now with the certificate of sakura"]);
    pc.wants(&wants(&slots[1..]));
    assert_eq!(pc.first().await, (Cause::OtherClinic, Certainty::Likely));
    assert_eq!(pc.told().await.findings.len(), 1, "every certificate is there");
}

/// As Chromium 156 writes it of an extension that was added by hand, and of a part of itself.
const PREFERENCES: &str = r#"{ "extensions": { "settings": {
  "cbilhefmimccikaooachabncgofekacp": { "active_permissions": { "api": ["storage", "webRequest"], "explicit_host": ["<all_urls>"],
    "manifest_permissions": [], "scriptable_host": [] }, "disable_reasons": [], "location": 8, "path": "/somewhere" },
  "mhjfbmdgcfjbbpaeojofohoefgiehjai": { "active_permissions": { "api": ["tabs"], "explicit_host": ["<all_urls>"], "scriptable_host": [] },
    "disable_reasons": [], "location": 5, "manifest": { "name": "Chromium PDF Viewer" } } } } }"#;

#[tokio::test]
async fn s1_4_an_extension_that_reaches_the_chart_is_named_as_possible() {
    let pc = well().await;
    let path = ".config/google-chrome/Default/Preferences";
    pc.write(path, PREFERENCES);
    assert_eq!(pc.first().await, (Cause::Extension, Certainty::Possible));
    assert_eq!(pc.told().await.findings[0].evidence, ["extension 'cbilhefmimccikaooachabncgofekacp'"]);
    let disabled = PREFERENCES.replace("\"disable_reasons\": [], \"location\": 8", "\"disable_reasons\": [1], \"location\": 8");
    let elsewhere = PREFERENCES.replacen("<all_urls>", "https://news.test/*", 1);
    for harmless in [disabled, elsewhere] {
        assert_ne!(harmless, PREFERENCES);
        pc.write(path, &harmless);
        assert_eq!(pc.told().await.exit_code, 0, "{harmless}");
    }
}

#[tokio::test]
async fn s1_5_who_opens_the_connection_on_the_way_is_named() {
    let mut pc = well().await;
    // Its authority is in no list of roots.
    let web = authority("Shield Root");
    let site = Site::serving(&server(&web, "karte.test", now().before(DAY)), &web, WebPkiClientVerifier::no_client_auth(), 200, "").await;
    pc.world.settings.resolve[0].address = site.address;
    assert_eq!(pc.first().await, (Cause::Intercepted, Certainty::Certain));
    let seen = &pc.told().await.findings[0].evidence[0];
    assert_eq!(seen, "https://karte.test/: the other side's certificate comes from 'Shield Root'");
    // It is in the list, as security software sees to: then the chart seems to ask for no certificate any more.
    disk::write(&pc.world.state.probe_roots(), site.root.as_bytes(), Readers::Owner).unwrap();
    assert_eq!(pc.first().await, (Cause::Intercepted, Certainty::Likely));
}

#[tokio::test]
async fn s1_3_a_browser_that_decided_before_the_last_change_is_named() {
    let pc = well().await;
    let mut child = crate::pretend::start_browser(&pc.world.home());
    crate::browser::of_this_pc(&pc.world.state, &pc.world.settings).certificates_changed().unwrap();
    let first = pc.first().await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(first, (Cause::OldDecision, Certainty::Likely));
    assert_eq!(pc.told().await.exit_code, 0);
}

#[tokio::test]
async fn without_a_network_what_needs_it_is_unchecked_and_never_fine() {
    let pc = Pc::new().await;
    let told = pc.told().await;
    let expected = ["clock", "revoked", "account-deleted", "chain-missing", "intercepted"].as_slice();
    assert_eq!((told.exit_code, told.findings.len(), told.unchecked.as_slice()), (3, 0, expected));
    assert!(told.tell().ends_with("Could not be checked: clock, revocation, account, issuer, security software\n"), "{}", told.tell());
}

#[tokio::test]
async fn one_certificate_that_is_well_does_not_speak_for_another() {
    let mut pc = well().await;
    pc.wants(&[(SLOT, Some(OrderId([1; 16]))), ("sakura/uketsuke-1/orca", None)]);
    let told = pc.told().await;
    assert_eq!(told.unchecked, ["revoked", "account-deleted", "out-of-date", "key-unusable", "chain-missing", "intercepted"]);
    // A list that nobody has signed whom the certificate is of makes nothing fine either.
    pc.wants(&[(SLOT, Some(OrderId([1; 16])))]);
    pc.issuing = pc.root.new_issuing("Clinic CA", "sakura", now().before(DAY), now().after(DAY)).unwrap();
    pc.world.settings.resolve.clear();
    pc.list(None).await;
    assert!(pc.told().await.unchecked.contains(&"revoked"));
}

#[tokio::test]
async fn files_that_cannot_be_read_are_unchecked_and_links_are_not_followed() {
    let pc = well().await;
    // What another profile says does not speak for it.
    pc.bookmark_in("Profile 1", "https://karte.test/");
    let profile = pc.world.home().join(".config/google-chrome/Default");
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("Preferences"), PREFERENCES).unwrap();
    let breaks: [fn(&Path, &Path); 4] = [
        |file, _| fs::write(file, "{ half").unwrap(),
        |file, elsewhere| std::os::unix::fs::symlink(elsewhere, file).unwrap(),
        |file, _| fs::create_dir(file).unwrap(),
        |file, _| rustix::fs::mkfifoat(rustix::fs::CWD, file, rustix::fs::Mode::RWXU).unwrap(),
    ];
    for broken in breaks {
        for name in ["Preferences", "Bookmarks"] {
            let file = profile.join(name);
            let _ = fs::remove_dir(&file);
            let _ = fs::remove_file(&file);
            broken(&file, &elsewhere.path().join("Preferences"));
        }
        let told = pc.told().await;
        assert_eq!((told.exit_code, told.unchecked.as_slice()), (3, ["wrong-address", "extension"].as_slice()));
    }
}

#[tokio::test]
async fn nothing_is_changed() {
    let pc = well().await;
    let before = files(pc.world.home().parent().unwrap());
    pc.told().await;
    assert_eq!(files(pc.world.home().parent().unwrap()), before);
    assert!(before.len() > 10);
}

/// Every file below a folder, with its contents and the moment of its last change.
fn files(folder: &Path) -> Vec<(std::path::PathBuf, Vec<u8>, std::time::SystemTime)> {
    let mut found = Vec::new();
    for path in disk::entries(folder).unwrap() {
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), fs::read(&path).unwrap_or_default(), path.symlink_metadata().unwrap().modified().unwrap()));
        }
    }
    found
}

#[tokio::test]
async fn a_pc_that_was_told_nothing_yet_has_nothing_that_is_fine_but_its_own_files() {
    let world = World::new();
    let told = diagnose(&examine(&world.state, &world.settings, now()).await.unwrap());
    assert!(told.findings.is_empty() && Cause::OF_CERTIFICATES.iter().all(|cause| told.unchecked.contains(cause)), "{told:?}");
}
