//! One decision at a time: what is asked, against what was cosigned last; and nothing is cosigned that is not remembered.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tegata_tlog::note::{Note, SignerKey, VerifierKey};
use tegata_tlog::witness::{Refusal, Request};

use crate::WitnessError;
use crate::folder::Folder;

/// Why there is no cosignature.
#[derive(Debug, thiserror::Error)]
pub enum CosignError {
    /// The witness says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot remember, so it does not sign.
    #[error(transparent)]
    Folder(#[from] WitnessError),
}

/// Who cosigns, and for which logs.
pub struct Cosigner {
    key: SignerKey,
    logs: Vec<VerifierKey>,
    /// Whoever has it reads what was cosigned last, decides, and remembers: nobody else does meanwhile.
    folder: Mutex<Folder>,
}

impl Cosigner {
    /// Takes the folder into use, and makes the key if there is none yet.
    ///
    /// # Errors
    /// [`WitnessError`]; also if what is remembered of one of these logs cannot be read.
    pub fn open(state: &Path, name: &str, logs: Vec<VerifierKey>) -> Result<Self, WitnessError> {
        let folder = Folder::take(state)?;
        let key = folder.key(name)?;
        logs.iter().try_for_each(|log| folder.last(log.name()).map(drop))?;
        Ok(Self { key, logs, folder: Mutex::new(folder) })
    }

    /// What its cosignatures are checked with.
    pub fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// The signature line of this witness for a checkpoint. Reads and writes files.
    ///
    /// # Errors
    /// [`CosignError`]. Nothing was cosigned then.
    pub fn cosign(&self, request: &Request) -> Result<String, CosignError> {
        let now = request.checkpoint(&self.logs)?;
        // Whoever failed in the middle left a whole file: either the one before or the new one.
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let last = folder.last(&now.origin)?;
        if let Err(refusal) = request.goes_on(last.as_ref(), &now) {
            if matches!(refusal, Refusal::Forked | Refusal::Inconsistent) {
                tracing::warn!(log = now.origin, size = now.size, "refused a checkpoint that the log's key has signed: {refusal}");
                folder.keep_refused(&now.origin, &request.note)?;
            }
            return Err(refusal.into());
        }
        folder.keep(&now.origin, &request.note)?;
        let mut note = Note::new(request.note.text().to_owned()).map_err(|_| Refusal::Malformed)?;
        self.key.sign(&mut note, seconds());
        Ok(note.lines())
    }
}

/// Since the Unix epoch.
fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
