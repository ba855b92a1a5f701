//! Who this device is: its own key and the certificate that the server knows it by.

use std::rc::Rc;

use tegata_core::time::Timestamp;
use tegata_pki::certificate::{self, Certificate, CertificateError};
use tegata_pki::csr;
use tegata_pki::key::{KeyError, PrivateKey};

use tegata_api::client::ClientError;
use tegata_api::v1::device::IssuedCertificate;

use crate::disk::{self, DiskError, Readers};
use crate::server::Server;
use crate::state::State;

/// The device's identity, as it was loaded from its folder.
pub struct Identity {
    /// Its key; also signs receipts.
    pub key: Rc<PrivateKey>,
    /// Its certificate, then the intermediates.
    pub chain: Vec<Certificate>,
    /// The authorities that the server's certificate may come from, PEM.
    pub authorities: String,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Nobody has enrolled this PC, or not to the end.
    #[error("this PC is not enrolled (nothing in {0}); run `tegata-agent enroll` first")]
    NotEnrolled(String),
    /// An enrolment was broken off between two files.
    #[error("the identity certificate does not belong to the identity key; run `tegata-agent enroll` again")]
    Torn,
    /// The disk is in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The key is damaged.
    #[error("identity.key is damaged; enrol this PC again")]
    Key(#[source] KeyError),
    /// The certificate is damaged.
    #[error("identity.pem is damaged; enrol this PC again")]
    Certificate(#[source] CertificateError),
}

/// Why the identity certificate was not renewed.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// The request could not be made.
    #[error("the request cannot be made")]
    Request(#[source] KeyError),
    /// The server did not answer, or said no.
    #[error("the server did not renew the identity")]
    Server(#[from] ClientError),
    /// What the server gave cannot be used.
    #[error("the renewed identity cannot be used")]
    Unusable(#[from] IdentityError),
}

impl Identity {
    /// Loads it.
    pub fn load(state: &State) -> Result<Self, IdentityError> {
        let absent = || IdentityError::NotEnrolled(state.root().display().to_string());
        let key = disk::read_secret(&state.identity_key())?.ok_or_else(absent)?;
        let chain = disk::read_text(&state.identity_chain())?.ok_or_else(absent)?;
        let authorities = disk::read_text(&state.authorities())?.ok_or_else(absent)?;
        let key = PrivateKey::from_pkcs8(&key).map_err(IdentityError::Key)?;
        Ok(Self { chain: chain_for(&key, &chain)?, key: Rc::new(key), authorities })
    }

    /// True once a third of the certificate's life is over, by the server's clock. The device's own clock is never asked.
    pub fn is_due(&self, server_time: Timestamp) -> bool {
        let Some(own) = self.chain.first() else { return false };
        server_time >= own.not_before.after(own.not_after.since(own.not_before) / 3)
    }

    /// The last moment of validity.
    pub fn not_after(&self) -> Option<Timestamp> {
        self.chain.first().map(|own| own.not_after)
    }

    /// Has a fresh certificate made for the same key, and writes it down. The old one stays in force until then, whatever goes wrong.
    pub async fn renew(&mut self, state: &State, server: &dyn Server) -> Result<(), RenewalError> {
        let request = csr::create(&*self.key).map_err(RenewalError::Request)?;
        let issued = server.identity(request).await?;
        let text = pem_of(&issued);
        let chain = chain_for(&self.key, &text)?;
        disk::write(&state.identity_chain(), text.as_bytes(), Readers::Owner).map_err(IdentityError::from)?;
        self.chain = chain;
        server.present(self)?;
        Ok(())
    }
}

/// The certificate and its intermediates as one PEM text.
fn pem_of(issued: &IssuedCertificate) -> String {
    format!("{}\n{}", issued.certificate.trim_end(), issued.chain)
}

/// Reads a chain and refuses it if it does not begin with a certificate for `key`.
pub fn chain_for(key: &PrivateKey, pem: &str) -> Result<Vec<Certificate>, IdentityError> {
    let chain = certificate::read_pem(pem).map_err(IdentityError::Certificate)?;
    match chain.first() {
        Some(own) if own.public_key == key.public_key() => Ok(chain),
        _ => Err(IdentityError::Torn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretend::{self, World};

    #[test]
    fn t3_renewal_is_due_after_a_third_of_the_life_by_the_servers_clock() {
        let world = World::new();
        let identity = &world.identity;
        let own = &identity.chain[0];
        let third = own.not_after.since(own.not_before) / 3;
        assert!(!identity.is_due(Timestamp::from_unix(own.not_before.after(third).unix() - 1)));
        assert!(identity.is_due(own.not_before.after(third)));
        assert!(identity.is_due(own.not_after.after(third)));
    }

    #[tokio::test]
    async fn renewal_keeps_the_key_and_replaces_the_certificate() {
        let mut world = World::new();
        let before = world.identity.chain[0].clone();
        world.identity.renew(&world.state, &*world.server).await.unwrap();
        let after = Identity::load(&world.state).unwrap().chain[0].clone();
        assert_eq!(before.public_key, after.public_key);
        assert_ne!(before.fingerprint, after.fingerprint);
        assert_eq!(world.server.presented.borrow().as_slice(), [after.fingerprint]);
    }

    #[tokio::test]
    async fn a_refused_renewal_leaves_the_old_identity_in_force() {
        let mut world = World::new();
        let before = world.identity.chain[0].fingerprint;
        for code in [tegata_api::v1::problem::Code::Unauthorized, tegata_api::v1::problem::Code::Busy] {
            world.server.refuse_with(pretend::problem(code));
            world.identity.renew(&world.state, &*world.server).await.unwrap_err();
            assert_eq!(Identity::load(&world.state).unwrap().chain[0].fingerprint, before);
        }
    }
}
