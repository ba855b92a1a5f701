//! Turns a code into an identity. Can be repeated after a lost answer, and for a PC that starts over.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tegata_api::client::{Client, ClientError};
use tegata_api::v1::device::{EnrollRequest, Enrolled};
use tegata_core::name::{DeviceId, Sha256};
use tegata_core::policy::KeyAlgorithm;
use tegata_pki::csr;
use tegata_pki::key::{KeyError, PrivateKey};
use zeroize::Zeroizing;

use crate::bundle_key;
use crate::disk::{self, DiskError, Readers};
use crate::facts;
use crate::identity::{self, Identity, IdentityError};
use crate::inventory::Inventory;
use crate::keystore::{self, KeystoreError};
use crate::receipts::Receipts;
use crate::settings::{KeystoreChoice, Resolve, Settings};
use crate::state::State;

/// What the person at the PC gave.
pub struct Enrolment {
    /// The server, `https://host:port`.
    pub server: String,
    /// The code.
    pub code: EnrollmentCode,
    /// The server's authority, if the code does not carry it.
    pub authority: Option<Sha256>,
    /// Which device this is believed to be.
    pub device: Option<DeviceId>,
    /// The user's home folder.
    pub home: PathBuf,
    /// Another folder for browser policies.
    pub browser_policies: Option<PathBuf>,
    /// What `browser` means.
    pub keystore: KeystoreChoice,
    /// Probed hosts that are reached elsewhere.
    pub resolve: Vec<Resolve>,
    /// A file with further roots for probing.
    pub probe_roots: Option<PathBuf>,
}

/// A code, taken apart. Never shown.
pub struct EnrollmentCode {
    handle: String,
    secret: Zeroizing<String>,
    authority: Option<Sha256>,
}

/// What was offered as a code is not one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotACode;

impl fmt::Display for NotACode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not an enrolment code; it looks like 7QK2MX-493027, or begins with tgj1.")
    }
}

impl std::error::Error for NotACode {}

impl FromStr for EnrollmentCode {
    type Err = NotACode;

    fn from_str(text: &str) -> Result<Self, NotACode> {
        let text = Zeroizing::new(text.trim().to_ascii_uppercase());
        let word = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric());
        let code = |handle: &str, secret: &str, authority| Self { handle: handle.into(), secret: Zeroizing::new(secret.into()), authority };
        if let Some(joined) = text.strip_prefix("TGJ1.") {
            let parts: Vec<&str> = joined.split('.').collect();
            return match parts[..] {
                [handle, secret, authority] if word(handle) && word(secret) => {
                    Ok(code(handle, secret, Some(authority.parse().map_err(|_| NotACode)?)))
                }
                _ => Err(NotACode),
            };
        }
        match text.split_once('-') {
            Some((handle, secret)) if word(handle) && word(secret) => Ok(code(handle, secret, None)),
            _ => Err(NotACode),
        }
    }
}

