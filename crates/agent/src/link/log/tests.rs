use std::convert::Infallible;

use tegata_tlog::gather;
use tegata_tlog::merkle::{Frontier, Place, leaf};
use tegata_tlog::note::{Kind, Note, SignerKey};

use super::*;

const NOW: i64 = 1_800_000_000;

fn key(seed: u8) -> SignerKey {
    SignerKey::new("tegata/0011223344556677/aozora", Kind::Log, &[seed; 32]).unwrap()
}

fn root(records: &[String]) -> Hash {
    records.iter().map(String::as_bytes).collect::<Frontier>().root()
}

/// What an honest server says of these records to whoever knows the first `after`.
fn shown_by(signer: &SignerKey, records: &[String], after: u64) -> LogShown {
    let size = records.len() as u64;
    let checkpoint = Checkpoint { origin: signer.verifier().name().into(), size, root: root(records) };
    let mut note = Note::new(checkpoint.to_string()).unwrap();
    signer.sign(&mut note, 0);
    let hash = |place: Place| -> Result<Hash, Infallible> {
        let range = (place.index << place.level) as usize..((place.index + 1) << place.level) as usize;
        Ok(if place.level == 0 { leaf(records[range.start].as_bytes()) } else { root(&records[range]) })
    };
    let path = gather::collect(gather::consistency(after, size).unwrap_or_default(), hash).unwrap();
    let consistency = path.into_iter().map(|hash| BASE64.encode(&hash.0)).collect();
    LogShown { key: signer.verifier().to_string(), checkpoint: note.to_string(), consistency }
}

pub fn shown(records: &[String], after: u64) -> LogShown {
    shown_by(&key(7), records, after)
}

pub fn records(count: u64) -> Vec<String> {
    (1..=count).map(|number| format!("{{\"sequence\":{number}}}")).collect()
}

fn known(count: u64) -> KnownLog {
    KnownLog::hear(None, &shown(&records(count), 0), 0, NOW).unwrap()
}

#[test]
fn a_log_that_grows_is_followed_from_every_size_to_every_other() {
    for old in 0..20 {
        for new in old..20 {
            let after = KnownLog::hear(Some(known(old)), &shown(&records(new), old), 0, NOW).unwrap();
            assert_eq!((after.size(), after.contradiction), (new, None), "{old} to {new}");
        }
    }
}

#[test]
fn whatever_does_not_go_on_from_what_is_known_is_kept_beside_it_and_believed_never() {
    let changed: Vec<String> = records(12).into_iter().enumerate().map(|(at, one)| if at == 3 { "{}".into() } else { one }).collect();
    let honest = shown(&records(12), 9);
    let cases = [
        ("shorter: an older state was put back", shown(&records(8), 9)),
        ("of the same size, and another", shown(&changed[..9], 9)),
        ("longer, and changed before", shown(&changed, 9)),
        ("without its proof", LogShown { consistency: vec![], ..honest.clone() }),
        ("with a proof that is none", LogShown { consistency: vec!["?".into()], ..honest.clone() }),
        ("signed by another key", shown_by(&key(8), &records(12), 9)),
        ("of another key, which is not named", LogShown { key: honest.key.clone(), ..shown_by(&key(8), &records(12), 9) }),
        ("no note at all", LogShown { checkpoint: "soon".into(), ..honest.clone() }),
    ];
    for (why, other) in cases {
        let after = KnownLog::hear(Some(known(9)), &other, 0, NOW).unwrap();
        assert_eq!(
            after,
            KnownLog { contradiction: Some(Contradiction { since: NOW, shown: other.checkpoint.clone() }), ..known(9) },
            "{why}"
        );
        let again = KnownLog::hear(Some(after.clone()), &other, 0, NOW + 60).unwrap();
        assert_eq!(again, after, "{why}: since when it is so stays");
        let over = KnownLog::hear(Some(after), &honest, 0, NOW).unwrap();
        assert_eq!((over.size(), over.contradiction), (12, None), "{why}: a server that shows the known log again is followed");
    }
}

#[test]
fn nothing_is_learnt_from_what_nobody_has_signed() {
    let unsigned = LogShown { key: key(8).verifier().to_string(), ..shown(&records(3), 0) };
    assert_eq!(KnownLog::hear(None, &unsigned, 0, NOW), None);
    assert_eq!(KnownLog::hear(Some(known(9)), &unsigned, 1, NOW), Some(known(9)), "not in a new epoch either");
}

#[test]
fn once_a_recovery_is_on_record_the_log_begins_anew_and_the_old_end_is_kept() {
    let mut log = known(9);
    let first = log.checkpoint.clone();
    for epoch in 1..=10 {
        log = KnownLog::hear(Some(log), &shown(&records(4), 9), epoch, NOW).unwrap();
        assert_eq!((log.size(), log.epoch, &log.contradiction), (4, epoch, &None));
        assert_eq!(log.left.contains(&first), epoch <= 8, "eight ends are enough");
    }
    let old = KnownLog::hear(Some(log.clone()), &shown(&records(3), 4), 3, NOW).unwrap();
    assert!(old.contradiction.is_some(), "an epoch that is over is none");
}
