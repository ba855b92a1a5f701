//! The providers by which people sign in, as the file of `--oidc` names them, and what lies in the files that it names in turn.

use std::fs;
use std::path::{Path, PathBuf};

use tegata_api::yaml::{self, OpenIdProvider};
use tegata_server::sign_in::provider::ProviderSettings;
use zeroize::Zeroizing;

use crate::documents;
use crate::failure::Failure;

/// Reads the file. Files that it names are found from where it lies.
pub fn read(path: &Path) -> Result<Vec<ProviderSettings>, Failure> {
    let files = documents::read(&[path.to_owned()])?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut settings = Vec::new();
    for file in &files {
        let providers = yaml::providers(file).map_err(|findings| {
            let summary = format!("{} cannot be used; the server does not start", file.name);
            Failure::Documents { summary, rendered: yaml::render(&findings, &files) }
        })?;
        for provider in providers {
            settings.push(with_files(provider, folder)?);
        }
    }
    Ok(settings)
}

fn with_files(provider: OpenIdProvider, folder: &Path) -> Result<ProviderSettings, Failure> {
    let text = |path: &Option<PathBuf>| path.as_ref().map(|path| contents(folder.join(path))).transpose();
    let secret = text(&provider.secret_file)?.map(|text| Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()));
    let authority = text(&provider.authority_file)?.map(|text| text.to_string());
    Ok(ProviderSettings { provider, secret, authority })
}

fn contents(path: PathBuf) -> Result<Zeroizing<String>, Failure> {
    fs::read_to_string(&path).map(Zeroizing::new).map_err(|source| Failure::Read { path, source })
}
