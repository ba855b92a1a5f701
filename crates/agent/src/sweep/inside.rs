//! What lies open in the bundles that a look finds: enough for the server to tell whose certificates they hold. No password is guessed.

use std::collections::{BTreeMap, BTreeSet};

use tegata_api::v1::device::{FileHash, Inside};
use tegata_pki::pkcs12::{Depth, Glance, glance};
use zeroize::Zeroizing;

/// On how many bundles an empty password is tried in one look, up to a second each. The others are looked into the next time.
pub(super) const OPENED_MAX: u32 = 20;

/// A bundle as it was read.
pub(super) struct Bundle {
    /// What it contains.
    pub(super) file: FileHash,
    /// The same, byte by byte. A key may lie open in it.
    bytes: Zeroizing<Vec<u8>>,
}

impl Bundle {
    /// Nothing, if it is none.
    pub(super) fn of(bytes: Vec<u8>) -> Option<Self> {
        let bytes = Zeroizing::new(bytes);
        let file = || FileHash { sha256: tegata_pki::key::sha256(&bytes).to_string(), size: bytes.len() as u64 };
        tegata_pki::pkcs12::is_bundle(&bytes).then(file).map(|file| Self { file, bytes })
    }
}

/// What was seen in bundles so far: an empty password is tried once on each.
#[derive(Default)]
pub(super) struct Glances {
    known: BTreeMap<FileHash, Option<Inside>>,
}

impl Glances {
    /// What lies open in a bundle; `left` says on how many an empty password may still be tried.
    pub(super) fn of(&mut self, bundle: &Bundle, left: &mut u32) -> Option<Inside> {
        if let Some(known) = self.known.get(&bundle.file) {
            return known.clone();
        }
        let open = glance(&bundle.bytes, Depth::Open);
        let seen = match (open, left.checked_sub(1)) {
            (Some(open), Some(rest)) if !open.is_whole => {
                *left = rest;
                glance(&bundle.bytes, Depth::EmptyPassword)
            }
            (Some(open), None) if !open.is_whole => return Some(told(open)),
            (open, _) => open,
        };
        self.known.entry(bundle.file.clone()).or_insert(seen.map(told)).clone()
    }

    /// The same of a bundle that was looked into before.
    pub(super) fn known(&self, file: &FileHash) -> Option<Inside> {
        self.known.get(file).cloned().flatten()
    }

    /// Forgets what is not there any more.
    pub(super) fn keep(&mut self, there: &BTreeSet<&FileHash>) {
        self.known.retain(|file, _| there.contains(file));
    }
}

fn told(glance: Glance) -> Inside {
    Inside {
        keys: u32::try_from(glance.keys).unwrap_or(u32::MAX),
        certificates: glance.certificates.iter().map(ToString::to_string).collect(),
        whole: glance.is_whole,
    }
}
