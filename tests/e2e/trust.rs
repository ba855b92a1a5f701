//! A root that policy pins, in a real browser's store: there once it is pinned, with a receipt, and gone once it is not any more.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tegata_pki::certificate;
use tegata_tests::process::{run_well, wait_for};
use tegata_tests::world::PATIENCE;
use tegata_tests::{Agent, World};

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
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura-naika, namespace: aozora }
spec:
  displayName: さくら内科クリニック
  facilitySlug: sakura
  devices: [{ name: uketsuke-1, platform: linux }]
  certificates: [{ profile: karte }]
"#;

#[test]
fn a_root_is_trusted_while_policy_pins_it() -> Result<()> {
    let world = World::start()?;
    world.apply(POLICY)?;
    let mut agent = world.enroll("sakura-naika/uketsuke-1", &["--keystore", "nss"])?;
    agent.start()?;
    world.wait_until_ready()?;
    ensure!(!flags(&agent)?.contains("C,,"), "nothing was pinned yet");

    let ([issuing, root], file) = (pins(&world)?, world.path("aozora-ca.pem"));
    let pinned = POLICY.replace("  browser: ", &format!("  trust: [{issuing}, {root}]\n  browser: "));
    world.apply(&pinned)?;
    wait_for(PATIENCE, "the PC to say that nobody has granted it", || {
        Ok((states(&world)? == ["not-a-root", "needs-administrator"]).then_some(()))
    })?;
    ensure!(!flags(&agent)?.contains("C,,"), "no server decides that alone");
    let granted = agent.command(["trust", "--file", &file.display().to_string()])?;
    ensure!(granted.status.success(), "{granted:?}");
    wait_for(PATIENCE, "the root to be trusted", || Ok((states(&world)? == ["not-a-root", "trusted"]).then_some(())))?;
    ensure!(flags(&agent)?.matches("C,,").count() == 1, "only what has signed itself: {}", flags(&agent)?);
    // A policy that says the same again changes nothing.
    world.apply(&format!("{pinned}# again\n"))?;

    world.apply(POLICY)?;
    wait_for(PATIENCE, "the root to be gone", || Ok((!flags(&agent)?.contains("C,,")).then_some(())))?;
    wait_for(PATIENCE, "both receipts to be on record", || {
        let actions: Vec<String> = world.audit()?.into_iter().map(|record| record.action).collect();
        let roots: Vec<&str> = actions.iter().map(String::as_str).filter(|action| action.starts_with("root.")).collect();
        Ok((roots == ["root.trust", "root.trust", "root.trusted", "root.distrust", "root.distrust", "root.distrusted"]).then_some(()))
    })
}

/// What the device says of its roots, in the order of the two pins.
fn states(world: &World) -> Result<Vec<String>> {
    let detail: Value = world.ask(["describe", "device", "sakura-naika/uketsuke-1"])?;
    let [issuing, root] = pins(world)?;
    let state = |pin: &str| detail["roots"].as_array()?.iter().find(|told| told["sha256"] == pin)?["state"].as_str();
    Ok([issuing, root].iter().filter_map(|pin| Some(state(pin)?.to_owned())).collect())
}

/// SHA-256 of the issuing authority and of the root, as the server hands them out.
fn pins(world: &World) -> Result<[String; 2]> {
    let (access, file) = (world.access()?, world.path("server-authority.pem"));
    fs::write(&file, &access.authority)?;
    let url = format!("{}/ca/aozora/aozora-ca.pem", access.server);
    let pem = run_well(Path::new("curl"), ["--silent", "--fail", "--cacert", &file.display().to_string(), &url])?;
    fs::write(world.path("aozora-ca.pem"), &pem)?;
    let read = certificate::read_pem(&pem)?;
    let pins: Vec<String> = read.iter().map(|one| one.fingerprint.to_string()).collect();
    pins.try_into().ok().context("two authorities were expected")
}

/// The table of the browser's store.
fn flags(agent: &Agent) -> Result<String> {
    let database = format!("sql:{}", agent.home().join(".local/share/pki/nssdb").display());
    run_well(Path::new("certutil"), ["-L", "-d", &database])
}
