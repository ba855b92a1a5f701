//! Playbooks against a real OpenSSH server, a real Tegata server and the real agent, on this machine and without changing it.

mod enroll;
mod keys;
mod lint;
mod linux;
mod many;
mod refused;
mod removal;
mod round_trip;
mod tasks;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tegata_api::v1::audit::{Record, Stage};
use tegata_api::v1::playbook::HostResult;
use tegata_tests::World;
use tegata_tests::policy::{Clinic, names};
use tegata_tests::process::run;
use tegata_tests::sshd::Sshd;

/// A world with a server, and machines that are reached by SSH.
struct Field {
    world: World,
    sshd: Sshd,
    /// How the SSH section of each device goes on after its address.
    user: String,
}

impl Field {
    /// As many machines as that, which policy knows as `sakura/pc-1` and so on, each by its key.
    fn new(machines: usize) -> Result<Self> {
        Self::with(machines, None)
    }

    fn with(machines: usize, file_max_kib: Option<u32>) -> Result<Self> {
        let world = World::start()?;
        let sshd = Sshd::start_as(&world.path("sshd"), file_max_kib, machines)?;
        Self::of(world, sshd)
    }

    /// One machine with a Linux of its own, on which anything may be installed and ended.
    fn on_linux() -> Result<Self> {
        let world = World::start()?;
        let sshd = Sshd::start_on_linux(&world.path("sshd"), &world.path(""))?;
        Self::of(world, sshd)
    }

    fn of(world: World, sshd: Sshd) -> Result<Self> {
        let user = sshd.user()?;
        let field = Self { world, sshd, user };
        field.apply(&field.pinned(), "")?;
        Ok(field)
    }

    /// `hostKeys` as they are.
    fn pinned(&self) -> String {
        format!(", hostKeys: [\"{}\"]", self.sshd.host_key("ed25519").unwrap())
    }

    /// Puts a policy in force in which each machine is known by `keys`; `more` is in the clinic's `ssh`.
    fn apply(&self, keys: &str, more: &str) -> Result<()> {
        let ports: Vec<(u16, String)> = self.sshd.ports().iter().map(|port| (*port, keys.to_owned())).collect();
        self.apply_each(&ports, more)
    }

    fn apply_each(&self, machines: &[(u16, String)], more: &str) -> Result<()> {
        let devices = names("pc", machines.len());
        let mut text = Clinic { devices: &devices, profiles: &names("karte", 1) }.to_yaml();
        for (device, (port, keys)) in devices.iter().zip(machines) {
            let plain = format!("{{ name: {device}, platform: linux }}");
            let reached = format!("{{ name: {device}, platform: linux, ssh: {{ address: 127.0.0.1, port: {port}{keys} }} }}");
            text = text.replace(&plain, &reached);
        }
        text.push_str(&format!("  ssh: {{ user: {}{more} }}\n", self.user));
        self.world.apply(&text)?;
        Ok(())
    }

    /// `tegata playbook VERB PLAYBOOK … -o json`, signing in with the right key.
    fn playbook(&self, verb: &str, playbook: &Path, more: &[&str]) -> Result<Told> {
        let key = self.sshd.key().display().to_string();
        let all = ["playbook", verb, &playbook.display().to_string(), "-o", "json", "--key", &key].map(str::to_owned);
        let all: Vec<String> = all.into_iter().chain(more.iter().map(ToString::to_string)).collect();
        Told::of(&self.world.cli(all.iter().map(String::as_str))?)
    }

    /// Writes a playbook of these tasks.
    fn write(&self, head: &str, tasks: &str) -> Result<PathBuf> {
        let text = format!(
            "apiVersion: tegata.dev/v1alpha1\nkind: Playbook\nmetadata: {{ name: try }}\nspec:\n  description: a test\n  platforms: [linux]\n{head}  tasks:\n    \
             - {{ name: facts, facts: {{}} }}\n{tasks}"
        );
        self.world.write("try.yaml", &text)?;
        Ok(self.world.path("try.yaml"))
    }

    /// What is on record of runs, oldest first.
    fn records(&self) -> Result<Vec<Record>> {
        Ok(self.world.audit()?.into_iter().filter(|record| record.action == "playbook.run").collect())
    }
}

/// What a run told.
struct Told {
    exit: i32,
    hosts: Vec<HostResult>,
    stderr: String,
}

impl Told {
    fn of(output: &Output) -> Result<Self> {
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr).into_owned());
        let told: Value = serde_json::from_str(&stdout).with_context(|| format!("no JSON: {stdout}{stderr}"))?;
        let hosts = serde_json::from_value(told["hosts"].clone())?;
        Ok(Self { exit: output.status.code().context("it was killed")?, hosts, stderr })
    }

    /// Each host as `state` or `state trouble task`.
    fn lines(&self) -> Vec<String> {
        let word = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let line = |host: &HostResult| {
            let state = word(serde_json::to_value(host.state).unwrap());
            let trouble = host.trouble.map(|trouble| format!(" {}", word(serde_json::to_value(trouble).unwrap()))).unwrap_or_default();
            let task = host.task.as_ref().map(|task| format!(" ({task})")).unwrap_or_default();
            format!("{state}{trouble}{task}")
        };
        self.hosts.iter().map(line).collect()
    }

    fn is(&self, exit: i32, lines: &[&str]) -> Result<()> {
        ensure!(self.exit == exit && self.lines() == lines, "exit code {}, {:?}\n{}", self.exit, self.lines(), self.stderr);
        Ok(())
    }
}

/// A playbook of the library.
fn library(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../playbooks").join(format!("{name}.yaml"))
}

/// Everything below a folder, but what a shell leaves there.
fn files(folder: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    let mut names: Vec<_> = found.iter().map(|path| path.strip_prefix(folder).unwrap().display().to_string()).collect();
    names.sort();
    names
}
