//! A real Chromium opens the stand-in chart with pushed certificates, and no dialog.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tegata_api::v1::fleet::Slot;
use tegata_tests::browser::Browser;
use tegata_tests::emr::Emr;
use tegata_tests::process::wait_for;
use tegata_tests::world::PATIENCE;
use tegata_tests::{Agent, World};

const SAKURA: &str = "karte-sakura.example.jp";
const MOMIJI: &str = "karte-momiji.example.jp";
/// One address for the charts of both.
const SHARED: &str = "karte.example.jp";

const OWN: &str = "sakura-naika/incho-note/karte";
const GUEST: &str = "momiji-shonika/incho-note@sakura-naika/karte";

/// Two clinics; the PC of one opens the charts of both.
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
  devices: [{ name: incho-note, platform: linux, memo: 院長室 }]
  certificates: [{ profile: karte }]
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: momiji-shonika, namespace: aozora }
spec:
  displayName: もみじ小児科
  facilitySlug: momiji
  devices: [{ name: uketsuke-1, platform: linux }]
  guests: [{ clinic: sakura-naika, device: incho-note }]
  certificates: [{ profile: karte, devices: { names: [sakura-naika/incho-note] } }]
"#;

#[test]
fn a_browser_opens_two_clinics_without_a_dialog_through_renewal_and_revocation() -> Result<()> {
    let (world, emr, mut agent) = set_up()?;
    let browser = Browser::on(&agent, emr.port())?;
    browser.trust(emr.web_authority())?;
    let (own, guest) = (slot(&world, OWN)?, slot(&world, GUEST)?);
    opens(&browser, SAKURA, &own)?;
    opens(&browser, MOMIJI, &guest)?;
    browser.picture(&format!("https://{MOMIJI}/"), &artefact("two-clinics.png")?)?;

    let first = own.serial.context("a ready slot has a serial")?;
    world.cli_well(["renew", "certificate", &first])?;
    let renewed = wait_for_another(&world, OWN, &first)?;
    opens(&browser, SAKURA, &renewed)?;

    // A revoked one is refused. The agent sleeps meanwhile, so that nothing replaces it.
    agent.kill();
    let revoked = renewed.serial.context("a ready slot has a serial")?;
    world.cli_well(["revoke", "certificate", &revoked, "--note", "end-to-end"])?;
    wait_for(PATIENCE, "the chart to refuse the revoked certificate", || {
        let visit = browser.visit(&format!("https://{SAKURA}/"))?;
        Ok((!visit.shows(&revoked)).then_some(()))
    })?;
    ensure!(browser.visit(&format!("https://{MOMIJI}/"))?.shows("momiji"), "the other clinic's chart must stay open");

    agent.start()?;
    let replaced = wait_for_another(&world, OWN, &revoked)?;
    opens(&browser, SAKURA, &replaced)
}

#[test]
fn a_browser_without_the_pushed_policy_would_have_asked() -> Result<()> {
    let (_world, emr, agent) = set_up()?;
    let browser = Browser::on(&agent, emr.port())?;
    browser.trust(emr.web_authority())?;
    std::fs::remove_file(agent.browser_policies().join("tegata.json"))?;
    let visit = browser.visit(&format!("https://{SAKURA}/"))?;
    ensure!(visit == tegata_tests::browser::Visit::Dialog, "{visit:?}");
    Ok(())
}

