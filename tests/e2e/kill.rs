//! `kill -9` of server and agents at random instants, while certificates are ordered, issued, pushed, proven and retired.
//!
//! What this covers is a process that dies at any instruction. It does not cover a power cut: the kernel keeps what was written.
//! `TEGATA_KILLS` says how many kills (60 unless told), `TEGATA_SEED` repeats a storm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tegata_api::v1::audit::{Record, Stage};
use tegata_api::v1::fleet::Certificate;
use tegata_tests::policy::{Clinic, names};
use tegata_tests::replicas::Replicas;
use tegata_tests::{Agent, World};

const DEVICES: usize = 5;
/// How many profiles there are at first.
const PROFILES: usize = 4;
/// How many profiles are dropped again. Agents remove at most ten certificates an hour, whatever the server says.
const DROPPED: usize = 8;
/// For how long a server is cut off from its database.
const CUT_OFF: Duration = Duration::from_secs(2);

#[test]
fn i1_i3_a_storm_of_kills_loses_and_duplicates_nothing() -> Result<()> {
    rage(Storm::begin(World::start()?, None)?, 60)
}

/// Three servers on one database: they are killed, the database is, and one of them is cut off from it without being told.
#[test]
fn i1_i3_a_storm_over_three_servers_loses_and_duplicates_nothing() -> Result<()> {
    let (world, replicas) = Replicas::start(3)?;
    rage(Storm::begin(world, Some(replicas))?, 40)
}

fn rage(mut storm: Storm, kills: u64) -> Result<()> {
    let kills = number("TEGATA_KILLS")?.unwrap_or(kills);
    let mut dice = Dice(number("TEGATA_SEED")?.unwrap_or_else(|| u64::from(std::process::id())));
    println!("{kills} kills, seed {}", dice.0);
    for kill in 0..kills {
        if kill % 4 == 0 {
            storm.change_policy()?;
        }
        std::thread::sleep(Duration::from_millis(dice.below(150)));
        storm.kill_one(&mut dice)?;
    }
    // What is wrong with the books says more than that the world does not come to rest: so it is looked at in any case.
    match (storm.calm(), storm.check()) {
        (Err(calm), Err(check)) => Err(check.context(format!("{calm:#}"))),
        (calm, check) => calm.and(check),
    }
}

struct Storm {
    world: World,
    /// Servers beside the world's, if there are any.
    replicas: Option<Replicas>,
    agents: Vec<Agent>,
    devices: Vec<String>,
    /// How many profiles there have been.
    profiles: usize,
    /// Whether the newest policy has reached the server.
    applied: bool,
}

impl Storm {
    fn begin(world: World, replicas: Option<Replicas>) -> Result<Self> {
        let devices = names("pc", DEVICES);
        let mut storm = Self { world, replicas, agents: Vec::new(), devices, profiles: PROFILES, applied: true };
        storm.world.apply(&storm.policy())?;
        for device in &storm.devices {
            let mut agent = storm.world.enroll(&format!("sakura/{device}"), &["--keystore", "file"])?;
            agent.start()?;
            storm.agents.push(agent);
        }
        Ok(storm)
    }

    fn policy(&self) -> String {
        let profiles: Vec<String> = (self.dropped()..self.profiles).map(|number| format!("karte-{number}")).collect();
        Clinic { devices: &self.devices, profiles: &profiles }.to_yaml()
    }

    /// Each new profile pushes the oldest out, while agents may still remove something.
    fn dropped(&self) -> usize {
        (self.profiles - PROFILES).min(DROPPED)
    }

    /// How many certificates there are when everything has settled.
    fn wanted(&self) -> usize {
        DEVICES * (self.profiles - self.dropped())
    }

    /// Asks for the next policy; the server may be dead or dying, then the next call tries the same one again.
    fn change_policy(&mut self) -> Result<()> {
        if self.applied {
            self.profiles += 1;
        }
        let file = self.world.write("policy.yaml", &self.policy())?;
        let output = self.world.cli(["apply", "--prune", "--allow-lockout", "1000", "-f", &file])?;
        self.applied = output.status.success();
        Ok(())
    }

    fn kill_one(&mut self, dice: &mut Dice) -> Result<()> {
        let victim = usize::try_from(dice.below(u64::try_from(DEVICES)? + 2))?;
        if let Some(agent) = self.agents.get_mut(victim) {
            agent.kill();
            return agent.start();
        }
        let Some(replicas) = &mut self.replicas else {
            self.world.server().kill();
            return self.world.launch_server();
        };
        let number = usize::try_from(dice.below(1_000))?;
        match dice.below(4) {
            0 => {
                self.world.server().kill();
                self.world.launch_server()
            }
            1 => replicas.kill(number % replicas.count()),
            2 => {
                replicas.postgres.kill();
                replicas.postgres.start_again()
            }
            _ => {
                let gate = replicas.gate(number).clone();
                gate.shut();
                std::thread::spawn(move || {
                    std::thread::sleep(CUT_OFF);
                    gate.open();
                });
                Ok(())
            }
        }
    }

