//! Whom a run believes.

use anyhow::{Result, ensure};
use tegata_tests::process::run_well;

use super::*;

const COPY: &str = "    - { name: file, copy: { from: note.txt, to: \"{{ facts.home }}/note.txt\" } }\n";

fn with_note(field: &Field) -> Result<PathBuf> {
    field.world.write("note.txt", "受付1番\n")?;
    field.write("", COPY)
}

#[test]
fn a_wrong_host_key_stops_everything_before_anything_is_sent() -> Result<()> {
    let field = Field::new(1)?;
    let other = Sshd::start(&field.world.path("other"))?;
    field.apply(&format!(", hostKeys: [\"{}\"]", other.host_key("ed25519")?), "")?;
    let told = field.playbook("run", &with_note(&field)?, &[])?;
    told.is(9, &["failed wrong-host-key"])?;
    let log = field.sshd.log()?;
    ensure!(log.contains("Connection from") && !log.contains("publickey"), "nobody tried to sign in: {log}");
    ensure!(files(&field.sshd.home(0)).is_empty());
    Ok(())
}

#[test]
fn an_unknown_key_is_believed_once_within_the_window_and_a_changed_one_never() -> Result<()> {
    let mut field = Field::new(1)?;
    let playbook = with_note(&field)?;
    field.apply("", "")?;
    field.playbook("run", &playbook, &[])?.is(9, &["failed unknown-host-key"])?;
    field.apply("", ", firstUse: { until: \"2026-01-01T00:00:00+09:00\" }")?;
    field.playbook("run", &playbook, &[])?.is(9, &["failed unknown-host-key"])?;
    ensure!(!field.sshd.log()?.contains("publickey"));

    // A certificate that nobody asks for is not what is believed, but the key.
    let (authority, _) = authority(&field, "ca")?;
    field.sshd.certify(&authority, "ed25519", &RIGHT)?;
    field.apply("", ", firstUse: { until: \"2126-01-01T00:00:00+09:00\" }")?;
    let told = field.playbook("run", &playbook, &[])?;
    told.is(0, &["changed"])?;
    let record = field.world.audit()?.into_iter().find(|record| record.action == "host-key.trust").context("it is not on record")?;
    let shown = run(Path::new("ssh-keygen"), ["-lf", &field.world.path("sshd/host_ed25519.pub").display().to_string()])?;
    let shown = String::from_utf8(shown.stdout)?;
    let fingerprint = record.details["fingerprint"].as_str().unwrap_or_default();
    ensure!(shown.contains(fingerprint) && told.stderr.contains(fingerprint), "{fingerprint} is not {shown}{}", told.stderr);
    ensure!(record.object == "host-keys/sakura/pc-1" && record.actor.starts_with("person:"));

    // The window is closed again, and the key still believed.
    field.apply("", "")?;
    field.playbook("run", &playbook, &[])?.is(0, &["unchanged"])?;

    field.sshd.change_host_key()?;
    let signed_in = field.sshd.log()?.matches("Accepted publickey").count();
    field.apply("", ", firstUse: { until: \"2126-01-01T00:00:00+09:00\" }")?;
    field.playbook("run", &playbook, &[])?.is(9, &["failed wrong-host-key"])?;
    ensure!(field.sshd.log()?.matches("Accepted publickey").count() == signed_in, "nobody signs in to an impostor");

    field.apply(&field.pinned(), "")?;
    field.playbook("run", &playbook, &[])?.is(0, &["unchanged"])
}

