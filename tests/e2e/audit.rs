//! The audit log as an auditor has it: verified on the server, taken away, believed in an empty folder, and remembered.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use tegata_api::v1::audit::Record;
use tegata_tests::World;
use tegata_tests::policy::{Clinic, names};
use tegata_tests::process::{binary, run_well, wait_for};
use tegata_tests::world::PATIENCE;

#[test]
fn a_log_is_believed_without_the_server_and_an_older_state_of_it_is_not() -> Result<()> {
    let mut world = World::start()?;
    world.apply(&clinic(1))?;
    let (folder, memory) = (world.path("auditor"), world.path("memory"));
    wait_for(PATIENCE, "everything to be covered", || {
        let newest = world.audit()?.last().map_or(0, |record| record.sequence);
        Ok((records(&verify(&world, &memory)?)? == newest).then_some(()))
    })?;
    world.cli_well(["audit", "export", "--out", &text(&folder)])?;
    world.cli_well(["audit", "prove", "1", "--out", &text(&folder.join("first"))])?;
    let key = world.cli_well(["audit", "key"])?;
    let alone = |arguments: &[&str]| -> Result<Output> {
        let mut verifier = Command::new(binary("tegata-verify"));
        Ok(verifier.arg(key.trim()).args(arguments).env_clear().current_dir(&folder).output()?)
    };
    let whole = alone(&["."])?;
    ensure!(whole.status.success(), "{whole:?}");
    let one = alone(&["first.proof", "first.json"])?;
    ensure!(one.status.success() && said(&one).starts_with("this is record 1 of"), "{one:?}");

    // An older state, as after a restore that nobody was told of.
    let (state, older) = (world.path("server"), world.path("older"));
    world.server().stop(PATIENCE)?;
    run_well(Path::new("/bin/cp"), ["-a", &text(&state), &text(&older)])?;
    world.start_server()?;
    world.apply(&clinic(2))?;
    let newest = world.audit()?.last().map_or(0, |record| record.sequence);
    wait_for(PATIENCE, "what was never copied to be seen", || {
        let seen = verify(&world, &memory)?;
        ensure!(seen.status.success(), "{seen:?}");
        Ok((records(&seen)? >= newest).then_some(()))
    })?;
    world.server().stop(PATIENCE)?;
    std::fs::remove_dir_all(&state)?;
    std::fs::rename(&older, &state)?;
    world.start_server()?;
    let rolled_back = verify(&world, &memory)?;
    ensure!(rolled_back.status.code() == Some(12), "{rolled_back:?}");

    // The export is older than what was seen, and says that it is another log's: that must not choose what is remembered.
    std::fs::write(folder.join("key.txt"), "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n")?;
    let lied = world.cli(["audit", "verify", &text(&folder), "--key", key.trim(), "--memory", &text(&memory)])?;
    ensure!(lied.status.code() == Some(12), "{lied:?}");
    Ok(())
}

/// A part of the log is evidence by itself: for whoever has the log's key, without network, and against whatever is done to it.
#[test]
fn a_period_is_believed_alone_and_nothing_can_be_done_to_it() -> Result<()> {
    let world = World::start()?;
    world.apply(&clinic(1))?;
    let mut agent = world.enroll("sakura/pc-1", &["--keystore", "file"])?;
    agent.start()?;
    world.wait_until_ready()?;
    let memory = world.path("memory");
    wait_for(PATIENCE, "records of more than one second to be covered", || {
        // The question is a record too.
        world.cli_well(["audit", "query", "--limit", "1"])?;
        let (all, covered) = (world.audit()?, records(&verify(&world, &memory)?)?);
        let is_later = |record: &&Record| record.at > all[0].at && record.sequence <= covered;
        // Two at least: they are swapped below.
        let are_enough = all.iter().filter(is_later).count() >= 2;
        Ok((all.iter().any(|record| record.action == "certificate.proven") && are_enough).then_some(()))
    })?;
    let told = world.cli_well(["audit", "exceptions", "-o", "json"])?;
    ensure!(told.trim() == "[]", "nothing was left undone, and nobody refused: {told}");

    let all = world.audit()?;
    let middle = all.iter().map(|record| record.at).find(|at| *at > all[0].at).context("it has taken more than a second")?;
    let moment = run_well(Path::new("/bin/date"), ["-u", "-d", &format!("@{middle}"), "+%Y-%m-%dT%H:%M:%SZ"])?;
    let (folder, rest) = (world.path("period"), world.path("rest"));
    world.cli_well(["audit", "export", "--since", moment.trim(), "--out", &text(&folder)])?;
    world.cli_well(["audit", "export", "--until", moment.trim(), "--out", &text(&rest)])?;
    let first = all.iter().position(|record| record.at >= middle).context("there is one")?;
    let lines = |folder: &Path| -> Result<Vec<String>> {
        Ok(std::fs::read_to_string(folder.join("records.jsonl"))?.lines().map(str::to_owned).collect())
    };
    let (before, own) = (lines(&rest)?, lines(&folder)?);
    let begins = format!("\"sequence\":{},", first + 1);
    ensure!(first > 0 && before.len() == first && own[0].contains(&begins), "{} before {}", before.len(), own[0]);
    let key = world.cli_well(["audit", "key"])?;
    let alone = || -> Result<Output> {
        Ok(Command::new(binary("tegata-verify")).arg(key.trim()).arg(".").env_clear().current_dir(&folder).output()?)
    };
    let whole = alone()?;
    ensure!(whole.status.success() && said(&whole).contains(&format!("{} records ({} to", own.len(), first + 1)), "{whole:?}");
    world.cli_well(["audit", "verify", &text(&folder), "--key", key.trim(), "--memory", &text(&memory)])?;
    ensure!(before.iter().chain(&own).any(|record| record.contains("certificate.proven")), "{before:?} {own:?}");

    let mut swapped = own.clone();
    swapped.swap(0, 1);
    for (what, records) in [("deleted", own[1..].to_vec()), ("truncated", own[..own.len() - 1].to_vec()), ("reordered", swapped)] {
        std::fs::write(folder.join("records.jsonl"), records.join("\n") + "\n")?;
        let found = alone()?;
        ensure!(found.status.code() == Some(1), "{what}: {found:?}");
        let found = world.cli(["audit", "verify", &text(&folder), "--key", key.trim(), "--memory", &text(&memory)])?;
        ensure!(found.status.code() == Some(12), "{what}: {found:?}");
    }
    Ok(())
}

