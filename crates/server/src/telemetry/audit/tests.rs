use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_core::time::Timestamp;
use tokio::time::timeout;

use super::*;
use crate::pretend::{World, tenant};
use crate::store::NewRecord;
use crate::telemetry::settings::Settings;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the collector says next; nothing more: it takes everything.
#[derive(Clone)]
enum Say {
    Status(u16, &'static str),
    Partly,
    /// It refuses whatever holds this record.
    Not(&'static str),
}

#[derive(Clone, Default)]
struct Sink {
    says: Arc<Mutex<VecDeque<Say>>>,
    /// What it has taken: tenant, sequence and body of each record.
    taken: Arc<Mutex<Vec<(String, i64, String)>>>,
    asked: Arc<Mutex<Vec<usize>>>,
}

impl Sink {
    async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().route("/v1/logs", post(take)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        format!("http://{address}")
    }

    fn say(&self, says: impl IntoIterator<Item = Say>) {
        self.says.lock().unwrap().extend(says);
    }

    fn sequences(&self, of: &TenantName) -> Vec<i64> {
        self.taken.lock().unwrap().iter().filter(|(tenant, ..)| *tenant == of.as_str()).map(|(_, number, _)| *number).collect()
    }
}

async fn take(State(sink): State<Sink>, body: Bytes) -> Response {
    let request = ExportLogsServiceRequest::decode(body).unwrap();
    let records: Vec<_> =
        request.resource_logs.iter().flat_map(|logs| &logs.scope_logs).flat_map(|logs| &logs.log_records).map(read).collect();
    sink.asked.lock().unwrap().push(records.len());
    let mut says = sink.says.lock().unwrap();
    let answer = |rejected| {
        let partial_success = Some(ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: "no".into() });
        ExportLogsServiceResponse { partial_success }.encode_to_vec()
    };
    match says.front().cloned() {
        Some(Say::Status(status, after)) => {
            says.pop_front();
            return (StatusCode::from_u16(status).unwrap(), [("retry-after", after)]).into_response();
        }
        Some(Say::Partly) => {
            says.pop_front();
            return answer(1).into_response();
        }
        Some(Say::Not(text)) if records.iter().any(|(.., body)| body.contains(text)) => return StatusCode::BAD_REQUEST.into_response(),
        _ => {}
    }
    sink.taken.lock().unwrap().extend(records);
    answer(0).into_response()
}

fn read(record: &LogRecord) -> (String, i64, String) {
    let of = |name: &str| record.attributes.iter().find(|attribute| attribute.key == name).and_then(|found| found.value.clone()?.value);
    let (Some(any_value::Value::StringValue(tenant)), Some(any_value::Value::IntValue(number))) =
        (of("tegata.tenant"), of("tegata.audit.sequence"))
    else {
        panic!("{record:?}")
    };
    let Some(any_value::Value::StringValue(body)) = record.body.clone().unwrap().value else { panic!("{record:?}") };
    (tenant, number, body)
}

fn export(world: &World, url: &str) -> AuditExport {
    let environment = |name: &str| (name == "OTEL_EXPORTER_OTLP_ENDPOINT").then(|| url.to_owned());
    let target = Settings::read(&environment).unwrap().logs.unwrap();
    let resource = opentelemetry_sdk::Resource::builder_empty().with_service_name("tegata").build();
    AuditExport::new(world.ledger.clone(), Clock::fixed(world.now), Collector::new(target).unwrap(), &resource)
}

async fn records(world: &World, tenant: &TenantName, count: usize) {
    let record = |number: usize| NewRecord {
        tenant: tenant.clone(),
        at: Timestamp::from_unix(1_800_000_000),
        stage: Stage::Done,
        actor: "person:test".into(),
        action: "test.act",
        object: format!("thing-{number}."),
        details: json!({ "n": number }),
    };
    world.ledger.note(Batch { records: (1..=count).map(record).collect(), changes: vec![] }).await.unwrap();
}

#[tokio::test]
async fn every_record_goes_out_once_in_order_and_as_it_is_kept() {
    let (world, sink) = (World::new().await, Sink::default());
    let (one, other) = (tenant(), "momiji".parse().unwrap());
    records(&world, &one, 600).await;
    records(&world, &other, 3).await;
    let mut export = export(&world, &sink.listen().await);
    export.catch_up().await.unwrap();
    export.catch_up().await.unwrap();
    assert_eq!(sink.sequences(&one), (1..=600).collect::<Vec<_>>());
    assert_eq!(sink.sequences(&other), [1, 2, 3]);
    let kept = world.ledger.store().log_entries(&one, 0, 1_000).await.unwrap();
    let bodies: Vec<String> =
        sink.taken.lock().unwrap().iter().filter(|(of, ..)| *of == one.as_str()).map(|(.., body)| body.clone()).collect();
    assert_eq!(bodies, kept);
    records(&world, &one, 1).await;
    let mut next = self::export(&world, &sink.listen().await);
    next.sink.clone_from(&export.sink);
    next.catch_up().await.unwrap();
    assert_eq!(sink.sequences(&one).last(), Some(&601), "after a restart it goes on from where it was");
    assert_eq!(sink.sequences(&one).len(), 601);
}

#[tokio::test]
async fn what_was_not_taken_whole_is_sent_again() {
    let (world, sink) = (World::new().await, Sink::default());
    records(&world, &tenant(), 5).await;
    let mut export = export(&world, &sink.listen().await);
    sink.say([Say::Status(503, "7"), Say::Status(429, "0"), Say::Partly]);
    let untaken = export.catch_up().await.unwrap_err();
    assert_eq!(export.after(untaken), Duration::from_secs(7), "as long as it asked for");
    let untaken = export.catch_up().await.unwrap_err();
    assert_eq!(export.after(untaken), Duration::from_secs(2), "twice as long as before");
    assert!(matches!(export.catch_up().await.unwrap_err(), Untaken::Refused { from: 0, .. }));
    assert!(sink.sequences(&tenant()).is_empty());
    export.catch_up().await.unwrap();
    assert_eq!(sink.sequences(&tenant()), [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn one_record_that_is_refused_is_found_and_neither_dropped_nor_in_the_way_of_others() {
    let (world, sink) = (World::new().await, Sink::default());
    let (one, other) = (tenant(), "momiji".parse().unwrap());
    records(&world, &one, 40).await;
    records(&world, &other, 3).await;
    let mut export = export(&world, &sink.listen().await);
    sink.say([Say::Not("\"object\":\"thing-21.\"")]);
    let mut tries = 0;
    loop {
        match export.catch_up().await {
            Err(untaken @ Untaken::Refused { is_alone: true, .. }) => {
                assert!(export.after(untaken) >= PAUSE_MIN);
                break;
            }
            Err(untaken) => assert_eq!(export.after(untaken), PAUSE_MIN, "while it looks for the one it does not tire"),
            Ok(()) => panic!("a refused record was passed over"),
        }
        tries += 1;
        assert!(tries < 60);
    }
    assert_eq!(sink.sequences(&one), (1..=20).collect::<Vec<_>>());
    assert_eq!(sink.sequences(&other), [1, 2, 3]);
    sink.says.lock().unwrap().clear();
    export.catch_up().await.unwrap();
    assert_eq!(sink.sequences(&one), (1..=40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_collector_that_is_away_holds_nobody_up_and_gets_everything_later() {
    let (world, sink) = (World::new().await, Sink::default());
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    records(&world, &tenant(), 2).await;
    let mut away = export(&world, &url);
    let problem = away.catch_up().await.unwrap_err();
    assert!(matches!(problem, Untaken::Later { .. }), "{problem:?}");
    let stopping = CancellationToken::new();
    let running = tokio::spawn(away.run(stopping.clone()));
    timeout(PATIENCE, records(&world, &tenant(), 300)).await.expect("nobody waits for the collector");
    stopping.cancel();
    timeout(PATIENCE, running).await.expect("and it can be stopped").unwrap();
    let mut back = export(&world, &sink.listen().await);
    back.sink = format!("{url}/v1/logs");
    back.catch_up().await.unwrap();
    assert_eq!(sink.sequences(&tenant()), (1..=302).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_text_that_is_still_there_goes_beside_its_record_and_not_into_it() {
    let (world, sink) = (World::new().await, Sink::default());
    records(&world, &tenant(), 1).await;
    let record = NewRecord {
        tenant: tenant(),
        at: Timestamp::from_unix(1_800_000_000),
        stage: Stage::Done,
        actor: "person:test".into(),
        action: "test.act",
        object: "thing".into(),
        details: json!({ "note": crate::store::Personal("佐藤") }),
    };
    world.ledger.note(Batch { records: vec![record], changes: vec![] }).await.unwrap();
    let store = world.ledger.store();
    let (kept, disclosures) = (store.log_entries(&tenant(), 0, 9).await.unwrap(), store.disclosures_of(&tenant(), &[1, 2]).await.unwrap());
    let export = export(&world, &sink.listen().await);
    let beside = |disclosures| {
        let message = export.message(&tenant(), kept.clone(), disclosures).unwrap();
        let request = ExportLogsServiceRequest::decode(&message[..]).unwrap();
        let records = request.resource_logs[0].scope_logs[0].log_records.clone();
        assert_eq!(records.iter().map(|record| read(record).2).collect::<Vec<_>>(), kept);
        let of = |record: &LogRecord| record.attributes.iter().find(|attribute| attribute.key == "tegata.audit.personal").cloned();
        records.iter().map(of).map(|found| found.map(|found| format!("{found:?}"))).collect::<Vec<_>>()
    };
    let [None, Some(told)] = &beside(disclosures)[..] else { panic!("one has a text") };
    assert!(told.contains("佐藤") && !kept[1].contains("佐藤"), "{told}");
    assert_eq!(beside(vec![]), [None, None], "an erased one keeps nothing up");
}
