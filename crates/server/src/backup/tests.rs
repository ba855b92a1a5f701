mod approval;
mod drill;

use std::fs;
use std::path::{Path, PathBuf};

use tegata_api::v1::backup::{Backup, Manifest};
use tegata_api::v1::device::{FileHash, InstallerSeen, Report};
use tegata_core::backup::STALE_AFTER;
use tegata_core::name::{Serial, SlotId};
use tegata_core::time::{DAY, HOUR, MINUTE};

use super::carrier::Carrier;
use super::keep::{Of, keep};
use super::*;
use crate::clock::Clock;
use crate::pretend::{Pc, World, installed, proven, tenant};
use crate::store::backup::Kind;
use crate::store::{CertificateRow, Change, TakenIn};
use crate::{fleet, reports};

const SLOT: &str = "sakura/pc-1/weborca";
const KEY: &str = "age15ymxjxy786dwyquux3f4twtrvlmf584m9zg7prjw9mn67s4lmqwqg6vzpy";
const OTHER: &str = "age1e20wvfwd9kck4tw4cxjpfwahx7tvywwswpgpj33nna7qqm5zed6se6xdz8";

/// A clinic whose certificates a vendor issues, and whose backups go into these folders.
fn documents(targets: &[(&str, &Path, &str)]) -> String {
    let names: Vec<&str> = targets.iter().map(|(name, ..)| *name).collect();
    let target = |(name, path, key): &(&str, &Path, &str)| {
        format!(
            "apiVersion: tegata.dev/v1alpha1\nkind: BackupTarget\nmetadata: {{ name: {name} }}\n\
             spec: {{ directory: {{ path: {} }}, recipients: [{key}], retention: 365d }}\n---\n",
            path.display()
        )
    };
    format!(
        "\napiVersion: tegata.dev/v1alpha1\nkind: Issuer\nmetadata: {{ name: orca }}\nspec: {{ type: vendor }}\n---\n\
         apiVersion: tegata.dev/v1alpha1\nkind: CertificateProfile\nmetadata: {{ name: weborca }}\nspec:\n  issuer: orca\n  \
         key: {{ origin: vendor }}\n  expect: {{ issuer: {{ CN: CA }}, validity: 100d }}\n  renewal: {{ window: 10d, when: early }}\n  \
         install: {{ stores: [file] }}\n---\n{}apiVersion: tegata.dev/v1alpha1\nkind: ClinicNetwork\nmetadata: {{ name: sakura }}\nspec:\n  \
         displayName: sakura\n  facilitySlug: sakura\n  devices: [{{ name: pc-1, platform: linux }}]\n  certificates: [{{ profile: weborca }}]\n  \
         installers: {{ remove: after-proof, folders: [downloads] }}\n  backup: {{ targets: [{}] }}\n",
        targets.iter().map(target).collect::<String>(),
        names.join(", ")
    )
}