#[test]
fn a_machine_behind_another_is_reached_through_it_and_both_are_known_by_their_keys() -> Result<()> {
    let field = Field::new(1)?;
    let playbook = with_note(&field)?;
    let mut gate = Sshd::start(&field.world.path("gate"))?;
    let jump = |key: &str| format!(", jump: {{ address: 127.0.0.1, port: {}, user: {}, hostKeys: [\"{key}\"] }}", gate.port(), field.user);
    let gate_key = gate.key().display().to_string();
    let through = ["--jump-key", gate_key.as_str()];

    field.apply(&field.pinned(), &jump(&field.sshd.host_key("ed25519")?))?;
    field.playbook("run", &playbook, &through)?.is(9, &["failed wrong-host-key"])?;
    // Once by the test, to see that it listens.
    ensure!(field.sshd.log()?.matches("Connection from").count() == 1, "the machine behind was spoken to");

    field.apply(&field.pinned(), &jump(&gate.host_key("ed25519")?))?;
    field.world.write("note.txt", &"a long note\n".repeat(200_000))?;
    field.playbook("run", &playbook, &through)?.is(0, &["changed"])?;
    ensure!(fs::metadata(field.sshd.home(0).join("note.txt"))?.len() == 2_400_000);
    field.playbook("run", &playbook, &through)?.is(0, &["unchanged"])?;
    ensure!(gate.log()?.contains("Accepted publickey"));

    // The machine before has no key pinned; the clinic's authority speaks for it, and not for the one behind, which has.
    let (ours, pinned) = authority(&field, "ca")?;
    let jump = format!(", hostAuthorities: [\"{pinned}\"], jump: {{ address: 127.0.0.1, port: {}, user: {} }}", gate.port(), field.user);
    field.apply(&field.pinned(), &jump)?;
    field.playbook("run", &playbook, &through)?.is(9, &["failed wrong-host-key"])?;
    gate.certify(&ours, "ed25519", &RIGHT)?;
    field.playbook("run", &playbook, &through)?.is(0, &["unchanged"])
}

/// What `ssh-keygen` is told for a host certificate that is right here.
const RIGHT: [&str; 5] = ["-h", "-n", "127.0.0.1", "-V", "-5m:+1h"];

/// Makes an authority that signs host keys; gives its key's file, and how policy names it.
fn authority(field: &Field, name: &str) -> Result<(PathBuf, String)> {
    let file = field.world.path(name);
    run_well(Path::new("ssh-keygen"), ["-q", "-t", "ed25519", "-N", "", "-f", &file.display().to_string()])?;
    let text = fs::read_to_string(file.with_extension("pub"))?;
    Ok((file, text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")))
}

#[test]
fn a_host_is_believed_by_a_certificate_of_an_authority_that_policy_pins_and_by_nothing_less() -> Result<()> {
    let mut field = Field::new(1)?;
    let playbook = with_note(&field)?;
    let (ours, pinned) = authority(&field, "ca")?;
    let (other, _) = authority(&field, "other-ca")?;
    // What was believed before counts less, and so does a window.
    let ssh = format!(", hostAuthorities: [\"{pinned}\"], firstUse: {{ until: \"2126-01-01T00:00:00+09:00\" }}");
    field.apply("", &ssh)?;

    let refused = |field: &Field, why: &str| {
        let told = field.playbook("run", &playbook, &[])?;
        told.is(9, &["failed wrong-host-key"])?;
        ensure!(told.stderr.contains(why), "{}", told.stderr);
        ensure!(!field.sshd.log()?.contains("publickey"), "somebody tried to sign in ({why})");
        Ok(())
    };
    refused(&field, "without a certificate")?;
    let wrong: [(&Path, &[&str], &str); 7] = [
        (&other, &RIGHT, "by another authority"),
        (&ours, &["-h", "-n", "127.0.0.1", "-V", "20250101:20260101"], "no longer valid"),
        (&ours, &["-h", "-n", "127.0.0.1", "-V", "+1d:+2d"], "not valid yet"),
        (&ours, &["-h", "-n", "127.0.0.2"], "is for [\"127.0.0.2\"], and not for \"127.0.0.1\""),
        (&ours, &["-h"], "is for [], and not for"),
        (&ours, &["-n", "127.0.0.1"], "for people who sign in"),
        (&ours, &["-h", "-n", "127.0.0.1", "-O", "critical:place@example.jp=tokyo"], "demands \"place@example.jp\""),
    ];
    for (authority, arguments, why) in wrong {
        field.sshd.certify(authority, "ed25519", arguments)?;
        refused(&field, why)?;
    }
    ensure!(files(&field.sshd.home(0)).is_empty());

    // An impostor has the certificate, and not its key.
    field.sshd.certify(&ours, "ed25519", &RIGHT)?;
    field.sshd.change_host_key()?;
    refused(&field, "without a certificate")?;

    // The authority has signed the key that a machine has which was set up anew.
    field.sshd.certify(&ours, "ed25519", &RIGHT)?;
    field.playbook("run", &playbook, &[])?.is(0, &["changed"])?;
    for kind in ["rsa", "ecdsa"] {
        field.sshd.certify(&ours, kind, &RIGHT)?;
        field.playbook("run", &playbook, &[])?.is(0, &["unchanged"])?;
    }
    let keys = field.world.audit()?.iter().filter(|record| record.action == "host-key.trust").count();
    ensure!(keys == 0, "a key was believed because it was seen");
    Ok(())
}
