//! The real `tegata-agent.exe` under Wine, with a real server and a real site here: from the code to the renewal, and what is swept away.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, ensure};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::fleet::{CodeAnswer, Slot};
use tegata_api::v1::vendor::ImportAnswer;
use tegata_tests::World;
use tegata_tests::emr::Emr;
use tegata_tests::process::{Process, wait_for};
use tegata_tests::wine::{self, Pc};
use tegata_tests::world::PATIENCE;

use super::vendor::{self, Vendor};

const DEVICE: &str = "sakura/uketsuke-1";
const CHART: &str = "karte-sakura.example.jp";
const POLICY: &str = r#"apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: aozora-ca }
spec: { type: ca, commonName: Aozora Clinic CA }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: karte }
spec:
  issuer: aozora-ca
  key: { origin: device, algorithm: ecdsa-p256 }
  validity: 90d
  renewal: { window: 30d, when: early }
  install: { stores: [file] }
  probe: { url: "https://karte-{facilitySlug}.example.jp/" }
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura }
spec:
  displayName: さくら内科
  facilitySlug: sakura
  devices: [{ name: uketsuke-1, platform: windows }]
  certificates: [{ profile: karte }]
"#;

#[test]
fn a_windows_pc_enrols_proves_its_certificate_and_renews_it() -> Result<()> {
    let world = World::start()?;
    world.apply(POLICY)?;
    let emr = Emr::start(&world, &[&format!("{CHART}=aozora-ca:sakura:さくら内科")])?;
    let mut agent = Agent::enroll(&world, &emr.settings(&[CHART]))?;
    agent.start()?;
    agent.wait(|| world.wait_until_ready())?;
    let first = slot(&world)?.serial.context("a ready slot has a serial")?;
    ensure!(emr.visits()?.contains(&first), "the site was not shown {first}: {}", emr.visits()?);
    let current = agent.current()?;

    // As after a power cut.
    agent.process = None;
    agent.start()?;
    world.cli_well(["renew", "certificate", &first])?;
    agent.wait(|| {
        wait_for(PATIENCE, "another certificate", || {
            let slot = slot(&world)?;
            Ok((slot.state == "ready" && slot.serial.as_ref() != Some(&first)).then_some(()))
        })
    })?;
    ensure!(agent.current()? != current && !current.exists(), "programs have the new one, and the old one is gone");
    let status = agent.command(&["status", "--json"])?;
    ensure!(status.status.success(), "{status:?}");
    let described = world.cli_well(["describe", "device", DEVICE])?;
    ensure!(described.contains("Windows"), "the PC says which system it has: {described}");
    Ok(())
}

#[test]
fn installers_are_removed_from_a_windows_pc_and_nothing_behind_a_link_is() -> Result<()> {
    let world = World::start()?;
    world.apply(&vendor::POLICY.replace("platform: linux", "platform: windows").replace("[downloads]", "[downloads, desktop]"))?;
    let mut agent = Agent::enroll(&world, &[])?;
    let (home, precious) = (agent.pc.home(), agent.pc.drive().join("precious"));
    let vendor = Vendor::new(&world.path("vendor"))?;
    let file = vendor.file(vendor::FILE, "/CN=client1210/O=u00000126", "秘密")?;
    fs::create_dir(&precious)?;
    for copy in
        [home.join("Downloads").join("受付.p12"), home.join("Downloads/other.dat"), precious.join("kept.p12"), precious.join("twice.p12")]
    {
        fs::copy(&file, copy)?;
    }
    fs::remove_dir(home.join("Desktop"))?;
    symlink(&precious, home.join("Desktop"))?;
    symlink(precious.join("kept.p12"), home.join("Downloads/link.p12"))?;
    fs::hard_link(precious.join("twice.p12"), home.join("Downloads/second-name.p12"))?;
    fs::copy(&file, home.join("Downloads/theirs.p12"))?;
    let may_give_away = chown(home.join("Downloads/theirs.p12"), Some(12_345), None).is_ok();
    agent.start()?;
    agent.wait(|| wait_for(PATIENCE, "somebody to be asked for the file", || Ok((slot(&world)?.state == "ordered").then_some(()))))?;

    let imported = vendor::import(&world, &file, "秘密")?;
    let answer: ImportAnswer = serde_json::from_slice(&imported.stdout).with_context(|| format!("{imported:?}"))?;
    agent.wait(|| wait_for(PATIENCE, "the proof", || Ok((slot(&world)?.state == "dependants-open").then_some(()))))?;
    world.cli_well(["confirm", &answer.serial, "--dependant", "linkage-tool"])?;
    let reported = || -> Result<Option<String>> {
        let records = world.audit()?.into_iter().filter(|record| record.stage == Stage::Seen && record.action == "installer.removed");
        let told: Vec<String> = records.map(|record| record.details.to_string()).collect();
        Ok((told.len() >= 2 + usize::from(!may_give_away)).then(|| told.join("\n")))
    };
    let told = agent.wait(|| wait_for(PATIENCE, "two removals to be reported", reported))?;
    ensure!(["~/Downloads/other.dat", "~/Downloads/受付.p12"].iter().all(|path| told.contains(path)), "{told}");
    let left: BTreeSet<_> = fs::read_dir(home.join("Downloads"))?.map(|entry| Ok(entry?.file_name())).collect::<Result<_>>()?;
    let not_ours = may_give_away.then_some("theirs.p12");
    ensure!(left == ["link.p12", "second-name.p12"].into_iter().chain(not_ours).map(Into::into).collect(), "{left:?}");
    ensure!(precious.join("kept.p12").exists(), "what lies behind a link is gone");
    let said = agent.said();
    ensure!(said.contains("Desktop") && said.contains("link.p12"), "what was not looked at is told: {said}");
    Ok(())
}

