//! Roots that policy pins: programs of the user are made to trust them where the user may, and are taken from them again once policy lists them no
//! more. Only what is pinned, only roots, only what somebody at the PC has [granted], and only what this agent has added goes.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use tegata_api::v1::device::Deed;
use tegata_api::v1::trust::{RootReport, RootState};
use tegata_core::name::Sha256;
use tegata_pki::certificate;
use tegata_pki::key::sha256;

use crate::converge::{Device, StepError};
use crate::disk::{self, DiskError};
use crate::keystore::Rooted;
use crate::manifest::Manifest;
use crate::state::State;

pub mod granted;

/// Roots that were added, or were about to be, by SHA-256.
type Added = BTreeMap<String, Claim>;

/// What was there before, and whether it is on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claim {
    /// The root, base64.
    der: String,
    /// True if it lay in the store before, and only the trust in it is ours.
    was_there: bool,
    /// True once there is a receipt.
    receipted: bool,
}

impl Device {
    /// Takes every root as far as it can go here, and gives how far each has come.
    pub async fn settle_roots(&mut self, manifest: &Manifest) -> Result<Vec<RootReport>, StepError> {
        let mut added: Added = disk::read_json(&self.state.roots())?.unwrap_or_default();
        self.distrust_others(manifest, &mut added).await?;
        let mut reports = Vec::new();
        for (pin, der) in &manifest.trust {
            let state = self.settle_root(*pin, der.as_deref(), &mut added).await.unwrap_or_else(|problem| {
                tracing::warn!(root = %pin, problem = crate::told(&problem), "a root could not be added; it is tried again");
                RootState::Failed
            });
            reports.push(RootReport { sha256: pin.to_string(), state });
        }
        Ok(reports)
    }

    async fn settle_root(&mut self, pin: Sha256, der: Option<&[u8]>, added: &mut Added) -> Result<RootState, StepError> {
        let brought = self.keystores.browser.root(pin).await?;
        let before = match brought {
            Rooted::NotHere => return Ok(if is_trusted_by_system(pin) { RootState::Trusted } else { RootState::NeedsAdministrator }),
            Rooted::There { is_trusted: true, .. } if added.get(&pin.to_string()).is_none_or(|claim| claim.receipted) => {
                return Ok(RootState::Trusted);
            }
            Rooted::There { der, .. } => Some(der),
            Rooted::Absent => None,
        };
        let Some(der) = der.or(before.as_deref()) else { return Ok(RootState::NotBrought) };
        if !is_root(pin, der) {
            return Ok(RootState::NotARoot);
        }
        if !granted::is_granted(&self.state, pin)? {
            return Ok(RootState::NeedsAdministrator);
        }
        let claim = Claim { der: BASE64.encode(der), was_there: before.is_some(), receipted: false };
        added.entry(pin.to_string()).or_insert(claim);
        disk::write_json(&self.state.roots(), added)?;
        self.keystores.browser.trust(der, true).await?;
        let receipted = added.get(&pin.to_string()).is_some_and(|claim| claim.receipted);
        if !receipted {
            self.receipts.record(Deed::RootTrusted { fingerprint: pin.to_string() }, crate::wall_clock())?;
            added.entry(pin.to_string()).and_modify(|claim| claim.receipted = true);
            disk::write_json(&self.state.roots(), added)?;
        }
        Ok(RootState::Trusted)
    }

    /// What was there before stays, without the trust; what was not is removed.
    async fn distrust_others(&mut self, manifest: &Manifest, added: &mut Added) -> Result<(), StepError> {
        for (pin, claim) in added.clone() {
            let Ok(fingerprint) = pin.parse::<Sha256>() else { continue };
            if manifest.trust.contains_key(&fingerprint) && granted::is_granted(&self.state, fingerprint)? {
                continue;
            }
            let store = &self.keystores.browser;
            match store.root(fingerprint).await? {
                Rooted::There { der, .. } if claim.was_there => store.trust(&der, false).await?,
                Rooted::There { .. } => store.remove(fingerprint).await.map(drop)?,
                Rooted::Absent | Rooted::NotHere => {}
            }
            self.receipts.record(Deed::RootDistrusted { fingerprint: pin.clone() }, crate::wall_clock())?;
            added.remove(&pin);
            disk::write_json(&self.state.roots(), added)?;
        }
        Ok(())
    }
}

/// The roots that were added, DER. What browsers trust by them, probes trust too.
pub(crate) fn added(state: &State) -> Result<Vec<Vec<u8>>, DiskError> {
    let added: Added = disk::read_json(&state.roots())?.unwrap_or_default();
    Ok(added.into_values().filter(|claim| claim.receipted).filter_map(|claim| BASE64.decode(claim.der.as_bytes()).ok()).collect())
}

/// True if these are the bytes that are pinned, of an authority that has signed itself.
fn is_root(pin: Sha256, der: &[u8]) -> bool {
    sha256(der) == pin && certificate::read(der).is_ok_and(|read| read.is_authority) && certificate::is_issued_by(der, der)
}

/// True if an administrator, or the maker of the system, has added it.
fn is_trusted_by_system(pin: Sha256) -> bool {
    rustls_native_certs::load_native_certs().certs.iter().any(|der| sha256(der) == pin)
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
