//! macOS: the system's keychain and the administrators' trust settings (security(1), `add-trusted-cert -d`). Run with sudo.

use std::io::Write;
use std::path::Path;

use tegata_core::name::Sha256;
use tegata_pki::certificate;

use super::GrantError;
use crate::command;

const SECURITY: &str = "/usr/bin/security";
const KEYCHAIN: &str = "/Library/Keychains/System.keychain";

pub(super) fn grant(_state: &Path, root: &[u8], _pin: Sha256, is_granted: bool) -> Result<(), GrantError> {
    let failed = |problem: std::io::Error| GrantError::System(problem.into());
    // `security` reads the certificate from a file that nobody else can exchange.
    let mut file = tempfile::NamedTempFile::new().map_err(failed)?;
    file.write_all(certificate::to_pem(root).as_bytes()).map_err(failed)?;
    let file = file.path().display().to_string();
    let arguments: &[&str] = if is_granted {
        &["add-trusted-cert", "-d", "-r", "trustRoot", "-k", KEYCHAIN, &file]
    } else {
        &["remove-trusted-cert", "-d", &file]
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(command::run(Path::new(SECURITY), arguments, b"")).map(drop).map_err(|problem| GrantError::System(problem.into()))
}
