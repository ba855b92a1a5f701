//! Takes the answer of one device in: receipts, what it sees, requests, and certificates that it came to by itself.

use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::Report;
use tegata_api::v1::offline::{Meant, OfflineAnswer, SignedAnswer};
use tegata_core::name::{DeviceId, OrderId, TenantName};
use tegata_core::time::{DAY, Timestamp};

use super::{OfflineError, enrolled};
use crate::issuers::order::{Issuance, IssueError};
use crate::receipts::{self, RECEIPTS_MAX, ReceiptError};
use crate::reports;
use crate::store::{Batch, DeviceRow, NewRecord};
use crate::tls::Identity;
use crate::vendor::{self, VendorError};

/// What came of an answer.
#[derive(Debug)]
pub struct Heard {
    /// Whose it was.
    pub device: DeviceId,
    /// Every receipt up to this number is on record now.
    pub up_to: u64,
    /// The last receipt that the device had written.
    pub last_receipt: u64,
    /// Orders whose certificate is there for the next bundle.
    pub issued: Vec<OrderId>,
    /// Orders whose certificate the device had already.
    pub taken: Vec<OrderId>,
    /// What was refused: of an order, or among the receipts.
    pub refused: Vec<(Option<OrderId>, PartError)>,
}

/// Why a part of an answer is not taken.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    /// A receipt.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// A certificate that the device came to by itself.
    #[error(transparent)]
    Taken(#[from] VendorError),
    /// A request for a certificate.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Takes in what a device says by a file. What is refused stops nothing else; the same file once more changes nothing.
///
/// # Errors
/// [`OfflineError`] if the file is not the device's own, or the database fails. What was on record by then stays.
pub async fn accept(issuance: &Issuance, tenant: &TenantName, signed: &SignedAnswer, actor: &str) -> Result<Heard, OfflineError> {
    let now = issuance.clock.now();
    let answer: OfflineAnswer = serde_json::from_str(&signed.answer).map_err(|_| OfflineError::Unreadable)?;
    let device: DeviceId = answer.device.parse().map_err(|_| OfflineError::NotFound)?;
    if answer.tenant != tenant.as_str() {
        return Err(OfflineError::NotFound);
    }
    let row = enrolled(&issuance.ledger, tenant, &device).await?;
    if !is_signed(&row, signed) {
        return Err(OfflineError::NotSigned);
    }
    let mut heard = Heard { device, up_to: 0, last_receipt: answer.last_receipt, issued: vec![], taken: vec![], refused: vec![] };
    heard.receipts(issuance, row, &answer, now).await;
    // Looked up anew: what the receipts have changed counts.
    let row = enrolled(&issuance.ledger, tenant, &heard.device).await?;
    heard.up_to = row.receipts;
    report(issuance, &row, &answer, now).await?;
    heard.certificates(issuance, &row, &answer, now).await;
    heard.requests(issuance, &row, &answer, now).await;
    issuance.ledger.record((), Batch { records: vec![heard.record(tenant, actor, now)], changes: vec![] }).await?;
    Ok(heard)
}

fn is_signed(row: &DeviceRow, signed: &SignedAnswer) -> bool {
    let Ok(signature) = data_encoding::BASE64.decode(signed.signature.as_bytes()) else { return false };
    tegata_pki::key::verify(&row.public_key, &Meant::Answer.signed_bytes(&signed.answer), &signature)
}

/// Keeps what the device sees, unless it has said more since. How long the file was under way nobody knows, so it says nothing about the
/// device's clock.
async fn report(issuance: &Issuance, row: &DeviceRow, answer: &OfflineAnswer, now: Timestamp) -> Result<(), OfflineError> {
    if answer.last_receipt < row.receipts || answer.report.generation < row.report.generation {
        return Ok(());
    }
    let report = Report { clock: now.unix().saturating_add(row.clock_offset), ..answer.report.clone() };
    Ok(reports::report(&issuance.ledger, &issuance.bells, row, report, now).await?)
}

impl Heard {
    async fn receipts(&mut self, issuance: &Issuance, mut row: DeviceRow, answer: &OfflineAnswer, now: Timestamp) {
        for some in answer.receipts.chunks(RECEIPTS_MAX) {
            match receipts::accept(&issuance.ledger, &issuance.bells, &row, some.to_vec(), now).await {
                Ok(answer) => row.receipts = answer.up_to,
                Err(error) => return self.refused.push((None, error.into())),
            }
        }
    }

    async fn certificates(&mut self, issuance: &Issuance, row: &DeviceRow, answer: &OfflineAnswer, now: Timestamp) {
        for (order, certificate) in named(&answer.taken) {
            match vendor::taken(&issuance.ledger, &issuance.bells, row, &order, certificate, now).await {
                Ok(()) => self.taken.push(order),
                Err(error) => self.refused.push((Some(order), error.into())),
            }
        }
    }

    /// The identity's certificate may be over: without a network it cannot be renewed. Its key has signed the file, and whether it is in
    /// force is on record.
    async fn requests(&mut self, issuance: &Issuance, row: &DeviceRow, answer: &OfflineAnswer, now: Timestamp) {
        let identity = Identity { key: row.identity, tenant: row.tenant.to_string(), not_after: now.after(DAY) };
        for (order, request) in named(&answer.requests) {
            match issuance.issue(&identity, &order, &request.csr).await {
                Ok(_) => self.issued.push(order),
                Err(error) => self.refused.push((Some(order), error.into())),
            }
        }
    }

    fn record(&self, tenant: &TenantName, actor: &str, now: Timestamp) -> NewRecord {
        let texts = |orders: &[OrderId]| orders.iter().map(ToString::to_string).collect::<Vec<_>>();
        NewRecord {
            tenant: tenant.clone(),
            at: now,
            stage: Stage::Done,
            actor: actor.to_owned(),
            action: "bundle.accept",
            object: self.device.to_string(),
            details: json!({
                "upTo": self.up_to, "lastReceipt": self.last_receipt, "issued": texts(&self.issued), "taken": texts(&self.taken),
                "refused": self.refused.len(),
            }),
        }
    }
}

/// What is said about orders. Something that is no order's name is about none.
fn named<T>(said: &std::collections::BTreeMap<String, T>) -> impl Iterator<Item = (OrderId, &T)> {
    said.iter().filter_map(|(order, what)| Some((order.parse().ok()?, what)))
}
