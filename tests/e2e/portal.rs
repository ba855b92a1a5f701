//! Staff without an agent get a certificate from the portal, in a real Chromium, with real mail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tegata_tests::World;
use tegata_tests::driver::{self, Driver};
use tegata_tests::process::{run_well, wait_for};
use tegata_tests::smtp::Sink;
use tegata_tests::world::PATIENCE;

const POLICY: &str = r#"
apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: { name: aozora-ca, namespace: aozora }
spec:
  type: ca
  commonName: Aozora Clinic CA
  portal:
    validity: 3y
    organization: u00000126
    friendlyName: "CLINICS-{label}-{commonName}"
    fileName: "{number}_JP_{organization}_client{n}.p12"
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura-naika, namespace: aozora }
spec:
  displayName: さくら内科クリニック
  facilitySlug: sakura
  institutionNumber: "1312345678"
  portal: { issuer: aozora-ca }
  accounts: [{ name: tanaka, mail: tanaka@example.jp }]
  devices:
    - { name: uketsuke-1, platform: windows, memo: 受付1番 (1階) }
    - { name: incho-mac, platform: macos, memo: 第1診察室 }
"#;

#[test]
fn staff_get_a_certificate_from_their_browser() -> Result<()> {
    let (world, sink) = set_up()?;
    let root = format!("{}/portal/aozora/sakura-naika", world.address());
    let home = world.path("staff");
    let mut browser = Driver::start(&home, &world.access()?.authority)?;

    sign_in(&mut browser, &sink, &root)?;
    let (file, password) = first_certificate(&mut browser, &world)?;
    opens(&file, &password, &home)?;
    the_list(&mut browser, &root)?;

    // The certificate is in the browser now. The portal does not ask for it, and no dialog comes up.
    drop(browser);
    fs::remove_file(home.join("to-browser"))?;
    fs::remove_file(home.join("from-browser"))?;
    let mut browser = Driver::start(&home, &world.access()?.authority)?;
    browser.open(&root)?;
    // Whether the browser has kept the choice of language, and the session, depends on the moment at which it was ended.
    let title = browser.text("h1")?;
    ensure!(title.contains("証明書") || title.contains("ertificates"), "{}", browser.text("body")?);
    Ok(())
}

fn set_up() -> Result<(World, Sink)> {
    let (world, sink) = with_mail()?;
    world.apply(POLICY)?;
    Ok((world, sink))
}

/// A server that hands its letters in somewhere.
pub(super) fn with_mail() -> Result<(World, Sink)> {
    let mut world = World::start()?;
    let sink = Sink::start(&world.path("mail"))?;
    fs::write(world.path("smtp-password"), Sink::PASSWORD)?;
    let (password, authority) = (world.path("smtp-password").display().to_string(), sink.authority().display().to_string());
    let from = "Tegata <tegata@example.jp>";
    world.restart_server_with(&[
        "--smtp",
        &sink.url(),
        "--mail-from",
        from,
        "--smtp-password-file",
        &password,
        "--smtp-authority",
        &authority,
    ])?;
    Ok((world, sink))
}

fn sign_in(browser: &mut Driver, sink: &Sink, root: &str) -> Result<()> {
    browser.open(root)?;
    browser.wait("document.getElementById('clock').classList.contains('ok')")?;
    ensure!(browser.text(".checks")?.contains("対応しています"), "{}", browser.text(".checks")?);
    pictures(browser, "portal-1-apply")?;
    browser.fill("#mail", "tanaka@example.jp")?;
    browser.press("form .big")?;
    browser.wait("document.querySelector('.clock').textContent !== '10:00'")?;
    ensure!(browser.text(".clock")?.starts_with("9:"), "the countdown runs: {}", browser.text(".clock")?);
    pictures(browser, "portal-2-code")?;
    let digits = wait_for(PATIENCE, "the code to be mailed", || sink.letters()?.first().map(|letter| digits(letter)).transpose())?;
    let wrong = if digits == "111111" { "222222" } else { "111111" };
    browser.fill("#digits", wrong)?;
    browser.press("form .big")?;
    ensure!(browser.text(".note")?.contains("あと 4 回"), "{}", browser.text(".note")?);
    pictures(browser, "portal-3-wrong-code")?;
    browser.fill("#digits", &digits)?;
    browser.press("form .big")?;
    ensure!(browser.text(".empty")?.contains("まだありません"), "{}", browser.text("main")?);
    Ok(())
}

