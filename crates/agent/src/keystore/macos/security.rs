//! `/usr/bin/security`, as security(1) describes it: one function for each of its commands that is used, and the keychain is always named.
//!
//! Arguments can be read by every user of the Mac. A command with a secret is therefore read by the tool from its standard input
//! (`security -i`), one a process. There it ends with the status of its last command, as long as that is not -1: so what it complains
//! about is looked at as well.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use data_encoding::HEXUPPER;
use tegata_core::name::Sha256;
use tegata_pki::certificate;
use zeroize::Zeroizing;

use super::listing::{self, Listed, Strange};
use super::{KeystoreError, NAME, strange};
use crate::command::{self, CommandError, Told};

/// The longest line that `security -i` reads whole, in bytes (MAX_LINE_LEN of SecurityTool, its newline and its NUL).
const LINE_MAX: usize = 4096 - 2;

pub(super) struct Security {
    tool: PathBuf,
    home: PathBuf,
}

impl Security {
    pub(super) fn new(tool: &Path, home: &Path) -> Self {
        Self { tool: tool.to_owned(), home: home.to_owned() }
    }

    pub(super) fn is_there(&self) -> bool {
        self.tool.is_file()
    }

    pub(super) async fn create(&self, keychain: &Path, password: &str) -> Result<(), KeystoreError> {
        self.secretly(&["create-keychain", "-p", password, text(keychain)?]).await
    }

    /// Deletes the file, and takes it out of the lists of keychains.
    pub(super) async fn delete(&self, keychain: &Path) -> Result<(), KeystoreError> {
        self.openly(["delete-keychain".into(), keychain.into()]).await.map(drop)
    }

    pub(super) async fn unlock(&self, keychain: &Path, password: &str) -> Result<(), KeystoreError> {
        self.secretly(&["unlock-keychain", "-p", password, text(keychain)?]).await
    }

    /// Neither after a time nor when the Mac sleeps.
    pub(super) async fn never_lock(&self, keychain: &Path) -> Result<(), KeystoreError> {
        self.openly(["set-keychain-settings".into(), keychain.into()]).await.map(drop)
    }

    /// The user's own list, without what the system adds to it.
    pub(super) async fn search_list(&self) -> Result<Vec<PathBuf>, KeystoreError> {
        listing::search_list(&self.openly(["list-keychains", "-d", "user"].map(OsString::from)).await?).map_err(unexpected)
    }

    pub(super) async fn set_search_list(&self, list: &[PathBuf]) -> Result<(), KeystoreError> {
        let arguments = ["list-keychains", "-d", "user", "-s"].map(OsString::from).into_iter();
        self.openly(arguments.chain(list.iter().map(OsString::from))).await.map(drop)
    }

    /// Imports one key with its certificate. `-A`: any program may use the key as far as its partition list allows, which always holds.
    pub(super) async fn import(&self, keychain: &Path, bundle: &Path, password: &str) -> Result<(), KeystoreError> {
        self.secretly(&["import", text(bundle)?, "-k", text(keychain)?, "-f", "pkcs12", "-A", "-P", password]).await
    }

    pub(super) async fn add_certificate(&self, keychain: &Path, der: &Path) -> Result<(), KeystoreError> {
        self.openly(["add-certificates".into(), "-k".into(), keychain.into(), der.into()]).await.map(drop)
    }

    /// Says who may use the keys that can sign (`-s`) without asking.
    pub(super) async fn allow(&self, keychain: &Path, password: &str, partitions: &str) -> Result<(), KeystoreError> {
        self.secretly(&["set-key-partition-list", "-S", partitions, "-s", "-k", password, text(keychain)?]).await
    }

    /// What is in the keychain. The tool would look everywhere if it could not open the one it was told, so each has to say where it is.
    pub(super) async fn certificates(&self, keychain: &Path) -> Result<BTreeMap<Sha256, Listed>, KeystoreError> {
        let told = self.openly(["find-certificate".into(), "-a".into(), "-Z".into(), keychain.into()]).await?;
        listing::certificates(&told, keychain).map_err(unexpected)
    }

