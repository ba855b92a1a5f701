//! The manifest after the door: every name, number and fingerprint read once, so that nothing later handles bare strings.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use data_encoding::BASE64;
use tegata_api::v1::backup::Quorum;
use tegata_api::v1::device::{self as wire, BrowserRule, FileHash};
use tegata_api::v1::trust::TrustRoot;
use tegata_core::backup::Keepers;
use tegata_core::name::{DeviceId, OrderId, Sha256, SlotId};
use tegata_core::policy::KeyAlgorithm;

use crate::disk::{self, DiskError};
use crate::state::State;

/// Everything that this device should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// Never goes back.
    pub generation: u64,
    /// Whose manifest it is.
    pub device: DeviceId,
    /// The slots, each once.
    pub slots: Vec<Slot>,
    /// Certificates to remove now.
    pub retire: BTreeSet<Sha256>,
    /// Installer files to remove.
    pub remove_installers: BTreeSet<FileHash>,
    /// Files to move out of the way.
    pub quarantine: BTreeSet<FileHash>,
    /// Installer files that were removed: to be told of if they come back.
    pub tombstones: BTreeSet<FileHash>,
    /// The places of the user to look into.
    pub folders: BTreeSet<String>,
    /// Roots that programs are to trust, and their DER where the server has it.
    pub trust: BTreeMap<Sha256, Option<Vec<u8>>>,
    /// How often the server was put back from a backup.
    pub epoch: u64,
}

impl Manifest {
    /// The one that was accepted last; `None` if there was none yet.
    pub fn kept(state: &State) -> Result<Option<Self>, DiskError> {
        let path = state.manifest();
        let said: Option<wire::Manifest> = disk::read_json(&path)?;
        let read = said.as_ref().map(Self::try_from).transpose();
        read.map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem)).map_err(disk::failing("follow", &path))
    }
}

/// What one slot should hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// Which one.
    pub id: SlotId,
    /// The newest order for it.
    pub order: Option<OrderId>,
    /// Where the order's certificate comes from.
    pub source: Source,
    /// The kind of key to make; `None` if this agent does not know the kind.
    pub key: Option<KeyAlgorithm>,
    /// What people see as the certificate's name.
    pub label: String,
    /// Where it goes.
    pub stores: Vec<String>,
    /// Which sites the browser selects it for.
    pub select: BTreeSet<BrowserRule>,
    /// The page that proves it.
    pub probe: Option<String>,
    /// Certificates that go once the order is proven.
    pub replaces: BTreeSet<Sha256>,
    /// To whom what a program keeps by itself is sealed; nobody means that it is not backed up.
    pub backup: Keepers,
}

impl Slot {
    /// True if the certificate goes into the browser's store. For others the browser has nothing to select.
    pub fn is_for_browser(&self) -> bool {
        self.stores.iter().any(|store| store == "browser")
    }
}

/// Where an order's certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A key is made here, and a request sent for it.
    Request,
    /// A vendor's file waits at the server, sealed to this PC.
    Bundle(Sha256),
    /// The vendor is asked for the successor of a certificate that this PC holds.
    Renewal(Renewal),
    /// It lies in a store of this PC already.
    Found(Sha256),
}

/// Whom to ask for a successor, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// `https://host`, perhaps with a port.
    pub url: String,
    /// The certificate to show.
    pub current: Sha256,
    /// To whom what comes is sealed too.
    pub backup: Keepers,
}

/// A manifest that makes no sense. The last good one stays in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the manifest cannot be understood: {what} '{text}'")]
pub struct Unreadable {
    what: &'static str,
    text: String,
}

fn read<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, Unreadable> {
    text.parse().map_err(|_| Unreadable { what, text: text.to_owned() })
}

impl TryFrom<&wire::Manifest> for Manifest {
    type Error = Unreadable;

    fn try_from(said: &wire::Manifest) -> Result<Self, Unreadable> {
        let slots = said.slots.iter().map(Slot::try_from).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = slots.iter().find(|slot| !seen.insert(&slot.id)) {
            return Err(Unreadable { what: "there are two slots", text: twice.id.to_string() });
        }
        let hash =
            |file: &FileHash| read::<Sha256>("file hash", &file.sha256).map(|hash| FileHash { sha256: hash.to_string(), size: file.size });
        Ok(Self {
            generation: said.generation,
            device: read("device", &said.device)?,
            slots,
            retire: said.retire.iter().map(|text| read("fingerprint", text)).collect::<Result<_, _>>()?,
            remove_installers: said.remove_installers.iter().map(hash).collect::<Result<_, _>>()?,
            quarantine: said.quarantine.iter().map(hash).collect::<Result<_, _>>()?,
            tombstones: said.tombstones.iter().map(hash).collect::<Result<_, _>>()?,
            folders: said.folders.iter().cloned().collect(),
            trust: said.trust.iter().map(root).collect::<Result<_, _>>()?,
            epoch: said.epoch,
        })
    }
}

