//! The outside programs that the tests meet: real peers, not doubles.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::{run, venv, workspace};

/// A program, and the Debian packages that bring it and what it needs: a picture of a Japanese page needs Japanese letters.
struct Tool {
    program: &'static str,
    packages: &'static [&'static str],
    /// What the tests do with it.
    purpose: &'static str,
}

const TOOLS: &[Tool] = &[
    Tool { program: "cc", packages: &["build-essential"], purpose: "builds aws-lc and SQLite" },
    Tool { program: "make", packages: &["make"], purpose: "builds the OpenSSL that the server's SSH client stands on" },
    Tool { program: "perl", packages: &["perl"], purpose: "says how that is built" },
    Tool { program: "openssl", packages: &["openssl"], purpose: "a second opinion on certificates, lists and bundles" },
    Tool { program: "certutil", packages: &["libnss3-tools"], purpose: "the keystore of browsers on Linux" },
    Tool { program: "pk12util", packages: &["libnss3-tools"], purpose: "puts keys into that keystore" },
    Tool { program: "nginx", packages: &["nginx-light"], purpose: "a chart's front that lets nobody in who is revoked" },
    Tool { program: "certtool", packages: &["gnutls-bin"], purpose: "makes bundles as vendors with GnuTLS do" },
    Tool { program: "age", packages: &["age"], purpose: "opens what was sealed for a backup" },
    Tool { program: "aiosmtpd", packages: &["python3-aiosmtpd"], purpose: "a real mail server that keeps what it is handed" },
    Tool {
        program: "sshd",
        packages: &["openssh-server", "openssh-client"],
        purpose: "a real SSH server that backups and playbooks are carried to",
    },
    Tool { program: "systemd", packages: &["systemd"], purpose: "keeps the agent of a PC's user running" },
    Tool { program: "pgrep", packages: &["procps"], purpose: "finds browsers as a playbook does" },
    Tool { program: "sudo", packages: &["sudo"], purpose: "a task of a playbook as another user" },
    Tool { program: "curl", packages: &["curl"], purpose: "renews at the portal as any client could" },
    Tool { program: "chromium", packages: &["chromium", "fonts-vlgothic"], purpose: "a real browser that must not ask for a certificate" },
    Tool { program: "x86_64-w64-mingw32-gcc", packages: &["gcc-mingw-w64-x86-64"], purpose: "links the agent for Windows" },
    Tool { program: "go", packages: &["golang-go"], purpose: "verifies and witnesses the log by other hands: Go's own checksum database" },
    Tool { program: "python3", packages: &["python3", "python3-venv"], purpose: "brings zig from PyPI, which links the agent for macOS" },
    Tool { program: "initdb", packages: &["postgresql"], purpose: "makes a real PostgreSQL server for each run" },
    Tool { program: "psql", packages: &["postgresql-client"], purpose: "looks into it" },
    Tool { program: "prometheus", packages: &["prometheus"], purpose: "scrapes figures and evaluates rules" },
    Tool { program: "promtool", packages: &["prometheus"], purpose: "tests those rules" },
    Tool { program: "wine", packages: &["wine", "wine64"], purpose: "runs the agent for Windows" },
];

/// The S3 server that backups are carried to: PyPI packages. Its extra `server` would bring everything of Amazon's, twice as much.
const S3: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

/// The collector of OpenTelemetry that telemetry is sent to, and what decodes what it passes on: PyPI packages.
const COLLECTOR: [&str; 2] = ["rotel==0.0.1a15", "opentelemetry-proto==1.45.2"];

/// The OpenID provider that people sign in with, and what its forms are filled in by: PyPI packages.
const IDENTITY: [&str; 2] = ["canaille[front,oidc,server]==0.3.6", "httpx==0.28.1"];

/// A witness of audit logs by other hands, as public ones run it: a Go module. It needs Go 1.24, which Debian has since version 13.
const WITNESS: &str = "filippo.io/torchwood/cmd/litewitness@v0.9.0";

/// Makes sure that every program is there. As root on Debian it installs what is missing; elsewhere it says what to do.
pub fn provide() -> Result<()> {
    provide_system()?;
    let peers = workspace::target_folder()?.join("peers");
    venv::provide(&peers.join("moto"), &S3)?;
    venv::provide(&peers.join("rotel"), &COLLECTOR)?;
    venv::provide(&peers.join("canaille"), &IDENTITY)?;
    go_program(&peers.join("witness"), WITNESS)
}

/// Builds a Go program into a folder of its own, once for each version.
fn go_program(folder: &Path, module: &str) -> Result<()> {
    let done = folder.join("module.txt");
    if fs::read_to_string(&done).is_ok_and(|there| there == module) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    println!("building {module}");
    run::check(Command::new("go").args(["install", module]).env("GOBIN", folder))?;
    Ok(fs::write(done, module)?)
}

fn provide_system() -> Result<()> {
    let absent = missing(is_there);
    if absent.is_empty() {
        return Ok(());
    }
    if !may_install() {
        bail!(advice(&absent));
    }
    install(&packages(&absent))?;
    match missing(is_there) {
        still if still.is_empty() => Ok(()),
        still => bail!(advice(&still)),
    }
}

fn missing(is_there: impl Fn(&str) -> bool) -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| !is_there(tool.program)).collect()
}

fn is_there(program: &str) -> bool {
    if program == "python3" {
        // Debian's comes without what makes a venv.
        return Command::new(program).args(["-c", "import ensurepip"]).output().is_ok_and(|output| output.status.success());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers lie where only root looks by itself, and PostgreSQL's programs by version.
    let usual = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let by_version = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    std::env::split_paths(&path).chain(usual).chain(by_version).any(|folder| folder.join(program).is_file())
}

fn may_install() -> bool {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    root && Path::new("/etc/debian_version").exists() && is_there("apt-get")
}

fn install(packages: &[&str]) -> Result<()> {
    println!("installing {}", packages.join(" "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        run::output(&mut command)
    };
    apt(&["update"])?;
    apt(&[&["install", "--yes", "--no-install-recommends"], packages].concat())?;
    Ok(())
}

fn packages(tools: &[&Tool]) -> Vec<&'static str> {
    let mut packages: Vec<_> = tools.iter().flat_map(|tool| tool.packages).copied().collect();
    packages.sort();
    packages.dedup();
    packages
}

fn advice(tools: &[&Tool]) -> String {
    let list: String = tools.iter().map(|tool| format!("\n  {:9} {}", tool.program, tool.purpose)).collect();
    format!("the tests need programs that are not here:{list}\nOn Debian and Ubuntu: sudo apt-get install {}", packages(tools).join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_exactly_what_is_missing_and_how_to_get_it() {
        let absent = missing(|program| program == "cc" || program == "openssl");
        let advice = advice(&absent);
        assert!(advice.contains("certutil") && advice.contains("chromium"), "{advice}");
        assert!(!advice.contains("openssl"), "{advice}");
        let packages = "age chromium curl fonts-vlgothic gcc-mingw-w64-x86-64 gnutls-bin golang-go libnss3-tools make nginx-light openssh-client openssh-server \
             perl postgresql postgresql-client procps prometheus python3 python3-aiosmtpd python3-venv sudo systemd wine wine64";
        assert!(advice.ends_with(&format!("sudo apt-get install {packages}")), "each package once: {advice}");
    }

    #[test]
    fn asks_for_nothing_when_all_is_there() {
        assert!(missing(|_| true).is_empty());
    }
}
