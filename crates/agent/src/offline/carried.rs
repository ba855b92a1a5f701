//! A server that is a file.

use std::cell::RefCell;
use std::collections::BTreeMap;

use async_trait::async_trait;
use tegata_api::client::ClientError;
use tegata_api::v1::backup::KeepRequest;
use tegata_api::v1::device::{
    CertificateRequest, IssuedCertificate, LogShown, Manifest, ReceiptsAnswer, Report, ReportAnswer, SealedBundle, SignedReceipt,
    TakenCertificate,
};
use tegata_api::v1::offline::{OfflineAnswer, OfflineBundle};
use tegata_core::name::OrderId;
use tegata_pki::certificate;
use tegata_pki::csr;

use crate::agent::Agent;
use crate::identity::Identity;
use crate::receipts::ReceiptError;
use crate::server::Server;

/// Says what is in the bundle; what it is asked beyond that is kept for the answer.
pub struct Carried {
    pub(super) bundle: OfflineBundle,
    requests: RefCell<BTreeMap<String, CertificateRequest>>,
    taken: RefCell<BTreeMap<String, TakenCertificate>>,
}

impl Carried {
    pub(super) fn of(bundle: OfflineBundle) -> Self {
        Self { bundle, requests: RefCell::default(), taken: RefCell::default() }
    }

    /// What the agent has to say by now.
    pub(super) fn answer(&self, agent: &mut Agent) -> Result<OfflineAnswer, ReceiptError> {
        Ok(OfflineAnswer {
            tenant: self.bundle.tenant.clone(),
            device: self.bundle.manifest.device.clone(),
            last_receipt: agent.receipts().last(),
            receipts: agent.receipts().signed()?,
            report: agent.report(),
            requests: self.requests.take(),
            taken: self.taken.take(),
        })
    }
}

#[async_trait(?Send)]
impl Server for Carried {
    async fn manifest(&self, after: u64) -> Result<Option<Manifest>, ClientError> {
        Ok(Some(self.bundle.manifest.clone()).filter(|manifest| manifest.generation > after))
    }

    /// A certificate for a key that is gone is no answer: the server has to hear of the new one.
    async fn certificate(&self, order: OrderId, csr: String) -> Result<IssuedCertificate, ClientError> {
        match self.bundle.issued.get(&order.to_string()).filter(|issued| is_for(issued, &csr)) {
            Some(issued) => Ok(issued.clone()),
            None => {
                self.requests.borrow_mut().insert(order.to_string(), CertificateRequest { csr });
                Err(ClientError::Carried)
            }
        }
    }

    async fn bundle(&self, order: OrderId) -> Result<SealedBundle, ClientError> {
        self.bundle.sealed.get(&order.to_string()).cloned().ok_or(ClientError::Carried)
    }

    async fn taken(&self, order: OrderId, certificate: &TakenCertificate) -> Result<(), ClientError> {
        self.taken.borrow_mut().insert(order.to_string(), certificate.clone());
        Err(ClientError::Carried)
    }

    async fn identity(&self, _csr: String) -> Result<IssuedCertificate, ClientError> {
        Err(ClientError::Carried)
    }

    async fn report(&self, _report: &Report) -> Result<ReportAnswer, ClientError> {
        Err(ClientError::Carried)
    }

    async fn receipts(&self, _receipts: &[SignedReceipt]) -> Result<ReceiptsAnswer, ClientError> {
        Err(ClientError::Carried)
    }

    /// Nobody has carried it.
    async fn log(&self, _after: u64) -> Result<Option<LogShown>, ClientError> {
        Ok(None)
    }

    async fn keep(&self, _backup: &KeepRequest) -> Result<(), ClientError> {
        Err(ClientError::Carried)
    }

    fn present(&self, _identity: &Identity) -> Result<(), ClientError> {
        Ok(())
    }
}

fn is_for(issued: &IssuedCertificate, request: &str) -> bool {
    let own = certificate::read_pem(&issued.certificate).ok().and_then(|chain| chain.into_iter().next());
    own.is_some_and(|own| csr::check(request).is_ok_and(|request| request.public_key == own.public_key))
}
