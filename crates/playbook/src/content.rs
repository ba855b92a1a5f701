//! Files of this machine that hosts are given, each read once.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tegata_core::name::Sha256;
use tegata_pki::key::sha256;

/// A file of this machine.
#[derive(Debug)]
pub struct Content {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its hash.
    pub sha256: Sha256,
}

impl Content {
    /// Takes bytes.
    pub fn of(bytes: Vec<u8>) -> Self {
        let sha256 = sha256(&bytes);
        Self { bytes, sha256 }
    }
}

/// Files of this machine, each read once however many hosts are given it.
#[derive(Debug, Default)]
pub struct Contents(Mutex<BTreeMap<PathBuf, Arc<Content>>>);

impl Contents {
    /// Reads a file.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn read(&self, path: &Path) -> io::Result<Arc<Content>> {
        // Whoever panicked has put nothing half into the map.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = known.get(path) {
            return Ok(Arc::clone(content));
        }
        let content = Arc::new(Content::of(std::fs::read(path)?));
        known.insert(path.to_owned(), Arc::clone(&content));
        Ok(content)
    }
}
