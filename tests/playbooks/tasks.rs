//! What tasks do on a host, and that they do it once.

use std::process::Command;

use anyhow::{Result, ensure};

use super::*;

/// A password that somebody might have.
const PASSWORD: &str = "it's \"$(id)\" `x` \\ 受付";

#[test]
fn a_certificate_goes_into_the_browser_s_store_and_its_copies_go() -> Result<()> {
    let field = Field::new(1)?;
    let p12 = field.world.path("client.p12");
    make_p12(&field, &p12)?;
    let downloads = field.sshd.home(0).join("Downloads");
    fs::create_dir_all(&downloads)?;
    fs::copy(&p12, downloads.join("client (1).p12"))?;
    fs::write(downloads.join("other.p12"), "another one")?;
    fs::copy(&p12, downloads.join("client.txt"))?;
    let (file, password) = (format!("file={}", p12.display()), field.world.write("password", &format!("{PASSWORD}\n"))?);
    let more = ["--var", &file, "--secret", &format!("password=file:{password}")];
    let playbook = library("agentless-certificate");

    field.playbook("check", &playbook, &more)?.is(10, &["would-change"])?;
    ensure!(files(&field.sshd.home(0)).len() == 3, "a check changes nothing");
    let told = field.playbook("run", &playbook, &more)?;
    told.is(0, &["changed"])?;
    ensure!(told.hosts[0].changed == 2, "{}", told.stderr);
    ensure!(files(&downloads) == ["client.txt", "other.p12"], "{:?}", files(&downloads));
    let database = format!("sql:{}", field.sshd.home(0).join(".local/share/pki/nssdb").display());
    let listed = Command::new("certutil").args(["-K", "-d", &database]).output()?;
    ensure!(
        String::from_utf8_lossy(&listed.stdout).contains("rsa") || String::from_utf8_lossy(&listed.stdout).contains("ec"),
        "{listed:?}"
    );
    field.playbook("run", &playbook, &more)?.is(0, &["unchanged"])?;

    let wrong = field.world.write("wrong", "guess")?;
    let more = ["--var", &file, "--secret", &format!("password=file:{wrong}")];
    field.playbook("run", &playbook, &more)?.is(9, &["failed input-missing (certificate)"])
}

fn make_p12(field: &Field, to: &Path) -> Result<()> {
    let at = |name: &str| field.world.path(name).display().to_string();
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=Tanaka",
            "-days",
            "30",
            "-keyout",
            &at("k.pem"),
            "-out",
            &at("c.pem"),
        ])
        .output()?;
    ensure!(made.status.success(), "{made:?}");
    fs::write(field.world.path("p12-password"), PASSWORD)?;
    let password = format!("file:{}", at("p12-password"));
    let made = Command::new("openssl")
        .args(["pkcs12", "-export", "-inkey", &at("k.pem"), "-in", &at("c.pem"), "-name", "tanaka", "-passout", &password, "-out"])
        .arg(to)
        .output()?;
    ensure!(made.status.success(), "{made:?}");
    Ok(())
}

#[test]
fn policies_of_the_browser_are_written_once_and_shown_before() -> Result<()> {
    let field = Field::new(1)?;
    let folder = field.world.path("managed");
    let (home, place) = ("home=https://karte.example.jp/?a=\"b\"&c=\\d".to_owned(), format!("policies={}", folder.display()));
    // Without the task that ends browsers: those of this machine are somebody else's.
    let more = ["--var", &home, "--var", &place, "--var", "writer=", "--tags", "policies", "--diff"];
    let looked = field.playbook("check", &library("harden-chrome"), &more)?;
    looked.is(10, &["would-change"])?;
    ensure!(looked.stderr.contains("+   \"SSLErrorOverrideAllowed\": false") && !folder.exists(), "{}", looked.stderr);
    field.playbook("run", &library("harden-chrome"), &more)?.is(0, &["changed"])?;
    let written: Value = serde_json::from_slice(&fs::read(folder.join("tegata-hardening.json"))?)?;
    ensure!(written["HomepageLocation"] == "https://karte.example.jp/?a=\"b\"&c=\\d");
    field.playbook("run", &library("harden-chrome"), &more)?.is(0, &["unchanged"])
}

