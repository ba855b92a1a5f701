//! What operators already read: the fleet in figures for Prometheus, and figures, spans and logs for collectors of OpenTelemetry.
//!
//! Figures say nothing that `tegata get` does not: [`census`] reads clinics by the very same functions. What can be over and gone, such as a
//! reason why slots are not ready, is a gauge of [`gauges`], made anew for each scrape: a series ends with what it is about, which an
//! instrument of OpenTelemetry's SDK would go on reporting. What only ever counts up is one of [`instruments`]. [`export`] sends all that to a
//! collector, and [`audit`] the audit log.

pub mod audit;
pub mod census;
mod collector;
pub mod export;
pub mod gauges;
mod grpc;
pub mod instruments;
mod push;
pub mod settings;

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::Attributes;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts, Registry, TextEncoder};

use self::census::Census;
use self::export::{Export, ExportError};
use self::gauges::{Family, Kind};
use self::instruments::Instruments;
use crate::audit::Ledger;
use crate::clock::Clock;
use crate::store::StoreError;

/// What is measured where it happens, and who reads it.
pub struct Meters {
    instruments: Instruments,
    registry: Registry,
    provider: SdkMeterProvider,
}

impl Meters {
    /// Everything at zero. The same instruments are read for Prometheus, and for the collector, if there is one.
    ///
    /// # Errors
    /// A mistake in this program, or a collector that cannot be sent anything.
    pub fn new(export: Option<&Export>) -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let prometheus = opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false);
        let mut provider = SdkMeterProvider::builder().with_reader(prometheus.without_target_info().build()?);
        if let Some(export) = export {
            provider = provider.with_resource(export.resource().clone());
            if let Some(reader) = export.reader()? {
                provider = provider.with_reader(reader);
            }
        }
        let provider = provider.build();
        let instruments = Instruments::of(&provider).tracing(export.and_then(Export::tracer));
        Ok(Self { instruments, registry, provider })
    }

    /// Who reads the instruments. They measure nothing once it is shut down.
    pub fn provider(&self) -> SdkMeterProvider {
        self.provider.clone()
    }

    /// What counts and times.
    pub fn instruments(&self) -> &Instruments {
        &self.instruments
    }
}

/// Everything that a server measures.
pub struct Telemetry {
    census: Arc<Census>,
    gauges: Registry,
    meters: Meters,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Two figures have the same name, or one has no proper name: a mistake in this program.
    #[error("the figures cannot be written")]
    Prometheus(#[from] prometheus::Error),
    /// The same.
    #[error("the instruments cannot be set up")]
    Instruments(#[from] opentelemetry_sdk::error::OTelSdkError),
    /// The collector cannot be sent anything.
    #[error(transparent)]
    Export(#[from] ExportError),
}

impl Telemetry {
    /// Reads what this ledger tells beside what was measured. `sink` is who the audit log is exported to.
    ///
    /// # Errors
    /// A mistake in this program.
    pub fn new(meters: Meters, ledger: Ledger, clock: Clock, sink: Option<String>) -> Result<Self, TelemetryError> {
        let census = Arc::new(Census::new(ledger, clock, sink));
        // Its own registry: those that cannot say before what they collect cannot share one.
        let gauges = Registry::new();
        gauges.register(Box::new(Gauges(census.clone())))?;
        Ok(Self { census, gauges, meters })
    }

    /// Reads what has changed, at once.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn update(&self) -> Result<(), StoreError> {
        self.census.update().await
    }

    /// How many clinics may have changed and were not read again yet.
    pub fn behind(&self) -> usize {
        self.census.behind()
    }

    /// Every figure in Prometheus' text format, no older than [`census::FRESH`].
    ///
    /// # Errors
    /// If the database fails.
    pub async fn scrape(&self) -> Result<String, TelemetryError> {
        self.census.refresh().await?;
        let measured = [self.gauges.gather(), self.meters.registry.gather()].concat();
        let mut text = TextEncoder::new().encode_to_string(&measured)?;
        // What has no points now is named all the same.
        for Family { gauge, .. } in self.census.families().iter().filter(|family| family.points.is_empty()) {
            text.push_str(&format!("# HELP {name} {}\n# TYPE {name} {}\n", gauge.help, gauge.kind.word(), name = gauge.name));
        }
        Ok(text)
    }

    /// Sends gauges again and again, if anybody takes them; to be dropped when it is over.
    ///
    /// # Errors
    /// A collector that cannot be sent anything.
    pub fn push(&self, export: &Export, clock: Clock) -> Result<impl Future<Output = ()> + Send + use<>, TelemetryError> {
        let (census, figures, resource) = (self.census.clone(), export.figures()?, in_otlp(export.resource()));
        Ok(async move {
            if let Some(figures) = figures {
                push::run(census, clock, figures, resource).await;
            }
        })
    }
}

/// Who this is, in OTLP's words.
fn in_otlp(resource: &opentelemetry_sdk::Resource) -> Resource {
    let attributes = Attributes::from(resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())));
    Resource { attributes: attributes.0, ..Resource::default() }
}

/// The gauges as Prometheus' registry takes them.
struct Gauges(Arc<Census>);

impl Collector for Gauges {
    /// None: they are not described before they are read, so that there is one table of them, in [`gauges`].
    fn desc(&self) -> Vec<&Desc> {
        vec![]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        // A family that cannot be made has a name or a label that is none, which a test would have found.
        self.0
            .families()
            .into_iter()
            .filter(|family| !family.points.is_empty())
            .filter_map(|family| in_prometheus(&family).ok())
            .flatten()
            .collect()
    }
}

fn in_prometheus(family: &Family) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let options = Opts::new(family.gauge.name, family.gauge.help);
    match family.gauge.kind {
        Kind::Gauge => {
            let vector = GaugeVec::new(options, family.gauge.labels)?;
            for point in &family.points {
                vector.get_metric_with_label_values(&point.labels)?.set(point.value);
            }
            Ok(vector.collect())
        }
        Kind::Counter => {
            let vector = CounterVec::new(options, family.gauge.labels)?;
            for point in &family.points {
                vector.get_metric_with_label_values(&point.labels)?.inc_by(point.value);
            }
            Ok(vector.collect())
        }
    }
}

#[cfg(test)]
mod tests;
