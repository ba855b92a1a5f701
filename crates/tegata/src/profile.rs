//! `tegata profile`: what a Mac's management tool needs, so that browsers follow the clinic's rules by force instead of by preference.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use tegata_api::v1::device::{BrowserRule, Manifest, origin};
use tegata_api::v1::offline::{OfflineBundle, SignedBundle};
use tegata_core::name::{ClinicName, DeviceId, SlotId};
use tegata_pki::certificate::{self, Certificate};
use tegata_pki::pkcs12;
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::output;
use crate::session::Session;

mod mobileconfig;

use mobileconfig::{Contents, Pfx};

/// Write settings for tools that manage PCs
#[derive(Args)]
pub struct Profile {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Mobileconfig(Mobileconfig),
}

/// Write a configuration profile for a Mac: which certificates Chrome and Edge select, and authorities to trust
///
/// Not needed where nobody manages Macs: the agent writes the same rules into the user's preferences. Where a profile sets them, it overrules the
/// agent, so write it anew when policy has changed. The same device and files give the same bytes.
///
/// It fetches no certificate: neither ACME nor SCEP is served, keys are the agent's.
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata profile mobileconfig sakura-naika/incho-mac --authority sakura-ca.pem")]
struct Mobileconfig {
    /// The device, `clinic/device`. It has to have enrolled
    device: DeviceId,
    /// Authorities (PEM) that the Mac is to know, such as Tegata's own: https://SERVER/ca/TENANT/ISSUER.pem; roots are trusted. Can be given several times
    #[arg(long, value_name = "FILE")]
    authority: Vec<PathBuf>,
    /// A PKCS#12 file to install with it. Its password is asked for when the profile is installed, and is not in it
    #[arg(long, value_name = "FILE")]
    pkcs12: Option<PathBuf>,
    /// Where the profile goes [default: tegata-CLINIC-DEVICE.mobileconfig in this folder]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What was written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    /// `clinic/device`.
    device: String,
    /// Sites that a certificate is selected for.
    sites: BTreeSet<String>,
    /// Sites that several clinics of the device share: a profile cannot follow the choice that people make there.
    left_out: BTreeSet<String>,
    /// How many authorities are in it.
    authorities: usize,
    /// Where the file is.
    file: PathBuf,
}

impl Profile {
    /// Does what was typed.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let What::Mobileconfig(verb) = self.what;
        verb.run(global).await
    }
}

impl Mobileconfig {
    async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let authorities = read_authorities(&self.authority)?;
        let pfx = self.pkcs12.as_deref().map(read_pfx).transpose()?;
        let session = Session::open(global)?;
        let signed: SignedBundle = session.post(&format!("devices/{}/bundle", self.device), &()).await?;
        let bundle: OfflineBundle = serde_json::from_str(&signed.bundle).map_err(|_| Failure::NewerServer)?;
        let chosen = Chosen::of(&bundle.manifest);
        if chosen.rules.is_empty() && authorities.is_empty() && pfx.is_none() {
            return Err(Failure::NothingForBrowsers(self.device));
        }
        let contents =
            Contents { tenant: session.tenant(), device: &self.device, rules: &chosen.rules, authorities: &authorities, pfx: pfx.as_ref() };
        let file = self.out.unwrap_or_else(|| format!("tegata-{}-{}.mobileconfig", self.device.clinic, self.device.device).into());
        let failed = |problem: String| Failure::Format { format: "property list", problem };
        let bytes = Zeroizing::new(contents.to_xml().map_err(|problem| failed(problem.to_string()))?);
        keep(&file, &bytes).map_err(|source| Failure::Keep { path: file.clone(), source })?;
        let written = Written {
            device: self.device.to_string(),
            sites: chosen.rules.iter().map(|rule| origin(&rule.pattern)).collect(),
            left_out: chosen.shared,
            authorities: authorities.len(),
            file,
        };
        output::show(global, &written, |_| written.tell())?;
        Ok(Exit::Fine)
    }
}

/// The rules of a device that can be forced.
#[derive(Debug, PartialEq, Eq)]
struct Chosen {
    rules: BTreeSet<BrowserRule>,
    /// Sites that several clinics share.
    shared: BTreeSet<String>,
}

impl Chosen {
    fn of(manifest: &Manifest) -> Self {
        let mut sites: BTreeMap<String, BTreeMap<ClinicName, BTreeSet<BrowserRule>>> = BTreeMap::new();
        let in_browsers = manifest.slots.iter().filter(|slot| slot.stores.iter().any(|store| store == "browser"));
        for (slot, id) in in_browsers.filter_map(|slot| Some((slot, slot.slot.parse::<SlotId>().ok()?))) {
            for rule in &slot.select {
                let site = sites.entry(origin(&rule.pattern)).or_default();
                site.entry(id.clinic.clone()).or_default().insert(rule.clone());
            }
        }
        let (shared, own): (Vec<_>, Vec<_>) = sites.into_iter().partition(|(_, clinics)| clinics.len() > 1);
        Self {
            rules: own.into_iter().flat_map(|(_, clinics)| clinics.into_values().flatten()).collect(),
            shared: shared.into_iter().map(|(site, _)| site).collect(),
        }
    }
}

