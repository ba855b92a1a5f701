//! What monsiaj keeps on this PC, sealed to the keepers of the clinic's backups and sent whenever it has changed.
//!
//! monsiaj makes and renews certificates by itself, and only this folder has them. The server gets what it cannot open.

use std::collections::BTreeMap;
use std::path::Path;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use tegata_api::client::ClientError;
use tegata_api::v1::backup::KeepRequest;
use tegata_core::backup::Keepers;
use tegata_pki::bundle::{SealError, folder};
use tegata_pki::key::sha256;

use crate::disk::{self, DiskError};
use crate::keystore::monsiaj::{self, Monsiaj};
use crate::manifest::Manifest;
use crate::server::Server;
use crate::state::State;

/// Why what there is was not sent. It is tried again at the next look.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// One folder holds the certificates of several clinics.
    #[error("several clinics use monsiaj on this PC, and the keepers of one clinic's backups must not get another's certificates")]
    Shared,
    /// A file cannot be read, or what was sent cannot be noted.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// It cannot be sealed.
    #[error("what monsiaj keeps cannot be sealed")]
    Seal(#[from] SealError),
    /// The server does not take it.
    #[error(transparent)]
    Server(#[from] ClientError),
}

/// What was sent last: SHA-256 of the files and of those to whom they were sealed, by slot.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sent(BTreeMap<String, String>);

/// Sends what has changed since it was sent last. A crash in between sends it once more.
pub async fn send(state: &State, home: &Path, manifest: &Manifest, server: &dyn Server) -> Result<(), SnapshotError> {
    let users = || manifest.slots.iter().filter(|slot| slot.stores.iter().any(|store| store == monsiaj::NAME));
    let mut keepers = users().filter(|slot| !slot.backup.is_nobody()).peekable();
    if keepers.peek().is_some_and(|slot| users().any(|other| other.id.clinic != slot.id.clinic)) {
        return Err(SnapshotError::Shared);
    }
    let mut sent: Sent = disk::read_json(&state.snapshots())?.unwrap_or_default();
    for slot in keepers {
        let files = Monsiaj::of(home).files()?;
        // What has lost its certificates would take the place of what has them.
        if !files.iter().any(|file| file.name.ends_with(".p12")) {
            continue;
        }
        let packed = folder::pack(&files)?;
        let state_of_things = sha256(&[&sha256(&packed).0[..], told(&slot.backup).as_bytes()].concat()).to_string();
        if sent.0.get(&slot.id.to_string()) == Some(&state_of_things) {
            continue;
        }
        let sealed = BASE64.encode(&folder::seal(&packed, &slot.backup)?);
        let request = KeepRequest { slot: slot.id.to_string(), recipients: slot.backup.of.clone(), sealed };
        server.keep(&request).await?;
        sent.0.insert(slot.id.to_string(), state_of_things);
        disk::write_json(&state.snapshots(), &sent)?;
    }
    Ok(())
}

/// The same text for the same keepers.
fn told(keepers: &Keepers) -> String {
    let together = if keepers.threshold > 1 { format!("{} of ", keepers.threshold) } else { String::new() };
    together + &keepers.of.join(" ")
}

#[cfg(test)]
mod tests;
