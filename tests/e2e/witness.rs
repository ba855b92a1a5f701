//! Witnesses of the audit log: ours and one by other hands, what they vouch for, and a history that was written anew.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tegata_api::v1::audit::{Vouched, Witnesses};
use tegata_tests::World;
use tegata_tests::policy::{Clinic, names};
use tegata_tests::process::{binary, run_well, wait_for};
use tegata_tests::witness::Witness;
use tegata_tests::world::PATIENCE;

#[test]
fn a_log_is_vouched_for_by_others_and_one_that_was_written_anew_is_not() -> Result<()> {
    let mut world = World::start()?;
    world.apply(&clinic(1))?;
    let keys = [world.cli_well(["audit", "key"])?, key_of_installation(&world)?];
    let logs = [keys[0].trim(), keys[1].trim()];
    let mut office = Witness::start(&world.path("office"), "office", &logs)?;
    let site = Witness::start(&world.path("site"), "site", &logs)?;
    let other = Witness::by_other_hands(&world.path("other"), "other.example.jp", &logs)?;
    let policy = format!(
        "{}\n{}\n{}\ngroup ours any office site\ngroup both all ours other.example.jp\nquorum both\n",
        office.line, site.line, other.line
    );
    let policy = world.write("policy", &policy)?;
    world.restart_server_with(&["--witnesses", &policy])?;
    let first = witnessed(&world, 1)?;
    ensure!(first.witnesses.iter().all(|witness| witness.problem.is_none()), "{first:?}");

    // What was taken away is believed without the server, and only as far as others vouch for it.
    let (folder, memory) = (world.path("auditor"), world.path("memory"));
    let verified = |world: &World| world.cli(["audit", "verify", "--witnesses", &policy, "--memory", &text(&memory)]);
    let whole = verified(&world)?;
    ensure!(whole.status.success() && said(&whole).contains("A quorum of witnesses vouches for the first"), "{whole:?}");
    world.cli_well(["audit", "export", "--out", &text(&folder)])?;
    world.cli_well(["audit", "prove", "1", "--out", &text(&folder.join("first"))])?;
    let alone = |arguments: &[&str]| -> Result<Output> {
        let mut verifier = Command::new(binary("tegata-verify"));
        Ok(verifier.arg("--witnesses").arg(&policy).arg(logs[0]).args(arguments).env_clear().current_dir(&folder).output()?)
    };
    for arguments in [&["."][..], &["first.proof", "first.json"]] {
        let believed = alone(arguments)?;
        ensure!(believed.status.success() && said(&believed).contains("vouched for by a quorum of witnesses"), "{believed:?}");
    }
    let stranger =
        world.write("stranger", &format!("{}\nquorum nobody\n", Witness::start(&world.path("nobody"), "nobody", &logs)?.line))?;
    let unwitnessed = world.cli(["audit", "verify", "--witnesses", &stranger, "--memory", &text(&memory)])?;
    ensure!(unwitnessed.status.code() == Some(13), "{unwitnessed:?}");

    // A witness that was away, killed on the spot, is needed for nothing, and comes back to where it was.
    let (state, older) = (world.path("server"), world.path("older"));
    world.server().stop(PATIENCE)?;
    run_well(Path::new("/bin/cp"), ["-a", &text(&state), &text(&older)])?;
    office.kill();
    world.start_server()?;
    world.apply(&clinic(2))?;
    let grown = witnessed(&world, first.size + 1)?;
    ensure!(grown.witnesses[0].size < grown.witnesses[1].size, "{grown:?}");
    office.open()?;
    world.apply(&clinic(3))?;
    witnessed(&world, grown.size + 1)?;

    // Whoever has all that the server has, its keys included, lets history take another course from here on.
    world.server().stop(PATIENCE)?;
    std::fs::remove_dir_all(&state)?;
    std::fs::rename(&older, &state)?;
    world.start_server()?;
    for devices in 4..9 {
        world.apply(&clinic(devices))?;
    }
    let noticed = wait_for(PATIENCE, "every witness to refuse the other history", || {
        let told = told(&world)?;
        let is_noticed = |problem: &String| problem.contains("history is not what it was");
        Ok(told.witnesses.iter().all(|witness| witness.problem.as_ref().is_some_and(is_noticed)).then_some(told))
    })?;
    ensure!(noticed.witnessed_size < Some(noticed.size), "nobody vouches for it: {noticed:?}");
    ensure!(office.refused()?.iter().any(|note| note.starts_with(logs[0].split('+').next().unwrap_or_default())), "it is kept as evidence");
    Ok(())
}

fn clinic(devices: usize) -> String {
    Clinic { devices: &names("pc", devices), profiles: &names("karte", 1) }.to_yaml()
}

/// The installation's own log is the tenant `tegata`'s.
fn key_of_installation(world: &World) -> Result<String> {
    let access = text(&world.access_file());
    run_well(&binary("tegata"), ["--access", &access, "-n", "tegata", "audit", "key"])
}

/// Waits until a quorum has vouched for at least so many records.
fn witnessed(world: &World, size: u64) -> Result<Witnesses> {
    let waited = wait_for(PATIENCE, "a quorum to vouch for the log", || {
        let told = told(world)?;
        Ok((told.vouched == Vouched::Witnessed && told.witnessed_size >= Some(size)).then_some(told))
    });
    waited.with_context(|| format!("{:?}", told(world)))
}

/// What each witness says; the exit code says the same as the answer.
fn told(world: &World) -> Result<Witnesses> {
    let output = world.cli(["audit", "witnesses", "-o", "json"])?;
    let told: Witnesses = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    let expected = if told.vouched == Vouched::Unwitnessed { 13 } else { 0 };
    ensure!(output.status.code() == Some(expected), "{output:?}");
    Ok(told)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
