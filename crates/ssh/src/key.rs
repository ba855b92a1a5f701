//! Host keys as `known_hosts` and policy write them.

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, BASE64_NOPAD};
use sha2::{Digest, Sha256};

/// The public key of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKey {
    algorithm: String,
    blob: Vec<u8>,
}

/// What a host is known by. Nothing else is believed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// One of these keys.
    Keys(Vec<HostKey>),
    /// A certificate that one of these authorities has given to the name or address that it is reached by.
    Authorities(Vec<HostKey>),
}

/// What was offered as a host key is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a host key; it looks like ssh-ed25519 AAAA…")]
pub struct NotAKey;

impl HostKey {
    /// Reads what a host has shown: it begins with the length and the name of its algorithm (RFC 4253, section 6.6).
    pub(crate) fn of(blob: &[u8]) -> Result<Self, NotAKey> {
        let (length, rest) = blob.split_first_chunk().ok_or(NotAKey)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| NotAKey)?;
        let name = rest.get(..length).filter(|name| !name.is_empty() && name.len() < rest.len()).ok_or(NotAKey)?;
        let algorithm = std::str::from_utf8(name).map_err(|_| NotAKey)?.to_owned();
        Ok(Self { algorithm, blob: blob.to_owned() })
    }

    /// Its algorithm, such as `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// As it is sent (RFC 4253, section 6.6).
    pub(crate) fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// What people compare: `SHA256:…`, as `ssh-keygen -l` shows it.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(&self.blob)))
    }
}

impl FromStr for HostKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (algorithm, key) = text.split_once(' ').ok_or(NotAKey)?;
        let read = Self::of(&BASE64.decode(key.as_bytes()).map_err(|_| NotAKey)?)?;
        if read.algorithm == algorithm { Ok(read) } else { Err(NotAKey) }
    }
}

impl fmt::Display for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm, BASE64.encode(&self.blob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the fingerprint that `ssh-keygen -lf` shows.
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJz2hFaHOp7nMYvUW9gOd7kQLoSTOi8tF3Vv1bT0PyH";

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let key: HostKey = KEY.parse().unwrap();
        assert_eq!((key.to_string().as_str(), key.algorithm()), (KEY, "ssh-ed25519"));
        assert_eq!(key.fingerprint(), "SHA256:VY2UaepOEuKnl+P8oQLDZQQI6R7Nc5GyNCT6EkAmofk");
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let other_name = KEY.replacen("ssh-ed25519", "ssh-rsa", 1);
        for text in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 !", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", &other_name] {
            assert_eq!(text.parse::<HostKey>(), Err(NotAKey), "{text}");
        }
    }
}
