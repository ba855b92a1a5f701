//! Which clinics a binding reaches.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tegata_core::access::{AccessBinding, Scope};
use tegata_core::name::ClinicName;

use super::{Declared, referred};
use crate::hint::quote;
use crate::v1::policy::{AccessBindingSpec, Kind};
use crate::yaml::draft::Draft;
use crate::yaml::gather::{At, Gather, Wrong};

/// The labels of every clinic.
pub(super) type Labels<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

/// Reads the labels that clinics carry.
pub(super) fn labels(drafts: &[Draft]) -> Labels<'_> {
    let of = |draft: &Draft| draft.document.kind == Kind::ClinicNetwork;
    drafts.iter().filter(|draft| of(draft)).map(|draft| (draft.document.name.as_str(), carried(&draft.document.body))).collect()
}

fn carried(body: &Value) -> BTreeMap<&str, &str> {
    let labels = body.pointer("/metadata/labels").and_then(Value::as_object);
    labels.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect()
}

/// Looks up the clinics that a binding names.
pub(super) fn resolved(
    written: &AccessBindingSpec,
    binding: &AccessBinding,
    declared: &Declared<'_>,
    labels: &Labels<'_>,
    gather: &mut Gather<'_>,
) -> AccessBinding {
    let root = At::ROOT;
    let (at_spec, Some(selector)) = (root.key("spec"), &written.clinics) else { return binding.clone() };
    let at = at_spec.key("clinics");
    let at_names = at.key("names");
    for (index, name) in selector.names.iter().flatten().enumerate() {
        referred(&declared.clinics, declared.is_broken, Kind::ClinicNetwork, &name.0, &at_names.item(index), gather);
    }
    let Some(wanted) = &selector.match_labels else { return binding.clone() };
    let carries = |own: &BTreeMap<&str, &str>| wanted.iter().all(|(key, value)| own.get(key.as_str()) == Some(&value.as_str()));
    let clinics: BTreeSet<ClinicName> = labels.iter().filter(|(_, own)| carries(own)).filter_map(|(name, _)| name.parse().ok()).collect();
    if clinics.is_empty() && !declared.is_broken {
        let words: Vec<String> = wanted.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        let hint = "give a clinic's document these labels, or name clinics by names";
        gather.say_of_key(&at.key("matchLabels"), Wrong::new(format!("no clinic carries {}", quote(&words.join(", "))), hint));
    }
    AccessBinding { scope: Scope::Clinics(clinics), ..binding.clone() }
}