/// Applies with a facility label in full-width letters first, as people do.
fn first_certificate(browser: &mut Driver, world: &World) -> Result<(PathBuf, String)> {
    browser.press(".tools .button")?;
    browser.fill("#memo", "受付1番 (1階)")?;
    browser.touch("details.other summary")?;
    browser.fill("#label", "ＥＡＳＴ２")?;
    browser.press("form .big")?;
    ensure!(browser.text(".note")?.contains("half-width letters and digits only"), "{}", browser.text(".note")?);
    pictures(browser, "portal-4-label-refused")?;
    browser.fill("#label", "EAST2")?;
    browser.press("form .big")?;
    let password = browser.text("#password")?;
    ensure!(password.len() == 24, "{}", browser.text("main")?);
    pictures(browser, "portal-5-issued")?;
    browser.touch(".steps .big")?;
    let file = browser.downloads().join("1312345678_JP_u00000126_client1.p12");
    wait_for(PATIENCE, "the file to be downloaded", || Ok(file.is_file().then_some(())))?;
    let log = fs::read_to_string(world.path("server.log"))?;
    ensure!(!log.contains(&password) && !log.contains("handle="), "nothing secret is logged");
    Ok((file, password))
}

/// Three programs that read PKCS#12 files each in their own way.
fn opens(file: &Path, password: &str, home: &Path) -> Result<()> {
    let path = file.display().to_string();
    let text = run_well(Path::new("openssl"), ["pkcs12", "-in", &path, "-passin", &format!("pass:{password}"), "-nodes"])?;
    ensure!(text.contains("CLINICS-EAST2-client1") && text.contains("u00000126"), "{text}");
    let database = driver::database(home)?;
    run_well(Path::new("pk12util"), ["-i", &path, "-d", &database, "-W", password, "-K", ""])?;
    if Command::new("keytool").arg("-help").output().is_ok() {
        let listed = run_well(Path::new("keytool"), ["-list", "-keystore", &path, "-storetype", "PKCS12", "-storepass", password])?;
        ensure!(listed.contains("PrivateKeyEntry"), "{listed}");
    }
    Ok(())
}

fn the_list(browser: &mut Driver, root: &str) -> Result<()> {
    for memo in ["第1診察室", "院長 MacBook (持ち出し用)"] {
        browser.open(&format!("{root}/new"))?;
        browser.fill("#memo", memo)?;
        browser.press("form .big")?;
        ensure!(!browser.text("#password")?.is_empty(), "{}", browser.text("main")?);
    }
    browser.open(&format!("{root}/certificates"))?;
    browser.press("tbody tr:nth-child(2) .danger")?;
    pictures(browser, "portal-6-revoke")?;
    browser.press(".button.danger")?;
    browser.press("tbody tr:nth-child(3) form[action$=renew] button")?;
    ensure!(browser.text("h1")?.contains("発行しました"), "{}", browser.text("main")?);
    browser.open(&format!("{root}/certificates"))?;
    browser.touch("tbody tr:nth-child(1) summary")?;
    browser.fill("tbody tr:nth-child(1) input[name=remarks]", "2027年3月に PC を入れ替え")?;
    browser.press("tbody tr:nth-child(1) details button")?;
    let list = browser.text("table")?;
    for part in ["client1", "u00000126", "更新済み", "失効", "EAST2", "2027年3月に PC を入れ替え", "院長 MacBook"] {
        ensure!(list.contains(part), "{part}: {list}");
    }
    pictures(browser, "portal-7-list")?;
    browser.open(&format!("{root}/certificates?lang=en"))?;
    pictures(browser, "portal-8-list-english")?;
    // The label that was refused and the wrong code were answered with an error status, as they should be; nothing else was amiss.
    let complaints: Vec<_> = browser.complaints().into_iter().filter(|one| !one.contains("status of 4")).collect();
    ensure!(complaints.is_empty(), "{complaints:#?}");
    Ok(())
}

/// The six digits of a letter.
pub(super) fn digits(letter: &str) -> Result<String> {
    let script =
        "import sys, email, email.policy\nprint(email.message_from_string(sys.argv[1], policy=email.policy.default).get_content())";
    let text = run_well(Path::new("python3"), ["-c", script, letter])?;
    let (_, rest) = text.split_once("Your code: ").with_context(|| format!("no code in {text}"))?;
    Ok(rest.chars().take(6).collect())
}

/// A picture on a desktop and one on a phone, for people to look at. Nothing may be wider than the window.
fn pictures(browser: &mut Driver, name: &str) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/artefacts");
    fs::create_dir_all(&folder)?;
    for (size, width, height, phone) in [("desktop", 1180, 760, false), ("phone", 390, 760, true)] {
        browser.size(width, height, phone)?;
        let wide = browser.ask("document.documentElement.scrollWidth")?;
        browser.picture(&folder.canonicalize()?.join(format!("{name}-{size}.png")))?;
        ensure!(wide.as_u64() <= Some(u64::from(width)), "{name} is {wide} wide on a {size} of {width}");
    }
    browser.size(1180, 760, false)
}
