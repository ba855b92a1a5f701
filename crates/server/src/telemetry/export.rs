//! Sends spans, figures and logs to a collector, where the environment names one.
//!
//! What OpenTelemetry's SDK sends it keeps in bounded queues and drops when they are full: a collector that is away holds nobody up. The
//! audit log goes another way, which drops nothing: [`super::audit`].

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::PeriodicReader;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use super::audit::AuditExport;
use super::collector::{Collector, CollectorError};
use super::settings::{Settings, SettingsError, Target};
use crate::audit::Ledger;
use crate::clock::Clock;

/// How long what is in the queues may take to be sent when the server ends.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);
/// Whose messages are not sent: sending them would make more of them.
const NOT_SENT: [&str; 5] = ["opentelemetry", "hyper", "reqwest", "h2", "rustls"];

/// Where telemetry is sent, and the queues to there.
#[derive(Debug, Clone)]
pub struct Export {
    settings: Settings,
    resource: Resource,
    traces: Option<SdkTracerProvider>,
    logs: Option<SdkLoggerProvider>,
}

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The environment cannot be followed.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no client.
    #[error(transparent)]
    Collector(#[from] CollectorError),
    /// OpenTelemetry does not take the settings.
    #[error("the exporters of OpenTelemetry cannot be set up")]
    Exporter(#[from] ExporterBuildError),
}

impl Export {
    /// As the environment says; `None` if it names no collector. To be called inside a Tokio runtime, which sends.
    ///
    /// # Errors
    /// [`ExportError`].
    pub fn from_environment() -> Result<Option<Self>, ExportError> {
        let settings = Settings::from_environment()?;
        if settings.is_silent() { Ok(None) } else { Self::new(settings).map(Some) }
    }

    fn new(settings: Settings) -> Result<Self, ExportError> {
        let resource = resource();
        let traces = settings.traces.clone().map(|target| traces(target, &resource)).transpose()?;
        let logs = settings.logs.clone().map(|target| logs(target, &resource)).transpose()?;
        Ok(Self { settings, resource, traces, logs })
    }

    /// Takes along what is logged, for `tracing`.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> Option<impl Layer<S> + use<S>> {
        let provider = self.logs.as_ref()?;
        let is_sent = |about: &Metadata<'_>| !NOT_SENT.iter().any(|target| about.target().starts_with(target));
        Some(Layer::<S>::with_filter(OpenTelemetryTracingBridge::new(provider), filter_fn(is_sent)))
    }

    /// Sends what is left, as long as that does not take long.
    pub async fn stop(self) {
        let work = move || {
            // Nobody is left to be told that it did not arrive.
            let _ = self.traces.map(|provider| provider.shutdown_with_timeout(FLUSH_PATIENCE));
            let _ = self.logs.map(|provider| provider.shutdown_with_timeout(FLUSH_PATIENCE));
        };
        let _ = tokio::task::spawn_blocking(work).await;
    }

    /// Who this is, as collectors are told.
    pub(super) fn resource(&self) -> &Resource {
        &self.resource
    }

    /// Makes spans.
    pub(super) fn tracer(&self) -> Option<SdkTracer> {
        self.traces.as_ref().map(|provider| provider.tracer("tegata"))
    }

    /// Reads instruments.
    pub(super) fn reader(&self) -> Result<Option<PeriodicReader<MetricExporter>>, ExportError> {
        let Some(target) = self.settings.metrics.clone() else { return Ok(None) };
        let exporter = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(target.url.as_str());
        let exporter = exporter.with_timeout(target.patience).with_http_client(collector(target)?.http()).build()?;
        Ok(Some(PeriodicReader::builder(exporter).with_interval(self.settings.interval).build()))
    }

    /// Who takes figures, and how often.
    pub(super) fn figures(&self) -> Result<Option<(Collector, Duration)>, ExportError> {
        let target = self.settings.metrics.clone();
        Ok(target.map(Collector::new).transpose()?.map(|collector| (collector, self.settings.interval)))
    }

    /// Who sends the audit log.
    pub(crate) fn audit(&self, ledger: Ledger, clock: Clock) -> Result<Option<AuditExport>, ExportError> {
        let collector = self.settings.logs.clone().map(Collector::new).transpose()?;
        Ok(collector.map(|collector| AuditExport::new(ledger, clock, collector, &self.resource)))
    }

    /// What whoever takes the audit log is called.
    pub(crate) fn sink(&self) -> Option<String> {
        self.settings.logs.as_ref().map(Target::place)
    }
}

/// `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say who this is; without, it is `tegata`.
fn resource() -> Resource {
    let named = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))).build();
    let name = named.get(&"service.name".into()).map(|name| name.as_str().into_owned()).unwrap_or_default();
    if !name.starts_with("unknown_service") {
        return named;
    }
    let known = named.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone()));
    Resource::builder_empty().with_attributes(known.collect::<Vec<_>>()).with_service_name("tegata").build()
}

fn collector(target: Target) -> Result<Collector, ExportError> {
    Ok(Collector::new(target)?)
}

fn traces(target: Target, resource: &Resource) -> Result<SdkTracerProvider, ExportError> {
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(target.url.as_str());
    let exporter = exporter.with_timeout(target.patience).with_http_client(collector(target)?.http()).build()?;
    Ok(SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build())
}

fn logs(target: Target, resource: &Resource) -> Result<SdkLoggerProvider, ExportError> {
    let exporter = LogExporter::builder().with_http().with_protocol(Protocol::HttpBinary).with_endpoint(target.url.as_str());
    let exporter = exporter.with_timeout(target.patience).with_http_client(collector(target)?.http()).build()?;
    Ok(SdkLoggerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build())
}
