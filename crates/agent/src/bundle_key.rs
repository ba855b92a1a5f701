//! The key that vendors' files for this PC are sealed to. Its secret half never leaves the PC.

use tegata_pki::bundle::DeviceKey;

use crate::disk::{self, DiskError, Readers};
use crate::state::State;

/// Gives the key, and makes it if there is none yet: PCs that were enrolled before there were such keys get theirs at the next start.
///
/// One that cannot be read is replaced. What was sealed to it has to be brought again, which the slot then says.
pub fn of(state: &State) -> Result<DeviceKey, DiskError> {
    let written = disk::read_secret(&state.bundle_key())?;
    let kept = written.as_ref().map(|bytes| std::str::from_utf8(bytes).ok().and_then(|text| DeviceKey::from_secret(text).ok()));
    if let Some(Some(key)) = kept {
        return Ok(key);
    }
    if kept.is_some() {
        tracing::error!("bundle.key is damaged and is made anew; vendors' files that wait for this PC have to be brought again");
    }
    let key = DeviceKey::generate();
    disk::write(&state.bundle_key(), key.to_secret().as_bytes(), Readers::Owner)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, State) {
        let folder = tempfile::tempdir().unwrap();
        let state = State::make(folder.path()).unwrap();
        (folder, state)
    }

    #[test]
    fn the_key_is_made_once_and_only_its_owner_can_read_it() {
        let (_folder, state) = state();
        let recipient = of(&state).unwrap().recipient();
        assert!(recipient.starts_with("age1"));
        assert_eq!(of(&state).unwrap().recipient(), recipient);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(state.bundle_key()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn a_damaged_key_is_replaced() {
        let (_folder, state) = state();
        let before = of(&state).unwrap().recipient();
        disk::write(&state.bundle_key(), b"AGE-SECRET-KEY-1NONSENSE\xff", Readers::Owner).unwrap();
        let after = of(&state).unwrap().recipient();
        assert_ne!(before, after);
        assert_eq!(of(&state).unwrap().recipient(), after);
    }
}
