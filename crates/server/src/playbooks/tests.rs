use std::time::Duration;

use tegata_api::v1::playbook::{HostResult, HostTrouble};

use super::*;
use crate::pretend::{World, clinic as clinic_with, tenant};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJz2hFaHOp7nMYvUW9gOd7kQLoSTOi8tF3Vv1bT0PyH";
const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJz2hFaHOp7nMYvUW9gOd7kQLoSTOi8tF3Vv1bT0PyI";

/// `pc-1` has a pinned key, `pc-2` none, and `pc-3` is not reached by SSH. The window closes at 2027-01-15T09:00:00Z, an hour from now.
async fn world() -> World {
    let ssh = "  ssh: { user: tegata, firstUse: { until: \"2027-01-15T18:00:00+09:00\" } }\n";
    let text = clinic_with("sakura", &["pc-1", "pc-2", "pc-3"], ssh);
    let reached = |text: String, name: &str, more: &str| {
        let device = format!("name: {name}, platform: linux");
        assert!(text.contains(&device), "{text}");
        text.replace(&device, &format!("{device}, ssh: {{ address: 127.0.0.1{more} }}"))
    };
    let text = reached(text, "pc-1", &format!(", hostKeys: [\"{KEY}\"]"));
    World::with(&[&reached(text, "pc-2", "")]).await
}

fn by<'a>(tenant: &'a TenantName, now: Timestamp) -> By<'a> {
    By { tenant, actor: "person:ito", now }
}

fn wish(hosts: &[&str]) -> BeginRun {
    let hosts = hosts.iter().map(ToString::to_string).collect();
    BeginRun { playbook: "enroll-linux".into(), sha256: "ab".repeat(32), mode: Mode::Run, hosts }
}

fn result(host: &str, state: HostState, trouble: Option<HostTrouble>) -> HostResult {
    HostResult { host: host.into(), state, trouble, task: None, changed: 0 }
}

#[tokio::test]
async fn a_run_is_on_record_before_and_after_with_a_word_for_each_host() {
    let (world, tenant) = (world().await, tenant());
    let by = by(&tenant, world.now);
    let run = begin(&world.ledger, by, &wish(&["sakura/pc-1", "sakura/pc-2"])).await.unwrap();
    let ended = |hosts| EndRun { playbook: "enroll-linux".into(), hosts };
    let one = result("sakura/pc-1", HostState::Changed, None);
    let other = result("sakura/pc-2", HostState::Failed, Some(HostTrouble::WrongHostKey));
    for partial in
        [vec![], vec![one.clone()], vec![one.clone(), one.clone()], vec![one.clone(), result("sakura/pc-3", HostState::Changed, None)]]
    {
        let refused = end(&world.ledger, by, &run, &ended(partial)).await;
        assert!(matches!(refused, Err(AskError::Malformed(_))), "{refused:?}");
    }
    end(&world.ledger, by, &run, &ended(vec![one.clone(), other.clone()])).await.unwrap();
    let records = about(&world.ledger, &tenant, format!("playbooks/enroll-linux@{run}"), RUN).await.unwrap();
    assert_eq!(records.iter().map(|record| record.stage).collect::<Vec<_>>(), [Stage::Intended, Stage::Done]);
    assert_eq!(
        records[1].details["hosts"][1],
        json!({ "host": "sakura/pc-2", "state": "failed", "trouble": "wrong-host-key", "changed": 0 })
    );
    let again = end(&world.ledger, by, &run, &ended(vec![one, other])).await;
    assert!(matches!(again, Err(AskError::Gone(_))), "{again:?}");
    assert!(matches!(end(&world.ledger, by, "made-up", &ended(vec![])).await, Err(AskError::NotFound(_))));
}

#[tokio::test]
async fn a_check_cannot_be_told_to_have_changed_anything() {
    let (world, tenant) = (world().await, tenant());
    let by = by(&tenant, world.now);
    let run = begin(&world.ledger, by, &BeginRun { mode: Mode::Check, ..wish(&["sakura/pc-1"]) }).await.unwrap();
    let ended = EndRun { playbook: "enroll-linux".into(), hosts: vec![result("sakura/pc-1", HostState::Changed, None)] };
    assert!(matches!(end(&world.ledger, by, &run, &ended).await, Err(AskError::Malformed(_))));
}

#[tokio::test]
async fn hosts_that_policy_does_not_know_or_does_not_reach_are_refused_alike() {
    let (world, tenant) = (world().await, tenant());
    for host in ["sakura/pc-3", "sakura/pc-9", "nowhere/pc-1", "no name"] {
        let refused = begin(&world.ledger, by(&tenant, world.now), &wish(&["sakura/pc-1", host])).await;
        assert!(matches!(refused, Err(AskError::NotFound(_))), "{host}: {refused:?}");
    }
}

#[tokio::test]
async fn an_unknown_key_is_believed_once_and_only_while_the_window_is_open() {
    let (world, tenant) = (world().await, tenant());
    let shown = |key: &str| TrustKey { key: key.into(), fingerprint: "SHA256:whatever the client says".into() };
    let (pinned, unknown) = ("sakura/pc-1".parse().unwrap(), "sakura/pc-2".parse().unwrap());
    let hour = Duration::from_secs(3600);
    let trust = async |device: &DeviceId, key: &str, after: Duration| {
        trust(&world.ledger, by(&tenant, world.now.after(after)), device, &shown(key)).await.map_err(|error| error.to_string())
    };
    let closed = trust(&unknown, KEY, hour).await.unwrap_err();
    assert!(closed.contains("no window is open"), "{closed}");
    assert!(trust(&pinned, OTHER_KEY, Duration::ZERO).await.unwrap_err().contains("policy pins"));
    trust(&unknown, KEY, hour - Duration::from_secs(1)).await.unwrap();
    trust(&unknown, KEY, 2 * hour).await.expect("it is the same");
    let changed = trust(&unknown, OTHER_KEY, Duration::ZERO).await.unwrap_err();
    assert!(changed.contains("another key"), "{changed}");
    let known = trusted(&world.ledger, &tenant).await.unwrap();
    assert_eq!(known.len(), 1);
    let key: HostKey = KEY.parse().unwrap();
    assert_eq!((&*known[0].host, &*known[0].key, &known[0].fingerprint), ("sakura/pc-2", KEY, &key.fingerprint()));
}

#[tokio::test]
async fn no_key_is_believed_where_authorities_speak_for_the_hosts() {
    let ssh = format!("  ssh: {{ user: tegata, hostAuthorities: [\"{KEY}\"], firstUse: {{ until: \"2027-01-15T18:00:00+09:00\" }} }}\n");
    let text = clinic_with("sakura", &["pc-2"], &ssh);
    let world = World::with(&[&text.replace("platform: linux", "platform: linux, ssh: { address: 127.0.0.1 }")]).await;
    let shown = TrustKey { key: OTHER_KEY.into(), fingerprint: String::new() };
    let refused = trust(&world.ledger, by(&tenant(), world.now), &"sakura/pc-2".parse().unwrap(), &shown).await;
    assert!(matches!(refused, Err(AskError::Gone(why)) if why.contains("authorities")), "{refused:?}");
}
