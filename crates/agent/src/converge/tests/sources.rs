//! Vendors' certificates led through a PC: brought, found and renewed, as it should go, as it can fail, and with the plug pulled.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use data_encoding::BASE64;
use tegata_api::v1::backup::Quorum;
use tegata_api::v1::bundle::BundleFault;
use tegata_api::v1::device::{SealedBundle, TakenCertificate};
use tegata_api::v1::problem::Code;
use tegata_core::backup::Keepers;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::bundle::{self, Content, DeviceKey, quorum};
use tegata_pki::certificate;

use super::*;
use crate::pretend::problem;
use crate::vendor::Refusal;
use crate::vendor::tests::{PASSWORD, authority, file_of, issued, issued_between};

const FILE: &str = "004431_JP_u00000126_client1210.p12";

fn vendors(number: u8, source: wire::Source, replaces: &[Sha256]) -> Manifest {
    manifest(vec![wire::SlotManifest { source, key: "vendor".into(), ..slot(Some(order(number)), replaces) }])
}

fn brought(number: u8, fingerprint: Sha256, replaces: &[Sha256]) -> Manifest {
    vendors(number, wire::Source::Bundle { fingerprint: fingerprint.to_string() }, replaces)
}

fn found(number: u8, fingerprint: Sha256) -> Manifest {
    vendors(number, wire::Source::Found { fingerprint: fingerprint.to_string() }, &[])
}

fn renewed(number: u8, current: Sha256, backup: &[String]) -> Manifest {
    renewed_for(number, current, Keepers::each(backup.to_vec()))
}

fn renewed_for(number: u8, current: Sha256, keepers: Keepers) -> Manifest {
    let (backup, quorum) = Quorum::told(keepers);
    let source = wire::Source::Renewal { url: "https://auth.test".into(), current: current.to_string(), backup, quorum };
    vendors(number, source, &[current])
}

/// Puts a vendor's file at the server, sealed to these.
fn bring(world: &World, number: u8, content: &Content, recipients: &[String]) {
    let opened = content.open().ok();
    let fingerprint = opened.map(|(_, facts)| facts.fingerprint.to_string()).unwrap_or_default();
    let sealed = BASE64.encode(&bundle::seal(content, recipients).unwrap());
    world.server.bundles.borrow_mut().insert(order(number), SealedBundle { fingerprint, sealed });
}

fn own(world: &World) -> [String; 1] {
    [world.parts().bundle_key.recipient()]
}

/// A vendor's certificate, and the file that it comes in.
fn file() -> (Pair, Content) {
    let pair = issued(&authority(), 1210);
    let content = Content::new(FILE, PASSWORD, &file_of(&pair));
    (pair, content)
}

fn told(world: &World, number: u8) -> Option<TakenCertificate> {
    world.server.taken.borrow().get(&order(number)).cloned()
}

fn told_fingerprint(world: &World, number: u8) -> Option<Sha256> {
    told(world, number).map(|taken| certificate::read_pem(&taken.chain).unwrap()[0].fingerprint)
}

/// Every file below the agent's folder, but those in which keys have to be.
fn files_below(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let (folders, mut files): (Vec<_>, Vec<_>) = disk::entries(folder).unwrap().into_iter().partition(|path| path.is_dir());
    files.extend(folders.iter().flat_map(|folder| files_below(folder)));
    files
}

fn holds(path: &std::path::Path, secret: &[u8]) -> bool {
    std::fs::read(path).unwrap().windows(secret.len()).any(|window| window == secret)
}

#[tokio::test]
async fn a_brought_file_goes_all_the_way() {
    let world = World::new();
    let (pair, content) = file();
    let fingerprint = pair.fingerprint().unwrap();
    bring(&world, 1, &content, &own(&world));
    pass(&world, &brought(1, fingerprint, &[])).await;
    assert_eq!((stage(&world), trouble(&world).as_str()), (Stage::Settled, ""));
    assert_eq!((held(&world).await, current(&world)), ([fingerprint].into(), Some(fingerprint)));
    assert_eq!(*world.site.accepted.borrow(), [fingerprint]);
    assert_eq!(kinds(&deeds(&world).await), ["installed", "proven"]);
    assert!(disk::entries(&world.state.staged()).unwrap().is_empty());
    assert!(files_below(world.state.root()).iter().all(|path| !holds(path, PASSWORD.as_bytes())), "no password on disk");
}

#[tokio::test]
async fn a_brought_file_replaces_what_was_brought_before_only_once_it_is_proven() {
    let world = World::new();
    let (first, content) = file();
    bring(&world, 1, &content, &own(&world));
    let old = first.fingerprint().unwrap();
    pass(&world, &brought(1, old, &[])).await;
    let (second, content) = file();
    bring(&world, 2, &content, &own(&world));
    let new = second.fingerprint().unwrap();
    world.site.refuses.set(503);
    pass(&world, &brought(2, new, &[old])).await;
    assert_eq!((held(&world).await, current(&world)), ([old, new].into(), Some(old)));
    world.site.refuses.set(0);
    pass(&world, &brought(2, new, &[old])).await;
    assert_eq!((held(&world).await, current(&world)), ([new].into(), Some(new)));
}

