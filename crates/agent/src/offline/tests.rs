//! Files that are carried to a PC: what is done with good ones, and that nothing at all is done with any other.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use tegata_api::v1::device::{self as wire, Deed, Manifest, Receipt, SealedBundle, Source};
use tegata_api::v1::offline::{OfflineBundle, SignedBundle, Unreadable};
use tegata_core::name::{OrderId, Sha256};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::DAY;
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::bundle::{self, Content, DeviceKey};
use tegata_pki::key::{sha256, verify};
use tegata_pki::{certificate, csr};

use super::*;
use crate::converge::Device;
use crate::crash::{self, Unplugged};
use crate::identity::Identity;
use crate::keystore::Pair;
use crate::pretend::World;
use crate::vendor::tests::{PASSWORD, authority, file_of, issued};

const SLOT: &str = "sakura/uketsuke-1/weborca";

fn now() -> Timestamp {
    Timestamp::from_unix(crate::wall_clock())
}

fn order(number: u8) -> OrderId {
    OrderId([number; 16])
}

fn manifest(generation: u64, source: Source, key: &str) -> Manifest {
    let slot = wire::SlotManifest {
        backup: vec![],
        quorum: None,
        slot: SLOT.into(),
        order: Some(order(1).to_string()),
        source,
        key: key.into(),
        label: "WebORCA".into(),
        stores: vec!["file".into()],
        select: vec![],
        probe: None,
        replaces: vec![],
    };
    Manifest { generation, device: "sakura/uketsuke-1".into(), slots: vec![slot], ..Default::default() }
}

/// What the server would say to this PC now.
fn said(world: &World, manifest: Manifest) -> OfflineBundle {
    OfflineBundle {
        tenant: "aozora".into(),
        identity: sha256(&world.identity.key.public_key()).to_string(),
        made_at: now().unix(),
        receipts: 0,
        manifest,
        sealed: BTreeMap::new(),
        issued: BTreeMap::new(),
    }
}

/// A vendor's certificate, and what the server says of it to whoever has one of these keys.
fn brought(world: &World, generation: u64, recipients: &[String]) -> (Pair, OfflineBundle) {
    let pair = issued(&authority(), 1210);
    let fingerprint = pair.fingerprint().unwrap().to_string();
    let content = Content::new("004431_JP_u00000126_client1210.p12", PASSWORD, &file_of(&pair));
    let sealed = BASE64.encode(&bundle::seal(&content, recipients).unwrap());
    let manifest = manifest(generation, Source::Bundle { fingerprint: fingerprint.clone() }, "vendor");
    let sealed = BTreeMap::from([(order(1).to_string(), SealedBundle { fingerprint, sealed })]);
    (pair, OfflineBundle { sealed, ..said(world, manifest) })
}

fn own(world: &World) -> [String; 1] {
    [world.parts().bundle_key.recipient()]
}

/// Signs as the server does, with a certificate of this authority for this purpose.
fn sign_as(authority: &Authority, purpose: &Purpose, meant: Meant, text: &str) -> SignedBundle {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let tbs = authority.draft(purpose, &key.public_key(), new_serial(), now().before(DAY), now().after(DAY * 30)).unwrap();
    let chain = [authority.sign(&tbs).unwrap(), authority.certificate().to_vec()];
    let signature = BASE64.encode(&key.sign(&meant.signed_bytes(text)).unwrap());
    SignedBundle { bundle: text.into(), signature, chain: chain.iter().map(|der| certificate::to_pem(der)).collect() }
}

fn server() -> Purpose {
    Purpose::Server { names: vec!["server.test".into()] }
}

fn sign(world: &World, bundle: &OfflineBundle) -> SignedBundle {
    sign_as(&world.server.authority, &server(), Meant::Bundle, &serde_json::to_string(bundle).unwrap())
}

fn identity(world: &World) -> Identity {
    Identity::load(&world.state).unwrap()
}

fn path(world: &World) -> PathBuf {
    world.home().join("usb.answer.json")
}

