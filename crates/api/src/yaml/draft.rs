//! One document on its way from a tree to core types, as far as it can be read.

use std::collections::BTreeSet;
use std::sync::Arc;

use jsonschema::Validator;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tegata_core::access::AccessBinding;
use tegata_core::name::{TargetName, TenantName};
use tegata_core::policy;

use super::gather::{At, Gather, Wrong};
use super::schema::{self, Fault, Part};
use super::tree::Tree;
use super::{Document, FINDINGS_MAX, Source, convert};
use crate::hint::{did_you_mean, quote};
use crate::v1::policy::{
    AccessBindingSpec, BackupTargetSpec, CertificateProfileSpec, ClinicNetworkSpec, Envelope, IssuerSpec, Kind, Metadata,
};
use crate::v1::problem::Finding;

/// A document, and what it says as far as that can be read.
pub(super) struct Draft {
    pub document: Document,
    /// What it says; `None` if something is wrong with it.
    pub content: Option<Content>,
}

/// What a document says, as written and as understood.
pub(super) enum Content {
    Issuer(policy::Issuer),
    Profile(Box<CertificateProfileSpec>, Box<policy::CertificateProfile>),
    Target(policy::BackupTarget),
    Clinic(Box<ClinicNetworkSpec>, Box<policy::ClinicNetwork>),
    Binding(AccessBindingSpec, AccessBinding),
}

impl Content {
    pub fn issuer(&self) -> Option<&policy::Issuer> {
        if let Self::Issuer(issuer) = self { Some(issuer) } else { None }
    }

    pub fn profile(&self) -> Option<&policy::CertificateProfile> {
        if let Self::Profile(_, profile) = self { Some(profile) } else { None }
    }

    pub fn target(&self) -> Option<&policy::BackupTarget> {
        if let Self::Target(target) = self { Some(target) } else { None }
    }

    pub fn clinic(&self) -> Option<&policy::ClinicNetwork> {
        if let Self::Clinic(_, clinic) = self { Some(clinic) } else { None }
    }
}

impl Draft {
    /// Where findings about this document are gathered.
    pub fn gather(&self) -> Gather<'_> {
        Gather::new(&self.document.source)
    }
}

/// Reads documents that were accepted before.
pub(super) fn all(documents: impl Iterator<Item = Document>) -> (Vec<Draft>, Vec<Finding>) {
    let (mut drafts, mut findings) = (Vec::new(), Vec::new());
    for document in documents {
        let faults = schema::check(document.kind, &document.body, FINDINGS_MAX);
        let body = document.body.clone();
        drafts.push(understood(document, body, faults, Vec::new(), &mut findings));
    }
    (drafts, findings)
}

/// Reads a document from a file; `None` if not even its kind and name can be told.
pub(super) fn from_tree(file: &str, tree: Tree, tenant: &TenantName, findings: &mut Vec<Finding>) -> Option<Draft> {
    let mut body = tree.value();
    let source = Source { file: file.to_owned(), tree: Some(Arc::new(tree)) };
    let mut gather = Gather::new(&source);
    let kind = kind_of(&body, &mut gather);
    findings.append(&mut gather.findings);
    let kind = kind?;
    let faults = schema::check(kind, &body, 10 * FINDINGS_MAX);
    if let Some(metadata) = body.pointer_mut("/metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| json!(tenant.as_str()));
    }
    let text = |pointer| body.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let (name, namespace) = (text("/metadata/name"), text("/metadata/namespace"));
    let (Some(name), Some(namespace)) = (name, namespace) else {
        findings.extend(faults.into_iter().map(|fault| located(&source, fault)));
        return None;
    };
    let at = At::ROOT;
    let (at_metadata, mut gather) = (at.key("metadata"), Gather::new(&source));
    let at_namespace = at_metadata.key("namespace");
    if gather.name::<TenantName>(&at_namespace, &namespace).is_some_and(|named| named != *tenant) {
        let wrong = Wrong::new(
            format!("this document belongs to tenant {}, but is applied to {}", quote(&namespace), quote(tenant.as_str())),
            "apply it with the other tenant, or leave the namespace out",
        );
        gather.say(&at_namespace, wrong);
    }
    let found = gather.findings;
    let document = Document { kind, name, namespace, body: body.clone(), source };
    Some(understood(document, body, faults, found, findings))
}

/// Tells the kind of a document.
fn kind_of(body: &Value, gather: &mut Gather<'_>) -> Option<Kind> {
    let (at, kinds) = (At::ROOT, Kind::ALL.map(Kind::as_str));
    let Some(document) = body.as_object() else {
        let message = format!("a document must be a mapping of keys to values, but this is {}", schema::shown(body));
        gather.say(&at, Wrong::new(message, "begin with the keys apiVersion, kind, metadata and spec"));
        return None;
    };
    let Some(kind) = document.get("kind") else {
        gather.say(&at, Wrong::new("the document does not say what kind it is", format!("write kind: and one of {}", kinds.join(", "))));
        return None;
    };
    let known = kind.as_str().and_then(|kind| kind.parse().ok());
    if known.is_none() {
        let hint = kind.as_str().and_then(|kind| did_you_mean(kind, kinds)).unwrap_or_else(|| format!("choose from {}", kinds.join(", ")));
        gather.say(&at.key("kind"), Wrong::new(format!("{} is no kind of document", schema::shown(kind)), hint));
    }
    known
}

