//! What Go's checksum database is verified with believes our logs, and none that was changed; so does what witnesses are believed with.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use data_encoding::BASE64;
use serde_json::{Value, json};
use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::gather;
use tegata_tlog::merkle::{Frontier, Hash, Place, leaf, node};
use tegata_tlog::note::{Kind, Note, SignerKey};

const ENTRIES: u64 = 21;

fn entry(number: u64) -> String {
    format!("{{\"sequence\":{number},\"object\":\"受付\"}}")
}

fn hash(place: Place) -> Result<Hash, std::convert::Infallible> {
    if place.level == 0 {
        return Ok(leaf(entry(place.index).as_bytes()));
    }
    let half = |index| hash(Place { level: place.level - 1, index });
    Ok(node(half(2 * place.index)?, half(2 * place.index + 1)?))
}

fn proven(index: u64, size: u64, parts: Option<Vec<gather::Part>>) -> Value {
    let Ok(path) = gather::collect(parts.expect("it is in the tree"), hash);
    json!({ "Index": index, "Size": size, "Path": path.iter().map(Hash::to_string).collect::<Vec<_>>() })
}

/// A whole log, and every proof that there is of it.
fn claim() -> Value {
    let entries: Vec<String> = (0..ENTRIES).map(entry).collect();
    let root = entries.iter().map(|entry| entry.as_bytes()).collect::<Frontier>().root();
    let key = SignerKey::new("tegata/0011223344556677/aozora", Kind::Log, &[9; 32]).unwrap();
    let checkpoint = Checkpoint { origin: key.verifier().name().into(), size: ENTRIES, root };
    let mut note = Note::new(checkpoint.to_string()).unwrap();
    key.sign(&mut note, 0);
    let witness = SignerKey::new("witness.example.jp/audit", Kind::Witness, &[8; 32]).unwrap();
    witness.sign(&mut note, 1_795_000_000);
    let pairs = || (1..=ENTRIES).flat_map(|size| (0..size).map(move |index| (index, size)));
    json!({
        "Key": key.verifier().to_string(),
        "Witness": witness.verifier().to_string(),
        "Note": note.to_string(),
        "Entries": entries,
        "Inclusion": pairs().map(|(index, size)| proven(index, size, gather::inclusion(index, size))).collect::<Vec<_>>(),
        "Consistency": pairs().filter(|(old, _)| *old > 0)
            .map(|(old, new)| proven(old, new, gather::consistency(old, new))).collect::<Vec<_>>(),
    })
}

fn believed(claim: &Value) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/others");
    let mut go = Command::new("go");
    go.args(["run", "."]).current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = go.spawn().expect("go is installed");
    running.stdin.take().unwrap().write_all(claim.to_string().as_bytes()).unwrap();
    String::from_utf8(running.wait_with_output().unwrap().stdout).unwrap()
}

/// The witness's line, as if it had vouched a second later.
fn of_another_time(note: &str) -> String {
    let (rest, line) = note.trim_end().rsplit_once(' ').unwrap();
    let mut bytes = BASE64.decode(line.as_bytes()).unwrap();
    bytes[11] += 1;
    format!("{rest} {}\n", BASE64.encode(&bytes))
}

#[test]
fn others_believe_a_log_and_all_its_proofs_and_none_that_was_changed() {
    let claim = claim();
    assert_eq!(believed(&claim), "fine\n");
    for (path, value) in [
        ("/Entries/3", json!("x")),
        ("/Note", json!(claim["Note"].as_str().unwrap().replace("21", "20"))),
        ("/Note", json!(of_another_time(claim["Note"].as_str().unwrap()))),
        ("/Inclusion/30/Index", json!(5)),
        ("/Consistency/30/Path", json!([])),
    ] {
        let mut changed = claim.clone();
        *changed.pointer_mut(path).unwrap() = value;
        let told = believed(&changed);
        assert!(!told.is_empty() && told != "fine\n", "{path}: {told}");
    }
}
