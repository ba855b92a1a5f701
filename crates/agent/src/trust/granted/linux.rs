//! Linux: the agent adds it to the browser's store, once policy pins it too.

use std::path::Path;

use tegata_core::name::Sha256;

use super::GrantError;
use crate::disk;
use crate::settings::Settings;
use crate::state::State;

pub(super) fn grant(state: &Path, _root: &[u8], pin: Sha256, is_granted: bool) -> Result<(), GrantError> {
    let state = State::at(state);
    let mut settings = Settings::read(&state)?.ok_or(GrantError::NotEnrolled)?;
    // Written by somebody else, the agent could not read them any more.
    if !disk::is_own(state.root())? {
        return Err(GrantError::NotEnrolled);
    }
    settings.granted_roots.retain(|granted| *granted != pin.to_string());
    if is_granted {
        settings.granted_roots.push(pin.to_string());
    }
    Ok(settings.write(&state)?)
}