#[test]
fn a_file_is_put_right_whatever_was_done_to_it() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let field = Field::new(1)?;
    field.world.write("note.txt", "x")?;
    let task = "    - { name: file, copy: { from: note.txt, to: \"{{ facts.home }}/it's $(here)/note.txt\", mode: \"0640\" } }\n";
    let (playbook, target) = (field.write("", task)?, field.sshd.home(0).join("it's $(here)/note.txt"));
    let rights = || fs::metadata(&target).map(|file| file.permissions().mode() & 0o7777).ok();
    field.playbook("run", &playbook, &[])?.is(0, &["changed"])?;
    ensure!(rights() == Some(0o640));
    fs::set_permissions(&target, fs::Permissions::from_mode(0o666))?;
    field.playbook("run", &playbook, &[])?.is(0, &["changed"])?;
    ensure!(rights() == Some(0o640));
    fs::write(&target, "y")?;
    field.playbook("run", &playbook, &[])?.is(0, &["changed"])?;
    ensure!(fs::read_to_string(&target)? == "x");
    field.playbook("run", &playbook, &[])?.is(0, &["unchanged"])
}

#[test]
fn a_script_runs_until_its_guard_holds_and_only_after_what_it_waits_for() -> Result<()> {
    let field = Field::new(1)?;
    field.world.write("note.txt", "x")?;
    field
        .world
        .write("count.sh", "read_value note; printf '%s\\n' \"$value\" >>\"$HOME/counted\"; read_value key; [ \"$value\" = s3cret ]")?;
    field.world.write("enough.sh", "[ \"$(grep -c . \"$HOME/counted\" 2>/dev/null)\" = 2 ]")?;
    let tasks = "    - { name: file, copy: { from: note.txt, to: \"{{ facts.home }}/note.txt\" } }\n    \
                 - { name: guarded, run: { script: count.sh, unless: enough.sh, values: { note: \"{{ host.name }}: it's $(id)\" }, secrets: { key: key } } }\n    \
                 - { name: following, afterChange: [file], run: { script: count.sh, creates: /nowhere, values: { note: once }, secrets: { key: key } } }\n";
    let playbook = field.write("  variables: { key: { description: k, secret: true } }\n", tasks)?;
    let secret = field.world.write("key", "s3cret")?;
    let more = ["--secret", &format!("key=file:{secret}")];
    field.playbook("check", &playbook, &more)?.is(10, &["would-change"])?;
    ensure!(files(&field.sshd.home(0)).is_empty());
    field.playbook("run", &playbook, &more)?.is(0, &["changed"])?;
    let counted = || fs::read_to_string(field.sshd.home(0).join("counted"));
    ensure!(counted()? == "sakura/pc-1: it's $(id)\nonce\n", "{}", counted()?);
    field.playbook("run", &playbook, &more)?.is(0, &["unchanged"])?;
    ensure!(counted()?.lines().count() == 2);
    // Nothing of what was said is a secret.
    for record in field.records()? {
        ensure!(!record.details.to_string().contains("s3cret"));
    }
    Ok(())
}

#[test]
fn a_task_as_another_user_is_done_by_sudo_with_its_values() -> Result<()> {
    let field = Field::new(1)?;
    let folder = field.world.path("open");
    fs::create_dir(&folder)?;
    Command::new("chmod").args(["-R", "a+rwx"]).arg(&folder).status()?;
    Command::new("chmod").arg("a+x").arg(folder.parent().unwrap()).status()?;
    field.world.write(
        "who.sh",
        "read_value out; read_value note; out=$value; read_value out; id -un >\"$value\"; printf '%s' \"$out\" >>\"$value\"",
    )?;
    let task = format!(
        "    - {{ name: who, asUser: nobody, run: {{ script: who.sh, creates: \"{0}/who\", values: {{ out: \"{0}/who\", note: \"it's $(id)\" }} }} }}\n",
        folder.display()
    );
    let playbook = field.write("", &task)?;
    field.playbook("run", &playbook, &[])?.is(0, &["changed"])?;
    ensure!(fs::read_to_string(folder.join("who"))? == "nobody\nit's $(id)");
    field.playbook("run", &playbook, &[])?.is(0, &["unchanged"])
}

#[test]
fn a_host_that_is_not_what_it_must_be_is_left_alone() -> Result<()> {
    let field = Field::new(1)?;
    field.world.write("note.txt", "x")?;
    let tasks = "    - { name: no mac, assert: { that: { os: [macos] }, hint: this is no Mac } }\n    \
                 - { name: file, copy: { from: note.txt, to: \"{{ facts.home }}/note.txt\" } }\n";
    let told = field.playbook("run", &field.write("", tasks)?, &[])?;
    told.is(9, &["failed assertion-failed (no mac)"])?;
    ensure!(told.stderr.contains("this is no Mac") && files(&field.sshd.home(0)).is_empty());
    Ok(())
}
