//! What is kept of certificates that vendors issued.

use tegata_core::name::{OrderId, Serial, Sha256, SlotId, TenantName};
use tegata_core::time::Timestamp;

/// A certificate that somebody else signed. Whose it is and where it goes are those of its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenIn {
    /// The decision that it answers.
    pub order: OrderId,
    /// What it is known by: [`Serial::of_vendor`].
    pub serial: Serial,
    /// Subject CN, as the vendor wrote it; empty if there is none.
    pub common_name: String,
    /// Subject O, likewise.
    pub organization: String,
    /// The certificate, DER.
    pub der: Vec<u8>,
    /// SHA-256 of `der`.
    pub fingerprint: Sha256,
    /// SHA-256 of its public key.
    pub public_key: Sha256,
    /// First moment of validity. Taken as the moment of issuance, unless it lies ahead.
    pub not_before: Timestamp,
    /// Last moment of validity.
    pub not_after: Timestamp,
    /// When it was taken in.
    pub at: Timestamp,
    /// The file, unless the certificate lay on the device already.
    pub bundle: Option<Bundle>,
}

/// A vendor's file that the server cannot open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The name that it came with.
    pub file_name: String,
    /// An age file.
    pub sealed: Vec<u8>,
}

/// An application at a vendor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApplicationRow {
    /// Whose.
    pub tenant: TenantName,
    /// The slot.
    pub slot: SlotId,
    /// When the day of the application began.
    pub applied_at: Timestamp,
    /// The request ID of the notice.
    pub request_id: String,
    /// The reference ID, sealed: an armored age file that the server cannot open.
    pub sealed_reference: String,
    /// The PIN that was made for its download, sealed likewise.
    pub sealed_pin: Option<String>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// By whom.
    pub recorded_by: String,
    /// When it was closed, and why.
    pub closed: Option<(Timestamp, Closed)>,
}

/// Why an application is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// Its certificate was brought in.
    Imported,
    /// A person closed it.
    Withdrawn,
}
