//! A real server with as many enrolled devices as a measurement needs; the devices live in this process.

use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tegata_api::client::{Client, Credentials};
use tegata_api::v1::device::{EnrollRequest, Enrolled, Facts, Manifest};
use tegata_api::v1::fleet::{Access, ApplyRequest, CodeAnswer, CodeKind, CodeRequest, Documents, File, Preview};
use tegata_core::policy::KeyAlgorithm;
use tegata_pki::{csr, key::PrivateKey};
use tegata_tests::World;
use tegata_tests::policy::Clinic;

/// A server and its devices.
pub struct Fleet {
    pub world: World,
    pub access: Access,
    pub admin: Client,
    pub devices: Vec<Device>,
}

/// An enrolled device.
pub struct Device {
    pub client: Client,
}

impl Fleet {
    /// Starts a server, applies one clinic with these devices and profiles, and enrols every device.
    pub async fn start(devices: &[String], profiles: &[String]) -> Result<Self> {
        let world = World::start()?;
        let access = world.access()?;
        let admin = Client::new(&access.server, &access.authority, Credentials::Token(access.token.clone()))?;
        let mut fleet = Self { world, access, admin, devices: Vec::new() };
        fleet.apply(devices, profiles).await?;
        let shared = Arc::new(&fleet);
        let enrolled = stream::iter(devices).map(|device| shared.enroll(device)).buffered(8).try_collect().await?;
        fleet.devices = enrolled;
        Ok(fleet)
    }

    /// Applies one clinic with these devices and profiles.
    pub async fn apply(&self, devices: &[String], profiles: &[String]) -> Result<()> {
        let text = Clinic { devices, profiles }.to_yaml();
        let documents = Documents { files: vec![File { name: "bench.yaml".into(), text }], prune: true };
        let _: Preview =
            self.admin.post("/v1/tenants/aozora/apply", &ApplyRequest { documents, allow_lockout: 0, allow_over_quota: 0 }).await?;
        Ok(())
    }

    async fn enroll(&self, device: &str) -> Result<Device> {
        let path = format!("/v1/tenants/aozora/devices/sakura/{device}/code");
        let answer: CodeAnswer = self.admin.post(&path, &CodeRequest { kind: CodeKind::Join }).await?;
        let mut parts = answer.code.split('.').skip(1).map(str::to_owned);
        let (handle, secret) = (parts.next().context("no handle")?, parts.next().context("no secret")?);
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let request = EnrollRequest { handle, secret, device: None, csr: csr::create(&key)?, facts: Facts::default() };
        let anonymous = Client::new(&self.access.server, &self.access.authority, Credentials::None)?;
        let enrolled: Enrolled = anonymous.post("/v1/enroll", &request).await?;
        let chain = CertificateDer::pem_slice_iter(enrolled.identity.as_bytes())
            .map(|one| one.map(|der| der.to_vec()))
            .collect::<Result<_, _>>()?;
        let credentials = Credentials::Device(chain, key.to_pkcs8().to_vec());
        Ok(Device { client: Client::new(&self.access.server, &enrolled.server_authorities, credentials)? })
    }

    /// Binds the server to these processors (a list such as `0` or `0,1`).
    pub fn bind_server(&mut self, processors: &str) -> Result<u32> {
        let pid = self.world.server().id();
        bind(pid, processors)?;
        Ok(pid)
    }
}

/// Binds every thread of a process to these processors.
pub fn bind(pid: u32, processors: &str) -> Result<()> {
    let output = Command::new("taskset")
        .args(["-a", "-c", "-p", processors, &pid.to_string()])
        .output()
        .context("taskset (util-linux) is needed")?;
    ensure!(output.status.success(), "taskset failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

impl Device {
    /// Waits for a manifest in which `count` slots have orders, and gives these.
    pub async fn orders(&self, count: usize) -> Result<Vec<String>> {
        let mut after = 0;
        loop {
            let patience = std::time::Duration::from_secs(60);
            let path = format!("/v1/agent/manifest?after={after}");
            let Some(manifest) = self.client.get_held::<Manifest>(&path, patience).await? else { continue };
            let orders: Vec<String> = manifest.slots.into_iter().filter_map(|slot| slot.order).collect();
            if orders.len() >= count {
                return Ok(orders);
            }
            after = manifest.generation;
        }
    }
}
