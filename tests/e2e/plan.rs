//! `plan` tells exactly what a change would do, and `apply` refuses to lock people out unless told.

use anyhow::{Result, ensure};
use tegata_api::v1::fleet::{Change, Preview, Slot};
use tegata_tests::World;
use tegata_tests::policy::{Clinic, names};

#[test]
fn a_one_line_change_is_all_that_plan_prints() -> Result<()> {
    let (world, _agents, policy) = world_of_two()?;

    let memo = policy.replace("{ name: pc-2, platform: linux }", "{ name: pc-2, platform: linux, memo: 受付2番 }");
    let preview = plan(&world, &memo)?;
    ensure!(preview.documents.len() == 1 && preview.documents[0].paths == ["/spec/devices/1/memo"], "{preview:?}");
    ensure!(preview.actions.is_empty() && preview.locked_out.is_empty(), "a memo has no effect: {preview:?}");

    let unchanged = plan(&world, &policy)?;
    ensure!(unchanged == Preview::default(), "{unchanged:?}");
    ensure!(world.cli(["plan", "--exit-code", "-f", &world.write("same.yaml", &policy)?])?.status.code() == Some(0));

    let validity = policy.replace("validity: 90d", "validity: 120d");
    let preview = plan(&world, &validity)?;
    ensure!(
        preview.actions.len() == 2 && preview.actions.iter().all(|one| one.action == "issue" && one.because == "outdated"),
        "{preview:?}"
    );
    ensure!(preview.locked_out.is_empty(), "make before break locks nobody out: {preview:?}");
    Ok(())
}

#[test]
fn apply_refuses_to_lock_a_pc_out_unless_told() -> Result<()> {
    let (world, _agents, policy) = world_of_two()?;
    let without = policy.replace("    - { name: pc-2, platform: linux }\n", "");
    let preview = plan(&world, &without)?;
    ensure!(preview.locked_out == ["sakura/pc-2"], "{preview:?}");
    let file = world.write("without.yaml", &without)?;
    let printed = world.cli_well(["plan", "-f", &file])?;
    ensure!(printed.contains("sakura/pc-2") && printed.contains("sign in"), "{printed}");

    let refused = world.cli(["apply", "-f", &file])?;
    ensure!(refused.status.code() == Some(4), "{refused:?}");
    let slots: Vec<Slot> = world.ask(["get", "slots"])?;
    ensure!(slots.len() == 2, "something was applied: {slots:?}");

    world.cli_well(["apply", "--allow-lockout", "1", "-f", &file])?;
    let slots: Vec<Slot> = world.ask(["get", "slots"])?;
    ensure!(slots.iter().filter(|slot| slot.state == "ready").count() == 1, "{slots:?}");
    Ok(())
}

fn world_of_two() -> Result<(World, Vec<tegata_tests::Agent>, String)> {
    let world = World::start()?;
    let policy = Clinic { devices: &names("pc", 2), profiles: &names("karte", 1) }.to_yaml();
    world.apply(&policy)?;
    let mut agents = Vec::new();
    for device in ["sakura/pc-1", "sakura/pc-2"] {
        let mut agent = world.enroll(device, &["--keystore", "file"])?;
        agent.start()?;
        agents.push(agent);
    }
    world.wait_until_ready()?;
    Ok((world, agents, policy))
}

fn plan(world: &World, text: &str) -> Result<Preview> {
    let file = world.write("planned.yaml", text)?;
    let preview: Preview = world.ask(["plan", "-f", &file])?;
    ensure!(preview.documents.iter().all(|one| one.change == Change::Changed), "{preview:?}");
    Ok(preview)
}