/// Another PC's, another certificate, cut short, of an honest size but a bomb inside, no age file, and a password that does not fit.
#[tokio::test]
async fn hostile_files_are_refused_in_both_languages_and_leave_nothing_behind() {
    let (pair, good) = file();
    let (_, other) = file();
    let wrong = Content::new(FILE, "another", &good.file);
    let short = Content::new(FILE, PASSWORD, &good.file[..good.file.len() / 2]);
    let bomb = Content::new(FILE, PASSWORD, &bomb(&good.file));
    let fingerprint = pair.fingerprint().unwrap();
    for (content, ours, english) in [
        (&good, false, "was not sealed to it"),
        (&other, true, "not the one that was announced"),
        (&short, true, "cut short"),
        (&bomb, true, "far more than any honest one"),
        (&wrong, true, "password or PIN does not fit"),
    ] {
        let world = World::new();
        let recipients = if ours { own(&world) } else { [DeviceKey::generate().recipient()] };
        bring(&world, 1, content, &recipients);
        let (mut parts, mut retries) = (world.parts(), Retries::default());
        parts.converge(&brought(1, fingerprint, &[]), &mut retries).await;
        assert_eq!(stage(&world), Stage::Keyed, "{english}");
        assert!(
            trouble(&world).contains(english) && is_japanese(&trouble_ja(&world)),
            "{english}: {} {}",
            trouble(&world),
            trouble_ja(&world)
        );
        assert!(trouble(&world).is_ascii(), "one language each");
        assert!(held(&world).await.is_empty() && files_below(&world.state.staged()).is_empty(), "{english}");
        let wait = retries.next().unwrap() - Instant::now();
        assert!(wait > Duration::from_secs(5 * 3_600), "{english}: tried again in {wait:?}");
    }
}

fn is_japanese(text: &str) -> bool {
    text.chars().any(|c| ('ぁ'..='ん').contains(&c))
}

/// The same file with an iteration count of which a PC would never come to an end.
fn bomb(file: &[u8]) -> Vec<u8> {
    // The MAC's count ends the file: INTEGER, of which the flavour for old programs writes two bytes.
    let at = file.len() - 4;
    assert_eq!(&file[at..at + 2], [2, 2], "INTEGER of two bytes");
    let mut bytes = file.to_vec();
    bytes.splice(at.., [2, 4, 0x7f, 0xff, 0xff, 0xff]);
    // The lengths of the two sequences around it grow by two.
    let outer = usize::from(bytes[2]) << 8 | usize::from(bytes[3]);
    bytes[2..4].copy_from_slice(&u16::try_from(outer + 2).unwrap().to_be_bytes());
    let mac = (0..bytes.len()).rev().find(|at| bytes[*at] == 0x30 && at + 2 + usize::from(bytes[at + 1]) + 2 == bytes.len()).unwrap();
    bytes[mac + 1] += 2;
    bytes
}

#[tokio::test]
async fn what_only_a_person_can_help_waits_until_something_else_is_asked_for() {
    let world = World::new();
    let (pair, good) = file();
    bring(&world, 1, &Content::new(FILE, "another", &good.file), &own(&world));
    let (mut parts, mut retries) = (world.parts(), Retries::default());
    let wanted = brought(1, pair.fingerprint().unwrap(), &[]);
    parts.converge(&wanted, &mut retries).await;
    let asked = world.server.asked();
    retries.forget();
    parts.converge(&wanted, &mut retries).await;
    assert_eq!(world.server.asked(), asked, "another manifest that says the same is no reason");
    let (again, content) = file();
    bring(&world, 2, &content, &own(&world));
    parts.converge(&brought(2, again.fingerprint().unwrap(), &[]), &mut retries).await;
    assert_eq!((stage(&world), retries.next()), (Stage::Settled, None));
}

/// A PC on which somebody else has put a certificate into a store.
async fn with_found() -> (World, Sha256) {
    let world = World::new();
    let (pair, _) = file();
    world.parts().keystores.file.install(&"others/pc-9/by-hand".parse().unwrap(), &pair, "by hand").await.unwrap();
    (world, pair.fingerprint().unwrap())
}

