//! From `apply` to a proven certificate, with a hundred real agents online.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tegata_api::v1::fleet::Slot;
use tegata_tests::policy::names;
use tegata_tests::{Agent, World};

use crate::fleet::Fleet;
use crate::{Bound, Row, proc, quantile};

const AGENTS: usize = 100;
const SAMPLES: usize = 40;

/// Measures single pushes, then one to everybody; and what an agent weighs meanwhile.
pub fn measure() -> Result<Vec<Row>> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(push())
}

async fn push() -> Result<Vec<Row>> {
    let devices = names("pc", AGENTS);
    let fleet = Fleet::start(&names("spare", 1), &names("karte", 1)).await?;
    fleet.apply(&devices, &names("karte", 1)).await?;
    let mut agents = start_agents(&fleet.world, &devices)?;
    fleet.world.wait_until_ready()?;

    let mut single = Vec::new();
    for sample in 0..SAMPLES {
        single.push(push_to_one(&fleet, &devices, sample).await?);
    }
    single.sort_by(f64::total_cmp);

    let start = Instant::now();
    fleet.apply(&devices, &names("karte", 2)).await?;
    wait_ready(&fleet, 2 * AGENTS).await?;
    let everybody = start.elapsed().as_secs_f64();

    let memory = agents.iter_mut().map(|agent| proc::resident_kib(agent.process().id())).collect::<Result<Vec<_>>>()?;
    Ok(vec![
        Row::bound("push: apply → proven, one of 100 online agents, p50", quantile(&single, 0.5) * 1e3, "ms", Bound::AtMost(100.0)),
        Row::bound("push: apply → proven, one of 100 online agents, p99", quantile(&single, 0.99) * 1e3, "ms", Bound::AtMost(500.0)),
        Row::told("push: apply → proven, all 100 agents at once, on two cores", everybody * 1e3, "ms"),
        Row::bound("agent: memory, idle after work", memory.iter().sum::<f64>() / memory.len() as f64 / 1024.0, "MiB", Bound::AtMost(10.0)),
    ])
}

fn start_agents(world: &World, devices: &[String]) -> Result<Vec<Agent>> {
    devices
        .iter()
        .map(|device| {
            let mut agent = world.enroll(&format!("sakura/{device}"), &["--keystore", "file"])?;
            agent.start()?;
            Ok(agent)
        })
        .collect()
}

/// Renews one device's certificate; seconds until the new one is proven.
async fn push_to_one(fleet: &Fleet, devices: &[String], sample: usize) -> Result<f64> {
    let name = format!("sakura/{}/karte-1", devices[sample % AGENTS]);
    let old = slot(fleet, &name).await?;
    let serial = old.serial.clone().unwrap_or_default();
    let start = Instant::now();
    fleet.admin.tell(&format!("/v1/tenants/aozora/certificates/{serial}/renew"), &serde_json::json!({})).await?;
    loop {
        let new = slot(fleet, &name).await?;
        if new.serial != old.serial && new.proven_at.is_some() {
            return Ok(start.elapsed().as_secs_f64());
        }
        ensure!(start.elapsed() < Duration::from_secs(30), "{name} was not renewed: {new:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn slot(fleet: &Fleet, name: &str) -> Result<Slot> {
    let device = name.rsplit_once('/').map_or(name, |(device, _)| device);
    let detail: tegata_api::v1::fleet::DeviceDetail = fleet.admin.get(&format!("/v1/tenants/aozora/devices/{device}")).await?;
    detail.slots.into_iter().find(|slot| slot.name == name).ok_or_else(|| anyhow::anyhow!("there is no slot {name}"))
}

async fn wait_ready(fleet: &Fleet, count: usize) -> Result<()> {
    let start = Instant::now();
    loop {
        let slots: Vec<Slot> = fleet.admin.get("/v1/tenants/aozora/slots").await?;
        if slots.iter().filter(|slot| slot.state == "ready").count() >= count {
            return Ok(());
        }
        ensure!(start.elapsed() < Duration::from_secs(120), "not every slot became ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
