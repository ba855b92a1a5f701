//! The stand-alone verifier, on an export and on one that was changed.

use std::convert::Infallible;
use std::fs;
use std::path::Path;
use std::process::Command;

use tegata_tlog::checkpoint::Checkpoint;
use tegata_tlog::gather;
use tegata_tlog::merkle::{Frontier, Hash, Place, leaf};
use tegata_tlog::note::{Kind, Note, SignerKey};
use tegata_tlog::period::Period;
use tegata_tlog::ticket::Ticket;
use tegata_tlog::witness::Request;

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

/// Whether it holds, and what is said.
fn verified(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let (code, said) = run(folder, &[&[&*key().verifier().to_string()], arguments].concat());
    (code == 0, said)
}

/// The exit code where a quorum of witnesses is asked for, and what is said.
fn witnessed(folder: &Path, arguments: &[&str]) -> (i32, String) {
    run(folder, &[&["--witnesses", "policy", &*key().verifier().to_string()], arguments].concat())
}

/// Nothing of this machine is known to the program but the folder.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut verifier = Command::new(env!("CARGO_BIN_EXE_tegata-verify"));
    let output = verifier.args(arguments).env_clear().current_dir(folder).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Somebody who cosigns what goes on from what was cosigned before, and nothing else.
struct Witness {
    key: SignerKey,
    last: Option<Checkpoint>,
}

impl Witness {
    fn new(byte: u8) -> Self {
        Self { key: SignerKey::new("witness.example.jp", Kind::Witness, &[byte; 32]).unwrap(), last: None }
    }

    /// The lines for a checkpoint over these records, if the witness sees fit.
    fn cosign(&mut self, records: &[&str]) -> Option<String> {
        let old = self.last.as_ref().map_or(0, |last| last.size);
        let request = Request { old, path: proof(records, old), note: note(records).parse().unwrap() };
        let now = request.checkpoint([key().verifier()]).unwrap();
        request.goes_on(self.last.as_ref(), &now).ok()?;
        self.last = Some(now);
        let mut note = Note::new(request.note.text().to_owned()).unwrap();
        self.key.sign(&mut note, 1_795_000_000);
        Some(note.lines())
    }
}

/// The best that can be had that these records go on from the first `old` of them.
fn proof(records: &[&str], old: u64) -> Vec<Hash> {
    let parts = gather::consistency(old, records.len() as u64).unwrap_or_default();
    let hash = |place: Place| -> Result<Hash, Infallible> {
        let range = (place.index << place.level) as usize..((place.index + 1) << place.level) as usize;
        Ok(records[range].iter().map(|record| record.as_bytes()).collect::<Frontier>().root())
    };
    let Ok(path) = gather::collect(parts, hash);
    path
}

