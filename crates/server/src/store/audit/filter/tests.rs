use serde_json::json;

use super::*;
use crate::store::audit::keys::keys;

fn tenant() -> TenantName {
    "aozora".parse().unwrap()
}

fn record(actor: &str, action: &str, object: &str, details: serde_json::Value) -> Record {
    Record { sequence: 1, at: 1_000_000, stage: Stage::Done, actor: actor.into(), action: action.into(), object: object.into(), details }
}

/// One of each kind of object and of particulars.
fn records() -> Vec<Record> {
    let receipt = json!({ "number": 1, "deed": { "kind": "proven", "slot": "sakura/pc-1/karte", "order": "0A", "fingerprint": "FF" } });
    vec![
        record(
            "tegata",
            "order.open",
            "sakura/pc-1/karte",
            json!({ "order": "0a", "issuer": "own-ca", "account": "reception", "replaces": ["4e"] }),
        ),
        record(
            "device:sakura/pc-1",
            "certificate.issue",
            "sakura/pc-1/karte",
            json!({ "serial": "4f", "fingerprint": "ff", "order": "0a" }),
        ),
        record("device:sakura/pc-1", "certificate.proven", "sakura/pc-1/karte", json!({ "receipt": receipt.to_string() })),
        record("device:kaede/pc-9", "certificate.proven", "sakura/pc-9@kaede/karte", json!({ "receipt": "no JSON" })),
        record("person:ito", "policy.apply", "ClinicNetwork/sakura", json!({ "document": {} })),
        record("person:ito", "policy.apply", "CertificateProfile/karte", json!(null)),
        record("account:sakura/tanaka", "portal.issue", "sakura/accounts/tanaka", json!({ "serial": "5f" })),
        record("person:ito", "installer.record", "a/b/c/d/e/f/g@h.pfx", json!({ "sha256": "AB" })),
        record("anyone", "device.code-refused", "sakurako/pc-1", json!([])),
        record("", "", "", json!("text")),
        record("tegata", "order.cancel", "sakura/pc-9@kaede/karte", json!({})),
    ]
}

fn filter(text: &str) -> Filter {
    let mut filter = Filter::default();
    for (name, value) in text.split_whitespace().map(|part| part.split_once('=').unwrap()) {
        let text = Some(value.to_owned());
        match name {
            "object" => filter.object = text,
            "clinic" => filter.clinic = text,
            "device" => filter.device = text,
            "certificate" => filter.certificates.extend(text),
            "account" => filter.account = text,
            "actor" => filter.actor = text,
            "policy" => filter.policy = text,
            "kind" => filter.kinds.extend(text),
            other => panic!("{other}"),
        }
    }
    filter
}

#[test]
fn each_question_finds_what_it_names_and_nothing_beside() {
    for (asked, expected) in [
        ("clinic=sakura", vec![0, 1, 2, 3, 4, 6, 10]),
        ("clinic=kaede", vec![]),
        ("device=sakura/pc-1", vec![0, 1, 2]),
        ("device=kaede/pc-9", vec![3, 10]),
        ("object=sakura/pc-9", vec![3, 10]),
        ("object=a/b/c/d/e/f", vec![7]),
        ("object=sakura", vec![0, 1, 2, 3, 6, 10]),
        ("certificate=ff", vec![1, 2]),
        ("certificate=4e certificate=ab", vec![0, 7]),
        ("account=sakura/reception", vec![0]),
        ("account=sakura/tanaka", vec![6]),
        ("actor=person:ito kind=policy", vec![4, 5]),
        ("policy=karte", vec![0, 1, 2, 3, 5, 10]),
        ("policy=own-ca", vec![0]),
        ("kind=certificate.issue kind=portal", vec![1, 6]),
        ("kind=certificate.iss", vec![]),
        ("clinic=sakura kind=certificate.proven policy=karte", vec![2, 3]),
    ] {
        let records = records();
        let found: Vec<usize> = (0..records.len()).filter(|index| filter(asked).takes(&records[*index])).collect();
        assert_eq!(found, expected, "{asked}");
        // Whatever fits is where the index says that one has to look.
        for index in expected {
            let known = keys(&tenant(), &records[index]);
            for group in filter(asked).keys(&tenant()) {
                assert!(group.iter().any(|key| known.contains(key)), "{asked}: record {index} is not found");
            }
        }
    }
}

#[test]
fn moments_are_from_since_until_before_until() {
    let takes = |since: Option<i64>, until: Option<i64>| {
        let filter = Filter { since: since.map(Timestamp::from_unix), until: until.map(Timestamp::from_unix), ..Filter::default() };
        filter.takes(&records()[0])
    };
    assert!(takes(Some(1_000_000), None) && takes(None, Some(1_000_001)));
    assert!(!takes(Some(1_000_001), None) && !takes(None, Some(1_000_000)));
}

#[test]
fn keys_of_one_tenant_are_not_those_of_another() {
    let (aozora, momiji) = (Topic::Place("sakura").key(&tenant()), Topic::Place("sakura").key(&"momiji".parse().unwrap()));
    assert!(aozora != momiji && aozora != Topic::Policy("sakura").key(&tenant()));
}
