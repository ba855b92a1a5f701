mod approval;
mod drill;

use std::fs;
use std::path::{Path, PathBuf};

use tegata_api::v1::backup::{Backup, FetchRequest, Manifest};
use tegata_api::v1::device::{FileHash, InstallerSeen, Report};
use tegata_core::backup::{REMOVE_FOR, STALE_AFTER, Trouble};
use tegata_core::name::{Serial, SlotId};
use tegata_core::time::{DAY, HOUR, MINUTE};

use super::carrier::Carrier;
use super::fetch::{BackupError, fetch};
use super::keep::{Of, keep};
use super::*;
use crate::clock::Clock;
use crate::pretend::{Pc, World, installed, proven, tenant};
use crate::store::backup::{BackupChange, Kind, Outcome};
use crate::store::{Batch, CertificateRow, Change, TakenIn};
use crate::{fleet, reports};

const SLOT: &str = "sakura/pc-1/weborca";
const KEY: &str = "age15ymxjxy786dwyquux3f4twtrvlmf584m9zg7prjw9mn67s4lmqwqg6vzpy";
const OTHER: &str = "age1e20wvfwd9kck4tw4cxjpfwahx7tvywwswpgpj33nna7qqm5zed6se6xdz8";

const THIRD: &str = "age1cfu0fxay9ycj72346xye9uudcasj4x4m254l69pwhtqzy5lk6yuqnthk0q";

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
        self.keep_for(row, kind, text, Keepers::each(vec![KEY.into()])).await;
    }

    async fn keep_for(&self, row: &CertificateRow, kind: Kind, text: &[u8], keepers: Keepers) {
        let (tenant, slot, order, fingerprint, not_after) = (&row.tenant, &row.slot, row.order, row.fingerprint, row.not_after);
        let of = Of { tenant, slot, kind, order, fingerprint, not_after };
        let sealed = [AGE, text].concat();
        let clinic = tegata_core::name::ClinicId { tenant: tenant.clone(), clinic: slot.clinic.clone() };
        let kept = keep(&of, keepers, &sealed, self.world.now).unwrap();
        self.world.note(vec![kept, Change::Nudge { clinic, at: self.world.now }]).await;
        self.world.settle().await;
    }

    fn carrier(&self) -> Carrier {
        let access = target::Access { key: None, credentials: None, patience: PATIENCE, busy: Default::default() };
        let (ledger, bells) = (self.world.ledger.clone(), self.world.bells.clone());
        Carrier { ledger, bells, clock: Clock::fixed(self.world.now), access }
    }

    /// Carries what is due, and takes the turns that follow.
    async fn carry(&self) {
        self.carrier().carry_due().await;
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
    let seen = InstallerSeen { path: "~/Downloads/a.p12".into(), file: file.clone(), inside: None, quarantined: false };
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
        tries += u32::from(!scene.world.ledger.store().targets_due(scene.world.now).await.unwrap().is_empty());
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
        let due = scene.world.ledger.copies_due((&tenant(), &"nas".parse().unwrap()), scene.world.now, 10).await.unwrap();
        let row = due[0].get().clone();
        // The try is counted; then the process dies, before or after the target has what it was sent.
        let (backup, target, next) = (row.backup.id, row.target.clone(), scene.world.now.after(MINUTE));
        let counted = BackupChange::Try { backup, target, attempt: 1, next };
        scene.world.note(vec![Change::Backup(counted)]).await;
        if is_put {
            let place = BackupPlace::Directory { path: scene.nas().display().to_string(), marker: None };
            let mut target = target::open(&place, &scene.carrier().access, target::Use::First).unwrap();
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

/// What a device sends may hold less than before, by mistake or on purpose: the server cannot look inside.
#[tokio::test]
async fn what_is_sealed_again_pushes_nothing_out_until_two_have_stood_the_test_of_a_month() {
    let (mut scene, row) = Scene::with_file().await;
    scene.carry().await;
    let whole = scene.sealed();
    for again in ["poorer", "and poorer", "and poorer still"] {
        scene.world.pass(HOUR);
        scene.keep(&row, Kind::File, again.as_bytes()).await;
        scene.carry().await;
    }
    assert_eq!((scene.files().len(), scene.shown().await.len()), (8, 1), "all are there, and the newest is shown");
    let mut days = 0;
    while whole.exists() && days < 60 {
        scene.world.pass(DAY);
        scene.carry().await;
        days += 1;
    }
    assert!((30..=37).contains(&days), "{days}");
    scene.world.pass(DAY * 8);
    scene.carry().await;
    assert_eq!((scene.files().len(), scene.logged("done backup.remove").await), (4, 2), "the two newest remain");
}

#[tokio::test]
async fn the_older_one_can_still_be_asked_for_by_its_name_and_by_nobody_else() {
    let (mut scene, row) = Scene::with_file().await;
    scene.carry().await;
    let older = scene.shown().await[0].id.clone();
    scene.world.pass(HOUR);
    scene.keep(&row, Kind::File, b"poorer").await;
    scene.carry().await;
    let slot: SlotId = SLOT.parse().unwrap();
    let access = scene.carrier().access;
    let ask = async |tenant: &str, slot: &SlotId, id: Option<String>, target: Option<&str>| {
        let request = FetchRequest { target: target.map(str::to_owned), kind: None, id };
        let asked =
            fetch(&scene.world.ledger, &access, (&tenant.parse().unwrap(), slot), &request, Batch::default(), ("person", scene.world.now))
                .await;
        asked.map(|fetched| fetched.manifest.id)
    };
    for target in [None, Some("nas")] {
        assert_eq!(ask("aozora", &slot, Some(older.clone()), target).await.unwrap(), older);
        assert_ne!(ask("aozora", &slot, None, target).await.unwrap(), older);
    }
    let other: SlotId = "sakura/pc-2/weborca".parse().unwrap();
    for refused in [ask("momiji", &slot, Some(older.clone()), None).await, ask("aozora", &other, Some(older.clone()), None).await] {
        assert!(matches!(refused, Err(BackupError::NotFound(_))), "{refused:?}");
    }
    // Once a person has found that the newer one is of no use, the older one is the newest.
    let newer = ask("aozora", &slot, None, None).await.unwrap();
    assert_ne!(newer, older);
    let because = Trouble::OtherContent;
    scene.world.note(vec![Change::Backup(BackupChange::Useless { backup: newer.parse().unwrap(), because })]).await;
    assert_eq!(ask("aozora", &slot, None, None).await.unwrap(), older);
    assert_eq!(scene.shown().await.iter().filter(|backup| backup.id == older).count(), 1, "and it is shown again");
}

#[tokio::test]
async fn what_lands_nowhere_does_not_pile_up_and_is_taken_away_should_it_lie_there_after_all() {
    let (mut scene, row) = Scene::with_file().await;
    scene.carry().await;
    fs::rename(scene.nas(), scene.folder.path().join("away")).unwrap();
    for number in 0..20_u8 {
        scene.world.pass(HOUR * 2);
        scene.keep(&row, Kind::File, &[number]).await;
        scene.carry().await;
    }
    let known = scene.world.ledger.store().backups(&tenant(), None).await.unwrap();
    let kept: Vec<bool> = known.iter().map(|backed| !backed.backup.is_emptied).collect();
    assert_eq!((kept.len(), kept.iter().filter(|kept| **kept).count()), (21, 17), "one that landed, and the sixteen newest");
    assert!(kept[0] && !kept[1] && kept[20]);
    let left = scene.folder.path().join(format!("away/aozora/sakura/{}.age", known[1].backup.id));
    fs::write(&left, "half").unwrap();
    fs::rename(scene.folder.path().join("away"), scene.nas()).unwrap();
    scene.world.pass(HOUR * 2);
    scene.carry().await;
    assert_eq!((scene.files().len(), scene.logged("done backup.remove").await), (34, 4));
    assert_eq!(scene.world.ledger.store().backups(&tenant(), None).await.unwrap().len(), 17);
}

/// A copy that was lost counts as never stored; what lies there all the same is not forgotten for that.
#[tokio::test]
async fn what_was_lost_once_is_not_forgotten_when_a_newer_one_comes() {
    let (mut scene, row) = Scene::with_file().await;
    scene.carry().await;
    let copy = scene.world.ledger.store().backups(&tenant(), None).await.unwrap()[0].copies[0].clone();
    let (backup, target, place, at) = (copy.backup.id, copy.target, copy.place, scene.world.now);
    let outcome = Outcome::Lost(tegata_core::backup::Trouble::Altered);
    scene.world.note(vec![Change::Backup(BackupChange::End { backup, target, place, outcome, at })]).await;
    scene.world.pass(MINUTE);
    scene.keep(&row, Kind::File, b"again").await;
    assert_eq!(scene.world.ledger.store().backups(&tenant(), None).await.unwrap().len(), 2);
    scene.carry().await;
    assert_eq!((scene.files().len(), scene.state().await), (4, state("verified", None)));
}

#[tokio::test]
async fn what_cannot_be_taken_away_for_long_is_forgotten_and_that_is_said() {
    let (mut scene, _) = Scene::with_file().await;
    scene.carry().await;
    fs::rename(scene.nas(), scene.folder.path().join("away")).unwrap();
    scene.world.pass(DAY * 466);
    scene.carry().await;
    assert_eq!(scene.logged("intended backup.remove").await, 1);
    scene.world.pass(REMOVE_FOR - DAY * 2);
    scene.carry().await;
    assert_eq!(scene.logged("backup.forget").await, 0, "the target may come back");
    scene.world.pass(DAY * 2);
    scene.carry().await;
    assert_eq!(scene.logged("done backup.forget").await, 1);
    assert!(scene.world.ledger.store().targets_due(scene.world.now.after(DAY)).await.unwrap().is_empty());
    scene.carrier().sweep(scene.world.now).await;
    assert_eq!((scene.logged("done backup.drop").await, scene.shown().await), (1, vec![]));
    assert!(scene.world.ledger.store().backups(&tenant(), None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_mount_point_without_its_mount_takes_no_copies_and_loses_none() {
    let (mut scene, row) = Scene::with_file().await;
    scene.carry().await;
    fs::rename(scene.nas(), scene.folder.path().join("away")).unwrap();
    fs::create_dir(scene.nas()).unwrap();
    scene.world.pass(DAY * 8);
    scene.keep(&CertificateRow { fingerprint: sha256(b"other"), ..row.clone() }, Kind::File, b"other").await;
    scene.carry().await;
    let told: Vec<_> = scene.shown().await.iter().map(|backup| backup.trouble.clone().unwrap().code).collect();
    assert_eq!((told, scene.logged("backup.lost").await), (vec!["unmarked".to_owned(); 2], 0));
    assert_eq!(fs::read_dir(scene.nas()).unwrap().count(), 0);
    fs::remove_dir(scene.nas()).unwrap();
    fs::rename(scene.folder.path().join("away"), scene.nas()).unwrap();
    scene.world.pass(HOUR);
    scene.carry().await;
    assert_eq!(scene.files().len(), 4);
    assert!(scene.shown().await.iter().all(|backup| backup.state == "verified"));
}

#[tokio::test]
async fn as_many_targets_as_policy_says_are_enough() {
    let (mut scene, _) = Scene::with_file().await;
    let away = scene.folder.path().join("away");
    let documents = documents(&[("nas", &scene.nas(), KEY), ("offsite", &away, KEY)]);
    for (policy, verdict) in [(documents.clone(), "not-backed-up"), (documents.replace("offsite] }", "offsite], atLeast: 1 }"), "ready")] {
        scene.world.apply(&[&policy]).await.unwrap();
        scene.world.settle().await;
        scene.world.pass(MINUTE);
        scene.carry().await;
        let detail = crate::accounts::slot(&scene.world.ledger, &tenant(), &SLOT.parse().unwrap(), scene.world.now).await.unwrap();
        let backups = detail.unwrap().backups.unwrap();
        assert_eq!((scene.verdict().await.as_str(), backups.verified, backups.targets), (verdict, 1, 2));
    }
}

/// A target that never says a word, while others are worked with again and again.
#[tokio::test]
async fn one_target_that_is_slow_holds_up_no_other() {
    let (scene, row) = Scene::with_file().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (key, port) = (scene.folder.path().join("key"), silent.local_addr().unwrap().port());
    fs::write(&key, "not looked at before the other side has spoken").unwrap();
    let host = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJz2hFaHOp7nMYvUW9gOd7kQLoSTOi8tF3Vv1bT0PyH";
    let sftp = format!("sftp: {{ host: 127.0.0.1, port: {port}, user: tegata, path: /srv, hostKey: {host} }}");
    let slow = scene.folder.path().join("slow");
    let policy = documents(&[("nas", &scene.nas(), KEY), ("slow", &slow, KEY)]);
    let policy = policy.replace(&format!("directory: {{ path: {} }}", slow.display()), &sftp);
    scene.world.apply(&[&policy]).await.unwrap();
    scene.world.settle().await;
    let mut carrier = scene.carrier();
    carrier.access.key = Some(key);
    let stopping = tokio_util::sync::CancellationToken::new();
    let started = std::time::Instant::now();
    let running = tokio::spawn(carrier.run(stopping.clone()));
    for number in 0..3_usize {
        let expected = 2 * (number + 1);
        while scene.files().len() < expected {
            assert!(started.elapsed() < PATIENCE / 2, "{} files", scene.files().len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        if number < 2 {
            let fingerprint = sha256(&[number as u8]);
            scene.keep(&CertificateRow { fingerprint, ..row.clone() }, Kind::File, b"more").await;
        }
    }
    running.abort();
}

#[tokio::test]
async fn a_copy_at_an_old_place_is_forgotten_once_and_not_tried_again_and_again() {
    let (mut scene, _) = Scene::with_file().await;
    scene.carry().await;
    let other = scene.folder.path().join("other");
    fs::create_dir(&other).unwrap();
    // Nobody whom policy names there could open it, so it is not ordered at the new place.
    scene.world.apply(&[&documents(&[("nas", &other, OTHER)])]).await.unwrap();
    scene.world.settle().await;
    for _ in 0..3 {
        scene.world.pass(DAY * 8);
        scene.carry().await;
    }
    assert_eq!((scene.logged("done backup.forget").await, scene.files().len()), (1, 2), "what lies there stays, and that is on record");
    assert!(scene.world.ledger.store().targets_due(scene.world.now.after(DAY * 400)).await.unwrap().is_empty());
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
    assert_eq!(scene.logged("done backup.forget").await, 2, "of the place before, and of the target");
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

/// Keys that were asked for together after a copy had been read back: one of them still opens it alone.
#[tokio::test]
async fn a_copy_that_fewer_can_open_than_policy_asks_for_now_counts_as_none() {
    let (mut scene, row) = Scene::with_file().await;
    scene.carry().await;
    let of = [KEY, OTHER, THIRD].join(", ");
    let asked = documents(&[("nas", &scene.nas(), &of)]).replace("retention: 365d", "threshold: 2, retention: 365d");
    scene.world.apply(&[&asked]).await.unwrap();
    scene.world.settle().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("failing", Some("too-few")), "not-backed-up".into()));
    scene.world.pass(MINUTE);
    let keepers = Keepers { threshold: 2, of: [KEY, OTHER, THIRD].map(String::from).to_vec() };
    scene.keep_for(&row, Kind::File, b"again", keepers).await;
    scene.carry().await;
    assert_eq!((scene.state().await, scene.verdict().await), (state("verified", None), "ready".into()));
    let manifests = scene.files().into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "json"));
    let thresholds: Vec<u8> =
        manifests.map(|path| serde_json::from_slice::<Manifest>(&fs::read(path).unwrap()).unwrap().threshold).collect();
    assert!(thresholds.contains(&2), "it says beside it how many it takes: {thresholds:?}");
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
