//! What is counted and timed where it happens, by OpenTelemetry's instruments. They begin at zero with each start of the server.

use std::time::{Duration, Instant};

use opentelemetry::metrics::{Counter, Histogram, MeterProvider, NoopMeterProvider};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
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
    /// Makes spans, where they are sent anywhere.
    tracer: Option<SdkTracer>,
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
            tracer: None,
        }
    }

    /// The same, and a span for each request.
    #[must_use]
    pub fn tracing(self, tracer: Option<SdkTracer>) -> Self {
        Self { tracer, ..self }
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

    /// Begins to watch a request. A route is a template: no name, number or token that stands in a path is told, which is why `url.path` of
    /// OpenTelemetry's conventions is left out. Whose trace a request says that it belongs to is not believed: anybody may ask.
    pub(crate) fn begin(&self, method: &'static str, route: Option<String>) -> Watched<'_> {
        let span = self.tracer.as_ref().map(|tracer| {
            let name = route.as_ref().map_or_else(|| method.to_owned(), |route| format!("{method} {route}"));
            let mut about = vec![KeyValue::new("http.request.method", method), KeyValue::new("url.scheme", "https")];
            about.extend(route.clone().map(|route| KeyValue::new("http.route", route)));
            let span = tracer.span_builder(name).with_kind(SpanKind::Server).with_attributes(about);
            Context::new().with_span(span.start_with_context(tracer, &Context::new()))
        });
        Watched { instruments: self, method, route, since: Instant::now(), span }
    }
}

/// A request that is being answered.
pub(crate) struct Watched<'a> {
    instruments: &'a Instruments,
    method: &'static str,
    route: Option<String>,
    since: Instant,
    span: Option<Context>,
}

impl Watched<'_> {
    /// What belongs to its span, if it has one.
    pub(crate) fn span(&self) -> Option<Context> {
        self.span.clone()
    }

    /// Notes how it was answered; gives how long that took.
    pub(crate) fn answered(self, status: u16) -> Duration {
        let took = self.since.elapsed();
        let mut about =
            vec![KeyValue::new("http.request.method", self.method), KeyValue::new("http.response.status_code", i64::from(status))];
        about.extend(self.route.map(|route| KeyValue::new("http.route", route)));
        self.instruments.requests.record(took.as_secs_f64(), &about);
        if let Some(span) = &self.span {
            let span = span.span();
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
            // What whoever asks has done wrong is no error of the server.
            if status >= 500 {
                span.set_attribute(KeyValue::new("error.type", status.to_string()));
                span.set_status(Status::error(""));
            }
            span.end();
        }
        took
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