/// Two of these have to vouch.
fn policy(witnesses: &[&Witness]) -> String {
    let line = |(number, witness): (usize, &&Witness)| format!("witness w{number} {}\n", witness.key.verifier());
    let lines: String = witnesses.iter().enumerate().map(line).collect();
    let names: Vec<String> = (0..witnesses.len()).map(|number| format!("w{number}")).collect();
    format!("{lines}group office 2 {}\nquorum office\n", names.join(" "))
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

/// Whoever has stolen the log's key writes the log anew, and signs that. Alone it looks fine; the witnesses do not vouch for it.
#[test]
fn a_log_that_was_signed_anew_with_the_stolen_key_is_found_out_by_its_witnesses_and_only_by_them() {
    let [one, two, three] = RECORDS;
    let other = r#"{"sequence":2,"forged":1}"#;
    for (what, forged) in [
        ("edited", vec![one, other, three]),
        ("deleted", vec![one, three]),
        ("reordered", vec![two, one, three]),
        ("truncated", vec![one, two]),
        ("duplicated", vec![one, two, two, three]),
        ("forked", vec![one, two, other]),
        ("forked, and grown", vec![one, other, three, three]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut witnesses = [1, 2, 3].map(Witness::new);
        fs::write(folder.join("policy"), policy(&witnesses.iter().collect::<Vec<_>>())).unwrap();
        let lines: String = witnesses.iter_mut().filter_map(|witness| witness.cosign(&RECORDS)).collect();
        let cosigned = note(&RECORDS) + &lines;
        exported(folder, &RECORDS, &note(&RECORDS));
        fs::write(folder.join("witnessed.txt"), &cosigned).unwrap();
        let (code, said) = witnessed(folder, &["."]);
        assert!(code == 0 && said.contains("3 of them are vouched for by a quorum of witnesses, as of 2026-11-18 11:06:40 UTC"), "{said}");

        exported(folder, &forged, &note(&forged));
        assert_eq!(witnessed(folder, &["."]).0, 1, "{what}: it does not fit what was cosigned");
        fs::remove_file(folder.join("witnessed.txt")).unwrap();
        assert!(verified(folder, &["."]).0, "{what}: alone it looks fine");
        assert_eq!(witnessed(folder, &["."]).0, 13, "{what}: nobody vouches for it");
        assert!(witnesses.iter_mut().all(|witness| witness.cosign(&forged).is_none()), "{what}: and nobody will");
        fs::write(folder.join("witnessed.txt"), note(&forged) + &lines).unwrap();
        assert_eq!(witnessed(folder, &["."]).0, 13, "{what}: what they have signed is another text");
    }
}

#[test]
fn a_quorum_is_as_many_as_the_policy_says() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut witnesses = [1, 2, 3].map(Witness::new);
    fs::write(folder.join("policy"), policy(&witnesses.iter().collect::<Vec<_>>())).unwrap();
    exported(folder, &RECORDS, &note(&RECORDS));
    let [first, second, _] = witnesses.each_mut().map(|witness| witness.cosign(&RECORDS).unwrap());
    for (lines, expected) in [
        (first.clone(), 13),
        (format!("{first}{first}"), 13),
        (format!("{first}{second}"), 0),
        (format!("{first}{}", Witness::new(9).cosign(&RECORDS).unwrap()), 13),
    ] {
        fs::write(folder.join("witnessed.txt"), note(&RECORDS) + &lines).unwrap();
        let (code, said) = witnessed(folder, &["."]);
        assert_eq!(code, expected, "{said}");
    }
    let other = SignerKey::new("tegata/0011223344556677/midori", Kind::Log, &[6; 32]).unwrap();
    let named = format!("log {}\n{}", other.verifier(), policy(&witnesses.iter().collect::<Vec<_>>()));
    fs::write(folder.join("policy"), named).unwrap();
    fs::write(folder.join("witnessed.txt"), note(&RECORDS) + &first + &second).unwrap();
    assert_eq!(witnessed(folder, &["."]).0, 1, "a policy about another log says nothing about this one");
}

#[test]
fn one_record_is_proven_with_its_witnesses() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut witnesses = [1, 2].map(Witness::new);
    fs::write(folder.join("policy"), policy(&witnesses.iter().collect::<Vec<_>>())).unwrap();
    let lines: String = witnesses.iter_mut().filter_map(|witness| witness.cosign(&RECORDS)).collect();
    let path = [RECORDS[0], RECORDS[2]].map(|record| leaf(record.as_bytes())).to_vec();
    fs::write(folder.join("record"), RECORDS[1]).unwrap();
    for (note, expected) in [(note(&RECORDS) + &lines, 0), (note(&RECORDS), 13)] {
        fs::write(folder.join("proof"), Ticket { index: 1, path: path.clone(), note }.to_string()).unwrap();
        assert_eq!(witnessed(folder, &["proof", "record"]).0, expected);
        assert!(verified(folder, &["proof", "record"]).0, "without witnesses it is the log's word");
    }
}

/// Whoever wants to believe the program reads it before: what it consists of, tests and comments aside.
#[test]
fn all_that_has_to_be_believed_is_read_in_an_afternoon() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut lines = 0;
    for file in fs::read_dir(&source).unwrap().chain(fs::read_dir(source.join("bin")).unwrap()) {
        let path = file.unwrap().path();
        // How tiles are kept, proofs made, witnesses asked and personal texts disclosed is the business of others.
        if path.is_dir() || ["tile.rs", "gather.rs", "witness.rs", "personal.rs"].contains(&path.file_name().unwrap().to_str().unwrap()) {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap().lines().map(str::trim);
        lines += code.filter(|line| !line.is_empty() && !line.starts_with("//")).count();
    }
    assert!((500..1_000).contains(&lines), "{lines}");
}
