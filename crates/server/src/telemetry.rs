//! What operators already read: the fleet in figures, for Prometheus.
//!
//! Figures say nothing that `tegata get` does not: [`census`] reads clinics by the very same functions. What can be over and gone, such as a
//! reason why slots are not ready, is a gauge of [`gauges`], made anew for each scrape: a series ends with what it is about, which an
//! instrument of OpenTelemetry's SDK would go on reporting. What only ever counts up is one of [`instruments`].

pub mod census;
pub mod gauges;
pub mod instruments;

use std::sync::Arc;

use opentelemetry_sdk::metrics::SdkMeterProvider;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts, Registry, TextEncoder};

use self::census::Census;
use self::gauges::{Family, Kind};
use self::instruments::Instruments;
use crate::audit::Ledger;
use crate::clock::Clock;
use crate::store::StoreError;

/// What is measured where it happens, and who reads it.
pub struct Meters {
    instruments: Instruments,
    registry: Registry,
    /// Held because instruments measure nothing once it is gone.
    _provider: SdkMeterProvider,
}

impl Meters {
    /// Everything at zero.
    ///
    /// # Errors
    /// A mistake in this program.
    pub fn new() -> Result<Self, TelemetryError> {
        let registry = Registry::new();
        let exporter = opentelemetry_prometheus::exporter().with_registry(registry.clone()).scope_info_enabled(false);
        let provider = SdkMeterProvider::builder().with_reader(exporter.without_target_info().build()?).build();
        Ok(Self { instruments: Instruments::of(&provider), registry, _provider: provider })
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
}

impl Telemetry {
    /// Reads what this ledger tells beside what was measured.
    ///
    /// # Errors
    /// A mistake in this program.
    pub fn new(meters: Meters, ledger: Ledger, clock: Clock) -> Result<Self, TelemetryError> {
        let census = Arc::new(Census::new(ledger, clock));
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