/// A doctor's morning in one clinic and afternoon in the other, at the same PC and the same address.
#[test]
fn one_address_of_two_clinics_shows_the_certificate_of_the_clinic_that_was_switched_to() -> Result<()> {
    let (mut world, emr, agent) = set_up_at(&POLICY.replace("karte-{facilitySlug}", "karte"), [SHARED, SHARED])?;
    let browser = Browser::on(&agent, emr.port())?;
    browser.trust(emr.web_authority())?;
    let (own, guest) = (slot(&world, OWN)?, slot(&world, GUEST)?);
    opens(&browser, SHARED, &own)?;

    // No server is needed for it.
    world.server().stop(PATIENCE)?;
    let switched = told(&agent, &["switch", "momiji-shonika", "--json"])?;
    let site = serde_json::json!({
        "site": format!("https://{SHARED}"), "clinic": "momiji-shonika", "installed": true, "clinics": ["momiji-shonika", "sakura-naika"], "alike": []
    });
    ensure!(switched["active"] == "momiji-shonika" && switched["sites"] == serde_json::json!([site]), "{switched}");
    opens(&browser, SHARED, &guest)?;
    browser.picture(&format!("https://{SHARED}/"), &artefact("switched-clinic.png")?)?;
    let unknown = agent.command(["switch", "himawari"])?;
    let said = String::from_utf8(unknown.stderr)?;
    ensure!(unknown.status.code() == Some(1) && said.contains("momiji-shonika, sakura-naika"), "{said}");

    // Both go on being renewed and proven, and the running agent never brings the other clinic's rules back.
    world.start_server()?;
    for slot in [&own, &guest] {
        world.cli_well(["renew", "certificate", slot.serial.as_deref().context("a ready slot has a serial")?])?;
    }
    let renewed =
        [(OWN, &own), (GUEST, &guest)].map(|(name, old)| wait_for_another(&world, name, old.serial.as_deref().unwrap_or_default()));
    let [own, guest] = renewed;
    let (own, guest) = (own?, guest?);
    opens(&browser, SHARED, &guest)?;
    let status = told(&agent, &["status", "-o", "json"])?;
    ensure!(status["activeClinic"] == "momiji-shonika", "{status}");

    ensure!(told(&agent, &["switch", "sakura-naika", "--json"])?["active"] == "sakura-naika");
    opens(&browser, SHARED, &own)
}

/// What the agent's command answers to programs.
fn told(agent: &Agent, command: &[&str]) -> Result<serde_json::Value> {
    let output = agent.command(command.iter().copied())?;
    ensure!(output.status.success(), "{command:?}: {output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn set_up() -> Result<(World, Emr, Agent)> {
    set_up_at(POLICY, [SAKURA, MOMIJI])
}

/// The two clinics' charts at these hosts, and the PC that opens both.
fn set_up_at(policy: &str, [sakura, momiji]: [&str; 2]) -> Result<(World, Emr, Agent)> {
    let world = World::start()?;
    world.apply(policy)?;
    let emr = Emr::start(
        &world,
        &[&format!("{sakura}=aozora-ca:sakura:さくら内科クリニック"), &format!("{momiji}=aozora-ca:momiji:もみじ小児科")],
    )?;
    let mut settings = emr.settings(&[sakura, momiji]);
    settings.extend(["--keystore".into(), "nss".into()]);
    let mut agent = world.enroll("sakura-naika/incho-note", &settings.iter().map(String::as_str).collect::<Vec<_>>())?;
    agent.start()?;
    wait_for(PATIENCE, "both slots of the PC to be ready", || {
        let slots: Vec<Slot> = world.ask(["get", "slots"])?;
        Ok((slots.iter().filter(|slot| slot.state == "ready").count() == 2).then_some(()))
    })
    .with_context(|| std::fs::read_to_string(agent.log()).unwrap_or_default())?;
    Ok((world, emr, agent))
}

fn slot(world: &World, name: &str) -> Result<Slot> {
    let slots: Vec<Slot> = world.ask(["get", "slots"])?;
    slots.into_iter().find(|slot| slot.name == name).with_context(|| format!("there is no slot {name}"))
}

/// Waits until a slot is ready with another certificate, and the one before is off the device.
fn wait_for_another(world: &World, name: &str, old: &str) -> Result<Slot> {
    wait_for(PATIENCE, "another certificate", || {
        let slot = slot(world, name)?;
        Ok((slot.state == "ready" && slot.serial.as_deref() != Some(old)).then_some(slot))
    })
}

fn opens(browser: &Browser, host: &str, slot: &Slot) -> Result<()> {
    let serial = slot.serial.as_deref().context("a ready slot has a serial")?;
    let visit = browser.visit(&format!("https://{host}/"))?;
    ensure!(visit.shows(serial), "{host} should have been opened with {serial}: {visit:?}");
    Ok(())
}

/// Where pictures are kept for people to look at.
fn artefact(name: &str) -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/artefacts");
    std::fs::create_dir_all(&folder)?;
    Ok(folder.canonicalize()?.join(name))
}
