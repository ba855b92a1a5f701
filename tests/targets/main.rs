//! What every backup target keeps, whatever is behind it: a folder, a real OpenSSH server, and a real S3 server.

mod folder;
mod s3;
mod sftp;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tegata_core::backup::Trouble;
use tegata_core::name::BackupId;
use tegata_core::policy::BackupPlace;
use tegata_server::backup::target::{Access, ObjectName, Part, Target, TargetError, Use, open};
use tegata_tests::s3::S3;
use tegata_tests::sshd::Sshd;
use tempfile::TempDir;

/// What a file may grow to where there is too little room, in KiB.
const ROOM_KIB: u32 = 64;

/// A target, and what lies there as this machine sees it.
struct Place {
    place: BackupPlace,
    access: Access,
    behind: Behind,
    _folder: TempDir,
}

/// What keeps it.
enum Behind {
    Folder(PathBuf),
    Sshd(Sshd),
    S3(S3),
}

impl Place {
    fn open(&self) -> Box<dyn Target> {
        open(&self.place, &self.access, Use::First).unwrap()
    }

    /// Its folder, where it has one.
    fn root(&self) -> Option<PathBuf> {
        match &self.behind {
            Behind::Folder(root) => Some(root.clone()),
            Behind::Sshd(sshd) => Some(sshd.root()),
            Behind::S3(_) => None,
        }
    }

    /// The names of what lies there, but for the server's own mark.
    fn names(&self) -> Vec<String> {
        let mut names = match &self.behind {
            Behind::S3(s3) => s3.objects().unwrap(),
            Behind::Folder(_) | Behind::Sshd(_) => {
                let root = self.root().unwrap();
                files(&root).iter().map(|path| path.strip_prefix(&root).unwrap().display().to_string()).collect()
            }
        };
        names.retain(|name| name != ".tegata-backups");
        names.sort();
        names
    }
}

fn access(key: Option<PathBuf>) -> Access {
    Access { key, credentials: None, patience: Duration::from_secs(10), busy: Default::default() }
}

fn directory() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let place = BackupPlace::Directory { path: root.display().to_string(), marker: None };
    Place { place, access: access(None), behind: Behind::Folder(root), _folder: folder }
}

fn sftp(room_kib: Option<u32>) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let sshd = Sshd::start_with(&folder.path().join("ssh"), room_kib).unwrap();
    let place = place_of(&sshd, &sshd.host_key("ed25519").unwrap());
    Place { place, access: access(Some(sshd.key())), behind: Behind::Sshd(sshd), _folder: folder }
}

fn place_of(sshd: &Sshd, host_key: &str) -> BackupPlace {
    BackupPlace::Sftp {
        host: "127.0.0.1".into(),
        port: sshd.port(),
        user: sshd.user().unwrap(),
        host_key: host_key.into(),
        path: sshd.root().display().to_string(),
    }
}

fn object(tenant: &str, number: u8, part: Part) -> ObjectName {
    ObjectName { tenant: tenant.parse().unwrap(), clinic: "sakura".parse().unwrap(), id: BackupId([number; 16]), part }
}

fn trouble<T>(result: Result<T, TargetError>) -> Trouble {
    match result {
        Err(error) => error.trouble,
        Ok(_) => panic!("it did not fail"),
    }
}

/// Everything below a folder.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn keeps_the_contract(place: &Place) {
    gives_back_what_was_put(place);
    keeps_tenants_apart(place);
    says_what_is_missing(place);
    if let Some(root) = place.root() {
        lets_nobody_else_look(place, &root);
        takes_over_what_a_crash_left(place, &root);
        is_not_made_where_it_is_away(place, &root);
    }
}

fn gives_back_what_was_put(place: &Place) {
    let (name, beside) = (object("aozora", 1, Part::Sealed), object("aozora", 1, Part::Manifest));
    let large: Vec<u8> = (0..2_u32 << 20).map(|number| (number % 251) as u8).collect();
    let mut target = place.open();
    target.put(&beside, b"{}").unwrap();
    for bytes in [&large[..], b"", b"smaller", b"smaller"] {
        target.put(&name, bytes).unwrap();
        assert!(target.get(&name).unwrap() == bytes);
    }
    drop(target);
    assert_eq!(place.open().get(&name).unwrap(), b"smaller", "whoever comes next finds it");
    let id = "01".repeat(16);
    assert_eq!(place.names(), [format!("aozora/sakura/{id}.age"), format!("aozora/sakura/{id}.json")], "and nothing half done");
    let mut target = place.open();
    for _ in 0..2 {
        target.remove(&beside).unwrap();
        target.remove(&name).unwrap();
    }
    assert!(place.names().is_empty());
}

