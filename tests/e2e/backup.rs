//! Backups with the real programs: a vendor's file is carried to a folder, to an OpenSSH server and to an S3 server, whatever is killed meanwhile, and is got
//! back with age's own key file, with a server and without one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tegata_api::v1::backup::Backup;
use tegata_api::v1::vendor::ImportAnswer;
use tegata_tests::process::{binary, run, run_well, wait_for};
use tegata_tests::s3::{BUCKET, S3};
use tegata_tests::sshd::Sshd;
use tegata_tests::{Agent, World};

use super::vendor::{FILE, POLICY, Vendor, import, state};

/// A try that was killed is made again after a minute and a bit.
const PATIENCE: Duration = Duration::from_secs(200);
const SLOT: &str = "sakura/uketsuke-1/weborca";

/// A clinic with three targets, and the key that opens its backups.
struct Scene {
    world: World,
    agent: Agent,
    sshd: Sshd,
    s3: S3,
    identity: String,
}

impl Scene {
    fn set() -> Result<Self> {
        let mut world = World::start()?;
        let sshd = Sshd::start(&world.path("ssh"))?;
        let s3 = S3::start(&world.path("s3"))?;
        let (key, credentials) = (sshd.key().display().to_string(), s3.credentials().display().to_string());
        world.restart_server_with(&["--backup-key", &key, "--backup-credentials", &credentials])?;
        let identity = world.path("key.txt").display().to_string();
        run_well(Path::new("age-keygen"), ["-o", &identity])?;
        let recipient = run_well(Path::new("age-keygen"), ["-y", &identity])?;
        fs::create_dir(world.path("nas"))?;
        world.apply(&policy(&world.path("nas"), &sshd, &s3, recipient.trim())?)?;
        let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
        agent.start()?;
        wait_for(PATIENCE, "somebody to be asked for the file", || Ok(state(&world)?.filter(|state| state == "ordered").map(drop)))?;
        Ok(Self { world, agent, sshd, s3, identity })
    }

    fn restore(&self, out: &str, more: &[&str]) -> Result<Output> {
        let out = self.world.path(out).display().to_string();
        let arguments = [&["backup", "restore", "--slot", SLOT, "--identity", &self.identity, "--out", &out][..], more].concat();
        self.world.cli(arguments)
    }

    fn backups(&self) -> Result<Vec<Backup>> {
        self.world.ask(["get", "backups"])
    }
}

fn policy(nas: &Path, sshd: &Sshd, s3: &S3, recipient: &str) -> Result<String> {
    let targets = format!(
        "apiVersion: tegata.dev/v1alpha1
kind: BackupTarget
metadata: {{ name: nas }}
spec: {{ directory: {{ path: {} }}, recipients: [{recipient}], retention: 5y }}
---
apiVersion: tegata.dev/v1alpha1
kind: BackupTarget
metadata: {{ name: offsite }}
spec:
  sftp: {{ host: 127.0.0.1, port: {}, user: {}, hostKey: {}, path: {} }}
  recipients: [{recipient}]
  retention: 5y
---
apiVersion: tegata.dev/v1alpha1
kind: BackupTarget
metadata: {{ name: bucket }}
spec:
  s3:
    endpoint: {}
    region: us-east-1
    bucket: {BUCKET}
    authority: |
      {}
  recipients: [{recipient}]
  retention: 5y
---
",
        nas.display(),
        sshd.port(),
        sshd.user()?,
        sshd.host_key("ed25519")?,
        sshd.root().display(),
        s3.endpoint(),
        s3.authority()?.trim_end().replace('\n', "\n      "),
    );
    Ok(format!("{targets}{POLICY}  backup: {{ targets: [nas, offsite, bucket] }}\n"))
}

