//! Texts that may name a person. A record holds a commitment to one, `{"personal": "<hex SHA-256>"}`; the text lies beside it until it is erased.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

const PERSONAL: &str = "personal";

/// The text behind a commitment, and what shows that it is that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disclosure {
    /// The number of the record.
    pub sequence: u64,
    /// What stands in it: SHA-256 over a prefix, the salt and the text, hexadecimal.
    pub commitment: String,
    /// 32 random bytes, hexadecimal.
    pub salt: String,
    /// The text.
    pub text: String,
}

/// Which texts are to be erased: those of records, those that say exactly this, or those whose time is over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct EraseRequest {
    /// The numbers of records.
    pub records: Vec<u64>,
    /// The whole of a text.
    pub text: Option<String>,
    /// Instead: those of records that do not have to be provable any more, so many years after what they name is over.
    pub due: Option<u32>,
    /// Why, for the audit log.
    pub why: String,
    /// False only tells what would go.
    pub sure: bool,
}

/// What was erased, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erasure {
    /// Each text, by its record.
    pub texts: Vec<Erased>,
    /// True if there are more, which the same request goes on with.
    pub more: bool,
}

/// One text that was erased, or would be. It is not said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Erased {
    /// The number of the record.
    pub sequence: u64,
    /// What stands in it for the text, and stays.
    pub commitment: String,
    /// When the record was made.
    pub at: i64,
    /// What the record is of.
    pub action: String,
    /// To what.
    pub object: String,
}

/// The commitment that a value is, if it is one.
pub fn is_commitment(value: &Value) -> Option<&str> {
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let is_hash = |text: &&str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    object.get(PERSONAL)?.as_str().filter(is_hash)
}

/// Every commitment in the particulars of a record.
pub fn commitments(details: &Value) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    collect(details, &mut found);
    found
}

fn collect<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(_) if is_commitment(value).is_some() => found.extend(is_commitment(value)),
        Value::Object(object) => object.values().for_each(|value| collect(value, found)),
        Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
        _ => {}
    }
}

/// Puts the texts that are there into the places of their commitments. What was erased stays a commitment.
pub fn reveal(details: &mut Value, texts: &BTreeMap<String, String>) {
    if let Some(text) = is_commitment(details).and_then(|commitment| texts.get(commitment)) {
        *details = text.clone().into();
        return;
    }
    match details {
        Value::Object(object) => object.values_mut().for_each(|value| reveal(value, texts)),
        Value::Array(values) => values.iter_mut().for_each(|value| reveal(value, texts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_there_is_shown_and_the_rest_stays_what_it_is() {
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let mut details = json!({ "note": { "personal": one }, "to": [{ "mail": { "personal": two } }], "serial": "4f" });
        assert_eq!(commitments(&details), [&*one, &*two].into());
        reveal(&mut details, &BTreeMap::from([(one, "佐藤さんの PC".to_owned())]));
        assert_eq!(details, json!({ "note": "佐藤さんの PC", "to": [{ "mail": { "personal": two } }], "serial": "4f" }));
    }

    #[test]
    fn only_a_commitment_is_one() {
        for other in [json!({ "personal": "use" }), json!({ "personal": "A".repeat(64) }), json!({ "personal": "1".repeat(64), "x": 1 })] {
            assert_eq!(is_commitment(&other), None);
        }
    }
}
