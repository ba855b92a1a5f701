//! The certificate database of Chromium, Chrome and Edge on Linux (NSS).
//!
//! Certificates go in and come out as PKCS#12 by NSS's own tools; they are listed, and removed by their exact DER, through libnss3,
//! because a name in NSS can mean several certificates, or none. See [`library`].

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use data_encoding::{BASE64, DecodeError};
use tegata_core::name::{Sha256, SlotId};
use tegata_pki::certificate::{self, Certificate};
use tegata_pki::key::{PrivateKey, sha256};
use tegata_pki::pkcs12::{self, Flavor};
use tempfile::{NamedTempFile, TempDir};
use zeroize::Zeroizing;

use super::{Keystore, KeystoreError, Pair, Rooted};
use crate::command::{self, CommandError};
use crate::disk::{self, DiskError, failing};

pub mod library;

const NAME: &str = "nss";
/// The longest name that is given to a certificate, in characters.
const LABEL_MAX: usize = 64;
/// The flags of a root that vouches for nobody (certutil(1), `-t`): for no servers, nobody's mail and no programs.
const UNTRUSTED: &str = ",,";

/// One user's database.
pub struct Nss {
    home: PathBuf,
    data_home: Option<PathBuf>,
    temporary: PathBuf,
    child: PathBuf,
}

