//! The package is installed by dpkg, on a copy of this system that is thrown away: what it writes goes to memory.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::*;

/// A copy-on-write view of this system, in a mount namespace of its own. Only root can make one.
const CHANGED: &str = r#"
set -e
mount -t tmpfs none "$1"
mkdir "$1/changes" "$1/work" "$1/system"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/changes,workdir=$1/work" "$1/system"
cp "$2" "$1/system/agent.deb"
echo "$3" >"$1/system/script"
exec chroot "$1/system" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root sh -e /script
"#;

/// Two accounts, a browser's folder that an administrator has, and none of another browser.
const BEFORE: &str = r#"
exec 2>&1
sed -i -E '/^[^:]*:[^:]*:[0-9]{4,5}:/{/^nobody:/!d}' /etc/passwd
useradd --no-create-home --uid 1234 uketsuke
rm -rf /etc/chromium /etc/opt/chrome /var/lib/tegata-agent
mkdir -p -m 0755 /etc/chromium/policies/managed
chmod 0750 /etc/chromium/policies/managed
touch /etc/chromium/policies/managed/others.json
look() { for path in "$@"; do if [ -e "$path" ] || [ -L "$path" ]; then stat -c '%A %U %n' "$path"; else echo "no $path"; fi; done; }
managed="/etc/chromium/policies/managed /etc/opt/chrome/policies/managed"
"#;

struct Scratch {
    folder: PathBuf,
    package: PathBuf,
}

impl Scratch {
    /// `None` for whoever is not root, or may not mount.
    fn new(name: &str) -> Option<Self> {
        let folder = std::env::temp_dir().join(format!("tegata-deb-{name}-{}", std::process::id()));
        fs::create_dir_all(folder.join("mount")).unwrap();
        let mut scratch = Self { package: PathBuf::new(), folder };
        let mut mounts = Command::new("unshare");
        mounts.args(["--mount", "mount", "-t", "tmpfs", "none"]).arg(scratch.folder.join("mount"));
        let may = mounts.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        may.then(|| {
            // Any program of this system does.
            scratch.package = pack(Path::new("/usr/bin/true"), &scratch.folder).unwrap();
            scratch
        })
    }

    /// What a script says that is run there.
    fn run(&self, script: &str) -> String {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", CHANGED, "sh"]).arg(self.folder.join("mount")).arg(&self.package);
        run::output(command.arg(BEFORE.to_owned() + script)).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn assert_tells(said: &str, expected: &[&str]) {
    for line in expected {
        assert!(said.lines().any(|said| said == *line), "{line:?} is not in:\n{said}");
    }
}

#[test]
fn the_package_brings_program_unit_and_folders_and_purging_leaves_all_as_it_was() {
    let Some(scratch) = Scratch::new("whole") else { return };
    let said = scratch.run(
        r#"
        SUDO_UID=1234 dpkg -i /agent.deb
        /usr/bin/tegata-agent
        look /usr/bin/tegata-agent /usr/lib/systemd/user/tegata-agent.service $managed /etc/opt/chrome
        readlink -f /usr/lib/systemd/user/default.target.wants/tegata-agent.service
        if command -v systemd-analyze >/dev/null; then
            mkdir /tmp/runtime; XDG_RUNTIME_DIR=/tmp/runtime systemd-analyze verify --user /usr/lib/systemd/user/tegata-agent.service && echo "the unit is sound"
        else
            echo "the unit is sound"
        fi
        for folder in $managed; do su uketsuke -s /bin/sh -c "touch $folder/tegata.json $folder/.tegata-half"; done
        dpkg --purge tegata-agent
        echo purged
        look /usr/bin/tegata-agent /usr/lib/systemd/user/default.target.wants/tegata-agent.service /var/lib/tegata-agent /etc/opt/chrome
        look /etc/chromium/policies/managed
        ls -A /etc/chromium/policies/managed
        find /etc /usr /var/lib -xdev -newer /agent.deb -iname '*tegata*' -not -path '/var/lib/dpkg/*'
        ls /var/lib/dpkg/info | grep tegata || echo "dpkg knows nothing of it"
        "#,
    );
    let (installed, purged) = said.split_once("purged\n").unwrap();
    assert_tells(
        installed,
        &[
            "-rwxr-xr-x root /usr/bin/tegata-agent",
            "-rw-r--r-- root /usr/lib/systemd/user/tegata-agent.service",
            "/usr/lib/systemd/user/tegata-agent.service",
            "drwxr-xr-x uketsuke /etc/chromium/policies/managed",
            "drwxr-xr-x uketsuke /etc/opt/chrome/policies/managed",
            "drwxr-xr-x root /etc/opt/chrome",
            "the unit is sound",
        ],
    );
    let expected = "no /usr/bin/tegata-agent\nno /usr/lib/systemd/user/default.target.wants/tegata-agent.service\nno /var/lib/tegata-agent\n\
                    no /etc/opt/chrome\ndrwxr-x--- root /etc/chromium/policies/managed\nothers.json\ndpkg knows nothing of it\n";
    assert_eq!(purged, expected);
}

#[test]
fn the_user_is_whoever_was_named_or_asks_or_is_alone_and_nobody_is_guessed() {
    let Some(scratch) = Scratch::new("user") else { return };
    let owner = "stat -c %U /etc/opt/chrome/policies/managed 2>/dev/null || echo nobody\n";
    let after = |before: &str| scratch.run(&format!("{before} dpkg -i /agent.deb >/said 2>&1\ncat /said\n{owner}"));
    let second = "useradd --no-create-home --uid 1235 incho\n";
    assert!(after("").ends_with("\nuketsuke\n"), "the only one");
    assert!(after(&format!("{second}SUDO_UID=1235")).ends_with("\nincho\n"), "who asks");
    assert!(after(&format!("{second}SUDO_UID=1235 TEGATA_USER=uketsuke")).ends_with("\nuketsuke\n"), "who was named");
    let unknown = after(second);
    assert!(unknown.ends_with("\nnobody\n") && unknown.contains("TEGATA_USER=NAME dpkg-reconfigure"), "{unknown}");
}

#[test]
fn a_newer_version_leaves_the_folders_to_their_user_and_another_one_can_be_named() {
    let Some(scratch) = Scratch::new("newer") else { return };
    let said = scratch.run(
        r#"
        useradd --no-create-home --uid 1235 incho
        SUDO_UID=1234 dpkg -i /agent.deb >/dev/null
        SUDO_UID=1235 dpkg -i /agent.deb >/dev/null
        stat -c '%U after the upgrade' /etc/chromium/policies/managed
        export DEBIAN_FRONTEND=noninteractive
        TEGATA_USER=incho dpkg-reconfigure tegata-agent
        stat -c '%U after the change' /etc/chromium/policies/managed
        if TEGATA_USER=nobody-here dpkg-reconfigure tegata-agent; then echo accepted; fi
        dpkg --purge tegata-agent >/dev/null
        look $managed
        "#,
    );
    assert_tells(
        &said,
        &[
            "uketsuke after the upgrade",
            "incho after the change",
            "drwxr-x--- root /etc/chromium/policies/managed",
            "no /etc/opt/chrome/policies/managed",
        ],
    );
    assert!(!said.contains("accepted"), "{said}");
}

#[test]
fn the_newest_glibc_that_is_named_counts() {
    assert_eq!(glibc(b"..GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.9\0GLIBC_PRIVATE\0").as_deref(), Some("2.34"));
    assert_eq!(glibc(b"none"), None);
}
