//! What expires, who is told, and a webhook's key: asked with the real command line; and a server that hands mail in at a real mail server.

use std::fs;
use std::time::Duration;

use anyhow::{Result, ensure};
use tegata_api::v1::notice::{DeliveryState, Expiring, Notice, SecretAnswer};
use tegata_tests::policy::{Clinic, names};
use tegata_tests::process::wait_for;
use tegata_tests::smtp::Sink;
use tegata_tests::{Agent, World};

/// The notice comes a minute after the certificate: this is waited for.
const PATIENCE: Duration = Duration::from_secs(150);

#[test]
fn who_is_told_what_expires_is_told_once_even_if_the_server_is_killed() -> Result<()> {
    let mut world = World::start()?;
    let sink = Sink::start(&world.path("mail"))?;
    let password = world.write("password", &format!("{}\n", Sink::PASSWORD))?;
    let authority = sink.authority().display().to_string();
    let url = sink.url();
    let mailing =
        ["--smtp", &url, "--mail-from", "Tegata <tegata@example.jp>", "--smtp-password-file", &password, "--smtp-authority", &authority];
    world.server().kill();
    world.launch_server_with(&mailing)?;
    world.wait_for_server()?;
    let arguments = fs::read_to_string(format!("/proc/{}/cmdline", world.server().id()))?;
    ensure!(arguments.contains("--smtp") && !arguments.contains("合言葉"), "the password is in the arguments: {arguments}");

    let empty = world.cli(["get", "expiring"])?;
    ensure!(empty.status.success() && !empty.stdout.is_empty(), "an empty answer is no error, and no silence: {empty:?}");
    let clinic = Clinic { devices: &names("pc", 1), profiles: &["karte".into()] }.to_yaml();
    let clinic = clinic.replace("validity: 90d", "validity: 10min").replace("{ window: 30d, when: early }", "{ window: 1min, when: late }");
    let clinic = clinic.replace("  install:", "  notices: [9min]\n  install:");
    let told = "  facilitySlug: sakura\n  contacts: [incho@example.jp]\n  notify: { webhooks: [{ url: \"https://hooks.invalid/a\" }] }\n";
    world.apply(&clinic.replace("  facilitySlug: sakura\n", told))?;
    let _agent = enrolled(&world)?;

    let expiring: Vec<Expiring> = wait_for(PATIENCE, "a certificate", || {
        let rows: Vec<Expiring> = world.ask(["get", "expiring", "--within", "1h", "--clinic", "sakura"])?;
        Ok((!rows.is_empty()).then_some(rows))
    })?;
    ensure!(expiring[0].slot == "sakura/pc-1/karte", "{expiring:?}");
    let later: Vec<Expiring> = world.ask(["get", "expiring", "--within", "1min"])?;
    ensure!(later.is_empty(), "{later:?}");
    ensure!(world.cli(["get", "expiring", "--clinic", "nosuch"])?.status.code() == Some(6));
    ensure!(world.cli(["get", "slots", "--within", "1d"])?.status.code() == Some(2));

    let secret = ["webhook", "secret", "sakura", "https://hooks.invalid/a"];
    let answer: SecretAnswer = world.ask(secret)?;
    ensure!(answer.secret.starts_with("whsec_"));
    ensure!(world.cli(secret)?.status.code() == Some(1), "a key is shown once");
    let rotated: SecretAnswer = world.ask(secret.into_iter().chain(["--rotate"]))?;
    ensure!(rotated.generation == 2 && rotated.secret != answer.secret);

    // The mail server takes the letter, but the answer never arrives; then the power goes.
    sink.cut(true)?;
    wait_for(PATIENCE, "the letter", || Ok(sink.letters()?.first().map(|_| ())))?;
    world.server().kill();
    sink.cut(false)?;
    let before = sink.letters()?.len();
    world.launch_server_with(&mailing)?;
    world.wait_for_server()?;
    let notices: Vec<Notice> = wait_for(PATIENCE, "the letter to be taken", || {
        let notices: Vec<Notice> = world.ask(["get", "notices"])?;
        let mail = notices[0].deliveries.iter().find(|delivery| delivery.channel == "mail").map(|delivery| delivery.state);
        Ok((mail == Some(DeliveryState::Done)).then_some(notices))
    })?;
    ensure!(notices.len() == 1, "{notices:?}");
    let letters = sink.letters()?;
    ensure!(letters.len() == before + 1, "{} letters before, {} after", before, letters.len());
    let ids: Vec<_> = letters.iter().filter_map(|letter| letter.lines().find(|line| line.starts_with("Message-ID: "))).collect();
    ensure!(ids.iter().all(|id| id == &ids[0]), "one letter has one name: {ids:?}");
    let log = fs::read_to_string(world.path("server.log"))?;
    ensure!(!log.contains(Sink::PASSWORD) && !log.contains(&answer.secret), "a secret is in the log");
    Ok(())
}

#[test]
fn mail_settings_that_make_no_sense_are_told_at_once() -> Result<()> {
    let world = World::start()?;
    let state = world.path("other").display().to_string();
    let serve = |more: &[&str]| world.cli(["serve", "--state", &state, "--listen", "127.0.0.1:0"].into_iter().chain(more.iter().copied()));
    let alone = serve(&["--smtp", "smtp://mail.example.jp"])?;
    ensure!(alone.status.code() == Some(2), "{alone:?}");
    let odd = serve(&["--smtp", "http://mail.example.jp", "--mail-from", "tegata@example.jp"])?;
    let told = String::from_utf8(odd.stderr)?;
    ensure!(odd.status.code() == Some(1) && told.contains("expected smtp://"), "{told}");
    Ok(())
}

fn enrolled(world: &World) -> Result<Agent> {
    let mut agent = world.enroll("sakura/pc-1", &["--keystore", "file"])?;
    agent.start()?;
    Ok(agent)
}
