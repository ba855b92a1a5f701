//! What goes wrong is told for each host, and leaves nothing half done.

use std::net::TcpListener;
use std::time::Duration;

use anyhow::{Result, ensure};
use tegata_tests::line::cut_after;
use tegata_tests::process::{Process, binary, free_port};

use super::*;

const COPY: &str = "    - { name: file, copy: { from: note.txt, to: \"{{ facts.home }}/folder/note.txt\" } }\n";

#[test]
fn each_host_tells_its_own_trouble_and_the_others_go_on() -> Result<()> {
    let field = Field::new(3)?;
    let silent = TcpListener::bind("127.0.0.1:0")?;
    let key = field.pinned();
    let ports = field.sshd.ports();
    let machines = [ports[0], free_port()?, ports[1], silent.local_addr()?.port(), ports[2]].map(|port| (port, key.clone()));
    field.apply_each(&machines, "")?;
    field.world.write("note.txt", "x")?;
    // On the third machine there is a file where a folder has to be.
    fs::write(field.sshd.home(1).join("folder"), "in the way")?;
    let playbook = field.write("  maxFail: 9\n", COPY)?;
    let told = field.playbook("run", &playbook, &["--patience", "2"])?;
    told.is(9, &["changed", "failed unreachable", "failed forbidden (file)", "failed slow", "changed"])?;
    let records = field.records()?;
    let hosts = &records.last().context("nothing is on record")?.details["hosts"];
    ensure!(hosts[1]["trouble"] == "unreachable" && hosts[3]["trouble"] == "slow" && hosts[4]["state"] == "changed", "{hosts}");
    // Who is let in nowhere.
    let other = Sshd::start(&field.world.path("other"))?;
    let printed = field.world.cli([
        "playbook",
        "run",
        &playbook.display().to_string(),
        "-o",
        "json",
        "--limit",
        "device=sakura/pc-1",
        "--key",
        &other.key().display().to_string(),
    ])?;
    Told::of(&printed)?.is(9, &["failed sign-in-refused"])
}

#[test]
fn a_script_that_does_not_end_is_not_waited_for() -> Result<()> {
    let field = Field::new(1)?;
    field.world.write("sleep.sh", "sleep 60")?;
    let task = "    - { name: sleep, secondsMax: 2, run: { script: sleep.sh, creates: /nowhere } }\n";
    // Had it been waited for, it would have ended well.
    field.playbook("run", &field.write("", task)?, &[])?.is(9, &["failed slow (sleep)"])
}

#[test]
fn a_full_disk_leaves_what_was_there() -> Result<()> {
    let field = Field::with(1, Some(512))?;
    let (playbook, target) = (field.write("", COPY)?, field.sshd.home(0).join("folder/note.txt"));
    field.world.write("note.txt", "before")?;
    field.playbook("run", &playbook, &[])?.is(0, &["changed"])?;
    field.world.write("note.txt", &"x".repeat(1 << 20))?;
    let told = field.playbook("run", &playbook, &[])?;
    told.is(9, &["failed disk-full (file)"])?;
    ensure!(fs::read_to_string(&target)? == "before" && files(&field.sshd.home(0)) == ["folder/note.txt"]);
    Ok(())
}

#[test]
fn a_line_that_is_cut_in_the_middle_leaves_what_was_there_and_the_next_run_ends_it() -> Result<()> {
    let field = Field::new(1)?;
    let (playbook, target) = (field.write("", COPY)?, field.sshd.home(0).join("folder/note.txt"));
    field.world.write("note.txt", "before")?;
    field.playbook("run", &playbook, &[])?.is(0, &["changed"])?;
    field.world.write("note.txt", &"x".repeat(8 << 20))?;
    field.apply_each(&[(cut_after(field.sshd.port(), 3_000_000), field.pinned())], "")?;
    field.playbook("run", &playbook, &[])?.is(9, &["failed unreachable (file)"])?;
    ensure!(fs::read_to_string(&target)? == "before");
    field.apply(&field.pinned(), "")?;
    field.playbook("run", &playbook, &[])?.is(0, &["changed"])?;
    ensure!(fs::metadata(&target)?.len() == 8 << 20 && files(&field.sshd.home(0)) == ["folder/note.txt"]);
    Ok(())
}