/// Why the PC was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// There is no way to know the right server from a wrong one.
    #[error("a typed code needs the server's fingerprint too: add --authority-sha256 as it was printed with the code")]
    NoAuthority,
    /// The server did not answer, or said no.
    #[error("the server did not enrol this PC")]
    Server(#[from] ClientError),
    /// The key cannot be made.
    #[error("the device's key cannot be made")]
    Key(#[from] KeyError),
    /// The disk is in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// What the server gave cannot be used.
    #[error("the server's answer cannot be used")]
    Unusable(#[from] IdentityError),
    /// A keystore that was asked for is not there.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The roots for probing are not there.
    #[error("there are no roots for probing in {}", .0.display())]
    NoProbeRoots(PathBuf),
}

/// Enrols. Nothing that an earlier enrolment left is touched before the server has said yes.
pub async fn enroll(state: &State, asked: Enrolment) -> Result<Settings, EnrollError> {
    let authority = asked.code.authority.or(asked.authority).ok_or(EnrollError::NoAuthority)?;
    let probe_roots = asked.probe_roots.as_deref().map(read_probe_roots).transpose()?;
    let keystores = keystore::available(state, &asked.home, asked.keystore)?;
    let key = enrolling_key(state)?;
    let request = EnrollRequest {
        handle: asked.code.handle.clone(),
        secret: asked.code.secret.to_string(),
        device: asked.device.as_ref().map(DeviceId::to_string),
        csr: csr::create(&key)?,
        facts: facts::gather(&asked.home, keystores.names(), bundle_key::of(state)?.recipient()),
    };
    let enrolled: Enrolled = Client::pinned(&asked.server, authority)?.post("/v1/enroll", &request).await?;
    identity::chain_for(&key, &enrolled.identity)?;
    let settings = Settings {
        server: asked.server,
        tenant: enrolled.tenant.clone(),
        device: enrolled.device.clone(),
        home: asked.home,
        browser_policies: asked.browser_policies,
        keystore: asked.keystore,
        resolve: asked.resolve,
        granted_roots: Settings::read(state)?.map(|before| before.granted_roots).unwrap_or_default(),
    };
    take_over(state, &key, &enrolled, &settings, probe_roots.as_deref())?;
    Ok(settings)
}

/// The key to enrol with: the one of an enrolment whose answer was lost, or a new one. A PC that is enrolled already gets a new key.
fn enrolling_key(state: &State) -> Result<PrivateKey, EnrollError> {
    if let Some(bytes) = disk::read_secret(&state.enrolling_key())? {
        return Ok(PrivateKey::from_pkcs8(&bytes)?);
    }
    if let (Some(bytes), Err(_)) = (disk::read_secret(&state.identity_key())?, Identity::load(state)) {
        return Ok(PrivateKey::from_pkcs8(&bytes)?);
    }
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
    disk::write(&state.enrolling_key(), &key.to_pkcs8(), Readers::Owner)?;
    Ok(key)
}

/// Writes everything down; the identity certificate comes last and makes it valid. What was installed on the PC stays on record.
fn take_over(
    state: &State,
    key: &PrivateKey,
    enrolled: &Enrolled,
    settings: &Settings,
    probe_roots: Option<&str>,
) -> Result<(), EnrollError> {
    // Goes with the receipts that said so: should the server ask again, it is said again. First, as a crash may come in between.
    Inventory::open(state)?.forget_gone_except(&BTreeSet::new())?;
    Receipts::reset(state)?;
    // What the server before has said is no word of this one: its log above all, which would be held against another's.
    for said in [state.manifest(), state.carried(), state.audit_log(), state.epoch()] {
        disk::remove(&said)?;
    }
    settings.write(state)?;
    match probe_roots {
        Some(pem) => disk::write(&state.probe_roots(), pem.as_bytes(), Readers::Owner)?,
        None => drop(disk::remove(&state.probe_roots())?),
    }
    disk::write(&state.authorities(), enrolled.server_authorities.as_bytes(), Readers::Owner)?;
    disk::write(&state.identity_key(), &key.to_pkcs8(), Readers::Owner)?;
    disk::write(&state.identity_chain(), enrolled.identity.as_bytes(), Readers::Owner)?;
    disk::wipe(&state.enrolling_key())?;
    Ok(())
}

fn read_probe_roots(path: &Path) -> Result<String, EnrollError> {
    let pem = disk::read_text(path)?.ok_or_else(|| EnrollError::NoProbeRoots(path.to_owned()))?;
    match tegata_pki::certificate::read_pem(&pem) {
        Ok(roots) if !roots.is_empty() => Ok(pem),
        _ => Err(EnrollError::NoProbeRoots(path.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pretend::World;

    #[test]
    fn codes_are_canonical_however_they_are_typed() {
        for text in ["7qk2mx-493027", " 7QK2MX-493027\n"] {
            let code: EnrollmentCode = text.parse().unwrap();
            assert_eq!((code.handle.as_str(), code.secret.as_str(), code.authority), ("7QK2MX", "493027", None));
        }
        let joined = format!("tgj1.7qk2mx.{}.{}", "a".repeat(26), "ab".repeat(32));
        let code: EnrollmentCode = joined.parse().unwrap();
        assert_eq!((code.secret.len(), code.authority), (26, Some(Sha256([0xab; 32]))));
    }

    #[test]
    fn what_is_not_a_code_is_refused_without_being_repeated() {
        for text in ["", "493027", "7QK2MX-", "-493027", "7QK2MX-49/027", "tgj1.a.b", "tgj1.a.b.cc", "tgj1.a.b.c.d"] {
            let problem = text.parse::<EnrollmentCode>().err().expect(text);
            assert_eq!(problem, NotACode);
        }
    }

    #[test]
    fn an_enrolment_whose_answer_was_lost_is_repeated_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(folder.path()).unwrap();
        let first = enrolling_key(&state).unwrap().public_key();
        assert_eq!(enrolling_key(&state).unwrap().public_key(), first);
    }

    #[test]
    fn an_enrolled_pc_starts_over_with_a_new_key_and_keeps_the_old_one_until_the_server_says_yes() {
        let world = World::new();
        let before = world.identity.key.public_key();
        assert_ne!(enrolling_key(&world.state).unwrap().public_key(), before);
        assert_eq!(Identity::load(&world.state).unwrap().key.public_key(), before);
    }

    #[test]
    fn taking_over_restarts_the_numbers_and_forgets_what_the_server_before_said() {
        let world = World::new();
        let mut receipts = world.receipts();
        receipts.record(world.retired(1), 0).unwrap();
        let of_the_server_before = [world.state.manifest(), world.state.carried(), world.state.audit_log(), world.state.epoch()];
        for path in &of_the_server_before {
            disk::write_json(path, &1).unwrap();
        }
        let gone = Sha256([1; 32]);
        Inventory::open(&world.state).unwrap().mark_gone(gone).unwrap();
        let enrolled = Enrolled {
            tenant: "aozora".into(),
            device: "sakura/uketsuke-2".into(),
            identity: world.identity.chain.iter().map(|one| tegata_pki::certificate::to_pem(&one.der)).collect(),
            server_authorities: world.identity.authorities.clone(),
        };
        take_over(&world.state, &world.identity.key, &enrolled, &world.settings, None).unwrap();
        assert!(!world.receipts().is_waiting());
        assert!(!Inventory::open(&world.state).unwrap().was_said_gone(gone), "the server would wait for that word for ever");
        for path in &of_the_server_before {
            assert_eq!(disk::read(path).unwrap(), None, "{}: another server's log, or a new one's, is no contradiction", path.display());
        }
        Identity::load(&world.state).unwrap();
    }
}