/// A clinic, its PC, and the folder for its backups.
struct Scene {
    world: World,
    pc: Pc,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let (world, folder) = (World::new().await, tempfile::tempdir().unwrap());
        let nas = folder.path().join("nas");
        fs::create_dir(&nas).unwrap();
        world.apply(&[&documents(&[("nas", &nas, KEY)])]).await.unwrap();
        let pc = world.enrol("sakura/pc-1").await;
        world.settle().await;
        Self { world, pc, folder }
    }

    /// The same with a file that was brought, installed and proven.
    async fn with_file() -> (Self, CertificateRow) {
        let mut scene = Self::set().await;
        let row = scene.bring(b"one").await;
        (scene, row)
    }

    fn nas(&self) -> PathBuf {
        self.folder.path().join("nas")
    }

    /// Takes a vendor's file in, as the door does.
    async fn bring(&mut self, text: &[u8]) -> CertificateRow {
        let order = self.world.order(SLOT).await;
        let serial = Serial::of_vendor(order.id);
        let taken = TakenIn {
            order: order.id,
            serial,
            common_name: "client".into(),
            organization: "sakura".into(),
            der: text.to_vec(),
            fingerprint: sha256(text),
            public_key: sha256(text),
            not_before: self.world.now,
            not_after: self.world.now.after(DAY * 100),
            at: self.world.now,
            bundle: None,
        };
        self.world.note(vec![Change::TakeIn(taken.into())]).await;
        let row = self.world.ledger.store().certificate(&serial).await.unwrap().unwrap();
        self.keep(&row, Kind::File, text).await;
        self.world.tell(&mut self.pc, vec![installed(&row), proven(&row)]).await;
        self.world.settle().await;
        row
    }

    async fn keep(&self, row: &CertificateRow, kind: Kind, text: &[u8]) {
        let (tenant, slot, order, fingerprint, not_after) = (&row.tenant, &row.slot, row.order, row.fingerprint, row.not_after);
        let of = Of { tenant, slot, kind, order, fingerprint, not_after };
        let sealed = [AGE, text].concat();
        let clinic = tegata_core::name::ClinicId { tenant: tenant.clone(), clinic: slot.clinic.clone() };
        let kept = keep(&of, vec![KEY.into()], &sealed, self.world.now).unwrap();
        self.world.note(vec![kept, Change::Nudge { clinic, at: self.world.now }]).await;
        self.world.settle().await;
    }

    fn carrier(&self) -> Carrier {
        let access = target::Access { key: None, patience: PATIENCE };
        let (ledger, bells) = (self.world.ledger.clone(), self.world.bells.clone());
        Carrier { ledger, bells, clock: Clock::fixed(self.world.now), access, busy: Default::default() }
    }

    /// Carries what is due, and takes the turns that follow.
    async fn carry(&self) {
        self.carrier().carry_due().await.unwrap();
        self.world.settle().await;
    }

    async fn shown(&self) -> Vec<Backup> {
        view::backups(&self.world.ledger, &tenant(), None, self.world.now).await.unwrap()
    }

    /// State and trouble of the one copy.
    async fn state(&self) -> (String, Option<String>) {
        let shown = self.shown().await;
        assert_eq!(shown.len(), 1, "{shown:?}");
        (shown[0].state.clone(), shown[0].trouble.as_ref().map(|trouble| trouble.code.clone()))
    }

    async fn verdict(&self) -> String {
        let slots = fleet::slots(&self.world.ledger, &tenant(), None, self.world.now).await.unwrap();
        slots.into_iter().find(|slot| slot.name == SLOT).unwrap().state
    }

    /// What lies in the folder for backups, without what leads there.
    fn files(&self) -> Vec<PathBuf> {
        let Ok(found) = fs::read_dir(self.nas().join("aozora/sakura")) else { return vec![] };
        let mut files: Vec<PathBuf> = found.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    fn sealed(&self) -> PathBuf {
        self.files().into_iter().find(|path| path.extension().is_some_and(|ending| ending == "age")).unwrap()
    }

    async fn logged(&self, action: &str) -> usize {
        self.world.log().await.iter().filter(|line| line.contains(action)).count()
    }
}

fn state(state: &str, trouble: Option<&str>) -> (String, Option<String>) {
    (state.into(), trouble.map(str::to_owned))
}

#[tokio::test]
async fn a_backup_is_announced_carried_and_read_back_and_lies_beside_what_it_is() {
    let (scene, row) = Scene::with_file().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("due", None), "not-backed-up".into()));
    assert_eq!((scene.logged("intended backup.store").await, scene.files()), (1, vec![]), "announced, and nothing is there yet");
    scene.carry().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("verified", None), "ready".into()));
    assert_eq!(scene.logged("done backup.store").await, 1);
    let files = scene.files();
    assert_eq!(files.len(), 2);
    assert_eq!(fs::read(scene.sealed()).unwrap(), [AGE, b"one"].concat());
    let beside: Manifest = serde_json::from_slice(&fs::read(&files[1]).unwrap()).unwrap();
    assert_eq!((&beside.slot[..], &beside.tenant[..], beside.size), (SLOT, "aozora", AGE.len() as u64 + 3));
    assert_eq!((beside.sha256, beside.fingerprint), (sha256(&[AGE, b"one"].concat()).to_string(), row.fingerprint.to_string()));
    assert_eq!((beside.recipients, beside.order, beside.not_after), (vec![KEY.to_owned()], row.order.to_string(), row.not_after.unix()));
    let log = scene.world.log().await.len();
    scene.carry().await;
    assert_eq!(scene.world.log().await.len(), log, "nothing is due, and nothing is done");
}

#[tokio::test]
async fn installer_files_stay_until_the_backup_was_read_back() {
    let mut scene = Scene::set().await;
    let file = FileHash { sha256: sha256(b"p12").to_string(), size: 3 };
    let put = Change::PutInstaller { tenant: tenant(), file: file.clone(), name: "a.p12".into(), order: None, at: scene.world.now };
    scene.world.note(vec![put]).await;
    let seen = InstallerSeen { path: "~/Downloads/a.p12".into(), file: file.clone() };
    let report = Report { installers: vec![seen], clock: scene.world.now.unix(), ..Report::default() };
    reports::report(&scene.world.ledger, &scene.world.bells, &scene.world.row(&scene.pc).await, report, scene.world.now).await.unwrap();
    scene.bring(b"one").await;
    assert!(scene.world.manifest(&scene.pc).await.remove_installers.is_empty(), "proven, and not backed up");
    scene.carry().await;
    assert_eq!(scene.world.manifest(&scene.pc).await.remove_installers, [file]);
}

