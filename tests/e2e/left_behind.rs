//! Nothing left behind, with the real programs: a vendor's file in the downloads, in the trash, and back again under another name.

use std::fs;

use anyhow::{Result, ensure};
use tegata_api::v1::audit::Stage;
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

/// True if all that is told is one file in this state, which came back so often.
fn has(world: &World, state: InstallerState, returns: u32) -> Result<bool> {
    let told: Vec<Installer> = world.ask(["get", "installers"])?;
    Ok(told.len() == 1 && told[0].state == state && told[0].returns == returns)
}