#[tokio::test]
async fn a_found_certificate_is_taken_over_where_it_lies() {
    let (world, fingerprint) = with_found().await;
    pass(&world, &found(1, fingerprint)).await;
    assert_eq!((stage(&world), trouble(&world).as_str()), (Stage::Settled, ""));
    assert_eq!(told_fingerprint(&world, 1), Some(fingerprint));
    let taken = told(&world, 1).unwrap();
    assert!(taken.sealed.is_empty() && taken.file_name.is_empty());
    let parts = world.parts();
    assert_eq!(parts.inventory.item(fingerprint).unwrap().adopted, ["file"]);
    assert_eq!(kinds(&deeds(&world).await), ["installed", "proven"]);
}

#[tokio::test]
async fn a_found_certificate_stays_somebody_elses_until_the_server_has_agreed() {
    let (world, fingerprint) = with_found().await;
    let mut refusal = problem(Code::BundleRefused);
    refusal.faults = vec![BundleFault::from(&tegata_core::vendor::BundleFault::TenantUnknown)];
    world.server.takes_nothing.replace(Some(refusal));
    let mut wanted = found(1, fingerprint);
    pass(&world, &wanted).await;
    assert_eq!(stage(&world), Stage::Keyed);
    assert!(trouble(&world).contains("vendorTenant") && trouble_ja(&world).contains("テナント番号"), "{}", trouble(&world));
    wanted.retire = [fingerprint].into();
    pass(&world, &wanted).await;
    assert!(held(&world).await.contains(&fingerprint), "what is not ours is left alone");
}

/// The plug was pulled when the server had agreed and nobody had noted it: from then on the server says that the order is answered.
#[tokio::test]
async fn a_found_certificate_that_the_server_has_agreed_to_is_ours_although_nobody_noted_it() {
    let (world, fingerprint) = with_found().await;
    world.server.takes_nothing.replace(Some(problem(Code::Busy)));
    pass(&world, &found(1, fingerprint)).await;
    assert!(world.parts().inventory.item(fingerprint).is_none());
    world.server.takes_nothing.replace(None);
    pass(&world, &brought(1, fingerprint, &[])).await;
    assert_eq!((stage(&world), trouble(&world).as_str()), (Stage::Settled, ""));
    assert_eq!(world.parts().inventory.item(fingerprint).unwrap().adopted, ["file"], "where it lay is known");
}

#[tokio::test]
async fn a_found_certificate_without_a_key_is_told() {
    let (world, fingerprint) = with_found().await;
    let folder = world.state.store().join("others/pc-9/by-hand").join(fingerprint.to_string());
    disk::remove(&folder.join("key.pem")).unwrap();
    pass(&world, &found(1, fingerprint)).await;
    assert!(trouble(&world).contains("cannot be taken out of its store"), "{}", trouble(&world));
    pass(&world, &found(1, Sha256([9; 32]))).await;
    assert!(trouble(&world).contains("is in no store"), "{}", trouble(&world));
}

#[tokio::test]
async fn an_adoption_that_was_taken_back_leaves_the_certificate_where_it_was() {
    let (world, fingerprint) = with_found().await;
    world.site.refuses.set(403);
    pass(&world, &found(1, fingerprint)).await;
    let mut parts = world.parts();
    let mut entry = parts.journal.entry(&SLOT.parse().unwrap()).unwrap().clone();
    entry.stage = Stage::Abandoned;
    parts.journal.save(&entry).unwrap();
    parts.converge(&found(1, fingerprint), &mut Retries::default()).await;
    assert!(parts.keystores.file.list().await.unwrap().contains(&fingerprint));
    assert!(parts.inventory.item(fingerprint).is_none());
}

#[tokio::test]
async fn an_adoption_that_was_taken_back_is_undone_where_it_was_put() {
    let (world, fingerprint) = with_found().await;
    world.site.refuses.set(403);
    let mut wanted = found(1, fingerprint);
    wanted.slots[0].stores = vec!["file".into(), "monsiaj".into()];
    pass(&world, &wanted).await;
    let mut parts = world.parts();
    assert!(parts.keystores.monsiaj.holds(fingerprint).await.unwrap());
    let mut entry = parts.journal.entry(&SLOT.parse().unwrap()).unwrap().clone();
    entry.stage = Stage::Abandoned;
    parts.journal.save(&entry).unwrap();
    pass(&world, &wanted).await;
    let stores = world.parts().keystores;
    assert!(stores.file.holds(fingerprint).await.unwrap() && !stores.monsiaj.holds(fingerprint).await.unwrap());
}