/// What `apply` does, with pretended browsers and sites.
async fn apply_signed(world: &World, signed: &SignedBundle) -> Result<Applied, ApplyError> {
    let bundle = believe(signed, &world.settings, &identity(world), now())?;
    let carried = Rc::new(Carried::of(bundle));
    let device = Device { server: Rc::clone(&carried) as Rc<dyn Server>, ..world.parts() };
    let agent = Agent::with(world.settings.clone(), identity(world), device)?;
    carry_out(agent, &carried, &world.identity.key, &path(world)).await
}

async fn apply_to(world: &World, bundle: &OfflineBundle) -> Result<Applied, ApplyError> {
    apply_signed(world, &sign(world, bundle)).await
}

/// The answer that was written, if this PC has signed it.
fn answer(world: &World) -> OfflineAnswer {
    let signed: SignedAnswer = offline::read(File::open(path(world)).unwrap()).unwrap();
    let signature = BASE64.decode(signed.signature.as_bytes()).unwrap();
    assert!(verify(&world.identity.key.public_key(), &Meant::Answer.signed_bytes(&signed.answer), &signature));
    serde_json::from_str(&signed.answer).unwrap()
}

fn deeds(answer: &OfflineAnswer) -> Vec<(u64, &'static str)> {
    let receipts = answer.receipts.iter().map(|signed| serde_json::from_str::<Receipt>(&signed.receipt).unwrap());
    receipts
        .map(|receipt| match receipt.deed {
            Deed::Installed { .. } => (receipt.number, "installed"),
            Deed::Proven { .. } => (receipt.number, "proven"),
            Deed::Retired { .. } => (receipt.number, "retired"),
            Deed::InstallerQuarantined { .. } | Deed::InstallerRestored { .. } => (receipt.number, "moved"),
            Deed::InstallerRemoved { .. } => (receipt.number, "installer"),
            Deed::RootTrusted { .. } | Deed::RootDistrusted { .. } => (receipt.number, "root"),
            Deed::LogContradicted { .. } => (receipt.number, "log"),
        })
        .collect()
}

async fn held(world: &World) -> Vec<Sha256> {
    world.parts().keystores.file.list().await.unwrap().into_iter().collect()
}

#[tokio::test]
async fn a_vendors_file_that_was_carried_is_installed_proven_and_answered() {
    let world = World::new();
    let (pair, bundle) = brought(&world, 7, &own(&world));
    let applied = apply_to(&world, &bundle).await.unwrap();
    assert_eq!((applied.generation, applied.slots[0].stage.as_str(), applied.is_well()), (7, "settled", true));
    assert_eq!(held(&world).await, [pair.fingerprint().unwrap()]);
    let answer = answer(&world);
    assert_eq!(deeds(&answer), [(1, "installed"), (2, "proven")]);
    assert_eq!((answer.last_receipt, answer.report.generation, answer.device.as_str()), (2, 7, "sakura/uketsuke-1"));
    assert_eq!(world.server.asked(), 0, "nobody else was asked");
    // With the network back, the link goes on where the file has ended.
    world.receipts().send(&*world.server).await.unwrap();
    assert_eq!(world.server.deeds(&world.identity.key).len(), 2);
}

#[tokio::test]
async fn the_same_file_once_more_changes_nothing_and_answers_again() {
    let world = World::new();
    let (_, bundle) = brought(&world, 7, &own(&world));
    apply_to(&world, &bundle).await.unwrap();
    let first = answer(&world).receipts;
    apply_to(&world, &bundle).await.unwrap();
    assert_eq!(answer(&world).receipts, first);
}

#[tokio::test]
async fn receipts_are_carried_until_a_newer_file_says_that_they_arrived_and_an_old_file_takes_nothing_back() {
    let world = World::new();
    let (_, bundle) = brought(&world, 7, &own(&world));
    apply_to(&world, &bundle).await.unwrap();
    let heard = OfflineBundle { receipts: 2, ..bundle.clone() };
    apply_to(&world, &heard).await.unwrap();
    assert!(answer(&world).receipts.is_empty() && answer(&world).last_receipt == 2);
    world.receipts().record(world.retired(9), 0).unwrap();
    // It knows of no receipt; were it believed, the third would become the first.
    apply_to(&world, &bundle).await.unwrap();
    assert_eq!(deeds(&answer(&world)), [(3, "retired")]);
}

