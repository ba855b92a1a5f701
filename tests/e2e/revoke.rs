//! Many certificates at once, as people type it: shown first, then done as shown, or replaced without anybody being locked out.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tegata_api::v1::fleet::{Certificate, Slot};
use tegata_api::v1::revocation::{Blast, RevokedMany};
use tegata_tests::policy::{Clinic, names};
use tegata_tests::process::wait_for;
use tegata_tests::{Agent, World};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn what_is_shown_is_not_done_and_what_is_done_was_shown() -> Result<()> {
    let (world, _agents) = world_of(3)?;
    let of = |device: &'static str| ["certificate", "revoke", "--device", device, "--reason", "key-compromise"];
    let shown = world.cli(of("sakura/pc-1"))?;
    let said = String::from_utf8_lossy(&shown.stdout).into_owned();
    ensure!(shown.status.code() == Some(11) && said.contains("1 PC could no longer sign in"), "{shown:?}");
    ensure!(certificates(&world)?.iter().all(|one| one.state == "proven"), "it was only shown");

    let issuer = ["certificate", "revoke", "--issuer", "aozora-ca"];
    let all: Blast = shown_as_json(&world, &issuer)?;
    ensure!((all.certificates, all.cut_off) == (3, 3), "{all:?}");
    let done: RevokedMany = world.ask(of("sakura/pc-1").into_iter().chain(["--yes"]))?;
    ensure!(done == RevokedMany { revoked: 1, replacing: 0, left: 0 }, "{done:?}");
    let late = world.cli(issuer.into_iter().chain(["--yes", "--expect", &all.digest]))?;
    ensure!(late.status.code() == Some(1), "the set has changed: {late:?}");
    let revoked: Vec<Certificate> = certificates(&world)?.into_iter().filter(|one| one.state == "revoked").collect();
    ensure!(revoked.len() == 1 && revoked[0].slot.starts_with("sakura/pc-1/"), "{revoked:?}");

    let nothing = world.cli(["certificate", "revoke", "--issuer", "other", "--yes"])?;
    ensure!(nothing.status.code() == Some(0), "{nothing:?}");
    let unknown = world.cli(["certificate", "revoke", "40404040404040404040404040404040"])?;
    ensure!(unknown.status.code() == Some(6), "{unknown:?}");
    ensure!(world.cli(["certificate", "revoke", "--yes"])?.status.code() == Some(2), "nothing is said about which");
    Ok(())
}

#[test]
fn r3_everything_of_an_issuer_is_replaced_and_nobody_is_locked_out() -> Result<()> {
    let (world, _agents) = world_of(3)?;
    let old: Vec<String> = certificates(&world)?.into_iter().map(|one| one.serial).collect();
    let command = ["certificate", "revoke", "--issuer", "aozora-ca", "--issued-between", "2020-01-01/2100-01-01", "--replace"];
    let blast: Blast = shown_as_json(&world, &command)?;
    ensure!(blast.certificates == 3, "{blast:?}");
    let done: RevokedMany = world.ask(command.into_iter().chain(["--yes", "--expect", &blast.digest]))?;
    ensure!(done == RevokedMany { revoked: 0, replacing: 3, left: 0 }, "{done:?}");
    wait_for(PATIENCE, "every certificate to be replaced and revoked", || {
        let now = certificates(&world)?;
        // At no moment has a PC lost its old one before its new one was proven.
        for one in now.iter().filter(|one| one.revoked_at.is_some()) {
            let works = now.iter().any(|other| other.slot == one.slot && other.revoked_at.is_none() && other.state == "proven");
            ensure!(works, "{} was revoked before its successor was proven: {now:?}", one.serial);
        }
        let gone = now.iter().filter(|one| old.contains(&one.serial) && one.revoked_at.is_some()).count();
        Ok((gone == 3).then_some(()))
    })?;
    world.wait_until_ready()?;
    let slots: Vec<Slot> = world.ask(["get", "slots"])?;
    ensure!(slots.iter().all(|slot| slot.serial.as_ref().is_some_and(|serial| !old.contains(serial))), "{slots:?}");
    Ok(())
}

fn world_of(devices: usize) -> Result<(World, Vec<Agent>)> {
    let world = World::start()?;
    world.apply(&Clinic { devices: &names("pc", devices), profiles: &names("karte", 1) }.to_yaml())?;
    let mut agents = Vec::new();
    for device in names("sakura/pc", devices) {
        let mut agent = world.enroll(&device, &["--keystore", "file"])?;
        agent.start()?;
        agents.push(agent);
    }
    world.wait_until_ready()?;
    Ok((world, agents))
}

fn certificates(world: &World) -> Result<Vec<Certificate>> {
    world.ask(["get", "certificates"])
}

/// What is shown, and not done, has an exit code of its own.
fn shown_as_json(world: &World, command: &[&str]) -> Result<Blast> {
    let output = world.cli(command.iter().copied().chain(["-o", "json"]))?;
    ensure!(output.status.code() == Some(11), "{output:?}");
    serde_json::from_slice(&output.stdout).context("not the expected JSON")
}
