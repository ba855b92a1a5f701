//! Whether everything that should have happened has happened, and is on record. Looks at facts, never at what the acts believed.

use tegata_api::v1::audit::{Record, Stage};
use tegata_api::v1::fleet::{Certificate, Slot};

/// What is there at the end.
pub struct Facts<'a> {
    /// Every slot.
    pub slots: &'a [Slot],
    /// Every certificate that was ever issued.
    pub certificates: &'a [Certificate],
    /// The whole audit log.
    pub records: &'a [Record],
    /// Installers that still lie somewhere.
    pub left_behind: &'a [String],
}

/// What is missing, one sentence each; nothing is the happy end.
pub fn misses(facts: &Facts<'_>) -> Vec<String> {
    let mut misses = Vec::new();
    if facts.slots.is_empty() {
        misses.push("there are no slots at all".to_owned());
    }
    let not_ready = facts.slots.iter().filter(|slot| slot.state != "ready");
    misses.extend(not_ready.map(|slot| format!("{} is not ready: {}", slot.name, slot.state)));
    misses.extend(facts.left_behind.iter().map(|path| format!("{path} is still there")));
    misses.extend(gap(facts.records));
    for certificate in facts.certificates {
        for stage in [Stage::Intended, Stage::Done, Stage::Seen] {
            if !facts.records.iter().any(|record| record.stage == stage && is_about(record, certificate)) {
                misses.push(format!("certificate {} ({}) has no record of stage {stage:?}", certificate.serial, certificate.slot));
            }
        }
    }
    misses
}

/// Records are numbered without gaps.
fn gap(records: &[Record]) -> Option<String> {
    let expected = 1..;
    let wrong = records.iter().zip(expected).find(|(record, expected)| record.sequence != *expected)?;
    Some(format!("record {} is missing from the audit log", wrong.1))
}

/// Receipts name the fingerprint, the server's own acts the serial number.
fn is_about(record: &Record, certificate: &Certificate) -> bool {
    let details = record.details.to_string();
    details.contains(&certificate.serial) || details.contains(&certificate.fingerprint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn slot(state: &str) -> Slot {
        Slot { name: "sakura/pc-1/karte".into(), state: state.into(), serial: None, not_after: None, proven_at: None, account: None }
    }

    fn certificate() -> Certificate {
        Certificate {
            serial: "4f01".into(),
            fingerprint: "abcd".into(),
            slot: "sakura/pc-1/karte".into(),
            state: "proven".into(),
            not_before: 0,
            not_after: 1,
            revoked_at: None,
        }
    }

    fn record(sequence: u64, stage: Stage, details: serde_json::Value) -> Record {
        Record { sequence, at: 0, stage, actor: "tegata".into(), action: "x".into(), object: "y".into(), details }
    }

    fn whole_log() -> Vec<Record> {
        vec![
            record(1, Stage::Intended, json!({"serial": "4f01"})),
            record(2, Stage::Done, json!({"serial": "4f01"})),
            record(3, Stage::Seen, json!({"receipt": "{\"fingerprint\":\"abcd\"}"})),
        ]
    }

    #[test]
    fn all_there_is_a_happy_end() {
        let facts = Facts { slots: &[slot("ready")], certificates: &[certificate()], records: &whole_log(), left_behind: &[] };
        assert_eq!(misses(&facts), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_missing_is_named() {
        let mut records = whole_log();
        records.remove(1);
        let left_behind = ["~/Downloads/client_cert.pfx".to_owned()];
        let facts = Facts { slots: &[slot("not-proven")], certificates: &[certificate()], records: &records, left_behind: &left_behind };
        assert_eq!(
            misses(&facts),
            [
                "sakura/pc-1/karte is not ready: not-proven",
                "~/Downloads/client_cert.pfx is still there",
                "record 2 is missing from the audit log",
                "certificate 4f01 (sakura/pc-1/karte) has no record of stage Done",
            ]
        );
    }

    #[test]
    fn an_empty_fleet_is_no_success() {
        let facts = Facts { slots: &[], certificates: &[], records: &[], left_behind: &[] };
        assert_eq!(misses(&facts), ["there are no slots at all"]);
    }
}