/// Understands as much of a document as its faults allow. `found` was found in it before.
fn understood(document: Document, mut body: Value, faults: Vec<Fault>, found: Vec<Finding>, findings: &mut Vec<Finding>) -> Draft {
    let mut gather = Gather::new(&document.source);
    gather.findings = found;
    for fault in faults.iter().filter(|fault| fault.part == Part::SurplusKey) {
        remove(&mut body, &fault.pointer);
    }
    let misfits = faults.iter().any(|fault| matches!(fault.part, Part::Key | Part::Value));
    let content = if misfits { None } else { content(document.kind, &body, &mut gather) };
    let mut found = gather.findings;
    let told: BTreeSet<String> = found.iter().map(|finding| finding.path.clone()).collect();
    let untold = faults.into_iter().filter(|fault| fault.part != Part::Writing || !told.contains(&fault.pointer));
    found.extend(untold.map(|fault| located(&document.source, fault)));
    let content = content.filter(|_| found.is_empty());
    findings.append(&mut found);
    Draft { document, content }
}

/// What a document says that may be of one kind only, if it is of that kind and fits its schema; else what is wrong.
pub(super) fn of_one_kind<Spec: DeserializeOwned>(
    (kind, (schema, validator)): (&'static str, &(Value, Validator)),
    source: &Source,
    body: &Value,
) -> Result<Envelope<Spec>, Vec<Finding>> {
    let mut gather = Gather::new(source);
    if let Some(other) = body.get("kind").filter(|other| **other != kind) {
        let hint = other.as_str().and_then(|other| did_you_mean(other, [kind]));
        gather.say(&At::ROOT.key("kind"), Wrong { message: format!("this is a {}, no {kind}", schema::shown(other)), hint });
        return Err(gather.findings);
    }
    let faults = schema::check_by(schema, validator, body, FINDINGS_MAX + 1);
    if !faults.is_empty() {
        return Err(faults.into_iter().map(|fault| located(source, fault)).collect());
    }
    let wrong = |error| Wrong { message: format!("the {kind} cannot be understood: {error}"), hint: None };
    let read = gather.take(&At::ROOT, Envelope::deserialize(body).map_err(wrong));
    read.ok_or(gather.findings)
}

pub(super) fn located(source: &Source, fault: Fault) -> Finding {
    let at = match fault.part {
        Part::SurplusKey | Part::Key => source.place_of_key(&fault.pointer),
        Part::Value | Part::Writing => source.place_of(&fault.pointer),
    };
    source.finding(&fault.pointer, at, Wrong { message: fault.message, hint: fault.hint })
}

/// Takes away what a JSON pointer points at.
fn remove(body: &mut Value, pointer: &str) {
    let Some((holder, key)) = pointer.rsplit_once('/') else { return };
    if let Some(holder) = body.pointer_mut(holder).and_then(Value::as_object_mut) {
        holder.remove(&key.replace("~1", "/").replace("~0", "~"));
    }
}

fn content(kind: Kind, body: &Value, gather: &mut Gather<'_>) -> Option<Content> {
    match kind {
        Kind::Issuer => {
            let document: Envelope<IssuerSpec> = typed(body, gather)?;
            let name = named(&document.metadata, gather);
            convert::issuer(name, &document.spec, gather).map(Content::Issuer)
        }
        Kind::CertificateProfile => {
            let document: Envelope<CertificateProfileSpec> = typed(body, gather)?;
            let name = named(&document.metadata, gather);
            let profile = convert::profile(name, &document.spec, gather);
            profile.map(|profile| Content::Profile(Box::new(document.spec), Box::new(profile)))
        }
        Kind::BackupTarget => {
            let document: Envelope<BackupTargetSpec> = typed(body, gather)?;
            let name: Option<TargetName> = named(&document.metadata, gather);
            convert::target(name, &document.spec, gather).map(Content::Target)
        }
        Kind::ClinicNetwork => {
            let document: Envelope<ClinicNetworkSpec> = typed(body, gather)?;
            let name = named(&document.metadata, gather);
            let clinic = convert::clinic(name, &document.spec, gather);
            clinic.map(|clinic| Content::Clinic(Box::new(document.spec), Box::new(clinic)))
        }
        Kind::AccessBinding => {
            let document: Envelope<AccessBindingSpec> = typed(body, gather)?;
            let name = named(&document.metadata, gather);
            let binding = convert::binding(name, &document.spec, gather);
            binding.map(|binding| Content::Binding(document.spec, binding))
        }
    }
}

/// What the schema allows, the types take; should they ever differ, that is said instead of hidden.
fn typed<Spec: DeserializeOwned>(body: &Value, gather: &mut Gather<'_>) -> Option<Envelope<Spec>> {
    let read = Envelope::deserialize(body);
    gather.take(&At::ROOT, read.map_err(|error| Wrong { message: format!("the document cannot be understood: {error}"), hint: None }))
}

fn named<T: std::str::FromStr<Err = tegata_core::name::NameError>>(metadata: &Metadata, gather: &mut Gather<'_>) -> Option<T> {
    let root = At::ROOT;
    let at = root.key("metadata");
    convert::labels(&metadata.labels, &at.key("labels"), gather);
    gather.name(&at.key("name"), &metadata.name.0)
}