#[test]
fn a_run_that_is_killed_leaves_nothing_half_done_and_is_seen_on_record() -> Result<()> {
    let field = Field::new(1)?;
    let (playbook, target) = (field.write("", COPY)?, field.sshd.home(0).join("folder/note.txt"));
    field.world.write("note.txt", &"x".repeat(64 << 20))?;
    let key = field.sshd.key().display().to_string();
    let arguments = field.world.arguments(["playbook", "run", playbook.to_str().unwrap(), "--key", &key]);
    let mut process = Process::start(&binary("tegata"), arguments, &field.world.path("run.log"))?;
    let part = field.sshd.home(0).join("folder/.note.txt.tegata-part");
    tegata_tests::process::wait_for(Duration::from_secs(60), "the file to be on its way", || {
        Ok(fs::metadata(&part).is_ok_and(|part| part.len() > 1 << 20).then_some(()))
    })?;
    process.kill();
    tegata_tests::process::wait_for(Duration::from_secs(20), "the host to clean up", || Ok((!part.exists()).then_some(())))?;
    ensure!(!target.exists(), "half a file is there");
    let records = field.records()?;
    ensure!(records.len() == 1 && records[0].stage == Stage::Intended, "what was begun and not ended is seen: {records:?}");
    field.playbook("run", &playbook, &[])?.is(0, &["changed"])?;
    ensure!(fs::metadata(&target)?.len() == 64 << 20);
    Ok(())
}

#[test]
fn who_is_interrupted_ends_the_task_that_is_under_way_and_begins_no_other() -> Result<()> {
    let field = Field::new(2)?;
    field.world.write("slow.sh", ": >\"$HOME/begun\"; sleep 2; : >\"$HOME/done\"")?;
    let tasks = "    - { name: slow, run: { script: slow.sh, creates: /nowhere } }\n    - { name: next, run: { script: slow.sh, creates: /nowhere } }\n";
    let playbook = field.write("  serial: [1]\n", tasks)?;
    let key = field.sshd.key().display().to_string();
    let log = field.world.path("run.log");
    let arguments = field.world.arguments(["playbook", "run", playbook.to_str().unwrap(), "--key", &key]);
    let mut process = Process::start(&binary("tegata"), arguments, &log)?;
    let begun = field.sshd.home(0).join("begun");
    tegata_tests::process::wait_for(Duration::from_secs(20), "the first task to begin", || Ok(begun.exists().then_some(())))?;
    ensure!(std::process::Command::new("kill").args(["-INT", &process.id().to_string()]).status()?.success());
    let ended = process.wait(Duration::from_secs(20))?;
    ensure!(ended.code() == Some(9), "{ended}: {}", fs::read_to_string(&log)?);
    let hosts = &field.records()?.pop().context("nothing is on record")?.details["hosts"];
    ensure!(hosts[0]["trouble"] == "interrupted" && hosts[0]["task"] == "next" && hosts[1]["state"] == "not-begun", "{hosts}");
    ensure!(field.sshd.home(0).join("done").exists() && !field.sshd.home(1).join("done").exists());
    Ok(())
}

#[test]
fn too_many_failures_end_the_waves() -> Result<()> {
    let field = Field::new(3)?;
    let machines: Vec<_> = [free_port()?, field.sshd.port(), field.sshd.ports()[1]].map(|port| (port, field.pinned())).into();
    field.apply_each(&machines, "")?;
    field.world.write("note.txt", "x")?;
    let stops = field.playbook("run", &field.write("  serial: [1]\n", COPY)?, &[])?;
    stops.is(9, &["failed unreachable", "not-begun too-many-failures", "not-begun too-many-failures"])?;
    let goes_on = field.playbook("run", &field.write("  serial: [1]\n  maxFail: 1\n", COPY)?, &[])?;
    goes_on.is(9, &["failed unreachable", "changed", "changed"])
}
