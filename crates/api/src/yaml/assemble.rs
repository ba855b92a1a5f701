//! Puts documents together: what one says about another has to be true.
//!
//! Only documents that are right by themselves are checked here, and nothing is said about one that is not: it counts as
//! there, whatever is in it.

use std::collections::BTreeMap;

use tegata_core::name::TenantName;
use tegata_core::policy::{self, KeyOrigin, Tenant};

use super::draft::{Content, Draft};
use super::gather::{At, Gather, Wrong};
use crate::hint::{did_you_mean, quote};
use crate::v1::policy::{CertificateProfileSpec, Kind};
use crate::v1::problem::Finding;

mod access;
mod clinic;
mod sites;

/// With so many findings, looking further would only cost time.
const ENOUGH: usize = 1000;

/// Everything that the documents declare, by kind and name; `None` where something is wrong with a document.
struct Declared<'a> {
    issuers: BTreeMap<&'a str, Option<&'a policy::Issuer>>,
    profiles: BTreeMap<&'a str, Option<&'a policy::CertificateProfile>>,
    targets: BTreeMap<&'a str, Option<&'a policy::BackupTarget>>,
    clinics: BTreeMap<&'a str, Option<&'a policy::ClinicNetwork>>,
    /// True if there is more, of which not even kind and name are known. Then nothing can be said to be missing.
    is_broken: bool,
}

/// Puts documents together. The tenant holds what could be understood; it is whole if no finding was added.
pub(super) fn assemble(tenant: &TenantName, drafts: &[Draft], is_broken: bool, findings: &mut Vec<Finding>) -> Tenant {
    doubles(drafts, findings);
    strangers(tenant, drafts, findings);
    let declared = declared(drafts, is_broken);
    let labels = access::labels(drafts);
    let (mut slugs, mut bindings) = (BTreeMap::new(), BTreeMap::new());
    for draft in drafts {
        if findings.len() > ENOUGH {
            break;
        }
        let mut gather = draft.gather();
        match &draft.content {
            Some(Content::Profile(written, profile)) => check_profile(written, profile, &declared, &mut gather),
            Some(Content::Clinic(written, clinic)) => {
                clinic::check(written, clinic, &declared, &mut gather);
                slug(clinic, &mut slugs, &mut gather);
            }
            Some(Content::Binding(written, binding)) => {
                let binding = access::resolved(written, binding, &declared, &labels, &mut gather);
                bindings.insert(binding.name.clone(), binding);
            }
            Some(Content::Issuer(_) | Content::Target(_)) | None => {}
        }
        findings.append(&mut gather.findings);
    }
    sites::check(drafts, &declared, findings);
    Tenant {
        name: tenant.clone(),
        clinics: declared.clinics.into_values().flatten().map(|clinic| (clinic.name.clone(), clinic.clone())).collect(),
        profiles: declared.profiles.into_values().flatten().map(|profile| (profile.name.clone(), profile.clone())).collect(),
        issuers: declared.issuers.into_values().flatten().map(|issuer| (issuer.name.clone(), issuer.clone())).collect(),
        targets: declared.targets.into_values().flatten().map(|target| (target.name.clone(), target.clone())).collect(),
        bindings,
    }
}

fn declared(drafts: &[Draft], is_broken: bool) -> Declared<'_> {
    let mut declared =
        Declared { issuers: BTreeMap::new(), profiles: BTreeMap::new(), targets: BTreeMap::new(), clinics: BTreeMap::new(), is_broken };
    for draft in drafts {
        let (name, content) = (draft.document.name.as_str(), draft.content.as_ref());
        match draft.document.kind {
            Kind::Issuer => _ = declared.issuers.insert(name, content.and_then(Content::issuer)),
            Kind::CertificateProfile => _ = declared.profiles.insert(name, content.and_then(Content::profile)),
            Kind::BackupTarget => _ = declared.targets.insert(name, content.and_then(Content::target)),
            Kind::ClinicNetwork => _ = declared.clinics.insert(name, content.and_then(Content::clinic)),
            Kind::AccessBinding => {}
        }
    }
    declared
}

