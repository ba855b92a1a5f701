//! Applications at a vendor: what was applied for when, and until when it can be fetched.
//!
//! All under `/v1/tenants/{tenant}`, with `Authorization: Bearer <token>`:
//!
//! | request | answer |
//! |---|---|
//! | `GET /applications` `?clinic=` | `[`[`Application`]`]`, open ones first |
//! | `POST /applications` [`RecordApplication`] | 204 |
//! | `POST /applications/{clinic}/{device}/{profile}/close` | 204 |
//! | `POST /applications/{clinic}/{device}/{profile}/pin` [`KeepPin`] | 204 |
//! | `POST /applications/{clinic}/{device}/{profile}/sealed-pin` | [`SealedPin`]; that it was handed out is on record |

use serde::{Deserialize, Serialize};

use super::vendor::Pin;

/// "This was applied for, and the notice came."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordApplication {
    /// The slot.
    pub slot: String,
    /// The day of the application, such as `2026-10-01`, in the clinic's time zone.
    pub applied: String,
    /// The request ID of the notice, in clear.
    pub request_id: String,
    /// The reference ID, sealed by the sender to the clinic's backup recipients: an armored age file (`-----BEGIN AGE ENCRYPTED FILE-----`).
    /// The server refuses anything else, and cannot open it.
    pub sealed_reference: String,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// The slot.
    pub slot: String,
    /// `open`, `closing` (notices are out), `lapsed`, `imported` or `withdrawn`.
    pub state: String,
    /// The day of the application.
    pub applied: String,
    /// The last moment at which the certificate can be fetched, seconds since the Unix epoch; nothing if its profile does not say any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<i64>,
    /// When people are told next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_notice: Option<i64>,
    /// The request ID of the notice.
    pub request_id: String,
    /// The reference ID, sealed.
    pub sealed_reference: String,
    /// The rules of the PIN that has to be chosen where the certificate is fetched, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// Whether such a PIN was made, and is kept.
    #[serde(default)]
    pub has_pin: bool,
    /// Who recorded it.
    pub recorded_by: String,
    /// When it was closed, seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<i64>,
}

/// "This PIN was made for the open application of a slot."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeepPin {
    /// The PIN, sealed like [`RecordApplication::sealed_reference`]: never in clear, and apart from the file that it opens.
    pub sealed_pin: String,
    /// Whether it may take the place of one that was made before.
    #[serde(default)]
    pub replace: bool,
}

/// The PIN of a slot's newest application that has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedPin {
    /// An armored age file.
    pub sealed_pin: String,
}