fn root(said: &TrustRoot) -> Result<(Sha256, Option<Vec<u8>>), Unreadable> {
    let decoded = |text: &String| BASE64.decode(text.as_bytes()).map_err(|_| Unreadable { what: "root", text: said.sha256.clone() });
    Ok((read("root", &said.sha256)?, said.der.as_ref().map(decoded).transpose()?))
}

impl TryFrom<&wire::SlotManifest> for Slot {
    type Error = Unreadable;

    fn try_from(said: &wire::SlotManifest) -> Result<Self, Unreadable> {
        Ok(Self {
            id: read("slot", &said.slot)?,
            order: said.order.as_deref().map(|text| read("order", text)).transpose()?,
            source: Source::try_from(&said.source)?,
            key: algorithm(&said.key),
            label: said.label.clone(),
            stores: said.stores.clone(),
            select: said.select.iter().cloned().collect(),
            probe: said.probe.clone(),
            replaces: said.replaces.iter().map(|text| read("fingerprint", text)).collect::<Result<_, _>>()?,
            backup: Quorum::heard(&said.backup, said.quorum.as_ref()),
        })
    }
}

impl TryFrom<&wire::Source> for Source {
    type Error = Unreadable;

    fn try_from(said: &wire::Source) -> Result<Self, Unreadable> {
        Ok(match said {
            wire::Source::Request => Self::Request,
            wire::Source::Bundle { fingerprint } => Self::Bundle(read("fingerprint", fingerprint)?),
            wire::Source::Found { fingerprint } => Self::Found(read("fingerprint", fingerprint)?),
            wire::Source::Renewal { url, current, backup, quorum } => {
                let (current, backup) = (read("fingerprint", current)?, Quorum::heard(backup, quorum.as_ref()));
                Self::Renewal(Renewal { url: url.clone(), current, backup })
            }
        })
    }
}

impl From<&Source> for wire::Source {
    fn from(source: &Source) -> Self {
        match source {
            Source::Request => Self::Request,
            Source::Bundle(fingerprint) => Self::Bundle { fingerprint: fingerprint.to_string() },
            Source::Found(fingerprint) => Self::Found { fingerprint: fingerprint.to_string() },
            Source::Renewal(Renewal { url, current, backup }) => {
                let (backup, quorum) = Quorum::told(backup.clone());
                Self::Renewal { url: url.clone(), current: current.to_string(), backup, quorum }
            }
        }
    }
}

/// A kind of key that is not known here is one slot's trouble, not the whole manifest's: newer servers may know more.
fn algorithm(word: &str) -> Option<KeyAlgorithm> {
    match word {
        "ecdsa-p256" => Some(KeyAlgorithm::EcdsaP256),
        "ecdsa-p384" => Some(KeyAlgorithm::EcdsaP384),
        "rsa-2048" => Some(KeyAlgorithm::Rsa2048),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(id: &str) -> wire::SlotManifest {
        wire::SlotManifest {
            backup: vec![],
            quorum: None,
            source: wire::Source::Request,
            slot: id.into(),
            order: Some("00".repeat(16)),
            key: "ecdsa-p256".into(),
            label: "Karte".into(),
            stores: vec!["browser".into()],
            select: vec![],
            probe: None,
            replaces: vec![],
        }
    }

    fn manifest(slots: Vec<wire::SlotManifest>) -> wire::Manifest {
        wire::Manifest { generation: 1, device: "sakura/uketsuke-1".into(), slots, ..Default::default() }
    }

    #[test]
    fn a_name_that_could_leave_the_folder_is_refused() {
        for id in ["../../etc/passwd", "a/b/../c", "a/b", "", "A/b/c", "a/b+c/d"] {
            assert!(Manifest::try_from(&manifest(vec![slot(id)])).is_err(), "{id}");
        }
        let mut wrong = slot("a/b/c");
        wrong.order = Some("../x".into());
        assert!(Manifest::try_from(&manifest(vec![wrong])).is_err());
    }

    #[test]
    fn the_same_slot_twice_is_refused() {
        let problem = Manifest::try_from(&manifest(vec![slot("a/b/c"), slot("a/b/c")])).unwrap_err();
        assert_eq!(problem.to_string(), "the manifest cannot be understood: there are two slots 'a/b/c'");
    }

    #[test]
    fn an_unknown_kind_of_key_is_kept_for_its_slot_to_complain_about() {
        let mut newer = slot("a/b/c");
        newer.key = "ml-dsa-65".into();
        assert_eq!(Manifest::try_from(&manifest(vec![newer])).unwrap().slots[0].key, None);
    }
}
