//! An application at a vendor with the real programs: its PIN is made here, and only a backup key finds it again.

use std::fs;

use age::x25519::Identity;
use anyhow::{Result, ensure};
use serde_json::Value;
use tegata_api::v1::application::{Application, SealedPin};
use tegata_tests::World;

const SLOT: &str = "sakura/shikaku-1/eligibility";

fn policy(backup: &Identity) -> String {
    format!(
        "apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: {{ name: obn }}
spec: {{ type: vendor }}
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: {{ name: eligibility }}
spec:
  issuer: obn
  key: {{ origin: vendor }}
  pin: {{ digits: 4, tries: 3 }}
  expect: {{ validity: 1187d }}
  application: {{ window: 180d, notices: [30d] }}
---
apiVersion: tegata.dev/v1alpha1
kind: BackupTarget
metadata: {{ name: nas }}
spec: {{ directory: {{ path: /srv/backup }}, recipients: [{}], retention: 5y }}
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: {{ name: sakura }}
spec:
  displayName: さくら内科
  facilitySlug: sakura
  devices: [{{ name: shikaku-1, platform: windows }}]
  certificates: [{{ profile: eligibility }}]
  backup: {{ targets: [nas] }}
",
        backup.to_public()
    )
}

#[test]
fn a_pin_is_made_shown_once_and_opened_by_a_backup_key_alone() -> Result<()> {
    let (world, backup) = (World::start()?, Identity::generate());
    world.apply(&policy(&backup))?;
    let refused = world.cli(["application", "pin", SLOT])?;
    ensure!(refused.status.code() == Some(6), "nothing was applied for: {refused:?}");

    let notice = world.path("notice");
    fs::write(&notice, "R-99887766\n")?;
    let notice = notice.display().to_string();
    let day = ["--applied", "2026-01-05", "--request-id", "A1234-56", "--reference-id-file", &notice];
    world.cli_well([&["application", "record", "--slot", SLOT][..], &day].concat())?;
    let made: Value = serde_json::from_str(&world.cli_well(["application", "pin", SLOT, "-o", "json"])?)?;
    let pin = made["pin"].as_str().unwrap_or_default();
    ensure!(pin.len() == 4 && pin.bytes().all(|digit| digit.is_ascii_digit()), "{made}");

    let again = world.cli(["application", "pin", SLOT])?;
    ensure!(!again.status.success(), "the one before may be in use: {again:?}");
    let handed: SealedPin = world.ask(["application", "sealed-pin", SLOT])?;
    ensure!(age::decrypt(&backup, handed.sealed_pin.as_bytes())? == pin.as_bytes(), "the backup key finds it again");
    ensure!(age::decrypt(&Identity::generate(), handed.sealed_pin.as_bytes()).is_err(), "and no other");
    let listed: Vec<Application> = world.ask(["get", "applications"])?;
    ensure!(listed[0].has_pin && !serde_json::to_string(&listed)?.contains(&handed.sealed_pin[40..80]), "a list does not hand it out");
    world.cli_well(["application", "pin", SLOT, "--replace"])?;
    let other: SealedPin = world.ask(["application", "sealed-pin", SLOT])?;
    ensure!(other != handed);
    Ok(())
}
