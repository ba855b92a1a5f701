//! A certificate renews itself at another installation: what that one's portal has issued, this one's agent holds for monsiaj.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tegata_api::v1::fleet::Slot;
use tegata_api::v1::vendor::ImportAnswer;
use tegata_tests::process::{run, run_well, wait_for};
use tegata_tests::smtp::Sink;
use tegata_tests::world::PATIENCE;
use tegata_tests::{Agent, World};

use super::portal;

const SLOT: &str = "sakura/uketsuke-1/orcamo-monsiaj";
/// How long after its issue a certificate of this vendor does not renew itself: no window can be closer to the whole life.
const TOO_EARLY: Duration = Duration::from_secs(60);
const VENDOR: &str = r#"apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: orca-ca }
spec:
  type: ca
  commonName: ORCA Client CA
  portal: { validity: 2d, renewWithin: 2879min, organization: u00000126, flavor: legacy }
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura-naika }
spec:
  displayName: さくら内科クリニック
  facilitySlug: sakura
  institutionNumber: "1312345678"
  portal: { issuer: orca-ca }
  accounts: [{ name: tanaka, mail: tanaka@example.jp }]
"#;
const PROPERTIES: &str = "# monsiaj\nmonsiaj.config.0.host=training.example.jp\nmonsiaj.config.1.host=auth.example.jp\n";

fn policy(vendor: &str) -> String {
    format!(
        "apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: {{ name: orcamo }}
spec: {{ type: orcamo, url: '{vendor}' }}
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: {{ name: orcamo-monsiaj }}
spec:
  issuer: orcamo
  key: {{ origin: vendor }}
  expect: {{ validity: 2d, validityTolerance: 1h, subject: vendor-tenant, sharing: one-device }}
  renewal: {{ window: 1d, when: early }}
  install: {{ stores: [monsiaj] }}
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: {{ name: sakura }}
spec:
  displayName: さくら内科
  facilitySlug: sakura
  vendorTenant: u00000126
  devices: [{{ name: uketsuke-1, platform: linux }}]
  certificates: [{{ profile: orcamo-monsiaj }}]
"
    )
}

#[test]
fn a_certificate_of_tegatas_own_portal_renews_itself_as_monsiajs_do() -> Result<()> {
    let (vendor, sink) = portal::with_mail()?;
    vendor.apply(VENDOR)?;
    let staff = Staff::sign_in(&vendor, &sink)?;
    let (file, password) = staff.first_certificate()?;
    let issued = Instant::now();

    let clinic = World::start()?;
    clinic.apply(&policy(&vendor.address()))?;
    let roots = clinic.write("vendor.pem", &vendor.access()?.authority)?;
    let mut agent = clinic.enroll("sakura/uketsuke-1", &["--keystore", "file", "--probe-roots", &roots])?;
    let monsiaj = Monsiaj::of(&agent)?;
    agent.start()?;
    wait_until(&clinic, "ordered")?;
    let first = import(&clinic, &file, &password)?;
    wait_until(&clinic, "ready")?;
    monsiaj.is_in_order()?;
    let (old, _) = monsiaj.used()?;

    std::thread::sleep((TOO_EARLY + Duration::from_secs(1)).saturating_sub(issued.elapsed()));
    clinic.cli_well(["renew", "certificate", &first])?;
    wait_for(PATIENCE, "monsiaj to use another file", || Ok((monsiaj.used()?.0 != old).then_some(())))?;
    wait_until(&clinic, "ready")?;
    monsiaj.is_in_order()?;
    ensure!(!old.exists() && !old.with_extension("pass").exists(), "the old one is gone with its password");
    let list = staff.list()?;
    ensure!(list.matches("<tr class=\"followed\"").count() == 1 && list.matches("<tr class=\"valid\"").count() == 1, "{list}");
    ensure!(agent.process().runs(), "the agent runs on");
    Ok(())
}

fn wait_until(clinic: &World, wanted: &str) -> Result<()> {
    let state = || -> Result<Option<String>> {
        let slots: Vec<Slot> = clinic.ask(["get", "slots"])?;
        Ok(slots.into_iter().find(|slot| slot.name == SLOT).map(|slot| slot.state))
    };
    let waited = wait_for(PATIENCE, wanted, || Ok(state()?.filter(|state| state == wanted).map(drop)));
    waited.with_context(|| clinic.cli_well(["describe", "device", "sakura/uketsuke-1"]).unwrap_or_else(|error| format!("{error:#}")))
}

/// Brings a file; gives the serial under which it is known.
fn import(clinic: &World, file: &Path, password: &str) -> Result<String> {
    let asked = clinic.write("password", &format!("{password}\n"))?;
    let answer: ImportAnswer =
        clinic.ask(["certificate", "import", &file.display().to_string(), "--slot", SLOT, "--password-file", &asked])?;
    Ok(answer.serial)
}

