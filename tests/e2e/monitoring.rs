//! What operators read: a real Prometheus scrapes a server in which something is wrong, and says so by the rules that we ship.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tegata_api::v1::fleet::Slot;
use tegata_tests::World;
use tegata_tests::process::{free_port, run_well, wait_for};
use tegata_tests::prometheus::Prometheus;
use tegata_tests::world::PATIENCE;

/// Certificates for six days, so that they expire within seven; and a PC that nobody enrols.
const POLICY: &str = "apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: aozora-ca }
spec: { type: ca, commonName: Aozora Clinic CA }
---
apiVersion: tegata.dev/v1alpha1
kind: CertificateProfile
metadata: { name: karte }
spec:
  issuer: aozora-ca
  key: { origin: device, algorithm: ecdsa-p256 }
  validity: 6d
  renewal: { window: 2d, when: early }
  install: { stores: [file] }
  browser: { select: [\"https://karte-{facilitySlug}.example.jp\"] }
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura }
spec:
  displayName: さくら内科
  facilitySlug: sakura
  devices:
    - { name: uketsuke-1, platform: linux }
    - { name: shinsatsu-1, platform: linux }
  certificates: [{ profile: karte }]
";

#[test]
fn prometheus_tells_what_is_wrong_and_nothing_else() -> Result<()> {
    let mut world = World::start()?;
    let figures = format!("127.0.0.1:{}", free_port()?);
    world.restart_server_with(&["--metrics-listen", &figures])?;
    world.apply(POLICY)?;
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    agent.start()?;
    wait_for(PATIENCE, "one certificate to work", || {
        let slots: Vec<Slot> = world.ask(["get", "slots"])?;
        Ok(slots.iter().any(|slot| slot.state == "ready").then_some(()))
    })?;
    let prometheus = Prometheus::start(&world.path("prometheus"), &configuration(&world, &figures)?)?;
    let told =
        |alerts: &[(&str, &str)]| -> BTreeSet<_> { alerts.iter().map(|(name, of)| ((*name).to_owned(), (*of).to_owned())).collect() };
    let expected = told(&[("TegataCertificateExpiresSoon", "sakura"), ("TegataSlotNotReady", "sakura")]);
    wait_for(PATIENCE, "the alerts", || Ok((prometheus.firing("clinic")? == expected).then_some(())))
        .with_context(|| format!("{:?}", prometheus.firing("clinic")))?;
    let text = scrape(&figures)?;
    ensure!(text.contains("tegata_slots{clinic=\"sakura\",reason=\"not-enrolled\",tenant=\"aozora\"} 1"), "{text}");
    ensure!(text.contains("tegata_agents{clinic=\"sakura\",state=\"online\",tenant=\"aozora\"} 1"), "{text}");
    ensure!(text.contains("tegata_certificates_issued_total{how=\"certificate.issue\",tenant=\"aozora\"} 1"), "{text}");
    ensure!(!text.contains(&world.access()?.token), "a token is in the figures");

    // What was wrong and is not any more ends, and what goes down is told.
    let mut other = world.enroll("sakura/shinsatsu-1", &["--keystore", "file"])?;
    other.start()?;
    let expected = told(&[("TegataCertificateExpiresSoon", "sakura")]);
    wait_for(PATIENCE, "an alert to end", || Ok((prometheus.firing("clinic")? == expected).then_some(())))
        .with_context(|| format!("{:?}\n{}", prometheus.firing("clinic"), scrape(&figures).unwrap_or_default()))?;
    world.server().kill();
    let expected = ("TegataDown".to_owned(), String::new());
    wait_for(PATIENCE, "the server to be missed", || Ok(prometheus.firing("clinic")?.contains(&expected).then_some(())))
}

#[test]
fn figures_rules_dashboard_and_their_description_name_the_same() -> Result<()> {
    let mut world = World::start()?;
    let figures = format!("127.0.0.1:{}", free_port()?);
    world.restart_server_with(&["--metrics-listen", &figures])?;
    world.apply(POLICY)?;
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    agent.start()?;
    let serial = wait_for(PATIENCE, "a certificate", || {
        let slots: Vec<Slot> = world.ask(["get", "slots"])?;
        Ok(slots.into_iter().find_map(|slot| slot.serial.filter(|_| slot.state == "ready")))
    })?;
    world.cli_well(["revoke", "certificate", &serial, "--note", "a test"])?;
    let text = scrape(&figures)?;
    promtool(&["check", "metrics"], Some(&text))?;
    promtool(&["check", "config", &example("prometheus.yml")?], None)?;
    promtool(&["test", "rules", &example("rules.test.yml")?], None)?;

    let real: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let readme = fs::read_to_string(example("README.md")?)?;
    let told: BTreeSet<&str> =
        readme.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).filter(|name| name.contains('_')).collect();
    ensure!(real == told, "only real: {:?}; only described: {:?}", real.difference(&told), told.difference(&real));
    for file in ["rules.yml", "dashboard.json"] {
        let named = fs::read_to_string(example(file)?)?;
        let unknown: Vec<&str> = names(&named).filter(|name| !real.contains(name)).collect();
        ensure!(unknown.is_empty(), "{file} names what is not there: {unknown:?}");
    }
    let rules = fs::read_to_string(example("rules.yml")?)?;
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        ensure!(readme.contains(&format!("| `{alert}` |")), "{alert} is not explained");
        ensure!(fs::read_to_string(example("rules.test.yml")?)?.contains(alert), "{alert} is not tested");
    }
    Ok(())
}

/// The shipped configuration and rules, but for the address, and in seconds instead of minutes.
fn configuration(world: &World, figures: &str) -> Result<PathBuf> {
    let configuration = fs::read_to_string(example("prometheus.yml")?)?;
    ensure!(configuration.contains("127.0.0.1:9464") && configuration.contains("30s"));
    world.write("prometheus.yml", &configuration.replace("127.0.0.1:9464", figures).replace("30s", "1s"))?;
    let rules = fs::read_to_string(example("rules.yml")?)?;
    let hasty: Vec<_> = rules.lines().map(|line| if line.trim().starts_with("for: ") { "        for: 2s" } else { line }).collect();
    world.write("rules.yml", &hasty.join("\n"))?;
    Ok(world.path("prometheus.yml"))
}

fn scrape(figures: &str) -> Result<String> {
    run_well(Path::new("curl"), ["--silent", "--show-error", "--fail", &format!("http://{figures}/metrics")])
}

fn example(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring").join(name);
    Ok(path.canonicalize().with_context(|| format!("no {name}"))?.display().to_string())
}

fn promtool(arguments: &[&str], input: Option<&str>) -> Result<()> {
    use std::io::Write;
    let mut child = Command::new("promtool").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("promtool reads nothing")?.write_all(input.unwrap_or_default().as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    ensure!(output.status.success(), "promtool {arguments:?}: {said}");
    Ok(())
}

/// Names of figures in an expression, without what a histogram adds to its own.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let ours = words.filter(|word| (word.starts_with("tegata_") || word.starts_with("http_server_")) && word.len() > "tegata_".len());
    ours.map(|word| ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word))
}
