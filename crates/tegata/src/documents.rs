//! Policy files as they lie on this machine: found, read, and checked before anything is sent.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use tegata_api::client::ClientError;
use tegata_api::v1::fleet::{Documents, File};
use tegata_api::v1::problem::Finding;
use tegata_api::yaml;
use tegata_core::name::TenantName;

use crate::failure::Failure;

/// Which documents are meant.
#[derive(Args)]
pub struct Sources {
    /// Files, or folders of which every *.yaml and *.yml is read, with their own folders; - is standard input
    #[arg(short = 'f', long = "file", required = true, num_args = 1.., value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Documents of the tenant that are in none of these files go
    #[arg(long)]
    prune: bool,
}

impl Sources {
    /// Reads them, and checks each by itself. Whether they fit together and to what is there, the server says.
    pub fn read(&self, tenant: &TenantName) -> Result<Documents, Failure> {
        let files = read(&self.paths)?;
        yaml::load(&files, tenant).map_err(|findings| wrong(&findings, &files))?;
        Ok(Documents { files, prune: self.prune })
    }
}

/// Reads files and folders, in order and without checking.
pub fn read(paths: &[PathBuf]) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    let mut unreadable = Vec::new();
    for path in paths {
        for (name, bytes) in contents(path)? {
            match yaml::from_bytes(&name, &bytes) {
                Ok(file) => files.push(file),
                Err(finding) => unreadable.push(finding),
            }
        }
    }
    if unreadable.is_empty() { Ok(files) } else { Err(wrong(&unreadable, &files)) }
}

/// Findings of the server, shown with the lines of the files that were sent.
pub fn explained(failure: Failure, sent: &[File]) -> Failure {
    match failure {
        Failure::Server(ClientError::Refused(problem)) if !problem.findings.is_empty() => wrong(&problem.findings, sent),
        other => other,
    }
}

/// The failure that says what is wrong with documents.
pub fn wrong(findings: &[Finding], files: &[File]) -> Failure {
    let summary = match findings.len() {
        1 => "one thing is wrong in the documents; nothing was applied".to_owned(),
        count => format!("{count} things are wrong in the documents; nothing was applied"),
    };
    Failure::Documents { summary, rendered: yaml::render(findings, files) }
}

/// Name and contents of what `path` means.
fn contents(path: &Path) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map_err(|source| Failure::Read { path: path.to_owned(), source })?;
        return Ok(vec![("standard input".into(), bytes)]);
    }
    let files = if path.is_dir() { in_folder(path)? } else { vec![path.to_owned()] };
    let read = |path: PathBuf| match fs::read(&path) {
        Ok(bytes) => Ok((path.display().to_string(), bytes)),
        Err(source) => Err(Failure::Read { path, source }),
    };
    files.into_iter().map(read).collect()
}

/// Every policy file below `folder`, sorted by path.
fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    collect(folder, &mut found).map_err(|source| Failure::Read { path: folder.to_owned(), source })?;
    found.sort();
    if found.is_empty() { Err(Failure::NoDocuments(folder.to_owned())) } else { Ok(found) }
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        // Editors and git keep their own files under hidden names.
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_in_order_without_hidden_or_foreign_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.yaml", "a.yml", "clinics/c.yaml", "notes.txt", ".draft.yaml"] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = in_folder(folder.path()).unwrap();
        let names: Vec<_> = found.iter().map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["a.yml", "b.yaml", "clinics/c.yaml"]);
    }

    #[test]
    fn an_empty_folder_is_a_mistake_not_an_empty_policy() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(in_folder(folder.path()), Err(Failure::NoDocuments(_))));
    }
}