/// monsiaj's folder on a PC, with settings for two servers.
struct Monsiaj(PathBuf);

impl Monsiaj {
    fn of(agent: &Agent) -> Result<Self> {
        let folder = agent.home().join(".monsiaj");
        fs::create_dir_all(folder.join("certificates"))?;
        let ours = format!("monsiaj.config.1.clientCertificateFile={}/certificates/gone.p12\n", folder.display());
        fs::write(folder.join("monsiaj.jsonrpc.properties"), format!("{PROPERTIES}{ours}"))?;
        Ok(Self(folder))
    }

    /// The file that its settings name, and the password.
    fn used(&self) -> Result<(PathBuf, String)> {
        let text = fs::read_to_string(self.0.join("monsiaj.jsonrpc.properties"))?;
        ensure!(text.starts_with(PROPERTIES) && !text.contains("config.0.client"), "the other server's settings are left alone: {text}");
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("monsiaj.config.1.{name}="))).map(str::to_owned);
        let file = value("clientCertificateFile").context("a file is named")?;
        Ok((file.into(), value("clientCertificatePassword").unwrap_or_default()))
    }

    /// What is used is the only file that is there, opens with its password, and is this client's.
    fn is_in_order(&self) -> Result<()> {
        let (file, password) = self.used()?;
        let there = fs::read_dir(self.0.join("certificates"))?.map(|entry| Ok(entry?.path())).collect::<Result<BTreeSet<_>>>()?;
        ensure!(there == BTreeSet::from([file.clone(), file.with_extension("pass")]), "{there:?}");
        let arguments = ["pkcs12", "-in", &file.display().to_string(), "-passin", &format!("pass:{password}"), "-nodes"].map(str::to_owned);
        // OpenSSL prints the name that people see as it is in the file, in UTF-16.
        let opened = run(Path::new("openssl"), arguments)?;
        let text = String::from_utf8_lossy(&opened.stdout);
        ensure!(opened.status.success() && text.contains("BEGIN PRIVATE KEY") && text.contains("CN = client1"), "{opened:?}");
        Ok(())
    }
}

/// Somebody at the vendor's portal, who has signed in.
pub(super) struct Staff<'a> {
    vendor: &'a World,
    root: String,
}

impl<'a> Staff<'a> {
    pub fn sign_in(vendor: &'a World, sink: &Sink) -> Result<Self> {
        let staff = Self { vendor, root: format!("{}/portal/aozora/sakura-naika", vendor.address()) };
        fs::write(vendor.path("vendor.pem"), vendor.access()?.authority)?;
        let sent = staff.curl("apply", &["--data-raw", "mail=tanaka%40example.jp&offset=3", "--write-out", "%{redirect_url}"])?;
        let handle = sent.rsplit_once("handle=").context("a code is on its way")?.1;
        let letter = wait_for(PATIENCE, "the code to be mailed", || Ok(sink.letters()?.into_iter().next()))?;
        staff.curl("code", &["--data-raw", &format!("handle={handle}&digits={}", portal::digits(&letter)?)])?;
        Ok(staff)
    }

    /// A file, and its password.
    pub fn first_certificate(&self) -> Result<(PathBuf, String)> {
        let form = self.curl("new", &[])?;
        let token = after(&form, "name=\"token\" value=\"")?;
        let page =
            self.curl("new", &["--data-urlencode", &format!("token={token}"), "--data-raw", "memo=1&label="])?.replace("&#x2f;", "/");
        let (password, serial) = (after(&page, "id=\"password\">")?, after(&page, "/certificates/")?);
        let file = self.vendor.path("client1.p12");
        self.curl(&format!("certificates/{serial}"), &["--output", &file.display().to_string()])?;
        Ok((file, password.to_owned()))
    }

    fn list(&self) -> Result<String> {
        self.curl("certificates", &[])
    }

    fn curl(&self, page: &str, more: &[&str]) -> Result<String> {
        let [authority, cookies] = ["vendor.pem", "cookies"].map(|name| self.vendor.path(name).display().to_string());
        let url = format!("{}/{page}", self.root);
        let first = ["--silent", "--show-error", "--fail", "--http1.1", "--cacert", &authority, "-b", &cookies, "-c", &cookies];
        let browser = ["-H", "Accept-Language: ja", "-H", "Sec-Fetch-Site: same-origin", &url];
        run_well(Path::new("curl"), first.iter().chain(&browser).chain(more))
    }
}

/// What stands after a text in a page, up to a quote or a tag.
fn after<'a>(page: &'a str, text: &str) -> Result<&'a str> {
    let rest = page.split_once(text).with_context(|| format!("no {text:?} in {page}"))?.1;
    Ok(rest.split(['"', '<']).next().unwrap_or_default())
}
