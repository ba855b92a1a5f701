//! What can go wrong only where there is a network in between.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tegata_core::backup::Trouble;
use tegata_core::policy::BackupPlace;
use tegata_server::backup::target::{Access, Part, TargetError, Use};
use tegata_tests::line::{cut_after, held_after};
use tegata_tests::sshd::Sshd;

use super::{Target, access, files, object, place_of, trouble};

fn open(place: &BackupPlace, access: &Access) -> Result<Box<dyn Target>, TargetError> {
    super::open(place, access, Use::First)
}

fn at_port(place: BackupPlace, other: u16) -> BackupPlace {
    match place {
        BackupPlace::Sftp { host, user, host_key, path, .. } => BackupPlace::Sftp { host, port: other, user, host_key, path },
        place => place,
    }
}

#[test]
fn a_wrong_host_key_stops_everything_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let (sshd, other) = (Sshd::start(&folder.path().join("one")).unwrap(), Sshd::start(&folder.path().join("other")).unwrap());
    let access = access(Some(sshd.key()));
    for kind in ["ed25519", "rsa"] {
        let impostor = place_of(&sshd, &other.host_key(kind).unwrap());
        assert_eq!(trouble(open(&impostor, &access)), Trouble::WrongHostKey);
    }
    let log = sshd.log().unwrap();
    assert!(log.contains("Connection from") && !log.contains("publickey"), "nobody tried to sign in: {log}");
    assert!(files(&sshd.root()).is_empty());
    for kind in ["ed25519", "rsa"] {
        let right = place_of(&sshd, &sshd.host_key(kind).unwrap());
        open(&right, &access).unwrap().put(&object("aozora", 1, Part::Sealed), b"x").expect("either of its keys may be pinned");
    }
}

#[test]
fn who_is_not_let_in_or_has_no_key_is_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (sshd, other) = (Sshd::start(&folder.path().join("one")).unwrap(), Sshd::start(&folder.path().join("other")).unwrap());
    let place = place_of(&sshd, &sshd.host_key("ed25519").unwrap());
    assert_eq!(trouble(open(&place, &access(Some(other.key())))), Trouble::SignIn);
    assert_eq!(trouble(open(&place, &access(None))), Trouble::NoCredentials);
    assert_eq!(trouble(open(&place, &access(Some(folder.path().join("nowhere"))))), Trouble::NoCredentials);
}

#[test]
fn who_does_not_answer_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut sshd = Sshd::start(&folder.path().join("one")).unwrap();
    let place = place_of(&sshd, &sshd.host_key("ed25519").unwrap());
    let access = Access { patience: Duration::from_secs(1), ..access(Some(sshd.key())) };
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    assert_eq!(trouble(open(&at_port(place.clone(), silent.local_addr().unwrap().port()), &access)), Trouble::Slow);
    assert!(start.elapsed() < Duration::from_secs(5));
    sshd.end();
    assert_eq!(trouble(open(&place, &access)), Trouble::Unreachable);
    sshd.resume().unwrap();
    open(&place, &access).expect("it is back");
}

#[test]
fn a_line_that_is_cut_in_mid_write_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let sshd = Sshd::start(&folder.path().join("one")).unwrap();
    let (place, access) = (place_of(&sshd, &sshd.host_key("ed25519").unwrap()), access(Some(sshd.key())));
    let name = object("aozora", 1, Part::Sealed);
    let large = vec![7; 2 << 20];
    open(&place, &access).unwrap().put(&name, b"before").unwrap();
    let cut = at_port(place.clone(), cut_after(sshd.port(), 600_000));
    let mut target = open(&cut, &access).unwrap();
    let found = trouble(target.put(&name, &large));
    assert!(matches!(found, Trouble::Unreachable | Trouble::Slow), "{found:?}");
    drop(target);
    let mut target = open(&place, &access).unwrap();
    assert_eq!(target.get(&name).unwrap(), b"before");
    target.put(&name, &large).unwrap();
    assert!(target.get(&name).unwrap() == large && files(&sshd.root()).len() == 1, "and what was half done is gone");
}

#[test]
fn a_server_that_is_killed_in_mid_write_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut sshd = Sshd::start(&folder.path().join("one")).unwrap();
    let (place, access) = (place_of(&sshd, &sshd.host_key("ed25519").unwrap()), access(Some(sshd.key())));
    let (name, large) = (object("aozora", 1, Part::Sealed), vec![7; 2 << 20]);
    open(&place, &access).unwrap().put(&name, b"before").unwrap();
    let (slowed, reached) = held_after(sshd.port(), 600_000);
    let mut target = open(&at_port(place.clone(), slowed), &access).unwrap();
    let writing = std::thread::spawn(move || trouble(target.put(&object("aozora", 1, Part::Sealed), &large)));
    reached.recv().unwrap();
    sshd.end();
    drop(reached);
    let found = writing.join().unwrap();
    assert!(matches!(found, Trouble::Unreachable | Trouble::Slow), "{found:?}");
    sshd.resume().unwrap();
    let mut target = open(&place, &access).unwrap();
    assert_eq!(target.get(&name).unwrap(), b"before");
    target.put(&name, b"after").unwrap();
    assert_eq!((target.get(&name).unwrap(), files(&sshd.root()).len()), (b"after".to_vec(), 1), "and what was half done is gone");
}
