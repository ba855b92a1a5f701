//! The paths that people walk, from the first command on.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::fleet::CodeAnswer;
use tegata_tests::World;
use tegata_tests::policy::{Clinic, names};
use tegata_tests::process::{binary, run, run_well};

#[test]
fn the_demo_shows_the_whole_job_and_ends_well() -> Result<()> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/aozora-group");
    let example = example.to_str().context("a readable path")?;
    let printed = run_well(&binary("tegata"), ["demo", "--once", "--example", example])?;
    for part in ["20 slots ready", "the old one is gone", "refused in the handshake", "Installer files removed: 13", "intended, done, seen"]
    {
        ensure!(printed.contains(part), "the demo says nothing of {part}:\n{printed}");
    }
    Ok(())
}

#[test]
fn a_server_that_is_told_to_stop_stops_although_agents_hold_requests() -> Result<()> {
    let mut world = World::start()?;
    world.apply(&Clinic { devices: &names("pc", 1), profiles: &names("karte", 1) }.to_yaml())?;
    let mut agent = world.enroll("sakura/pc-1", &["--keystore", "file"])?;
    agent.start()?;
    world.wait_until_ready()?;
    ensure!(world.server().stop(Duration::from_secs(20))? == 0);

    // Nothing is lost over the stop, and the agent finds the server again.
    world.start_server()?;
    world.wait_until_ready()?;
    let records = world.audit()?;
    for stage in [Stage::Intended, Stage::Done, Stage::Seen] {
        ensure!(records.iter().any(|record| record.stage == stage), "nothing was {stage:?}");
    }
    Ok(())
}

#[test]
fn r4_no_private_key_and_no_secret_reaches_the_server_s_disk() -> Result<()> {
    let mut world = World::start()?;
    world.apply(&Clinic { devices: &names("pc", 1), profiles: &names("karte", 2) }.to_yaml())?;
    let code: CodeAnswer = world.ask(["enroll", "code", "sakura/pc-1"])?;
    let digits = code.code.split_once('-').context("a typed code has two parts")?.1.to_owned();
    let mut agent = world.enroll("sakura/pc-1", &["--keystore", "file"])?;
    agent.start()?;
    world.wait_until_ready()?;

    let mut secrets = vec![world.access()?.token.into_bytes(), format!("-{digits}").into_bytes()];
    let keys = agent.stored_keys()?;
    ensure!(keys.len() == 2, "the agent stores {} keys", keys.len());
    for pem in keys {
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())?;
        secrets.push(scalar(key.secret_pkcs8_der()).context("a P-256 key in PKCS#8")?);
    }
    secrets.push(scalar(&fs::read(agent.state().join("identity.key"))?).context("a P-256 key in PKCS#8")?);
    ensure!(world.server().stop(Duration::from_secs(20))? == 0);
    for file in ["tegata.db", "tegata.db-wal", "../server.log"] {
        let Ok(contents) = fs::read(world.path("server").join(file)) else { continue };
        for secret in &secrets {
            ensure!(!contents.windows(secret.len()).any(|window| window == secret), "{file} holds a secret in clear");
        }
    }
    Ok(())
}

/// The secret number of a P-256 key: in PKCS#8 it is the 32 bytes after `04 20` (RFC 5915, section 3).
fn scalar(pkcs8: &[u8]) -> Option<Vec<u8>> {
    let at = pkcs8.windows(2).position(|window| window == [0x04, 0x20])?;
    pkcs8.get(at + 2..at + 34).map(<[u8]>::to_vec)
}

#[test]
fn a_code_works_once_and_for_its_own_device_only() -> Result<()> {
    let world = World::start()?;
    world.apply(&Clinic { devices: &names("pc", 2), profiles: &names("karte", 1) }.to_yaml())?;
    let code: CodeAnswer = world.ask(["enroll", "code", "sakura/pc-1"])?;
    let enroll = |folder: &str, device: &str| {
        let (state, home) = (world.path(folder), world.path("home"));
        fs::create_dir_all(&home)?;
        let fixed = [
            "enroll",
            "--server",
            &world.address(),
            "--code",
            &code.code,
            "--authority-sha256",
            &code.authority_sha256,
            "--device",
            device,
        ];
        let places = ["--state".into(), state.into_os_string(), "--home".into(), home.into_os_string(), "--keystore".into(), "file".into()];
        run(&binary("tegata-agent"), fixed.iter().map(Into::into).chain(places))
    };
    ensure!(!enroll("other", "sakura/pc-2")?.status.success(), "the code was taken for another device");
    let first = enroll("first", "sakura/pc-1")?;
    ensure!(first.status.success(), "{first:?}");
    ensure!(!enroll("second", "sakura/pc-1")?.status.success(), "the code was taken twice");
    Ok(())
}
