//! What can go wrong only with a bucket.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use tegata_core::backup::Trouble;
use tegata_core::policy::{BackupPlace, Bucket};
use tegata_server::backup::target::{Access, Part, Target, Use, open};
use tegata_tests::s3::{BUCKET, S3};

use super::{Behind, Place, access, object, trouble};
use tegata_tests::line::{cut_after, held_after};

/// A bucket at a server of its own.
pub fn bucket() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3")).unwrap();
    let access = Access { credentials: Some(s3.credentials()), ..access(None) };
    Place { place: BackupPlace::S3(of(&s3)), access, behind: Behind::S3(s3), _folder: folder }
}

fn of(s3: &S3) -> Bucket {
    Bucket {
        endpoint: Some(s3.endpoint()),
        region: "us-east-1".into(),
        name: BUCKET.into(),
        prefix: String::new(),
        path_style: true,
        authority: Some(s3.authority().unwrap()),
        credentials: "default".into(),
    }
}

/// The bucket of a place, changed, at its server.
fn with(place: &Place, change: impl FnOnce(&mut Bucket)) -> Box<dyn Target> {
    let BackupPlace::S3(mut bucket) = place.place.clone() else { panic!("it is no bucket") };
    change(&mut bucket);
    open(&BackupPlace::S3(bucket), &place.access, Use::First).unwrap()
}

fn at(port: u16) -> impl FnOnce(&mut Bucket) {
    move |bucket| bucket.endpoint = Some(format!("https://127.0.0.1:{port}"))
}

fn server(place: &mut Place) -> &mut S3 {
    match &mut place.behind {
        Behind::S3(s3) => s3,
        _ => panic!("it is no bucket"),
    }
}

#[test]
fn a_server_of_another_authority_is_told_nothing() {
    let (place, other) = (bucket(), bucket());
    let name = object("aozora", 1, Part::Sealed);
    let BackupPlace::S3(Bucket { authority: others, .. }) = other.place.clone() else { panic!("it is no bucket") };
    for authority in [others, None] {
        let mut impostor = with(&place, |bucket| bucket.authority = authority);
        assert_eq!(trouble(impostor.put(&name, b"sealed")), Trouble::WrongAuthority);
    }
    assert!(place.names().is_empty());
    place.open().put(&name, b"sealed").unwrap();
}

#[test]
fn a_wrong_key_a_missing_one_and_a_missing_bucket_are_told_apart() {
    let mut place = bucket();
    let name = object("aozora", 1, Part::Sealed);
    let right = fs::read_to_string(server(&mut place).credentials()).unwrap();
    let wrong = |text: &str| fs::write(place.access.credentials.as_ref().unwrap(), text).unwrap();
    for garbled in [right.replace("secret_access_key = ", "secret_access_key = x"), right.replace("key_id = ", "key_id = x")] {
        wrong(&garbled);
        assert_eq!(trouble(place.open().put(&name, b"sealed")), Trouble::SignIn);
    }
    wrong("[other]\n");
    assert_eq!(trouble(open(&place.place, &place.access, Use::First)), Trouble::NoCredentials);
    wrong(&right);
    assert_eq!(trouble(open(&place.place, &access(None), Use::First)), Trouble::NoCredentials);
    assert_eq!(trouble(with(&place, |bucket| bucket.name = "nowhere".into()).put(&name, b"sealed")), Trouble::Unreachable);
    place.open().put(&name, b"sealed").unwrap();
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    let mut place = bucket();
    let name = object("aozora", 1, Part::Sealed);
    place.access.patience = Duration::from_secs(1);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let start = Instant::now();
    assert_eq!(trouble(with(&place, at(silent.local_addr().unwrap().port())).put(&name, b"sealed")), Trouble::Slow);
    assert!(start.elapsed() < Duration::from_secs(5));
    place.access.patience = Duration::from_secs(10);
    server(&mut place).end();
    assert_eq!(trouble(place.open().put(&name, b"sealed")), Trouble::Unreachable);
    server(&mut place).resume().unwrap();
    place.open().put(&name, b"sealed").expect("it is back");
}

#[test]
fn what_breaks_off_in_mid_write_leaves_what_was_there() {
    let mut place = bucket();
    let (name, large) = (object("aozora", 1, Part::Sealed), vec![7; 2 << 20]);
    place.open().put(&name, b"before").unwrap();
    let port = server(&mut place).port();
    // The first question is whether nothing is there yet, with all that is to be put.
    let found = trouble(with(&place, at(cut_after(port, 600_000))).put(&name, &large));
    assert!(matches!(found, Trouble::Unreachable | Trouble::Slow), "{found:?}");
    assert_eq!(place.open().get(&name).unwrap(), b"before");

    let (held, reached) = held_after(port, 600_000);
    let mut target = with(&place, at(held));
    let writing = std::thread::spawn(move || trouble(target.put(&object("aozora", 1, Part::Sealed), &large)));
    reached.recv().unwrap();
    server(&mut place).end();
    drop(reached);
    let found = writing.join().unwrap();
    assert!(matches!(found, Trouble::Unreachable | Trouble::Slow), "{found:?}");
    server(&mut place).resume().unwrap();
    assert_eq!(
        trouble(place.open().get(&name)),
        Trouble::Missing,
        "this server forgets everything when it ends; nothing half done is there"
    );
    place.open().put(&name, b"after").unwrap();
    assert_eq!(place.open().get(&name).unwrap(), b"after");
}

#[test]
fn names_begin_as_policy_says() {
    let place = bucket();
    let name = object("aozora", 1, Part::Sealed);
    for (prefix, beginning) in [("clinics/tokyo/", "clinics/tokyo/aozora/"), ("b-", "b-aozora/")] {
        let mut target = with(&place, |bucket| bucket.prefix = prefix.into());
        target.put(&name, b"sealed").unwrap();
        assert!(place.names()[0].starts_with(beginning), "{:?}", place.names());
        target.remove(&name).unwrap();
        assert!(place.names().is_empty());
    }
}
