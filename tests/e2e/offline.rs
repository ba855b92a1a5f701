//! Two PCs that never reach the server after they have enrolled: everything between it and them is files, as on a USB stick.

use std::fs;
use std::path::Path;
use std::process::Output;

use anyhow::{Context, Result, ensure};
use data_encoding::BASE64;
use serde_json::Value;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::fleet::Slot;
use tegata_api::v1::offline::{AnswerTaken, OfflineBundle, SignedBundle};
use tegata_pki::bundle::{self, DeviceKey};
use tegata_tests::process::{binary, run, run_well, wait_for};
use tegata_tests::world::PATIENCE;
use tegata_tests::{Agent, World};

use crate::vendor::{self, Vendor};

/// Beside the vendor's certificate, one that Tegata issues itself.
const OWN: &str = "---
apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: own-ca }
spec: { type: ca, commonName: Sakura Clinic CA }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: karte }
spec:
  issuer: own-ca
  key: { origin: device, algorithm: ecdsa-p256 }
  validity: 90d
  renewal: { window: 30d, when: early }
  install: { stores: [file] }
";

#[test]
fn certificates_reach_a_pc_without_a_network_by_files_and_its_receipts_come_home() -> Result<()> {
    let (mut world, pc, other) = set_up()?;
    let (first, second) = (export(&world, "sakura/uketsuke-1", "1.json")?, world.path("2.json"));
    world.server().stop(PATIENCE)?;

    let applied = apply(&pc, &first)?;
    ensure!(applied.status.success(), "{applied:?}");
    let told: Value = serde_json::from_slice(&applied.stdout)?;
    ensure!(stage(&told, "weborca") == Some("settled") && told["waiting"] == serde_json::json!(["sakura/uketsuke-1/karte"]), "{told}");
    ensure!(pc.stored_certificates()?.len() == 1, "the vendor's");
    others_cannot_use(&world, &first, &pc, &other)?;

    world.start_server()?;
    let taken: AnswerTaken = accept(&world, &world.path("1.answer.json"))?;
    ensure!((taken.up_to, taken.issued.len(), taken.refused.len()) == (2, 1, 0), "{taken:?}");
    ensure!(vendor::state(&world)?.as_deref() == Some("dependants-open"), "proven; only the linkage tool is left");

    ensure!(export(&world, "sakura/uketsuke-1", "2.json")? == second);
    world.server().stop(PATIENCE)?;
    let applied = apply(&pc, &second)?;
    ensure!(applied.status.success() && pc.stored_certificates()?.len() == 2, "{applied:?}");
    ensure!(refused(&apply(&pc, &world.path("early.json"))?)?.contains("the file is old"));
    let status = run_well(&binary("tegata-agent"), ["status".into(), "--state".into(), pc.state()])?;
    ensure!(status.contains("Server: by files") && status.contains("All is well"), "{status}");

    world.start_server()?;
    for _ in 0..2 {
        ensure!(accept(&world, &world.path("2.answer.json"))?.up_to == 4);
    }
    let slots: Vec<Slot> = world.ask(["get", "slots"])?;
    let karte = slots.iter().find(|slot| slot.name == "sakura/uketsuke-1/karte").context("there is such a slot")?;
    ensure!(karte.state == "ready", "{karte:?}");
    let audit = world.audit()?;
    let count = |action: &str, stage| audit.iter().filter(|record| record.action == action && record.stage == stage).count();
    ensure!(count("bundle.export", Stage::Intended) >= 4 && count("certificate.proven", Stage::Seen) == 2, "{audit:?}");
    Ok(())
}