/// A person's own certificate, installed so that its key asks each time: what replaces it there can be used, and is still theirs.
#[tokio::test]
async fn a_certificate_whose_key_asks_people_is_noted_as_theirs_when_its_file_is_brought() {
    let (world, (pair, content)) = (World::new(), file());
    let fingerprint = pair.fingerprint().unwrap();
    bring(&world, 1, &content, &own(&world));
    let mut wanted = brought(1, fingerprint, &[]);
    wanted.slots[0].stores = vec!["browser".into()];
    world.site.refuses.set(403);
    let protected = Rc::new(Protected { file: world.parts().keystores.file, asks: Cell::new(Some(fingerprint)) });
    let parts = || {
        let mut parts = world.parts();
        parts.keystores.browser = Rc::clone(&protected) as _;
        parts
    };
    parts().converge(&wanted, &mut Retries::default()).await;
    assert_eq!((stage(&world), parts().inventory.item(fingerprint).unwrap().adopted.clone()), (Stage::Installed, vec!["browser".into()]));
    let mut entry = parts().journal.entry(&SLOT.parse().unwrap()).unwrap().clone();
    entry.stage = Stage::Abandoned;
    parts().journal.save(&entry).unwrap();
    parts().converge(&wanted, &mut Retries::default()).await;
    assert!(protected.holds(fingerprint).await.unwrap() && parts().inventory.item(fingerprint).is_none());
}

/// A store with a certificate whose key does nothing before somebody has agreed, until it is installed again.
struct Protected {
    file: Rc<dyn Keystore>,
    asks: Cell<Option<Sha256>>,
}

#[async_trait::async_trait(?Send)]
impl Keystore for Protected {
    fn name(&self) -> &'static str {
        "protected"
    }

    async fn install(&self, slot: &SlotId, pair: &Pair, label: &str) -> Result<(), KeystoreError> {
        self.asks.set(None);
        self.file.install(slot, pair, label).await
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Ok(self.file.list().await?.into_iter().chain(self.asks.get()).collect())
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        if self.asks.get() == Some(fingerprint) { Err(KeystoreError::AsksPeople(fingerprint)) } else { self.file.open(fingerprint).await }
    }

    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        self.file.remove(fingerprint).await
    }
}

// monsiaj is a program for Linux; the paths in its settings are written as there.
#[cfg(unix)]
#[tokio::test]
async fn monsiaj_goes_on_with_the_one_before_until_the_new_one_is_proven() {
    let world = World::new();
    let properties = world.home().join(".monsiaj/monsiaj.jsonrpc.properties");
    let folder = world.home().join(".monsiaj/certificates");
    disk::make_folder(&folder).unwrap();
    let file_of = |number: u8, name: &str| format!("monsiaj.config.{number}.clientCertificateFile={}\n", folder.join(name).display());
    let theirs = file_of(0, "theirs.p12");
    std::fs::write(&properties, format!("{theirs}{}", file_of(1, "gone.p12"))).unwrap();
    let settings = || std::fs::read_to_string(&properties).unwrap();
    let for_monsiaj = |number, fingerprint, replaces: &[_]| {
        let mut wanted = brought(number, fingerprint, replaces);
        wanted.slots[0].stores = vec!["monsiaj".into()];
        wanted
    };
    let [(first, one), (second, two)] = [file(), file()];
    bring(&world, 1, &one, &own(&world));
    bring(&world, 2, &two, &own(&world));
    let [old, new] = [first, second].map(|pair| pair.fingerprint().unwrap());
    pass(&world, &for_monsiaj(1, old, &[])).await;
    assert!(stage(&world) == Stage::Proven && trouble(&world).contains("several servers"), "{}", trouble(&world));
    assert!(trouble_ja(&world).contains("接続先が複数"), "{}", trouble_ja(&world));
    // Somebody chooses.
    let file = disk::files(&folder).unwrap().remove(0).with_extension("p12");
    std::fs::write(&properties, format!("{theirs}{}", file_of(1, file.file_name().unwrap().to_str().unwrap()))).unwrap();
    pass(&world, &for_monsiaj(1, old, &[])).await;
    assert_eq!((stage(&world), trouble(&world).as_str()), (Stage::Settled, ""));
    let before = settings();
    world.site.refuses.set(403);
    pass(&world, &for_monsiaj(2, new, &[])).await;
    assert_eq!((stage(&world), settings()), (Stage::Installed, before.clone()));
    world.site.refuses.set(0);
    // Nothing is removed yet, as while a tool has its own copy.
    pass(&world, &for_monsiaj(2, new, &[])).await;
    assert_eq!(stage(&world), Stage::Settled);
    assert!(settings() != before && settings().starts_with(&theirs), "{}", settings());
}

/// A PC whose certificate was brought, and the key of the clinic's backups.
async fn with_current() -> (World, Sha256, DeviceKey) {
    let world = World::new();
    let (pair, content) = file();
    bring(&world, 1, &content, &own(&world));
    let current = pair.fingerprint().unwrap();
    pass(&world, &brought(1, current, &[])).await;
    assert_eq!(stage(&world), Stage::Settled);
    (world, current, DeviceKey::generate())
}

