//! Until when the records of a log have to be provable: planned in one pass over them, a page at a time. Nothing is done about it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tegata_api::v1::audit::{Oldest, Record, Retention};
use tegata_core::name::TenantName;
use tegata_core::retention::{Keep, Period, Summary, Until, keep};
use tegata_core::time::Timestamp;
use tegata_pki::certificate;

use crate::audit::Ledger;
use crate::store::{Store, StoreError};

/// How many records are read at once.
const PAGE: u32 = 1_000;

/// Plans a tenant's log as of `now`, and names every record with texts beside it whose time is over.
///
/// # Errors
/// [`StoreError`].
pub async fn plan(
    ledger: &Ledger,
    tenant: &TenantName,
    (years, now): (u32, Timestamp),
    mut due: impl FnMut(u64) + Send,
) -> Result<Option<Retention>, StoreError> {
    let Some(period) = Period::of_years(years) else { return Ok(None) };
    let store = ledger.store();
    let authorities = authorities(store, tenant).await?;
    let (mut summary, through, mut after) = (Summary::new(now), store.newest(tenant).await?, 0);
    while after < through {
        let limit = u32::try_from(through - after).unwrap_or(PAGE).min(PAGE);
        let page = page(store, tenant, after, limit).await?;
        let Some(last) = page.last().map(|record| record.sequence) else { break };
        let asked: BTreeSet<String> = page.iter().flat_map(named).filter(|named| named.end.is_none()).map(|named| named.name).collect();
        let ends = store.certificate_ends(tenant, &asked).await?;
        let texts = store.texts(tenant, after, last).await?;
        for record in &page {
            let keep = judge(record, period, |name| ends.get(name).or_else(|| authorities.get(name)).copied());
            let texts = texts.get(&record.sequence).copied().unwrap_or_default();
            if summary.push(record.sequence, keep, texts) && texts > 0 {
                due(record.sequence);
            }
        }
        after = last;
    }
    Ok(Some(told(tenant, years, now, summary)))
}

async fn page(store: &dyn Store, tenant: &TenantName, after: u64, limit: u32) -> Result<Vec<Record>, StoreError> {
    let corrupt = |source: serde_json::Error| StoreError::Corrupt { place: "audit", source: source.into() };
    store.log_entries(tenant, after, limit).await?.iter().map(|text| serde_json::from_str(text).map_err(corrupt)).collect()
}

/// The ends of a tenant's own authorities, by fingerprint. They are few.
async fn authorities(store: &dyn Store, tenant: &TenantName) -> Result<BTreeMap<String, Timestamp>, StoreError> {
    let of = if *tenant == crate::issuers::authorities::instance() { None } else { Some(tenant) };
    let read = |row: &crate::store::AuthorityRow| certificate::read(&row.certificate).ok();
    let rows = store.authorities(of).await?;
    Ok(rows.iter().filter_map(read).map(|read| (read.fingerprint.to_string(), read.not_after)).collect())
}

/// A certificate that a record names.
struct Named {
    name: String,
    /// Its end, if the record says that itself.
    end: Option<Timestamp>,
    /// True for an order: it may never have come to a certificate, and then it is none.
    is_order: bool,
}

fn judge(record: &Record, period: Period, end: impl Fn(&str) -> Option<Timestamp>) -> Keep<String> {
    let known = |named: Named| {
        let known = named.end.or_else(|| end(&named.name));
        (known.is_some() || !named.is_order).then_some((named.name, known))
    };
    keep(Timestamp::from_unix(record.at), named(record).into_iter().filter_map(known), period)
}

/// What a record names. What was given up was never a certificate.
fn named(record: &Record) -> Vec<Named> {
    if record.action.ends_with(".abandon") {
        return vec![];
    }
    let details = &record.details;
    let end = details["notAfter"].as_i64().map(Timestamp::from_unix);
    let mut found = Vec::new();
    let mut add = |value: &Value, end: Option<Timestamp>, is_order: bool| {
        let name = value.as_str().map(str::to_lowercase).filter(|name| is_name(name));
        found.extend(name.map(|name| Named { name, end, is_order }));
    };
    ["serial", "fingerprint"].iter().for_each(|field| add(&details[field], end, false));
    add(&details["order"], None, true);
    add(&details["replaces"], None, false);
    each(&details["replaces"]).chain(each(&details["certificates"])).for_each(|value| add(value, None, false));
    each(&details["orders"]).for_each(|value| add(value, None, true));
    let receipt: Option<Value> = details["receipt"].as_str().and_then(|text| serde_json::from_str(text).ok());
    if let Some(receipt) = receipt {
        add(&receipt["deed"]["fingerprint"], None, false);
        add(&receipt["deed"]["order"], None, true);
    }
    found
}

fn each(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(values) => Box::new(values.iter()),
        Value::Object(values) => Box::new(values.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// Serial numbers, orders and fingerprints are hexadecimal. A host key's fingerprint is not.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn told(tenant: &TenantName, years: u32, now: Timestamp, summary: Summary<String>) -> Retention {
    let unix = |until: Until| match until {
        Until::Moment(moment) => Some(moment.unix()),
        Until::Ever => None,
    };
    let oldest = summary.first.map(|(sequence, keep)| Oldest { sequence, until: unix(keep.until), because: keep.because });
    Retention {
        log: tenant.to_string(),
        at: now.unix(),
        years,
        records: summary.records,
        over: summary.over,
        oldest,
        longest: summary.longest.and_then(unix),
        texts: summary.texts,
        due: summary.due,
    }
}

#[cfg(test)]
mod tests;
