//! A vendor's file with the real programs: OpenSSL is the vendor, a person imports, the agent fetches, installs and proves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use tegata_api::v1::fleet::{Certificate, Slot};
use tegata_api::v1::vendor::ImportAnswer;
use tegata_tests::process::{run_well, wait_for};
use tegata_tests::{Agent, World};

const PATIENCE: Duration = Duration::from_secs(60);
const SLOT: &str = "sakura/uketsuke-1/weborca";
pub const FILE: &str = "004431_JP_u00000126_client1210.p12";
pub const POLICY: &str = "apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: orca }
spec: { type: vendor }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: weborca }
spec:
  issuer: orca
  key: { origin: vendor }
  expect: { issuer: { CN: Intermediate CA }, validity: 3y, subject: vendor-tenant, fileName: '{digits}_JP_{tenant}_client{n}.p12' }
  renewal: { window: 90d, when: early }
  install: { stores: [file] }
  dependants: [{ name: linkage-tool, confirm: operator }]
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura }
spec:
  displayName: さくら内科
  facilitySlug: sakura
  vendorTenant: u00000126
  devices: [{ name: uketsuke-1, platform: linux }]
  certificates: [{ profile: weborca }]
  installers: { remove: after-proof, folders: [downloads] }
";

#[test]
fn a_vendors_file_is_imported_installed_proven_and_its_copies_are_removed() -> Result<()> {
    let (world, mut agent) = set_up()?;
    let vendor = Vendor::new(&world.path("vendor"))?;
    let file = vendor.file(FILE, "/CN=client1210/O=u00000126", "秘密")?;
    let downloads = agent.home().join("Downloads");
    fs::create_dir_all(&downloads)?;
    fs::copy(&file, downloads.join(FILE))?;

    let refused = import(&world, &file, "wrong")?;
    ensure!(refused.status.code() == Some(8), "one try, and nothing is sent: {refused:?}");
    let other = vendor.file("004431_JP_u00000999_client1.p12", "/CN=client1/O=u00000999", "秘密")?;
    let refused = import(&world, &other, "秘密")?;
    ensure!(refused.status.code() == Some(8) && String::from_utf8_lossy(&refused.stderr).contains("u00000126"), "{refused:?}");
    ensure!(certificates(&world)?.is_empty(), "nothing of either is kept");

    let imported = import(&world, &file, "秘密")?;
    ensure!(imported.status.success(), "{imported:?}");
    let answer: ImportAnswer = serde_json::from_slice(&imported.stdout)?;
    wait_for(PATIENCE, "the certificate to be proven", || Ok(state(&world)?.filter(|state| state == "dependants-open").map(drop)))?;
    ensure!(agent.stored_certificates()?.len() == 1, "{:?}", agent.places());
    world.cli_well(["confirm", &answer.serial, "--dependant", "linkage-tool"])?;
    ensure!(state(&world)?.as_deref() == Some("ready"));
    wait_for(PATIENCE, "the copy in the downloads to be removed", || Ok((!downloads.join(FILE).exists()).then_some(())))?;
    ensure!(agent.process().runs(), "the agent runs on");
    Ok(())
}

fn set_up() -> Result<(World, Agent)> {
    let world = World::start()?;
    world.apply(POLICY)?;
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    agent.start()?;
    wait_for(PATIENCE, "somebody to be asked for the file", || Ok(state(&world)?.filter(|state| state == "ordered").map(drop)))?;
    Ok((world, agent))
}

pub fn import(world: &World, file: &Path, password: &str) -> Result<std::process::Output> {
    let asked = world.path("password");
    fs::write(&asked, format!("{password}\n"))?;
    let (file, asked) = (file.display().to_string(), asked.display().to_string());
    world.cli(["certificate", "import", &file, "--slot", SLOT, "--password-file", &asked, "-o", "json"])
}

pub fn state(world: &World) -> Result<Option<String>> {
    let slots: Vec<Slot> = world.ask(["get", "slots"])?;
    Ok(slots.into_iter().find(|slot| slot.name == SLOT).map(|slot| slot.state))
}

fn certificates(world: &World) -> Result<Vec<Certificate>> {
    world.ask(["get", "certificates"])
}

/// A vendor as vendors are: it makes the key, and delivers a PKCS#12 file and a password.
pub struct Vendor {
    folder: PathBuf,
}

impl Vendor {
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let vendor = Self { folder: folder.to_owned() };
        vendor.openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3650 -subj", &["/CN=Intermediate CA"])?;
        Ok(vendor)
    }

    pub fn file(&self, name: &str, subject: &str, password: &str) -> Result<PathBuf> {
        self.file_as(name, subject, password, &[])
    }

    /// As installers of vendors still make them: 3DES and SHA-1, where otherwise there is PBES2 with AES-256.
    pub fn old_file(&self, name: &str, subject: &str, password: &str) -> Result<PathBuf> {
        self.file_as(name, subject, password, &["-keypbe", "PBE-SHA1-3DES", "-certpbe", "PBE-SHA1-3DES", "-macalg", "sha1"])
    }

    fn file_as(&self, name: &str, subject: &str, password: &str, how: &[&str]) -> Result<PathBuf> {
        self.openssl("req -newkey rsa:2048 -nodes -keyout client.key -out client.csr -subj", &[subject])?;
        self.openssl("x509 -req -in client.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1095 -out client.pem", &[])?;
        let file = self.folder.join(name);
        let (out, pass) = (file.display().to_string(), format!("pass:{password}"));
        self.openssl("pkcs12 -export -inkey client.key -in client.pem -certfile ca.pem -out", &[&[&out, "-passout", &pass], how].concat())?;
        Ok(file)
    }

    /// The key and the certificate of the last file once more, in one that leaves the certificate open.
    pub fn open_copy(&self, name: &str, password: &str) -> Result<PathBuf> {
        let file = self.folder.join(name);
        let (out, pass) = (file.display().to_string(), format!("pass:{password}"));
        let open = ["-certpbe", "NONE", "-passout", &pass];
        self.openssl("pkcs12 -export -inkey client.key -in client.pem -certfile ca.pem -out", &[&[&*out], &open[..]].concat())?;
        Ok(file)
    }

    fn openssl(&self, command: &str, more: &[&str]) -> Result<String> {
        let place = |word: &str| {
            let is_file = ["ca.", "client."].iter().any(|start| word.starts_with(start));
            if is_file { self.folder.join(word).display().to_string() } else { word.to_owned() }
        };
        let arguments: Vec<String> = command.split(' ').map(place).chain(more.iter().map(|word| (*word).to_owned())).collect();
        run_well(Path::new("openssl"), arguments)
    }
}
