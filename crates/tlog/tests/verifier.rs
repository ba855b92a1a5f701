//! The stand-alone verifier, on an export and on one that was changed.

use std::fs;
use std::path::Path;
use std::process::Command;

use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::merkle::{Frontier, leaf};
use tegata_tlog::note::{Kind, Note, SignerKey};
use tegata_tlog::period::Period;
use tegata_tlog::ticket::Ticket;

const RECORDS: [&str; 3] = [r#"{"sequence":1}"#, r#"{"sequence":2}"#, r#"{"sequence":3}"#];

fn key() -> SignerKey {
    SignerKey::new("tegata/0011223344556677/aozora", Kind::Log, &[7; 32]).unwrap()
}

fn note(records: &[&str]) -> String {
    let root = records.iter().map(|record| record.as_bytes()).collect::<Frontier>().root();
    let checkpoint = Checkpoint { origin: key().verifier().name().into(), size: records.len() as u64, root };
    let mut note = Note::new(checkpoint.to_string()).unwrap();
    key().sign(&mut note, 0);
    note.to_string()
}

fn exported(folder: &Path, records: &[&str], note: &str) {
    fs::write(folder.join("records.jsonl"), records.iter().map(|record| format!("{record}\n")).collect::<String>()).unwrap();
    fs::write(folder.join("checkpoint.txt"), note).unwrap();
    fs::write(folder.join("period.txt"), Period::whole(records.len() as u64).to_string()).unwrap();
}

/// Whether it holds, and what is said. Nothing of this machine is known to the program but the folder.
fn verified(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut verifier = Command::new(env!("CARGO_BIN_EXE_tegata-verify"));
    let output = verifier.arg(key().verifier().to_string()).args(arguments).env_clear().current_dir(folder).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn an_export_holds_as_it_is_and_not_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    exported(folder, &RECORDS, &note(&RECORDS));
    assert_eq!(
        verified(folder, &["."]),
        (true, "tegata/0011223344556677/aozora: 3 records, none changed, left out, put in or moved\n".into())
    );
    let [one, two, three] = RECORDS;
    for (what, records) in [
        ("edited", vec![one, two, r#"{"sequence":4}"#]),
        ("deleted", vec![one, three]),
        ("reordered", vec![two, one, three]),
        ("truncated", vec![one, two]),
        ("duplicated", vec![one, two, two, three]),
        ("lengthened", vec![one, two, three, three]),
    ] {
        exported(folder, &records, &note(&RECORDS));
        assert!(!verified(folder, &["."]).0, "{what}");
    }
    exported(folder, &RECORDS, &note(&RECORDS).replace("\n3\n", "\n2\n"));
    assert!(!verified(folder, &["."]).0, "a checkpoint that the key has not signed");
}

#[test]
fn what_was_kept_before_binds_a_history_that_was_signed_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    fs::write(folder.join("kept"), note(&RECORDS[..2])).unwrap();
    let forged = [RECORDS[0], r#"{"sequence":2,"forged":1}"#, RECORDS[2]];
    exported(folder, &forged, &note(&forged));
    assert!(verified(folder, &["."]).0, "alone it looks fine");
    let (holds, said) = verified(folder, &[".", "kept"]);
    assert!(!holds && said.contains("first 2 entries"), "{said}");
    exported(folder, &RECORDS[..1], &note(&RECORDS[..1]));
    assert!(!verified(folder, &[".", "kept"]).0, "an older state");
}

#[test]
fn one_record_is_proven_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let path = [RECORDS[0], RECORDS[2]].map(|record| leaf(record.as_bytes())).to_vec();
    fs::write(folder.join("proof"), Ticket { index: 1, path, note: note(&RECORDS) }.to_string()).unwrap();
    fs::write(folder.join("record"), format!("{}\n", RECORDS[1])).unwrap();
    assert_eq!(verified(folder, &["proof", "record"]), (true, "this is record 2 of 3\n".into()));
    fs::write(folder.join("record"), RECORDS[0]).unwrap();
    assert!(!verified(folder, &["proof", "record"]).0);
}
