//! A run: on record, carried out, on record again, and shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use tegata_api::hint::visible;
use tegata_api::v1::fleet::{CodeAnswer, CodeKind, CodeRequest};
use tegata_api::v1::playbook::{BeginRun, EndRun, HostResult, HostState, Mode, RunBegun, TrustKey};
use tegata_core::name::DeviceId;
use tegata_playbook::{Event, Host, Options, Playbook, Report, Server, Word};
use tegata_ssh::HostKey;
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::{Field, Table};

/// What is shown of a run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'a> {
    run: &'a str,
    playbook: &'a str,
    mode: Mode,
    hosts: &'a [HostResult],
}

/// Carries a playbook out. No host is spoken to before the server has it on record.
pub async fn carry_out(
    global: &Global,
    session: &Session,
    playbook: &Playbook,
    hosts: &[Host],
    options: &Options,
) -> Result<Exit, Failure> {
    let wish = BeginRun {
        playbook: playbook.name().to_owned(),
        sha256: playbook.sha256().to_string(),
        mode: options.mode,
        hosts: hosts.iter().map(Host::name).collect(),
    };
    let RunBegun { run } = session.post("playbooks/runs", &wish).await?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let listening = tokio::spawn(listen(Arc::clone(&interrupted)));
    let server = Bridge { session, handle: Handle::current() };
    let report = tokio::task::block_in_place(|| tegata_playbook::run(playbook, hosts, options, &server, &interrupted, &tell));
    listening.abort();
    let ended = EndRun { playbook: playbook.name().to_owned(), hosts: report.hosts.clone() };
    let recorded = session.tell(&format!("playbooks/runs/{run}/end"), &ended).await;
    let told = Told { run: &run, playbook: playbook.name(), mode: options.mode, hosts: &report.hosts };
    output::show(global, &told, |look| table(&report, look))?;
    recorded?;
    Ok(exit(&report))
}

/// Ctrl-C once: no further task is begun, and what is under way is ended properly.
async fn listen(interrupted: Arc<AtomicBool>) {
    if tokio::signal::ctrl_c().await.is_ok() {
        eprintln!("Ending after the tasks that are under way.");
        interrupted.store(true, Ordering::Relaxed);
    }
}

fn exit(report: &Report) -> Exit {
    let any = |states: &[HostState]| states.iter().any(|state| report.count(*state) > 0);
    if any(&[HostState::Failed, HostState::NotBegun]) {
        Exit::Hosts
    } else if any(&[HostState::WouldChange]) {
        Exit::Changes
    } else {
        Exit::Fine
    }
}

/// Says on standard error what goes on, a line for each thing that changed and each host.
fn tell(event: Event<'_>) {
    match event {
        Event::Trusted { host, fingerprint } => {
            eprintln!("{}  its key {fingerprint} was seen for the first time; from now on no other is believed", host.name());
        }
        Event::Task { word: Word::Skipped | Word::Unchanged, .. } => {}
        Event::Task { host, task, word, diff } => {
            let word = if word == Word::WouldChange { "would change" } else { "changed" };
            let diff = diff.unwrap_or_default().lines().map(|line| format!("\n    {}", visible(line))).collect::<String>();
            eprintln!("{}  {word}: {}{diff}", host.name(), visible(task));
        }
        Event::Host { result, told } => {
            let why = told.unwrap_or_default().lines().map(|line| format!("\n    {}", visible(line))).collect::<String>();
            eprintln!("{}  {}{why}", result.host, word(result.state));
        }
    }
}

fn word(state: HostState) -> &'static str {
    match state {
        HostState::Unchanged => "unchanged",
        HostState::Changed => "changed",
        HostState::WouldChange => "would change",
        HostState::Failed => "failed",
        HostState::NotBegun => "not begun",
    }
}

fn table(report: &Report, look: &Look) -> String {
    let mut table = Table::new(look, ["HOST", "STATE", "CHANGED", "TROUBLE", "TASK"]);
    for host in &report.hosts {
        let trouble = host.trouble.and_then(|trouble| serde_json::to_value(trouble).ok()?.as_str().map(str::to_owned));
        let state = Field::State(word(host.state).to_owned());
        table.row([host.host.clone().into(), state, host.changed.to_string().into(), trouble.into(), host.task.clone().into()]);
    }
    let states = [HostState::Unchanged, HostState::Changed, HostState::WouldChange, HostState::Failed, HostState::NotBegun];
    let counts = states.map(|state| (report.count(state), word(state))).into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    format!("{}\n\n{} hosts: {}", table.or(""), report.hosts.len(), counts.join(", "))
}

/// What threads that may block ask of the server.
struct Bridge<'a> {
    session: &'a Session,
    handle: Handle,
}

impl Server for Bridge<'_> {
    fn code(&self, device: &DeviceId) -> Result<Zeroizing<String>, String> {
        let asked = async {
            let answer: CodeAnswer = self.session.post(&format!("devices/{device}/code"), &CodeRequest { kind: CodeKind::Join }).await?;
            Ok(Zeroizing::new(answer.code))
        };
        self.handle.block_on(asked).map_err(|failure: Failure| failure.to_string())
    }

    fn trust(&self, device: &DeviceId, key: &HostKey) -> Result<(), String> {
        let shown = TrustKey { key: key.to_string(), fingerprint: key.fingerprint() };
        let path = format!("playbooks/host-keys/{device}");
        let told = self.session.tell(&path, &shown);
        self.handle.block_on(told).map_err(|failure| failure.to_string())
    }
}
