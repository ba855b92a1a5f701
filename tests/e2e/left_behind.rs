//! Nothing left behind, with the real programs: a vendor's file in the downloads, in the trash, and back again under another name.

use std::fs;

use anyhow::{Result, ensure};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::Manifest;
use tegata_api::v1::fleet::{Installer, InstallerState};
use tegata_api::v1::vendor::ImportAnswer;
use tegata_tests::World;
use tegata_tests::process::wait_for;
use tegata_tests::world::PATIENCE;

use super::vendor::{self, Vendor};

#[test]
fn a_file_goes_wherever_it_lies_and_is_found_again_when_it_comes_back_under_another_name() -> Result<()> {
    let world = World::start()?;
    world.apply(&vendor::POLICY.replace("folders: [downloads]", "folders: [downloads, trash], also: [Work/**]"))?;
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    let file = Vendor::new(&world.path("vendor"))?.file(vendor::FILE, "/CN=client1210/O=u00000126", "秘密")?;
    let places =
        [agent.home().join("Downloads/a.p12"), agent.home().join(".local/share/Trash/files/b.p12"), agent.home().join("Work/1/2/c.p12")];
    for place in &places {
        fs::create_dir_all(place.parent().expect("it lies in a folder"))?;
        fs::copy(&file, place)?;
    }
    agent.start()?;
    wait_for(PATIENCE, "somebody to be asked for the file", || Ok(vendor::state(&world)?.filter(|state| state == "ordered").map(drop)))?;
    let imported = vendor::import(&world, &file, "秘密")?;
    ensure!(imported.status.success(), "{imported:?}");
    let answer: ImportAnswer = serde_json::from_slice(&imported.stdout)?;
    world.cli_well(["confirm", &answer.serial, "--dependant", "linkage-tool"]).or_else(|_| {
        wait_for(PATIENCE, "the proof", || Ok(vendor::state(&world)?.filter(|state| state == "dependants-open").map(drop)))?;
        world.cli_well(["confirm", &answer.serial, "--dependant", "linkage-tool"])
    })?;
    wait_for(PATIENCE, "every copy to be removed", || Ok(places.iter().all(|place| !place.exists()).then_some(())))?;
    wait_for(PATIENCE, "the removal to be known", || Ok(has(&world, InstallerState::Removed, 0)?.then_some(())))?;
    // As long as it is to be removed, whatever is found of it is one more copy.
    let is_settled = || {
        let manifest: Manifest = serde_json::from_slice(&fs::read(agent.state().join("manifest.json"))?)?;
        Ok(manifest.remove_installers.is_empty().then_some(()))
    };
    wait_for(PATIENCE, "the PC to be told that nothing is to be removed", is_settled)?;

    agent.kill();
    let back = agent.home().join("Downloads/innocent.dat");
    fs::copy(&file, &back)?;
    agent.start()?;
    wait_for(PATIENCE, "the file to be removed again", || Ok((!back.exists()).then_some(())))?;
    wait_for(PATIENCE, "both to be known", || Ok(has(&world, InstallerState::Removed, 1)?.then_some(())))?;
    let told = world.audit()?;
    let returned = told.iter().find(|record| record.stage == Stage::Seen && record.action == "installer.returned");
    ensure!(returned.is_some_and(|record| record.object == "sakura/uketsuke-1"), "{returned:?}");
    let removed = told.iter().filter(|record| record.stage == Stage::Seen && record.action == "installer.removed");
    let removed: Vec<String> = removed.map(|record| record.details.to_string()).collect();
    ensure!(removed.len() == 4 && removed.iter().all(|said| said.contains("generation")), "{removed:?}");
    let table = world.cli_well(["get", "installers", "--clinic", "sakura"])?;
    ensure!(table.contains("removed") && table.contains("~/Downloads/innocent.dat"), "{table}");
    Ok(())
}

