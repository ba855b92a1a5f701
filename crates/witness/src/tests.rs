use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::merkle::{Frontier, leaf};
use tegata_tlog::note::{Kind, Note, SignerKey};
use tegata_tlog::witness::{Refusal, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const ORIGIN: &str = "tegata/0011223344556677/aozora";
const NAME: &str = "witness.example.jp/audit";

fn log(byte: u8) -> SignerKey {
    SignerKey::new(ORIGIN, Kind::Log, &[byte; 32]).unwrap()
}

/// The first two entries, and then those that are named.
fn request(old: u64, path: &[&str], then: &[&str]) -> Request {
    let root = ["a", "b"].iter().chain(then).map(|entry| entry.as_bytes()).collect::<Frontier>().root();
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size: 2 + then.len() as u64, root };
    let mut note = Note::new(checkpoint.to_string()).unwrap();
    log(1).sign(&mut note, 0);
    Request { old, path: path.iter().map(|entry| leaf(entry.as_bytes())).collect(), note }
}

fn open(folder: &Path) -> Result<Cosigner, WitnessError> {
    Cosigner::open(folder, NAME, vec![log(1).verifier().clone()])
}

fn refused(outcome: Result<String, CosignError>) -> Refusal {
    match outcome {
        Err(CosignError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn remembered(folder: &Path) -> PathBuf {
    let is_log = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "log");
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).find(is_log).expect("it remembers something")
}

#[test]
fn what_was_cosigned_binds_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let key = first.verifier().clone();
    let asked = request(0, &[], &["c"]);
    let mut note = asked.note.clone();
    assert!(note.add(&first.cosign(&asked).unwrap(), &key).unwrap() > 1_700_000_000);
    assert!(matches!(open(folder.path()), Err(WitnessError::InUse(_))));
    drop(first);

    let again = open(folder.path()).unwrap();
    assert_eq!(*again.verifier(), key);
    assert_eq!(refused(again.cosign(&request(0, &[], &[]))), Refusal::OtherSize(3), "an older state");
    assert_eq!(refused(again.cosign(&request(3, &[], &["x"]))), Refusal::Forked);
    let kept = fs::read_to_string(remembered(folder.path()).with_extension("log.refused")).unwrap();
    assert_eq!(kept, request(3, &[], &["x"]).note.to_string(), "two histories, signed, for whoever is asked about them");
    again.cosign(&request(3, &["d"], &["c", "d"])).unwrap_err();
    let grown =
        Request { path: vec![leaf(b"c"), leaf(b"d"), tegata_tlog::merkle::node(leaf(b"a"), leaf(b"b"))], ..request(3, &[], &["c", "d"]) };
    again.cosign(&grown).unwrap();
}

#[test]
fn what_cannot_be_remembered_is_not_cosigned() {
    let folder = tempfile::tempdir().unwrap();
    let cosigner = open(folder.path()).unwrap();
    cosigner.cosign(&request(0, &[], &[])).unwrap();
    let path = remembered(folder.path());
    let before = fs::read_to_string(&path).unwrap();
    fs::create_dir(path.with_extension("log.new")).unwrap();
    assert!(matches!(cosigner.cosign(&request(2, &["c"], &["c"])), Err(CosignError::Folder(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), before);
    fs::remove_dir(path.with_extension("log.new")).unwrap();
    cosigner.cosign(&request(2, &["c"], &["c"])).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), request(2, &[], &["c"]).note.to_string(), "it is there when the answer is");
}

/// Whoever has the log's key asks for two histories at the same moment, again and again.
#[test]
fn two_who_ask_at_once_never_get_two_trees_of_one_size() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let cosigner = Arc::new(open(folder.path()).unwrap());
        cosigner.cosign(&request(0, &[], &[])).unwrap();
        let start = Arc::new(std::sync::Barrier::new(8));
        let ask = |number: usize| {
            let (cosigner, start) = (cosigner.clone(), start.clone());
            let entry = ["c", "x"][number % 2];
            std::thread::spawn(move || {
                start.wait();
                cosigner.cosign(&request(2, &[entry], &[entry])).is_ok().then_some(entry)
            })
        };
        let threads: Vec<_> = (0..8).map(ask).collect();
        let cosigned: Vec<_> = threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(cosigned.len(), 1, "the others no longer begin where the witness is: {cosigned:?}");
    }
}

#[test]
fn a_damaged_memory_is_never_taken_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let cosigner = open(folder.path()).unwrap();
    cosigner.cosign(&request(0, &[], &[])).unwrap();
    let path = remembered(folder.path());
    fs::write(&path, "").unwrap();
    assert!(matches!(cosigner.cosign(&request(0, &[], &["c"])), Err(CosignError::Folder(WitnessError::Damaged { .. }))));
    drop(cosigner);
    assert!(matches!(open(folder.path()), Err(WitnessError::Damaged { .. })));
}

#[test]
fn a_key_has_one_name_and_no_reader_but_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let path = folder.path().join("witness.key");
    let with = |name| Cosigner::open(folder.path(), name, vec![]);
    assert!(matches!(with("another"), Err(WitnessError::OtherKey { .. })));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(with(NAME), Err(WitnessError::Exposed { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::write(&path, format!("{NAME}\nAAAA\n")).unwrap();
    assert!(matches!(with(NAME), Err(WitnessError::OtherKey { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(with("two words"), Err(WitnessError::Name(_))));
    assert!(!path.exists());
}

/// What the specification says to each request, over a real connection.
#[tokio::test]
async fn every_answer_is_the_one_of_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    let door = Door::listen(([127, 0, 0, 1], 0).into(), open(folder.path()).unwrap()).await.unwrap();
    let address = door.address().unwrap();
    let _open = tokio::task::JoinSet::from_iter([door.open()]);
    let ask = |body: String| answered(address, "POST /add-checkpoint", body);
    let foreign = request(0, &[], &[]).to_string().replace("aozora\n", "midori\n");
    assert_eq!(ask(foreign).await.0, 404);
    let forged = request(0, &[], &[]).to_string().replace("\n2\n", "\n3\n");
    assert_eq!(ask(forged).await.0, 403);
    let (status, _, lines) = ask(request(0, &[], &[]).to_string()).await;
    assert!(status == 200 && lines.starts_with(&format!("\u{2014} {NAME} ")) && lines.ends_with('\n'), "{lines}");
    let (status, kind, size) = ask(request(0, &[], &["c"]).to_string()).await;
    assert_eq!((status, &*kind, &*size), (409, "text/x.tlog.size", "2\n"));
    assert_eq!(ask(request(2, &["x"], &["c"]).to_string()).await.0, 422);
    let mut other = request(2, &[], &[]);
    other.note = Note::new(other.note.text().replace(&other.note.text()[ORIGIN.len() + 3..], &format!("{}\n", leaf(b"x")))).unwrap();
    log(1).sign(&mut other.note, 0);
    let (status, kind, _) = ask(other.to_string()).await;
    assert_eq!((status, &*kind), (409, "text/plain; charset=utf-8"), "a fork is no size");
    for wrong in [String::new(), "old 2\n".into(), request(3, &[], &[]).to_string(), "x".repeat(100_000)] {
        assert_eq!(ask(wrong).await.0, 400);
    }
    assert_eq!(answered(address, "GET /add-checkpoint", String::new()).await.0, 405);
    assert_eq!(answered(address, "POST /", String::new()).await.0, 404);
}

/// Status, kind and body of an answer.
async fn answered(address: SocketAddr, asked: &str, body: String) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{asked} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    // What is too long is answered before it was read.
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
    (head[9..12].parse().unwrap(), kind.to_owned(), body.to_owned())
}