#[tokio::test]
async fn a_renewal_goes_all_the_way_and_the_backup_can_be_opened() {
    let (world, current, backup) = with_current().await;
    pass(&world, &renewed(2, current, &[backup.recipient()])).await;
    assert_eq!((stage(&world), trouble(&world).as_str()), (Stage::Settled, ""));
    let new = told_fingerprint(&world, 2).unwrap();
    assert_eq!((held(&world).await, world.vendor.asked.get()), ([new].into(), 1));
    assert_eq!(*world.vendor.shown.borrow(), [current]);
    let taken = told(&world, 2).unwrap();
    let kept = bundle::unseal(&BASE64.decode(taken.sealed.as_bytes()).unwrap(), &backup).unwrap();
    assert_eq!((kept.file.to_vec(), kept.password.as_str()), (world.vendor.made.borrow()[0].clone(), PASSWORD));
    assert!(kept.file_name.ends_with(".p12") && kept.file_name.len() == 18, "{}", kept.file_name);
    assert_eq!(taken.recipients, [backup.recipient()], "it says to whom");
    assert!(files_below(world.state.root()).iter().all(|path| !holds(path, PASSWORD.as_bytes())), "no password on disk");
}

#[tokio::test]
async fn where_it_takes_several_keepers_none_of_them_opens_the_backup_alone() {
    let (world, current, one) = with_current().await;
    let keys = [one, DeviceKey::generate(), DeviceKey::generate()];
    let of: Vec<String> = keys.iter().map(DeviceKey::recipient).collect();
    pass(&world, &renewed_for(2, current, Keepers { threshold: 2, of: of.clone() })).await;
    assert_eq!((stage(&world), trouble(&world).as_str()), (Stage::Settled, ""));
    let taken = told(&world, 2).unwrap();
    let sealed = BASE64.decode(taken.sealed.as_bytes()).unwrap();
    assert!(keys.iter().all(|key| bundle::unseal(&sealed, key).is_err()));
    let unlocked = quorum::unlock(&sealed, &keys[1..]).unwrap().unwrap();
    assert_eq!(bundle::unseal(&sealed, &unlocked.key).unwrap().password.as_str(), PASSWORD);
    assert_eq!(taken.recipients, of);
}

#[tokio::test]
async fn more_keepers_than_there_are_keep_the_vendor_from_being_asked() {
    let (world, current, one) = with_current().await;
    pass(&world, &renewed_for(2, current, Keepers { threshold: 2, of: vec![one.recipient()] })).await;
    assert!(trouble(&world).contains("spec.threshold") && is_japanese(&trouble_ja(&world)), "{}", trouble(&world));
    assert_eq!((world.vendor.asked.get(), told(&world, 2)), (0, None));
}

#[tokio::test]
async fn every_refusal_of_a_renewal_is_told_and_waits_for_hours() {
    let refusals = [
        (Refusal::NotPermitted, "NOT PERMITTED CERTIFICATE", 11),
        (Refusal::UserUnknown, "USER NOT IN TENANTDB", 11),
        (Refusal::OnPremisesOnly, "ON PREMISES ONLY TENANT", 11),
        (Refusal::Expired, "has expired", 11),
        (Refusal::Maintenance, "maintenance", 0),
        (Refusal::Unanswered("no route".into()), "no route", 0),
        (Refusal::Status(500), "500", 3),
        (Refusal::Nonsense, "cannot be understood", 3),
        (Refusal::TooMuch, "too long", 3),
        (Refusal::OfferOver, "not there any more", 0),
        (Refusal::OtherHost, "another host", 11),
    ];
    for (refusal, word, hours) in refusals {
        let (world, current, _) = with_current().await;
        world.vendor.refuses.replace(Some(refusal));
        let (mut parts, mut retries) = (world.parts(), Retries::default());
        parts.converge(&renewed(2, current, &[]), &mut retries).await;
        assert!(
            trouble(&world).contains(word) && trouble(&world).is_ascii() && is_japanese(&trouble_ja(&world)),
            "{word}: {}",
            trouble(&world)
        );
        assert_eq!((held(&world).await, told(&world, 2)), ([current].into(), None));
        let wait = retries.next().unwrap() - Instant::now();
        assert!(wait > Duration::from_secs(hours * 3_600 + 3_000), "{word}: {wait:?}");
        retries.forget();
        parts.converge(&renewed(2, current, &[]), &mut retries).await;
        assert_eq!(world.vendor.asked.get(), 1, "{word}");
        let mut restarted = world.parts();
        let mut retries = Retries::resume(&restarted.journal);
        restarted.converge(&renewed(2, current, &[]), &mut retries).await;
        assert_eq!(world.vendor.asked.get(), 1, "{word}: a restarted agent goes on waiting");
        let resumed = retries.next().unwrap() - Instant::now();
        assert!(resumed.abs_diff(wait) < Duration::from_secs(60), "{word}: {wait:?}, then {resumed:?}");
    }
}