#[tokio::test]
async fn a_request_for_a_key_of_this_pc_travels_with_the_answer_and_its_certificate_with_the_next_file() {
    let world = World::new();
    let asked = manifest(1, Source::Request, "ecdsa-p256");
    let applied = apply_to(&world, &said(&world, asked.clone())).await.unwrap();
    assert_eq!((applied.waiting.as_slice(), applied.is_well()), ([SLOT.to_owned()].as_slice(), true));
    let told = applied.tell(Language::Japanese, &TimeZone::UTC);
    assert!(told.contains("返信ファイルに書きました") && !told.contains("could not"), "{told}");
    let request = answer(&world).requests[&order(1).to_string()].csr.clone();
    // The same key, however often it is asked.
    apply_to(&world, &said(&world, asked.clone())).await.unwrap();
    let key = |csr: &str| csr::check(csr).unwrap().public_key;
    assert_eq!(key(&answer(&world).requests[&order(1).to_string()].csr), key(&request));
    let issued = world.server.certificate(order(1), request).await.unwrap();
    let bundle = OfflineBundle { issued: [(order(1).to_string(), issued.clone())].into(), ..said(&world, asked) };
    let applied = apply_to(&world, &bundle).await.unwrap();
    assert_eq!((applied.slots[0].stage.as_str(), applied.waiting.len()), ("settled", 0));
    assert_eq!(held(&world).await, [world.server.issued(order(1)).unwrap()]);
    assert_eq!(deeds(&answer(&world)), [(1, "installed"), (2, "proven")]);
}

#[tokio::test]
async fn a_certificate_for_a_key_that_is_gone_is_asked_for_anew() {
    let world = World::new();
    let gone = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let issued = world.server.certificate(order(1), csr::create(&gone).unwrap()).await.unwrap();
    let issued = BTreeMap::from([(order(1).to_string(), issued)]);
    let bundle = OfflineBundle { issued, ..said(&world, manifest(1, Source::Request, "ecdsa-p256")) };
    apply_to(&world, &bundle).await.unwrap();
    let request = answer(&world).requests[&order(1).to_string()].csr.clone();
    assert_ne!(csr::check(&request).unwrap().public_key, gone.public_key());
}

#[tokio::test]
async fn a_found_certificate_is_told_by_the_answer_and_is_nobodys_until_the_server_agrees() {
    let world = World::new();
    let pair = issued(&authority(), 1210);
    let fingerprint = pair.fingerprint().unwrap();
    world.parts().keystores.file.install(&SLOT.parse().unwrap(), &pair, "").await.unwrap();
    let found = manifest(1, Source::Found { fingerprint: fingerprint.to_string() }, "vendor");
    let applied = apply_to(&world, &said(&world, found)).await.unwrap();
    assert_eq!(applied.waiting, [SLOT]);
    let taken = answer(&world).taken[&order(1).to_string()].clone();
    assert_eq!(certificate::read_pem(&taken.chain).unwrap()[0].fingerprint, fingerprint);
    assert!(world.parts().inventory.item(fingerprint).is_none());
    let agreed = manifest(2, Source::Bundle { fingerprint: fingerprint.to_string() }, "vendor");
    let applied = apply_to(&world, &said(&world, agreed)).await.unwrap();
    assert_eq!(applied.slots[0].stage, "settled");
    assert!(world.parts().inventory.item(fingerprint).is_some());
}

#[tokio::test]
async fn what_was_sealed_to_another_pc_cannot_be_opened_here() {
    let world = World::new();
    let (_, bundle) = brought(&world, 1, &[DeviceKey::generate().recipient()]);
    let applied = apply_to(&world, &bundle).await.unwrap();
    assert!(!applied.is_well() && applied.slots[0].trouble.as_ref().unwrap().contains("was not sealed to it"), "{applied:?}");
    assert!(held(&world).await.is_empty());
}

