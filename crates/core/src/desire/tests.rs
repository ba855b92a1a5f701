use std::collections::BTreeSet;

use expect_test::expect;

use super::*;
use crate::policy::*;
use crate::time::DAY;

fn clinic(name: &str, slug: &str) -> ClinicNetwork {
    ClinicNetwork {
        name: name.parse().unwrap(),
        display_name: name.parse().unwrap(),
        institution_number: None,
        vendor_tenant: None,
        facility_slug: slug.parse().unwrap(),
        contacts: Vec::new(),
        notify: crate::policy::Notify::default(),
        hours: Default::default(),
        accounts: BTreeMap::new(),
        devices: BTreeMap::new(),
        guests: BTreeSet::new(),
        certificates: Vec::new(),
        installers: InstallerRule { remove: RemoveInstallers::AfterProof, ..InstallerRule::default() },
        backup: BackupRule::default(),
        replace_at_once: 3,
        portal: None,
        ssh: ClinicSsh::default(),
    }
}

fn device(labels: &[(&str, &str)]) -> Device {
    let labels = labels.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    Device { platform: Platform::Windows, memo: None, labels, ssh: None }
}

fn profile(name: &str, issuer: &str, key: KeyOrigin) -> CertificateProfile {
    CertificateProfile {
        name: name.parse().unwrap(),
        issuer: issuer.parse().unwrap(),
        key,
        validity: 365 * DAY,
        renewal: Renewal { window: 60 * DAY, when: RenewWhen::Early },
        notices: Vec::new(),
        stores: BTreeSet::from([Store::Browser]),
        select: vec![UrlTemplate::parse("https://{facilitySlug}.karte.example.jp").unwrap()],
        probe: Some(UrlTemplate::parse("https://karte.example.jp/{clinic}").unwrap()),
        trust: BTreeSet::new(),
        dependants: Vec::new(),
        expect: None,
        application: None,
    }
}

/// Two sister clinics; `sakura` has two own devices and two guests from `momiji`, one of which does not exist there.
fn group() -> Tenant {
    let mut sakura = clinic("sakura", "SakuraNaika");
    sakura.devices.insert("uketsuke-1".parse().unwrap(), device(&[("room", "reception")]));
    sakura.devices.insert("incho-mac".parse().unwrap(), device(&[]));
    sakura.guests = ["momiji/note-1", "momiji/gone"].map(|guest| guest.parse().unwrap()).into();
    let mut momiji = clinic("momiji", "momiji");
    momiji.devices.insert("note-1".parse().unwrap(), device(&[("room", "reception")]));
    let ca = Issuer { name: "portal".parse().unwrap(), kind: IssuerKind::Ca { common_name: "Portal CA".parse().unwrap() }, portal: None };
    let vendor = Issuer { name: "orca".parse().unwrap(), kind: IssuerKind::Vendor, portal: None };
    let own = KeyOrigin::Device(KeyAlgorithm::EcdsaP256);
    let profiles = [profile("karte", "portal", own), profile("weborca", "orca", KeyOrigin::Vendor), profile("odd", "orca", own)];
    Tenant {
        name: "aozora".parse().unwrap(),
        clinics: [sakura, momiji].map(|clinic| (clinic.name.clone(), clinic)).into(),
        profiles: profiles.map(|profile| (profile.name.clone(), profile)).into(),
        issuers: [ca, vendor].map(|issuer| (issuer.name.clone(), issuer)).into(),
        targets: BTreeMap::new(),
        bindings: BTreeMap::new(),
    }
}

/// What `sakura` wants when it assigns these.
fn desired(assignments: Vec<Assignment>, adjust: impl FnOnce(&mut ClinicNetwork)) -> Desired {
    let mut tenant = group();
    let sakura = "sakura".parse().unwrap();
    let network = tenant.clinics.get_mut(&sakura).unwrap();
    network.certificates = assignments;
    adjust(network);
    desire(&tenant, &sakura)
}

fn assign(profile: &str, devices: Selector) -> Assignment {
    Assignment { profile: profile.parse().unwrap(), account: None, devices }
}

fn slots(desired: &Desired) -> Vec<String> {
    desired.slots.keys().map(ToString::to_string).collect()
}

#[test]
fn all_means_own_devices_and_guests_that_exist() {
    let desired = desired(vec![assign("karte", Selector::All)], |_| ());
    assert_eq!(slots(&desired), ["sakura/note-1@momiji/karte", "sakura/incho-mac/karte", "sakura/uketsuke-1/karte"]);
}