#[tokio::test]
async fn what_was_offered_is_fetched_later_and_not_asked_for_again() {
    let (world, current, _) = with_current().await;
    world.vendor.refuses_files.replace(Some(Refusal::Unanswered("cut".into())));
    for _ in 0..3 {
        pass(&world, &renewed(2, current, &[])).await;
    }
    assert_eq!(world.vendor.asked.get(), 1);
    world.vendor.refuses_files.replace(Some(Refusal::OfferOver));
    pass(&world, &renewed(2, current, &[])).await;
    world.vendor.refuses_files.replace(None);
    pass(&world, &renewed(2, current, &[])).await;
    assert_eq!((world.vendor.asked.get(), stage(&world)), (2, Stage::Settled));
    assert!(told(&world, 2).unwrap().sealed.is_empty(), "nobody keeps backups");
}

#[tokio::test]
async fn a_renewal_that_the_server_does_not_take_is_kept_and_told_again() {
    let (world, current, _) = with_current().await;
    world.server.takes_nothing.replace(Some(problem(Code::BundleRefused)));
    for _ in 0..3 {
        pass(&world, &renewed(2, current, &[])).await;
    }
    assert_eq!((stage(&world), held(&world).await), (Stage::Keyed, [current].into()));
    world.server.takes_nothing.replace(None);
    pass(&world, &renewed(2, current, &[])).await;
    assert_eq!((stage(&world), world.vendor.asked.get()), (Stage::Settled, 1));
}

/// A PC for whose second order the vendor has made a certificate, which the server did not get to hear of.
async fn with_untold() -> (World, Sha256, DeviceKey) {
    let (world, current, backup) = with_current().await;
    world.server.takes_nothing.replace(Some(problem(Code::Busy)));
    pass(&world, &renewed(2, current, &[backup.recipient()])).await;
    world.server.takes_nothing.replace(None);
    assert_eq!((stage(&world), world.vendor.asked.get()), (Stage::Keyed, 1));
    (world, current, backup)
}

fn is_kept(world: &World) -> bool {
    !files_below(&world.state.renewed_of(&SLOT.parse().unwrap())).is_empty()
}

#[tokio::test]
async fn what_the_vendor_made_outlives_the_order_it_was_made_for() {
    let without = manifest(vec![]);
    let waiting = manifest(vec![slot(None, &[])]);
    for between in [None, Some(&without), Some(&waiting)] {
        let (world, current, backup) = with_untold().await;
        if let Some(between) = between {
            pass(&world, between).await;
        }
        assert!(is_kept(&world));
        let other = DeviceKey::generate();
        pass(&world, &renewed(3, current, &[other.recipient()])).await;
        assert_eq!((stage(&world), trouble(&world).as_str(), world.vendor.asked.get()), (Stage::Settled, "", 1));
        let made = told_fingerprint(&world, 3).unwrap();
        assert_eq!((held(&world).await, told(&world, 2)), ([made].into(), None));
        let sealed = BASE64.decode(told(&world, 3).unwrap().sealed.as_bytes()).unwrap();
        assert_eq!(bundle::unseal(&sealed, &other).unwrap().password.as_str(), PASSWORD);
        assert!(bundle::unseal(&sealed, &backup).is_err(), "it is sealed to whom this order names");
        assert_eq!(told(&world, 3).unwrap().recipients, [other.recipient()], "and that is what it says");
        assert!(!is_kept(&world));
    }
}

#[tokio::test]
async fn what_the_server_knows_of_is_not_the_answer_to_another_order() {
    let (world, current, _) = with_current().await;
    world.site.refuses.set(403);
    pass(&world, &renewed(2, current, &[])).await;
    assert!(stage(&world) == Stage::Installed && !is_kept(&world));
    world.site.refuses.set(0);
    pass(&world, &renewed(3, current, &[])).await;
    assert_eq!((stage(&world), world.vendor.asked.get()), (Stage::Settled, 2));
    assert_ne!(told_fingerprint(&world, 2), told_fingerprint(&world, 3));
}

#[tokio::test]
async fn what_the_vendor_offered_outlives_the_order_too() {
    let (world, current, _) = with_current().await;
    world.vendor.refuses_files.replace(Some(Refusal::Unanswered("cut".into())));
    pass(&world, &renewed(2, current, &[])).await;
    world.vendor.refuses_files.replace(None);
    pass(&world, &renewed(3, current, &[])).await;
    assert_eq!((stage(&world), world.vendor.asked.get()), (Stage::Settled, 1));
}

