//! The certificate database of Chromium, Chrome and Edge on Linux (NSS).
//!
//! Certificates go in and come out as PKCS#12 by NSS's own tools; they are removed by their exact DER through libnss3, because
//! a name in NSS can mean several certificates. See [`library`].

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tegata_core::name::{Sha256, SlotId};
use tegata_pki::certificate::{self, Certificate};
use tegata_pki::key::PrivateKey;
use tegata_pki::pkcs12::{self, Flavor};
use tempfile::{NamedTempFile, TempDir};
use zeroize::Zeroizing;

use super::{Keystore, KeystoreError, Pair};
use crate::command;
use crate::disk::{self, failing};

pub mod library;

const NAME: &str = "nss";
/// The longest name that is given to a certificate, in characters.
const LABEL_MAX: usize = 64;

/// One user's database.
pub struct Nss {
    home: PathBuf,
    data_home: Option<PathBuf>,
    temporary: PathBuf,
    certutil: PathBuf,
    pk12util: PathBuf,
    remover: PathBuf,
}

impl Nss {
    /// Finds the tools. `temporary` is a folder that only the agent can look into.
    ///
    /// # Errors
    /// [`KeystoreError::ToolMissing`] if they are not installed.
    pub fn find(home: &Path, temporary: &Path) -> Result<Self, KeystoreError> {
        // The browser follows XDG_DATA_HOME; ours only tells where the browser's is when both belong to the same user.
        let same_user = std::env::var_os("HOME").is_some_and(|own| Path::new(&own) == home);
        let data_home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|folder| same_user && folder.is_absolute());
        let remover = std::env::current_exe().map_err(failing("find", Path::new("tegata-agent")))?;
        Self::with(home, data_home, temporary, remover)
    }

    /// As [`find`](Self::find), with everything said: `remover` is the program that knows the hidden command `nss-remove`.
    pub fn with(home: &Path, data_home: Option<PathBuf>, temporary: &Path, remover: PathBuf) -> Result<Self, KeystoreError> {
        let certutil = command::find("certutil").ok_or(KeystoreError::ToolMissing("certutil"))?;
        let pk12util = command::find("pk12util").ok_or(KeystoreError::ToolMissing("pk12util"))?;
        Ok(Self { home: home.to_owned(), data_home, temporary: temporary.to_owned(), certutil, pk12util, remover })
    }

    /// Where the browser looks: `~/.pki/nssdb` if that folder is there, else the one below the user's data folder. Never both, so
    /// the first must not be made where only the second is used.
    fn folder(&self) -> PathBuf {
        let classic = self.home.join(".pki/nssdb");
        if classic.is_dir() {
            return classic;
        }
        self.data_home.clone().unwrap_or_else(|| self.home.join(".local/share")).join("pki/nssdb")
    }

    fn has_database(&self) -> bool {
        self.folder().join("cert9.db").is_file()
    }

    /// Makes the database as the browser would: with an empty password.
    async fn make_database(&self) -> Result<(), KeystoreError> {
        if !self.has_database() {
            disk::make_folder(&self.folder())?;
            command::run(&self.certutil, &["-N".into(), "-d".into(), self.database(), "--empty-password".into()], b"").await?;
        }
        Ok(())
    }

    fn database(&self) -> OsString {
        let mut database = OsString::from("sql:");
        database.push(self.folder());
        database
    }

    /// Finds a certificate by its fingerprint: the name that NSS knows it by, and the certificate.
    async fn find_certificate(&self, fingerprint: Sha256) -> Result<Option<(String, Certificate)>, KeystoreError> {
        for name in self.names().await? {
            if let Some(found) = self.named(&name).await?.into_iter().find(|one| one.fingerprint == fingerprint) {
                return Ok(Some((name, found)));
            }
        }
        Ok(None)
    }

    async fn names(&self) -> Result<BTreeSet<String>, KeystoreError> {
        if !self.has_database() {
            return Ok(BTreeSet::new());
        }
        let table = command::run(&self.certutil, &["-L".into(), "-d".into(), self.database()], b"").await?;
        Ok(String::from_utf8_lossy(&table).lines().filter_map(name_in).collect())
    }

    /// All certificates that share a name.
    async fn named(&self, name: &str) -> Result<Vec<Certificate>, KeystoreError> {
        let arguments = ["-L".into(), "-d".into(), self.database(), "-n".into(), name.into(), "-a".into()];
        let pem = command::run(&self.certutil, &arguments, b"").await?;
        // Other people's certificates may be of a kind that we do not read. They are not ours, then.
        Ok(certificate::read_pem(&String::from_utf8_lossy(&pem)).unwrap_or_default())
    }

    fn temporary_folder(&self) -> Result<TempDir, KeystoreError> {
        Ok(tempfile::tempdir_in(&self.temporary).map_err(failing("make a folder in", &self.temporary))?)
    }

    fn temporary_file(&self, folder: &TempDir, bytes: &[u8]) -> Result<NamedTempFile, KeystoreError> {
        let write = || -> std::io::Result<NamedTempFile> {
            let mut file = NamedTempFile::new_in(folder.path())?;
            file.write_all(bytes)?;
            Ok(file)
        };
        Ok(write().map_err(failing("write into", folder.path()))?)
    }

    /// Runs `pk12util` on `file` with its password in a file: arguments can be read by every user of the PC.
    async fn pk12util(&self, folder: &TempDir, action: &[OsString], password: &str) -> Result<(), KeystoreError> {
        let password = self.temporary_file(folder, password.as_bytes())?;
        let database_password = self.temporary_file(folder, b"\n")?;
        let mut arguments = action.to_vec();
        arguments.extend(["-d".into(), self.database(), "-w".into(), password.path().into(), "-k".into(), database_password.path().into()]);
        let done = command::run(&self.pk12util, &arguments, b"").await;
        disk::wipe(password.path())?;
        done?;
        Ok(())
    }
}

