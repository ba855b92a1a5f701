//! A Linux PC becomes a device.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use tegata_tests::process::{Process, binary};

use super::*;

fn home(field: &Field, machine: usize) -> PathBuf {
    field.sshd.home(machine)
}

/// What the playbook needs to know here: files as keystore, and browser policies that are not this machine's.
fn variables(field: &Field) -> Vec<String> {
    let (agent, policies) = (binary("tegata-agent"), field.world.path("policies"));
    let all = [format!("agent={}", agent.display()), format!("browserPolicies={}", policies.display()), "keystore=file".to_owned()];
    all.into_iter().flat_map(|variable| ["--var".to_owned(), variable]).collect()
}

#[test]
fn the_first_run_makes_a_device_and_the_second_changes_nothing() -> Result<()> {
    let field = Field::new(1)?;
    let variables = variables(&field);
    let variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    let playbook = library("enroll-linux");

    let looked = field.playbook("check", &playbook, &variables)?;
    looked.is(10, &["would-change"])?;
    ensure!(files(&home(&field, 0)).is_empty(), "a check has left {:?}", files(&home(&field, 0)));

    let first = field.playbook("run", &playbook, &variables)?;
    first.is(0, &["changed"])?;
    ensure!(first.hosts[0].changed == 2, "{}", first.stderr);
    let before = files(&home(&field, 0));
    let second = field.playbook("run", &playbook, &variables)?;
    second.is(0, &["unchanged"])?;
    ensure!(files(&home(&field, 0)) == before);
    field.playbook("check", &playbook, &variables)?.is(0, &["unchanged"])?;

    // What systemd does at logon.
    let program = home(&field, 0).join(".local/bin/tegata-agent");
    let state = home(&field, 0).join(".local/state/tegata-agent");
    let arguments = ["run".into(), "--state".into(), state.into_os_string()];
    let _agent = Process::start(&program, arguments, &field.world.path("agent.log"))?;
    field.world.wait_until_ready()?;

    let records = field.records()?;
    let stages: Vec<Stage> = records.iter().map(|record| record.stage).collect();
    ensure!(stages == [Stage::Intended, Stage::Done].repeat(4), "{stages:?}");
    ensure!(records[3].details["hosts"][0]["state"] == "changed" && records[3].object.starts_with("playbooks/enroll-linux@"));
    let codes = field.world.audit()?.iter().filter(|record| record.action == "device.code").count();
    ensure!(codes == 1, "a code is made for a host that needs one, and for no other: {codes}");
    Ok(())
}

#[test]
fn a_pc_that_is_another_device_already_is_left_alone() -> Result<()> {
    let field = Field::new(2)?;
    let variables = variables(&field);
    let mut variables: Vec<&str> = variables.iter().map(String::as_str).collect();
    variables.extend(["--limit", "device=sakura/pc-1"]);
    field.playbook("run", &library("enroll-linux"), &variables)?.is(0, &["changed"])?;
    // Policy now says that the same machine is another device.
    let swapped: Vec<_> = field.sshd.ports().iter().rev().map(|port| (*port, field.pinned())).collect();
    field.apply_each(&swapped, "")?;
    let last = variables.len() - 1;
    variables[last] = "device=sakura/pc-2";
    let told = field.playbook("run", &library("enroll-linux"), &variables)?;
    told.is(9, &["failed other-device (enrolment)"])?;
    ensure!(told.stderr.contains("it is enrolled as sakura/pc-1"), "{}", told.stderr);
    Ok(())
}
