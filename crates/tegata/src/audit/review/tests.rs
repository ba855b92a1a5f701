use serde_json::json;

use super::*;

fn record(sequence: u64, at: i64, stage: Stage, action: &str, details: Value) -> Record {
    Record { sequence, at, stage, actor: "tegata".into(), action: action.into(), object: "sakura/pc-1/karte".into(), details }
}

/// Details by which every promise and its end belong together.
fn details(number: u64) -> Value {
    let number = number.to_string();
    json!({ "serial": number, "order": number, "sha256": number, "backup": number, "target": "nas", "letter": number })
}

fn review(records: &[Record]) -> (Vec<Exception>, Completeness) {
    let mut review = Review::default();
    records.iter().for_each(|record| review.push(record));
    review.findings()
}

#[test]
fn whatever_was_intended_is_told_once_it_is_late_until_it_has_an_outcome() {
    for promise in &PROMISES {
        let intended = record(1, 0, Stage::Intended, promise.intended, details(1));
        let later = |after| record(9, promise.within + after, Stage::Done, "log.heartbeat", json!({}));
        let told =
            |records: &[Record]| review(records).0.iter().map(|exception| (exception.sequence, exception.matter)).collect::<Vec<_>>();
        assert_eq!(told(&[intended.clone(), later(0)]), [], "{} is not late yet", promise.intended);
        assert_eq!(told(&[intended.clone(), later(1)]), [(1, Matter::Unfinished)], "{} is late", promise.intended);
        for action in promise.ended_by {
            let ended = record(2, 1, Stage::Done, action, details(1));
            assert_eq!(told(&[intended.clone(), ended, later(1)]), [], "{action} ends {}", promise.intended);
            if !matches!(promise.by, By::Object) {
                let other = record(2, 1, Stage::Done, action, details(2));
                assert_eq!(told(&[intended.clone(), other, later(1)]).len(), 1, "{action} of another does not end {}", promise.intended);
            }
        }
        assert!(!WITHOUT_OUTCOME.contains(&promise.intended));
    }
}

#[test]
fn an_intent_of_a_kind_that_is_not_known_here_ends_by_its_like() {
    let (intended, ended) = (record(1, 0, Stage::Intended, "gate.open", json!({})), record(2, 1, Stage::Done, "gate.open", json!({})));
    let later = record(9, DAY + 1, Stage::Done, "log.heartbeat", json!({}));
    assert_eq!(review(&[intended.clone(), later.clone()]).0.len(), 1);
    assert_eq!(review(&[intended, ended, later.clone()]).0, []);
    let alone = WITHOUT_OUTCOME.map(|action| record(1, 0, Stage::Intended, action, json!({})));
    assert_eq!(review(&[&alone[..], &[later]].concat()).0, []);
}

/// What a device did stands in what it has signed: by fingerprint and by the contents of the file.
#[test]
fn a_receipt_ends_what_it_is_about() {
    let receipt = |deed: Value| json!({ "receipt": json!({ "deed": deed }).to_string() });
    let (retired, removed) = (receipt(json!({ "fingerprint": "ab" })), receipt(json!({ "file": { "sha256": "cd" } })));
    let mut records = vec![
        record(1, 0, Stage::Done, "certificate.issue", json!({ "serial": "4f", "fingerprint": "ab" })),
        record(2, 0, Stage::Intended, "certificate.retire", json!({ "serial": "4f" })),
        record(3, 0, Stage::Intended, "installer.remove", json!({ "sha256": "cd" })),
        record(4, DAY + 1, Stage::Done, "log.heartbeat", json!({})),
    ];
    assert_eq!(review(&records).0.len(), 2);
    records.push(record(5, DAY + 2, Stage::Seen, "certificate.retired", retired));
    records.push(record(6, DAY + 2, Stage::Seen, "installer.removed", removed));
    assert_eq!(review(&records).0, []);
}

#[test]
fn every_certificate_that_was_announced_is_counted_once() {
    let sign = |sequence, number| record(sequence, 0, Stage::Intended, "certificate.sign", details(number));
    let done = |sequence, action, number| record(sequence, 1, Stage::Done, action, details(number));
    let records = [
        done(1, "certificate.issue", 7),
        sign(2, 1),
        sign(3, 2),
        sign(4, 3),
        done(5, "certificate.issue", 1),
        done(6, "certificate.abandon", 2),
        // The same again, as a second delivery would say it.
        done(7, "certificate.issue", 1),
    ];
    let (exceptions, count) = review(&records);
    assert_eq!(exceptions, [], "the third was announced a second ago");
    assert_eq!(count, Completeness { intended: 3, issued: 1, abandoned: 1, open: 1, begun_before: 2 });
    assert!(count.holds());
}

#[test]
fn what_the_log_does_not_know_and_what_was_refused_is_told() {
    let told = |action: &str| review(&[record(1, 0, Stage::Seen, action, json!({}))]).0.first().map(|exception| exception.matter);
    REFUSED.iter().for_each(|action| assert_eq!(told(action), Some(Matter::Refused)));
    UNRECORDED.iter().for_each(|action| assert_eq!(told(action), Some(Matter::Unrecorded)));
    assert_eq!(told("device.ahead"), Some(Matter::Ahead));
    assert_eq!(told("log.unwitnessed"), Some(Matter::Unwitnessed));
    assert_eq!(told("log.contradicted"), Some(Matter::Contradicted));
    assert_eq!(told("certificate.issue"), None);
}

/// An export is read before anybody knows whether it holds.
#[test]
fn no_time_is_too_far_away() {
    let (first, last) =
        (record(1, i64::MIN, Stage::Intended, "order.open", details(1)), record(2, i64::MAX, Stage::Done, "log.heartbeat", json!({})));
    assert_eq!(review(&[first, last]).0.len(), 1);
}
