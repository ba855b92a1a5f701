//! Reads who may do what.

use tegata_core::access::{AccessBinding, Role, Scope, Subject};
use tegata_core::name::{BindingName, ClinicName, is_deceptive};
use tegata_core::time::Timestamp;

use super::{ROOT, labels, set, ssh};
use crate::hint::quote;
use crate::v1::policy::{AccessBindingSpec, AccessRole, AccessSubject, ClinicSelector};
use crate::yaml::gather::{At, Gather, Wrong};

/// Reads a binding. Clinics that are named by labels are looked up once all documents are known.
pub(in crate::yaml) fn binding(name: Option<BindingName>, spec: &AccessBindingSpec, gather: &mut Gather<'_>) -> Option<AccessBinding> {
    let at = ROOT.key("spec");
    let subject = subject(&spec.subject, &at.key("subject"), gather);
    let role = role(spec.role);
    let scope = spec.clinics.as_ref().map_or(Some(Scope::Tenant), |clinics| scope(clinics, &at.key("clinics"), gather));
    let not_after = not_after(spec, role, &at, gather);
    Some(AccessBinding { name: name?, subject: subject?, role, scope: scope?, not_after: not_after?, alone: spec.alone })
}

fn role(written: AccessRole) -> Role {
    match written {
        AccessRole::Viewer => Role::Viewer,
        AccessRole::Operator => Role::Operator,
        AccessRole::Admin => Role::Admin,
        AccessRole::Auditor => Role::Auditor,
    }
}

fn subject(written: &AccessSubject, at: &At<'_>, gather: &mut Gather<'_>) -> Option<Subject> {
    match (&written.token, &written.issuer, &written.subject, &written.group) {
        (Some(token), None, None, None) => gather.name(&at.key("token"), &token.0).map(Subject::Token),
        (None, Some(issuer), Some(subject), None) => {
            let issuer = issuer_of(&issuer.0, &at.key("issuer"), gather);
            let subject = id(subject, &at.key("subject"), gather);
            Some(Subject::Login { issuer: issuer?, subject: subject? })
        }
        (None, Some(issuer), None, Some(group)) => {
            let issuer = issuer_of(&issuer.0, &at.key("issuer"), gather);
            let group = id(group, &at.key("group"), gather);
            Some(Subject::Group { issuer: issuer?, group: group? })
        }
        (None, None, None, None) => {
            let hint = "write token: with the name of a token, or issuer: with subject: or group:";
            gather.say_of_key(at, Wrong::new("the subject names nobody", hint));
            None
        }
        (None, None, _, _) => {
            let hint = "write issuer: with the provider's address, exactly as it stands in its tokens";
            gather.say_of_key(at, Wrong::new("it is not said whose subject or group this is", hint));
            None
        }
        (None, Some(_), None, None) => {
            let hint = "write subject: with the sub of its tokens, or group: with the immutable id of a group";
            gather.say_of_key(at, Wrong::new("of this provider nobody is named", hint));
            None
        }
        _ => {
            let hint = "keep token, or issuer with one of subject and group; write a binding for each of the others";
            gather.say_of_key(at, Wrong::new("the subject names several at once", hint));
            None
        }
    }
}

/// Compared byte by byte with what tokens say, so nothing is tidied here.
pub(in crate::yaml) fn issuer_of(text: &str, at: &At<'_>, gather: &mut Gather<'_>) -> Option<String> {
    let host = text.strip_prefix("https://").unwrap_or_default();
    let fits = !host.is_empty() && !host.starts_with('/') && !text.contains(['?', '#', ' ']) && !text.chars().any(is_deceptive);
    let wrong = || {
        let hint = "it begins with https:// and has neither ? nor # (OpenID Connect Core, section 2); copy the iss of a token";
        Wrong::new(format!("{} is not the address of a provider", quote(text)), hint)
    };
    gather.take(at, if fits { Ok(text.to_owned()) } else { Err(wrong()) })
}

/// Compared byte by byte as well: a blank too many, or another case, is somebody else.
pub(in crate::yaml) fn id(text: &str, at: &At<'_>, gather: &mut Gather<'_>) -> Option<String> {
    let fits = text.trim() == text && !text.is_empty() && text.len() <= 255 && !text.chars().any(is_deceptive);
    let wrong =
        || Wrong::new(format!("{} is no id that a provider gives", quote(text)), "copy it from a token; 1 to 255 characters on one line");
    gather.take(at, if fits { Ok(text.to_owned()) } else { Err(wrong()) })
}

fn scope(written: &ClinicSelector, at: &At<'_>, gather: &mut Gather<'_>) -> Option<Scope> {
    let nothing = "leave clinics out to mean the whole tenant, or write names or matchLabels with something in it";
    match (&written.names, &written.match_labels) {
        (Some(names), None) if !names.is_empty() => {
            let read = |name: &crate::v1::policy::Name, at: &At<'_>, gather: &mut Gather<'_>| gather.name::<ClinicName>(at, &name.0);
            Some(Scope::Clinics(set(names, &at.key("names"), gather, read, |name| name.0.clone())))
        }
        (None, Some(wanted)) if !wanted.is_empty() => {
            labels(wanted, &at.key("matchLabels"), gather);
            Some(Scope::Clinics(Default::default()))
        }
        (Some(_), Some(_)) => {
            let hint = "keep one of names and matchLabels; write a second binding for the other";
            gather.say_of_key(at, Wrong::new("clinics are selected by names and by labels at once", hint));
            None
        }
        _ => {
            gather.say_of_key(at, Wrong::new("the selection of clinics is empty", nothing));
            None
        }
    }
}

fn not_after(spec: &AccessBindingSpec, role: Role, at: &At<'_>, gather: &mut Gather<'_>) -> Option<Option<Timestamp>> {
    if let Some(text) = &spec.not_after {
        return gather.take(&at.key("notAfter"), ssh::moment(text)).map(Some);
    }
    if role == Role::Auditor {
        let hint = "write notAfter: with the end of the audit, such as 2027-03-31T18:00:00+09:00";
        gather.say(&at.key("role"), Wrong::new("an auditor reads for a time, and it is not said until when", hint));
        return None;
    }
    Some(None)
}