#[test]
fn the_agent_works_only_for_the_user_whose_home_it_is() -> Result<()> {
    let (world, pc) = (World::start()?, Pc::new()?);
    let home = pc.drive().join("somebody");
    fs::create_dir(&home)?;
    if chown(&home, Some(12_345), None).is_err() {
        return Ok(());
    }
    let arguments = ["enroll", "--server", &world.address(), "--code", "7QK2MX-493027", "--home", "C:\\somebody"];
    let refused = pc.run(&wine::agent(), arguments)?;
    ensure!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("belongs to another user"), "{refused:?}");
    Ok(())
}

fn slot(world: &World) -> Result<Slot> {
    let slots: Vec<Slot> = world.ask(["get", "slots"])?;
    slots.into_iter().next().context("there is no slot")
}

/// The agent on a PC with Windows, everything where it usually lies there.
struct Agent {
    pc: Pc,
    process: Option<Process>,
    log: PathBuf,
}

impl Agent {
    fn enroll(world: &World, settings: &[String]) -> Result<Self> {
        let agent = Self { pc: Pc::new()?, process: None, log: world.path("agent.log") };
        let code: CodeAnswer = world.ask(["enroll", "code", DEVICE, "--join"])?;
        let address = world.address();
        let mut arguments = vec!["enroll", "--server", &address, "--code", &code.code, "--keystore", "file"];
        arguments.extend(settings.iter().map(String::as_str));
        let enrolled = agent.command(&arguments)?;
        ensure!(enrolled.status.success(), "{enrolled:?}");
        Ok(agent)
    }

    fn start(&mut self) -> Result<()> {
        self.process = Some(self.pc.start(&wine::agent(), ["run"], &self.log)?);
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Result<Output> {
        // A file of this machine is named as the PC sees it.
        let arguments = arguments.iter().map(|word| if word.starts_with('/') { wine::path(Path::new(word)) } else { (*word).to_owned() });
        self.pc.run(&wine::agent(), arguments)
    }

    /// Waits; should it be in vain, the error holds what the agent has said.
    fn wait<T>(&self, wait: impl FnOnce() -> Result<T>) -> Result<T> {
        wait().with_context(|| self.said())
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The folder of the certificate that programs are to use.
    fn current(&self) -> Result<PathBuf> {
        let slot = self.pc.home().join("AppData/Local/Tegata/store").join(DEVICE).join("karte");
        // Wine has no junctions, so it is a file that names the folder.
        let folder = slot.join(fs::read_to_string(slot.join("current"))?);
        ensure!(folder.join("key.pem").is_file() && folder.join("certificate.pem").is_file(), "{} is not complete", folder.display());
        Ok(folder)
    }
}
