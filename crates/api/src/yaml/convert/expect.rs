//! Reads what a profile expects of a vendor's bundle.

use std::collections::BTreeSet;
use std::time::Duration;

use tegata_core::time::DAY;
use tegata_core::vendor::{CodeRule, Expectation, FileNamePattern, PinRule, Sharing, SubjectRule, Thumbprint};

use super::set;
use crate::hint::quote;
use crate::v1::policy::{self, Anchor, CertificateProfileSpec, Expect, FileName, IssuanceCode, KeyOrigin};
use crate::yaml::gather::{At, Gather, Wrong};
use crate::yaml::written;

/// By how much a vendor's validity may differ if the policy does not say: leap days, and months of unequal length. A tenth of a short one.
const TOLERANCE: Duration = Duration::from_secs(7 * DAY.as_secs());

/// Gives `None` inside if the key is born on the device, and nothing at all if something is wrong.
pub(super) fn expect(
    spec: &CertificateProfileSpec,
    validity: Option<Duration>,
    at: &At<'_>,
    gather: &mut Gather<'_>,
) -> Option<Option<Expectation>> {
    if spec.key.origin == KeyOrigin::Device {
        for (key, is_there) in [("pin", spec.pin.is_some()), ("code", spec.code.is_some())] {
            if is_there {
                let message = format!("a {key} belongs to vendors' files, but this key is born on the device");
                gather.say_of_key(&at.key(key), Wrong::new(message, format!("delete {key}, or write origin: vendor")));
            }
        }
        return Some(None);
    }
    // Its absence was reported with the validity.
    let expect = spec.expect.as_ref()?;
    let at_expect = at.key("expect");
    let (issuer, at_issuer) = (expect.issuer.as_ref(), at_expect.key("issuer"));
    let common_name = issuer.and_then(|name| name.common_name.as_ref());
    let common_name = optional(common_name, |text| gather.name(&at_issuer.key("CN"), &text.0));
    let organization = issuer.and_then(|name| name.organization.as_ref());
    let organization = optional(organization, |text| gather.name(&at_issuer.key("O"), &text.0));
    let anchors = anchors(expect.anchors.as_deref(), &at_expect.key("anchors"), gather);
    let file_name = optional(expect.file_name.as_ref(), |text| gather.take(&at_expect.key("fileName"), file_name(text)));
    let tolerance = tolerance(expect, validity, &at_expect.key("validityTolerance"), gather);
    let code = optional(spec.code.as_ref(), |code| code_rule(code, &at.key("code"), gather));
    Some(Some(Expectation {
        issuer_common_name: common_name?,
        issuer_organization: organization?,
        subject: subject(expect),
        anchors,
        file_name: file_name?,
        keep_file_name: spec.install.as_ref().and_then(|install| install.keep_file_name).unwrap_or(false),
        validity: validity?,
        validity_tolerance: tolerance?,
        sharing: sharing(expect),
        pin: spec.pin.as_ref().map(|pin| PinRule { digits: pin.digits, tries: pin.tries }),
        code: code?,
    }))
}

/// What may be left out: left out, read, or wrong.
fn optional<T, U>(written: Option<&T>, read: impl FnOnce(&T) -> Option<U>) -> Option<Option<U>> {
    written.map_or(Some(None), |written| read(written).map(Some))
}

fn subject(expect: &Expect) -> SubjectRule {
    match expect.subject {
        None | Some(policy::ExpectedSubject::Anything) => SubjectRule::Anything,
        Some(policy::ExpectedSubject::InstitutionNumber) => SubjectRule::InstitutionNumber,
        Some(policy::ExpectedSubject::VendorTenant) => SubjectRule::VendorTenant,
    }
}

fn sharing(expect: &Expect) -> Sharing {
    match expect.sharing {
        None | Some(policy::Sharing::OneDevice) => Sharing::OneDevice,
        Some(policy::Sharing::ManyDevices) => Sharing::ManyDevices,
    }
}

/// An empty list would look as if something were pinned.
fn anchors(list: Option<&[Anchor]>, at: &At<'_>, gather: &mut Gather<'_>) -> BTreeSet<Thumbprint> {
    let Some(list) = list else { return BTreeSet::new() };
    if list.is_empty() {
        gather.say(at, Wrong::new("no authority is named, so nothing would be compared", "name its thumbprint, or delete anchors"));
    }
    set(list, at, gather, |text, at, gather| gather.take(at, written::anchor(&text.0)), |text| text.0.clone())
}

fn file_name(text: &FileName) -> Result<FileNamePattern, Wrong> {
    let wrong = |problem: String| Wrong::new(format!("{} cannot be what a vendor's file is called", quote(&text.0)), problem);
    FileNamePattern::parse(&text.0).map_err(|error| wrong(error.problem))
}

fn tolerance(expect: &Expect, validity: Option<Duration>, at: &At<'_>, gather: &mut Gather<'_>) -> Option<Duration> {
    let validity = validity?;
    let Some(text) = &expect.validity_tolerance else { return Some(TOLERANCE.min(validity / 10)) };
    let tolerance = gather.take(at, written::span(&text.0))?;
    if tolerance >= validity {
        let message = format!("with a tolerance of {} every validity would do", quote(&text.0));
        gather.say(at, Wrong::new(message, "write some days, such as 7d"));
        return None;
    }
    Some(tolerance)
}

fn code_rule(code: &IssuanceCode, at: &At<'_>, gather: &mut Gather<'_>) -> Option<CodeRule> {
    Some(CodeRule { digits: code.digits, life: gather.take(&at.key("life"), written::span(&code.life.0))? })
}