/// People export what they have into a file of their own making, whose hash nobody knows.
#[test]
fn a_file_that_nobody_recorded_is_known_by_the_certificate_in_it_and_one_of_a_stranger_stays() -> Result<()> {
    let world = World::start()?;
    world.apply(&vendor::POLICY.replace("  dependants: [{ name: linkage-tool, confirm: operator }]\n", ""))?;
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    let strangers = Vendor::new(&world.path("stranger"))?;
    strangers.file("stranger.p12", "/CN=client1211/O=u00000126", "秘密")?;
    let stranger = strangers.open_copy("stranger-open.p12", "秘密")?;
    let vendor = Vendor::new(&world.path("vendor"))?;
    let file = vendor.file(vendor::FILE, "/CN=client1210/O=u00000126", "秘密")?;
    let (own, other) = (agent.home().join("Downloads/export.p12"), agent.home().join("Downloads/other.p12"));
    fs::create_dir_all(agent.home().join("Downloads"))?;
    fs::copy(vendor.open_copy("open.p12", "別の秘密")?, &own)?;
    fs::copy(stranger, &other)?;
    agent.start()?;
    wait_for(PATIENCE, "somebody to be asked for the file", || Ok(vendor::state(&world)?.filter(|state| state == "ordered").map(drop)))?;
    ensure!(own.exists(), "a certificate that nobody has brought gives nothing away");
    ensure!(vendor::import(&world, &file, "秘密")?.status.success());
    wait_for(PATIENCE, "the proof", || Ok(vendor::state(&world)?.filter(|state| state == "ready").map(drop)))?;
    agent.kill();
    agent.start()?;
    wait_for(PATIENCE, "the copy to be removed", || Ok((!own.exists()).then_some(())))?;
    let told = || -> Result<Vec<Installer>> { world.ask(["get", "installers"]) };
    let states = || -> Result<Vec<InstallerState>> { Ok(told()?.into_iter().map(|row| row.state).collect()) };
    let expected = [InstallerState::Unknown, InstallerState::Removed];
    wait_for(PATIENCE, "the removal to be known", || Ok((states()? == expected).then_some(())))?;
    let records = world.audit()?;
    let recognized: Vec<_> = records.iter().filter(|record| record.action == "installer.recognize").collect();
    ensure!(recognized.len() == 1 && recognized[0].details.to_string().contains("~/Downloads/export.p12"), "{recognized:?}");
    ensure!(other.exists());
    Ok(())
}

/// What nobody knows is moved out of the way, and whoever works at the PC has the last word.
#[test]
fn a_file_that_nobody_knows_is_moved_out_of_the_way_and_put_back_for_good() -> Result<()> {
    let world = World::start()?;
    let policy = vendor::POLICY.replace("  dependants: [{ name: linkage-tool, confirm: operator }]\n", "");
    world.apply(&policy.replace("folders: [downloads]", "folders: [downloads], unknown: quarantine"))?;
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    let stranger = Vendor::new(&world.path("stranger"))?.file("stranger.p12", "/CN=client1211/O=u00000126", "秘密")?;
    let lies = agent.home().join("Downloads/stranger.p12");
    fs::create_dir_all(agent.home().join("Downloads"))?;
    fs::copy(&stranger, &lies)?;
    agent.start()?;
    wait_for(PATIENCE, "somebody to be asked for the file", || Ok(vendor::state(&world)?.filter(|state| state == "ordered").map(drop)))?;
    ensure!(lies.exists(), "it may be the file that is waited for");
    let file = Vendor::new(&world.path("vendor"))?.file(vendor::FILE, "/CN=client1210/O=u00000126", "秘密")?;
    ensure!(vendor::import(&world, &file, "秘密")?.status.success());
    wait_for(PATIENCE, "the file to be moved", || Ok((!lies.exists()).then_some(())))?;
    wait_for(PATIENCE, "the move to be known", || Ok(has(&world, InstallerState::Quarantined, 0)?.then_some(())))?;
    let listed = agent.command(["quarantine", "list", "-o", "json"])?;
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
    ensure!(listed[0]["path"] == "~/Downloads/stranger.p12", "{listed}");
    let id = listed[0]["id"].as_str().unwrap_or_default().to_owned();
    ensure!(agent.command(["quarantine", "restore", &id])?.status.success());
    ensure!(fs::read(&lies)? == fs::read(&stranger)?);
    // It looks by itself when the request that the server holds has ended, or when it starts.
    agent.kill();
    agent.start()?;
    wait_for(PATIENCE, "the way back to be known", || Ok(has(&world, InstallerState::Restored, 0)?.then_some(())))?;
    for action in ["installer.quarantined", "installer.restored"] {
        let records = world.audit()?.into_iter().filter(|record| record.stage == Stage::Seen && record.action == action);
        ensure!(records.count() == 1, "{action}");
    }
    ensure!(lies.exists());
    Ok(())
}

/// True if all that is told is one file in this state, which came back so often.
fn has(world: &World, state: InstallerState, returns: u32) -> Result<bool> {
    let told: Vec<Installer> = world.ask(["get", "installers"])?;
    Ok(told.len() == 1 && told[0].state == state && told[0].returns == returns)
}
