//! The audit log as auditors ask for it: page by page, and as of a moment.

pub(crate) mod events;

use std::collections::BTreeSet;

use futures::Stream;
use serde_json::Value;
use tegata_api::v1::audit::{Access, AsOf, Stage};
use tegata_core::history::{self, Ending, Event, Place};
use tegata_core::name::{ClinicName, SlotId, TenantName};
use tegata_core::time::Timestamp;

use crate::audit::Ledger;
use crate::store::audit::filter::Filter;
use crate::store::audit::{Entry, Search};
use crate::store::{Batch, NewRecord, Part, StoreError};

/// How many records are read at once.
const PAGE: u32 = 1_000;
/// How many certificates are asked about at once.
const CERTIFICATES: usize = 100;
/// What reads are recorded as.
pub const READ: &str = "audit.read";

/// Puts on record that somebody reads, before anything is given.
///
/// # Errors
/// [`StoreError`].
pub async fn note_read(
    ledger: &Ledger,
    tenant: &TenantName,
    actor: &str,
    what: &str,
    details: Value,
    at: Timestamp,
) -> Result<(), StoreError> {
    let details = serde_json::json!({ "what": what, "asked": details });
    let (actor, object) = (actor.to_owned(), "audit".to_owned());
    let record = NewRecord { tenant: tenant.clone(), at, stage: Stage::Done, actor, action: READ, object, details };
    ledger.record((), Batch { records: vec![record], changes: vec![] }).await?;
    Ok(())
}

/// Reads records one page after the other.
pub struct Reader {
    /// Whose.
    pub tenant: TenantName,
    /// After this number.
    pub after: u64,
    /// Up to this number.
    pub through: u64,
    /// At most so many.
    pub left: u64,
    /// Which ones.
    pub filter: Filter,
}

impl Reader {
    /// The next records; none when there are no more.
    async fn next(&mut self, ledger: &Ledger) -> Result<Vec<Entry>, StoreError> {
        let limit = u32::try_from(self.left).unwrap_or(u32::MAX).min(PAGE);
        if limit == 0 {
            return Ok(vec![]);
        }
        let search = Search { part: Part::After(self.after), through: self.through, limit, filter: self.filter.clone() };
        let page = ledger.store().search(&self.tenant, &search).await?;
        self.left -= page.len() as u64;
        match page.last() {
            Some(last) if page.len() == limit as usize => self.after = last.record.sequence,
            _ => self.left = 0,
        }
        Ok(page)
    }

    /// All of them, each page when it is wanted.
    pub fn pages(self, ledger: Ledger) -> impl Stream<Item = Result<Vec<Entry>, StoreError>> {
        futures::stream::try_unfold((self, ledger), |(mut reader, ledger)| async move {
            let page = reader.next(&ledger).await?;
            Ok(if page.is_empty() { None } else { Some((page, (reader, ledger))) })
        })
    }
}

/// By which other names the log knows a certificate: a receipt has its fingerprint and order, a revocation its serial number.
///
/// # Errors
/// [`StoreError`].
pub async fn names(ledger: &Ledger, tenant: &TenantName, name: &str, through: u64) -> Result<BTreeSet<String>, StoreError> {
    let asked: BTreeSet<String> = [name.to_lowercase()].into();
    let kinds = events::ISSUED.map(str::to_owned).into();
    let filter = Filter { certificates: asked.clone(), kinds, ..Filter::default() };
    let search = Search { part: Part::After(0), through, limit: PAGE, filter };
    let issued = ledger.store().search(tenant, &search).await?;
    let named = issued.iter().flat_map(|entry| {
        let details = &entry.record.details;
        ["serial", "fingerprint", "order"].map(|field| details[field].as_str().map(str::to_lowercase))
    });
    Ok(asked.into_iter().chain(named.flatten()).collect())
}