/// Where it takes two of three keys: each file of age's own is a keeper, one alone is told how many are missing, and the drill too.
#[test]
fn a_backup_that_takes_two_keepers_opens_for_two_and_says_of_one_what_is_missing() -> Result<()> {
    let world = World::start()?;
    let keys: Vec<String> = ["a.txt", "b.txt", "c.txt"].map(|name| world.path(name).display().to_string()).to_vec();
    let mut of = Vec::new();
    for key in &keys {
        run_well(Path::new("age-keygen"), ["-o", key])?;
        of.push(run_well(Path::new("age-keygen"), ["-y", key])?.trim().to_owned());
    }
    fs::create_dir(world.path("nas"))?;
    let target = format!(
        "apiVersion: tegata.dev/v1alpha1\nkind: BackupTarget\nmetadata: {{ name: nas }}\nspec: {{ directory: {{ path: {} }}, \
         recipients: [{}], threshold: 2, retention: 5y }}\n---\n",
        world.path("nas").display(),
        of.join(", ")
    );
    world.apply(&format!("{target}{POLICY}  backup: {{ targets: [nas] }}\n"))?;
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    agent.start()?;
    wait_for(PATIENCE, "somebody to be asked for the file", || Ok(state(&world)?.filter(|state| state == "ordered").map(drop)))?;
    let file = Vendor::new(&world.path("vendor"))?.file(FILE, "/CN=client1210/O=u00000126", "秘密")?;
    let imported = import(&world, &file, "秘密")?;
    ensure!(imported.status.success(), "{imported:?}");
    let is_verified = |backups: &[Backup]| backups.len() == 1 && backups[0].state == "verified";
    wait_for(PATIENCE, "it to be read back", || {
        Ok(Some(world.ask::<Vec<Backup>>(["get", "backups"])?).filter(|backups| is_verified(backups)).map(drop))
    })?;
    wait_for(PATIENCE, "its device to have installed it", || Ok((agent.stored_keys()?.len() == 1).then_some(())))?;

    let nas = world.path("nas").display().to_string();
    for (out, from) in [("a", &[][..]), ("b", &["--target", "nas"]), ("c", &["--from", &nas])] {
        let out_path = world.path(out).display().to_string();
        let restore = ["backup", "restore", "--slot", SLOT, "--out", &out_path];
        let one = world.cli([&restore[..], from, &["--identity", &keys[1]]].concat())?;
        let told = String::from_utf8_lossy(&one.stderr).into_owned();
        ensure!(!one.status.success() && told.contains("1 more key is needed") && told.contains(&of[0]), "{told}");
        ensure!(!world.path(out).exists(), "and nothing is written");
        world.cli_well([&restore[..], from, &["--identity", &keys[1], "--identity", &keys[2]]].concat())?;
        ensure!(fs::read(world.path(out).join(FILE))? == fs::read(&file)?, "byte for byte");
    }
    let one = world.cli(["backup", "drill", "--identity", &keys[0]])?;
    ensure!(String::from_utf8_lossy(&one.stdout).contains("1 more of its keepers' keys is needed"), "{one:?}");
    world.cli_well(["backup", "drill", "--identity", &keys[0], "--identity", &keys[1], "--identity", &keys[2]])?;
    let opened = |backups: Vec<Backup>| backups.iter().all(|backup| backup.opened_at.is_some());
    ensure!(opened(world.ask(["get", "backups"])?), "and it is on record that it opens");
    Ok(())
}

