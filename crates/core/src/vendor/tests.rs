//! Every fault is found where it is, and alone.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::calendar::Calendar;
use crate::policy::{BackupRule, ClinicSsh, InstallerRule};
use crate::time::DAY;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);
const ROOT: Thumbprints = Thumbprints { sha1: Sha1([1; 20]), sha256: Sha256([2; 32]) };
const BELOW: Thumbprints = Thumbprints { sha1: Sha1([3; 20]), sha256: Sha256([4; 32]) };

fn clinic() -> ClinicNetwork {
    ClinicNetwork {
        notify: Default::default(),
        name: "sakura".parse().unwrap(),
        display_name: "さくら内科".parse().unwrap(),
        institution_number: Some("1312345678".parse().unwrap()),
        vendor_tenant: Some("u00000126".parse().unwrap()),
        facility_slug: "sakura".parse().unwrap(),
        contacts: Vec::new(),
        hours: Calendar::default(),
        accounts: BTreeMap::new(),
        devices: BTreeMap::new(),
        guests: BTreeSet::new(),
        certificates: Vec::new(),
        installers: InstallerRule::default(),
        backup: BackupRule::default(),
        replace_at_once: 1,
        portal: None,
        ssh: ClinicSsh::default(),
    }
}

fn expected() -> Expectation {
    Expectation {
        issuer_common_name: Some("Intermediate CA".parse().unwrap()),
        issuer_organization: Some("ORCA".parse().unwrap()),
        subject: SubjectRule::VendorTenant,
        anchors: BTreeSet::from([Thumbprint::Sha1(ROOT.sha1)]),
        file_name: Some(FileNamePattern::parse("{digits}_JP_{tenant}_client{n}.p12").unwrap()),
        keep_file_name: true,
        validity: 1095 * DAY,
        validity_tolerance: 7 * DAY,
        sharing: Sharing::OneDevice,
        pin: None,
        code: None,
    }
}

fn facts() -> BundleFacts {
    let texts = ["JP", "u00000126", "1312345678", "client1210"];
    BundleFacts {
        fingerprint: Sha256([7; 32]),
        serial: "114F".into(),
        common_name: Some("client1210".into()),
        organization: Some("u00000126".into()),
        subject_texts: texts.map(str::to_owned).into(),
        issuer_common_name: Some("Intermediate CA".into()),
        issuer_organization: Some("ORCA".into()),
        not_before: NOW,
        not_after: NOW.after(1096 * DAY),
        anchors: vec![BELOW, ROOT],
        file_name: "004431_JP_u00000126_client1210.p12".into(),
    }
}

/// What is wrong after something was changed in a bundle that fits.
fn faults(change: impl FnOnce(&mut BundleFacts, &mut Expectation, &mut ClinicNetwork)) -> Vec<BundleFault> {
    let (mut facts, mut expected, mut clinic) = (facts(), expected(), clinic());
    change(&mut facts, &mut expected, &mut clinic);
    check(&facts, &expected, &clinic, NOW)
}

#[test]
fn a_bundle_that_fits_has_no_fault() {
    assert_eq!(faults(|_, _, _| ()), []);
}

#[test]
fn a_certificate_is_good_from_its_first_moment_to_its_last() {
    let (facts, expected, clinic) = (facts(), expected(), clinic());
    let at = |moment| check(&facts, &expected, &clinic, moment);
    assert_eq!(at(facts.not_before), []);
    assert_eq!(at(facts.not_after), []);
    assert_eq!(at(Timestamp::from_unix(NOW.unix() - 1)), [BundleFault::NotYetValid { at: facts.not_before }]);
    assert_eq!(at(Timestamp::from_unix(facts.not_after.unix() + 1)), [BundleFault::Expired { at: facts.not_after }]);
}

#[test]
fn the_issuer_has_the_names_that_policy_says_and_no_others_that_look_alike() {
    let wrong = |found: &str, wanted: &str| BundleFault::WrongIssuer { found: Some(found.into()), wanted: wanted.parse().unwrap() };
    let renamed = |name: &str| faults(|facts, _, _| facts.issuer_common_name = Some(name.into()));
    for name in ["Intermediate", "Intermediate CA2", "intermediate ca", " Intermediate CA", ""] {
        assert_eq!(renamed(name), [wrong(name, "Intermediate CA")]);
    }
    assert_eq!(faults(|facts, _, _| facts.issuer_organization = Some("ORKA".into())), [wrong("ORKA", "ORCA")]);
    let nameless = faults(|facts, _, _| facts.issuer_organization = None);
    assert_eq!(nameless, [BundleFault::WrongIssuer { found: None, wanted: "ORCA".parse().unwrap() }]);
    assert_eq!(faults(|facts, expected, _| (facts.issuer_organization, expected.issuer_organization) = (None, None)), []);
}