    pub(super) async fn ders(&self, keychain: &Path) -> Result<Vec<Vec<u8>>, KeystoreError> {
        let pem = self.openly(["find-certificate".into(), "-a".into(), "-p".into(), keychain.into()]).await?;
        if pem.is_empty() {
            return Ok(Vec::new());
        }
        let read = certificate::read_pem(&String::from_utf8_lossy(&pem)).map_err(|problem| strange(problem.to_string()))?;
        Ok(read.into_iter().map(|one| one.der).collect())
    }

    /// The certificates that have their key in the keychain, by SHA-1: that is how the tool names them. Trusted or not, for whatever use.
    pub(super) async fn identities(&self, keychain: &Path) -> Result<BTreeSet<String>, KeystoreError> {
        listing::identities(&self.openly(["find-identity".into(), keychain.into()]).await?).map_err(unexpected)
    }

    /// Exports every key with its certificate; the tool cannot choose.
    pub(super) async fn export(&self, keychain: &Path, bundle: &Path, password: &str) -> Result<(), KeystoreError> {
        self.secretly(&["export", "-k", text(keychain)?, "-t", "identities", "-f", "pkcs12", "-P", password, "-o", text(bundle)?]).await
    }

    /// Deletes the key, then the certificate.
    pub(super) async fn delete_identity(&self, keychain: &Path, fingerprint: Sha256) -> Result<(), KeystoreError> {
        self.openly(["delete-identity".into(), "-Z".into(), hex(fingerprint), keychain.into()]).await.map(drop)
    }

    pub(super) async fn delete_certificate(&self, keychain: &Path, fingerprint: Sha256) -> Result<(), KeystoreError> {
        self.openly(["delete-certificate".into(), "-Z".into(), hex(fingerprint), keychain.into()]).await.map(drop)
    }

    async fn openly(&self, arguments: impl IntoIterator<Item = OsString>) -> Result<Vec<u8>, KeystoreError> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        Ok(self.run(&arguments, b"").await?.output)
    }

    async fn secretly(&self, words: &[&str]) -> Result<(), KeystoreError> {
        let told = self.run(&["-i".into()], line(words)?.as_bytes()).await?;
        let returned = format!("{}: returned ", words[0]);
        match told.complaint.lines().any(|line| line.starts_with(&returned)) {
            true => Err(CommandError::Failed { program: "security".into(), complaint: told.complaint }.into()),
            false => Ok(()),
        }
    }

    /// The lists of keychains are the user's, who is known to the tool by this variable.
    async fn run(&self, arguments: &[OsString], input: &[u8]) -> Result<Told, CommandError> {
        command::run_in(&self.tool, arguments, input, &[("HOME", self.home.as_os_str())]).await
    }
}

/// One line for `security -i`. In quotation marks only `\` and the mark itself mean more than themselves.
fn line(words: &[&str]) -> Result<Zeroizing<String>, KeystoreError> {
    let mut line = Zeroizing::new(String::with_capacity(LINE_MAX));
    for word in words {
        line.push('"');
        for character in word.chars() {
            if matches!(character, '"' | '\\') {
                line.push('\\');
            }
            line.push(character);
        }
        line.push_str("\" ");
    }
    if line.len() > LINE_MAX || line.contains(char::is_control) {
        return Err(strange(format!("security cannot be told to {}: a path is too long, or has a line break in it", words[0])));
    }
    line.push('\n');
    Ok(line)
}

fn text(path: &Path) -> Result<&str, KeystoreError> {
    path.to_str().ok_or_else(|| strange(format!("{} is not UTF-8, as all paths of macOS are", path.display())))
}

fn hex(fingerprint: Sha256) -> OsString {
    HEXUPPER.encode(&fingerprint.0).into()
}

fn unexpected(problem: Strange) -> KeystoreError {
    KeystoreError::Unreadable(NAME, problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_by_the_tool_as_it_was_meant() {
        let written = line(&["unlock-keychain", "-p", r#"a "b\c"#, "/Users/受付/Library/Application Support/k"]).unwrap();
        assert_eq!(*written, "\"unlock-keychain\" \"-p\" \"a \\\"b\\\\c\" \"/Users/受付/Library/Application Support/k\" \n");
        for refused in ["two\nlines", &"x".repeat(LINE_MAX)] {
            line(&["unlock-keychain", refused]).unwrap_err();
        }
    }
}
