//! Planning: clinics of 40 devices, from scratch and after one change.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use tegata_api::v1::fleet::File;
use tegata_api::yaml;
use tegata_core::desire::desire;
use tegata_core::fleet::{Held, Observed, ObservedDevice, ObservedSlot, Progress};
use tegata_core::name::{ClinicName, Serial, Sha256, TenantName};
use tegata_core::plan::plan;
use tegata_core::policy::Tenant;
use tegata_core::time::{DAY, Timestamp};
use tegata_tests::policy::{Clinic, names};

use crate::{Bound, Row, quantile};

const DEVICES: usize = 40;
const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// Measures 10,000 and 100,000 slots.
pub fn measure() -> Result<Vec<Row>> {
    let (tenant, clinic) = (tenant()?, "sakura".parse::<ClinicName>()?);
    let small = from_scratch(&tenant, &clinic, 10_000)?;
    let large = from_scratch(&tenant, &clinic, 100_000)?;
    let changed = one_change(&tenant, &clinic)?;
    Ok(vec![
        Row::told("plan: from scratch, 10,000 slots", small * 1e3, "ms"),
        Row::bound("plan: from scratch, 100,000 slots", large * 1e3, "ms", Bound::AtMost(100.0)),
        Row::bound("plan: one changed clinic of 40 devices", changed * 1e3, "ms", Bound::AtMost(5.0)),
    ])
}

fn tenant() -> Result<Tenant> {
    let text = Clinic { devices: &names("pc", DEVICES), profiles: &names("karte", 1) }.to_yaml();
    let name: TenantName = "aozora".parse()?;
    let loaded = yaml::load(&[File { name: "bench.yaml".into(), text }], &name).map_err(|findings| anyhow::anyhow!("{findings:?}"))?;
    yaml::assemble(&name, &loaded).map_err(|findings| anyhow::anyhow!("{findings:?}"))
}

/// Desire and plan for as many clinics as give `slots` slots, nothing observed yet. Seconds, best of five.
fn from_scratch(tenant: &Tenant, clinic: &ClinicName, slots: usize) -> Result<f64> {
    let desired = desire(tenant, clinic);
    ensure!(desired.slots.len() == DEVICES, "the clinic has {} slots", desired.slots.len());
    let observed = Observed { devices: desired.slots.keys().map(|slot| (slot.device.clone(), seen())).collect(), ..Observed::default() };
    let mut times = Vec::new();
    for _ in 0..5 {
        let start = Instant::now();
        for _ in 0..slots / DEVICES {
            black_box(plan(black_box(&desired), black_box(&observed), NOW));
        }
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(quantile(&times, 0.0))
}

/// Desire and plan for one clinic in which everything is proven but one slot, which has nothing. Seconds, median.
fn one_change(tenant: &Tenant, clinic: &ClinicName) -> Result<f64> {
    let desired = desire(tenant, clinic);
    let mut observed = Observed::default();
    for (number, (slot, wanted)) in desired.slots.iter().enumerate() {
        observed.devices.insert(slot.device.clone(), seen());
        let held = Held {
            serial: Serial([u8::try_from(number)?; 16]),
            fingerprint: Sha256([u8::try_from(number)?; 32]),
            template: wanted.template.clone(),
            account: None,
            not_before: NOW,
            not_after: NOW.after(DAY * 90),
            progress: Progress::Proven,
            revoked: false,
            confirmed: Default::default(),
            backed_up: None,
            exposed: false,
        };
        observed.slots.insert(slot.clone(), ObservedSlot { certificates: vec![held], ..ObservedSlot::default() });
    }
    observed.slots.pop_first();
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        black_box(plan(&desire(black_box(tenant), clinic), black_box(&observed), NOW));
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    Ok(quantile(&times, 0.5))
}

fn seen() -> ObservedDevice {
    ObservedDevice {
        last_seen: NOW,
        clock_offset: 0,
        revoked: false,
        installers: Default::default(),
        removing: Default::default(),
        recognized: Default::default(),
        unknown: Default::default(),
        quarantining: Default::default(),
    }
}
