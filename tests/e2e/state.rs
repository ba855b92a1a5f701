//! The server itself is backed up, lost and put back, with the real programs: an old backup gives nothing out until a person knows, and
//! nobody has to walk to a PC.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tegata_api::v1::audit::Record;
use tegata_api::v1::device::Manifest;
use tegata_api::v1::fleet::Certificate;
use tegata_tests::policy::{Clinic, names};
use tegata_tests::process::{binary, run, run_well, wait_for};
use tegata_tests::world::PATIENCE;
use tegata_tests::{Agent, World};

/// A clinic with a PC that works on, and one that was off since before the backup.
struct Scene {
    world: World,
    agent: Agent,
    quiet: Agent,
    identity: String,
    recipient: String,
}

impl Scene {
    fn set() -> Result<Self> {
        let world = World::start()?;
        world.apply(&policy(1))?;
        let mut agents = Vec::new();
        for device in ["sakura/pc-1", "sakura/pc-2"] {
            let mut agent = world.enroll(device, &["--keystore", "file"])?;
            agent.start()?;
            agents.push(agent);
        }
        world.wait_until_ready()?;
        let identity = world.path("key.txt").display().to_string();
        run_well(Path::new("age-keygen"), ["-o", &identity])?;
        let recipient = run_well(Path::new("age-keygen"), ["-y", &identity])?.trim().to_owned();
        let mut quiet = agents.pop().context("two agents")?;
        quiet.kill();
        let agent = agents.pop().context("two agents")?;
        Ok(Self { world, agent, quiet, identity, recipient })
    }

    fn state(&self, verb: &str, more: &[&str]) -> Result<Output> {
        run(&binary("tegata"), [&["state", verb][..], more].concat())
    }

    fn text(&self, name: &str) -> String {
        self.world.path(name).display().to_string()
    }

    fn certificates(&self) -> Result<Vec<Certificate>> {
        self.world.ask(["get", "certificates"])
    }

    fn generation(&self) -> Result<u64> {
        Ok(serde_json::from_slice::<Manifest>(&fs::read(self.agent.state().join("manifest.json"))?)?.generation)
    }

    /// What the PC that works on remembers of the audit log.
    fn known_log(&self) -> Result<Option<Value>> {
        let path = self.agent.state().join("audit-log.json");
        Ok(if path.exists() { Some(serde_json::from_slice(&fs::read(path)?)?) } else { None })
    }

    /// What the PC remembers once that goes beyond this many records, which the server's log has to cover first.
    fn until_log_is_known(&mut self, beyond: u64) -> Result<Value> {
        let covered = || Ok((self.world.ask::<Value>(["audit", "witnesses"])?["size"].as_u64() > Some(beyond)).then_some(()));
        wait_for(PATIENCE, "the log to cover what happened", covered)?;
        // It asks when it begins.
        self.restart_agent()?;
        let size = |log: &Value| log["checkpoint"].as_str()?.lines().nth(1)?.parse::<u64>().ok();
        wait_for(PATIENCE, "the PC to know the longer log", || Ok(self.known_log()?.filter(|log| size(log) > Some(beyond))))
    }

    fn restart_agent(&mut self) -> Result<()> {
        self.agent.kill();
        self.agent.start()
    }

    /// Certificates on the PC that works on.
    fn held(&self) -> Result<BTreeSet<String>> {
        let pems = self.agent.stored_certificates()?;
        let own = pems.iter().map(|pem| Ok(tegata_pki::certificate::read_pem(pem)?.remove(0).fingerprint.to_string()));
        own.collect()
    }
}