/// Who could open the charts of a clinic, or of all, at a moment.
///
/// Reads what was issued by then, and of what was still valid then, what became of it: not the whole past of the clinic.
///
/// # Errors
/// [`StoreError`].
pub async fn as_of(ledger: &Ledger, tenant: &TenantName, clinic: Option<&ClinicName>, moment: Timestamp) -> Result<AsOf, StoreError> {
    let through = ledger.store().newest(tenant).await?;
    let ask = |filter| Reader { tenant: tenant.clone(), after: 0, through, left: u64::MAX, filter };
    let kinds = events::ISSUED.map(str::to_owned).into();
    let issued = Filter { clinic: clinic.map(ToString::to_string), kinds, until: Some(after(moment)), ..Filter::default() };
    let mut events = told(ledger, ask(issued)).await?;
    events.retain(
        |Told { event, .. }| matches!(event, Event::Issued(place, certificate) if certificate.not_after >= moment && is_of(place, clinic)),
    );
    let names: Vec<_> = events.iter().filter_map(|told| named(&told.event)).collect();
    for some in names.chunks(CERTIFICATES) {
        let (certificates, kinds) = (some.iter().flatten().cloned().collect(), events::FATES.map(str::to_owned).into());
        events.extend(told(ledger, ask(Filter { certificates, kinds, ..Filter::default() })).await?);
    }
    // A vendor's certificate may have gone and come back: what became of it then is told of the one that was there.
    events.sort_by_key(|told| told.sequence);
    let mut answer = history::AsOf::new(moment);
    events.into_iter().for_each(|Told { at, event, .. }| answer.push(at, event));
    let devices: BTreeSet<_> = answer.devices().cloned().collect();
    for device in devices {
        let actor = Some(format!("device:{device}"));
        let filter = Filter { device: Some(device.to_string()), actor, until: Some(after(moment)), ..Filter::default() };
        let last = Search { part: Part::Newest, through, limit: 1, filter };
        if let Some(entry) = ledger.store().search(tenant, &last).await?.first() {
            answer.push(Timestamp::from_unix(entry.record.at), Event::Heard(device));
        }
    }
    Ok(AsOf { at: moment.unix(), through, accesses: answer.accesses().iter().map(shown).collect() })
}

/// What a record says.
struct Told {
    sequence: u64,
    at: Timestamp,
    event: Event,
}

async fn told(ledger: &Ledger, mut reader: Reader) -> Result<Vec<Told>, StoreError> {
    let mut told = Vec::new();
    loop {
        let page = reader.next(ledger).await?;
        if page.is_empty() {
            return Ok(told);
        }
        told.extend(page.iter().flat_map(|Entry { record, .. }| {
            let (sequence, at) = (record.sequence, Timestamp::from_unix(record.at));
            events::read(record).into_iter().map(move |event| Told { sequence, at, event })
        }));
    }
}

/// By what records name a certificate that was issued.
fn named(event: &Event) -> Option<Vec<String>> {
    let Event::Issued(_, certificate) = event else { return None };
    let order = certificate.order.map(|order| order.to_string());
    Some([certificate.serial.to_string(), certificate.fingerprint.to_string()].into_iter().chain(order).collect())
}

/// The first moment that does not count any more.
fn after(moment: Timestamp) -> Timestamp {
    moment.after(std::time::Duration::from_secs(1))
}

/// A clinic's own document names it too, and a device that stands in it may open another clinic's charts.
fn is_of(place: &Place, clinic: Option<&ClinicName>) -> bool {
    let (Place::Slot(SlotId { clinic: of, .. }) | Place::Account(of, _)) = place;
    clinic.is_none_or(|clinic| of == clinic)
}

fn shown(access: &history::Access) -> Access {
    let unix = |at: Option<Timestamp>| at.map(Timestamp::unix);
    let (until, ending) = access.until;
    Access {
        place: match &access.place {
            Place::Slot(slot) => slot.to_string(),
            Place::Account(clinic, account) => format!("{clinic}/accounts/{account}"),
        },
        serial: access.certificate.serial.to_string(),
        fingerprint: access.certificate.fingerprint.to_string(),
        issuer: access.issuer.as_ref().map(ToString::to_string),
        issued_at: access.issued_at.unix(),
        installed_at: unix(access.installed_at),
        proven_at: unix(access.proven_at),
        until: until.unix(),
        ending: match ending {
            Ending::Revoked => tegata_api::v1::audit::Ending::Revoked,
            Ending::Gone => tegata_api::v1::audit::Ending::Gone,
            Ending::Expired => tegata_api::v1::audit::Ending::Expired,
        },
        heard_at: unix(access.heard_at),
        unknown_since: unix(access.unknown_since),
    }
}
