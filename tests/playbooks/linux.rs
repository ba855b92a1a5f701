//! What a playbook does with the system of a PC: a real systemd of its user, a real dpkg and apt, real browsers. On a Linux of its own, so
//! that nothing of it happens to this machine.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use tegata_tests::process::{binary, run_well, wait_for};

use super::*;

/// Runs a playbook that has to end like this, and gives what was told of its one host.
fn told(field: &Field, playbook: &Path, more: &[String], changed: u32) -> Result<()> {
    let more: Vec<&str> = more.iter().map(String::as_str).collect();
    let told = field.playbook("run", playbook, &more)?;
    told.is(0, &[if changed == 0 { "unchanged" } else { "changed" }])?;
    ensure!(told.hosts[0].changed == changed, "{} tasks have changed something, not {changed}: {}", told.hosts[0].changed, told.stderr);
    Ok(())
}

#[test]
fn systemd_starts_the_agent_of_a_pc_and_keeps_it_and_the_pc_is_ready() -> Result<()> {
    let field = Field::on_linux()?;
    let agent = field.world.path("tegata-agent");
    fs::copy(binary("tegata-agent"), &agent)?;
    let policies = field.world.path("policies");
    let more = [format!("agent={}", agent.display()), format!("browserPolicies={}", policies.display()), "keystore=file".to_owned()];
    let more: Vec<String> = more.into_iter().flat_map(|variable| ["--var".to_owned(), variable]).collect();
    let enroll = library("enroll-linux");

    // The program, the enrolment, the unit, the service. Nobody here starts the agent.
    told(&field, &enroll, &more, 4)?;
    field.world.wait_until_ready()?;
    told(&field, &enroll, &more, 0)?;

    // A newer agent takes the place of the one that runs.
    fs::write(&agent, [fs::read(&agent)?, vec![0]].concat())?;
    told(&field, &enroll, &more, 2)?;
    told(&field, &enroll, &more, 0)?;

    let program = field.sshd.home(0).join(".local/bin/tegata-agent");
    told(&field, &library("remove-agent"), &[], 1)?;
    ensure!(!program.exists());
    told(&field, &library("remove-agent"), &[], 0)
}

/// Makes a package of this version; gives its file.
fn package(field: &Field, version: &str, script: &str) -> Result<PathBuf> {
    let folder = field.world.path(&format!("package-{version}"));
    fs::create_dir_all(folder.join("DEBIAN"))?;
    fs::create_dir_all(folder.join("usr/share/tegata-try"))?;
    let control =
        format!("Package: tegata-try\nVersion: {version}\nArchitecture: all\nMaintainer: nobody <nobody@example.jp>\nDescription: a try\n");
    fs::write(folder.join("DEBIAN/control"), control)?;
    fs::write(folder.join("DEBIAN/postinst"), script)?;
    run_well(Path::new("chmod"), ["0755".as_ref(), folder.join("DEBIAN/postinst").as_os_str()])?;
    fs::write(folder.join("usr/share/tegata-try/version"), version)?;
    let file = field.world.path(&format!("tegata-try-{version}.deb"));
    run_well(Path::new("dpkg-deb"), ["--root-owner-group".as_ref(), "-b".as_ref(), folder.as_os_str(), file.as_os_str()])?;
    Ok(file)
}

#[test]
fn a_debian_package_is_installed_once_and_a_newer_one_over_it() -> Result<()> {
    let field = Field::on_linux()?;
    let tasks = "    - { name: package, package: { from: \"{{ vars.file }}\", to: \"{{ facts.home }}/it's a try.deb\" } }\n";
    let playbook = field.write("  variables: { file: { description: a package } }\n", tasks)?;
    let home = field.sshd.home(0).display().to_string();
    // What it leaves behind, seen from here.
    let right = format!("#!/bin/sh\ncp /usr/share/tegata-try/version '{home}/installed'\n");
    let installed = || fs::read_to_string(field.sshd.home(0).join("installed")).unwrap_or_default();
    let file = |file: &Path| vec!["--var".to_owned(), format!("file={}", file.display())];
    for version in ["1.0", "1.1"] {
        let file = file(&package(&field, version, &right)?);
        let more: Vec<&str> = file.iter().map(String::as_str).collect();
        field.playbook("check", &playbook, &more)?.is(10, &["would-change"])?;
        ensure!(installed() != version);
        told(&field, &playbook, &file, 1)?;
        ensure!(installed() == version);
        told(&field, &playbook, &file, 0)?;
    }
    // One that cannot be configured is told, in the words of dpkg, and not taken for installed the next time.
    let broken = file(&package(&field, "1.2", "#!/bin/sh\necho no room here >&2; exit 1\n")?);
    let more: Vec<&str> = broken.iter().map(String::as_str).collect();
    for _ in 0..2 {
        let failed = field.playbook("run", &playbook, &more)?;
        failed.is(9, &["failed task-failed (package)"])?;
        ensure!(failed.stderr.contains("no room here"), "{}", failed.stderr);
    }
    let here = Command::new("dpkg-query").args(["-W", "tegata-try"]).output()?;
    ensure!(!here.status.success(), "it was installed on this machine");
    Ok(())
}

#[test]
fn a_browser_is_ended_once_its_policies_have_changed_and_not_before() -> Result<()> {
    let field = Field::on_linux()?;
    field.world.write(
        "open.sh",
        "setsid /usr/lib/chromium/chromium --headless --no-sandbox --disable-gpu --user-data-dir=\"$HOME/profile\" about:blank </dev/null >/dev/null 2>&1 &\n\
         until [ \"$(pgrep -x chromium | wc -l)\" -gt 2 ]; do sleep 0.1; done",
    )?;
    field.world.write("is-open.sh", "pgrep -x chromium >/dev/null")?;
    let browse = field.write("", "    - { name: browser, run: { script: open.sh, unless: is-open.sh } }\n")?;
    let folder = field.world.path("managed");
    let variables = ["home=https://karte.example.jp/".to_owned(), format!("policies={}", folder.display()), "writer=".to_owned()];
    let more: Vec<String> = variables.into_iter().flat_map(|variable| ["--var".to_owned(), variable]).collect();
    let harden = library("harden-chrome");

    told(&field, &browse, &[], 1)?;
    // The policies, and the browser.
    told(&field, &harden, &more, 2)?;
    let is_closed = || Ok((field.playbook("check", &browse, &[])?.exit == 10).then_some(()));
    wait_for(Duration::from_secs(20), "the browser to end", is_closed)?;
    told(&field, &browse, &[], 1)?;
    told(&field, &harden, &more, 0)?;
    field.playbook("check", &browse, &[])?.is(0, &["unchanged"])
}
