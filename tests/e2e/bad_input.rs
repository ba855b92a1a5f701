//! Bad documents: every file of the corpus is refused by command line and server alike, nothing is applied, nobody falls over.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use tegata_api::client::{Client, ClientError, Credentials};
use tegata_api::v1::fleet::{ApplyRequest, Clinic, Documents, File, Preview};
use tegata_api::v1::problem::Code;
use tegata_tests::World;

/// The most that a process may hold after everything was thrown at it, in KiB.
const MEMORY_MAX: u64 = 64 * 1024;

#[test]
fn every_bad_file_is_refused_and_nothing_is_applied() -> Result<()> {
    let mut world = World::start()?;
    let files = corpus()?;
    ensure!(files.len() >= 60, "the corpus has only {} files", files.len());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let access = world.access()?;
    let client = Client::new(&access.server, &access.authority, Credentials::Token(access.token))?;
    for (name, text) in &files {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("bad-input").join(name);
        let output = world.cli(["apply", "-f", path.to_str().context("a readable path")?])?;
        ensure!(output.status.code() == Some(3), "{name}: {output:?}");
        runtime.block_on(refused_by_server(&client, name, text))?;
    }
    ensure!(world.server().runs(), "the server fell over");
    let clinics: Vec<Clinic> = world.ask(["get", "clinics"])?;
    ensure!(clinics.is_empty(), "something was applied: {clinics:?}");
    let peak = peak_kib(world.server().id())?;
    ensure!(peak < MEMORY_MAX, "the server grew to {peak} KiB");
    Ok(())
}

async fn refused_by_server(client: &Client, name: &str, text: &str) -> Result<()> {
    let documents = Documents { files: vec![File { name: name.to_owned(), text: text.to_owned() }], prune: false };
    let answer: Result<Preview, _> =
        client.post("/v1/tenants/aozora/apply", &ApplyRequest { documents, allow_lockout: 1000, allow_over_quota: 0 }).await;
    match answer {
        Err(ClientError::Refused(problem)) if problem.code == Code::InvalidDocuments && !problem.findings.is_empty() => Ok(()),
        other => anyhow::bail!("{name}: {other:?}"),
    }
}

/// Every file that a JSON request can carry: all but those that are not UTF-8.
fn corpus() -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("bad-input"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml")
            && let Ok(text) = fs::read_to_string(&path)
        {
            files.push((path.file_name().context("a file has a name")?.to_string_lossy().into_owned(), text));
        }
    }
    Ok(files)
}

fn peak_kib(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
