//! Figures for Prometheus from a fleet of 100,000 slots: the first time, when nothing has changed, and when one clinic has.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use tegata_api::v1::device::{Facts, Manifest, Report};
use tegata_api::v1::fleet::{ApplyRequest, Documents, File};
use tegata_core::fleet::Template;
use tegata_core::name::{ClinicId, SlotId, TenantName};
use tegata_core::plan::Reason;
use tegata_core::policy::{KeyAlgorithm, KeyOrigin};
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::new_serial;
use tegata_pki::key::sha256;
use tegata_server::audit::Ledger;
use tegata_server::bells::Bells;
use tegata_server::clock::Clock;
use tegata_server::policy;
use tegata_server::store::sql::Database;
use tegata_server::store::{Batch, Change, DeviceRow, Draft, Issued, OrderRow, OrderState};
use tegata_server::telemetry::{Meters, Telemetry};

use crate::{Bound, Row};

const TENANTS: usize = 50;
const CLINICS: usize = 50;
const DEVICES: usize = 40;
const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// Measures scrapes. What a scrape finds unchanged it reads from memory.
pub fn measure() -> Result<Vec<Row>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let folder = tempfile::tempdir()?;
        let ledger = Ledger::open(Arc::new(Database::sqlite(&folder.path().join("tegata.db")).await?)).await?;
        for number in 1..=TENANTS {
            tenant(&ledger, number).await?;
        }
        let telemetry = Telemetry::new(Meters::new(None)?, ledger.clone(), Clock::with(|| NOW), None)?;
        let (start, mut updates, mut longest) = (Instant::now(), 0, 0.0_f64);
        while updates == 0 || telemetry.behind() > 0 {
            let update = Instant::now();
            telemetry.update().await?;
            longest = longest.max(update.elapsed().as_secs_f64());
            updates += 1;
        }
        let whole = start.elapsed().as_secs_f64();
        let clinic = ClinicId { tenant: "tenant-1".parse()?, clinic: "clinic-1".parse()? };
        ledger.note(Batch { records: vec![], changes: vec![Change::Nudge { clinic, at: NOW }] }).await?;
        let changed = timed(async { Ok(telemetry.update().await?) }).await?;
        let same = timed(async { Ok(telemetry.update().await?) }).await?;
        let start = Instant::now();
        let text = telemetry.scrape().await?;
        let written = start.elapsed().as_secs_f64();
        anyhow::ensure!(text.contains("tegata_slots{clinic=\"clinic-1\","), "{}", &text[..2_000]);
        Ok(vec![
            Row::told("figures: 2,500 clinics with 100,000 slots are read for the first time", whole, "s"),
            Row::bound("figures: the longest that one scrape waits for that", longest, "s", Bound::AtMost(2.0)),
            Row::bound("figures: nothing has changed", same * 1e3, "ms", Bound::AtMost(50.0)),
            Row::told("figures: one clinic has changed", changed * 1e3, "ms"),
            Row::told("figures: they are written", written * 1e3, "ms"),
            Row::told("figures: their size", text.len() as f64 / 1e6, "MB"),
        ])
    })
}

async fn timed(work: impl Future<Output = Result<()>>) -> Result<f64> {
    let start = Instant::now();
    work.await?;
    Ok(start.elapsed().as_secs_f64())
}

/// A tenant whose slots are all ready.
async fn tenant(ledger: &Ledger, number: usize) -> Result<()> {
    let tenant: TenantName = format!("tenant-{number}").parse()?;
    let files = vec![File { name: "bench.yaml".into(), text: text() }];
    let request = ApplyRequest { documents: Documents { files, prune: true }, allow_lockout: 0, allow_over_quota: 0 };
    policy::apply(ledger, &Bells::default(), &tenant, &request, "bench", NOW).await?;
    for clinic in 1..=CLINICS {
        let mut changes: [Vec<Change>; 4] = Default::default();
        for device in 1..=DEVICES {
            let slot: SlotId = format!("clinic-{clinic}/pc-{device}/karte").parse()?;
            for (changes, change) in changes.iter_mut().zip(ready(&tenant, &slot)?) {
                changes.push(change);
            }
        }
        for changes in changes {
            ledger.note(Batch { records: vec![], changes }).await?;
        }
    }
    let proven = ledger.store().certificates(&tenant, Default::default()).await?;
    let proven: Vec<Change> = proven.into_iter().map(|row| Change::Proven { serial: row.serial, at: NOW }).collect();
    Ok(ledger.note(Batch { records: vec![], changes: proven }).await?)
}

fn ready(tenant: &TenantName, slot: &SlotId) -> Result<[Change; 4]> {
    let serial = new_serial();
    let id = tegata_core::name::OrderId(serial.0);
    let key = sha256(&serial.0);
    let device = DeviceRow {
        tenant: tenant.clone(),
        device: slot.device.clone(),
        identity: key,
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
    let template = Template {
        issuer: "aozora-ca".parse()?,
        common_name: format!("{}-{}", slot.clinic, slot.device.device),
        organization: String::new(),
        key: KeyOrigin::Device(KeyAlgorithm::EcdsaP256),
        validity: DAY * 90,
    };
    let order = OrderRow {
        id,
        tenant: tenant.clone(),
        slot: slot.clone(),
        template,
        account: None,
        because: Reason::Missing,
        replaces: vec![],
        opened_at: NOW,
        state: OrderState::Open,
        draft: None,
        found: None,
    };
    let draft = Draft { serial, public_key: key, tbs: vec![0; 8], shard: 1 };
    let issued =
        Issued { order: id, serial, der: vec![0x30; 400], fingerprint: key, not_before: NOW, not_after: NOW.after(DAY * 90), at: NOW };
    Ok([Change::PutDevice(device.into()), Change::OpenOrder(order), Change::PutDraft { id, draft }, Change::Fulfil(issued)])
}

fn text() -> String {
    let mut text = String::from(
        "apiVersion: tegata.dev/v1alpha1\nkind: Issuer\nmetadata: { name: aozora-ca }\nspec: { type: ca, commonName: Aozora Clinic CA }\n---\n\
         apiVersion: tegata.dev/v1alpha1\nkind: CertificateProfile\nmetadata: { name: karte }\nspec:\n  issuer: aozora-ca\n  \
         key: { origin: device, algorithm: ecdsa-p256 }\n  validity: 90d\n  renewal: { window: 30d, when: early }\n  install: { stores: [file] }\n  \
         browser: { select: [\"https://{facilitySlug}.example.jp\"] }\n",
    );
    for clinic in 1..=CLINICS {
        let devices: Vec<String> = (1..=DEVICES).map(|device| format!("{{ name: pc-{device}, platform: linux }}")).collect();
        text.push_str(&format!(
            "---\napiVersion: tegata.dev/v1alpha1\nkind: ClinicNetwork\nmetadata: {{ name: clinic-{clinic} }}\nspec:\n  displayName: clinic {clinic}\n  \
             facilitySlug: clinic{clinic}\n  devices: [{}]\n  certificates: [{{ profile: karte }}]\n",
            devices.join(", ")
        ));
    }
    text
}
