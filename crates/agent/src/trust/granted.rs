//! What the people of this PC have agreed to: no server decides alone which roots its programs trust.
//!
//! On Linux, where browsers have a store of the user's, the agent adds what policy pins *and* somebody has granted here. On Windows and macOS
//! it takes an administrator anyway, so granting a root is adding it for the whole PC.

use std::path::Path;

use tegata_core::name::Sha256;
use tegata_pki::key::sha256;

use super::is_root;
use crate::disk::DiskError;
use crate::settings::Settings;
use crate::state::State;

#[cfg(target_os = "linux")]
#[path = "granted/linux.rs"]
mod os;
#[cfg(target_os = "macos")]
#[path = "granted/macos.rs"]
mod os;
#[cfg(windows)]
#[path = "granted/windows.rs"]
mod os;

#[cfg(windows)]
pub(crate) use os::take_back_all;

/// Why a root was not granted, or not taken back.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    /// It is no authority that has signed itself.
    #[error("this is no root: a certificate of an authority that has signed itself")]
    NotARoot,
    /// There is nobody to grant it to.
    #[cfg(target_os = "linux")]
    #[error("this PC is not enrolled yet, or not by this user")]
    NotEnrolled,
    /// The disk is in the way.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The operating system refused.
    #[error("the system's list of roots cannot be changed; it takes the rights of an administrator")]
    System(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Agrees that programs of this PC trust a root, or takes that back. Gives its SHA-256.
pub fn grant(state: &Path, root: &[u8], is_granted: bool) -> Result<Sha256, GrantError> {
    let pin = sha256(root);
    if !is_root(pin, root) {
        return Err(GrantError::NotARoot);
    }
    os::grant(state, root, pin, is_granted)?;
    Ok(pin)
}

/// True if somebody has agreed to this root here.
pub(super) fn is_granted(state: &State, pin: Sha256) -> Result<bool, DiskError> {
    Ok(Settings::read(state)?.is_some_and(|settings| settings.granted_roots.contains(&pin.to_string())))
}
