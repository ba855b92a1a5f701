//! What an idle agent costs the server: thousands of held requests, each on its own mutual-TLS connection.

use std::time::Duration;

use anyhow::{Result, ensure};
use tegata_api::v1::device::Manifest;
use tegata_tests::policy::names;

use crate::fleet::Fleet;
use crate::{Bound, Row, proc};

const AGENTS: usize = 5_000;

/// Measures the server's memory before and with all requests held.
pub fn measure() -> Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(hold())
}

async fn hold() -> Result<Vec<Row>> {
    let mut fleet = Fleet::start(&names("pc", AGENTS), &names("karte", 1)).await?;
    let server = fleet.world.server().id();
    for device in &fleet.devices {
        device.orders(1).await?;
    }
    // Enrolment's connections are kept by the clients; a new server process starts from nothing.
    fleet.world.server().kill();
    fleet.world.start_server()?;
    ensure!(server != fleet.world.server().id(), "the server was not restarted");
    let server = fleet.world.server().id();
    let (empty, cpu) = (proc::resident_kib(server)?, proc::cpu_seconds(server)?);
    let held: Vec<_> = fleet.devices.iter().map(|device| tokio::spawn(hold_one(device.client.clone()))).collect();
    wait_for_connections(server, AGENTS).await?;
    let (full, cpu) = (proc::resident_kib(server)?, proc::cpu_seconds(server)? - cpu);
    for one in &held {
        one.abort();
    }
    let count = AGENTS as f64;
    Ok(vec![
        Row::bound("hold: server memory per idle held agent, 5,000 agents", (full - empty) / count, "KiB", Bound::AtMost(30.0)),
        Row::told("hold: server CPU per reconnecting agent", cpu / count * 1e6, "µs"),
        Row::bound("hold: reconnect of 100,000 agents on two cores, computed", 100_000.0 * cpu / count / 2.0, "s", Bound::AtMost(60.0)),
    ])
}

async fn hold_one(client: tegata_api::client::Client) {
    // The request is meant to be cut off; whatever it brings is of no interest.
    let _ = client.get_held::<Manifest>("/v1/agent/manifest?after=1000000", Duration::from_secs(600)).await;
}

/// Waits until the server holds `count` sockets.
async fn wait_for_connections(server: u32, count: usize) -> Result<()> {
    for _ in 0..600 {
        if std::fs::read_dir(format!("/proc/{server}/fd"))?.count() >= count {
            // The last handshakes finish and the last requests are read.
            tokio::time::sleep(Duration::from_secs(3)).await;
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    anyhow::bail!("not every agent could connect")
}
