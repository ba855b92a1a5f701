//! The store of a Windows user: keys are born there or come with a vendor's file, and what others have there stays theirs.

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::key::PrivateKey;
use tegata_tests::World;
use tegata_tests::emr::Emr;
use tegata_tests::process::wait_for;
use tegata_tests::wine::{Agent, Held, Pc};
use tegata_tests::world::PATIENCE;

use super::{CHART, DEVICE, POLICY, slot, wait_for_another};

/// Where Chrome and Edge look for their rules.
const RULES: [&str; 2] = [
    r"HKCU\SOFTWARE\Policies\Google\Chrome\AutoSelectCertificateForUrls",
    r"HKCU\SOFTWARE\Policies\Microsoft\Edge\AutoSelectCertificateForUrls",
];
const THEIR_RULE: &str = r#"{"pattern":"https://bank.example.jp","filter":{"ISSUER":{"CN":"Bank CA"}}}"#;

#[test]
fn a_key_is_born_in_the_store_replaced_and_removed_there_and_what_others_have_stays() -> Result<()> {
    let world = World::start()?;
    let in_browser = r#"install: { stores: [browser] }
  browser: { select: ["https://karte-{facilitySlug}.example.jp"] }"#;
    let policy = POLICY.replace("install: { stores: [file] }", in_browser);
    world.apply(&policy)?;
    let emr = Emr::start(&world, &[&format!("{CHART}=aozora-ca:sakura:さくら内科")])?;
    let pc = Pc::new()?;
    let theirs = Theirs::on(&pc)?;
    let mut agent = Agent::enroll(&world, pc, DEVICE, &emr.settings(&[CHART]))?;
    agent.start()?;
    agent.wait(|| world.wait_until_ready())?;
    let first = slot(&world)?.serial.context("a ready slot has a serial")?;
    let old = theirs.beside_ours(&agent.pc)?;
    ensure!(old.len() == 1 && old[0].serial()? == first && emr.visits()?.contains(&first), "{first}: {old:?}\n{}", emr.visits()?);

    agent.start()?;
    world.cli_well(["renew", "certificate", &first])?;
    let second = agent.wait(|| wait_for_another(&world, &first))?;
    let new = theirs.beside_ours(&agent.pc)?;
    ensure!(new.len() == 1 && new[0].serial()? == second && emr.visits()?.contains(&second), "{second}: {new:?}\n{}", emr.visits()?);
    ensure!(new[0].key != old[0].key, "a new certificate has a new key");

    world.apply(&policy.replace("certificates: [{ profile: karte }]", "certificates: []"))?;
    agent.wait(|| wait_for(PATIENCE, "what is ours to go", || Ok(theirs.is_alone(&agent.pc)?.then_some(()))))?;
    ensure!(theirs.beside_ours(&agent.pc)?.is_empty());
    Ok(())
}

/// What was on the PC before the agent: a certificate with its key, a key that no certificate uses, and a rule in each browser.
struct Theirs {
    held: Held,
    keys: BTreeSet<String>,
}

impl Theirs {
    fn on(pc: &Pc) -> Result<Self> {
        let [used, alone] = [PrivateKey::generate(KeyAlgorithm::EcdsaP256)?, PrivateKey::generate(KeyAlgorithm::EcdsaP256)?];
        let held = pc.plant(&of_bank(&used)?, &used, "bank-1")?;
        pc.plant_key(&alone, "mail-1")?;
        for list in RULES {
            pc.registry(&["add", list, "/v", "1", "/d", THEIR_RULE, "/f"])?;
        }
        ensure!(pc.is_bound(&held)? && pc.certificates()? == [held.clone()], "{held:?} is not there");
        Ok(Self { held, keys: pc.keys()? })
    }

    /// Gives the certificates that are not theirs, once everything of theirs is as it was, and each of ours has its key and its rule, and
    /// no key is without its certificate.
    fn beside_ours(&self, pc: &Pc) -> Result<Vec<Held>> {
        let (theirs, ours): (Vec<Held>, Vec<Held>) = pc.certificates()?.into_iter().partition(|held| *held == self.held);
        ensure!(theirs.len() == 1 && pc.is_bound(&self.held)?, "theirs is gone: {ours:?}");
        for held in &ours {
            ensure!(pc.is_bound(held)?, "the key of {held:?} is not there, or another's: {:?}", pc.keys()?);
        }
        let keys: BTreeSet<String> = self.keys.iter().cloned().chain(ours.iter().filter_map(|held| held.key.clone())).collect();
        ensure!(pc.keys()? == keys, "{:?}, not {keys:?}", pc.keys()?);
        for list in RULES {
            let rules = pc.texts(list)?;
            let others: Vec<&String> = rules.values().filter(|rule| *rule != THEIR_RULE).collect();
            let is_ours = |rule: &&String| rule.contains(CHART) && rule.contains("Aozora Clinic CA");
            ensure!(rules.get("1").is_some_and(|rule| rule == THEIR_RULE), "{list}: {rules:?}");
            ensure!(others.len() == ours.len() && others.iter().all(is_ours), "{list}: {rules:?}");
        }
        Ok(ours)
    }

    fn is_alone(&self, pc: &Pc) -> Result<bool> {
        let is_only_theirs = |list: &&str| pc.texts(list).is_ok_and(|rules| rules.len() == 1);
        Ok(pc.certificates()?.len() == 1 && RULES.iter().all(is_only_theirs))
    }
}

/// Looks that there is the certificate of this client with its key, and nothing else.
pub fn holds_only(pc: &Pc, name: &str) -> Result<()> {
    let held = pc.certificates()?;
    ensure!(held.len() == 1 && held[0].common_name()? == name && pc.is_bound(&held[0])?, "not {name} alone, with its key: {held:?}");
    ensure!(pc.keys()? == held.into_iter().filter_map(|held| held.key).collect(), "{:?}", pc.keys()?);
    Ok(())
}

/// A certificate for signing in at a bank.
fn of_bank(key: &PrivateKey) -> Result<Vec<u8>> {
    let now = Timestamp::from_unix(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?);
    let bank = Authority::new_root("Bank CA", "bank", now.before(DAY), now.after(DAY * 90))?;
    let (common_name, organization, unique) = ("tanaka".into(), "bank".into(), "1".into());
    let purpose = Purpose::Client { common_name, organization, unique, crl_url: None, ocsp_url: None };
    Ok(bank.sign(&bank.draft(&purpose, &key.public_key(), new_serial(), now.before(DAY), now.after(DAY * 30))?)?)
}
