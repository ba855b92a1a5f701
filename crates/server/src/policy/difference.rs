//! What differs between two policies: which documents, where in them, and for which clinics that matters.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tegata_api::v1::fleet::{Change, DocumentChange};
use tegata_api::yaml::Document;
use tegata_core::desire::desire;
use tegata_core::fleet::Desired;
use tegata_core::name::{ClinicName, ProfileName};
use tegata_core::policy::{BackupTarget, Issuer, Tenant};

use crate::store::DocumentRow;

/// A document that differs from what is stored.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    pub change: DocumentChange,
    /// What it says from now on; `None` if it goes.
    pub body: Option<Value>,
    /// The number of what it says from now on, or the last one if it goes.
    pub revision: u64,
}

/// Compares documents with what is stored. With `prune`, what is stored and not among them goes.
pub(super) fn edits(stored: &[DocumentRow], documents: &[Document], prune: bool) -> Vec<Edit> {
    let known: BTreeMap<(&str, &str), &DocumentRow> = stored.iter().map(|row| ((&row.kind[..], &row.name[..]), row)).collect();
    let named: BTreeSet<(&str, &str)> = documents.iter().map(|document| (document.kind.as_str(), &document.name[..])).collect();
    let written = documents.iter().filter_map(|document| {
        let row = known.get(&(document.kind.as_str(), &document.name[..])).copied();
        written(document, row)
    });
    let gone = known.iter().filter(|(key, _)| prune && !named.contains(*key)).map(|(_, row)| gone(row));
    let mut edits: Vec<Edit> = written.chain(gone).collect();
    edits.sort_by(|one, other| one.change.cmp(&other.change));
    edits
}

fn written(document: &Document, row: Option<&DocumentRow>) -> Option<Edit> {
    let (change, paths) = match row {
        None => (Change::Created, vec![]),
        Some(row) => (Change::Changed, paths(&row.body, &document.body)),
    };
    let same = change == Change::Changed && paths.is_empty();
    let change = DocumentChange { kind: document.kind.to_string(), name: document.name.clone(), change, paths };
    (!same).then(|| Edit { change, body: Some(document.body.clone()), revision: row.map_or(0, |row| row.revision) + 1 })
}

fn gone(row: &DocumentRow) -> Edit {
    let change = DocumentChange { kind: row.kind.clone(), name: row.name.clone(), change: Change::Deleted, paths: vec![] };
    Edit { change, body: None, revision: row.revision }
}

/// Where two JSON texts differ, as JSON pointers (RFC 6901). Lists of different length differ as a whole.
fn paths(before: &Value, after: &Value) -> Vec<String> {
    let mut found = Vec::new();
    descend(before, after, &mut String::new(), &mut found);
    found
}

fn descend(before: &Value, after: &Value, at: &mut String, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let pair = (one.get(key).unwrap_or(&Value::Null), other.get(key).unwrap_or(&Value::Null));
                within(&key.replace('~', "~0").replace('/', "~1"), pair, at, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (index, pair) in one.iter().zip(other).enumerate() {
                within(&index.to_string(), pair, at, found);
            }
        }
        _ if before == after => {}
        _ => found.push(at.clone()),
    }
}

fn within(step: &str, (before, after): (&Value, &Value), at: &mut String, found: &mut Vec<String>) {
    let length = at.len();
    at.push('/');
    at.push_str(step);
    descend(before, after, at, found);
    at.truncate(length);
}

/// A clinic that one of two policies sees differently from the other.
pub(super) struct Affected {
    pub clinic: ClinicName,
    pub before: Desired,
    pub after: Desired,
}

/// Every clinic whose slots, devices, issuers, notices or places for backups differ.
pub(super) fn affected(before: &Tenant, after: &Tenant) -> Vec<Affected> {
    let names: BTreeSet<&ClinicName> = before.clinics.keys().chain(after.clinics.keys()).collect();
    let compare = |clinic: &ClinicName| Affected { clinic: clinic.clone(), before: desire(before, clinic), after: desire(after, clinic) };
    let differs = |affected: &Affected| {
        affected.before != affected.after
            || before.clinics.get(&affected.clinic) != after.clinics.get(&affected.clinic)
            || issuers(before, &affected.before) != issuers(after, &affected.after)
            || ladders(before, &affected.before) != ladders(after, &affected.after)
            || targets(before, &affected.clinic) != targets(after, &affected.clinic)
    };
    names.into_iter().map(compare).filter(differs).collect()
}

fn issuers<'a>(policy: &'a Tenant, desired: &Desired) -> BTreeMap<&'a str, &'a Issuer> {
    let used = desired.slots.values().filter_map(|slot| policy.issuers.get(&slot.template.issuer));
    used.map(|issuer| (issuer.name.as_str(), issuer)).collect()
}

/// When people are told, for each profile that is used.
fn ladders<'a>(policy: &'a Tenant, desired: &'a Desired) -> BTreeMap<&'a ProfileName, &'a [Duration]> {
    let used = desired.slots.keys().filter_map(|slot| policy.profiles.get(&slot.profile));
    used.map(|profile| (&profile.name, &profile.notices[..])).collect()
}

/// Where a clinic's backups go.
fn targets<'a>(policy: &'a Tenant, clinic: &ClinicName) -> Vec<Option<&'a BackupTarget>> {
    let named = policy.clinics.get(clinic).into_iter().flat_map(|clinic| &clinic.backup.targets);
    named.map(|name| policy.targets.get(name)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_are_named_by_pointer() {
        let before = json!({ "a": 1, "b": { "c/d": [1, 2], "e": true }, "f": [1] });
        let after = json!({ "a": 1, "b": { "c/d": [1, 3], "g": null }, "f": [1, 2] });
        assert_eq!(paths(&before, &after), ["/b/c~1d/1", "/b/e", "/f"]);
        assert!(paths(&before, &before).is_empty());
    }
}