#[test]
fn a_certificate_of_another_institution_is_refused() {
    let of = |texts: &[&str]| {
        faults(|facts, expected, _| {
            expected.subject = SubjectRule::InstitutionNumber;
            facts.subject_texts = texts.iter().map(|text| (*text).to_owned()).collect();
        })
    };
    let wrong =
        |found: Option<&str>| BundleFault::WrongInstitution { found: found.map(str::to_owned), wanted: "1312345678".parse().unwrap() };
    assert_eq!(of(&["JP", "1312345678"]), []);
    assert_eq!(of(&["医療機関 1312345678 端末 0001"]), [], "other words may stand around it");
    assert_eq!(of(&["1312345679"]), [wrong(Some("1312345679"))]);
    assert_eq!(of(&["13123456789"]), [wrong(None)], "eleven digits are another number");
    assert_eq!(of(&["131234567", "8"]), [wrong(None)]);
    assert_eq!(of(&[]), [wrong(None)]);
    let unsaid = faults(|_, expected, clinic| (expected.subject, clinic.institution_number) = (SubjectRule::InstitutionNumber, None));
    assert_eq!(unsaid, [BundleFault::InstitutionUnknown]);
}

#[test]
fn a_certificate_of_another_tenant_is_refused() {
    let other = faults(|facts, _, _| facts.subject_texts = vec!["u000001260".into(), "client1".into()]);
    assert_eq!(other, [BundleFault::WrongTenant { found: Some("u00000126".into()), wanted: "u00000126".parse().unwrap() }]);
    assert_eq!(faults(|_, expected, clinic| (clinic.vendor_tenant, expected.file_name) = (None, None)), [BundleFault::TenantUnknown]);
}

#[test]
fn one_of_those_that_signed_has_to_be_pinned_by_either_digest() {
    for pin in [Thumbprint::Sha1(ROOT.sha1), Thumbprint::Sha256(ROOT.sha256), Thumbprint::Sha256(BELOW.sha256)] {
        assert_eq!(faults(|_, expected, _| expected.anchors = BTreeSet::from([pin, Thumbprint::Sha256(Sha256([9; 32]))])), []);
    }
    let other = faults(|_, expected, _| expected.anchors = BTreeSet::from([Thumbprint::Sha1(Sha1([9; 20]))]));
    assert_eq!(other, [BundleFault::UnknownAnchor { found: vec![BELOW, ROOT] }]);
    assert_eq!(faults(|facts, _, _| facts.anchors.clear()), [BundleFault::NoAnchor]);
    assert_eq!(faults(|facts, expected, _| (facts.anchors, expected.anchors) = (vec![], BTreeSet::new())), []);
}

#[test]
fn a_validity_may_differ_by_leap_days_but_not_by_a_year() {
    let lives = |days: u32| faults(|facts, _, _| facts.not_after = NOW.after(days * DAY));
    for days in [1088, 1095, 1096, 1102] {
        assert_eq!(lives(days), []);
    }
    for days in [730, 1087, 1103] {
        assert_eq!(lives(days), [BundleFault::WrongValidity { found: days * DAY, wanted: 1095 * DAY }]);
    }
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let all = faults(|facts, _, _| {
        facts.issuer_common_name = None;
        facts.subject_texts.clear();
        facts.anchors.clear();
        facts.file_name = "copy.p12".into();
        facts.not_after = NOW.before(DAY);
    });
    assert_eq!(all.len(), 6, "{all:?}");
}

#[test]
fn file_names_follow_their_pattern() {
    let fits = |pattern: &str, name: &str| FileNamePattern::parse(pattern).unwrap().original(name, &clinic()).map(String::from);
    for (pattern, names) in [
        ("{digits}.p12", &["1.p12", "202101010000777.p12"][..]),
        ("{digits}_JP_{tenant}_client{n}.p12", &["601_JP_u00000126_client1210.p12", "004431_JP_u00000126_client1.p12"]),
        ("client_cert.pfx", &["client_cert.pfx"]),
        ("{institutionNumber}-{n}.p12", &["1312345678-1.p12"]),
        // What a greedy reader would miss: the digits must leave one for the plain text behind them.
        ("{digits}1{n}.p12", &["111.p12", "21110.p12"]),
        ("証明書{n}.p12", &["証明書1.p12"]),
    ] {
        for name in names {
            assert_eq!(fits(pattern, name).as_deref(), Some(*name), "{pattern}");
        }
    }
    for (pattern, name) in [
        ("{digits}.p12", ".p12"),
        ("{digits}.p12", "1a.p12"),
        ("{digits}.p12", "１２.p12"),
        ("{digits}.p12", "1.p12.p12"),
        ("{digits}.p12", "1.P12"),
        ("{digits}_JP_{tenant}_client{n}.p12", "601_JP_u00000127_client1210.p12"),
        ("{digits}_JP_{tenant}_client{n}.p12", "601_JP_u00000126_client.p12"),
        ("{digits}_JP_{tenant}_client{n}.p12", "weborca.p12"),
        ("{digits}1{n}.p12", "11.p12"),
        ("client_cert.pfx", "client_cert.pfx.exe"),
    ] {
        assert_eq!(fits(pattern, name), None, "{pattern}: {name}");
    }
}

