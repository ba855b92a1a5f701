//! The package for Debian and Ubuntu: the program, a unit that starts it at logon, and the folders that browsers read.
//!
//! Made by `dpkg-deb` itself: there are five files, and the scripts are better read than generated.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{VERSION, material, place, place_bytes};
use crate::run;

/// Below the root of the PC. That units wanted by default.target start at logon is the package's decision; `systemctl --user mask` is the
/// user's.
const WANTED: &str = "usr/lib/systemd/user/default.target.wants/tegata-agent.service";

/// Makes the package; gives its path.
pub(super) fn pack(program: &Path, out: &Path) -> Result<PathBuf> {
    let root = out.join("deb");
    let _ = fs::remove_dir_all(&root);
    place(program, &root.join("usr/bin/tegata-agent"), 0o755)?;
    place(&material("deb/tegata-agent.service"), &root.join("usr/lib/systemd/user/tegata-agent.service"), 0o644)?;
    place(&material("deb/copyright"), &root.join("usr/share/doc/tegata-agent/copyright"), 0o644)?;
    want(&root.join(WANTED))?;
    for script in ["postinst", "postrm"] {
        place(&material(&format!("deb/{script}")), &root.join("DEBIAN").join(script), 0o755)?;
    }
    let architecture = architecture()?;
    place_bytes(control(program, &architecture)?.as_bytes(), &root.join("DEBIAN/control"), 0o644)?;
    open_folders(&root)?;
    let package = out.join(format!("tegata-agent_{VERSION}_{architecture}.deb"));
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "--build"]).args([&root, &package]);
    run::output(&mut command).context("packages are made on Debian and Ubuntu")?;
    fs::remove_dir_all(&root)?;
    Ok(package)
}

#[cfg(unix)]
fn want(link: &Path) -> Result<()> {
    fs::create_dir_all(link.parent().context("the link has a folder")?)?;
    Ok(std::os::unix::fs::symlink("../tegata-agent.service", link)?)
}

#[cfg(not(unix))]
fn want(_link: &Path) -> Result<()> {
    anyhow::bail!("packages for Unix are made on Unix")
}

/// Folders are for everybody to look into, whatever the umask of whoever builds.
fn open_folders(folder: &Path) -> Result<()> {
    super::set_mode(folder, 0o755)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

fn architecture() -> Result<String> {
    Ok(run::output(Command::new("dpkg").arg("--print-architecture"))?.trim().to_owned())
}

fn control(program: &Path, architecture: &str) -> Result<String> {
    let bytes = fs::read(program)?;
    let (glibc, size) = (glibc(&bytes).context("the program is not built for Linux with glibc")?, bytes.len().div_ceil(1024));
    let text = fs::read_to_string(material("deb/control"))?;
    let text = text.replace("{version}", VERSION).replace("{architecture}", architecture);
    Ok(text.replace("{glibc}", &glibc).replace("{size}", &size.to_string()))
}

/// The newest version of glibc that the program names: an older one cannot start it.
fn glibc(program: &[u8]) -> Option<String> {
    const NAME: &[u8] = b"GLIBC_2.";
    let minor = |rest: &[u8]| {
        let digits: String = rest.iter().map_while(|byte| byte.is_ascii_digit().then_some(char::from(*byte))).collect();
        digits.parse::<u32>().ok()
    };
    let named = program.windows(NAME.len()).enumerate().filter(|(_, window)| *window == NAME);
    named.filter_map(|(at, _)| minor(&program[at + NAME.len()..])).max().map(|minor| format!("2.{minor}"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests;
