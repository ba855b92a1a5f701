//! What people read and programs get, on a PC with a real policy folder.

use expect_test::expect;
use tegata_api::v1::device::{self as wire, BrowserRule};
use tegata_core::name::Sha256;

use super::*;
use crate::inventory::Item;
use crate::pretend::World;

fn rule(site: &str, organization: &str) -> BrowserRule {
    BrowserRule {
        pattern: site.into(),
        issuer_common_name: "Aozora CA".into(),
        subject_organization: organization.into(),
        subject_common_name: None,
    }
}

fn slot(id: &str, select: &[BrowserRule]) -> wire::SlotManifest {
    wire::SlotManifest {
        backup: vec![],
        quorum: None,
        source: wire::Source::Request,
        slot: id.into(),
        order: None,
        key: "ecdsa-p256".into(),
        label: "Karte".into(),
        stores: vec!["browser".into()],
        select: select.to_vec(),
        probe: None,
        replaces: vec![],
    }
}

/// A PC of sakura that is a guest of momiji and of tsubaki, whose certificate has not come yet.
fn pc() -> World {
    let mut world = World::new();
    world.settings.browser_policies = Some(world.home().join("policies"));
    let slots = vec![
        slot("sakura/uketsuke-1/karte", &[rule("https://karte.example.jp", "sakura"), rule("https://sakura.example.jp", "sakura")]),
        slot("momiji/uketsuke-1@sakura/karte", &[rule("https://karte.example.jp", "momiji"), rule("https://orca.example.jp", "u1")]),
        slot("tsubaki/uketsuke-1@sakura/orca", &[rule("https://orca.example.jp", "u1")]),
    ];
    let manifest = wire::Manifest { generation: 1, device: "sakura/uketsuke-1".into(), slots, ..Default::default() };
    disk::write_json(&world.state.manifest(), &manifest).unwrap();
    let mut inventory = Inventory::open(&world.state).unwrap();
    for (number, slot) in (1..).zip(["sakura/uketsuke-1/karte", "momiji/uketsuke-1@sakura/karte"]) {
        inventory.claim(Sha256([number; 32]), Item { slot: slot.into(), stores: vec!["browser".into()], adopted: vec![] }).unwrap();
    }
    world
}

impl World {
    fn browsers(&self) -> Box<dyn Browser> {
        browser::of_this_pc(&self.state, &self.settings)
    }

    fn switch(&self, clinic: &str) -> Clinics {
        switch(&self.state, &mut *self.browsers(), clinic).unwrap();
        self.clinics()
    }

    fn clinics(&self) -> Clinics {
        Clinics::read(&self.state, &self.settings).unwrap()
    }
}

#[test]
fn people_read_which_clinic_is_in_use_and_which_certificate_each_site_gets() {
    let world = pc();
    expect![[r#"
        Clinics of this PC (* is in use):
          momiji
        * sakura (where this PC stands)
          tsubaki
        https://karte.example.jp: certificate of sakura
        https://orca.example.jp: the browser asks (only momiji, tsubaki use it)
        https://sakura.example.jp: certificate of sakura
    "#]]
    .assert_eq(&world.clinics().tell(Language::English));
    let switched = world.switch("momiji");
    expect![[r#"
        使用中の診療所を momiji に切り替えました。
        https://karte.example.jp: momiji の証明書を使います
        https://orca.example.jp: momiji の証明書を使います
        https://orca.example.jp: ブラウザーは tsubaki の証明書と見分けられず、期限の遅いほうを使います。管理者に知らせてください。
        https://sakura.example.jp: sakura の証明書を使います
    "#]]
    .assert_eq(&switched.tell_switched(Language::Japanese));
    let awaited = world.switch("tsubaki").tell_switched(Language::English);
    assert!(
        awaited.contains("orca.example.jp: certificate of tsubaki, which has not come yet; until then the browser asks\n"),
        "{awaited}"
    );
    world.switch("momiji");
    assert!(world.clinics().tell(Language::Japanese).contains("\n* momiji\n  sakura (この端末のある診療所)\n"));
}

#[test]
fn programs_get_the_same() {
    expect![[r#"
        {
          "active": "tsubaki",
          "home": "sakura",
          "clinics": [
            "momiji",
            "sakura",
            "tsubaki"
          ],
          "sites": [
            {
              "site": "https://karte.example.jp",
              "clinic": null,
              "installed": false,
              "clinics": [
                "momiji",
                "sakura"
              ],
              "alike": []
            },
            {
              "site": "https://orca.example.jp",
              "clinic": "tsubaki",
              "installed": false,
              "clinics": [
                "momiji",
                "tsubaki"
              ],
              "alike": [
                "momiji"
              ]
            },
            {
              "site": "https://sakura.example.jp",
              "clinic": "sakura",
              "installed": true,
              "clinics": [
                "sakura"
              ],
              "alike": []
            }
          ],
          "restartBrowser": false
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&pc().switch("tsubaki")).unwrap());
}

#[cfg(target_os = "linux")]
#[test]
fn the_policy_file_follows_the_choice_and_a_browser_that_runs_has_to_be_restarted() {
    let world = pc();
    let policy = || std::fs::read_to_string(world.home().join("policies/tegata.json")).unwrap();
    assert!(!world.switch("sakura").restart_browser, "there is none");
    assert!(policy().contains(r#"\"O\":\"sakura\""#) && !policy().contains("momiji"));
    let mut running = crate::pretend::start_browser(&world.home());
    let switched = world.switch("momiji");
    assert!(policy().contains(r#"\"O\":\"momiji\""#));
    assert!(switched.tell_switched(Language::English).ends_with("start the browser again: it then uses the new certificate.\n"));
    running.kill().unwrap();
    running.wait().unwrap();
    assert!(!world.clinics().restart_browser);
}

#[test]
fn a_clinic_that_is_none_of_this_pcs_changes_nothing_and_the_others_are_named() {
    let world = pc();
    world.switch("momiji");
    for wrong in ["himawari", "Sakura", "さくら", ""] {
        let problem = switch(&world.state, &mut *world.browsers(), wrong).unwrap_err();
        assert!(matches!(&problem, SwitchError::Unknown { known, .. } if *known == ["momiji", "sakura", "tsubaki"]), "{problem:?}");
    }
    assert_eq!(world.clinics().active, "momiji");
}

#[test]
fn a_pc_that_heard_of_no_clinic_yet_says_so() {
    let world = World::new();
    assert!(matches!(Clinics::read(&world.state, &world.settings), Err(SwitchError::NothingYet(_))));
    assert!(matches!(switch(&world.state, &mut *world.browsers(), "sakura"), Err(SwitchError::NothingYet(_))));
    assert!(!world.state.active_clinic().exists());
}

#[test]
fn the_choice_is_readable_while_somebody_else_holds_the_browsers() {
    let world = pc();
    let _held = world.state.hold_browsers().unwrap();
    assert_eq!(world.clinics().active, "sakura");
}