#[test]
fn the_number_that_a_browser_adds_is_taken_off() {
    let original = |name: &str| FileNamePattern::parse("client_cert.pfx").unwrap().original(name, &clinic()).map(String::from);
    for name in ["client_cert (1).pfx", "client_cert(12).pfx"] {
        assert_eq!(original(name).as_deref(), Some("client_cert.pfx"), "{name}");
    }
    for name in ["client_cert ().pfx", "client_cert (a).pfx", "client_cert 1).pfx", "client_cert (1) (2).pfx", "client_cert (1).p12"] {
        assert_eq!(original(name), None, "{name}");
    }
}

#[test]
fn a_tenant_that_the_clinic_does_not_say_is_any() {
    let mut clinic = clinic();
    clinic.vendor_tenant = None;
    let pattern = FileNamePattern::parse("{n}_{tenant}.p12").unwrap();
    assert!(pattern.original("1_u99.p12", &clinic).is_some());
    assert!(pattern.original("1_u-9.p12", &clinic).is_none());
}

#[test]
fn patterns_that_can_never_fit_are_refused() {
    for (text, problem) in [
        ("", "end in"),
        (".p12", "end in"),
        ("a.txt", "end in"),
        ("a.p12.txt", "end in"),
        ("../a.p12", "folders"),
        ("C:\\a.p12", "folders"),
        ("a\n.p12", "folders"),
        ("{digit}.p12", "{digits}, {n}"),
        ("{digits.p12", "no matching"),
    ] {
        let refused = FileNamePattern::parse(text).unwrap_err();
        assert!(refused.problem.contains(problem), "{text}: {}", refused.problem);
    }
    assert!(FileNamePattern::parse(&format!("{}.p12", "a".repeat(252))).is_err());
}

#[test]
fn matching_a_long_name_stays_cheap() {
    let pattern = FileNamePattern::parse(&format!("{}.p12", "{n}1".repeat(60))).unwrap();
    assert!(pattern.original(&format!("{}.p12", "1".repeat(250)), &clinic()).is_some());
    assert!(pattern.original(&format!("{}x.p12", "1".repeat(250)), &clinic()).is_none());
}

fn held(slot: &str, fingerprint: u8, not_after: Timestamp) -> Held {
    Held { slot: slot.parse().unwrap(), fingerprint: Sha256([fingerprint; 32]), not_after }
}

#[test]
fn a_copy_on_a_second_device_is_refused_where_the_vendor_forbids_it() {
    let slot: SlotId = "sakura/uketsuke-1/weborca".parse().unwrap();
    let end = facts().not_after;
    let (mut expected, facts) = (expected(), facts());
    let elsewhere = [held("sakura/uketsuke-2/weborca", 7, end)];
    let device = "sakura/uketsuke-2".parse().unwrap();
    assert_eq!(check_against(&facts, &expected, &slot, &elsewhere), [BundleFault::OnAnotherDevice { device }]);
    assert_eq!(check_against(&facts, &expected, &slot, &[held("sakura/uketsuke-2/weborca", 8, end)]), [], "another certificate");
    assert_eq!(check_against(&facts, &expected, &slot, &[held("sakura/uketsuke-1/other", 7, end)]), [], "the same device");
    assert_eq!(check_against(&facts, &expected, &slot, &[held("sakura/uketsuke-1/weborca", 7, end)]), [], "the same file again");
    expected.sharing = Sharing::ManyDevices;
    assert_eq!(check_against(&facts, &expected, &slot, &elsewhere), []);
}

#[test]
fn an_older_certificate_does_not_take_the_place_of_a_newer_one() {
    let slot: SlotId = "sakura/uketsuke-1/weborca".parse().unwrap();
    let (expected, facts) = (expected(), facts());
    let until = facts.not_after;
    let newer = [held("sakura/uketsuke-1/weborca", 1, until.after(2 * DAY)), held("sakura/uketsuke-1/weborca", 2, until.after(DAY))];
    let refused = [BundleFault::OlderThanHeld { until, held_until: until.after(2 * DAY) }];
    assert_eq!(check_against(&facts, &expected, &slot, &newer), refused);
    assert_eq!(check_against(&facts, &expected, &slot, &[held("sakura/uketsuke-1/weborca", 1, until)]), [], "ends at the same moment");
    assert_eq!(check_against(&facts, &expected, &slot, &[held("sakura/uketsuke-2/weborca", 1, until.after(DAY))]), [], "another place");
}
