//! What ten million records of one tenant's audit log cost: to append, to find, to tell who could open what, and to verify.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures::TryStreamExt;
use serde_json::{Value, json};
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{Deed, Receipt};
use tegata_core::name::{ClinicName, TenantName};
use tegata_core::time::{DAY, Timestamp};
use tegata_pki::key::{Seal, sha256};
use tegata_server::audit::Ledger;
use tegata_server::clock::Clock;
use tegata_server::history::{self, Reader};
use tegata_server::indexer;
use tegata_server::log;
use tegata_server::log::keys::LogKeys;
use tegata_server::log::sequencer::Sequencer;
use tegata_server::store::audit::filter::Filter;
use tegata_server::store::sql::Database;
use tegata_server::store::{Batch, NewRecord};
use tegata_tlog::entry;
use tegata_tlog::period::Period;
use tegata_tlog::tile::{Resource, WIDTH};
use tegata_tlog::verify;

use crate::{Bound, Row, proc, quantile};

const CLINICS: u64 = 2_000;
const DEVICES: u64 = 20;
/// A renewal each 90 days for a little more than ten years.
const ROUNDS: u64 = 42;
/// What one renewal puts on record.
const RECORDS_EACH: u64 = 6;
/// How many records are one commit.
const TOGETHER: usize = 1_200;
/// The moment of the first renewal.
const BEGINNING: Timestamp = Timestamp::from_unix(1_500_000_000);
/// Questions of each kind.
const QUESTIONS: u64 = 101;

/// Measures the log of one tenant with 40,000 devices.
pub fn measure() -> Result<Vec<Row>> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let folder = tempfile::tempdir()?;
        let ledger = Ledger::open(Arc::new(Database::sqlite(&folder.path().join("tegata.db")).await?)).await?;
        let keys = Arc::new(LogKeys::of(&Seal::generate()));
        let sequencer = Sequencer { ledger: ledger.clone(), clock: Clock::with(|| BEGINNING), keys: keys.clone() };
        let total = CLINICS * DEVICES * ROUNDS * RECORDS_EACH;
        let mut spent = [0.0; 3];
        for round in 0..ROUNDS {
            spent[0] += seconds(append(&ledger, round)).await?;
            spent[1] += seconds(async { Ok(sequencer.catch_up().await?) }).await?;
            spent[2] += seconds(async { Ok(indexer::catch_up(&ledger).await?) }).await?;
            eprintln!("  {} of {ROUNDS} rounds", round + 1);
        }
        let of_device = questions(|number| by_device(&ledger, number)).await?;
        let as_of = questions(|number| who_could(&ledger, number)).await?;
        let (before, start) = (proc::forget_peak(std::process::id())?, Instant::now());
        verified(&ledger, &keys, total).await?;
        let (took, grown) = (start.elapsed().as_secs_f64(), (proc::peak_kib(std::process::id())? - before) / 1024.0);
        let size = std::fs::metadata(folder.path().join("tegata.db"))?.len() as f64;
        let per_second = |seconds: f64| total as f64 / seconds;
        Ok(vec![
            Row::told("records: how many there are", total as f64, ""),
            Row::told("records: appended durably, 1,200 in a commit", per_second(spent[0]), "1/s"),
            Row::told("records: added to the tree and signed", per_second(spent[1]), "1/s"),
            Row::told("records: added to the index", per_second(spent[2]), "1/s"),
            Row::told("records: on disk, with tree and index", size / total as f64, "B each"),
            Row::bound("records: all of one device among ten million, median", quantile(&of_device, 0.5), "ms", Bound::AtMost(100.0)),
            Row::told("records: the same, 99 of 100", quantile(&of_device, 0.99), "ms"),
            Row::bound("records: who could open a clinic's charts on a day, median", quantile(&as_of, 0.5), "ms", Bound::AtMost(100.0)),
            Row::told("records: the same, 99 of 100", quantile(&as_of, 0.99), "ms"),
            Row::told("records: the whole log verified", per_second(took), "1/s"),
            Row::bound("records: memory that verifying takes at most", grown, "MiB", Bound::AtMost(64.0)),
        ])
    })
}

async fn seconds(work: impl Future<Output = Result<()>>) -> Result<f64> {
    let start = Instant::now();
    work.await?;
    Ok(start.elapsed().as_secs_f64())
}