/// Everything that is wrong with a file of another hand.
fn wrong(world: &World) -> Vec<(&'static str, SignedBundle)> {
    let (_, bundle) = brought(world, 9, &own(world));
    let text = serde_json::to_string(&bundle).unwrap();
    let good = sign(world, &bundle);
    let by = |authority: &Authority, purpose: &Purpose| sign_as(authority, purpose, Meant::Bundle, &text);
    let strangers = Authority::new_root("Sakura Issuing CA", "sakura", now().before(DAY), now().after(DAY * 900)).unwrap();
    let person = Purpose::Identity { common_name: "sakura/uketsuke-1".into(), organization: "aozora".into() };
    let other = |bundle: OfflineBundle| sign(world, &bundle);
    let elsewhere = Manifest { device: "sakura/uketsuke-2".into(), ..bundle.manifest.clone() };
    let nonsense = Manifest { retire: vec!["*".into()], ..bundle.manifest.clone() };
    vec![
        ("Altered", SignedBundle { bundle: text.replacen("\"generation\":9", "\"generation\":8", 1), ..good.clone() }),
        ("Altered", SignedBundle { signature: by(&world.server.authority, &server()).signature, ..good.clone() }),
        ("Altered", SignedBundle { signature: "no".into(), ..good.clone() }),
        ("Altered", SignedBundle { chain: String::new(), ..good.clone() }),
        ("Altered", sign_as(&world.server.authority, &server(), Meant::Answer, &text)),
        ("Foreign", by(&strangers, &server())),
        ("Foreign", by(&world.server.authority, &person)),
        ("Newer", sign_as(&world.server.authority, &server(), Meant::Bundle, "{}")),
        ("OtherTenant", other(OfflineBundle { tenant: "momiji".into(), ..bundle.clone() })),
        ("OtherDevice", other(OfflineBundle { manifest: elsewhere, identity: "00".repeat(32), ..bundle.clone() })),
        ("OtherIdentity", other(OfflineBundle { identity: "00".repeat(32), ..bundle.clone() })),
        ("Nonsense", other(OfflineBundle { manifest: nonsense, ..bundle.clone() })),
        ("TooOld", other(OfflineBundle { manifest: Manifest { generation: 7, ..bundle.manifest.clone() }, ..bundle.clone() })),
        ("TooOld", other(OfflineBundle { manifest: Manifest { generation: 8, ..bundle.manifest.clone() }, ..bundle })),
    ]
}

fn refusal(error: ApplyError) -> Refusal {
    match error {
        ApplyError::Refused(refusal) => refusal,
        other => panic!("not a refusal: {other:?}"),
    }
}

/// Every file of the agent's folder.
fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let (folders, files): (Vec<_>, Vec<_>) = disk::entries(folder).unwrap().into_iter().partition(|path| path.is_dir());
    let here = files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap()));
    here.chain(folders.iter().flat_map(|folder| contents(folder))).collect()
}

#[tokio::test]
async fn what_is_not_for_this_pc_from_its_server_is_refused_by_name_and_leaves_no_trace() {
    let world = World::new();
    let followed = manifest(8, Source::Request, "ecdsa-p256");
    link::Link::open(&world.state, world.device()).unwrap().accept(&followed).unwrap();
    let wrong = wrong(&world);
    let before = contents(world.state.root());
    for (name, signed) in wrong {
        let refusal = refusal(apply_signed(&world, &signed).await.expect_err(name));
        assert!(format!("{refusal:?}").starts_with(name), "{name}: {refusal:?}");
        assert_eq!(contents(world.state.root()), before, "{name}");
        assert!(!path(&world).exists(), "{name}");
    }
}

