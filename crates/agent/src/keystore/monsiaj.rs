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
use tegata_pki::bundle::folder::File;
use tegata_pki::key::{PrivateKey, random};
use tegata_pki::pkcs12::{self, Flavor};
use tegata_pki::{certificate, key};
use zeroize::Zeroizing;

use self::properties::Properties;
use super::{Keystore, KeystoreError, Pair};
use crate::disk::{self, DiskError, Readers};

/// What this store is called.
pub const NAME: &str = "monsiaj";
/// Where it lies, below the user's home.
pub const FOLDER: &str = ".monsiaj";

/// The store of one user.
pub struct Monsiaj {
    folder: PathBuf,
}

impl Monsiaj {
    /// Works below the user's home.
    pub fn of(home: &Path) -> Self {
        Self { folder: home.join(FOLDER) }
    }

    fn certificates(&self) -> PathBuf {
        self.folder.join("certificates")
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("monsiaj.jsonrpc.properties")
    }

    /// What has to be put back on a PC that is set up anew: certificates, their passwords, and the settings.
    pub fn files(&self) -> Result<Vec<File>, DiskError> {
        let own = disk::files(&self.certificates())?.into_iter().filter(|path| is(path, "p12") || is(path, "pass"));
        let mut files = Vec::new();
        for path in own.chain([self.properties()]) {
            let name = path.strip_prefix(&self.folder).ok().and_then(Path::to_str).map(|name| name.replace('\\', "/"));
            if let (Some(name), Some(bytes)) = (name, disk::read_secret(&path)?) {
                files.push(File { name, bytes });
            }
        }
        Ok(files)
    }

    /// Every bundle that its password opens, other people's too. What cannot be opened is nobody's business here.
    fn bundles(&self) -> Result<Vec<(PathBuf, Pair)>, DiskError> {
        let mut found = Vec::new();
        for path in disk::files(&self.certificates())?.into_iter().filter(|path| is(path, "p12")) {
            let (Some(bytes), Some(password)) = (disk::read_secret(&path)?, disk::read_secret(&path.with_extension("pass"))?) else {
                continue;
            };
            let password = plain(&password);
            if let Ok(bundle) = pkcs12::read(&bytes, &Zeroizing::new(password)) {
                found.push((path, Pair { chain: bundle.chain, key: bundle.key.into() }));
            }
        }
        Ok(found)
    }

    fn bundle(&self, fingerprint: Sha256) -> Result<Option<(PathBuf, Pair)>, DiskError> {
        Ok(self.bundles()?.into_iter().find(|(_, pair)| pair.fingerprint() == Some(fingerprint)))
    }

    /// `<yyyyMMddHHmmss>.p12`, as monsiaj names them: here the moment at which the certificate begins, or the first free second after it.
    fn free_name(&self, begins: Timestamp) -> PathBuf {
        let mut seconds = begins.unix();
        loop {
            let time = jiff::Timestamp::from_second(seconds).unwrap_or_default().strftime("%Y%m%d%H%M%S").to_string();
            let path = self.certificates().join(format!("{time}.p12"));
            if !path.exists() && !path.with_extension("pass").exists() {
                return path;
            }
            seconds += 1;
        }
    }

    /// Finishes what a crash has cut short: a hidden bundle is one that is not there, and neither is its password. Then closes to others what
    /// monsiaj leaves open.
    fn tidy(&self) -> Result<(), DiskError> {
        let folder = self.certificates();
        for hidden in disk::entries(&folder)? {
            if let Some(bundle) = disk::unhidden(&hidden).filter(|path| is(path, "p12") && !path.exists()) {
                disk::wipe(&bundle.with_extension("pass"))?;
                disk::wipe(&hidden)?;
            }
        }
        disk::clear_temporary(&folder)?;
        for password in disk::files(&folder)?.iter().filter(|path| is(path, "pass")) {
            disk::close_own(password)?;
        }
        disk::close_own(&folder)
    }

