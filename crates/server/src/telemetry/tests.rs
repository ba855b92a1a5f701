use super::*;
use crate::pretend::{World, sakura};

#[tokio::test]
async fn everything_has_a_name_and_a_help_and_is_counted_where_it_becomes_durable() {
    let meters = Meters::new(None).unwrap();
    let mut world = World::new().await;
    world.ledger = world.ledger.counting(meters.instruments().clone());
    world.apply(&[&sakura(&["uketsuke"])]).await.unwrap();
    world.enrol("sakura/uketsuke").await;
    world.settle().await;
    meters.instruments().begin("GET", Some("/v1/tenants/{tenant}/slots".into())).answered(200);
    let text = Telemetry::new(meters, world.ledger.clone(), Clock::fixed(world.now), None).unwrap().scrape().await.unwrap();
    for line in [
        "tegata_orders_opened_total{because=\"missing\",tenant=\"aozora\"} 1",
        "tegata_slots{clinic=\"sakura\",reason=\"ordered\",tenant=\"aozora\"} 1",
        "tegata_audit_records_total{tenant=\"aozora\"} ",
        "# TYPE tegata_audit_records_total counter",
        "# TYPE tegata_quota_left gauge",
        "http_server_request_duration_seconds_bucket{http_request_method=\"GET\",http_response_status_code=\"200\",\
         http_route=\"/v1/tenants/{tenant}/slots\",le=\"+Inf\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let named = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    for name in named {
        assert!(text.contains(&format!("# HELP {name} ")), "{name} is not explained");
        assert!(name.starts_with("tegata_") || name == "http_server_request_duration_seconds", "{name}");
    }
}

#[tokio::test]
async fn what_is_refused_is_not_counted() {
    let meters = Meters::new(None).unwrap();
    let world = World::with(&[&sakura(&["uketsuke"])]).await;
    let ledger = world.ledger.clone().counting(meters.instruments().clone());
    let record = |action| crate::store::NewRecord {
        tenant: crate::pretend::tenant(),
        at: world.now,
        stage: tegata_api::v1::audit::Stage::Done,
        actor: "test".into(),
        action,
        object: "x".into(),
        details: serde_json::json!({}),
    };
    let guard = crate::store::Change::ExpectPolicy { tenant: crate::pretend::tenant(), revision: 99 };
    let refused = crate::store::Batch { records: vec![record("certificate.issue")], changes: vec![guard] };
    ledger.note(refused).await.unwrap_err();
    ledger.note(crate::store::Batch { records: vec![record("certificate.adopt")], changes: vec![] }).await.unwrap();
    let text = Telemetry::new(meters, ledger, Clock::fixed(world.now), None).unwrap().scrape().await.unwrap();
    let issued: Vec<&str> = text.lines().filter(|line| line.starts_with("tegata_certificates_issued_total")).collect();
    assert_eq!(issued, ["tegata_certificates_issued_total{how=\"certificate.adopt\",tenant=\"aozora\"} 1"]);
}