/// The server has heard, and the agent has not heard that it has.
#[tokio::test]
async fn what_the_server_names_is_taken_from_what_the_vendor_made() {
    let (world, current, _) = with_untold().await;
    let file = world.vendor.made.borrow()[0].clone();
    let (_, facts) = Content::new(FILE, PASSWORD, &file).open().unwrap();
    disk::wipe_folder(&world.state.staged_of(order(2))).unwrap();
    pass(&world, &brought(2, facts.fingerprint, &[current])).await;
    assert_eq!((stage(&world), held(&world).await), (Stage::Settled, [facts.fingerprint].into()));
    assert!(!is_kept(&world), "nobody is told of it again");
}

#[tokio::test]
async fn what_the_vendor_made_is_over_once_something_newer_is_proven() {
    for (days_later, is_over) in [(0, true), (-1, false)] {
        let (world, current, _) = with_untold().await;
        let begin = Timestamp::from_unix(crate::wall_clock() + i64::from(days_later) * 86_400).before(DAY);
        let pair = issued_between(&authority(), 1210, begin, begin.after(DAY * 1095));
        bring(&world, 3, &Content::new(FILE, PASSWORD, &file_of(&pair)), &own(&world));
        let newest = pair.fingerprint().unwrap();
        world.site.refuses.set(503);
        pass(&world, &brought(3, newest, &[current])).await;
        assert!(is_kept(&world), "it is not proven yet");
        world.site.refuses.set(0);
        pass(&world, &brought(3, newest, &[current])).await;
        assert_eq!((stage(&world), is_kept(&world)), (Stage::Settled, !is_over), "{days_later}");
        pass(&world, &renewed(4, newest, &[])).await;
        assert_eq!((stage(&world), world.vendor.asked.get()), (Stage::Settled, if is_over { 2 } else { 1 }));
    }
}

#[tokio::test]
async fn nothing_is_asked_for_that_the_disk_has_no_room_for() {
    let (world, current, _) = with_current().await;
    world.vendor.refuses.replace(Some(Refusal::Maintenance));
    pass(&world, &renewed(2, current, &[])).await;
    world.vendor.refuses.replace(None);
    crash::fill(true);
    pass(&world, &renewed(2, current, &[])).await;
    crash::fill(false);
    assert_eq!(world.vendor.asked.get(), 1, "before the disk was full");
    pass(&world, &renewed(2, current, &[])).await;
    assert_eq!((stage(&world), world.vendor.asked.get()), (Stage::Settled, 2));
}

#[tokio::test]
async fn a_full_disk_costs_nothing_that_the_vendor_made() {
    let (world, current, _) = with_current().await;
    // A folder stands where the key is to go.
    let place = world.state.staged_of(order(2)).join("key.der");
    disk::make_folder(&place).unwrap();
    pass(&world, &renewed(2, current, &[])).await;
    assert!(trouble(&world).contains("cannot write") && is_kept(&world), "{}", trouble(&world));
    std::fs::remove_dir(&place).unwrap();
    pass(&world, &renewed(2, current, &[])).await;
    assert_eq!((stage(&world), world.vendor.asked.get()), (Stage::Settled, 1));
}

#[tokio::test]
async fn a_recipient_that_is_none_is_told_before_the_vendor_is_asked() {
    let (world, current, backup) = with_current().await;
    for (text, shown) in [("age1nonsense", "'age1nonsense'"), ("AGE-SECRET-KEY-1QQQ", "'a secret key'")] {
        pass(&world, &renewed(2, current, &[backup.recipient(), text.into()])).await;
        let trouble = trouble(&world);
        assert!([shown, "backups", "BackupTarget", "apply it"].iter().all(|word| trouble.contains(word)), "{trouble}");
        assert!(!trouble.contains("QQQ"), "{trouble}");
        assert_eq!(world.vendor.asked.get(), 0);
    }
    pass(&world, &renewed(2, current, &[backup.recipient()])).await;
    assert_eq!(stage(&world), Stage::Settled);
}

/// Once an order is answered, the server names its certificate, wherever it came from.
#[tokio::test]
async fn an_answered_order_goes_on_from_what_is_here() {
    let (world, fingerprint) = with_found().await;
    pass(&world, &brought(1, fingerprint, &[])).await;
    assert_eq!((stage(&world), trouble(&world).as_str()), (Stage::Settled, ""));
    assert_eq!(world.parts().inventory.item(fingerprint).unwrap().adopted, ["file"]);
}

/// One life: something is brought or found, then it is renewed. What happened meanwhile to the server's view is as the server has it: an
/// answered order names its certificate.
async fn life(world: &World, first: Sha256, is_found: bool, backup: &DeviceKey) {
    if world.server.manifest.borrow().generation == 0 {
        let wanted = match told_fingerprint(world, 1) {
            None if is_found => found(1, first),
            _ => brought(1, first, &[]),
        };
        pass(world, &wanted).await;
        world.receipts().send(&*world.server).await.unwrap();
        world.server.manifest.borrow_mut().generation = 1;
    }
    let wanted = match told_fingerprint(world, 2) {
        None => renewed(2, first, &[backup.recipient()]),
        Some(taken) => brought(2, taken, &[first]),
    };
    pass(world, &wanted).await;
    world.receipts().send(&*world.server).await.unwrap();
}

