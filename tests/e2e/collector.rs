//! A real collector of OpenTelemetry gets spans, figures, logs and the audit log; one that is away loses no record and holds nobody up.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tegata_tests::World;
use tegata_tests::collector::Collector;
use tegata_tests::process::wait_for;
use tegata_tests::world::PATIENCE;

const POLICY: &str = include_str!("collector/policy.yaml");

fn world(endpoint: &str, protocol: &str) -> Result<World> {
    let mut world = World::start()?;
    world.set_environment(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=geheim"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
        ("OTEL_BSP_SCHEDULE_DELAY", "200"),
    ]);
    world.restart_server_with(&[])?;
    Ok(world)
}

#[test]
fn a_collector_gets_spans_figures_logs_and_the_audit_log() -> Result<()> {
    everything_is_sent("http/protobuf", Collector::endpoint)
}

#[test]
fn a_collector_gets_the_same_by_grpc() -> Result<()> {
    everything_is_sent("grpc", Collector::grpc_endpoint)
}

fn everything_is_sent(protocol: &str, endpoint: fn(&Collector) -> String) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut collector = Collector::absent(folder.path())?;
    collector.start()?;
    let mut world = world(&endpoint(&collector), protocol)?;
    world.apply(POLICY)?;
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    agent.start()?;
    world.wait_until_ready()?;

    let spans = |name: &str| Ok(all(&collector.passed_on("traces")?, "spans").into_iter().find(|span| span["name"] == name));
    let route = "GET /v1/tenants/{tenant}/slots";
    let span = wait_for(PATIENCE, "the span of a request", || spans(route))?;
    ensure!(span["kind"] == "SPAN_KIND_SERVER" && said(&span)["http.response.status_code"] == "200", "{span}");
    let named: Vec<String> = all(&collector.passed_on("traces")?, "spans").iter().map(ToString::to_string).collect();
    ensure!(named.iter().all(|span| !span.contains("sakura") && !span.contains("uketsuke")), "a name is in a span");

    wait_for(PATIENCE, "the figures", || {
        let metrics = all(&collector.passed_on("metrics")?, "metrics");
        let has = |name: &str| metrics.iter().any(|metric| metric["name"] == name);
        Ok((has("tegata_slots") && has("http.server.request.duration")).then_some(()))
    })?;
    wait_for(PATIENCE, "what is logged", || {
        let logs = all(&collector.passed_on("logs")?, "logRecords");
        Ok(logs.iter().any(|log| log["body"]["stringValue"] == "listening").then_some(()))
    })?;
    everything_arrives(&world, &collector)?;
    let everything = std::fs::read_to_string(folder.path().join("out.jsonl"))?;
    for (secret, what) in [(world.access()?.token.as_str(), "the owner's token"), ("geheim", "a header for the collector")] {
        ensure!(!everything.contains(secret), "{what} is in what was sent");
    }
    ensure!(
        everything.contains(r#""key": "service.name", "value": {"stringValue": "tegata"}"#)
            && everything.contains("deployment.environment")
    );
    ensure!(world.server().stop(PATIENCE)? == 0);
    Ok(())
}

#[test]
fn a_collector_that_was_away_gets_every_record_of_its_absence_in_order() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut collector = Collector::absent(folder.path())?;
    let mut world = world(&collector.grpc_endpoint(), "grpc")?;
    world.apply(POLICY)?;
    let mut agent = world.enroll("sakura/uketsuke-1", &["--keystore", "file"])?;
    agent.start()?;
    world.wait_until_ready()?;
    // Also over a crash, and what is done after it.
    world.server().kill();
    world.start_server()?;
    world.cli_well(["token", "create", "watcher"])?;
    collector.start()?;
    everything_arrives(&world, &collector)?;

    // It goes away again in the middle.
    collector.kill();
    world.cli_well(["token", "create", "other"])?;
    collector.start()?;
    everything_arrives(&world, &collector)
}

/// Waits until every record of the tenant has come, and sees that each is as it is kept and came in its order.
fn everything_arrives(world: &World, collector: &Collector) -> Result<()> {
    let last = world.audit()?.last().context("there are records")?.sequence;
    wait_for(PATIENCE, "every record", || {
        let come = records(collector)?;
        Ok((1..=last).all(|sequence| come.iter().any(|(number, _)| *number == sequence)).then_some(()))
    })
    .with_context(|| {
        format!("{last} records; came: {:?}", records(collector).map(|come| come.iter().map(|(number, _)| *number).collect::<Vec<_>>()))
    })?;
    let folder = tempfile::tempdir()?;
    let export = folder.path().join("export");
    world.cli_well(["audit", "export", "--out", &export.display().to_string()])?;
    let (come, kept) = (records(collector)?, std::fs::read_to_string(export.join("records.jsonl"))?);
    let kept: Vec<&str> = kept.lines().collect();
    ensure!(kept.len() as u64 >= last, "the export has {} records", kept.len());
    let mut newest = 0;
    for (sequence, body) in &come {
        // What comes twice was there before; what is new is the next.
        ensure!(*sequence <= newest + 1, "record {sequence} came after {newest}");
        newest = newest.max(*sequence);
        // Byte for byte: what the tree is made of.
        if let Some(record) = kept.get(usize::try_from(*sequence)? - 1) {
            ensure!(body == record, "{body} is not {record}");
        }
    }
    Ok(())
}

/// The records of the tenant that were passed on, in the order in which they came.
fn records(collector: &Collector) -> Result<Vec<(u64, String)>> {
    let logs = all(&collector.passed_on("logs")?, "logRecords");
    let ours = logs.iter().filter(|log| said(log).get("tegata.tenant").is_some_and(|tenant| tenant == "aozora"));
    ours.map(|log| {
        let body = log["body"]["stringValue"].as_str().context("a record has a body")?.to_owned();
        Ok((said(log)["tegata.audit.sequence"].parse()?, body))
    })
    .collect()
}

/// The attributes of something, as text.
fn said(about: &Value) -> BTreeMap<String, String> {
    let attributes = about["attributes"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_object().and_then(|value| value.values().next().cloned()).unwrap_or_default();
    let pair = |attribute: &Value| {
        let value = text(&attribute["value"]);
        (attribute["key"].as_str().unwrap_or_default().to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    attributes.map(pair).collect()
}

/// Everything that stands below this key in some messages.
fn all(messages: &[Value], key: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for message in messages {
        match message {
            Value::Object(fields) => {
                for (name, value) in fields {
                    match value {
                        Value::Array(items) if name == key => found.extend(items.iter().cloned()),
                        value => found.extend(all(std::slice::from_ref(value), key)),
                    }
                }
            }
            Value::Array(items) => found.extend(all(items, key)),
            _ => {}
        }
    }
    found
}
