//! Reads what an issuer's portal hands out.

use std::time::Duration;

use tegata_core::policy::{self, FILE_PLACEHOLDERS, NameTemplate, Quota, SUBJECT_PLACEHOLDERS};
use tegata_core::time::{DAY, HOUR, MINUTE};

use crate::hint::quote;
use crate::v1::policy::{BundleFlavor, PortalSpec, Span, Text};
use crate::yaml::gather::{At, Gather, Wrong};
use crate::yaml::written::{self, in_days};

/// How long a mailed code lives, if the policy does not say: what clinics know.
const CODE_LIFE: Duration = Duration::from_secs(10 * MINUTE.as_secs());
/// How long before its end a certificate may be renewed by showing it: two months.
const RENEW_WITHIN: Duration = Duration::from_secs(60 * DAY.as_secs());
/// How many living certificates an account may have, if nothing else is said: what clinics know.
const CERTIFICATES: u32 = 50;
/// Beyond it a certificate would outlive the authority that signs it.
const VALIDITY_MAX: Duration = Duration::from_secs(9 * 365 * DAY.as_secs());

pub(super) fn portal(spec: &PortalSpec, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::Portal> {
    let validity = bounded(&spec.validity, DAY, VALIDITY_MAX, &at.key("validity"), gather);
    let code_life = spec.code_life.as_ref().map_or(Some(CODE_LIFE), |span| bounded(span, MINUTE, HOUR, &at.key("codeLife"), gather));
    let renew_within = renew_within(spec.renew_within.as_ref(), validity, &at.key("renewWithin"), gather);
    let subject =
        |text: Option<&Text>, default, at: &At<'_>, gather: &mut Gather<'_>| name(text, default, &SUBJECT_PLACEHOLDERS, at, gather);
    let common_name = subject(spec.common_name.as_ref(), "client{n}", &at.key("commonName"), gather);
    let organization = subject(spec.organization.as_ref(), "u{tenant}", &at.key("organization"), gather);
    let friendly = name(spec.friendly_name.as_ref(), "{label}-{commonName}", &FILE_PLACEHOLDERS, &at.key("friendlyName"), gather);
    let file_name = file_name(spec.file_name.as_ref(), &at.key("fileName"), gather);
    let quota = Quota { certificates: spec.certificates.unwrap_or(CERTIFICATES), per: None, counting: policy::Counting::default() };
    Some(policy::Portal {
        validity: validity?,
        renew_within: renew_within?,
        code_life: code_life?,
        quota,
        common_name: common_name?,
        organization: organization?,
        friendly_name: friendly?,
        file_name: file_name?,
        flavor: match spec.flavor {
            None | Some(BundleFlavor::Modern) => policy::BundleFlavor::Modern,
            Some(BundleFlavor::Legacy) => policy::BundleFlavor::Legacy,
        },
    })
}

fn bounded(span: &Span, least: Duration, most: Duration, at: &At<'_>, gather: &mut Gather<'_>) -> Option<Duration> {
    let read = gather.take(at, written::span(&span.0))?;
    if (least..=most).contains(&read) {
        return Some(read);
    }
    let bounds = format!("write a span between {} and {}", in_days(least), in_days(most));
    gather.say(at, Wrong::new(format!("the span {} is out of bounds", quote(&span.0)), bounds));
    None
}

/// Without a word it is two months, or a third of a life that is too short for that.
fn renew_within(span: Option<&Span>, validity: Option<Duration>, at: &At<'_>, gather: &mut Gather<'_>) -> Option<Duration> {
    let Some(span) = span else { return validity.map(|validity| RENEW_WITHIN.min(validity / 3)) };
    let (read, validity) = (gather.take(at, written::span(&span.0))?, validity?);
    if read < validity {
        return Some(read);
    }
    let message = format!("a renewal window of {} does not fit a validity of {}", quote(&span.0), in_days(validity));
    gather.say(at, Wrong::new(message, format!("the window must be shorter, such as {}", in_days(RENEW_WITHIN.min(validity / 3)))));
    None
}

fn name(text: Option<&Text>, default: &str, known: &[&str], at: &At<'_>, gather: &mut Gather<'_>) -> Option<NameTemplate> {
    let text = text.map_or(default, |text| &text.0);
    let read = NameTemplate::parse(text, known).map_err(|problem| {
        Wrong::new(format!("{} is not a name that can be filled: {problem}", quote(text)), format!("write it like {default}"))
    });
    gather.take(at, read)
}

fn file_name(text: Option<&Text>, at: &At<'_>, gather: &mut Gather<'_>) -> Option<NameTemplate> {
    let read = name(text, "{number}_JP_{organization}_client{n}.p12", &FILE_PLACEHOLDERS, at, gather)?;
    let ending = read.as_str().rsplit_once('.').map(|(_, ending)| ending);
    if matches!(ending, Some("p12" | "pfx")) && !read.as_str().starts_with('.') {
        return Some(read);
    }
    let message = format!("{} is not the name of a PKCS#12 file", quote(read.as_str()));
    gather.say(at, Wrong::new(message, "let it end with .p12 or .pfx"));
    None
}