#[test]
fn devices_are_selected_by_name_or_by_every_label() {
    let names = Selector::Names(["sakura/incho-mac", "momiji/note-1", "momiji/gone"].map(|id| id.parse().unwrap()).into());
    assert_eq!(slots(&desired(vec![assign("karte", names)], |_| ())), ["sakura/note-1@momiji/karte", "sakura/incho-mac/karte"]);
    let reception = Selector::Labels([("room".to_owned(), "reception".to_owned())].into());
    assert_eq!(slots(&desired(vec![assign("karte", reception)], |_| ())), ["sakura/note-1@momiji/karte", "sakura/uketsuke-1/karte"]);
    let two = Selector::Labels([("room".to_owned(), "reception".to_owned()), ("floor".to_owned(), "1".to_owned())].into());
    assert_eq!(slots(&desired(vec![assign("karte", two)], |_| ())), [""; 0]);
}

#[test]
fn an_issuer_that_does_not_go_with_the_key_gives_no_slots() {
    let odd = ["odd", "unheard-of"].map(|profile| assign(profile, Selector::All));
    assert_eq!(slots(&desired(odd.into(), |_| ())), [""; 0]);
}

#[test]
fn a_vendors_certificate_is_brought_by_a_person() {
    let desired = desired(vec![assign("weborca", Selector::All)], |_| ());
    assert_eq!(desired.slots.len(), 3);
    assert!(desired.slots.values().all(|slot| slot.supply == Supply::Person && slot.template.key == KeyOrigin::Vendor));
}

#[test]
fn an_account_whose_person_left_gives_no_slots() {
    let account = |active| Account {
        mail: None,
        active,
        successor: None,
        quotas: vec![Quota { certificates: 50, per: None, counting: Counting::Issued }],
    };
    let mine = || Assignment { account: Some("doctor".parse().unwrap()), ..assign("karte", Selector::All) };
    let with = |active| desired(vec![mine()], |network| drop(network.accounts.insert("doctor".parse().unwrap(), account(active))));
    assert_eq!(with(true).slots.len(), 3);
    assert_eq!(with(true).quotas.len(), 1);
    assert_eq!(with(false).slots.len(), 0);
    assert_eq!(desired(vec![mine()], |_| ()).slots.len(), 0, "an account that policy does not name");
}

#[test]
fn of_two_assignments_of_one_slot_the_first_counts() {
    let account = Account { mail: None, active: true, successor: None, quotas: Vec::new() };
    let named = Assignment { account: Some("doctor".parse().unwrap()), ..assign("karte", Selector::All) };
    let desired =
        desired(vec![named, assign("karte", Selector::All)], |network| drop(network.accounts.insert("doctor".parse().unwrap(), account)));
    assert!(desired.slots.values().all(|slot| slot.account.is_some()));
}

#[test]
fn a_clinic_that_policy_does_not_name_wants_nothing() {
    assert_eq!(desire(&group(), &"kaede".parse().unwrap()), Desired::default());
}

#[test]
fn a_slot_is_spelled_out_for_its_device_and_clinic() {
    let desired = desired(vec![assign("karte", Selector::All)], |_| ());
    let guest = &desired.slots[&"sakura/note-1@momiji/karte".parse().unwrap()];
    let own = &desired.slots[&"sakura/uketsuke-1/karte".parse().unwrap()];
    assert_eq!([&own.template.common_name, &own.template.organization], ["uketsuke-1", "SakuraNaika"]);
    assert_eq!(own.select, guest.select);
    expect![[r#"
        DesiredSlot {
            account: None,
            template: Template {
                issuer: IssuerName(
                    "portal",
                ),
                common_name: "note-1.momiji",
                organization: "SakuraNaika",
                key: Device(
                    EcdsaP256,
                ),
                validity: 31536000s,
            },
            renewal: Renewal {
                window: 5184000s,
                when: Early,
            },
            stores: {
                Browser,
            },
            select: [
                "https://SakuraNaika.karte.example.jp",
            ],
            probe: Some(
                "https://karte.example.jp/sakura",
            ),
            trust: {},
            supply: Own,
            dependants: [],
            backups: {},
            backups_min: None,
        }
    "#]]
    .assert_debug_eq(guest);
}
