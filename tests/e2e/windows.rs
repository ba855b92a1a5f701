//! The real `tegata-agent.exe` under Wine, with a real server and a real site here: from the code to the renewal, and what is swept away.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::fleet::Slot;
use tegata_api::v1::vendor::ImportAnswer;
use tegata_tests::World;
use tegata_tests::emr::Emr;
use tegata_tests::process::wait_for;
use tegata_tests::wine::{self, Agent, Pc};
use tegata_tests::world::PATIENCE;

use super::vendor::{self, Vendor};

mod store;

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
    let mut agent = enroll(&world, &emr.settings(&[CHART]))?;
    agent.start()?;
    agent.wait(|| world.wait_until_ready())?;
    let first = slot(&world)?.serial.context("a ready slot has a serial")?;
    ensure!(emr.visits()?.contains(&first), "the site was not shown {first}: {}", emr.visits()?);
    let before = folder_in_use(&agent)?;

    agent.start()?;
    world.cli_well(["renew", "certificate", &first])?;
    agent.wait(|| wait_for_another(&world, &first))?;
    ensure!(folder_in_use(&agent)? != before && !before.exists(), "programs have the new one, and the old one is gone");
    let status = agent.command(&["status", "--json"])?;
    ensure!(status.status.success(), "{status:?}");
    let described = world.cli_well(["describe", "device", DEVICE])?;
    ensure!(described.contains("Windows"), "the PC says which system it has: {described}");
    Ok(())
}

#[test]
fn installers_are_removed_from_a_windows_pc_and_nothing_behind_a_link_is() -> Result<()> {
    let world = World::start()?;
    world.apply(&vendors_policy().replace("[downloads]", "[downloads, desktop]"))?;
    let mut agent = Agent::enroll(&world, Pc::new()?, DEVICE, &[])?;
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
    let serial = import(&world, &agent, &file)?;
    world.cli_well(["confirm", &serial, "--dependant", "linkage-tool"])?;
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
    store::holds_only(&agent.pc, "client1210")?;
    let said = agent.said();
    ensure!(said.contains("Desktop") && said.contains("link.p12"), "what was not looked at is told: {said}");
    Ok(())
}

/// The key comes from outside, and signs in the store: the old file's as well as the new one's.
#[test]
fn a_vendors_file_is_installed_into_the_store_of_windows_whatever_protects_it() -> Result<()> {
    let world = World::start()?;
    world.apply(&vendors_policy())?;
    let mut agent = Agent::enroll(&world, Pc::new()?, DEVICE, &[])?;
    agent.start()?;
    let vendor = Vendor::new(&world.path("vendor"))?;
    let modern = vendor.file(vendor::FILE, "/CN=client1210/O=u00000126", "秘密")?;
    let first = import(&world, &agent, &modern)?;
    store::holds_only(&agent.pc, "client1210")?;

    world.cli_well(["confirm", &first, "--dependant", "linkage-tool"])?;
    world.cli_well(["renew", "certificate", &first])?;
    let old = vendor.old_file("004431_JP_u00000126_client1211.p12", "/CN=client1211/O=u00000126", "秘密")?;
    let second = import(&world, &agent, &old)?;
    world.cli_well(["confirm", &second, "--dependant", "linkage-tool"])?;
    agent.wait(|| wait_for(PATIENCE, "the first one to go", || Ok((agent.pc.certificates()?.len() == 1).then_some(()))))?;
    store::holds_only(&agent.pc, "client1211")
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

/// A vendor's certificate, in the browser's store.
fn vendors_policy() -> String {
    vendor::POLICY.replace("platform: linux", "platform: windows").replace("stores: [file]", "stores: [browser]")
}

/// Brings a vendor's file as soon as somebody is asked for it, and gives the serial of what is proven then.
fn import(world: &World, agent: &Agent, file: &Path) -> Result<String> {
    let state = |wanted: &str| Ok((slot(world)?.state == wanted).then_some(()));
    agent.wait(|| wait_for(PATIENCE, "somebody to be asked for the file", || state("ordered")))?;
    let imported = vendor::import(world, file, "秘密")?;
    let answer: ImportAnswer = serde_json::from_slice(&imported.stdout).with_context(|| format!("{imported:?}"))?;
    agent.wait(|| wait_for(PATIENCE, "the proof", || state("dependants-open")))?;
    Ok(answer.serial)
}

fn slot(world: &World) -> Result<Slot> {
    let slots: Vec<Slot> = world.ask(["get", "slots"])?;
    slots.into_iter().next().context("there is no slot")
}

/// Waits until the slot is ready with another certificate than this one, and gives its serial.
fn wait_for_another(world: &World, serial: &str) -> Result<String> {
    wait_for(PATIENCE, "another certificate", || {
        let slot = slot(world)?;
        Ok(slot.serial.filter(|other| slot.state == "ready" && other != serial))
    })
}

/// A PC whose browser is to take certificates from files.
fn enroll(world: &World, more: &[String]) -> Result<Agent> {
    let files = ["--keystore", "file"].map(str::to_owned);
    Agent::enroll(world, Pc::new()?, DEVICE, &[&files, more].concat())
}

/// The folder of the certificate that programs are to use.
fn folder_in_use(agent: &Agent) -> Result<PathBuf> {
    let slot = agent.pc.home().join("AppData/Local/Tegata/store").join(DEVICE).join("karte");
    // Wine has no junctions, so it is a file that names the folder.
    let folder = slot.join(fs::read_to_string(slot.join("current"))?);
    ensure!(folder.join("key.pem").is_file() && folder.join("certificate.pem").is_file(), "{} is not complete", folder.display());
    Ok(folder)
}
