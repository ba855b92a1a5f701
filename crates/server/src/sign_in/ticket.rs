//! What ties the two halves of a sign-in together without anything being kept in between.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};
use tegata_api::v1::sign_in::Begin;
use tegata_core::name::{ProviderName, TenantName};
use tegata_core::time::{MINUTE, Timestamp};
use tegata_pki::key::{hmac_sha256, random, same, sha256};

use super::SignInKey;

/// How long a sign-in may take.
const OPEN_FOR: Duration = MINUTE.saturating_mul(10);
/// So many sign-ins that came to an end are remembered; those are people whom a provider has vouched for.
const SPENT_MAX: usize = 10_000;

/// For whom and what a sign-in was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// To which tenant.
    pub tenant: TenantName,
    /// By which provider.
    pub provider: ProviderName,
    /// When.
    pub begun: Timestamp,
    challenge: String,
    port: u16,
    salt: String,
}

/// As it is signed.
#[derive(Serialize, Deserialize)]
struct Written {
    tenant: String,
    provider: String,
    begun: i64,
    challenge: String,
    port: u16,
    salt: String,
}

impl Ticket {
    /// A new one.
    pub fn new(tenant: TenantName, provider: ProviderName, begin: &Begin, now: Timestamp) -> Self {
        let salt = BASE64URL_NOPAD.encode(&random::<16>());
        Self { tenant, provider, begun: now, challenge: begin.challenge.clone(), port: begin.port, salt }
    }

    /// As it is given out.
    pub fn signed(&self, key: &SignInKey) -> String {
        let text = self.text();
        format!("{}.{}", BASE64URL_NOPAD.encode(text.as_bytes()), BASE64URL_NOPAD.encode(&hmac_sha256(&key.0[..], text.as_bytes()).0))
    }

    /// Reads one of this server's.
    pub fn read(signed: &str, key: &SignInKey) -> Option<Self> {
        let (text, mac) = signed.split_once('.')?;
        let text = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).ok()?;
        if !same(&hmac_sha256(&key.0[..], &text).0, &mac) {
            return None;
        }
        let Written { tenant, provider, begun, challenge, port, salt } = serde_json::from_slice(&text).ok()?;
        let (tenant, provider, begun) = (tenant.parse().ok()?, provider.parse().ok()?, Timestamp::from_unix(begun));
        Some(Self { tenant, provider, begun, challenge, port, salt })
    }

    /// True for whoever has begun it, for this tenant, while there is time.
    pub fn is_for(&self, tenant: &TenantName, verifier: &str, now: Timestamp) -> bool {
        let challenge = BASE64URL_NOPAD.encode(&sha256(verifier.as_bytes()).0);
        self.tenant == *tenant && same(self.challenge.as_bytes(), challenge.as_bytes()) && now < self.begun.after(OPEN_FOR)
    }

    /// What the ID token has to hold.
    pub fn nonce(&self, key: &SignInKey) -> String {
        BASE64URL_NOPAD.encode(&hmac_sha256(&key.0[..], format!("nonce\0{}", self.text()).as_bytes()).0)
    }

    /// Where the provider sends the browser back to.
    pub fn redirect(&self) -> String {
        redirect(self.port)
    }

    fn text(&self) -> String {
        let written = Written {
            tenant: self.tenant.to_string(),
            provider: self.provider.to_string(),
            begun: self.begun.unix(),
            challenge: self.challenge.clone(),
            port: self.port,
            salt: self.salt.clone(),
        };
        serde_json::to_string(&written).expect("texts and numbers")
    }
}

/// The loopback address by its number, never by a name that somebody could point elsewhere (RFC 8252, section 8.3).
pub fn redirect(port: u16) -> String {
    format!("http://127.0.0.1:{port}/")
}

/// True for 256 bits as they are written here.
pub fn is_digest(text: &str) -> bool {
    BASE64URL_NOPAD.decode(text.as_bytes()).is_ok_and(|bytes| bytes.len() == 32)
}

/// The nonces of sign-ins that came to their end.
#[derive(Default)]
pub struct Spent(Mutex<HashMap<String, Timestamp>>);

impl Spent {
    /// False if it was spent before, or if too many were.
    pub fn spend(&self, nonce: String, now: Timestamp) -> bool {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        spent.retain(|_, until| now < *until);
        spent.len() < SPENT_MAX && spent.insert(nonce, now.after(OPEN_FOR)).is_none()
    }
}
