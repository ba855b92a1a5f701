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
    fs::write(folder.path().join("right.sh"), "read_value p")?;
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
fn a_host_without_a_pinned_key_or_an_authority_is_found_at_its_place_before_a_run() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJz2hFaHOp7nMYvUW9gOd7kQLoSTOi8tF3Vv1bT0PyH";
    let write = |of_clinic: &str, of_device: &str| {
        let text = format!(
            "apiVersion: tegata.dev/v1alpha1\nkind: ClinicNetwork\nmetadata: {{ name: sakura }}\nspec:\n  displayName: x\n  facilitySlug: sakura\n  \
             ssh: {{ user: tegata{of_clinic} }}\n  devices:\n    - {{ name: pc-0, platform: linux }}\n    - name: pc-1\n      platform: linux\n      \
             ssh: {{ address: 192.0.2.1{of_device} }}\n"
        );
        fs::write(folder.path().join("clinic.yaml"), text)
    };
    let look = |playbook: &Path| -> Result<(i32, String)> {
        let arguments = ["playbook", "lint", &playbook.display().to_string(), "-f", "clinic.yaml"].map(str::to_owned);
        let output = std::process::Command::new(binary("tegata")).args(arguments).current_dir(folder.path()).output()?;
        Ok((output.status.code().unwrap_or(-1), String::from_utf8(output.stderr)?))
    };
    let right = library("enroll-linux");
    write("", "")?;
    let (exit, told) = look(&right)?;
    ensure!(exit == 3);
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks/bad");
    expect_file![sample.join("host-without-key.txt")].assert_eq(&told);
    // Together with what is wrong with the playbook.
    let (exit, told) = look(&sample.join("unknown-task.yaml"))?;
    ensure!(exit == 3 && told.contains("4 things are wrong") && told.contains("clinic.yaml:12:12"), "{told}");

    let (keys, authorities) = (format!(", hostKeys: [\"{key}\"]"), format!(", hostAuthorities: [\"{key}\"]"));
    for (of_clinic, of_device) in [("", &*keys), (&*authorities, "")] {
        write(of_clinic, of_device)?;
        let (exit, told) = look(&right)?;
        ensure!(exit == 0, "{told}");
    }
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
