//! The doctor on a real PC: server, agent, NSS and chart are real, one thing is broken at a time, and it names that.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tegata_api::v1::fleet::Slot;
use tegata_tests::emr::Emr;
use tegata_tests::process::wait_for;
use tegata_tests::world::PATIENCE;
use tegata_tests::{Agent, World};

const CHART: &str = "karte-sakura.example.jp";

const POLICY: &str = r#"
apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: aozora-ca, namespace: aozora }
spec: { type: ca, commonName: Aozora Clinic CA }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: karte, namespace: aozora }
spec:
  issuer: aozora-ca
  key: { origin: device, algorithm: ecdsa-p256 }
  validity: 90d
  renewal: { window: 30d, when: early }
  install: { stores: [browser] }
  browser: { select: ["https://karte-{facilitySlug}.example.jp"] }
  probe: { url: "https://karte-{facilitySlug}.example.jp/" }
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura-naika, namespace: aozora }
spec:
  displayName: さくら内科クリニック
  facilitySlug: sakura
  devices: [{ name: uketsuke-1, platform: linux, memo: 受付1番 }]
  certificates: [{ profile: karte }]
"#;

#[test]
fn the_doctor_names_what_was_broken_and_nothing_when_nothing_is() -> Result<()> {
    let (mut world, emr, mut agent) = set_up()?;
    let well = told(&agent)?;
    ensure!(well == json!({ "exitCode": 0, "findings": [], "unchecked": [] }), "{well:#}");

    // What staff have it look at, the server is told.
    names(&agent, "wrong-browser", 17, |agent| prefer(agent, "firefox-esr.desktop"))?;
    wait_for(PATIENCE, "the server to be told the cause", || {
        let devices: Value = world.ask(["get", "devices"])?;
        Ok((devices[0]["diagnosis"]["findings"] == json!([{ "cause": "wrong-browser", "certainty": "likely" }])).then_some(()))
    })?;

    // Nobody heals anything from here on.
    agent.kill();
    prefer(&agent, "google-chrome.desktop")?;

    let serial = slot(&world)?.serial.context("a ready slot has a serial")?;
    world.cli_well(["revoke", "certificate", &serial, "--note", "end-to-end"])?;
    wait_for(PATIENCE, "the doctor and the chart to hear of the revocation", || {
        Ok((first(&told(&agent)?) == "revoked" && emr.visits()?.contains("Revoked")).then_some(()))
    })?;

    // Without the server and its list: the chart still refuses the certificate, and it had opened before.
    world.server().stop(PATIENCE)?;
    let offline = told(&agent)?;
    ensure!(first(&offline) == "revoked" && offline["exitCode"] == 11, "{offline:#}");

    names(&agent, "key-unusable", 15, |agent| {
        let listed = certutil(agent, &["-K"])?;
        let key = listed.split_whitespace().find(|word| word.len() == 40).with_context(|| listed.clone())?.to_owned();
        certutil(agent, &["-F", "-k", &key]).map(drop)
    })?;
    names(&agent, "missing", 14, |agent| Ok(fs::remove_file(database(agent).join("cert9.db"))?))
}

/// Breaks one thing, and expects this cause first.
fn names(agent: &Agent, cause: &str, exit_code: i32, broken: impl FnOnce(&Agent) -> Result<()>) -> Result<()> {
    broken(agent)?;
    let told = told(agent)?;
    ensure!(first(&told) == cause && told["exitCode"] == exit_code, "{cause} was expected: {told:#}");
    Ok(())
}

fn first(told: &Value) -> &str {
    told["findings"][0]["cause"].as_str().unwrap_or_default()
}

/// What the doctor answers to programs; its exit code is the one that it tells.
fn told(agent: &Agent) -> Result<Value> {
    let output = agent.command(["doctor", "--json"])?;
    let told: Value = serde_json::from_slice(&output.stdout).with_context(|| format!("{output:?}"))?;
    ensure!(told["exitCode"] == output.status.code().unwrap_or(-1), "{output:?}");
    Ok(told)
}

/// Has links opened with this program.
fn prefer(agent: &Agent, program: &str) -> Result<()> {
    let list = format!("[Default Applications]\nx-scheme-handler/https={program}\n");
    Ok(fs::write(agent.home().join(".config/mimeapps.list"), list)?)
}

fn database(agent: &Agent) -> PathBuf {
    agent.home().join(".local/share/pki/nssdb")
}

fn certutil(agent: &Agent, arguments: &[&str]) -> Result<String> {
    let database = format!("sql:{}", database(agent).display());
    let output = Command::new("certutil").args(arguments).args(["-d", &database]).output().context("certutil is missing")?;
    ensure!(output.status.success(), "certutil {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A PC whose chart opens, and whose user has a browser with a bookmark.
fn set_up() -> Result<(World, Emr, Agent)> {
    let world = World::start()?;
    world.apply(POLICY)?;
    let emr = Emr::start(&world, &[&format!("{CHART}=aozora-ca:sakura:さくら内科クリニック")])?;
    let mut settings = emr.settings(&[CHART]);
    settings.extend(["--keystore".into(), "nss".into()]);
    let mut agent = world.enroll("sakura-naika/uketsuke-1", &settings.iter().map(String::as_str).collect::<Vec<_>>())?;
    let profile = agent.home().join(".config/google-chrome/Default");
    fs::create_dir_all(&profile)?;
    let page = json!({ "type": "url", "name": "カルテ", "url": format!("https://{CHART}/") });
    fs::write(profile.join("Bookmarks"), json!({ "roots": { "bookmark_bar": { "children": [page] } } }).to_string())?;
    fs::write(profile.join("Preferences"), "{}")?;
    prefer(&agent, "google-chrome.desktop")?;
    agent.start()?;
    world.wait_until_ready()?;
    Ok((world, emr, agent))
}

fn slot(world: &World) -> Result<Slot> {
    let slots: Vec<Slot> = world.ask(["get", "slots"])?;
    slots.into_iter().next().context("there is no slot")
}