impl Nss {
    /// The database of the user of `home`. `temporary` is a folder that only the agent can look into.
    pub fn of(home: &Path, temporary: &Path) -> Result<Self, KeystoreError> {
        // The browser follows XDG_DATA_HOME; ours only tells where the browser's is when both belong to the same user.
        let same_user = std::env::var_os("HOME").is_some_and(|own| Path::new(&own) == home);
        let data_home = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|folder| same_user && folder.is_absolute());
        let child = std::env::current_exe().map_err(failing("find", Path::new("tegata-agent")))?;
        Ok(Self::with(home, data_home, temporary, child))
    }

    /// As [`of`](Self::of), with everything said: `child` is the program that knows the hidden commands `nss-list` and `nss-remove`.
    pub fn with(home: &Path, data_home: Option<PathBuf>, temporary: &Path, child: PathBuf) -> Self {
        Self { home: home.to_owned(), data_home, temporary: temporary.to_owned(), child }
    }

    /// Where the browser looks: `~/.pki/nssdb` if that folder is there, else the one below the user's data folder. Never both, so
    /// the first must not be made where only the second is used.
    fn folder(&self) -> PathBuf {
        let [classic, data, _] = self.folders();
        if classic.is_dir() { classic } else { data }
    }

    /// Everywhere that the browser may have looked once: `~/.pki/nssdb` may have come later, or another data folder been set.
    fn folders(&self) -> [PathBuf; 3] {
        let usual = self.home.join(".local/share/pki/nssdb");
        let data = self.data_home.as_ref().map_or_else(|| usual.clone(), |folder| folder.join("pki/nssdb"));
        [self.home.join(".pki/nssdb"), data, usual]
    }

    /// A home that is not mounted is not one without certificates.
    fn check_home(&self) -> Result<(), DiskError> {
        std::fs::metadata(&self.home).map(drop).map_err(failing("look into the home folder", &self.home))
    }

    /// Makes the database as the browser would: with an empty password.
    async fn make_database(&self, folder: &Path) -> Result<(), KeystoreError> {
        self.check_home()?;
        if !has_database(folder) {
            disk::make_folder(folder)?;
            command::run(&tool("certutil")?, &["-N".into(), "-d".into(), database(folder), "--empty-password".into()], b"").await?;
        }
        Ok(())
    }

    /// The DER of every certificate in a folder's database.
    async fn certificates(&self, folder: &Path) -> Result<BTreeMap<Sha256, Vec<u8>>, KeystoreError> {
        self.check_home()?;
        if !has_database(folder) {
            return Ok(BTreeMap::new());
        }
        let lines = command::run(&self.child, &["nss-list".into(), "--database".into(), database(folder)], b"").await?;
        let unreadable = |problem: DecodeError| KeystoreError::Unreadable(NAME, problem.to_string());
        let ders = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| BASE64.decode(line).map_err(unreadable));
        ders.map(|der| der.map(|der| (sha256(&der), der))).collect()
    }

    /// Finds the name that NSS knows a certificate by. Other people's may have names that cannot be told from the table, or none;
    /// certutil finds nothing by what the table shows of them, and they are passed over.
    async fn name_of(&self, folder: &Path, fingerprint: Sha256) -> Result<Option<String>, KeystoreError> {
        for (name, _) in self.table(folder).await? {
            if self.finds(folder, &name, fingerprint).await? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// The flags of a certificate, and of all others of its subject: certutil finds every one of them by each of their names.
    async fn flags_of(&self, folder: &Path, fingerprint: Sha256) -> Result<Vec<String>, KeystoreError> {
        let mut alike = Vec::new();
        for (name, flags) in self.table(folder).await? {
            if self.finds(folder, &name, fingerprint).await? {
                alike.push(flags);
            }
        }
        Ok(alike)
    }

    /// Names and flags, as certutil shows them.
    async fn table(&self, folder: &Path) -> Result<BTreeSet<(String, String)>, KeystoreError> {
        let table = command::run(&tool("certutil")?, &["-L".into(), "-d".into(), database(folder)], b"").await?;
        let table = String::from_utf8_lossy(&table).into_owned();
        Ok(table.lines().filter_map(named_flags).map(|(name, flags)| (name.to_owned(), flags.to_owned())).collect())
    }

    async fn finds(&self, folder: &Path, name: &str, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        let arguments = ["-L".into(), "-d".into(), database(folder), "-n".into(), OsString::from(name), "-a".into()];
        let pem = match command::run(&tool("certutil")?, &arguments, b"").await {
            Err(CommandError::Failed { complaint, .. }) => {
                tracing::debug!(name, complaint, "certutil shows a name that it does not find");
                return Ok(false);
            }
            other => other?,
        };
        let found = certificate::read_pem(&String::from_utf8_lossy(&pem)).unwrap_or_default();
        Ok(found.iter().any(|one| one.fingerprint == fingerprint))
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
    async fn pk12util(&self, database: OsString, folder: &TempDir, action: &[OsString], password: &str) -> Result<(), KeystoreError> {
        let password = self.temporary_file(folder, password.as_bytes())?;
        let database_password = self.temporary_file(folder, b"\n")?;
        let mut arguments = action.to_vec();
        arguments.extend(["-d".into(), database, "-w".into(), password.path().into(), "-k".into(), database_password.path().into()]);
        let done = command::run(&tool("pk12util")?, &arguments, b"").await;
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

    fn is_ready(&self) -> bool {
        ["certutil", "pk12util"].into_iter().all(|name| tool(name).is_ok())
    }

    async fn install(&self, _slot: &SlotId, pair: &Pair, label: &str) -> Result<(), KeystoreError> {
        let place = self.folder();
        self.make_database(&place).await?;
        let unreadable = |problem: String| KeystoreError::Unreadable(NAME, problem);
        let own = pair.chain.first().ok_or_else(|| unreadable("there is no certificate".into()))?;
        let own = certificate::read(own).map_err(|problem| unreadable(problem.to_string()))?;
        let (folder, password) = (self.temporary_folder()?, crate::chance::password());
        let key = PrivateKey::from_pkcs8(pair.pkcs8()?)?;
        let bundle = pkcs12::write(Flavor::Modern, &key, &pair.chain, &friendly_name(label, &own), &password)?;
        let bundle = self.temporary_file(&folder, &bundle)?;
        let imported = self.pk12util(database(&place), &folder, &["-i".into(), bundle.path().into()], &password).await;
        disk::wipe(bundle.path())?;
        imported
    }

    async fn list(&self) -> Result<BTreeSet<Sha256>, KeystoreError> {
        Ok(self.certificates(&self.folder()).await?.into_keys().collect())
    }

    async fn holds(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        for folder in self.folders() {
            if self.certificates(&folder).await?.contains_key(&fingerprint) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn open(&self, fingerprint: Sha256) -> Result<Pair, KeystoreError> {
        let absent = || KeystoreError::Absent(fingerprint, NAME);
        let place = self.folder();
        if !self.certificates(&place).await?.contains_key(&fingerprint) {
            return Err(absent());
        }
        let nameless = || KeystoreError::Unreadable(NAME, "certutil finds the certificate by no name".into());
        let name = self.name_of(&place, fingerprint).await?.ok_or_else(nameless)?;
        let (folder, password) = (self.temporary_folder()?, crate::chance::password());
        let bundle = folder.path().join("bundle");
        let action = ["-o", "-n", &name, "-c", "AES-256-CBC", "-C", "AES-256-CBC"].map(OsString::from);
        let mut action = action.to_vec();
        action.insert(1, bundle.clone().into());
        let exported = self.pk12util(database(&place), &folder, &action, &password).await;
        let bytes = disk::read_secret(&bundle)?.unwrap_or_else(|| Zeroizing::new(Vec::new()));
        disk::wipe(&bundle)?;
        exported.map_err(|problem| if is_keyless(&problem) { absent() } else { problem })?;
        let bundle = pkcs12::read(&bytes, &password).map_err(|problem| KeystoreError::Unreadable(NAME, problem.to_string()))?;
        let pair = Pair { chain: bundle.chain, key: bundle.key.into() };
        if pair.fingerprint() == Some(fingerprint) { Ok(pair) } else { Err(absent()) }
    }

    async fn root(&self, fingerprint: Sha256) -> Result<Rooted, KeystoreError> {
        let place = self.folder();
        let Some(der) = self.certificates(&place).await?.remove(&fingerprint) else { return Ok(Rooted::Absent) };
        let flags = self.flags_of(&place, fingerprint).await?;
        // What is not so of all certificates of its subject is not known of this one.
        let is_trusted = !flags.is_empty() && flags.iter().all(|flags| vouches_for_servers(flags));
        Ok(Rooted::There { der, is_trusted })
    }

    /// What is there already is known by its bytes: it keeps its name, and of its flags only the one for servers changes.
    async fn trust(&self, root: &[u8], is_trusted: bool) -> Result<(), KeystoreError> {
        let place = self.folder();
        self.make_database(&place).await?;
        let own = certificate::read(root).map_err(|problem| KeystoreError::Unreadable(NAME, problem.to_string()))?;
        let name = friendly_name(own.common_name.as_deref().unwrap_or("Tegata"), &own);
        let before = self.flags_of(&place, sha256(root)).await?;
        let flags = changed(if let [own] = &before[..] { own } else { UNTRUSTED }, is_trusted);
        let arguments = ["-A".into(), "-d".into(), database(&place), "-n".into(), name.into(), "-t".into(), flags.into()];
        command::run::<OsString>(&tool("certutil")?, &arguments, root).await?;
        Ok(())
    }

    async fn remove(&self, fingerprint: Sha256) -> Result<bool, KeystoreError> {
        let mut was_there = false;
        for folder in self.folders() {
            if let Some(der) = self.certificates(&folder).await?.get(&fingerprint) {
                command::run(&self.child, &["nss-remove".into(), "--database".into(), database(&folder)], der).await?;
                was_there = true;
            }
        }
        Ok(was_there)
    }
}

/// True if pk12util found the certificate without its key.
fn is_keyless(problem: &KeystoreError) -> bool {
    matches!(problem, KeystoreError::Command(CommandError::Failed { complaint, .. }) if complaint.contains("no user certs"))
}

/// Looked for at each use: what is installed later is found without a restart.
fn tool(name: &'static str) -> Result<PathBuf, KeystoreError> {
    command::find(name).ok_or(KeystoreError::ToolMissing(name))
}

fn has_database(folder: &Path) -> bool {
    folder.join("cert9.db").is_file()
}

fn database(folder: &Path) -> OsString {
    let mut database = OsString::from("sql:");
    database.push(folder);
    database
}

/// What people see, never the same for two certificates: NSS would take two of the same name for one.
fn friendly_name(label: &str, certificate: &Certificate) -> String {
    // A colon would be taken for the name of a token before it.
    let readable = |c: char| if c.is_control() || c == ':' { ' ' } else { c };
    let label: String = label.trim().chars().map(readable).take(LABEL_MAX).collect();
    let serial: String = certificate.serial.iter().rev().take(4).rev().map(|byte| format!("{byte:02x}")).collect();
    format!("{label} {serial}")
}

fn vouches_for_servers(flags: &str) -> bool {
    flags.split(',').next().is_some_and(|servers| servers.contains('C'))
}

/// Flags that vouch for servers or do not, and say of everything else what they said before. That there is a key is not for us to say.
fn changed(flags: &str, is_trusted: bool) -> String {
    let flags = flags.replace('u', "");
    let (servers, rest) = flags.split_once(',').unwrap_or((&flags, ","));
    let servers = servers.replace('C', "");
    format!("{}{servers},{rest}", if is_trusted { "C" } else { "" })
}

/// Name and flags in a line of `certutil -L`: everything before the trust flags, which hold exactly two commas.
fn named_flags(line: &str) -> Option<(&str, &str)> {
    let (name, flags) = line.trim_end().rsplit_once(char::is_whitespace)?;
    let name = name.trim_end();
    let are_flags = flags.matches(',').count() == 2 && flags.chars().all(|c| c == ',' || c.is_ascii_alphabetic());
    (are_flags && !name.is_empty()).then_some((name, flags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_the_flags_only_the_one_for_servers_changes() {
        for (before, trusted, untrusted) in
            [(",,", "C,,", ",,"), (",C,", "C,C,", ",C,"), ("CT,C,C", "CT,C,C", "T,C,C"), ("Cu,u,u", "C,,", ",,")]
        {
            assert_eq!((changed(before, true), changed(before, false)), (trusted.into(), untrusted.into()), "{before}");
        }
    }

    #[test]
    fn names_are_read_from_certutils_table_whatever_their_script() {
        let table = "\nCertificate Nickname                          Trust Attributes\n                                              SSL,S/MIME,JAR/XPI\n\n\
                     受付 1番 (sakura) 01                            u,u,u\nIssuing CA - x                                ,,   \n";
        let names: Vec<_> = table.lines().filter_map(named_flags).map(|(name, _)| name).collect();
        assert_eq!(names, ["受付 1番 (sakura) 01", "Issuing CA - x"]);
    }

    #[test]
    fn the_database_is_looked_for_where_chromium_looks() {
        let home = tempfile::tempdir().unwrap();
        let folder = |data_home: Option<&str>| Nss::with(home.path(), data_home.map(PathBuf::from), home.path(), PathBuf::new()).folder();
        assert_eq!(folder(None), home.path().join(".local/share/pki/nssdb"));
        assert_eq!(folder(Some("/data")), Path::new("/data/pki/nssdb"));
        std::fs::create_dir_all(home.path().join(".pki")).unwrap();
        assert_eq!(folder(None), home.path().join(".local/share/pki/nssdb"), "~/.pki alone does not count");
        std::fs::create_dir_all(home.path().join(".pki/nssdb")).unwrap();
        assert_eq!(folder(Some("/data")), home.path().join(".pki/nssdb"));
    }
}
