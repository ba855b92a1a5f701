//! What is counted and timed where it happens, by OpenTelemetry's instruments. They begin at zero with each start of the server.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, MeterProvider, NoopMeterProvider};
use tegata_api::v1::audit::Stage;

use crate::history::events::ISSUED;
use crate::store::NewRecord;

/// Bounds of the histogram of requests, in seconds: those that OpenTelemetry's conventions for `http.server.request.duration` advise, and two
/// for requests that are held until something happens.
const BOUNDS: [f64; 16] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0];

/// Instruments. Those of [`Default`] measure nothing.
#[derive(Clone)]
pub struct Instruments {
    issued: Counter<u64>,
    ordered: Counter<u64>,
    revoked: Counter<u64>,
    requests: Histogram<f64>,
}

impl Default for Instruments {
    fn default() -> Self {
        Self::of(&NoopMeterProvider::new())
    }
}

impl Instruments {
    /// Instruments whose readers are this provider's.
    pub fn of(provider: &impl MeterProvider) -> Self {
        let meter = provider.meter("tegata");
        let counter = |name: &'static str, what: &'static str| meter.u64_counter(name).with_description(what).build();
        Self {
            issued: counter("tegata.certificates.issued", "Certificates that were issued or taken in since the server started"),
            ordered: counter("tegata.orders.opened", "Orders for certificates that were opened since the server started, by reason"),
            revoked: counter("tegata.certificates.revoked", "Certificates that were revoked since the server started"),
            requests: meter
                .f64_histogram("http.server.request.duration")
                .with_description("How long requests took to answer; those that devices hold on purpose take up to a minute")
                .with_unit("s")
                .with_boundaries(BOUNDS.into())
                .build(),
        }
    }

    /// Counts what has become durable.
    pub(crate) fn count(&self, tally: Tally) {
        for (counted, attributes) in tally.0 {
            let counter = match counted {
                Counted::Ordered => &self.ordered,
                Counted::Issued => &self.issued,
                Counted::Revoked => &self.revoked,
            };
            counter.add(1, &attributes);
        }
    }

    /// Notes how a request was answered. A route is a template, never a path with names in it.
    pub(crate) fn answered(&self, method: &'static str, route: Option<&str>, status: u16, took: Duration) {
        let mut about = vec![KeyValue::new("http.request.method", method), KeyValue::new("http.response.status_code", i64::from(status))];
        about.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
        self.requests.record(took.as_secs_f64(), &about);
    }
}

/// What of some records is counted.
pub(crate) struct Tally(Vec<(Counted, Vec<KeyValue>)>);

enum Counted {
    Ordered,
    Issued,
    Revoked,
}

impl Tally {
    /// Of records that are about to be kept.
    pub(crate) fn of(records: &[NewRecord]) -> Self {
        Self(records.iter().filter_map(counted).collect())
    }
}

fn counted(record: &NewRecord) -> Option<(Counted, Vec<KeyValue>)> {
    let tenant = || KeyValue::new("tenant", record.tenant.to_string());
    match (record.action, record.stage) {
        ("order.open", Stage::Intended) => {
            let because = record.details["because"].as_str().unwrap_or("asked").to_owned();
            Some((Counted::Ordered, vec![tenant(), KeyValue::new("because", because)]))
        }
        ("certificate.revoke" | "portal.revoke", Stage::Done) => Some((Counted::Revoked, vec![tenant()])),
        (action, Stage::Done) if ISSUED.contains(&action) => Some((Counted::Issued, vec![tenant(), KeyValue::new("how", action)])),
        _ => None,
    }
}