impl Written {
    fn tell(&self) -> String {
        let count = |count: usize, one: &str, many: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {many}") };
        let (sites, authorities) = (count(self.sites.len(), "site", "sites"), count(self.authorities, "authority", "authorities"));
        let mut lines = vec![format!("{} is for {}: {sites}, {authorities}.", self.file.display(), self.device)];
        lines.extend(self.left_out.iter().map(|site| format!("Left out, since several clinics of the device use it: {site}")));
        lines.join("\n")
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    fs::read(path).map(Zeroizing::new).map_err(|source| Failure::Read { path: path.to_owned(), source })
}

fn read_authorities(paths: &[PathBuf]) -> Result<Vec<Certificate>, Failure> {
    let mut found: Vec<Certificate> = Vec::new();
    for path in paths {
        let text = read(path)?;
        let unfit = |problem: String| Failure::Unfit { path: path.clone(), problem };
        let read = certificate::read_pem(&String::from_utf8_lossy(&text)).map_err(|error| unfit(error.problem))?;
        if let Some(other) = read.iter().find(|read| !read.is_authority) {
            return Err(unfit(format!("{} is not an authority", other.subject())));
        }
        found.extend(read);
    }
    found.sort_by_key(|authority| authority.fingerprint);
    found.dedup_by_key(|authority| authority.fingerprint);
    Ok(found)
}

fn read_pfx(path: &Path) -> Result<Pfx, Failure> {
    let bytes = read(path)?;
    if !pkcs12::is_bundle(&bytes) {
        return Err(Failure::Unfit { path: path.to_owned(), problem: "it is not a PKCS#12 file".into() });
    }
    Ok(Pfx { name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes })
}

/// Only its owner may read it: there may be a key in it.
fn keep(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tegata_api::v1::device::{SlotManifest, Source};

    use super::*;

    fn rule(pattern: &str, organization: &str) -> BrowserRule {
        BrowserRule {
            pattern: pattern.into(),
            issuer_common_name: "CA".into(),
            subject_organization: organization.into(),
            subject_common_name: None,
        }
    }

    fn slot(id: &str, store: &str, select: &[BrowserRule]) -> SlotManifest {
        SlotManifest {
            source: Source::Request,
            slot: id.into(),
            order: None,
            key: "ecdsa-p256".into(),
            label: "Karte".into(),
            stores: vec![store.into()],
            select: select.to_vec(),
            probe: None,
            replaces: vec![],
            backup: vec![],
            quorum: None,
        }
    }

    #[test]
    fn what_people_choose_between_is_left_to_them() {
        let slots = vec![
            slot("a/mac/karte", "browser", &[rule("https://shared.example.jp", "a"), rule("https://a.example.jp", "a")]),
            slot("b/mac@a/karte", "browser", &[rule("https://SHARED.example.jp:443", "b"), rule("https://b.example.jp", "b")]),
            slot("a/mac/files", "file", &[rule("https://files.example.jp", "a")]),
        ];
        let chosen = Chosen::of(&Manifest { slots, ..Default::default() });
        assert_eq!(chosen.rules, [rule("https://a.example.jp", "a"), rule("https://b.example.jp", "b")].into());
        assert_eq!(chosen.shared, ["https://shared.example.jp".to_owned()].into());
    }

    #[test]
    fn files_that_are_something_else_are_named_and_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "notes").unwrap();
        let said = [read_authorities(std::slice::from_ref(&path)).err(), read_pfx(&path).err()].map(|failure| failure.unwrap().to_string());
        assert!(said.iter().all(|said| said.contains("notes.txt")), "{said:?}");
        assert!(said[1].ends_with("it is not a PKCS#12 file"), "{said:?}");
    }

    #[test]
    fn what_is_no_authority_is_not_made_one() {
        let folder = tempfile::tempdir().unwrap();
        let made = std::process::Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out leaf.pem -days 9 -subj /CN=web".split(' '))
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-addext", "extendedKeyUsage=serverAuth"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let refused = read_authorities(&[folder.path().join("leaf.pem")]).unwrap_err().to_string();
        assert!(refused.contains("CN=web is not an authority"), "{refused}");
    }

    #[test]
    fn only_its_owner_may_read_what_was_written() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mobileconfig");
        for text in ["before", "after"] {
            keep(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
