//! Accounts under which certificates are issued: what each may still have, and what goes with it.
//!
//! All under `/v1/tenants/{tenant}`, with `Authorization: Bearer <token>`:
//!
//! | request | answer |
//! |---|---|
//! | `GET /quotas` `?clinic=` | `[`[`Account`]`]`, those that have a quota |
//! | `GET /accounts/{clinic}/{account}` | [`AccountDetail`] |
//! | `GET /slots/{clinic}/{device}/{profile}` | [`SlotDetail`]; a guest device is written `device@home` |

use serde::{Deserialize, Serialize};

use super::fleet::{Backups, Slot};

/// An account at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Its name, `clinic/account`.
    pub name: String,
    /// `active` or `left`.
    pub state: String,
    /// Who succeeds it, `clinic/account`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<String>,
    /// What bounds it. All of them hold.
    pub bounds: Vec<Bound>,
    /// Slots that are wanted under it and find no place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub short: Vec<Short>,
    /// Certificates whose revocation would free a place, the most useless first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spares: Vec<Spare>,
}

/// One bound of an account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// The most that are allowed.
    pub limit: u32,
    /// The rolling span over which issuance counts, in seconds; nothing if those count that are alive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_seconds: Option<u64>,
    /// `alive`, `issued` or `unrevoked`: which certificates count.
    pub counting: String,
    /// Places that are taken, open orders included.
    pub used: u32,
    /// Places that what policy asks for already will need: slots without a certificate, and replacements that fall due within the span.
    pub reserved: u32,
    /// `ample`, `tight` (from 80 percent on), `full` or `short`, reservations included.
    pub pressure: String,
    /// When there is no place left, seconds since the Unix epoch; nothing if that is not foreseen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhausted_at: Option<i64>,
}

/// A bound that gets close to its limit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tight {
    /// The account, `clinic/account`.
    pub account: String,
    /// Where the bound stands.
    #[serde(flatten)]
    pub bound: Bound,
}

/// A slot that finds no place under its account.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Short {
    /// The account, `clinic/account`.
    pub account: String,
    /// The slot.
    pub slot: String,
    /// The number that its certificate would have.
    pub number: u32,
    /// The most that the bound allows which says no.
    pub limit: u32,
    /// The rolling span of that bound in seconds, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_seconds: Option<u64>,
    /// When time alone makes room, seconds since the Unix epoch; nothing if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// The first few certificates whose revocation would make room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spares: Vec<Spare>,
}

/// A certificate whose revocation would free a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spare {
    /// Where it is, or was.
    pub slot: String,
    /// Its serial number.
    pub serial: String,
    /// `gone`, `expired`, `duplicate`, `not-in-policy`, `device-revoked`, `never-proven` or `silent-device`. With the last two its slot is
    /// still wanted: unless its device is taken out of policy, it is issued anew.
    pub because: String,
    /// Since when, seconds since the Unix epoch, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<i64>,
}

/// An account in full.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountDetail {
    /// At a glance.
    pub account: Account,
    /// The slots that are issued under it.
    pub slots: Vec<Slot>,
    /// What would happen if its person left now, or what is happening because it has.
    pub leaving: Leaving,
}

/// What it means that an account is over: its blast radius.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Leaving {
    /// The account, `clinic/account`.
    pub account: String,
    /// How many certificates under it somebody could still use.
    pub certificates: u32,
    /// The devices that hold them, or should.
    pub devices: Vec<String>,
    /// The sites that they open.
    pub sites: Vec<String>,
    /// Slots that are issued anew under another account. Their certificates stay until the new ones are proven, and are revoked then.
    pub moves: Vec<Move>,
    /// Slots that nobody takes over: their certificates are revoked at once.
    pub lost: Vec<String>,
    /// Devices that can sign in with them now and could not tomorrow.
    pub locked_out: Vec<String>,
}

/// A slot that another account takes over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Move {
    /// The slot.
    pub slot: String,
    /// The account from now on, `clinic/account`.
    pub to: String,
}

/// What lies ahead of a slot's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotDetail {
    /// At a glance.
    pub slot: Slot,
    /// When it is replaced, seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
    /// From when on it is replaced without regard to others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_call: Option<i64>,
    /// On how many open days the replacement can be tried before it expires, or before its clinic closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// Set if it expires while its clinic is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<ExpiresWhileClosed>,
    /// In how many targets a backup of its file is, where policy asks for that and there is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<Backups>,
}

/// A certificate that expires on a day on which its clinic is closed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExpiresWhileClosed {
    /// The slot.
    pub slot: String,
    /// When it expires, seconds since the Unix epoch.
    pub not_after: i64,
    /// `year-end`, `golden-week`, `obon` or `closed`.
    pub stretch: String,
    /// The first closed day, such as `2026-12-29`.
    pub first: String,
    /// The last closed day.
    pub last: String,
    /// The last open day before.
    pub last_open: String,
    /// On how many open days its replacement can be tried until then.
    pub attempts: u32,
}