/// Two PCs that have enrolled, and whose agents have never run; a vendor's file waits for the first.
fn set_up() -> Result<(World, Agent, Agent)> {
    let world = World::start()?;
    let policy = vendor::POLICY
        .replace("devices: [{", "devices: [{ name: uketsuke-2, platform: linux }, {")
        .replace("certificates: [{ profile: weborca }]", "certificates: [{ profile: weborca }, { profile: karte }]");
    world.apply(&format!("{policy}{OWN}"))?;
    let enroll = |device| world.enroll(device, &["--keystore", "file"]);
    let (pc, other) = (enroll("sakura/uketsuke-1")?, enroll("sakura/uketsuke-2")?);
    wait_for(PATIENCE, "somebody to be asked for the file", || Ok(vendor::state(&world)?.filter(|state| state == "ordered").map(drop)))?;
    export(&world, "sakura/uketsuke-1", "early.json")?;
    let file = Vendor::new(&world.path("vendor"))?.file(vendor::FILE, "/CN=client1210/O=u00000126", "秘密")?;
    let imported = vendor::import(&world, &file, "秘密")?;
    ensure!(imported.status.success(), "{imported:?}");
    wait_for(PATIENCE, "both orders to be in a bundle", || {
        let path = export(&world, "sakura/uketsuke-1", "0.json")?;
        let bundle = read(&path)?;
        let orders = bundle.manifest.slots.iter().filter(|slot| slot.order.is_some()).count();
        Ok((orders == 2 && bundle.sealed.len() == 1).then_some(()))
    })?;
    Ok((world, pc, other))
}

/// The file is good for one PC: another's agent refuses it, and has no key that would open what is in it. Nor is one taken that was changed.
fn others_cannot_use(world: &World, file: &Path, pc: &Agent, other: &Agent) -> Result<()> {
    ensure!(refused(&apply(other, file)?)?.contains("for another device, sakura/uketsuke-1"));
    ensure!(other.stored_certificates()?.is_empty() && !other.state().join("manifest.json").exists());
    let bundle = read(file)?;
    let sealed = BASE64.decode(bundle.sealed.values().next().context("one file")?.sealed.as_bytes())?;
    let key = |agent: &Agent| Ok::<_, anyhow::Error>(DeviceKey::from_secret(fs::read_to_string(agent.state().join("bundle.key"))?.trim())?);
    ensure!(bundle::unseal(&sealed, &key(pc)?).is_ok() && bundle::unseal(&sealed, &key(other)?).is_err());

    let text = fs::read_to_string(file)?;
    for (name, damaged, why) in [
        ("cut.json", text[..text.len() / 3].to_owned(), "ends in the middle"),
        ("changed.json", text.replace("uketsuke-1", "uketsuke-2"), "damaged, or was changed"),
    ] {
        let path = world.path(name);
        fs::write(&path, damaged)?;
        ensure!(refused(&apply(other, &path)?)?.contains(why), "{name}");
        ensure!(!other.state().join("manifest.json").exists());
    }
    Ok(())
}

fn export(world: &World, device: &str, name: &str) -> Result<std::path::PathBuf> {
    let path = world.path(name);
    let out = path.to_str().context("a readable path")?;
    let exported: Value = world.ask(["bundle", "export", device, "--out", out])?;
    ensure!(exported["device"] == device && exported["file"] == out, "{exported}");
    Ok(path)
}

fn read(file: &Path) -> Result<OfflineBundle> {
    let signed: SignedBundle = serde_json::from_slice(&fs::read(file)?)?;
    Ok(serde_json::from_str(&signed.bundle)?)
}

fn apply(agent: &Agent, file: &Path) -> Result<Output> {
    let (state, file) = (agent.state(), file.to_owned());
    let arguments = ["bundle".into(), "apply".into(), file, "--state".into(), state, "-o".into(), "json".into()];
    run(&binary("tegata-agent"), arguments)
}

fn accept(world: &World, file: &Path) -> Result<AnswerTaken> {
    world.ask(["bundle", "accept", file.to_str().context("a readable path")?])
}

fn stage<'a>(told: &'a Value, profile: &str) -> Option<&'a str> {
    let slots = told["slots"].as_array()?;
    slots.iter().find(|slot| slot["slot"] == format!("sakura/uketsuke-1/{profile}"))?["stage"].as_str()
}

/// What was said when a file was refused.
fn refused(output: &Output) -> Result<String> {
    ensure!(output.status.code() == Some(1), "{output:?}");
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}
