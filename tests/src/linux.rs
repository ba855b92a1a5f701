//! A Linux of its own within this one: its files are this machine's, and what is changed among them is gone afterwards; its processes, its
//! control groups and `/run` are its own; a real systemd keeps its user's services. The network is shared. Only root can make one.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use crate::process::{run, wait_for};

const PATIENCE: Duration = Duration::from_secs(20);

/// Makes the machine, and becomes the program that is named. `$1` is a folder that it shares with this one, `$2` its user's home, `$3`
/// the control group that is its own.
const BEGIN: &str = r#"
set -e
shared=$1 home=$2 group=$3
shift 3
place=$shared/linux
mkdir -p "$place"
mount -t tmpfs tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$place/upper,workdir=$place/work" "$place/root"
cd "$place/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount --rbind /dev dev
mount -t tmpfs -o mode=755 tmpfs run
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount --bind "$shared" "./$shared"
mkdir old
pivot_root . old
cd /
umount -l old
rmdir old
export HOME="$home" XDG_RUNTIME_DIR="/run/user/$(id -u)"
unset XDG_CONFIG_HOME XDG_DATA_HOME XDG_STATE_HOME DBUS_SESSION_BUS_ADDRESS
mkdir -p /run/sshd /run/systemd/system "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
mkdir -p "/sys/fs/cgroup/$group"
echo 0 >"/sys/fs/cgroup/$group/cgroup.procs"
/lib/systemd/systemd --user &
until systemctl --user show-environment >/dev/null 2>&1; do kill -0 $!; sleep 0.05; done
exec "$@"
"#;

/// Removes a control group with those below it, as far as nobody is in them any more.
const END: &str = r#"
mount -t cgroup2 cgroup2 /sys/fs/cgroup
[ ! -d "/sys/fs/cgroup/$1" ] || find "/sys/fs/cgroup/$1" -depth -type d -exec rmdir {} +
"#;

/// What stands before a program and its arguments to run it there, as the first of all processes.
pub(crate) fn prefix(shared: &Path, home: &Path, group: &str) -> Vec<OsString> {
    let separate = ["unshare", "--mount", "--pid", "--cgroup", "--fork", "--kill-child", "--propagation", "private"];
    let begin = ["/bin/sh", "-c", BEGIN, "linux"];
    let mut all: Vec<OsString> = separate.into_iter().chain(begin).map(Into::into).collect();
    all.extend([shared.into(), home.into(), group.into()]);
    all
}

/// Waits until everybody there has ended, and removes the control group.
pub(crate) fn clear(group: &str) -> Result<()> {
    let arguments = ["--mount", "--propagation", "private", "/bin/sh", "-c", END, "linux", group];
    wait_for(PATIENCE, "a machine to end", || Ok(run(Path::new("unshare"), arguments)?.status.success().then_some(())))
}