    fn calm(&mut self) -> Result<()> {
        self.world.wait_for_server()?;
        self.world.apply(&self.policy())?;
        self.world.wait_until_ready()?;
        let settled = || {
            let certificates: Vec<Certificate> = self.world.ask(["get", "certificates"])?;
            let alive = certificates.iter().filter(|one| one.state == "proven").count();
            let waiting = certificates.iter().filter(|one| !matches!(one.state.as_str(), "proven" | "retired" | "revoked")).count();
            Ok((alive == self.wanted() && waiting == 0).then_some(()))
        };
        tegata_tests::process::wait_for(tegata_tests::world::PATIENCE, "every certificate to be proven or gone", settled)
    }

    fn check(&self) -> Result<()> {
        let certificates: Vec<Certificate> = self.world.ask(["get", "certificates"])?;
        let records = self.world.audit()?;
        println!("{} certificates, {} records", certificates.len(), records.len());
        ensure!(certificates.len() >= self.wanted(), "the storm issued next to nothing");
        check_log(&records)?;
        check_issued(&certificates, &records)?;
        self.check_devices(&certificates)
    }

    /// What is on the devices is what the server knows, to the byte.
    fn check_devices(&self, certificates: &[Certificate]) -> Result<()> {
        let known: BTreeMap<&str, &Certificate> = certificates.iter().map(|one| (one.fingerprint.as_str(), one)).collect();
        let mut found = BTreeSet::new();
        for agent in &self.agents {
            for pem in agent.stored_certificates()? {
                for certificate in tegata_pki::certificate::read_pem(&pem)?.into_iter().take(1) {
                    let fingerprint = certificate.fingerprint.to_string();
                    ensure!(known.contains_key(fingerprint.as_str()), "a device holds {fingerprint}, which the server does not know");
                    ensure!(found.insert(fingerprint), "two devices hold the same certificate");
                }
            }
        }
        let proven: BTreeSet<String> = certificates.iter().filter(|one| one.state == "proven").map(|one| one.fingerprint.clone()).collect();
        ensure!(found == proven, "on devices: {found:?}\nproven by the server's word: {proven:?}");
        Ok(())
    }
}

/// The log has no gap.
fn check_log(records: &[Record]) -> Result<()> {
    for (expected, record) in (1..).zip(records) {
        ensure!(record.sequence == expected, "record {expected} is missing; {} stands in its place", record.sequence);
    }
    Ok(())
}

/// Every serial was intended before it was signed, every order was answered by one certificate at most, and what was intended became a
/// certificate or was taken back.
fn check_issued(certificates: &[Certificate], records: &[Record]) -> Result<()> {
    let serial = |record: &Record| record.details["serial"].as_str().map(str::to_owned);
    let order = |record: &Record| record.details["order"].as_str().map(str::to_owned);
    // The first word counts: a request that came again while the first was answered is resumed, and said to be, even if it comes too late.
    let intended: BTreeMap<String, u64> =
        recorded(records, Stage::Intended, "certificate.sign").rev().filter_map(|one| Some((serial(one)?, one.sequence))).collect();
    let mut orders = BTreeSet::new();
    let mut issued = BTreeSet::new();
    for record in recorded(records, Stage::Done, "certificate.issue") {
        let serial = serial(record).context("an issue record names no serial")?;
        let order = order(record).context("an issue record names no order")?;
        ensure!(orders.insert(order.clone()), "order {order} was answered twice");
        let before = intended.get(&serial).with_context(|| format!("{serial} was never intended"))?;
        ensure!(*before < record.sequence, "{serial} was signed before it was intended");
        issued.insert(serial);
    }
    let stored: BTreeSet<String> = certificates.iter().map(|one| one.serial.clone()).collect();
    ensure!(issued == stored, "issued by the log and stored differ");
    let taken_back: BTreeSet<String> = ["order.cancel", "certificate.abandon"]
        .iter()
        .flat_map(|action| recorded(records, Stage::Done, action))
        .filter_map(order)
        .collect();
    for record in recorded(records, Stage::Intended, "certificate.sign") {
        let is_issued = serial(record).is_some_and(|serial| issued.contains(&serial));
        let is_taken_back = order(record).is_some_and(|order| taken_back.contains(&order));
        ensure!(is_issued != is_taken_back, "what was intended is left behind, or both issued and taken back: {record:?}");
    }
    Ok(())
}

fn recorded<'a>(records: &'a [Record], stage: Stage, action: &'a str) -> impl DoubleEndedIterator<Item = &'a Record> {
    records.iter().filter(move |record| record.stage == stage && record.action == action)
}

fn number(variable: &str) -> Result<Option<u64>> {
    std::env::var(variable).ok().map(|text| text.parse().with_context(|| format!("{variable} is not a number"))).transpose()
}

/// Repeatable random numbers (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
