//! Host certificates (`PROTOCOL.certkeys` of OpenSSH): a host says by them that an authority has named it.
//!
//! libssh2 asks for them, and proves that the host has the private key of the one that it shows. What the certificate says it does not look
//! at: that is done here, and wholly.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ssh_key::certificate::CertType;
use ssh_key::{Certificate, Fingerprint, HashAlg, PublicKey};

use crate::HostKey;

/// How the name of every algorithm ends by which a host shows a certificate.
pub(crate) const SUFFIX: &str = "-cert-v01@openssh.com";
/// The one among them that signs with SHA-1. It is never asked for.
pub(crate) const SHA1: &str = "ssh-rsa-cert-v01@openssh.com";

/// Why what a host shows does not say that it is the one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproven {
    #[error("it shows a key ({0}) without a certificate of an authority that policy pins")]
    Plain(String),
    #[error("its certificate cannot be read")]
    Unreadable,
    #[error("its certificate is by another authority ({0}) than policy pins")]
    Stranger(String),
    #[error("its certificate was not signed by the authority that it names")]
    Forged,
    #[error("its certificate is one for people who sign in, not for hosts")]
    OfUser,
    #[error("its certificate demands {0:?}, which is not known here")]
    Demanding(String),
    #[error("its certificate is not valid yet; does a clock go wrong?")]
    Early,
    #[error("its certificate is no longer valid; the authority has to give it a new one")]
    Late,
    #[error("its certificate is for {0:?}, and not for {1:?}, as policy calls it")]
    OtherHost(Vec<String>, String),
}

/// Looks whether `shown` says that it is the host of this name: in whole a certificate for hosts, by one of these authorities, that is valid
/// at this moment, demands nothing, and names it. A certificate without names is for no host, and names are no patterns.
pub(crate) fn check(shown: &HostKey, authorities: &[HostKey], host: &str, now: SystemTime) -> Result<(), Unproven> {
    if !shown.algorithm().ends_with(SUFFIX) {
        return Err(Unproven::Plain(shown.fingerprint()));
    }
    let certificate = read(shown.blob()).ok_or(Unproven::Unreadable)?;
    let authority = pinned(&certificate, authorities)?;
    in_time(&certificate, now)?;
    let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    certificate.validate_at(seconds, [&authority]).map_err(|_| Unproven::Forged)?;
    if certificate.cert_type() != CertType::Host {
        return Err(Unproven::OfUser);
    }
    // There is none for hosts, and one that is not understood is to be refused.
    if let Some(option) = certificate.critical_options().keys().next() {
        return Err(Unproven::Demanding(option.clone()));
    }
    let names = certificate.valid_principals();
    if names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(Unproven::OtherHost(names.iter().take(5).cloned().collect(), host.to_owned()))
}

/// Reads a certificate that has one meaning only: what is signed, and what libssh2 has read, are these very bytes.
fn read(blob: &[u8]) -> Option<Certificate> {
    let certificate = Certificate::from_bytes(blob).ok()?;
    certificate.to_bytes().is_ok_and(|written| written == blob).then_some(certificate)
}

/// The authority that it names, if policy pins it.
fn pinned(certificate: &Certificate, authorities: &[HostKey]) -> Result<Fingerprint, Unproven> {
    let key = PublicKey::from(certificate.signature_key().clone());
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    let bytes = key.to_bytes().map_err(|_| Unproven::Unreadable)?;
    if authorities.iter().any(|authority| authority.blob() == bytes) {
        return Ok(fingerprint);
    }
    Err(Unproven::Stranger(fingerprint.to_string()))
}

fn in_time(certificate: &Certificate, now: SystemTime) -> Result<(), Unproven> {
    // A moment that no clock can show never comes.
    let moment = |seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    if moment(certificate.valid_after()).is_none_or(|from| now < from) {
        return Err(Unproven::Early);
    }
    if moment(certificate.valid_before()).is_some_and(|until| now >= until) {
        return Err(Unproven::Late);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