    /// The numbers of the configurations that use this certificate or one that it follows; else of the only one that uses any of this
    /// folder, or that there is. `None` if that leaves a choice.
    fn users(&self, properties: &Properties, of: &BTreeSet<Sha256>) -> Result<Option<BTreeSet<String>>, DiskError> {
        let all: BTreeSet<String> =
            properties.keys().filter_map(|key| Some(key.strip_prefix("monsiaj.config.")?.split_once('.')?.0.to_owned())).collect();
        let bundles = self.bundles()?;
        let files: BTreeSet<&PathBuf> =
            bundles.iter().filter(|(_, pair)| pair.fingerprint().is_some_and(|one| of.contains(&one))).map(|(path, _)| path).collect();
        let using = |is_meant: &dyn Fn(&PathBuf) -> bool| -> BTreeSet<String> {
            let file = |number: &str| properties.value(&format!("monsiaj.config.{number}.clientCertificateFile")).map(PathBuf::from);
            all.iter().filter(|number| file(number).is_some_and(|file| is_meant(&file))).cloned().collect()
        };
        let these = using(&|file| files.contains(file));
        if !these.is_empty() || all.is_empty() {
            return Ok(Some(these));
        }
        let ours = using(&|file| file.parent() == Some(&self.certificates()));
        let rest = if ours.is_empty() { all } else { ours };
        Ok(Some(rest).filter(|rest| rest.len() == 1))
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
        let key = PrivateKey::from_pkcs8(pair.pkcs8()?)?;
        // The Java that monsiaj brings along may be too old for anything newer.
        let bundle = pkcs12::write(Flavor::Legacy, &key, &pair.chain, &label, &password)?;
        disk::make_folder(&self.folder)?;
        disk::make_folder(&self.certificates())?;
        self.tidy()?;
        let path = self.free_name(own.not_before);
        disk::write(&disk::hidden(&path), &bundle, Readers::Owner)?;
        disk::write(&path.with_extension("pass"), password.as_bytes(), Readers::Owner)?;
        Ok(disk::rename(&disk::hidden(&path), &path)?)
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Ok(self.bundles()?.iter().filter_map(|(_, pair)| pair.chain.first()).map(|own| key::sha256(own)).collect())
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        Ok(self.bundle(fingerprint)?.ok_or(KeystoreError::Absent(fingerprint, NAME))?.1)
    }

    /// Has monsiaj use this certificate from its next start on, wherever it used one of `previous`. Without settings there is nothing to
    /// switch.
    async fn prefer(&self, fingerprint: Sha256, previous: &BTreeSet<Sha256>) -> Result<(), KeystoreError> {
        self.tidy()?;
        let (path, _) = self.bundle(fingerprint)?.ok_or(KeystoreError::Absent(fingerprint, NAME))?;
        let Some(bytes) = disk::read_secret(&self.properties())? else { return Ok(()) };
        let mut properties = Properties::read(&bytes);
        let these = previous.iter().copied().chain([fingerprint]).collect();
        let users = self.users(&properties, &these)?.ok_or_else(|| KeystoreError::Ambiguous(path.display().to_string()))?;
        let password = disk::read_secret(&path.with_extension("pass"))?.ok_or(KeystoreError::Absent(fingerprint, NAME))?;
        let set = [
            ("clientCertificateFile", path.to_string_lossy().into_owned()),
            ("clientCertificatePassword", plain(&password)),
            ("saveClientCertificatePassword", "true".to_owned()),
        ];
        for number in users {
            set.iter().for_each(|(name, value)| properties.set(&format!("monsiaj.config.{number}.{name}"), value));
        }
        let text = properties.written();
        if *text != *bytes {
            disk::write(&self.properties(), &text, Readers::Owner)?;
        }
        Ok(())
    }

    /// The bundle is out of sight first: a password that a crash leaves behind is never one without a bundle, and goes with it.
    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        self.tidy()?;
        let Some((path, _)) = self.bundle(fingerprint)? else { return Ok(false) };
        disk::rename(&path, &disk::hidden(&path))?;
        self.tidy()?;
        Ok(true)
    }
}

/// True if a file's name ends with this.
fn is(path: &Path, kind: &str) -> bool {
    path.extension().is_some_and(|extension| extension == kind)
}

/// A password without the line's end that an editor may have left behind it.
fn plain(password: &[u8]) -> String {
    String::from_utf8_lossy(password).trim_end_matches(['\r', '\n']).to_owned()
}

#[cfg(test)]
mod tests;