#[test]
fn the_servers_certificate_has_to_be_valid_by_the_clock_of_this_pc() {
    let world = World::new();
    let signed = sign(&world, &brought(&world, 1, &own(&world)).1);
    let at = |when| believe(&signed, &world.settings, &world.identity, when).map(drop);
    at(now()).unwrap();
    at(now().after(DAY * 29)).unwrap();
    for when in [now().after(DAY * 31), now().before(DAY * 2), Timestamp::from_unix(0)] {
        assert!(matches!(at(when), Err(Refusal::WrongTime)), "{when}");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_short_too_large_or_another_is_refused_before_anything_is_looked_at() {
    let world = World::new();
    let (file, answer) = (world.home().join("usb.json"), path(&world));
    let whole = serde_json::to_vec(&sign(&world, &brought(&world, 1, &own(&world)).1)).unwrap();
    let before = contents(world.state.root());
    for (bytes, english) in [
        (whole[..whole.len() / 2].to_vec(), "ends in the middle"),
        (vec![], "is empty"),
        (vec![b' '; offline::FILE_MAX + 1], "larger than 16 MiB"),
        (b"PK\x03\x04".to_vec(), "not one of this kind"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let refusal = refusal(apply(&world.state, &file, &answer).await.unwrap_err());
        assert!(refusal.said(Language::English).contains(english), "{refusal}");
    }
    let absent = refusal(apply(&world.state, &world.home().join("none"), &answer).await.unwrap_err());
    assert!(absent.said(Language::English).contains("cannot be read"), "{absent}");
    assert_eq!(contents(world.state.root()), before);
}

#[test]
fn every_refusal_is_said_in_both_languages() {
    let io = || Unreadable::Io(std::io::ErrorKind::NotFound.into());
    let nonsense = || crate::manifest::Manifest::try_from(&Manifest::default()).unwrap_err();
    let all = [
        Refusal::Unreadable(Unreadable::TooLarge),
        Refusal::Unreadable(Unreadable::CutShort),
        Refusal::Unreadable(Unreadable::Other),
        Refusal::Unreadable(io()),
        Refusal::Altered,
        Refusal::Foreign,
        Refusal::WrongTime,
        Refusal::Newer,
        Refusal::OtherTenant("momiji".into()),
        Refusal::OtherDevice("sakura/uketsuke-2".into()),
        Refusal::OtherIdentity,
        Refusal::TooOld { got: 7, seen: 8 },
        Refusal::OtherHistory,
        Refusal::Nonsense(nonsense()),
    ];
    let mut said = std::collections::BTreeSet::new();
    for refusal in &all {
        let (japanese, english) = (refusal.said(Language::Japanese), refusal.said(Language::English));
        assert!(japanese.ends_with('。') && japanese.chars().any(|c| ('ぁ'..='ん').contains(&c)), "{japanese}");
        assert!(english.is_ascii() && said.insert(english.clone()) && said.insert(japanese), "{english}");
    }
    assert_eq!(said.len(), 2 * all.len());
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_loses_nothing() {
    let world = World::new();
    let (_, bundle) = brought(&world, 1, &own(&world));
    std::fs::create_dir(path(&world)).unwrap();
    assert!(matches!(apply_to(&world, &bundle).await, Err(ApplyError::Write(_))));
    assert_eq!(held(&world).await.len(), 1);
    std::fs::remove_dir(path(&world)).unwrap();
    apply_to(&world, &bundle).await.unwrap();
    assert_eq!(deeds(&answer(&world)), [(1, "installed"), (2, "proven")]);
}

/// Pulls the plug at the `n`-th point; false if it never was.
fn is_unplugged_at(world: &World, bundle: &OfflineBundle, n: u32) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let signed = sign(world, bundle);
    crash::after(Some(n));
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(apply_signed(world, &signed)).map(drop)));
    crash::after(None);
    match ended {
        Ok(applied) => applied.map(|()| false).unwrap(),
        Err(cause) if cause.is::<Unplugged>() => true,
        Err(cause) => std::panic::resume_unwind(cause),
    }
}

#[test]
fn the_plug_can_be_pulled_anywhere_and_the_same_file_heals_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut points = 0;
    loop {
        let world = World::new();
        let (pair, bundle) = brought(&world, 3, &own(&world));
        if !is_unplugged_at(&world, &bundle, points) {
            break;
        }
        let applied = runtime.block_on(apply_to(&world, &bundle)).unwrap();
        assert_eq!((applied.slots[0].stage.as_str(), applied.is_well()), ("settled", true), "pulled at {points}");
        assert_eq!(runtime.block_on(held(&world)), [pair.fingerprint().unwrap()], "pulled at {points}");
        let answer = answer(&world);
        let said: Vec<&str> = deeds(&answer).into_iter().map(|(_, deed)| deed).collect();
        assert!(said.contains(&"installed") && said.last() == Some(&"proven"), "pulled at {points}: {said:?}");
        points += 1;
    }
    assert!(points > 30, "only {points} points");
}