fn keeps_tenants_apart(place: &Place) {
    let mut target = place.open();
    for tenant in ["aozora", "momiji"] {
        target.put(&object(tenant, 2, Part::Sealed), tenant.as_bytes()).unwrap();
    }
    target.remove(&object("momiji", 2, Part::Sealed)).unwrap();
    assert_eq!(target.get(&object("aozora", 2, Part::Sealed)).unwrap(), b"aozora");
    target.remove(&object("aozora", 2, Part::Sealed)).unwrap();
}

fn says_what_is_missing(place: &Place) {
    assert_eq!(trouble(place.open().get(&object("nobody", 4, Part::Sealed))), Trouble::Missing);
}

fn lets_nobody_else_look(place: &Place, root: &Path) {
    let name = object("aozora", 6, Part::Sealed);
    place.open().put(&name, b"sealed").unwrap();
    let folder = root.join("aozora/sakura");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder.join(format!("{}.age", "06".repeat(16)))), mode(&folder)), (0o600, 0o700));
    place.open().remove(&name).unwrap();
}

/// What is half done has a name of its own, which nobody takes for a copy.
fn takes_over_what_a_crash_left(place: &Place, root: &Path) {
    let name = object("aozora", 3, Part::Sealed);
    let left = root.join(format!("aozora/sakura/{}.age.part", "03".repeat(16)));
    fs::write(&left, "more than what comes now").unwrap();
    let mut target = place.open();
    assert_eq!(trouble(target.get(&name)), Trouble::Missing);
    target.put(&name, b"whole").unwrap();
    assert_eq!((target.get(&name).unwrap(), left.exists()), (b"whole".to_vec(), false));
    fs::write(&left, "half").unwrap();
    target.remove(&name).unwrap();
    assert!(place.names().is_empty());
}

fn is_not_made_where_it_is_away(place: &Place, root: &Path) {
    let mut target = place.open();
    let away = root.with_file_name("away");
    fs::rename(root, &away).unwrap();
    assert!(target.put(&object("aozora", 4, Part::Sealed), b"lost").is_err());
    assert_eq!(trouble(open(&place.place, &place.access, Use::First)), Trouble::Unreachable);
    assert!(!root.exists(), "a folder that is made would hide that a share is not mounted");
    fs::rename(&away, root).unwrap();
}

/// A target in which no file has room for more than [`ROOM_KIB`].
fn stays_whole_when_it_is_full(place: &Place) {
    let name = object("aozora", 5, Part::Sealed);
    let mut target = place.open();
    target.put(&name, b"before").unwrap();
    assert_eq!(trouble(target.put(&name, &vec![7; 1 << 20])), Trouble::Full);
    assert_eq!((target.get(&name).unwrap(), place.names().len()), (b"before".to_vec(), 1), "whole, and nothing half done beside it");
    target.put(&name, b"after").unwrap();
    assert_eq!(target.get(&name).unwrap(), b"after");
}

#[test]
fn a_folder_keeps_the_contract() {
    keeps_the_contract(&directory());
}

#[test]
fn an_sftp_server_keeps_the_contract() {
    keeps_the_contract(&sftp(None));
}

#[test]
fn an_s3_server_keeps_the_contract() {
    keeps_the_contract(&s3::bucket());
}

#[test]
fn an_sftp_server_that_is_full_says_so_and_keeps_what_it_has() {
    stays_whole_when_it_is_full(&sftp(Some(ROOM_KIB)));
}

/// Limits hold for a whole process, so this one is started again with one.
#[test]
fn a_folder_that_is_full_says_so_and_keeps_what_it_has() {
    if std::env::var_os("TEGATA_LITTLE_ROOM").is_some() {
        return stays_whole_when_it_is_full(&directory());
    }
    let limited = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", ROOM_KIB * 2);
    let own = std::env::current_exe().unwrap();
    let test = "a_folder_that_is_full_says_so_and_keeps_what_it_has";
    let output = Command::new("sh").args(["-c", &limited, "sh"]).arg(own).args(["--exact", test]).env("TEGATA_LITTLE_ROOM", "1").output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
