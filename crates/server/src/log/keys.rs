//! The keys that checkpoints are signed with: derived from the seal, one for each tenant, and none of them an authority's.

use data_encoding::HEXLOWER;
use tegata_core::name::TenantName;
use tegata_pki::key::{Seal, hmac_sha256};
use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::merkle::Hash;
use tegata_tlog::note::{Kind, Note, SignerKey};
use zeroize::Zeroizing;

/// What all keys of logs are derived from.
pub struct LogKeys {
    secret: Zeroizing<[u8; 32]>,
    /// Tells this installation from others.
    installation: String,
}

impl LogKeys {
    /// The same for the same seal.
    pub fn of(seal: &Seal) -> Self {
        let derive = |purpose: &[u8]| Zeroizing::new(hmac_sha256(seal.text().as_bytes(), purpose).0);
        Self { secret: derive(b"tegata log"), installation: HEXLOWER.encode(&derive(b"tegata installation")[..8]) }
    }

    /// What a tenant's log is called, wherever the server is reached: it is the same log after a move.
    pub fn origin(&self, tenant: &TenantName) -> String {
        format!("tegata/{}/{tenant}", self.installation)
    }

    /// A checkpoint of a tenant's log, signed.
    pub fn signed(&self, tenant: &TenantName, size: u64, root: Hash) -> String {
        let checkpoint = Checkpoint { origin: self.origin(tenant), size, root };
        let mut note = Note::new(checkpoint.to_string()).expect("a checkpoint is lines of plain text");
        self.signer(tenant).sign(&mut note, 0);
        note.to_string()
    }

    /// The key of a tenant's log.
    pub fn signer(&self, tenant: &TenantName) -> SignerKey {
        let seed = Zeroizing::new(hmac_sha256(self.secret.as_slice(), tenant.as_str().as_bytes()).0);
        SignerKey::new(&self.origin(tenant), Kind::Log, &seed).expect("an origin has neither blanks nor a plus")
    }
}
