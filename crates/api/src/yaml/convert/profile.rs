//! Reads a certificate profile.

use std::collections::BTreeSet;
use std::time::Duration;

use tegata_core::application::ApplicationRule;
use tegata_core::name::{Label, ProfileName};
use tegata_core::policy;
use tegata_core::time::{DAY, MINUTE};

use super::expect::expect;
use super::{ROOT, set};
use crate::hint::quote;
use crate::v1::policy::{Application, CertificateProfileSpec, Install, KeyAlgorithm, KeyOrigin, Notice, RenewWhen, Renewal, Store};
use crate::yaml::gather::{At, Gather, Wrong};
use crate::yaml::written::{self, in_days};

/// Shorter-lived certificates could not be renewed in time by an agent that asks each minute.
const VALIDITY_MIN: Duration = Duration::from_secs(10 * MINUTE.as_secs());
/// Longer-lived ones outlive the authority that signs them.
const VALIDITY_MAX: Duration = Duration::from_secs(10 * 365 * DAY.as_secs());
/// The shortest renewal window.
const WINDOW_MIN: Duration = MINUTE;

pub(crate) fn profile(
    name: Option<ProfileName>,
    spec: &CertificateProfileSpec,
    gather: &mut Gather<'_>,
) -> Option<policy::CertificateProfile> {
    let at = ROOT.key("spec");
    let issuer = gather.name(&at.key("issuer"), &spec.issuer.0);
    let key = key(spec, &at, gather);
    let validity = validity(spec, &at, gather);
    let renewal = renewal(spec.renewal.as_ref(), validity, &at.key("renewal"), gather);
    let notices = notices(&spec.notices, validity, &at.key("notices"), gather);
    let stores = stores(spec.install.as_ref(), &at.key("install"), gather);
    let select = select(spec, &at.key("browser"), gather);
    let probe = spec.probe.as_ref().map(|probe| gather.take(&at.key("probe").key("url"), written::url(&probe.url.0)));
    let trust =
        set(&spec.trust, &at.key("trust"), gather, |text, at, gather| gather.take(at, written::thumbprint(&text.0)), |text| text.0.clone());
    let expect = expect(spec, validity, &at, gather);
    let at_dependants = at.key("dependants");
    let dependants =
        spec.dependants.iter().enumerate().map(|(index, dependant)| gather.name(&at_dependants.item(index).key("name"), &dependant.name.0));
    let dependants: Vec<Option<Label>> = dependants.collect();
    let application = spec.application.as_ref().map(|written| application(spec, written, &at.key("application"), gather));
    Some(policy::CertificateProfile {
        name: name?,
        issuer: issuer?,
        key: key?,
        validity: validity?,
        renewal: renewal?,
        notices,
        stores,
        select,
        probe: probe.map_or(Some(None), |read| read.map(Some))?,
        trust,
        dependants: dependants.into_iter().collect::<Option<_>>()?,
        expect: expect?,
        application: application.map_or(Some(None), |read| read.map(Some))?,
    })
}