/// Reports documents of the same kind and name.
fn doubles(drafts: &[Draft], findings: &mut Vec<Finding>) {
    let mut seen = BTreeMap::new();
    for draft in drafts {
        let document = &draft.document;
        let Some(first) = seen.insert((document.kind, &document.name), document) else { continue };
        let mut gather = draft.gather();
        let root = At::ROOT;
        let message = format!("there are two documents {}/{}", document.kind, document.name);
        let line = first.source.place_of("/metadata/name").line;
        let hint =
            if line > 0 { format!("the other is in {}, line {line}", first.file()) } else { format!("the other is {}", first.file()) };
        gather.say(&root.key("metadata").key("name"), Wrong::new(message, hint));
        findings.append(&mut gather.findings);
    }
}

/// Reports documents of other tenants. Those in files were reported when they were read.
fn strangers(tenant: &TenantName, drafts: &[Draft], findings: &mut Vec<Finding>) {
    let root = At::ROOT;
    for draft in drafts.iter().filter(|draft| draft.document.namespace != tenant.as_str() && draft.document.source.tree.is_none()) {
        let mut gather = draft.gather();
        let message =
            format!("{} belongs to tenant {}, not to {}", draft.document.file(), quote(&draft.document.namespace), quote(tenant.as_str()));
        gather.say(&root.key("metadata").key("namespace"), Wrong::new(message, "apply the document again"));
        findings.append(&mut gather.findings);
    }
}

/// Looks a name up, or says that there is none: the document if it could be understood.
fn referred<'a, T>(
    known: &BTreeMap<&str, Option<&'a T>>,
    is_broken: bool,
    kind: Kind,
    name: &str,
    at: &At<'_>,
    gather: &mut Gather<'_>,
) -> Option<&'a T> {
    match known.get(name) {
        Some(found) => *found,
        None if is_broken => None,
        None => {
            let hint =
                did_you_mean(name, known.keys().copied()).unwrap_or_else(|| format!("write a document of kind {kind} with this name"));
            gather.say(at, Wrong::new(format!("there is no {kind} named {}", quote(name)), hint));
            None
        }
    }
}

fn check_profile(written: &CertificateProfileSpec, profile: &policy::CertificateProfile, declared: &Declared<'_>, gather: &mut Gather<'_>) {
    let root = At::ROOT;
    let at_spec = root.key("spec");
    let at = at_spec.key("issuer");
    let Some(issuer) = referred(&declared.issuers, declared.is_broken, Kind::Issuer, &written.issuer.0, &at, gather) else { return };
    let wrong = match (&issuer.kind, profile.key) {
        (policy::IssuerKind::Ca { .. }, KeyOrigin::Device(_))
        | (policy::IssuerKind::Vendor | policy::IssuerKind::Orcamo { .. }, KeyOrigin::Vendor) => return,
        (policy::IssuerKind::Ca { .. }, KeyOrigin::Vendor) => Wrong::new(
            format!("the issuer {} is Tegata's own, but the key is to come from a vendor", quote(&written.issuer.0)),
            "write key: { origin: device }, or name an issuer of type vendor",
        ),
        (_, KeyOrigin::Device(_)) => Wrong::new(
            format!("the issuer {} is a vendor, who takes no requests for keys born on a device", quote(&written.issuer.0)),
            "write key: { origin: vendor }, or name an issuer of type ca",
        ),
    };
    gather.say(&at, wrong);
}

/// Two clinics with one slug could not be told apart in certificates and host names.
fn slug<'a>(clinic: &'a policy::ClinicNetwork, seen: &mut BTreeMap<String, &'a policy::ClinicNetwork>, gather: &mut Gather<'_>) {
    // Host names do not tell upper from lower case.
    let Some(other) = seen.insert(clinic.facility_slug.as_str().to_ascii_lowercase(), clinic).filter(|other| other.name != clinic.name)
    else {
        return;
    };
    let root = At::ROOT;
    let message =
        format!("the facility slug {} belongs to clinic {} already", quote(clinic.facility_slug.as_str()), quote(other.name.as_str()));
    gather.say(
        &root.key("spec").key("facilitySlug"),
        Wrong::new(message, "certificates and host names are told apart by it; choose another"),
    );
}