fn policy(profiles: usize) -> String {
    Clinic { devices: &names("pc", 2), profiles: &names("karte", profiles) }.to_yaml()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn count(records: &[Record], action: &str) -> usize {
    records.iter().filter(|record| record.action == action).count()
}

#[test]
fn s5_an_old_backup_gives_nothing_out_until_a_person_knows_and_every_pc_comes_back_by_itself() -> Result<()> {
    let mut scene = Scene::set()?;
    let (from, out) = (scene.text("server"), scene.text("backup"));
    let saved = scene.world.audit()?.len() as u64;
    let made = scene.state("backup", &["--state", &from, "--out", &out, "--recipient", &scene.recipient])?;
    ensure!(made.status.success(), "{made:?}");
    ensure!(scene.state("backup", &["--state", &from, "--out", &out])?.status.code() == Some(1), "nothing is written over");
    let drilled = scene.state("drill", &[&out, "--identity", &scene.identity])?;
    ensure!(String::from_utf8_lossy(&drilled.stdout).contains("every CA key opens"), "{drilled:?}");

    // The past that will be lost: one certificate is replaced, one is new, and the PC is told so.
    let first = scene.certificates()?;
    let own = first.iter().find(|one| one.slot.contains("pc-1")).context("a certificate of pc-1")?;
    scene.world.apply(&policy(2))?;
    scene.world.cli_well(["renew", "certificate", &own.serial])?;
    let is_replaced = || Ok(scene.certificates()?.iter().any(|one| one.serial == own.serial && one.state == "retired").then_some(()));
    wait_for(PATIENCE, "the first certificate to be replaced", is_replaced)?;
    let lost: BTreeSet<String> =
        wait_for(PATIENCE, "two certificates on the PC", || Ok(Some(scene.held()?).filter(|held| held.len() == 2)))?;
    let serials = serials(&scene)?;
    let known = scene.until_log_is_known(saved)?;
    scene.world.server().stop(PATIENCE)?;
    // Nobody tells the PC anything any more.
    let generation = scene.generation()?;
    fs::rename(scene.world.path("server"), scene.world.path("lost"))?;
    let refused = scene.state("restore", &[&out, "--state", &scene.text("lost"), "--identity", &scene.identity])?;
    ensure!(!refused.status.success() && said(&refused).contains("there already"), "{refused:?}");
    let restored = scene.state("restore", &[&out, "--state", &from, "--identity", &scene.identity])?;
    ensure!(restored.status.success(), "{restored:?}");
    scene.world.start_server()?;
    scene.quiet.start()?;

    nothing_is_given_out(&scene, generation)?;
    ensure!(scene.world.cli(["state", "recover", "--note", " "])?.status.code() == Some(1), "a note is needed");
    scene.world.cli_well(["state", "recover", "--note", "the disk of the server broke"])?;
    comes_back(&scene, &lost, generation, &serials)?;
    follows_the_new_log(&scene, &known)
}

fn serials(scene: &Scene) -> Result<BTreeSet<String>> {
    Ok(scene.certificates()?.into_iter().map(|one| one.serial).collect())
}

fn nothing_is_given_out(scene: &Scene, generation: u64) -> Result<()> {
    let apply = scene.world.write("later.yaml", &policy(2))?;
    for verb in [&["apply", "-f", &apply][..], &["enroll", "code", "sakura/pc-1"]] {
        let refused = scene.world.cli(verb.iter().copied())?;
        ensure!(refused.status.code() == Some(5) && said(&refused).contains("tegata state recover"), "{refused:?}");
    }
    let list = format!("{}/crl/aozora/aozora-ca.crl", scene.world.address());
    let fetched = run(Path::new("curl"), ["-sk", "-o", "/dev/null", "-w", "%{http_code}", &list])?;
    ensure!(fetched.stdout == b"503", "a list would forgive what was revoked since: {fetched:?}");
    // The PC is heard: that is how it is known that it has seen more.
    let is_ahead = || Ok((count(&scene.world.audit()?, "device.ahead") > 0).then_some(()));
    wait_for(PATIENCE, "the PC to be heard", is_ahead)?;
    std::thread::sleep(Duration::from_secs(2));
    let records = scene.world.audit()?;
    let after = records.iter().position(|record| record.action == "device.ahead").context("heard")?;
    for record in &records[after..] {
        ensure!(["device.ahead", "certificate.misplaced"].contains(&record.action.as_str()), "{record:?}");
    }
    ensure!(scene.generation()? == generation, "the PC was told something");
    Ok(())
}

fn comes_back(scene: &Scene, lost: &BTreeSet<String>, generation: u64, serials: &BTreeSet<String>) -> Result<()> {
    let is_renewed = || {
        let new = scene.certificates()?.into_iter().filter(|one| one.state == "proven" && !serials.contains(&one.serial));
        Ok((new.count() > 0).then_some(()))
    };
    wait_for(PATIENCE, "what is unknown to be replaced", is_renewed)?;
    scene.world.wait_until_ready()?;
    ensure!(scene.generation()? > generation, "a generation was given out twice");
    let records = scene.world.audit()?;
    let epochs: Vec<&Record> = records.iter().filter(|record| record.action == "state.recover").collect();
    ensure!(epochs.len() == 1 && epochs[0].details["note"] == "the disk of the server broke", "{epochs:?}");
    let told: BTreeSet<String> = records
        .iter()
        .filter(|record| record.action == "certificate.unknown")
        .filter_map(|record| serde_json::from_str::<serde_json::Value>(record.details["receipt"].as_str()?).ok())
        .filter_map(|receipt| Some(receipt["deed"]["fingerprint"].as_str()?.to_owned()))
        .collect();
    ensure!(&told == lost, "told: {told:?}, and unknown are {lost:?}");
    ensure!(scene.held()?.is_superset(lost), "told, and not taken away");
    scene.world.apply(&policy(2))?;
    scene.world.wait_until_ready()?;
    ensure!(
        scene.world.cli(["state", "recover", "--note", "again"])?.status.code() == Some(1),
        "there is nothing to recover from any more"
    );
    Ok(())
}

fn follows_the_new_log(scene: &Scene, lost: &Value) -> Result<()> {
    let follows = || Ok(scene.known_log()?.filter(|log| log["epoch"] == 1 && log["contradiction"].is_null()));
    let log = wait_for(PATIENCE, "the PC to follow the log from the new epoch on", follows)?;
    ensure!(log["left"] == serde_json::json!([lost["checkpoint"]]), "where the log ended that was lost: {log}");
    Ok(())
}

/// A copy of the folder that was put back in secret is no restored backup: the server itself cannot know. Its PCs do.
#[test]
fn a_state_that_was_put_back_in_secret_is_noticed_by_the_pcs_and_followed_once_it_is_on_record() -> Result<()> {
    let mut scene = Scene::set()?;
    let (state, copy, copied) = (scene.text("server"), scene.text("copy"), scene.world.audit()?.len() as u64);
    scene.world.server().stop(PATIENCE)?;
    run_well(Path::new("cp"), ["-a", &state, &copy])?;
    scene.world.start_server()?;
    scene.world.apply(&policy(2))?;
    wait_for(PATIENCE, "two certificates on the PC", || Ok(Some(scene.held()?).filter(|held| held.len() == 2)))?;
    let known = scene.until_log_is_known(copied + 2)?;

    scene.world.server().stop(PATIENCE)?;
    fs::remove_dir_all(&state)?;
    fs::rename(&copy, &state)?;
    scene.world.start_server()?;
    scene.restart_agent()?;
    let is_told = || Ok(scene.world.audit()?.into_iter().find(|record| record.action == "log.contradicted"));
    let told = wait_for(PATIENCE, "the PC to say that it knows another log", is_told)?;
    let receipt: Value = serde_json::from_str(told.details["receipt"].as_str().context("a receipt")?)?;
    ensure!(receipt["deed"]["known"] == known["checkpoint"], "{receipt} shows what the log was: {known}");
    let status = scene.agent.command(["status"])?;
    ensure!(!status.status.success() && String::from_utf8_lossy(&status.stdout).contains("does not go on from what this PC has seen"));
    let exceptions: Vec<Value> = scene.world.ask(["audit", "exceptions"])?;
    ensure!(exceptions.iter().any(|one| one["matter"] == "contradicted"), "{exceptions:?}");
    let (generation, apply) = (scene.generation()?, policy(3));
    scene.world.apply(&apply)?;
    std::thread::sleep(Duration::from_secs(2));
    ensure!(scene.generation()? == generation, "a server with another past was followed");

    scene.world.cli_well(["state", "recover", "--by-hand", "--note", "a snapshot of the disk was put back"])?;
    wait_for(PATIENCE, "the PC to follow again", || Ok(Some(scene.held()?).filter(|held| held.len() >= 3)))?;
    ensure!(scene.generation()? > generation);
    let is_new = || Ok(scene.known_log()?.filter(|log| log["epoch"] == 1 && log["left"][0] == known["checkpoint"]));
    wait_for(PATIENCE, "the PC to remember both logs", is_new)?;
    ensure!(scene.agent.command(["status"])?.status.success());
    Ok(())
}

/// What is killed has made nothing, or all of it; and what it left behind is in nobody's way.
#[test]
fn a_kill_at_any_moment_leaves_no_half_backup_and_no_half_state() -> Result<()> {
    let scene = Scene::set()?;
    let (state, good) = (scene.text("server"), scene.text("good"));
    ensure!(scene.state("backup", &["--state", &state, "--out", &good, "--recipient", &scene.recipient])?.status.success());
    let mut whole = [0, 0];
    for wait in (0..24).map(|step| step * 4) {
        for (index, verb) in ["backup", "restore"].into_iter().enumerate() {
            let out = scene.text(&format!("{verb}-{wait}"));
            let arguments = match verb {
                "backup" => vec!["state", verb, "--state", &state, "--out", &out, "--recipient", &scene.recipient],
                _ => vec!["state", verb, &good, "--state", &out, "--identity", &scene.identity],
            };
            let mut child = Command::new(binary("tegata")).args(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
            std::thread::sleep(Duration::from_millis(wait));
            child.kill()?;
            child.wait()?;
            if Path::new(&out).exists() {
                whole[index] += 1;
            } else {
                ensure!(run(&binary("tegata"), &arguments)?.status.success(), "{arguments:?} after a kill at {wait} ms");
            }
            let files: BTreeSet<String> = names_in(&out)?;
            let expected = if verb == "backup" {
                ["manifest.json", "seal.key.age", "tegata.db"].map(String::from).to_vec()
            } else {
                ["seal.key", "tegata.db"].map(String::from).to_vec()
            };
            ensure!(files.iter().eq(&expected), "{verb} after {wait} ms: {files:?}");
            if verb == "backup" {
                ensure!(scene.state("drill", &[&out, "--identity", &scene.identity])?.status.success());
            }
        }
    }
    println!("{whole:?} of 24 were done before the kill");
    ensure!(whole.iter().all(|whole| *whole < 24), "nothing was killed in the middle");
    Ok(())
}

fn names_in(folder: &str) -> Result<BTreeSet<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}