#[tokio::test]
async fn a_target_that_is_away_is_tried_again_with_pauses_and_loses_nothing() {
    let (mut scene, _) = Scene::with_file().await;
    fs::remove_dir(scene.nas()).unwrap();
    scene.carry().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("failing", Some("unreachable")), "not-backed-up".into()));
    assert!(!scene.nas().exists(), "a folder that is made would hide that a share is not mounted");
    let mut tries = 0;
    for _ in 0..(8 * 60) {
        scene.world.pass(MINUTE);
        tries += u32::from(!scene.world.ledger.store().copies_due(scene.world.now, 10).await.unwrap().is_empty());
        scene.carry().await;
    }
    assert!((10..=15).contains(&tries), "{tries} tries in eight hours");
    assert_eq!(scene.logged("seen backup.trouble").await, 1, "said once");
    fs::create_dir(scene.nas()).unwrap();
    scene.world.pass(HOUR * 2);
    scene.carry().await;
    assert_eq!((scene.state().await, scene.files().len()), (state("verified", None), 2));
}

/// What is said of a copy, and what makes it so.
type Damage = (&'static str, fn(&Path));

#[tokio::test]
async fn what_is_damaged_in_a_target_is_found_said_and_put_there_again() {
    let damages: [Damage; 4] = [
        ("altered", |path| {
            let mut bytes = fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("altered", |path| fs::write(path, AGE).unwrap()),
        ("missing", |path| fs::remove_file(path).unwrap()),
        ("missing", |path| fs::remove_file(path.with_extension("json")).unwrap()),
    ];
    for (trouble, damage) in damages {
        let (mut scene, _) = Scene::with_file().await;
        scene.carry().await;
        damage(&scene.sealed());
        scene.carry().await;
        assert_eq!(scene.logged("backup.lost").await, 0, "it is not time to look");
        scene.world.pass(DAY * 8);
        scene.carry().await;
        let records = scene.world.ledger.store().audit(&tenant(), 0, 1_000).await.unwrap();
        let lost: Vec<_> = records.iter().filter(|record| record.action == "backup.lost").collect();
        assert_eq!((lost.len(), lost[0].details["trouble"].as_str()), (1, Some(trouble)));
        assert_eq!((scene.state().await, scene.files().len()), (state("verified", None), 2));
        assert_eq!(fs::read(scene.sealed()).unwrap(), [AGE, b"one"].concat());
        assert_eq!((scene.logged("intended backup.store").await, scene.logged("done backup.store").await), (2, 2));
    }
}

#[tokio::test]
async fn a_kill_at_any_moment_loses_nothing_and_doubles_nothing() {
    for is_put in [false, true] {
        let (mut scene, _) = Scene::with_file().await;
        let due = scene.world.ledger.copies_due(scene.world.now, 10).await.unwrap();
        let row = due[0].get().clone();
        // The try is counted; then the process dies, before or after the target has what it was sent.
        let (backup, target, next) = (row.backup.id, row.target.clone(), scene.world.now.after(MINUTE));
        let counted = crate::store::backup::BackupChange::Try { backup, target, attempt: 1, next };
        scene.world.note(vec![Change::Backup(counted)]).await;
        if is_put {
            let place = BackupPlace::Directory { path: scene.nas().display().to_string() };
            let mut target = target::open(&place, &scene.carrier().access).unwrap();
            target.put(&object(&row.backup, Part::Sealed), &[AGE, b"one"].concat()).unwrap();
            fs::write(scene.nas().join(format!("aozora/sakura/{}.json.part", row.backup.id)), "half").unwrap();
        }
        scene.world = scene.world.restart().await;
        scene.carry().await;
        assert_ne!(scene.state().await, state("verified", None), "its next try is not due");
        scene.world.pass(MINUTE);
        scene.carry().await;
        assert_eq!((scene.state().await, scene.files().len()), (state("verified", None), 2));
        assert_eq!((scene.logged("intended backup.store").await, scene.logged("done backup.store").await), (1, 1));
    }
}

#[tokio::test]
async fn a_backup_goes_when_its_time_is_over_and_not_a_day_earlier() {
    let (mut scene, _) = Scene::with_file().await;
    scene.carry().await;
    for _ in 0..66 {
        scene.world.pass(DAY * 7);
        scene.carry().await;
        assert_eq!(scene.files().len(), 2);
    }
    assert_eq!(scene.state().await, state("verified", None), "day 462 of 465");
    scene.world.pass(DAY * 4);
    scene.carry().await;
    assert_eq!((scene.files().len(), scene.shown().await), (0, vec![]));
    assert_eq!((scene.logged("intended backup.remove").await, scene.logged("done backup.remove").await), (1, 1));
    scene.world.pass(DAY * 8);
    scene.carry().await;
    assert_eq!(scene.logged("backup.store").await, 2, "and nothing is put there again");
}

#[tokio::test]
async fn what_is_sealed_again_takes_the_place_of_what_was_there_only_once_it_was_read_back() {
    let (mut scene, row) = Scene::with_file().await;
    scene.carry().await;
    let before = scene.sealed();
    fs::rename(scene.nas(), scene.folder.path().join("away")).unwrap();
    scene.keep(&row, Kind::File, b"again").await;
    scene.carry().await;
    fs::rename(scene.folder.path().join("away"), scene.nas()).unwrap();
    assert_eq!(scene.sealed(), before, "the old one stays until the new one is there");
    scene.world.pass(HOUR);
    scene.carry().await;
    assert_eq!((scene.files().len(), scene.shown().await.len()), (2, 1));
    assert_eq!(fs::read(scene.sealed()).unwrap(), [AGE, b"again"].concat());
    assert_eq!(scene.logged("done backup.remove").await, 1);
}

#[tokio::test]
async fn a_target_that_moves_is_filled_anew_and_one_that_left_policy_is_forgotten() {
    let (scene, _) = Scene::with_file().await;
    scene.carry().await;
    let other = scene.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    scene.world.apply(&[&documents(&[("nas", &other, KEY)])]).await.unwrap();
    scene.world.settle().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("due", None), "not-backed-up".into()));
    scene.carry().await;
    assert_eq!(scene.state().await, state("verified", None));
    assert_eq!(fs::read_dir(other.join("aozora/sakura")).unwrap().count(), 2);
    scene.world.apply(&[&documents(&[("offsite", &other, KEY)])]).await.unwrap();
    scene.world.settle().await;
    assert_eq!(scene.logged("done backup.forget").await, 1);
    let shown = scene.shown().await;
    assert_eq!((shown.len(), &shown[0].target[..], &shown[0].state[..]), (1, "offsite", "due"));
}

/// Keys that were changed after a copy had been read back: it is whole, and of no use to anybody.
#[tokio::test]
async fn a_copy_that_nobody_whom_policy_names_now_can_open_counts_as_none() {
    let (scene, _) = Scene::with_file().await;
    scene.carry().await;
    assert_eq!(scene.state().await, state("verified", None));
    let moved = scene.folder.path().join("moved");
    fs::create_dir(&moved).unwrap();
    for place in [&scene.nas(), &moved] {
        scene.world.apply(&[&documents(&[("nas", place, OTHER)])]).await.unwrap();
        scene.world.settle().await;
        scene.carry().await;
        let now = (scene.state().await, scene.verdict().await);
        assert_eq!(now, (state("failing", Some("not-sealed")), "not-backed-up".into()), "{}", place.display());
    }
}

#[tokio::test]
async fn what_nobody_there_could_open_is_not_carried_there_and_said() {
    let (scene, _) = Scene::with_file().await;
    scene.world.apply(&[&documents(&[("nas", &scene.nas(), OTHER)])]).await.unwrap();
    scene.world.settle().await;
    let moved = scene.folder.path().join("moved");
    fs::create_dir(&moved).unwrap();
    scene.world.apply(&[&documents(&[("vault", &moved, OTHER)])]).await.unwrap();
    scene.world.settle().await;
    scene.carry().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("failing", Some("not-sealed")), "not-backed-up".into()));
    assert_eq!(fs::read_dir(&moved).unwrap().count(), 0);
}