/// The sealed file in a target, which holds that and its manifest and nothing else.
fn sealed(root: &Path) -> Result<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(root.join("aozora/sakura"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    ensure!(files.len() == 2 && files[0].extension().is_some_and(|ending| ending == "age"), "{files:?}");
    Ok(files.remove(0))
}

#[test]
fn a_vendors_file_is_carried_whatever_is_killed_and_comes_back_as_it_was() -> Result<()> {
    let mut scene = Scene::set()?;
    let vendor = Vendor::new(&scene.world.path("vendor"))?;
    let file = vendor.file(FILE, "/CN=client1210/O=u00000126", "秘密")?;
    let downloads = scene.agent.home().join("Downloads");
    fs::create_dir_all(&downloads)?;
    fs::copy(&file, downloads.join(FILE))?;
    scene.sshd.end();
    let imported = import(&scene.world, &file, "秘密")?;
    ensure!(imported.status.success(), "{imported:?}");
    let answer: ImportAnswer = serde_json::from_slice(&imported.stdout)?;
    scene.world.cli_well(["confirm", &answer.serial, "--dependant", "linkage-tool"])?;
    wait_for(PATIENCE, "the certificate to be proven", || Ok(state(&scene.world)?.filter(|state| state == "not-backed-up").map(drop)))?;
    let away = |backup: &Backup| backup.target == "offsite" && backup.trouble.as_ref().is_some_and(|trouble| trouble.code == "unreachable");
    wait_for(PATIENCE, "the target that is away to be told", || Ok(scene.backups()?.iter().any(away).then_some(())))?;
    ensure!(downloads.join(FILE).exists(), "not every backup was read back yet");

    scene.sshd.resume()?;
    for pause in [0, 40, 150, 400] {
        scene.world.server().kill();
        scene.world.start_server()?;
        std::thread::sleep(Duration::from_millis(pause));
    }
    wait_for(PATIENCE, "every target to have it", || Ok(state(&scene.world)?.filter(|state| state == "ready").map(drop)))?;
    let shown = scene.backups()?;
    ensure!(shown.len() == 3 && shown.iter().all(|backup| backup.state == "verified" && backup.trouble.is_none()), "{shown:?}");
    ensure!(fs::read(sealed(&scene.world.path("nas"))?)? == fs::read(sealed(&scene.sshd.root())?)?, "the same in both");
    ensure!(scene.s3.objects()?.len() == 2, "and in the third: {:?}", scene.s3.objects());
    wait_for(PATIENCE, "the copy in the downloads to be removed", || Ok((!downloads.join(FILE).exists()).then_some(())))?;

    comes_back(&scene, &file)
}

fn comes_back(scene: &Scene, file: &Path) -> Result<()> {
    let original = fs::read(file)?;
    let nas = scene.world.path("nas").display().to_string();
    for (out, more) in
        [("a", &[][..]), ("b", &["--target", "offsite"]), ("g", &["--target", "bucket"]), ("c", &["--from", &nas, "--access", "/nowhere"])]
    {
        let restored = scene.restore(out, more)?;
        ensure!(restored.status.success(), "{restored:?}");
        let path = scene.world.path(out).join(FILE);
        ensure!(fs::read(&path)? == original && fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600, "byte for byte, for its owner");
        ensure!(!String::from_utf8_lossy(&restored.stdout).contains("秘密"), "the password is shown only on demand");
    }
    ensure!(!scene.restore("a", &[])?.status.success(), "nothing is written over");
    let shown = scene.restore("d", &["--show-password"])?;
    ensure!(String::from_utf8_lossy(&shown.stdout).contains("秘密"), "{shown:?}");
    let read = scene.world.audit()?.iter().filter(|record| record.action == "backup.read").count();
    ensure!(read == 5, "each time that it was handed out is on record: {read}");

    let stranger = scene.world.path("other.txt").display().to_string();
    run_well(Path::new("age-keygen"), ["-o", &stranger])?;
    let out = scene.world.path("e").display().to_string();
    let refused = run(&binary("tegata"), ["backup", "restore", "--slot", SLOT, "--from", &nas, "--identity", &stranger, "--out", &out])?;
    ensure!(!refused.status.success() && !scene.world.path("e").exists(), "{refused:?}");
    let sealed = sealed(&scene.world.path("nas"))?;
    let mut bytes = fs::read(&sealed)?;
    *bytes.last_mut().context("not empty")? ^= 1;
    fs::write(&sealed, bytes)?;
    let damaged = scene.restore("f", &["--from", &nas])?;
    ensure!(String::from_utf8_lossy(&damaged.stderr).contains("damaged") && !scene.world.path("f").exists(), "{damaged:?}");
    is_drilled(scene, &sealed)?;
    goes_elsewhere(scene)
}

/// A bit is flipped in one target: whoever has the key finds that, and it is put there again.
fn is_drilled(scene: &Scene, sealed: &Path) -> Result<()> {
    let drill = || scene.world.cli(["backup", "drill", "--identity", &scene.identity]);
    let found = drill()?;
    ensure!(found.status.code() == Some(8) && String::from_utf8_lossy(&found.stdout).contains("damaged"), "{found:?}");
    let offsite = scene.sshd.root().join("aozora/sakura").join(sealed.file_name().context("a file")?);
    wait_for(PATIENCE, "what is damaged to be put there again", || Ok((fs::read(sealed)? == fs::read(&offsite)?).then_some(())))?;
    wait_for(PATIENCE, "it to be read back", || Ok(scene.backups()?.iter().all(|backup| backup.state == "verified").then_some(())))?;
    ensure!(drill()?.status.success() && scene.backups()?.iter().all(|backup| backup.opened_at.is_some()), "{:?}", scene.backups()?);
    let count = scene.world.audit()?.iter().filter(|record| record.action == "backup.drill").count();
    ensure!(count == 6, "three copies, twice: {count}");
    Ok(())
}

/// Into a new file under a password that is shown once, and onto the PC itself.
fn goes_elsewhere(scene: &Scene) -> Result<()> {
    let to = scene.world.path("to.p12").display().to_string();
    let restore = ["backup", "restore", "--slot", SLOT, "--identity", &scene.identity];
    let written = scene.world.cli_well([&restore[..], &["--to", &to]].concat())?;
    let password = written.lines().find_map(|line| line.strip_prefix("Its password: ")).context("a password is shown")?;
    let opened = run_well(Path::new("openssl"), ["pkcs12", "-in", &to, "-passin", &format!("pass:{password}"), "-nodes"])?;
    ensure!(opened.contains("BEGIN PRIVATE KEY") && opened.contains("client1210"), "{opened}");
    ensure!(!scene.world.cli([&restore[..], &["--to", &to]].concat())?.status.success(), "nothing is written over");
    let answer: ImportAnswer = scene.world.ask([&restore[..], &["--install"]].concat())?;
    ensure!(answer.again && answer.slot == SLOT, "{answer:?}");
    wait_for(PATIENCE, "the slot to be ready again", || Ok(state(&scene.world)?.filter(|state| state == "ready").map(drop)))
}
