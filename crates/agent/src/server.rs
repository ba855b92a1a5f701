//! What the agent asks of the server: a port, so that tests can play the server.

use std::cell::RefCell;
use std::time::Duration;

use async_trait::async_trait;
use tegata_api::client::{Client, ClientError, Credentials};
use tegata_api::v1::backup::KeepRequest;
use tegata_api::v1::device::{
    CertificateRequest, HOLD_SECONDS, IssuedCertificate, LogShown, Manifest, ReceiptsAnswer, Report, ReportAnswer, SealedBundle,
    SignedReceipt, TakenCertificate,
};
use tegata_api::v1::problem::Code;
use tegata_core::name::OrderId;

use crate::identity::Identity;

/// How long a held request may take before it counts as lost: the server's own patience, and some for the way.
const PATIENCE: Duration = Duration::from_secs(HOLD_SECONDS + 20);

/// The server, as one device sees it. Every call can be repeated.
#[async_trait(?Send)]
pub trait Server {
    /// Waits for a manifest above `after`; `None` when the server's patience ends first.
    async fn manifest(&self, after: u64) -> Result<Option<Manifest>, ClientError>;
    /// Asks for the certificate of an order.
    async fn certificate(&self, order: OrderId, csr: String) -> Result<IssuedCertificate, ClientError>;
    /// Fetches the vendor's file for an order.
    async fn bundle(&self, order: OrderId) -> Result<SealedBundle, ClientError>;
    /// Tells of a certificate that this device came to by itself for an order.
    async fn taken(&self, order: OrderId, certificate: &TakenCertificate) -> Result<(), ClientError>;
    /// Asks for a fresh identity certificate for the same key.
    async fn identity(&self, csr: String) -> Result<IssuedCertificate, ClientError>;
    /// Says what the agent sees.
    async fn report(&self, report: &Report) -> Result<ReportAnswer, ClientError>;
    /// Hands over receipts.
    async fn receipts(&self, receipts: &[SignedReceipt]) -> Result<ReceiptsAnswer, ClientError>;
    /// How far the audit log goes, and what shows that it goes on from its first `after` records; `None` if the server does not say.
    async fn log(&self, after: u64) -> Result<Option<LogShown>, ClientError>;
    /// Hands over what was sealed of a program's own files.
    async fn keep(&self, backup: &KeepRequest) -> Result<(), ClientError>;
    /// From now on shows this identity.
    fn present(&self, identity: &Identity) -> Result<(), ClientError>;
}

/// The real one, over mutual TLS.
pub struct Online {
    address: String,
    client: RefCell<Client>,
}

impl Online {
    /// Prepares the connection; nothing is sent yet.
    pub fn new(address: &str, identity: &Identity) -> Result<Self, ClientError> {
        Ok(Self { address: address.to_owned(), client: RefCell::new(connect(address, identity)?) })
    }

    fn client(&self) -> Client {
        self.client.borrow().clone()
    }
}

fn connect(address: &str, identity: &Identity) -> Result<Client, ClientError> {
    let chain = identity.chain.iter().map(|certificate| certificate.der.clone()).collect();
    Client::new(address, &identity.authorities, Credentials::Device(chain, identity.key.to_pkcs8().to_vec()))
}

#[async_trait(?Send)]
impl Server for Online {
    async fn manifest(&self, after: u64) -> Result<Option<Manifest>, ClientError> {
        self.client().get_held(&format!("/v1/agent/manifest?after={after}"), PATIENCE).await
    }

    async fn certificate(&self, order: OrderId, csr: String) -> Result<IssuedCertificate, ClientError> {
        self.client().post(&format!("/v1/agent/orders/{order}/certificate"), &CertificateRequest { csr }).await
    }

    async fn bundle(&self, order: OrderId) -> Result<SealedBundle, ClientError> {
        self.client().get(&format!("/v1/agent/orders/{order}/bundle")).await
    }

    async fn taken(&self, order: OrderId, certificate: &TakenCertificate) -> Result<(), ClientError> {
        self.client().tell(&format!("/v1/agent/orders/{order}/taken"), certificate).await
    }

    async fn identity(&self, csr: String) -> Result<IssuedCertificate, ClientError> {
        self.client().post("/v1/agent/identity", &CertificateRequest { csr }).await
    }

    async fn report(&self, report: &Report) -> Result<ReportAnswer, ClientError> {
        self.client().post("/v1/agent/report", report).await
    }

    async fn receipts(&self, receipts: &[SignedReceipt]) -> Result<ReceiptsAnswer, ClientError> {
        self.client().post("/v1/agent/receipts", &receipts).await
    }

    async fn log(&self, after: u64) -> Result<Option<LogShown>, ClientError> {
        match self.client().get_held(&format!("/v1/agent/log?after={after}"), PATIENCE).await {
            // A server that does not know the question yet.
            Err(ClientError::Refused(problem)) if problem.code == Code::NotFound => Ok(None),
            answer => answer,
        }
    }

    async fn keep(&self, backup: &KeepRequest) -> Result<(), ClientError> {
        self.client().tell("/v1/agent/backups", backup).await
    }

    fn present(&self, identity: &Identity) -> Result<(), ClientError> {
        *self.client.borrow_mut() = connect(&self.address, identity)?;
        Ok(())
    }
}

/// How long the server asks to be left alone, if it says so.
pub fn retry_after(error: &ClientError) -> Option<Duration> {
    match error {
        ClientError::Refused(problem) => problem.retry_after.map(Duration::from_secs),
        _ => None,
    }
}
