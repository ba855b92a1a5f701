//! A playbook that was read, with the folder that it lies in.

use std::path::{Path, PathBuf};

use tegata_api::v1::fleet::File;
use tegata_api::v1::playbook::PlaybookSpec;
use tegata_api::v1::policy;
use tegata_api::v1::problem::Finding;
use tegata_api::yaml::{self, PlaybookDocument};
use tegata_core::name::Sha256;
use tegata_core::policy::Platform;
use tegata_pki::key::sha256;

/// A playbook.
#[derive(Debug, Clone)]
pub struct Playbook {
    pub(crate) document: PlaybookDocument,
    folder: PathBuf,
    sha256: Sha256,
}

impl Playbook {
    /// Reads a file; files that it names are looked for in `folder`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(file: &File, folder: &Path) -> Result<Self, Vec<Finding>> {
        let document = yaml::playbook(file)?;
        Ok(Self { document, folder: folder.to_owned(), sha256: sha256(file.text.as_bytes()) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.document.name
    }

    /// What it says.
    pub fn spec(&self) -> &PlaybookSpec {
        &self.document.spec
    }

    /// The hash of its file.
    pub fn sha256(&self) -> Sha256 {
        self.sha256
    }

    /// Where a file lies that it names.
    pub fn path(&self, named: &str) -> PathBuf {
        self.folder.join(named)
    }

    /// Whether it is for hosts of this platform.
    pub fn is_for(&self, platform: Platform) -> bool {
        let written = match platform {
            Platform::Windows => policy::Platform::Windows,
            Platform::Macos => policy::Platform::Macos,
            Platform::Linux => policy::Platform::Linux,
        };
        self.spec().platforms.is_empty() || self.spec().platforms.contains(&written)
    }
}
