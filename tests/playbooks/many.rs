//! Many hosts at once.

use std::time::Instant;

use anyhow::{Result, ensure};

use super::*;

/// How many machines there are.
const MACHINES: usize = 30;

#[test]
fn thirty_hosts_at_once_each_get_what_is_theirs() -> Result<()> {
    let field = Field::new(MACHINES)?;
    field.world.write("note.json", "{ \"host\": {{ host.name | json }}, \"clinic\": {{ clinic.displayName | json }} }\n")?;
    let task = "    - { name: note, template: { from: note.json, to: \"{{ facts.home }}/note.json\", mode: \"0600\" } }\n";
    let playbook = field.write("", task)?;
    let start = Instant::now();
    let told = field.playbook("run", &playbook, &["--parallel", "30"])?;
    eprintln!("{MACHINES} hosts in {:.1} s", start.elapsed().as_secs_f64());
    told.is(0, &["changed"; MACHINES])?;
    for machine in 0..MACHINES {
        let note: Value = serde_json::from_slice(&fs::read(field.sshd.home(machine).join("note.json"))?)?;
        ensure!(note["host"] == format!("sakura/pc-{}", machine + 1) && note["clinic"] == "さくら内科クリニック", "{note}");
    }
    field.playbook("run", &playbook, &["--parallel", "30"])?.is(0, &["unchanged"; MACHINES])?;
    let last = field.records()?.pop().context("nothing is on record")?;
    ensure!(last.details["hosts"].as_array().is_some_and(|hosts| hosts.len() == MACHINES));
    ensure!(last.details["hosts"].as_array().into_iter().flatten().all(|host| host["state"] == "unchanged"));
    Ok(())
}
