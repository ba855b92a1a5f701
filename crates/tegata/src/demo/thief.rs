//! Somebody who copied a certificate and its key from a PC: shows what the chart's door is worth.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Certificate, Client, Identity, StatusCode};

use super::emr::Emr;

/// A copy of one certificate with its key.
pub struct Thief {
    pem: Vec<u8>,
    chart: SocketAddr,
    web_authority: Certificate,
}

/// How a visit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Welcome {
    /// The page was shown.
    Opened,
    /// 403: another clinic's.
    Forbidden,
    /// There was no handshake.
    Refused,
}

impl Thief {
    /// Copies what lies in a folder of the file keystore.
    pub fn copy(folder: &Path, emr: &Emr) -> Result<Self> {
        let mut pem = Vec::new();
        for name in ["key.pem", "certificate.pem"] {
            pem.extend(fs::read(folder.join(name)).with_context(|| format!("there is no {name} in {}", folder.display()))?);
        }
        Ok(Self { pem, chart: emr.address(), web_authority: Certificate::from_pem(emr.web_authority().as_bytes())? })
    }

    /// Knocks at a clinic's door.
    pub async fn visit(&self, host: &str) -> Result<Welcome> {
        let client = Client::builder()
            .tls_certs_only([self.web_authority.clone()])
            .identity(Identity::from_pem(&self.pem).context("the copy cannot be used")?)
            .resolve(host, self.chart)
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        match client.get(format!("https://{host}:{}/", self.chart.port())).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => Ok(Welcome::Opened),
            Ok(_) => Ok(Welcome::Forbidden),
            Err(_) => Ok(Welcome::Refused),
        }
    }
}