#[tokio::test]
async fn what_was_not_read_back_for_a_month_counts_no_more() {
    let (mut scene, _) = Scene::with_file().await;
    scene.carry().await;
    fs::rename(scene.nas(), scene.folder.path().join("away")).unwrap();
    scene.world.pass(STALE_AFTER + DAY);
    scene.carry().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("stale", Some("unreachable")), "not-backed-up".into()));
    fs::rename(scene.folder.path().join("away"), scene.nas()).unwrap();
    scene.world.pass(HOUR * 2);
    scene.carry().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("verified", None), "ready".into()));
}

#[tokio::test]
async fn many_copies_of_a_target_that_is_away_all_say_so_and_wait() {
    let (scene, row) = Scene::with_file().await;
    for number in 0..5_u8 {
        let fingerprint = sha256(&[number]);
        scene.keep(&CertificateRow { fingerprint, ..row.clone() }, Kind::File, &[number]).await;
    }
    fs::remove_dir(scene.nas()).unwrap();
    scene.carry().await;
    let shown = scene.shown().await;
    assert_eq!((shown.len(), shown.iter().filter(|backup| backup.state == "failing").count()), (6, 6));
}

#[test]
fn names_of_objects_lead_nowhere_else() {
    let evil: Result<SlotId, _> = "../../etc/pc-1/weborca".parse();
    assert!(evil.is_err(), "what is no name does not even become one");
}
