//! One folder of browser policies: whether a browser reads it, and our file beside those of others.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tegata_api::v1::device::BrowserRule;

use super::lenient;
use crate::disk::{self, DiskError, Readers, failing};

/// Our file. Browsers read the files of the folder in the order of their names.
pub(super) const FILE: &str = "tegata.json";
/// The policy that selects certificates.
pub(super) const SELECT: &str = "AutoSelectCertificateForUrls";
/// The policy that names the policies whose lists are joined over all files; without it the last file replaces the others' lists.
pub(super) const MERGE: &str = "PolicyListMultipleSourceMergeList";

/// Where Chromium and Chrome look for policies (`policy_paths.cc`), and what shows that they are installed: their own folder below
/// /etc, which an administrator may have made for them, or the program.
const USUAL: [(&str, &[&str]); 2] = [
    ("/etc/chromium/policies/managed", &["/etc/chromium", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/snap/bin/chromium"]),
    (
        "/etc/opt/chrome/policies/managed",
        &["/etc/opt/chrome", "/opt/google/chrome", "/usr/bin/google-chrome", "/usr/bin/google-chrome-stable"],
    ),
];

/// One folder.
#[derive(Debug, Clone)]
pub(in crate::browser) struct PolicyFolder {
    path: PathBuf,
    /// Any of these shows that a browser reads it; if there are none, one does.
    signs: Vec<PathBuf>,
}

impl PolicyFolder {
    /// The folders that Chromium and Chrome read.
    pub(in crate::browser) fn usual() -> Vec<Self> {
        USUAL.iter().map(|(path, signs)| Self { path: path.into(), signs: signs.iter().map(PathBuf::from).collect() }).collect()
    }

    /// A folder that was named when the PC was enrolled.
    pub(in crate::browser) fn named(path: PathBuf) -> Self {
        Self { path, signs: vec![] }
    }

    #[cfg(test)]
    pub(super) fn shown_by(path: PathBuf, sign: PathBuf) -> Self {
        Self { path, signs: vec![sign] }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// False while there is no browser that would read it: asked at each look, because one may be installed later.
    pub(super) fn is_read(&self) -> bool {
        self.signs.is_empty() || self.signs.iter().any(|sign| sign.exists())
    }

    /// Removes what a crash left half written: browsers would read it as a policy file.
    pub(super) fn clear(&self) -> Result<(), DiskError> {
        disk::clear_temporary(&self.path)
    }

    /// Our file as it is.
    pub(super) fn read(&self) -> Result<Option<String>, DiskError> {
        disk::read_text(&self.path.join(FILE))
    }

    /// Our file as it should be. What others want merged stays merged, since of this list too only one file's counts.
    pub(super) fn text(&self, rules: &BTreeSet<BrowserRule>) -> Result<String, DiskError> {
        let mut merged = BTreeSet::from([SELECT.to_owned()]);
        for path in disk::files(&self.path)?.iter().filter(|path| path.file_name() != Some(OsStr::new(FILE))) {
            merged.extend(merge_list(path));
        }
        let elements: Vec<String> = rules.iter().map(BrowserRule::policy_element).collect();
        let text = serde_json::to_string_pretty(&json!({ SELECT: elements, MERGE: merged }));
        Ok(text.map_err(std::io::Error::from).map_err(failing("write", &self.path))? + "\n")
    }

    /// Makes the folder if it is missing, open to the users of the browsers, and makes sure that files can be put into it: whoever
    /// notes a change before it is made must know that it will be.
    pub(super) fn open(&self) -> Result<(), DiskError> {
        fs::create_dir_all(&self.path).map_err(failing("make the folder", &self.path))?;
        let writable = rustix::fs::access(&self.path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
        writable.map_err(std::io::Error::from).map_err(failing("write into", &self.path))
    }

    /// Writes or removes our file.
    pub(super) fn replace(&self, text: Option<&str>) -> Result<(), DiskError> {
        let path = self.path.join(FILE);
        match text {
            Some(text) => disk::write(&path, text.as_bytes(), Readers::Everyone),
            None => disk::remove(&path).map(drop),
        }
    }
}

/// True if the agent has no right to do it, and an administrator has.
pub(super) fn is_closed(problem: &DiskError) -> bool {
    matches!(problem.source.kind(), ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem)
}

/// The command that opens folders to the user that the agent runs as.
pub(super) fn opening<'a>(folders: impl Iterator<Item = &'a Path>) -> String {
    let folders: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
    format!("sudo install -d -o {} -m 0755 {}", user(), folders.join(" "))
}

/// The user that the agent runs as: the name, or the number of a user that is not in the file (`install` takes both).
fn user() -> String {
    let number = rustix::process::geteuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|user| user.get(2) == Some(&number.as_str()));
    name.map_or(number.clone(), |user| user[0].to_owned())
}

/// What another file wants merged; nothing from a file that cannot be read. Browsers read every file, whatever it is called.
fn merge_list(path: &Path) -> Vec<String> {
    let text = disk::read(path).inspect_err(|problem| tracing::warn!(problem = crate::told(problem), "a policy file is passed over"));
    let Some(document) = text.ok().flatten().and_then(|text| lenient::read(&text)) else { return vec![] };
    let list = document[MERGE].as_array().cloned().unwrap_or_default();
    let list: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let overrules = path.file_name() > Some(OsStr::new(FILE)) && document.get(MERGE).is_some();
    if overrules && !list.iter().any(|name| name == SELECT || name == "*") {
        tracing::warn!(file = %path.display(), "this policy file comes later and its {MERGE} does not name {SELECT}: certificates may have to be chosen by hand");
    }
    list
}