fn key(spec: &CertificateProfileSpec, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::KeyOrigin> {
    match (spec.key.origin, spec.key.algorithm) {
        (KeyOrigin::Device, algorithm) => Some(policy::KeyOrigin::Device(match algorithm {
            None | Some(KeyAlgorithm::EcdsaP256) => policy::KeyAlgorithm::EcdsaP256,
            Some(KeyAlgorithm::EcdsaP384) => policy::KeyAlgorithm::EcdsaP384,
            Some(KeyAlgorithm::Rsa2048) => policy::KeyAlgorithm::Rsa2048,
        })),
        (KeyOrigin::Vendor, None) => Some(policy::KeyOrigin::Vendor),
        (KeyOrigin::Vendor, Some(_)) => {
            gather.say_of_key(
                &at.key("key").key("algorithm"),
                Wrong::new("a vendor chooses its keys itself, so no algorithm can be named", "delete it, or write origin: device"),
            );
            None
        }
    }
}

/// A device's certificate lives as long as `validity` says, a vendor's as `expect.validity` says.
fn validity(spec: &CertificateProfileSpec, at: &At<'_>, gather: &mut Gather<'_>) -> Option<Duration> {
    let at_expect = at.key("expect");
    let (at_written, written) = match (spec.key.origin, &spec.validity, &spec.expect) {
        (KeyOrigin::Device, Some(validity), None) => (at.key("validity"), validity),
        (KeyOrigin::Vendor, None, Some(expect)) => (at_expect.key("validity"), &expect.validity),
        (KeyOrigin::Device, _, Some(_)) => {
            gather.say_of_key(
                &at_expect,
                Wrong::new(
                    "nothing can be expected of a vendor where the key is born on the device",
                    "delete expect, or write origin: vendor",
                ),
            );
            return None;
        }
        (KeyOrigin::Device, None, None) => {
            gather.say_of_key(at, Wrong::new("it is not said how long certificates live", "write validity: and a span such as 90d"));
            return None;
        }
        (KeyOrigin::Vendor, Some(_), _) => {
            gather.say_of_key(
                &at.key("validity"),
                Wrong::new("how long a vendor's certificate lives is the vendor's choice", "move it: expect: { validity: … }"),
            );
            return None;
        }
        (KeyOrigin::Vendor, None, None) => {
            gather.say_of_key(at, Wrong::new("it is not said how long the vendor's certificates live", "write expect: { validity: 3y }"));
            return None;
        }
    };
    let validity = gather.take(&at_written, written::span(&written.0))?;
    if !(VALIDITY_MIN..=VALIDITY_MAX).contains(&validity) {
        let bounds = format!("a certificate must live between {} and {}", in_days(VALIDITY_MIN), in_days(VALIDITY_MAX));
        gather.say(&at_written, Wrong::new(format!("a validity of {} is out of bounds", quote(&written.0)), bounds));
        return None;
    }
    Some(validity)
}

fn renewal(renewal: Option<&Renewal>, validity: Option<Duration>, at: &At<'_>, gather: &mut Gather<'_>) -> Option<policy::Renewal> {
    let Some(renewal) = renewal else {
        let third = Duration::from_secs(validity?.as_secs() / 3);
        return Some(policy::Renewal { window: third, when: policy::RenewWhen::Early });
    };
    let at = at.key("window");
    let window = gather.take(&at, written::span(&renewal.window.0))?;
    let validity = validity?;
    if window >= validity || window < WINDOW_MIN {
        let message = format!("a renewal window of {} does not fit a validity of {}", quote(&renewal.window.0), in_days(validity));
        gather.say(
            &at,
            Wrong::new(
                message,
                format!("the window must be shorter, such as {}", in_days(Duration::from_secs((validity.as_secs() / 3).max(60)))),
            ),
        );
        return None;
    }
    let when = match renewal.when {
        None | Some(RenewWhen::Early) => policy::RenewWhen::Early,
        Some(RenewWhen::Late) => policy::RenewWhen::Late,
    };
    Some(policy::Renewal { window, when })
}

fn application(spec: &CertificateProfileSpec, written: &Application, at: &At<'_>, gather: &mut Gather<'_>) -> Option<ApplicationRule> {
    if spec.key.origin == KeyOrigin::Device {
        let wrong = Wrong::new(
            "nobody has to apply for a certificate whose key is born on the device",
            "delete application, or write origin: vendor",
        );
        gather.say_of_key(at, wrong);
        return None;
    }
    let window = gather.take(&at.key("window"), written::span(&written.window.0))?;
    let at_notices = at.key("notices");
    let notices = notices(&written.notices, None, &at_notices, gather);
    if notices.first().is_some_and(|first| *first >= window) {
        let message = "the first notice would come before the application";
        gather.say(&at_notices.item(0), Wrong::new(message, "write a span shorter than the window"));
    }
    Some(ApplicationRule { window, notices })
}

/// Reads the notice ladder. `daily` after a span of n days means n-1, n-2, … 1 days before.
pub(super) fn notices(list: &[Notice], validity: Option<Duration>, at: &At<'_>, gather: &mut Gather<'_>) -> Vec<Duration> {
    let mut ladder: Vec<Duration> = Vec::new();
    for (index, notice) in list.iter().enumerate() {
        let at = at.item(index);
        if notice.0 == "daily" {
            let days = ladder.last().map_or(0, |span| span.as_secs() / DAY.as_secs());
            if index + 1 < list.len() || days < 2 {
                gather.say(&at, Wrong::new("'daily' must be the last notice, after one of at least 2d", "write [90d, 30d, 7d, daily]"));
            }
            ladder.extend((1..days.min(366)).rev().map(|days| DAY * u32::try_from(days).unwrap_or(1)));
            continue;
        }
        let Some(span) = gather.take(&at, written::span(&notice.0)) else { continue };
        if validity.is_some_and(|validity| span >= validity) {
            gather.say(
                &at,
                Wrong::new(
                    format!("a notice {} before expiry would come before the certificate exists", quote(&notice.0)),
                    "write a span shorter than the validity",
                ),
            );
        }
        if ladder.last().is_some_and(|before| *before <= span) {
            gather.say(
                &at,
                Wrong::new(format!("the notice {} is not shorter than the one before it", quote(&notice.0)), "begin with the longest"),
            );
        }
        ladder.push(span);
    }
    ladder
}

fn stores(install: Option<&Install>, at: &At<'_>, gather: &mut Gather<'_>) -> BTreeSet<policy::Store> {
    let Some(install) = install else { return BTreeSet::from([policy::Store::Browser]) };
    let at = at.key("stores");
    if install.stores.is_empty() {
        gather.say(&at, Wrong::new("no store is named, so the certificate would go nowhere", "write [browser], [file] or both"));
    }
    let read = |store: &Store, _: &At<'_>, _: &mut Gather<'_>| {
        Some(match store {
            Store::Browser => policy::Store::Browser,
            Store::File => policy::Store::File,
            Store::Monsiaj => policy::Store::Monsiaj,
        })
    };
    set(&install.stores, &at, gather, read, |store| format!("{store:?}").to_lowercase())
}

fn select(spec: &CertificateProfileSpec, at: &At<'_>, gather: &mut Gather<'_>) -> Vec<policy::UrlTemplate> {
    let Some(browser) = &spec.browser else { return Vec::new() };
    let at = at.key("select");
    if browser.select.is_empty() {
        gather.say(&at, Wrong::new("the browser is to select for no site at all", "name the sites, or delete browser"));
    }
    let sites = set(&browser.select, &at, gather, |text, at, gather| gather.take(at, written::site(&text.0)), |text| text.0.clone());
    sites.into_iter().collect()
}