/// A text that names a person is shown, taken along and checked; and then it is gone from everything but what was taken along, while all that was signed
/// stays what it was.
#[test]
fn a_text_is_erased_for_good_and_no_proof_changes() -> Result<()> {
    const REASON: &str = "sato has lost it in the train";
    let world = World::start()?;
    world.apply(&clinic(1))?;
    let mut agent = world.enroll("sakura/pc-1", &["--keystore", "file"])?;
    agent.start()?;
    world.wait_until_ready()?;
    let issued = world.audit()?.into_iter().find(|record| record.action == "certificate.issue").context("one was issued")?;
    let serial = issued.details["serial"].as_str().context("it has a serial number")?.to_owned();
    world.cli_well(["revoke", "certificate", &serial, "--note", REASON])?;
    let revoked = |record: &Record| record.action == "certificate.revoke" && record.details["note"] == REASON;
    let number = world.audit()?.iter().find(|record| revoked(record)).context("with its reason")?.sequence;

    let (memory, folder) = (world.path("memory"), world.path("export"));
    wait_for(PATIENCE, "it to be covered", || Ok((records(&verify(&world, &memory)?)? > number).then_some(())))?;
    world.cli_well(["audit", "export", "--out", &text(&folder)])?;
    let of_folder = || world.cli(["audit", "verify", &text(&folder), "--memory", &text(&memory)]);
    let holds = of_folder()?;
    ensure!(holds.status.success() && said(&holds).contains("texts are what their records commit to, 0 were erased"), "{holds:?}");
    let (texts, kept) = (folder.join("personal.jsonl"), std::fs::read_to_string(folder.join("personal.jsonl"))?);
    ensure!(kept.contains(REASON) && !std::fs::read_to_string(folder.join("records.jsonl"))?.contains(REASON), "{kept}");
    std::fs::write(&texts, kept.replace(REASON, "suzuki has lost it in the train"))?;
    let altered = of_folder()?;
    ensure!(altered.status.code() == Some(12) && failed(&altered).contains(&format!("a text of record {number}")), "{altered:?}");
    // Whoever has to forget it takes the lines out, and makes the table anew.
    let others: String = kept.lines().filter(|line| !line.contains(REASON)).map(|line| format!("{line}\n")).collect();
    std::fs::write(&texts, others)?;
    ensure!(of_folder()?.status.code() == Some(12), "the table still has it");
    world.cli_well(["audit", "report", &text(&folder)])?;
    let fewer = of_folder()?;
    ensure!(fewer.status.success() && said(&fewer).contains(" 2 were erased"), "{fewer:?}");

    let database = || -> Result<Vec<u8>> {
        let read = |name: &str| std::fs::read(world.path("server").join(name)).unwrap_or_default();
        Ok([read("tegata.db"), read("tegata.db-wal")].concat())
    };
    let has = |bytes: &[u8]| bytes.windows(REASON.len()).any(|part| part == REASON.as_bytes());
    ensure!(has(&database()?), "the search finds what is there");
    let shown = world.cli(["audit", "erase", "--text", REASON])?;
    ensure!(shown.status.code() == Some(11) && said(&shown).contains(&number.to_string()), "{shown:?}");
    world.cli_well(["audit", "erase", "--text", REASON, "--why", "she has asked for it", "--yes"])?;
    ensure!(!has(&database()?), "a copy is left in the database's files");
    let list = world.cli_well(["audit", "list", "--after", &(number - 1).to_string(), "--limit", "1"])?;
    ensure!(list.contains("(erased)") && !list.contains("sato"), "{list}");
    let told = world.audit()?.into_iter().find(|record| record.action == "audit.erase").context("it is on record")?;
    ensure!(told.details["texts"] == 2 && told.details["why"] == "she has asked for it", "{told:?}");
    let goes_on = verify(&world, &memory)?;
    ensure!(goes_on.status.success(), "{goes_on:?}");
    ensure!(of_folder()?.status.success(), "what was exported before still goes with what is there");
    Ok(())
}

fn clinic(devices: usize) -> String {
    Clinic { devices: &names("pc", devices), profiles: &names("karte", 1) }.to_yaml()
}

fn verify(world: &World, memory: &Path) -> Result<Output> {
    world.cli(["audit", "verify", "--memory", &text(memory)])
}

/// How many were found to hold.
fn records(output: &Output) -> Result<u64> {
    let said = said(output);
    let before = said.split(" records").next().and_then(|before| before.split_whitespace().last());
    before.and_then(|number| number.parse().ok()).with_context(|| format!("{output:?}"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn failed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
