//! The certificates of monsiaj, the client of ORCA: `~/.monsiaj/certificates/<time>.p12`, each with its password in a file beside it, and
//! the properties file that names the one in use.
//!
//! monsiaj itself writes both files, and leaves the password readable to everybody; here only the user may read it.

mod properties;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use data_encoding::BASE32_NOPAD;
use tegata_core::name::{Sha256, SlotId};
use tegata_core::time::Timestamp;
use tegata_pki::key::{PrivateKey, random};
use tegata_pki::pkcs12::{self, Flavor};
use tegata_pki::{certificate, key};
use zeroize::Zeroizing;

use self::properties::Properties;
use super::{Keystore, KeystoreError, Pair};
use crate::disk::{self, DiskError, Readers};

const NAME: &str = "monsiaj";

/// The store of one user.
pub struct Monsiaj {
    folder: PathBuf,
}

impl Monsiaj {
    /// Works below the user's home.
    pub fn of(home: &Path) -> Self {
        Self { folder: home.join(".monsiaj") }
    }

    fn certificates(&self) -> PathBuf {
        self.folder.join("certificates")
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("monsiaj.jsonrpc.properties")
    }

    /// Every bundle that its password opens, other people's too. What cannot be opened is nobody's business here.
    fn bundles(&self) -> Result<Vec<(PathBuf, Pair)>, DiskError> {
        let mut found = Vec::new();
        for path in disk::files(&self.certificates())?.into_iter().filter(|path| path.extension().is_some_and(|kind| kind == "p12")) {
            let (Some(bytes), Some(password)) = (disk::read_secret(&path)?, disk::read_secret(&path.with_extension("pass"))?) else {
                continue;
            };
            let password = plain(&password);
            if let Ok(bundle) = pkcs12::read(&bytes, &Zeroizing::new(password)) {
                found.push((path, Pair { chain: bundle.chain, key: bundle.key }));
            }
        }
        Ok(found)
    }

    fn bundle(&self, fingerprint: Sha256) -> Result<Option<(PathBuf, Pair)>, DiskError> {
        Ok(self.bundles()?.into_iter().find(|(_, pair)| pair.fingerprint() == Some(fingerprint)))
    }

    /// `<yyyyMMddHHmmss>.p12`, as monsiaj names them: here the moment at which the certificate begins, or the first free second after it.
    /// Asked again after a crash it is the same, so that a password without its bundle is written over.
    fn free_name(&self, begins: Timestamp) -> PathBuf {
        let mut seconds = begins.unix();
        loop {
            let time = jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y%m%d%H%M%S").to_string();
            let path = self.certificates().join(format!("{time}.p12"));
            if !path.exists() {
                return path;
            }
            seconds += 1;
        }
    }
}

#[async_trait(?Send)]
impl Keystore for Monsiaj {
    fn name(&self) -> &'static str {
        NAME
    }

    fn is_ready(&self) -> bool {
        self.folder.is_dir()
    }

    async fn install(&self, _slot: &SlotId, pair: &Pair, label: &str) -> Result<(), KeystoreError> {
        let unreadable = |problem: String| KeystoreError::Unreadable(NAME, problem);
        let fingerprint = pair.fingerprint().ok_or_else(|| unreadable("there is no certificate".into()))?;
        if self.bundle(fingerprint)?.is_some() {
            return Ok(());
        }
        let own = certificate::read(&pair.chain[0]).map_err(|problem| unreadable(problem.to_string()))?;
        // 120 bits, in letters and digits that every program takes.
        let password = Zeroizing::new(BASE32_NOPAD.encode(&random::<15>()));
        let label: String = label.chars().filter(|letter| u32::from(*letter) <= 0xffff).collect();
        let key = PrivateKey::from_pkcs8(&pair.key)?;
        // The Java that monsiaj brings along may be too old for anything newer.
        let bundle = pkcs12::write(Flavor::Legacy, &key, &pair.chain, &label, &password)?;
        disk::make_folder(&self.folder)?;
        disk::make_folder(&self.certificates())?;
        disk::clear_temporary(&self.certificates())?;
        let path = self.free_name(own.not_before);
        disk::write(&path.with_extension("pass"), password.as_bytes(), Readers::Owner)?;
        disk::write(&path, &bundle, Readers::Owner)?;
        Ok(())
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Ok(self.bundles()?.iter().filter_map(|(_, pair)| pair.chain.first()).map(|own| key::sha256(own)).collect())
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        Ok(self.bundle(fingerprint)?.ok_or(KeystoreError::Absent(fingerprint, NAME))?.1)
    }

    /// Has monsiaj use this certificate from its next start on. Without a properties file there is nothing to switch.
    async fn prefer(&self, fingerprint: Sha256) -> Result<(), KeystoreError> {
        let (path, _) = self.bundle(fingerprint)?.ok_or(KeystoreError::Absent(fingerprint, NAME))?;
        let Some(bytes) = disk::read_secret(&self.properties())? else { return Ok(()) };
        let mut properties = Properties::read(&bytes);
        let config = which(&properties, &self.certificates()).ok_or_else(|| {
            KeystoreError::Unreadable(NAME, "its settings have several servers, and none uses a certificate of this folder".into())
        })?;
        let password = disk::read_secret(&path.with_extension("pass"))?.ok_or(KeystoreError::Absent(fingerprint, NAME))?;
        let set = [
            ("clientCertificateFile", path.to_string_lossy().into_owned()),
            ("clientCertificatePassword", plain(&password)),
            ("saveClientCertificatePassword", "true".to_owned()),
        ];
        for (name, value) in set {
            properties.set(&format!("monsiaj.config.{config}.{name}"), &value);
        }
        let text = properties.written();
        if *text != *bytes {
            disk::write(&self.properties(), &text, Readers::Owner)?;
        }
        Ok(())
    }

    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        let Some((path, _)) = self.bundle(fingerprint)? else { return Ok(false) };
        // Without its password the bundle cannot be found any more, so it goes first.
        disk::wipe(&path)?;
        disk::wipe(&path.with_extension("pass"))?;
        Ok(true)
    }
}

/// A password without the line's end that an editor may have left behind it.
fn plain(password: &[u8]) -> String {
    String::from_utf8_lossy(password).trim_end_matches(['\r', '\n']).to_owned()
}

/// The number of the configuration that uses a certificate of this folder, or of the only one that there is.
fn which(properties: &Properties, certificates: &Path) -> Option<String> {
    let numbers: BTreeSet<String> =
        properties.keys().filter_map(|key| Some(key.strip_prefix("monsiaj.config.")?.split_once('.')?.0.to_owned())).collect();
    let uses_ours = |number: &&String| {
        let file = properties.value(&format!("monsiaj.config.{number}.clientCertificateFile"));
        file.is_some_and(|file| Path::new(&file).parent() == Some(certificates))
    };
    let only = || numbers.first().filter(|_| numbers.len() == 1);
    numbers.iter().find(uses_ours).or_else(only).cloned()
}
