//! Playbooks as they are written, and what is said of a run.
//!
//! All under `/v1/tenants/{tenant}`, with `Authorization: Bearer <token>`:
//!
//! | request | answer |
//! |---|---|
//! | `POST /playbooks/runs` [`BeginRun`] | [`RunBegun`]: on record before any host is spoken to |
//! | `POST /playbooks/runs/{run}/end` [`EndRun`] | 204 |
//! | `GET /playbooks/host-keys` | `[`[`TrustedKey`]`]` |
//! | `POST /playbooks/host-keys/{clinic}/{device}` [`TrustKey`] | 204: within the approved window, once |

use serde::{Deserialize, Serialize};

#[cfg(feature = "policy")]
mod document;

#[cfg(feature = "policy")]
pub use document::*;

/// The most hosts in one run.
pub const HOSTS_MAX: usize = 10_000;

/// True for what may name a variable: a letter, then letters, digits and '_', 64 at most.
pub fn is_variable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.len() <= 64 && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic()) && name.bytes().all(plain)
}

/// What a run is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BeginRun {
    /// The name of the playbook.
    pub playbook: String,
    /// The SHA-256 of its file, in hexadecimal.
    pub sha256: String,
    /// Whether anything may be changed.
    pub mode: Mode,
    /// The hosts, `clinic/device`.
    pub hosts: Vec<String>,
}

/// Whether anything may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Things are made so.
    Run,
    /// It is only looked.
    Check,
}

/// A run that is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunBegun {
    /// What it is called from now on.
    pub run: String,
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndRun {
    /// The name of the playbook.
    pub playbook: String,
    /// Each host.
    pub hosts: Vec<HostResult>,
}

/// What came of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HostResult {
    /// `clinic/device`.
    pub host: String,
    /// In one word.
    pub state: HostState,
    /// Why it failed, or was not begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<HostTrouble>,
    /// The task that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// How many tasks changed something, or would.
    pub changed: u32,
}

/// What came of a host, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostState {
    /// Everything was so already.
    Unchanged,
    /// It is so now.
    Changed,
    /// It would be changed; it was only looked.
    WouldChange,
    /// A task failed, and none after it was begun.
    Failed,
    /// It was not spoken to.
    NotBegun,
}

/// Why a host is not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostTrouble {
    /// Nobody is there, or the line broke.
    Unreachable,
    /// It does not answer in time.
    Slow,
    /// It shows another key than the one that is expected of it.
    WrongHostKey,
    /// No key is pinned, and no window in which an unknown one is believed is open.
    UnknownHostKey,
    /// There is nothing to sign in with.
    NoCredentials,
    /// It does not let us in.
    SignInRefused,
    /// It does not let us do that.
    Forbidden,
    /// Its disk is full.
    DiskFull,
    /// It lacks a program that a task needs.
    ToolMissing,
    /// It is not what the playbook asserts.
    AssertionFailed,
    /// It is enrolled as another device, or with another server.
    OtherDevice,
    /// The server made no code for it.
    NoCode,
    /// A file or a secret that a task needs is not here.
    InputMissing,
    /// A program ended with an error.
    TaskFailed,
    /// It answers something that cannot be understood.
    Broken,
    /// Too many hosts before it failed.
    TooManyFailures,
    /// Whoever started the run ended it.
    Interrupted,
}

/// "This is the key that the device has shown; from now on no other is believed."
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustKey {
    /// The key, `algorithm base64`.
    #[serde(default)]
    pub key: String,
    /// What people compare.
    #[serde(default)]
    pub fingerprint: String,
}

/// A key that was believed the first time that it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrustedKey {
    /// `clinic/device`.
    pub host: String,
    /// The key, `algorithm base64`.
    pub key: String,
    /// What people compare.
    pub fingerprint: String,
    /// Who was there.
    pub by: String,
    /// When, seconds since the Unix epoch.
    pub at: i64,
}