#[async_trait(?Send)]
impl Keystore for Nss {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn install(&self, _slot: &SlotId, pair: &Pair, label: &str) -> Result<(), KeystoreError> {
        self.make_database().await?;
        let unreadable = |problem: String| KeystoreError::Unreadable(NAME, problem);
        let own = pair.chain.first().ok_or_else(|| unreadable("there is no certificate".into()))?;
        let own = certificate::read(own).map_err(|problem| unreadable(problem.to_string()))?;
        let (folder, password) = (self.temporary_folder()?, crate::chance::password());
        let key = PrivateKey::from_pkcs8(&pair.key)?;
        let bundle = pkcs12::write(Flavor::Modern, &key, &pair.chain, &friendly_name(label, &own), &password)?;
        let bundle = self.temporary_file(&folder, &bundle)?;
        let imported = self.pk12util(&folder, &["-i".into(), bundle.path().into()], &password).await;
        disk::wipe(bundle.path())?;
        imported
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        let mut found = BTreeSet::new();
        for name in self.names().await? {
            found.extend(self.named(&name).await?.iter().map(|one| one.fingerprint));
        }
        Ok(found)
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        let absent = || KeystoreError::Absent(fingerprint, NAME);
        let (name, _) = self.find_certificate(fingerprint).await?.ok_or_else(absent)?;
        let (folder, password) = (self.temporary_folder()?, crate::chance::password());
        let bundle = folder.path().join("bundle");
        let action = ["-o", "-n", &name, "-c", "AES-256-CBC", "-C", "AES-256-CBC"].map(OsString::from);
        let mut action = action.to_vec();
        action.insert(1, bundle.clone().into());
        let exported = self.pk12util(&folder, &action, &password).await;
        let bytes = disk::read_secret(&bundle)?.unwrap_or_else(|| Zeroizing::new(Vec::new()));
        disk::wipe(&bundle)?;
        exported?;
        let bundle = pkcs12::read(&bytes, &password).map_err(|problem| KeystoreError::Unreadable(NAME, problem.to_string()))?;
        let pair = Pair { chain: bundle.chain, key: bundle.key };
        if pair.fingerprint() == Some(fingerprint) { Ok(pair) } else { Err(absent()) }
    }

    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        let Some((_, certificate)) = self.find_certificate(fingerprint).await? else { return Ok(false) };
        let arguments: [OsString; 3] = ["nss-remove".into(), "--database".into(), self.database()];
        command::run(&self.remover, &arguments, &certificate.der).await?;
        Ok(true)
    }
}

/// What people see, never the same for two certificates: NSS would take two of the same name for one.
fn friendly_name(label: &str, certificate: &Certificate) -> String {
    // A colon would be taken for the name of a token before it.
    let readable = |c: char| if c.is_control() || c == ':' { ' ' } else { c };
    let label: String = label.trim().chars().map(readable).take(LABEL_MAX).collect();
    let serial: String = certificate.serial.iter().rev().take(4).rev().map(|byte| format!("{byte:02x}")).collect();
    format!("{label} {serial}")
}

/// The name in a line of `certutil -L`: everything before the trust flags, which hold exactly two commas.
fn name_in(line: &str) -> Option<String> {
    let (name, flags) = line.trim_end().rsplit_once(char::is_whitespace)?;
    let name = name.trim_end();
    let are_flags = flags.matches(',').count() == 2 && flags.chars().all(|c| c == ',' || c.is_ascii_alphabetic());
    (are_flags && !name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_certutils_table_whatever_their_script() {
        let table = "\nCertificate Nickname                          Trust Attributes\n                                              SSL,S/MIME,JAR/XPI\n\n\
                     受付 1番 (sakura) 01                            u,u,u\nIssuing CA - x                                ,,   \n";
        let names: Vec<_> = table.lines().filter_map(name_in).collect();
        assert_eq!(names, ["受付 1番 (sakura) 01", "Issuing CA - x"]);
    }

    #[test]
    fn the_database_is_looked_for_where_chromium_looks() {
        let home = tempfile::tempdir().unwrap();
        let folder = |data_home: Option<&str>| {
            let nss = Nss::with(home.path(), data_home.map(PathBuf::from), home.path(), PathBuf::new());
            nss.expect("apt-get install libnss3-tools").folder()
        };
        assert_eq!(folder(None), home.path().join(".local/share/pki/nssdb"));
        assert_eq!(folder(Some("/data")), Path::new("/data/pki/nssdb"));
        std::fs::create_dir_all(home.path().join(".pki")).unwrap();
        assert_eq!(folder(None), home.path().join(".local/share/pki/nssdb"), "~/.pki alone does not count");
        std::fs::create_dir_all(home.path().join(".pki/nssdb")).unwrap();
        assert_eq!(folder(Some("/data")), home.path().join(".pki/nssdb"));
    }
}
