//! Linux: the package brings the program, its systemd unit, and the folders that browsers read.

use super::{Left, Scope, SetupError};

/// The package does it.
pub fn install(_scope: Scope) -> Result<(), SetupError> {
    Err(SetupError::Package)
}

/// The package does it.
pub fn uninstall(_scope: Scope) -> Result<Left, SetupError> {
    Err(SetupError::Package)
}
