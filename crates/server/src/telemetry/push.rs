//! Gauges, pushed: the same that a scrape gives.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::transform::common::tonic::Attributes;
use prost::Message;

use super::census::Census;
use super::collector::{Answer, Collector};
use super::gauges::{Family, Kind, Point};
use crate::clock::Clock;

/// Sends every gauge again and again. One that does not arrive is not sent again: the next says more.
pub(super) async fn run(census: Arc<Census>, clock: Clock, (collector, every): (Collector, Duration), resource: Resource) {
    loop {
        tokio::time::sleep(every).await;
        if let Err(error) = census.refresh().await {
            tracing::error!(error = &error as &dyn std::error::Error, "the figures cannot be read");
            continue;
        }
        let at = u64::try_from(clock.now().unix()).unwrap_or_default().saturating_mul(1_000_000_000);
        match collector.send(message(&census.families(), at, &resource)).await {
            Answer::Taken => {}
            Answer::Later { problem, .. } | Answer::Refused(problem) => tracing::debug!(problem, "figures were not taken"),
        }
    }
}

fn message(families: &[Family], at: u64, resource: &Resource) -> Vec<u8> {
    let metrics = families.iter().filter(|family| !family.points.is_empty()).map(|family| metric(family, at)).collect();
    let scope = InstrumentationScope { name: "tegata".into(), version: env!("CARGO_PKG_VERSION").into(), ..Default::default() };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    let resource_metrics = vec![ResourceMetrics { resource: Some(resource.clone()), scope_metrics, schema_url: String::new() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

fn metric(family: &Family, at: u64) -> Metric {
    let data_points = family.points.iter().map(|point| data_point(family, point, at)).collect();
    let data = match family.gauge.kind {
        Kind::Gauge => Data::Gauge(Gauge { data_points }),
        Kind::Counter => {
            Data::Sum(Sum { data_points, aggregation_temporality: AggregationTemporality::Cumulative.into(), is_monotonic: true })
        }
    };
    let unit = if family.gauge.name.ends_with("_seconds") { "s" } else { "1" };
    Metric {
        name: family.gauge.name.into(),
        description: family.gauge.help.into(),
        unit: unit.into(),
        data: Some(data),
        ..Metric::default()
    }
}

fn data_point(family: &Family, point: &Point, at: u64) -> NumberDataPoint {
    let labels = family.gauge.labels.iter().zip(&point.labels);
    let attributes = Attributes::from(labels.map(|(label, value)| KeyValue::new(*label, value.clone()))).0;
    NumberDataPoint { attributes, time_unix_nano: at, value: Some(Value::AsDouble(point.value)), ..NumberDataPoint::default() }
}
