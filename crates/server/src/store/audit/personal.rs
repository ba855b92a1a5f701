//! Texts that may name a person. What stands in a record for one is a commitment; the text lies beside the log, and can be erased there
//! without touching the log.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use async_trait::async_trait;
use data_encoding::HEXLOWER;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use tegata_api::v1::audit::{Disclosure, Erased};
use tegata_core::name::TenantName;
use tegata_core::time::Timestamp;
use tegata_pki::key::random;
use tegata_tlog::personal::commitment;

use crate::store::StoreError;

/// A text that may name a person: why somebody did something, a path, a mail address, a host name. Wrapped in this it can be put into
/// [`NewRecord::details`](super::NewRecord::details): the record then holds a commitment to it, which whoever writes the record makes.
///
/// An empty text names nobody and stays what it is.
#[derive(Debug, Clone, Copy)]
pub struct Personal<'a>(pub &'a str);

/// What marks such texts between a handler and the store. Random, so that nobody outside can send something that looks like it.
static MARK: LazyLock<String> = LazyLock::new(|| HEXLOWER.encode(&random::<16>()));

impl Serialize for Personal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return serializer.serialize_str("");
        }
        let mut marked = serializer.serialize_map(Some(1))?;
        marked.serialize_entry(MARK.as_str(), self.0)?;
        marked.end()
    }
}

/// Wraps a value that is a text where it stands.
pub(crate) fn wrap(value: &mut Value) {
    if let Value::String(text) = value {
        *value = json!(Personal(text));
    }
}

/// A text that is kept beside its record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub commitment: [u8; 32],
    pub salt: [u8; 32],
    pub text: String,
}

/// Puts commitments into the places of all texts that may name a person, and gives the texts.
pub(crate) fn commit(details: &mut Value) -> Vec<Kept> {
    let mut kept = Vec::new();
    take_out(details, &mut kept);
    kept
}

fn take_out(value: &mut Value, kept: &mut Vec<Kept>) {
    match value {
        Value::Object(object) if object.len() == 1 && object.contains_key(MARK.as_str()) => {
            let Some(Value::String(text)) = object.remove(MARK.as_str()) else { return };
            let salt = random();
            let commitment = commitment(&salt, &text);
            *value = json!({ "personal": HEXLOWER.encode(&commitment) });
            kept.push(Kept { commitment, salt, text });
        }
        Value::Object(object) => object.values_mut().for_each(|value| take_out(value, kept)),
        Value::Array(values) => values.iter_mut().for_each(|value| take_out(value, kept)),
        _ => {}
    }
}

/// Which texts are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// All of these records.
    OfRecords(Vec<u64>),
    /// Those that say exactly this.
    Saying(String),
}

/// Texts that are to be erased. Guard: all of them are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erase {
    /// Whose.
    pub tenant: TenantName,
    /// Each by the number of its record and its commitment, in hexadecimal.
    pub texts: Vec<(u64, String)>,
}

/// Where in the list of a tenant's texts somebody reads: after this record, and after so many texts of the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The number of the record.
    pub sequence: u64,
    /// How the database counts texts.
    pub number: i64,
}

/// What can be asked about texts.
#[async_trait]
pub trait PersonalQueries: Send + Sync {
    /// The texts of these records that are still there, in order.
    async fn disclosures_of(&self, tenant: &TenantName, records: &[u64]) -> Result<Vec<Disclosure>, StoreError>;
    /// Texts that are still there, of records up to `through`, in order: at most `limit`, each with where to go on.
    async fn disclosures(&self, tenant: &TenantName, after: Mark, through: u64, limit: u32) -> Result<Vec<(Mark, Disclosure)>, StoreError>;
    /// How many texts of each record after `after`, up to `through`, are still there.
    async fn texts(&self, tenant: &TenantName, after: u64, through: u64) -> Result<BTreeMap<u64, u64>, StoreError>;
    /// The last moments of validity of certificates, by serial numbers, fingerprints or orders in hexadecimal, as far as this tenant has them.
    async fn certificate_ends(&self, tenant: &TenantName, names: &BTreeSet<String>) -> Result<BTreeMap<String, Timestamp>, StoreError>;
    /// Texts that are still there, and could be erased: at most `limit`, in order.
    async fn erasable(&self, tenant: &TenantName, which: &Which, limit: u32) -> Result<Vec<Erased>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_wrapped_is_taken_out_wherever_it_stands_and_nothing_else() {
        let mut facts = json!({ "hostname": "SATO-PC" });
        wrap(&mut facts["hostname"]);
        let mut details =
            json!({ "note": Personal("佐藤"), "to": [{ "mail": Personal("佐藤") }], "facts": facts, "empty": Personal(""), "n": 1 });
        let kept = commit(&mut details);
        let texts: Vec<&str> = kept.iter().map(|kept| &*kept.text).collect();
        assert_eq!(texts, ["SATO-PC", "佐藤", "佐藤"]);
        assert!(!details.to_string().contains("佐藤") && !details.to_string().contains("SATO"), "{details}");
        assert_eq!((&details["empty"], &details["n"]), (&json!(""), &json!(1)));
        assert_ne!(kept[1].commitment, kept[2].commitment, "the same text cannot be recognised by what stands for it");
        assert_eq!(details["note"], json!({ "personal": HEXLOWER.encode(&kept[1].commitment) }));
        for kept in &kept {
            assert_eq!(commitment(&kept.salt, &kept.text), kept.commitment);
        }
        assert!(commit(&mut details).is_empty(), "what was taken out is out");
    }
}
