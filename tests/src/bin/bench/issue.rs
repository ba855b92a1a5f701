//! Issuance end to end: mutual TLS on a kept connection, CSR checked, intended, signed, durable, answered.

use std::time::Instant;

use anyhow::Result;
use futures::stream::{self, StreamExt, TryStreamExt};
use tegata_api::v1::device::{CertificateRequest, IssuedCertificate};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::{csr, key::PrivateKey};
use tegata_tests::policy::names;

use crate::fleet::{Device, Fleet, bind};
use crate::{Bound, Row, proc, quantile};

const DEVICES: usize = 256;
const SLOTS: usize = 15;
/// How many devices ask at a time.
const IN_FLIGHT: usize = 64;

/// Measures with the server on one processor, then on both.
pub fn measure() -> Result<Vec<Row>> {
    let alone = verify_and_sign()?;
    let mut rows = vec![Row::told("issue: CSR verified and certificate signed, alone", alone * 1e6, "µs")];
    // The runtime lives on the processor that the server does not use.
    bind(std::process::id(), "1")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let fleet = runtime.block_on(load(&mut rows, alone));
    bind(std::process::id(), "0,1")?;
    fleet?;
    Ok(rows)
}

async fn load(rows: &mut Vec<Row>, alone: f64) -> Result<()> {
    let one = issue_all("0").await?;
    rows.push(Row::bound("issue: server CPU per certificate ÷ (verify + sign)", one.cpu / alone, "×", Bound::AtMost(2.0)));
    rows.push(Row::told("issue: server CPU per certificate", one.cpu * 1e6, "µs"));
    rows.push(Row::bound("issue: rate, server on one core, 64 connections", one.rate, "certs/s", Bound::AtLeast(3500.0)));
    rows.push(Row::told("issue: p50, saturated", quantile(&one.latencies, 0.5) * 1e3, "ms"));
    rows.push(Row::told("issue: p99, saturated", quantile(&one.latencies, 0.99) * 1e3, "ms"));
    let two = issue_all("0,1").await?;
    rows.push(Row::told("issue: rate, server on two cores shared with the clients", two.rate, "certs/s"));
    rows.push(Row::told("issue: two cores' worth, from CPU per certificate", 2.0 / two.cpu, "certs/s"));
    Ok(())
}

struct Load {
    /// Seconds of the server's CPU for each certificate.
    cpu: f64,
    /// Certificates in a second of wall time.
    rate: f64,
    /// Seconds, sorted.
    latencies: Vec<f64>,
}

/// Answers every order of a fresh fleet, with the server bound to these processors.
async fn issue_all(processors: &str) -> Result<Load> {
    let mut fleet = Fleet::start(&names("pc", DEVICES), &names("karte", SLOTS)).await?;
    let server = fleet.bind_server(processors)?;
    let mut work = Vec::new();
    for device in &fleet.devices {
        let orders = device.orders(SLOTS).await?.into_iter();
        work.push((device, orders.map(|order| Ok((order, request()?))).collect::<Result<Vec<_>>>()?));
    }
    proc::wait_until_idle(server)?;
    let (cpu, start) = (proc::cpu_seconds(server)?, Instant::now());
    let latencies = stream::iter(&work)
        .map(|(device, requests)| issue_some(device, requests))
        .buffer_unordered(IN_FLIGHT)
        .try_collect::<Vec<_>>()
        .await?;
    let (elapsed, cpu) = (start.elapsed().as_secs_f64(), proc::cpu_seconds(server)? - cpu);
    let mut latencies = latencies.concat();
    latencies.sort_by(f64::total_cmp);
    let count = latencies.len() as f64;
    Ok(Load { cpu: cpu / count, rate: count / elapsed, latencies })
}

async fn issue_some(device: &Device, requests: &[(String, CertificateRequest)]) -> Result<Vec<f64>> {
    let mut latencies = Vec::with_capacity(requests.len());
    for (order, request) in requests {
        let start = Instant::now();
        let _: IssuedCertificate = device.client.post(&format!("/v1/agent/orders/{order}/certificate"), request).await?;
        latencies.push(start.elapsed().as_secs_f64());
    }
    Ok(latencies)
}

fn request() -> Result<CertificateRequest> {
    Ok(CertificateRequest { csr: csr::create(&PrivateKey::generate(KeyAlgorithm::EcdsaP256)?)? })
}

/// Seconds for what issuance cannot do without: proof of possession checked, certificate signed. The median of many rounds.
fn verify_and_sign() -> Result<f64> {
    let (now, rounds, each) = (Timestamp::from_unix(1_800_000_000), 40, 50);
    let root = Authority::new_root("Bench Root", "Bench", now, now.after(DAY * 3650))?;
    let issuing = root.new_issuing("Bench CA", "Bench", now, now.after(DAY * 3650))?;
    let request = request()?;
    let purpose = Purpose::Client {
        common_name: "pc-1".into(),
        organization: "sakura".into(),
        unique: "00".repeat(16),
        crl_url: None,
        ocsp_url: None,
    };
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        for _ in 0..each {
            let key = csr::check(&request.csr)?;
            let tbs = issuing.draft(&purpose, &key.public_key, new_serial(), now, now.after(DAY * 90))?;
            std::hint::black_box(issuing.sign(&tbs)?);
        }
        times.push(start.elapsed().as_secs_f64() / f64::from(each));
    }
    times.sort_by(f64::total_cmp);
    Ok(quantile(&times, 0.5))
}
