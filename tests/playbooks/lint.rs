//! What is wrong with playbooks is told before anybody is spoken to.

use anyhow::{Result, ensure};
use expect_test::expect_file;
use tegata_tests::process::{binary, run};

use super::*;

fn lint(arguments: &[&str]) -> Result<(i32, String)> {
    let all = ["playbook", "lint"].iter().chain(arguments);
    let output = run(&binary("tegata"), all)?;
    Ok((output.status.code().unwrap_or(-1), String::from_utf8(output.stderr)?))
}

#[test]
fn every_playbook_of_the_library_is_right_and_says_what_it_is_for() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../playbooks");
    let (exit, told) = lint(&[&folder.display().to_string()])?;
    ensure!(exit == 0, "{told}");
    let readme = fs::read_to_string(folder.join("README.md"))?;
    let mut count = 0;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            ensure!(fs::read_to_string(&path)?.starts_with("# ") && readme.contains(&name), "{name} is not documented");
            count += 1;
        }
    }
    ensure!(count == 6, "there are {count} playbooks");
    Ok(())
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_place() -> Result<()> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("note.sh"), "echo {{ vars.note }}")?;
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks/bad");
    for name in ["unknown-task", "many"] {
        fs::copy(sample.join(format!("{name}.yaml")), folder.path().join(format!("{name}.yaml")))?;
        let output = std::process::Command::new(binary("tegata"))
            .args(["playbook", "lint", &format!("{name}.yaml")])
            .current_dir(folder.path())
            .output()?;
        ensure!(output.status.code() == Some(3), "{name}: {:?}", output.status);
        expect_file![sample.join(format!("{name}.txt"))].assert_eq(&String::from_utf8(output.stderr)?);
    }
    Ok(())
}

#[test]
fn a_host_without_a_pinned_key_is_found_before_a_run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("clinic.yaml");
    let write = |keys: &str| {
        let text = format!(
            "apiVersion: tegata.dev/v1alpha1\nkind: ClinicNetwork\nmetadata: {{ name: sakura }}\nspec:\n  displayName: x\n  facilitySlug: sakura\n  \
             ssh: {{ user: tegata }}\n  devices: [{{ name: pc-1, platform: linux, ssh: {{ address: 192.0.2.1{keys} }} }}]\n"
        );
        fs::write(&path, text)
    };
    let playbook = library("enroll-linux").display().to_string();
    write("")?;
    let (exit, told) = lint(&[&playbook, "-f", &path.display().to_string()])?;
    ensure!(exit == 3 && told.contains("no host key is pinned for sakura/pc-1 (192.0.2.1:22)"), "{exit}: {told}");
    write(", hostKeys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJz2hFaHOp7nMYvUW9gOd7kQLoSTOi8tF3Vv1bT0PyH\"]")?;
    let (exit, told) = lint(&[&playbook, "-f", &path.display().to_string()])?;
    ensure!(exit == 0, "{told}");
    Ok(())
}

#[test]
fn a_secret_on_the_command_line_is_refused() -> Result<()> {
    let field = Field::new(1)?;
    let playbook = library("agentless-certificate").display().to_string();
    for arguments in [["--var", "password=hunter2"], ["--secret", "password=hunter2"]] {
        let all = ["playbook", "run", &playbook, "--var", "file=x"].into_iter().chain(arguments);
        let output = field.world.cli(all)?;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.code() == Some(2) && told.contains("secret"), "{:?} {told}", output.status);
    }
    ensure!(field.records()?.is_empty());
    Ok(())
}