/// How long each answer took, in milliseconds, shortest first.
async fn questions<F: Future<Output = Result<()>>>(ask: impl Fn(u64) -> F) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for number in 0..QUESTIONS {
        took.push(seconds(ask(number)).await? * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}

fn tenant() -> TenantName {
    "aozora".parse().expect("a name")
}

/// Spread over the fleet without a pattern.
fn scattered(number: u64, most: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % most
}

async fn by_device(ledger: &Ledger, number: u64) -> Result<()> {
    let device = format!("clinic-{}/pc-{}", scattered(number, CLINICS), number % DEVICES);
    let through = ledger.store().newest(&tenant()).await?;
    let filter = Filter { device: Some(device), ..Filter::default() };
    let pages: Vec<_> = Reader { tenant: tenant(), after: 0, through, left: u64::MAX, filter }.pages(ledger.clone()).try_collect().await?;
    let found = pages.iter().map(Vec::len).sum::<usize>() as u64;
    ensure!(found == ROUNDS * RECORDS_EACH, "{found} records of one device");
    Ok(())
}

async fn who_could(ledger: &Ledger, number: u64) -> Result<()> {
    let clinic: ClinicName = format!("clinic-{}", scattered(number, CLINICS)).parse()?;
    let moment = BEGINNING.after(DAY * 90 * u32::try_from(1 + number % (ROUNDS - 1))?).after(DAY);
    let answer = history::as_of(ledger, &tenant(), Some(&clinic), moment).await?;
    let open = answer.accesses.iter().filter(|access| access.until > moment.unix()).count() as u64;
    ensure!(open == DEVICES, "{open} of {DEVICES} PCs could open the charts of {clinic}");
    Ok(())
}

async fn verified(ledger: &Ledger, keys: &LogKeys, total: u64) -> Result<()> {
    let head = ledger.store().log_head(&tenant()).await?.context("a log")?;
    let now = verify::checkpoint(&head.note, keys.signer(&tenant()).verifier())?;
    ensure!(now.size == total, "the log has {} records", now.size);
    let mut stretch = Period::whole(total).against(now, vec![])?;
    for index in 0..total.div_ceil(WIDTH) {
        let bytes = log::read(ledger, &tenant(), Resource::entries(index, total)).await?.context("entries")?;
        entry::unbundle(&bytes).context("whole entries")?.into_iter().try_for_each(|entry| stretch.push(entry))?;
    }
    Ok(stretch.finish()?)
}

/// One renewal of every device.
pub async fn append(ledger: &Ledger, round: u64) -> Result<()> {
    let mut records = Vec::with_capacity(TOGETHER);
    for number in 0..CLINICS * DEVICES {
        records.extend(renewal(round, number / DEVICES, number % DEVICES)?);
        if records.len() >= TOGETHER {
            ledger.note(Batch { records: std::mem::take(&mut records), changes: vec![] }).await?;
        }
    }
    ledger.note(Batch { records, changes: vec![] }).await?;
    Ok(())
}

/// What one renewal puts on record, as the server writes it.
fn renewal(round: u64, clinic: u64, device: u64) -> Result<[NewRecord; RECORDS_EACH as usize]> {
    let names = [format!("{round}"), format!("{}", round.wrapping_sub(1))]
        .map(|round| sha256(format!("{round} {clinic} {device}").as_bytes()).to_string());
    let [fingerprint, replaced] = names;
    let (order, serial, home) = (&fingerprint[..32], &fingerprint[32..], format!("clinic-{clinic}/pc-{device}"));
    let (slot, at) = (format!("{home}/karte"), BEGINNING.after(DAY * 90 * u32::try_from(round)?));
    let not_after = at.after(DAY * 100).unix();
    let record = |stage, actor: &str, action, object: &str, details| NewRecord {
        tenant: tenant(),
        at,
        stage,
        actor: actor.to_owned(),
        action,
        object: object.to_owned(),
        details,
    };
    let by_device = format!("device:{home}");
    let seen = |action, number, deed| -> Result<NewRecord> {
        let receipt = Receipt { device: home.clone(), number, at: at.unix(), deed };
        let details = json!({ "receipt": serde_json::to_string(&receipt)?, "signature": "MEUC".repeat(24), "identity": replaced });
        Ok(record(Stage::Seen, &by_device, action, if action == "certificate.retired" { &home } else { &slot }, details))
    };
    let signing: Value = json!({ "order": order, "serial": serial, "tbs": replaced, "profile": fingerprint });
    let issued = json!({ "order": order, "serial": serial, "fingerprint": fingerprint, "notAfter": not_after });
    let (own, stores) = (|| (slot.clone(), order.to_owned(), fingerprint.clone()), vec!["browser".to_owned()]);
    let ((slot_1, order_1, print_1), (slot_2, order_2, print_2)) = (own(), own());
    let first = round * 3;
    Ok([
        record(Stage::Intended, "tegata", "order.open", &slot, json!({ "order": order, "issuer": "aozora-ca", "because": "expires" })),
        record(Stage::Intended, &by_device, "certificate.sign", &slot, signing),
        record(Stage::Done, &by_device, "certificate.issue", &slot, issued),
        seen("certificate.installed", first + 1, Deed::Installed { slot: slot_1, order: order_1, fingerprint: print_1, stores })?,
        seen(
            "certificate.proven",
            first + 2,
            Deed::Proven { slot: slot_2, order: order_2, fingerprint: print_2, url: String::new(), status: 200 },
        )?,
        seen("certificate.retired", first + 3, Deed::Retired { fingerprint: replaced.clone() })?,
    ])
}
