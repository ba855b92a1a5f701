//! Turns: looking for what is due in fleets of different size, and one clinic of 40 devices from wish to order.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use tegata_api::v1::device::{Facts, Manifest, Report};
use tegata_api::v1::fleet::{ApplyRequest, Documents, File};
use tegata_core::name::{ClinicId, TenantName};
use tegata_core::time::{DAY, Timestamp};
use tegata_server::audit::Ledger;
use tegata_server::bells::Bells;
use tegata_server::store::sql::Database;
use tegata_server::store::{Batch, Change, DeviceRow, Store};
use tegata_server::{policy, turn};
use tegata_tests::policy::{Clinic, names};

use crate::{Bound, Row, proc, quantile};

/// Devices of a clinic.
const DEVICES: usize = 40;
const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// Measures the store's part of a turn with nothing to do, and a whole turn with one device to serve.
pub fn measure() -> Result<Vec<Row>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let small = nothing_due(10_000).await?;
        let large = nothing_due(1_000_000).await?;
        let changed = changed().await?;
        Ok(vec![
            Row::told("turn: nothing is due, 10,000 devices", small * 1e6, "µs"),
            Row::bound("turn: nothing is due, 1,000,000 devices ÷ 10,000", large / small, "×", Bound::AtMost(1.5)),
            Row::bound("turn: one device asks, clinic of 40, CPU", changed.cpu * 1e3, "ms", Bound::AtMost(5.0)),
            Row::told("turn: the same with its commits, p50", changed.wall * 1e3, "ms"),
        ])
    })
}

/// What the loop of turns asks when it wakes, in a fleet that sleeps. Seconds, median.
async fn nothing_due(devices: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let store = Database::sqlite(&folder.path().join("tegata.db")).await?;
    let clinics: Vec<usize> = (0..devices / DEVICES).collect();
    for chunk in clinics.chunks(1_000) {
        let sleep = |number: &usize| {
            let clinic = ClinicId { tenant: tenant()?, clinic: format!("clinic-{number}").parse()? };
            Ok(Change::Wake { clinic, at: Some(NOW.after(DAY * 30)) })
        };
        store.commit(Batch { records: vec![], changes: chunk.iter().map(sleep).collect::<Result<_>>()? }).await?;
    }
    let mut times = Vec::new();
    for _ in 0..2_000 {
        let start = Instant::now();
        anyhow::ensure!(store.due(NOW, 256).await?.is_empty() && store.next_wake().await?.is_some(), "the fleet does not sleep");
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(quantile(&times, 0.5))
}

struct Changed {
    /// Seconds of CPU for each turn.
    cpu: f64,
    /// Seconds, median.
    wall: f64,
}

/// A replacement is asked for on one device after the other; the turn that orders it.
async fn changed() -> Result<Changed> {
    let folder = tempfile::tempdir()?;
    let (ledger, clinic) = clinic(folder.path()).await?;
    let bells = Bells::default();
    let me = std::process::id();
    let mut times = Vec::new();
    let cpu = proc::cpu_seconds(me)?;
    for device in names("pc", DEVICES) {
        let at = NOW;
        ledger.note(Batch { records: vec![], changes: vec![enrolled(&device)?, Change::Nudge { clinic: clinic.clone(), at }] }).await?;
        let start = Instant::now();
        turn::turn(&ledger, &bells, &clinic, NOW).await?;
        times.push(start.elapsed().as_secs_f64());
    }
    let cpu = (proc::cpu_seconds(me)? - cpu) / times.len() as f64;
    times.sort_by(f64::total_cmp);
    Ok(Changed { cpu, wall: quantile(&times, 0.5) })
}

/// A clinic of 40 devices, none of which has enrolled.
async fn clinic(folder: &Path) -> Result<(Ledger, ClinicId)> {
    let ledger = Ledger::open(Arc::new(Database::sqlite(&folder.join("tegata.db")).await?)).await?;
    let text = Clinic { devices: &names("pc", DEVICES), profiles: &names("karte", 1) }.to_yaml();
    let documents = Documents { files: vec![File { name: "bench.yaml".into(), text }], prune: true };
    policy::apply(&ledger, &Bells::default(), &tenant()?, &ApplyRequest { documents, allow_lockout: 0, allow_over_quota: 0 }, "bench", NOW)
        .await?;
    Ok((ledger, ClinicId { tenant: tenant()?, clinic: "sakura".parse()? }))
}

fn enrolled(name: &str) -> Result<Change> {
    let row = DeviceRow {
        tenant: tenant()?,
        device: format!("sakura/{name}").parse()?,
        identity: tegata_pki::key::sha256(name.as_bytes()),
        public_key: vec![],
        enrolled_at: NOW,
        last_seen: NOW,
        clock_offset: 0,
        revoked_at: None,
        facts: Facts::default(),
        report: Report::default(),
        manifest: Manifest::default(),
        receipts: 0,
    };
    Ok(Change::PutDevice(row.into()))
}

fn tenant() -> Result<TenantName> {
    Ok("aozora".parse()?)
}