#[test]
fn the_plug_can_be_pulled_between_any_two_effects_of_vendors_orders() {
    quietly();
    let (pair, content) = file();
    let first = pair.fingerprint().unwrap();
    let backup = DeviceKey::generate();
    for is_found in [false, true] {
        let (mut points, calls) = (0, RefCell::new(Vec::new()));
        loop {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let world = World::new();
            if is_found {
                let somewhere = "others/pc-9/by-hand".parse().unwrap();
                runtime.block_on(async { world.parts().keystores.file.install(&somewhere, &pair, "by hand").await }).unwrap();
            } else {
                bring(&world, 1, &content, &own(&world));
            }
            if !unplugged(life(&world, first, is_found, &backup), points) {
                break;
            }
            runtime.block_on(life(&world, first, is_found, &backup));
            runtime.block_on(check_life(&world, first, points));
            calls.borrow_mut().push(world.vendor.asked.get());
            points += 1;
        }
        assert!(points > 60, "only {points} points");
        // Only between the vendor's deed and the note of it can a call be lost.
        let twice = calls.borrow().iter().filter(|calls| **calls > 1).count();
        assert!(twice <= 3 && calls.borrow().iter().all(|calls| *calls <= 2), "{twice} calls were made twice");
    }
}

async fn check_life(world: &World, first: Sha256, at: u32) {
    let new = told_fingerprint(world, 2).unwrap();
    assert_eq!((stage(world), trouble(world).as_str()), (Stage::Settled, ""), "pulled at {at}");
    assert_eq!(held(world).await, [new].into(), "pulled at {at}");
    assert!(world.parts().keystores.file.open(new).await.unwrap().can_sign().unwrap());
    assert!(world.site.accepted.borrow().contains(&new));
    assert!(disk::entries(&world.state.staged()).unwrap().is_empty() && !is_kept(world), "pulled at {at}");
    let deeds = world.server.deeds(&world.identity.key);
    let mut order = kinds(&deeds);
    order.dedup();
    assert_eq!(order, ["installed", "proven", "installed", "proven", "retired"], "pulled at {at}");
    assert!(deeds.contains(&Deed::Retired { fingerprint: first.to_string() }));
}

/// A PC whose vendor has said no, seen by an agent that was started again.
async fn with_pause() -> (World, Sha256) {
    let (world, current, _) = with_current().await;
    world.vendor.refuses.replace(Some(Refusal::NotPermitted));
    pass(&world, &renewed(2, current, &[])).await;
    world.vendor.refuses.replace(None);
    (world, current)
}

/// One pass of an agent that was started again.
async fn restarted(world: &World, manifest: &Manifest) {
    let mut parts = world.parts();
    let mut retries = Retries::resume(&parts.journal);
    parts.converge(manifest, &mut retries).await;
}

#[tokio::test]
async fn a_pause_that_a_restart_kept_ends_when_something_else_is_asked_for() {
    let (pair, content) = file();
    for another in [None, Some(brought(2, pair.fingerprint().unwrap(), &[]))] {
        let (world, current) = with_pause().await;
        bring(&world, 2, &content, &own(&world));
        restarted(&world, &another.clone().unwrap_or_else(|| renewed(2, current, &[]))).await;
        assert_eq!((stage(&world), world.vendor.asked.get()), (if another.is_some() { Stage::Settled } else { Stage::Keyed }, 1));
    }
    let (world, current) = with_pause().await;
    restarted(&world, &renewed(3, current, &[])).await;
    assert_eq!((stage(&world), world.vendor.asked.get()), (Stage::Settled, 2));
    assert!(world.parts().journal.entry(&SLOT.parse().unwrap()).unwrap().pause.is_none());
}

#[tokio::test]
async fn a_pause_is_over_in_time_and_at_once_if_the_clock_was_set_back() {
    for (left, is_over) in [(-1, true), (600, false), (23 * 3_600, false), (400 * 86_400, true), (i64::MAX, true)] {
        let (world, current) = with_pause().await;
        let mut parts = world.parts();
        let mut entry = parts.journal.entry(&SLOT.parse().unwrap()).unwrap().clone();
        entry.pause.as_mut().unwrap().until = crate::wall_clock().saturating_add(left);
        parts.journal.save(&entry).unwrap();
        restarted(&world, &renewed(2, current, &[])).await;
        let is_noted = world.parts().journal.entry(&SLOT.parse().unwrap()).unwrap().pause.is_some();
        assert_eq!((world.vendor.asked.get(), is_noted), (if is_over { 2 } else { 1 }, !is_over), "{left}");
    }
}
