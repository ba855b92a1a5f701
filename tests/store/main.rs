//! What every backend of [`Store`] has to do. A new backend is one more line in `backends`.
//!
//! Nothing here knows which database it talks to; only `reopen` and the backends themselves do.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::join_all;
use serde_json::json;
use tegata_api::v1::audit::Stage;
use tegata_api::v1::device::{Facts, FileHash, InstallerSeen, Manifest, Report};
use tegata_core::access::Login;
use tegata_core::fleet::Template;
use tegata_core::name::{ClinicId, DeviceId, OrderId, Serial, Sha256, SlotId, TenantName};
use tegata_core::notice::{Kind, Rung};
use tegata_core::plan::Reason;
use tegata_core::policy::{KeyAlgorithm, KeyOrigin};
use tegata_core::revocation::Cause;
use tegata_core::time::Timestamp;
use tegata_server::store::access::{TokenChange, TokenRow};
use tegata_server::store::installers::{InstallerChange, Recognized};
use tegata_server::store::notices::{
    Channel, DeliveryRow, DeliveryState, ExpiringQuery, LetterRow, NewLetter, Outcome, Told, WebhookKeyRow,
};
use tegata_server::store::revocation::{RevokedRow, Selection, Verdict};
use tegata_server::store::sessions::{SessionChange, SessionRow};
use tegata_server::store::sql::Database;
use tegata_server::store::{
    ApplicationRow, AuditQuery, AuthorityRow, Batch, Bundle, CertificateFilter, CertificateRow, Change, Claim, Closed, CodeRow, DeviceRow,
    Draft, Holder, Issued, NewRecord, OrderRow, OrderState, Part, Store, StoreError, TakenIn,
};
use tegata_tests::postgres::Postgres;

mod moving;
mod portal;
mod server;

use portal::*;

/// A database that can be closed and opened again.
#[async_trait]
trait Backend: Send + Sync {
    async fn open(&self) -> Arc<dyn Store>;
}

struct SqliteFile(tempfile::TempDir);

impl SqliteFile {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

#[async_trait]
impl Backend for SqliteFile {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Database::sqlite(&self.0.path().join("tegata.db")).await.unwrap())
    }
}

struct PostgresServer {
    _server: Arc<Postgres>,
    url: String,
}

impl PostgresServer {
    fn new() -> Self {
        let server = Postgres::shared().unwrap();
        let url = server.new_database().unwrap();
        Self { _server: server, url }
    }
}

#[async_trait]
impl Backend for PostgresServer {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Database::postgres(&self.url.parse().unwrap()).await.unwrap())
    }
}

/// Runs each of these sentences against every backend.
macro_rules! contract {
    ($($sentence:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $sentence() {
                super::$sentence(&super::SqliteFile::new()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test]
            async fn $sentence() {
                super::$sentence(&super::PostgresServer::new()).await;
            })*
        }
    };
}

contract! {
    documents_count_their_revisions,
    a_policy_that_moved_on_refuses_who_expected_the_old_one,
    clinics_wake_nudge_and_rest,
    a_nudge_during_a_turn_is_not_slept_over,
    codes_are_tried_a_few_times_and_used_once,
    a_device_is_kept_and_enrols_again,
    manifests_count_up_by_one,
    receipts_count_up_by_one,
    a_slot_has_one_open_order,
    i1_a_draft_is_written_once_and_only_for_an_open_order,
    i1_a_certificate_needs_an_open_order_and_the_draft_that_was_recorded,
    i1_issuances_that_share_a_commit_are_kept_or_refused_each_alone,
    a_vendors_certificate_is_taken_in_once_for_an_open_order,
    a_vendors_certificate_may_be_on_several_devices_but_once_on_each,
    what_people_confirm_is_kept_once,
    f4_a_claim_is_answered_with_the_holders_own_order_or_none,
    i5_no_serial_and_no_order_has_two_certificates,
    certificates_come_their_way_step_by_step,
    certificates_are_found_by_whatever_they_are_known_by,
    r1_what_is_revoked_is_listed_for_as_long_as_it_could_be_used,
    r1_a_certificate_is_in_the_shard_of_its_draft,
    a_verdict_is_given_on_what_an_issuer_has_signed_for,
    many_are_revoked_together_or_not_at_all,
    r3_what_is_condemned_goes_with_a_newer_one_in_its_slot,
    a_selection_means_that_to_which_everything_applies,
    who_would_be_cut_off_has_nothing_else_that_works,
    a_renewal_that_was_asked_for_is_cleared_by_the_order,
    r5_a_revoked_device_has_no_code_left,
    installers_are_seen_ordered_away_and_gone,
    what_was_removed_leaves_a_tombstone_and_a_file_that_comes_back_exposes_its_certificate,
    a_file_that_is_known_by_a_certificate_is_known_on_its_device_alone,
    a_snapshot_is_one_clinic_and_its_guests,
    a_snapshot_forgets_what_was_retired_long_ago,
    a_snapshot_keeps_what_is_gone_and_was_never_revoked_until_it_expires,
    a_slot_has_one_open_application,
    a_pin_is_tried_no_more_often_than_allowed,
    a_rung_is_told_once_and_its_letter_goes_to_everybody,
    a_delivery_is_tried_until_it_ends,
    what_expires_is_found_soonest_first,
    a_webhooks_keys_count_up_by_one,
    authorities_are_kept_once,
    no_letter_that_somebody_sends_ends_the_store,
    a_portal_code_is_tried_a_few_times_and_used_once,
    i1_a_portal_draft_is_signed_once_or_forgotten,
    a_memo_is_one_living_certificates_and_room_is_kept,
    what_an_accounts_devices_hold_takes_room_at_the_portal_too,
    portal_certificates_follow_each_other_and_are_revoked_in_the_issuers_list,
    a_renewed_file_is_delivered_once,
    what_the_portal_handed_out_is_sampled_selected_and_revoked_with_all_the_rest,
    tokens_are_kept,
    sessions_are_kept_until_they_are_forgotten,
    a_refused_guard_leaves_nothing_of_its_batch,
    a2_records_and_changes_live_and_die_together,
    a6_sequences_have_no_gaps_whatever_is_refused,
    a6_sequences_have_no_gaps_under_concurrency,
    records_are_found_by_their_end_and_by_what_they_are_about,
    s1_an_answer_means_that_everybody_can_read_it,
    s1_a_reopened_database_has_everything,
    repeating_what_may_be_repeated_changes_nothing,
    f4_one_tenant_sees_nothing_of_another,
}

// ---- the sentences ----

async fn documents_count_their_revisions(backend: &dyn Backend) {
    let store = backend.open().await;
    assert_eq!(store.policy_revision(&aozora()).await.unwrap(), 0);
    assert!(store.tenants().await.unwrap().is_empty());
    store.commit(changes([document("Issuer", "portal", 1)])).await.unwrap();
    store.commit(changes([document("Issuer", "portal", 2), document("ClinicNetwork", "sakura", 3)])).await.unwrap();
    let rows = store.documents(&aozora()).await.unwrap();
    let told: Vec<_> = rows.iter().map(|row| (&row.kind[..], &row.name[..], row.revision, row.body["n"].as_i64().unwrap())).collect();
    assert_eq!(told, [("ClinicNetwork", "sakura", 1, 3), ("Issuer", "portal", 2, 2)]);
    assert_eq!(rows[0].applied_at, at(50));
    let before = store.policy_revision(&aozora()).await.unwrap();
    let delete = Change::DeleteDocument { tenant: aozora(), kind: "Issuer".into(), name: "portal".into() };
    store.commit(changes([delete])).await.unwrap();
    assert_eq!(store.documents(&aozora()).await.unwrap().len(), 1);
    assert!(store.policy_revision(&aozora()).await.unwrap() > before);
    assert_eq!(store.tenants().await.unwrap(), [aozora()]);
}

async fn a_policy_that_moved_on_refuses_who_expected_the_old_one(backend: &dyn Backend) {
    let store = backend.open().await;
    let expect = |revision| Change::ExpectPolicy { tenant: aozora(), revision };
    store.commit(changes([expect(0), document("Issuer", "portal", 1)])).await.unwrap();
    conflict(store.commit(changes([expect(0), document("Issuer", "portal", 2)])).await);
    let revision = store.policy_revision(&aozora()).await.unwrap();
    store.commit(changes([expect(revision), document("Issuer", "portal", 3)])).await.unwrap();
    assert_eq!(store.documents(&aozora()).await.unwrap()[0].body, json!({ "n": 3 }));
}

async fn clinics_wake_nudge_and_rest(backend: &dyn Backend) {
    let store = backend.open().await;
    assert_eq!(store.next_wake().await.unwrap(), None);
    let (sakura, momiji) = (clinic("sakura"), clinic("momiji"));
    store.commit(changes([wake(&sakura, Some(300)), wake(&momiji, Some(200)), wake(&clinic("kaede"), None)])).await.unwrap();
    assert_eq!(store.next_wake().await.unwrap(), Some(at(200)));
    assert!(store.due(at(199), 10).await.unwrap().is_empty());
    assert_eq!(store.due(at(300), 10).await.unwrap(), [momiji.clone(), sakura.clone()], "longest overdue first");
    // Where several servers share a database, whoever asks has taken them.
    store.commit(changes([&sakura, &momiji].map(|clinic| Change::Release { clinic: clinic.clone() }))).await.unwrap();
    assert_eq!(store.due(at(300), 1).await.unwrap(), slice::from_ref(&momiji));

    store.commit(changes([nudge(&sakura, 100), nudge(&clinic("kaede"), 150)])).await.unwrap();
    assert_eq!(store.due(at(150), 10).await.unwrap(), [sakura.clone(), clinic("kaede")]);
    store.commit(changes([nudge(&sakura, 400)])).await.unwrap();
    assert_eq!(store.next_wake().await.unwrap(), Some(at(100)), "a nudge never delays");

    let nudges = store.snapshot(&sakura, at(0)).await.unwrap().nudges;
    store.commit(changes([rest(&sakura, nudges, None)])).await.unwrap();
    let clinics = store.clinics(&aozora()).await.unwrap();
    assert_eq!(clinics[&sakura.clinic], None);
    assert_eq!(clinics[&momiji.clinic], Some(at(200)));
}

async fn a_nudge_during_a_turn_is_not_slept_over(backend: &dyn Backend) {
    let store = backend.open().await;
    let sakura = clinic("sakura");
    store.commit(changes([nudge(&sakura, 100)])).await.unwrap();
    let nudges = store.snapshot(&sakura, at(0)).await.unwrap().nudges;
    store.commit(changes([nudge(&sakura, 110)])).await.unwrap();
    store.commit(changes([rest(&sakura, nudges, Some(9_000))])).await.unwrap();
    assert_eq!(store.due(at(110), 10).await.unwrap(), slice::from_ref(&sakura));
    let unchanged = |clinic: &str, nudges| changes([Change::ExpectNudges { clinic: self::clinic(clinic), nudges }]);
    conflict(store.commit(unchanged("sakura", nudges)).await);
    store.commit(unchanged("sakura", nudges + 1)).await.unwrap();
    store.commit(unchanged("momiji", 0)).await.unwrap();
    let nudges = store.snapshot(&sakura, at(0)).await.unwrap().nudges;
    store.commit(changes([rest(&sakura, nudges, Some(9_000))])).await.unwrap();
    assert!(store.due(at(110), 10).await.unwrap().is_empty());
    assert_eq!(store.next_wake().await.unwrap(), Some(at(9_000)));
}

async fn codes_are_tried_a_few_times_and_used_once(backend: &dyn Backend) {
    let store = backend.open().await;
    let code = code();
    store.commit(changes([Change::PutCode(code.clone())])).await.unwrap();
    assert_eq!(store.code("AB12CD").await.unwrap().as_ref(), Some(&code));
    let spend = |handle: &str, now| Change::SpendTry { handle: handle.into(), now: at(now) };
    conflict(store.commit(changes([spend("ZZZZZZ", 10)])).await);
    conflict(store.commit(changes([spend("AB12CD", 600)])).await);
    store.commit(changes([spend("AB12CD", 599)])).await.unwrap();
    store.commit(changes([spend("AB12CD", 10)])).await.unwrap();
    conflict(store.commit(changes([spend("AB12CD", 10)])).await);
    assert_eq!(store.code("AB12CD").await.unwrap().unwrap().tries_left, 0);

    let newer = CodeRow { handle: "NEWER1".into(), ..code };
    store.commit(changes([Change::PutCode(newer)])).await.unwrap();
    assert_eq!(store.code("AB12CD").await.unwrap(), None, "a device has one code");
    let take = |identity| Change::UseCode { handle: "NEWER1".into(), identity };
    store.commit(changes([take(sha(7))])).await.unwrap();
    store.commit(changes([take(sha(7))])).await.unwrap();
    conflict(store.commit(changes([take(sha(8))])).await);
    conflict(store.commit(changes([spend("NEWER1", 10)])).await);
    assert_eq!(store.code("NEWER1").await.unwrap().unwrap().used_by, Some(sha(7)));
}

async fn a_device_is_kept_and_enrols_again(backend: &dyn Backend) {
    let store = backend.open().await;
    let row = device_row("sakura/pc-1", 1);
    store.commit(changes([Change::PutDevice(row.clone().into())])).await.unwrap();
    assert_eq!(store.device(&aozora(), &row.device).await.unwrap(), Some(row.clone()));
    assert_eq!(store.device_by_identity(&sha(1)).await.unwrap(), Some(row.clone()));
    assert_eq!(store.devices(&aozora()).await.unwrap(), slice::from_ref(&row));
    conflict(store.commit(changes([Change::PutDevice(device_row("sakura/pc-2", 1).into())])).await);

    let heard = |seen| Change::Heard { tenant: aozora(), device: device("sakura/pc-1"), at: at(seen) };
    store.commit(changes([heard(500), heard(400)])).await.unwrap();
    let manifest = Manifest { generation: 1, device: "sakura/pc-1".into(), ..Manifest::default() };
    store.commit(changes([put_manifest("sakura/pc-1", manifest.clone()), count("sakura/pc-1", 1)])).await.unwrap();
    let revoke = |moment| Change::RevokeDevice { tenant: aozora(), device: device("sakura/pc-1"), at: at(moment) };
    store.commit(changes([revoke(600)])).await.unwrap();
    conflict(store.commit(changes([revoke(700)])).await);
    let known = store.device(&aozora(), &row.device).await.unwrap().unwrap();
    assert_eq!((known.last_seen, known.revoked_at, known.receipts), (at(500), Some(at(600)), 1));

    let again = DeviceRow { identity: sha(2), enrolled_at: at(800), ..row.clone() };
    store.commit(changes([Change::PutDevice(again.into())])).await.unwrap();
    assert_eq!(store.device_by_identity(&sha(1)).await.unwrap(), None, "the earlier identity is gone");
    let known = store.device(&aozora(), &row.device).await.unwrap().unwrap();
    assert_eq!((known.revoked_at, known.receipts, known.enrolled_at), (None, 0, at(800)));
    assert_eq!(known.manifest, manifest, "generations never go back");
    conflict(store.commit(changes([Change::Heard { tenant: aozora(), device: device("sakura/none"), at: at(1) }])).await);
}

async fn manifests_count_up_by_one(backend: &dyn Backend) {
    let store = with_device(backend).await;
    let manifest = |generation| Manifest { generation, device: "sakura/pc-1".into(), ..Manifest::default() };
    conflict(store.commit(changes([put_manifest("sakura/pc-1", manifest(2))])).await);
    store.commit(changes([put_manifest("sakura/pc-1", manifest(1))])).await.unwrap();
    conflict(store.commit(changes([put_manifest("sakura/pc-1", manifest(1))])).await);
    store.commit(changes([put_manifest("sakura/pc-1", manifest(2))])).await.unwrap();
    conflict(store.commit(changes([put_manifest("sakura/none", manifest(1))])).await);
    assert_eq!(store.device(&aozora(), &device("sakura/pc-1")).await.unwrap().unwrap().manifest, manifest(2));
}

async fn receipts_count_up_by_one(backend: &dyn Backend) {
    let store = with_device(backend).await;
    conflict(store.commit(changes([count("sakura/pc-1", 2)])).await);
    store.commit(changes([count("sakura/pc-1", 1), count("sakura/pc-1", 2)])).await.unwrap();
    conflict(store.commit(changes([count("sakura/pc-1", 2)])).await);
    assert_eq!(store.device(&aozora(), &device("sakura/pc-1")).await.unwrap().unwrap().receipts, 2);
}

async fn a_slot_has_one_open_order(backend: &dyn Backend) {
    let store = backend.open().await;
    let first = order(1, "sakura/pc-1/karte");
    store.commit(changes([Change::OpenOrder(first.clone())])).await.unwrap();
    assert_eq!(store.order(&first.id).await.unwrap(), Some(first.clone()));
    conflict(store.commit(changes([Change::OpenOrder(order(2, "sakura/pc-1/karte"))])).await);
    store.commit(changes([Change::OpenOrder(order(3, "sakura/pc-2/karte"))])).await.unwrap();
    let cancel = || Change::CancelOrder { id: first.id, at: at(70) };
    store.commit(changes([cancel()])).await.unwrap();
    conflict(store.commit(changes([cancel()])).await);
    assert_eq!(store.order(&first.id).await.unwrap().unwrap().state, OrderState::Cancelled);
    assert!(store.orders_on(&aozora(), &device("sakura/pc-1")).await.unwrap().is_empty(), "what was taken back is not told");
    let second = OrderRow { replaces: vec![serial(8), serial(9)], ..order(2, "sakura/pc-1/karte") };
    store.commit(changes([Change::OpenOrder(second.clone())])).await.unwrap();
    assert_eq!(store.orders_on(&aozora(), &device("sakura/pc-1")).await.unwrap(), [second]);
}

async fn i1_a_draft_is_written_once_and_only_for_an_open_order(backend: &dyn Backend) {
    let store = backend.open().await;
    let put = |id, draft| Change::PutDraft { id: order_id(id), draft };
    conflict(store.commit(changes([put(1, draft(1))])).await);
    store.commit(changes([Change::OpenOrder(order(1, "sakura/pc-1/karte"))])).await.unwrap();
    assert!(store.unsigned_drafts().await.unwrap().is_empty());
    store.commit(changes([put(1, draft(1))])).await.unwrap();
    conflict(store.commit(changes([put(1, draft(2))])).await);
    let unsigned = store.unsigned_drafts().await.unwrap();
    assert_eq!(unsigned.len(), 1);
    assert_eq!(unsigned[0].draft, Some(draft(1)), "the exact bytes");

    store.commit(changes([Change::Fulfil(issued(1))])).await.unwrap();
    assert!(store.unsigned_drafts().await.unwrap().is_empty());
    let second = order(2, "sakura/pc-1/karte");
    store.commit(changes([Change::OpenOrder(second.clone()), Change::CancelOrder { id: second.id, at: at(9) }])).await.unwrap();
    conflict(store.commit(changes([put(2, draft(2))])).await);
}

async fn i1_a_certificate_needs_an_open_order_and_the_draft_that_was_recorded(backend: &dyn Backend) {
    let store = backend.open().await;
    let put = |n| Change::Fulfil(issued(n));
    conflict(store.commit(changes([put(1)])).await);
    store.commit(changes([Change::OpenOrder(order(1, "sakura/pc-1/karte"))])).await.unwrap();
    conflict(store.commit(changes([put(1)])).await);
    store.commit(changes([Change::PutDraft { id: order_id(1), draft: draft(1) }])).await.unwrap();
    let other_serial = Issued { serial: serial(2), fingerprint: sha(2), ..issued(1) };
    conflict(store.commit(changes([Change::Fulfil(other_serial)])).await);
    store.commit(changes([put(1)])).await.unwrap();
    conflict(store.commit(changes([put(1)])).await);
    assert_eq!(store.order(&order_id(1)).await.unwrap().unwrap().state, OrderState::Fulfilled);
    conflict(store.commit(changes([Change::CancelOrder { id: order_id(1), at: at(1) }])).await);
}

async fn a_vendors_certificate_is_taken_in_once_for_an_open_order(backend: &dyn Backend) {
    let store = backend.open().await;
    let take_in = |taken| changes([Change::TakeIn(Box::new(taken))]);
    conflict(store.commit(take_in(taken(1))).await);
    let found = OrderRow { found: Some(sha(9)), ..vendors_order(1, "sakura/pc-1/karte") };
    store.commit(changes([Change::OpenOrder(found.clone()), Change::OpenOrder(order(2, "sakura/pc-2/karte"))])).await.unwrap();
    assert_eq!(store.order(&found.id).await.unwrap(), Some(found.clone()));
    conflict(store.commit(take_in(taken(2))).await);
    store.commit(take_in(taken(1))).await.unwrap();
    conflict(store.commit(take_in(taken(1))).await);
    assert_eq!(store.bundle(&order_id(1)).await.unwrap(), Some(bundle(1)));
    let row = store.certificate_of_order(&order_id(1)).await.unwrap().unwrap();
    let names = Template { common_name: "client1210".into(), organization: "u00000126".into(), ..found.template };
    let kept =
        CertificateRow { serial: Serial::of_vendor(order_id(1)), template: names, issued_at: at(0), ..certificate(1, "sakura/pc-1/karte") };
    assert_eq!(row, kept, "issued when its validity began");

    let reseal = |n| changes([Change::PutBundle { order: order_id(n), bundle: bundle(7) }]);
    store.commit(reseal(1)).await.unwrap();
    assert_eq!(store.bundle(&order_id(1)).await.unwrap(), Some(bundle(7)));
    conflict(store.commit(reseal(2)).await);
}

async fn a_vendors_certificate_may_be_on_several_devices_but_once_on_each(backend: &dyn Backend) {
    let store = backend.open().await;
    let slots = ["sakura/pc-1/karte", "sakura/pc-1/receipt", "sakura/pc-2/karte"];
    let open = |(n, name): (u8, &&str)| Change::OpenOrder(vendors_order(n, name));
    store.commit(changes((1..).zip(&slots).map(open))).await.unwrap();
    let same = |n| Change::TakeIn(Box::new(TakenIn { order: order_id(n), serial: Serial::of_vendor(order_id(n)), ..taken(1) }));
    store.commit(changes([same(1)])).await.unwrap();
    conflict(store.commit(changes([same(2)])).await);
    store.commit(changes([same(3)])).await.unwrap();
    assert_eq!(store.certificates_by_fingerprint(&aozora(), &sha(1)).await.unwrap().len(), 2);
    let gone = Change::Retired { serial: Serial::of_vendor(order_id(1)), at: at(200) };
    store.commit(changes([gone, same(2)])).await.unwrap();
}

async fn what_people_confirm_is_kept_once(backend: &dyn Backend) {
    let store = backend.open().await;
    store.commit(changes([Change::OpenOrder(vendors_order(1, "sakura/pc-1/karte")), Change::TakeIn(Box::new(taken(1)))])).await.unwrap();
    let serial = Serial::of_vendor(order_id(1));
    let confirm = |name: &str| Change::Confirm { serial, dependant: name.into(), by: "person:admin".into(), at: at(120) };
    store.commit(changes([confirm("連携ツール"), confirm("連携ツール"), confirm("プリンタ")])).await.unwrap();
    let snapshot = store.snapshot(&clinic("sakura"), at(0)).await.unwrap();
    assert_eq!(snapshot.confirmations, [(serial, ["プリンタ", "連携ツール"].map(String::from).into())].into());
    assert!(store.snapshot(&clinic("momiji"), at(0)).await.unwrap().confirmations.is_empty());
}

async fn i1_issuances_that_share_a_commit_are_kept_or_refused_each_alone(backend: &dyn Backend) {
    let store = backend.open().await;
    let numbers = 1..=40;
    let name = |n: u8| format!("sakura/pc-{n}/karte");
    store.commit(changes(numbers.clone().map(|n| Change::OpenOrder(order(n, &name(n)))))).await.unwrap();
    // Every fifth order has no draft, so that its certificate is refused; every seventh gets two drafts at once.
    let drafted = |n: &u8| !n.is_multiple_of(5);
    let put = |n: u8| store.commit(changes([Change::PutDraft { id: order_id(n), draft: draft(n) }]));
    let drafts = join_all(numbers.clone().filter(drafted).chain(numbers.clone().filter(|n| n % 35 == 7)).map(put)).await;
    assert_eq!(drafts.iter().filter(|outcome| outcome.is_err()).count(), 1, "the second draft of order 7");
    let outcomes = join_all(numbers.clone().map(|n| store.commit(changes([Change::Fulfil(issued(n))])))).await;
    for (n, outcome) in numbers.zip(outcomes) {
        let kept = store.certificate(&serial(n)).await.unwrap();
        assert_eq!(outcome.is_ok(), drafted(&n), "{n}: {outcome:?}");
        assert_eq!(kept, drafted(&n).then(|| certificate(n, &name(n))), "{n}");
    }
}

async fn f4_a_claim_is_answered_with_the_holders_own_order_or_none(backend: &dyn Backend) {
    let store = backend.open().await;
    let revoked = DeviceRow { revoked_at: Some(at(99)), ..device_row("sakura/pc-2", 2) };
    store.commit(changes([Change::PutDevice(device_row("sakura/pc-1", 1).into()), Change::PutDevice(revoked.into())])).await.unwrap();
    store.commit(changes([1, 2].map(|n| Change::OpenOrder(order(n, &format!("sakura/pc-{n}/karte")))))).await.unwrap();
    store.commit(changes([Change::PutDraft { id: order_id(1), draft: draft(1) }])).await.unwrap();
    let own = |n: u8, draft| Some(OrderRow { draft, ..order(n, &format!("sakura/pc-{n}/karte")) });
    // Each of these, many times at once.
    let asked = [(1, 1), (1, 2), (1, 9), (2, 2), (3, 1)].repeat(20);
    let claims = join_all(asked.iter().map(async |(identity, n)| store.claim(&sha(*identity), &order_id(*n)).await)).await;
    for ((identity, n), claim) in asked.iter().zip(claims) {
        let holder = |name: &str, revoked_at| Holder { tenant: aozora(), device: device(name), revoked_at };
        let expected = match (identity, n) {
            (1, 1) => Some(Claim { holder: holder("sakura/pc-1", None), order: own(1, Some(draft(1))) }),
            (1, _) => Some(Claim { holder: holder("sakura/pc-1", None), order: None }),
            (2, _) => Some(Claim { holder: holder("sakura/pc-2", Some(at(99))), order: own(2, None) }),
            _ => None,
        };
        assert_eq!(claim.unwrap(), expected, "identity {identity}, order {n}");
    }
}

async fn i5_no_serial_and_no_order_has_two_certificates(backend: &dyn Backend) {
    let store = backend.open().await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    store.commit(changes([Change::OpenOrder(order(2, "sakura/pc-1/karte"))])).await.unwrap();
    store.commit(changes([Change::PutDraft { id: order_id(2), draft: draft(1) }])).await.unwrap();
    let same_serial = Issued { order: order_id(2), fingerprint: sha(2), ..issued(1) };
    conflict(store.commit(changes([Change::Fulfil(same_serial)])).await);
    assert_eq!(store.certificate_of_order(&order_id(2)).await.unwrap(), None);
    assert_eq!(store.order(&order_id(2)).await.unwrap().unwrap().state, OrderState::Open);
}

async fn certificates_come_their_way_step_by_step(backend: &dyn Backend) {
    let store = backend.open().await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    let (one, now) = (serial(1), at);
    store.commit(changes([Change::Installed { serial: one, at: now(10) }])).await.unwrap();
    store.commit(changes([Change::Installed { serial: one, at: now(20) }, Change::Proven { serial: one, at: now(30) }])).await.unwrap();
    store.commit(changes([Change::Retiring { serial: one, at: now(40) }, Change::Retired { serial: one, at: now(50) }])).await.unwrap();
    let revoke = |moment| Change::Revoke { serial: one, at: at(moment), because: Cause::CessationOfOperation };
    store.commit(changes([revoke(60)])).await.unwrap();
    conflict(store.commit(changes([revoke(70)])).await);
    let row = store.certificate(&one).await.unwrap().unwrap();
    let moments = [row.installed_at, row.proven_at, row.retiring_at, row.retired_at, row.revoked_at];
    assert_eq!(moments, [Some(at(10)), Some(at(30)), Some(at(40)), Some(at(50)), Some(at(60))]);
    conflict(store.commit(changes([Change::Installed { serial: serial(2), at: now(1) }])).await);
}

async fn certificates_are_found_by_whatever_they_are_known_by(backend: &dyn Backend) {
    let store = backend.open().await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    issue(&*store, 2, "sakura/pc-2@momiji/karte").await;
    issue(&*store, 3, "momiji/pc-2/karte").await;
    let first = certificate(1, "sakura/pc-1/karte");
    assert_eq!(store.certificate(&serial(1)).await.unwrap(), Some(first.clone()));
    assert_eq!(store.certificate_of_order(&order_id(1)).await.unwrap(), Some(first.clone()));
    assert_eq!(store.certificates_by_fingerprint(&aozora(), &sha(1)).await.unwrap(), [first]);
    store.commit(changes([Change::Revoke { serial: serial(2), at: at(5), because: Cause::Unspecified }])).await.unwrap();

    let find = async |filter| {
        let rows = store.certificates(&aozora(), filter).await.unwrap();
        rows.iter().map(|row| row.serial.0[15]).collect::<Vec<_>>()
    };
    let all = CertificateFilter::default;
    let of_clinic = CertificateFilter { clinic: Some("sakura".parse().unwrap()), ..all() };
    let on_device = CertificateFilter { device: Some(device("momiji/pc-2")), ..all() };
    assert_eq!(find(all()).await, [1, 2, 3]);
    assert_eq!(find(of_clinic.clone()).await, [1, 2]);
    assert_eq!(find(on_device.clone()).await, [2, 3]);
    assert_eq!(find(CertificateFilter { device: on_device.device.clone(), ..of_clinic.clone() }).await, [2]);
    store.commit(changes([Change::Retired { serial: serial(1), at: at(6) }])).await.unwrap();
    for (filter, present) in [(all(), &[2, 3][..]), (of_clinic, &[2]), (on_device, &[2, 3])] {
        assert_eq!(find(CertificateFilter { present: true, ..filter }).await, present);
    }
}

async fn r1_what_is_revoked_is_listed_for_as_long_as_it_could_be_used(backend: &dyn Backend) {
    let store = backend.open().await;
    for n in 1..=3 {
        issue(&*store, n, &format!("sakura/pc-{n}/karte")).await;
    }
    let revoke = |n, because| Change::Revoke { serial: serial(n), at: at(i64::from(n)), because };
    store.commit(changes([revoke(3, Cause::Superseded), revoke(1, Cause::KeyCompromise)])).await.unwrap();
    let listed = async |issuer: &str, shard, alive_at, limit| {
        store.revoked(&aozora(), &issuer.parse().unwrap(), shard, at(alive_at), limit).await.unwrap()
    };
    let first = RevokedRow { serial: serial(1), at: at(1), because: Cause::KeyCompromise };
    let third = RevokedRow { serial: serial(3), at: at(3), because: Cause::Superseded };
    assert_eq!(listed("portal", None, 5_000, 9).await, [first, third], "they live until 5,000");
    assert_eq!(listed("portal", None, 5_000, 1).await, [first]);
    assert_eq!(listed("portal", Some(3), 5_000, 9).await, [third], "each is in a shard of its own");
    assert!(listed("portal", Some(2), 5_000, 9).await.is_empty());
    assert!(listed("portal", None, 5_001, 9).await.is_empty() && listed("portal", Some(3), 5_001, 9).await.is_empty());
    assert!(listed("other", None, 0, 9).await.is_empty());
}

async fn r1_a_certificate_is_in_the_shard_of_its_draft(backend: &dyn Backend) {
    let store = backend.open().await;
    let shard = async |tenant: &str, issuer: &str, shard| {
        let row = store.shard(&tenant.parse().unwrap(), &issuer.parse().unwrap(), shard).await.unwrap();
        row.map(|row| (row.shard, row.url, row.filled))
    };
    let begin = |shard, url: &str| Change::BeginShard { tenant: aozora(), issuer: "portal".parse().unwrap(), shard, url: url.into() };
    assert_eq!(shard("aozora", "portal", None).await, None);
    store.commit(changes([begin(1, "http://a")])).await.unwrap();
    store.commit(changes([begin(2, "http://b")])).await.unwrap();
    conflict(store.commit(changes([begin(2, "http://c")])).await);
    for n in 1..=3 {
        let drafted = Draft { shard: 1 + u32::from(n) / 2, ..draft(n) };
        store.commit(changes([Change::OpenOrder(order(n, &format!("sakura/pc-{n}/karte")))])).await.unwrap();
        store.commit(changes([Change::PutDraft { id: order_id(n), draft: drafted.clone() }])).await.unwrap();
        assert_eq!(store.order(&order_id(n)).await.unwrap().unwrap().draft, Some(drafted));
        store.commit(changes([Change::Fulfil(issued(n))])).await.unwrap();
    }
    assert_eq!(shard("aozora", "portal", None).await, Some((2, "http://b".into(), 2)), "the second and the third");
    assert_eq!(shard("aozora", "portal", Some(1)).await, Some((1, "http://a".into(), 1)));
    assert_eq!(shard("aozora", "portal", Some(3)).await, None);
    assert_eq!((shard("aozora", "other", None).await, shard("midori", "portal", None).await), (None, None));
}

async fn a_verdict_is_given_on_what_an_issuer_has_signed_for(backend: &dyn Backend) {
    let store = backend.open().await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    let verdict =
        async |tenant: &str, issuer: &str, n| store.verdict(&tenant.parse().unwrap(), &issuer.parse().unwrap(), &serial(n)).await.unwrap();
    assert_eq!(verdict("aozora", "portal", 1).await, Some(Verdict { revoked: None, not_after: at(5_000) }));
    store.commit(changes([Change::Revoke { serial: serial(1), at: at(7), because: Cause::AffiliationChanged }])).await.unwrap();
    assert_eq!(verdict("aozora", "portal", 1).await.unwrap().revoked, Some((at(7), Cause::AffiliationChanged)));
    for (tenant, issuer, n) in [("aozora", "portal", 2), ("aozora", "other", 1), ("midori", "portal", 1)] {
        assert_eq!(verdict(tenant, issuer, n).await, None, "{tenant} {issuer} {n}");
    }
}

async fn many_are_revoked_together_or_not_at_all(backend: &dyn Backend) {
    let store = backend.open().await;
    for n in 1..=3 {
        issue(&*store, n, &format!("sakura/pc-{n}/karte")).await;
    }
    let revoke = |numbers: &[u8], moment| Change::RevokeAll {
        serials: numbers.iter().map(|n| serial(*n)).collect(),
        at: at(moment),
        because: Cause::Superseded,
    };
    let revoked = async |n| store.certificate(&serial(n)).await.unwrap().unwrap().revoked_at;
    store.commit(changes([revoke(&[2], 10)])).await.unwrap();
    conflict(store.commit(changes([revoke(&[1, 2], 20)])).await);
    conflict(store.commit(changes([revoke(&[1, 9], 20)])).await);
    assert_eq!((revoked(1).await, revoked(2).await), (None, Some(at(10))));
    store.commit(changes([revoke(&[1, 3], 30)])).await.unwrap();
    assert_eq!((revoked(1).await, revoked(3).await), (Some(at(30)), Some(at(30))));
}

async fn r3_what_is_condemned_goes_with_a_newer_one_in_its_slot(backend: &dyn Backend) {
    let store = backend.open().await;
    for (n, name) in [(1, "sakura/pc-1/karte"), (2, "sakura/pc-2/karte"), (3, "sakura/pc-1/karte"), (4, "sakura/pc-1/receipt")] {
        issue(&*store, n, name).await;
    }
    let all = [1, 2, 3, 4].map(serial).to_vec();
    store.commit(changes([Change::Condemn { serials: all, because: Cause::KeyCompromise }])).await.unwrap();
    assert_eq!(store.condemned(&serial(3)).await.unwrap(), [(serial(1), Cause::KeyCompromise)]);
    for n in [1, 2, 4, 9] {
        assert!(store.condemned(&serial(n)).await.unwrap().is_empty(), "{n} has taken nobody's place");
    }
    let again = Change::Condemn { serials: vec![serial(1)], because: Cause::Superseded };
    store.commit(changes([again.clone()])).await.unwrap();
    assert_eq!(store.condemned(&serial(3)).await.unwrap(), [(serial(1), Cause::Superseded)], "what was said last counts");
    store.commit(changes([Change::Revoke { serial: serial(1), at: at(5), because: Cause::Superseded }])).await.unwrap();
    store.commit(changes([again])).await.unwrap();
    assert!(store.condemned(&serial(3)).await.unwrap().is_empty());
}

async fn a_selection_means_that_to_which_everything_applies(backend: &dyn Backend) {
    let store = backend.open().await;
    for (n, name) in [(1, "sakura/pc-1/karte"), (2, "sakura/pc-2/karte"), (3, "sakura/pc-1/karte"), (4, "sakura/pc-1/receipt")] {
        issue(&*store, n, name).await;
    }
    let everything = Selection::default();
    let select = async |selection: &Selection, now| {
        let found = store.selected(&aozora(), selection, at(now), 100).await.unwrap();
        found.iter().map(|one| one.serial.0[15]).collect::<Vec<_>>()
    };
    let only = |change: fn(&mut Selection)| {
        let mut selection = Selection::default();
        change(&mut selection);
        selection
    };
    let table: [(&[u8], Selection); 11] = [
        (&[1, 2, 3, 4], everything.clone()),
        (&[2, 4], only(|meant| meant.serials = Some(vec![serial(4), serial(2), serial(9)]))),
        (&[], only(|meant| meant.serials = Some(vec![]))),
        (&[1, 3, 4], only(|meant| meant.device = Some(device("sakura/pc-1")))),
        (&[1, 2, 3], only(|meant| meant.profile = Some("karte".parse().unwrap()))),
        (&[1, 2, 3, 4], only(|meant| meant.account = Some("reception".parse().unwrap()))),
        (&[], only(|meant| meant.account = Some("other".parse().unwrap()))),
        (&[1, 2, 3, 4], only(|meant| meant.issuer = Some("portal".parse().unwrap()))),
        (&[], only(|meant| meant.issuer = Some("other".parse().unwrap()))),
        (&[1, 3], only(|meant| (meant.device, meant.profile) = (Some(device("sakura/pc-1")), Some("karte".parse().unwrap())))),
        (&[3], only(|meant| (meant.device, meant.serials) = (Some(device("sakura/pc-1")), Some(vec![serial(2), serial(3)])))),
    ];
    for (expected, selection) in table {
        assert_eq!(select(&selection, 0).await, expected, "{selection:?}");
    }
    let between = |from, until| Selection { issued_from: Some(at(from)), issued_until: Some(at(until)), ..Selection::default() };
    assert_eq!(select(&between(100, 101), 0).await.len(), 4, "all were signed at 100");
    assert!(select(&between(0, 100), 0).await.is_empty() && select(&between(101, 200), 0).await.is_empty());
    assert!(select(&everything, 5_001).await.is_empty(), "over is over");
    store.commit(changes([Change::Revoke { serial: serial(2), at: at(1), because: Cause::Unspecified }])).await.unwrap();
    assert_eq!(select(&everything, 0).await, [1, 3, 4]);
    assert_eq!(store.selected(&aozora(), &everything, at(0), 2).await.unwrap().len(), 2);
    let midori: TenantName = "midori".parse().unwrap();
    assert!(store.selected(&midori, &everything, at(0), 9).await.unwrap().is_empty());
    assert!(store.cut_off(&midori, &everything, at(0)).await.unwrap().is_empty());
}

async fn who_would_be_cut_off_has_nothing_else_that_works(backend: &dyn Backend) {
    let store = backend.open().await;
    for (n, name) in [(1, "sakura/pc-1/karte"), (2, "sakura/pc-1/karte"), (3, "sakura/pc-2/karte"), (4, "sakura/pc-1/receipt")] {
        issue(&*store, n, name).await;
    }
    let proven = |n| Change::Proven { serial: serial(n), at: at(200) };
    store.commit(changes([proven(1), proven(3), proven(4)])).await.unwrap();
    let meant = |numbers: &[u8]| Selection { serials: Some(numbers.iter().map(|n| serial(*n)).collect()), ..Selection::default() };
    let cut_off = async |numbers: &[u8]| {
        let slots = store.cut_off(&aozora(), &meant(numbers), at(300)).await.unwrap();
        slots.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let replaced = async |n| store.selected(&aozora(), &meant(&[n]), at(300), 9).await.unwrap()[0].is_replaced;
    assert_eq!(cut_off(&[1]).await, ["sakura/pc-1/karte"], "2 was never proven");
    assert!(cut_off(&[2]).await.is_empty(), "nobody signs in with it");
    assert!(!replaced(1).await);
    store.commit(changes([proven(2)])).await.unwrap();
    assert!(cut_off(&[1]).await.is_empty() && cut_off(&[2]).await.is_empty(), "the other one is left");
    assert!(replaced(1).await && !replaced(2).await);
    assert_eq!(cut_off(&[1, 2, 4]).await, ["sakura/pc-1/karte", "sakura/pc-1/karte", "sakura/pc-1/receipt"]);
    let both = store.selected(&aozora(), &meant(&[1, 2]), at(300), 9).await.unwrap();
    assert!(both.iter().all(|one| !one.is_replaced && one.is_present), "what is meant itself is no successor");
    store.commit(changes([Change::Retired { serial: serial(2), at: at(250) }])).await.unwrap();
    assert_eq!(cut_off(&[1]).await, ["sakura/pc-1/karte"]);
    assert!(!store.selected(&aozora(), &meant(&[2]), at(300), 9).await.unwrap()[0].is_present);
}

async fn a_renewal_that_was_asked_for_is_cleared_by_the_order(backend: &dyn Backend) {
    let store = backend.open().await;
    let ask = || Change::AskRenewal { tenant: aozora(), slot: slot("sakura/pc-1/karte") };
    store.commit(changes([ask(), ask()])).await.unwrap();
    assert_eq!(store.snapshot(&clinic("sakura"), at(0)).await.unwrap().renewals_asked, [slot("sakura/pc-1/karte")]);
    store.commit(changes([Change::OpenOrder(order(1, "sakura/pc-1/karte"))])).await.unwrap();
    assert!(store.snapshot(&clinic("sakura"), at(0)).await.unwrap().renewals_asked.is_empty());
    store.commit(changes([ask()])).await.unwrap();
    assert!(store.snapshot(&clinic("sakura"), at(0)).await.unwrap().renewals_asked.is_empty(), "a replacement is on its way already");
}

async fn r5_a_revoked_device_has_no_code_left(backend: &dyn Backend) {
    let store = with_device(backend).await;
    let other = CodeRow { handle: "OTHER1".into(), device: device("sakura/pc-2"), ..code() };
    store.commit(changes([Change::PutCode(code()), Change::PutCode(other.clone())])).await.unwrap();
    let revoke = Change::RevokeDevice { tenant: aozora(), device: device("sakura/pc-1"), at: at(1) };
    store.commit(changes([revoke])).await.unwrap();
    assert_eq!(store.code(&code().handle).await.unwrap(), None);
    assert_eq!(store.code(&other.handle).await.unwrap(), Some(other));
}

async fn installers_are_seen_ordered_away_and_gone(backend: &dyn Backend) {
    let store = with_device(backend).await;
    let pc = device("sakura/pc-1");
    store.commit(changes([report("sakura/pc-1", &[1, 2])])).await.unwrap();
    assert!(store.snapshot(&clinic("sakura"), at(0)).await.unwrap().installers.is_empty(), "nothing is an installer yet");
    let put = Change::PutInstaller { tenant: aozora(), file: file(1), name: "client_cert.pfx".into(), order: None, at: at(1) };
    store.commit(changes([put])).await.unwrap();
    let seen = store.snapshot(&clinic("sakura"), at(0)).await.unwrap().installers;
    assert_eq!(seen, [(pc.clone(), file(1), false)]);
    assert_eq!(store.devices_with_file(&aozora(), &sha(1)).await.unwrap(), slice::from_ref(&pc));

    let order = Change::RemovingInstaller { tenant: aozora(), device: pc.clone(), sha256: sha(1) };
    store.commit(changes([order])).await.unwrap();
    assert_eq!(store.installers_to_remove(&aozora(), &pc).await.unwrap(), [file(1)]);
    store.commit(changes([report("sakura/pc-1", &[1])])).await.unwrap();
    assert_eq!(store.snapshot(&clinic("sakura"), at(0)).await.unwrap().installers, [(pc.clone(), file(1), true)], "still ordered away");

    let gone = removed("sakura/pc-1", 1, at(2));
    store.commit(changes([gone])).await.unwrap();
    assert!(store.installers_to_remove(&aozora(), &pc).await.unwrap().is_empty());
    store.commit(changes([report("sakura/pc-1", &[1])])).await.unwrap();
    assert_eq!(store.snapshot(&clinic("sakura"), at(0)).await.unwrap().installers, [(pc.clone(), file(1), false)], "it came back");
    store.commit(changes([report("sakura/pc-1", &[])])).await.unwrap();
    assert!(store.snapshot(&clinic("sakura"), at(0)).await.unwrap().installers.is_empty());
    let row = store.device(&aozora(), &pc).await.unwrap().unwrap();
    assert_eq!((row.clock_offset, row.last_seen, &row.facts.hostname[..]), (-3, at(90), "uketsuke"));
}

fn removed(of: &str, number: u8, when: Timestamp) -> Change {
    let path = "~/Downloads/a.p12".to_owned();
    Change::Installer(InstallerChange::Removed { tenant: aozora(), device: device(of), sha256: sha(number), path, at: when })
}

async fn a_file_that_is_known_by_a_certificate_is_known_on_its_device_alone(backend: &dyn Backend) {
    let store = with_device(backend).await;
    store.commit(changes([Change::PutDevice(device_row("sakura/pc-2", 2).into())])).await.unwrap();
    issue(&*store, 1, "sakura/pc-1/karte").await;
    let (pc, fingerprint) = (device("sakura/pc-1"), issued(1).fingerprint);
    let recognized = |number| {
        let (tenant, device, certificates) = (aozora(), device("sakura/pc-1"), [fingerprint, sha(99)].into());
        Change::Installer(InstallerChange::Recognized { tenant, device, file: file(number), certificates, at: at(3) })
    };
    store.commit(changes([report("sakura/pc-1", &[1, 2]), report("sakura/pc-2", &[1]), recognized(1)])).await.unwrap();
    store.commit(changes([recognized(1)])).await.unwrap();
    let seen = async || store.snapshot(&clinic("sakura"), at(0)).await.unwrap().recognized;
    let [only] = <[Recognized; 1]>::try_from(seen().await).unwrap();
    assert_eq!((&only.device, &only.file, only.removing), (&pc, &file(1), false));
    let known: BTreeMap<_, _> = only.certificates.iter().map(|(fingerprint, known)| (*fingerprint, known.clone())).collect();
    assert_eq!(known.len(), 2);
    assert!(known[&sha(99)].is_empty(), "a certificate that nobody knows is not passed over");
    let [place] = &known[&fingerprint][..] else { panic!("{known:?}") };
    assert_eq!((place.slot.to_string().as_str(), place.proven, place.not_after), ("sakura/pc-1/karte", false, issued(1).not_after));
    store.commit(changes([Change::Proven { serial: issued(1).serial, at: at(4) }])).await.unwrap();
    assert!(seen().await[0].certificates.iter().flat_map(|(_, known)| known).all(|known| known.proven));

    let files = [sha(1), sha(2)];
    let on_record = async |device: &DeviceId| store.files_on_record(&aozora(), device, &files).await.unwrap();
    assert_eq!((on_record(&pc).await, on_record(&device("sakura/pc-2")).await), ([sha(1)].into(), [].into()));
    assert!(store.files_on_record(&"midori".parse().unwrap(), &pc, &files).await.unwrap().is_empty());

    store.commit(changes([Change::RemovingInstaller { tenant: aozora(), device: pc.clone(), sha256: sha(1) }])).await.unwrap();
    assert_eq!(store.installers_to_remove(&aozora(), &pc).await.unwrap(), [file(1)]);
    assert!(seen().await[0].removing);
    let put = |number| Change::PutInstaller { tenant: aozora(), file: file(number), name: "a.p12".into(), order: None, at: at(5) };
    store.commit(changes([put(1), put(2)])).await.unwrap();
    assert!(seen().await.is_empty(), "its hash is on record now, and says more");
    assert_eq!(store.installers_to_remove(&aozora(), &pc).await.unwrap(), [file(1)], "once");
    assert_eq!(on_record(&device("sakura/pc-2")).await, files.into());
}

async fn what_was_removed_leaves_a_tombstone_and_a_file_that_comes_back_exposes_its_certificate(backend: &dyn Backend) {
    let store = with_device(backend).await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    let pc = device("sakura/pc-1");
    let returned = |number| {
        Change::Installer(InstallerChange::Returned { tenant: aozora(), device: device("sakura/pc-1"), sha256: sha(number), at: at(5) })
    };
    let put = |number, order| Change::PutInstaller { tenant: aozora(), file: file(number), name: "a.p12".into(), order, at: at(1) };
    store.commit(changes([put(1, Some(order_id(1))), put(2, None), put(1, None)])).await.unwrap();
    assert!(matches!(store.commit(changes([returned(1)])).await, Err(StoreError::Conflict(_))), "it was never removed");
    store
        .commit(changes([removed("sakura/pc-1", 1, at(2)), removed("sakura/pc-1", 2, at(2)), removed("sakura/pc-1", 9, at(2))]))
        .await
        .unwrap();
    let there = store.tombstones(&aozora(), &pc).await.unwrap();
    let told: Vec<_> = there.iter().map(|tombstone| (tombstone.file.clone(), tombstone.removed_at, tombstone.returns)).collect();
    assert_eq!(told, [(file(1), at(2), 0), (file(2), at(2), 0)], "what is on record, and nothing else");
    let exposed = async || store.snapshot(&clinic("sakura"), at(0)).await.unwrap().exposed;
    assert!(exposed().await.is_empty());

    store.commit(changes([returned(2)])).await.unwrap();
    assert!(exposed().await.is_empty(), "no certificate came in it");
    store.commit(changes([returned(1), removed("sakura/pc-1", 1, at(6)), returned(1)])).await.unwrap();
    assert_eq!(exposed().await, [order_id(1)].into());
    assert_eq!(store.due(at(9), 9).await.unwrap(), [clinic("sakura")], "its clinic has to look");
    let snapshot = store.snapshot(&clinic("sakura"), at(0)).await.unwrap();
    let told: Vec<_> =
        snapshot.tombstones.iter().map(|tombstone| (tombstone.removed_at, tombstone.returned_at, tombstone.returns)).collect();
    assert_eq!(told, [(at(6), Some(at(5)), 2), (at(2), Some(at(5)), 1)]);
    assert!(store.tombstones(&"midori".parse().unwrap(), &pc).await.unwrap().is_empty(), "another tenant has none");
}

async fn a_snapshot_is_one_clinic_and_its_guests(backend: &dyn Backend) {
    let store = backend.open().await;
    let devices = ["sakura/pc-1", "sakura/pc-2", "momiji/guest", "momiji/stranger"];
    let put = devices.iter().zip(1..).map(|(name, n)| Change::PutDevice(device_row(name, n).into()));
    store.commit(changes(put)).await.unwrap();
    issue(&*store, 1, "sakura/pc-1/karte").await;
    issue(&*store, 2, "sakura/guest@momiji/karte").await;
    issue(&*store, 3, "momiji/stranger/karte").await;
    store.commit(changes([Change::OpenOrder(order(4, "sakura/pc-2/karte"))])).await.unwrap();

    let snapshot = store.snapshot(&clinic("sakura"), at(0)).await.unwrap();
    let devices: BTreeSet<String> = snapshot.devices.keys().map(ToString::to_string).collect();
    assert_eq!(devices, BTreeSet::from(["momiji/guest".into(), "sakura/pc-1".into(), "sakura/pc-2".into()]));
    let serials: Vec<Serial> = snapshot.certificates.iter().map(|row| row.serial).collect();
    assert_eq!(serials, [serial(1), serial(2)]);
    let orders: Vec<OrderId> = snapshot.orders.iter().map(|row| row.id).collect();
    assert_eq!(orders, [order_id(1), order_id(2), order_id(4)]);
    assert_eq!(store.devices_away(&clinic("momiji")).await.unwrap(), BTreeSet::from([device("momiji/guest")]));
    assert!(store.devices_away(&clinic("sakura")).await.unwrap().is_empty());
    assert!(store.snapshot(&clinic("nowhere"), at(0)).await.unwrap().devices.is_empty());
}

async fn a_snapshot_forgets_what_was_retired_long_ago(backend: &dyn Backend) {
    let store = backend.open().await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    issue(&*store, 2, "sakura/pc-1/karte").await;
    let revoked = Change::Revoke { serial: serial(1), at: at(800), because: Cause::Superseded };
    store.commit(changes([revoked, Change::Retired { serial: serial(1), at: at(900) }])).await.unwrap();
    let issued = async |since| {
        let snapshot = store.snapshot(&clinic("sakura"), at(since)).await.unwrap();
        snapshot.certificates.iter().map(|row| row.serial.0[15]).collect::<Vec<_>>()
    };
    assert_eq!(issued(100).await, [1, 2], "issued at 100, which counts");
    assert_eq!(issued(101).await, [2]);
    let orders = store.snapshot(&clinic("sakura"), at(101)).await.unwrap().orders;
    assert_eq!(orders.iter().map(|row| row.id).collect::<Vec<_>>(), [order_id(2)], "the newest of the slot");
}

/// Its issuer still counts it, and its account may end.
async fn a_snapshot_keeps_what_is_gone_and_was_never_revoked_until_it_expires(backend: &dyn Backend) {
    let store = backend.open().await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    let not_after = store.certificate(&serial(1)).await.unwrap().unwrap().not_after;
    store.commit(changes([Change::Retired { serial: serial(1), at: at(900) }])).await.unwrap();
    let seen = async |since| store.snapshot(&clinic("sakura"), since).await.unwrap().certificates.len();
    assert_eq!((seen(not_after).await, seen(not_after.after(Duration::from_secs(1))).await), (1, 0));
    store.commit(changes([Change::Revoke { serial: serial(1), at: at(901), because: Cause::Superseded }])).await.unwrap();
    assert_eq!(seen(not_after).await, 0);
}

async fn a_slot_has_one_open_application(backend: &dyn Backend) {
    let store = backend.open().await;
    let row = |name: &str, applied| ApplicationRow {
        tenant: aozora(),
        slot: slot(name),
        applied_at: at(applied),
        request_id: "A-1".into(),
        sealed_reference: "sealed".into(),
        sealed_pin: None,
        recorded_at: at(70),
        recorded_by: "person:ito".into(),
        closed: None,
    };
    let (first, second, other) = (row("sakura/pc-1/karte", 60), row("sakura/pc-1/karte", 80), row("momiji/pc-1/karte", 60));
    store.commit(changes([Change::RecordApplication(first.clone()), Change::RecordApplication(other.clone())])).await.unwrap();
    conflict(store.commit(changes([Change::RecordApplication(second.clone())])).await);
    assert_eq!(store.applications(&aozora(), None).await.unwrap(), [first.clone(), other]);
    let close = |tenant, because| Change::CloseApplication { tenant, slot: slot("sakura/pc-1/karte"), because, at: at(90) };
    store.commit(changes([close(midori(), Closed::Withdrawn)])).await.unwrap();
    let of_sakura = store.applications(&aozora(), Some(&clinic("sakura").clinic)).await.unwrap();
    assert_eq!(of_sakura, slice::from_ref(&first), "another tenant's closes nothing");
    store.commit(changes([close(aozora(), Closed::Imported), close(aozora(), Closed::Withdrawn)])).await.unwrap();
    store.commit(changes([Change::RecordApplication(second.clone())])).await.unwrap();
    let keep = |tenant, sealed: &str, replace| {
        changes([Change::KeepPin { tenant, slot: slot("sakura/pc-1/karte"), sealed: sealed.into(), replace }])
    };
    conflict(store.commit(keep(midori(), "a", true)).await);
    store.commit(keep(aozora(), "a", false)).await.unwrap();
    conflict(store.commit(keep(aozora(), "b", false)).await);
    store.commit(keep(aozora(), "c", true)).await.unwrap();
    let second = ApplicationRow { sealed_pin: Some("c".into()), ..second };
    let open = store.snapshot(&clinic("sakura"), at(0)).await.unwrap().applications;
    assert_eq!(open, slice::from_ref(&second), "a turn sees what is open");
    let closed = ApplicationRow { closed: Some((at(90), Closed::Imported)), ..first };
    assert_eq!(store.applications(&aozora(), Some(&clinic("sakura").clinic)).await.unwrap(), [closed, second]);
    assert!(store.applications(&midori(), None).await.unwrap().is_empty());
}

async fn a_pin_is_tried_no_more_often_than_allowed(backend: &dyn Backend) {
    let store = backend.open().await;
    let spend = |file, below| Change::SpendPinTry { tenant: aozora(), slot: slot("sakura/pc-1/karte"), file: sha(file), below };
    let spent = async |file| store.pin_tries(&aozora(), &slot("sakura/pc-1/karte"), &sha(file)).await.unwrap();
    conflict(store.commit(changes([spend(1, 0)])).await);
    store.commit(changes([spend(1, 2)])).await.unwrap();
    store.commit(changes([spend(1, 2)])).await.unwrap();
    conflict(store.commit(changes([spend(1, 2)])).await);
    assert_eq!((spent(1).await, spent(2).await), (2, 0));
    // The last of three, because somebody said so; and another file has tries of its own.
    store.commit(changes([spend(1, 3), spend(2, 2)])).await.unwrap();
    conflict(store.commit(changes([spend(1, 3)])).await);
    assert_eq!((spent(1).await, spent(2).await), (3, 1));
    store.commit(changes([Change::ForgetPinTries { tenant: aozora(), slot: slot("sakura/pc-1/karte"), file: sha(1) }])).await.unwrap();
    assert_eq!((spent(1).await, spent(2).await), (0, 1));
}

async fn a_rung_is_told_once_and_its_letter_goes_to_everybody(backend: &dyn Backend) {
    let store = backend.open().await;
    let rung = |days: u64| Rung::ahead(Duration::from_secs(days * 86_400));
    let first = letter("a", vec![told("1", rung(14)), told("2", rung(7))]);
    store.commit(changes([Change::PutLetter(first.clone().into())])).await.unwrap();
    conflict(store.commit(changes([Change::PutLetter(letter("b", vec![told("3", rung(7)), told("2", rung(7))]).into())])).await);
    assert_eq!(store.letters(&aozora(), None, 9).await.unwrap(), slice::from_ref(&first.letter), "nothing of the refused one is left");
    assert!(store.told(&aozora(), &[told("3", rung(7))]).await.unwrap().is_empty());

    let second = letter("c", vec![told("1", rung(7)), told("3", Rung::Expired)]);
    store.commit(changes([Change::PutLetter(second.clone().into())])).await.unwrap();
    let elsewhere = Told { deadline: at(1), ..told("2", rung(7)) };
    let newest = store.told(&aozora(), &[told("1", rung(90)), told("3", rung(90)), told("4", rung(90)), elsewhere]).await.unwrap();
    assert_eq!(newest, [told("1", rung(7)), told("3", Rung::Expired)], "another deadline is another story");
    assert_eq!(store.letters(&aozora(), Some(&clinic("sakura").clinic), 1).await.unwrap(), slice::from_ref(&second.letter), "newest first");
    assert!(store.letters(&aozora(), Some(&clinic("momiji").clinic), 9).await.unwrap().is_empty());
    assert_eq!(store.letter("a").await.unwrap(), Some(first.letter));
    let to = store.deliveries_of(&["a".into()]).await.unwrap();
    let to: Vec<_> = to.iter().map(|row| (&row.id[..], row.channel, &row.target[..], row.attempts, row.at)).collect();
    assert_eq!(to, [("a-1", Channel::Mail, "a@example.jp", 0, at(70)), ("a-2", Channel::Webhook, "https://x.example.jp/", 0, at(70))]);
    let other: TenantName = "momiji".parse().unwrap();
    assert!(store.letters(&other, None, 9).await.unwrap().is_empty());
    assert!(store.told(&other, &[told("1", rung(90))]).await.unwrap().is_empty());
}

async fn a_delivery_is_tried_until_it_ends(backend: &dyn Backend) {
    let store = backend.open().await;
    assert_eq!(store.next_delivery().await.unwrap(), None);
    store.commit(changes([Change::PutLetter(letter("a", vec![told("1", Rung::Expired)]).into())])).await.unwrap();
    let due = async |now| store.deliveries_due(at(now), 9).await.unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>();
    assert_eq!((due(69).await, due(70).await), (vec![], vec!["a-1".to_owned(), "a-2".to_owned()]));
    let attempt = |attempt, next| Change::TryDelivery { id: "a-1".into(), attempt, next: at(next) };
    let end = |outcome| Change::EndTry { id: "a-1".into(), outcome, at: at(95) };
    conflict(store.commit(changes([attempt(2, 90)])).await);
    store.commit(changes([attempt(1, 90)])).await.unwrap();
    conflict(store.commit(changes([attempt(1, 90)])).await);
    assert_eq!(due(89).await, ["a-2"], "it is under way");
    store.commit(changes([end(Outcome::Later("busy".into()))])).await.unwrap();
    let row = async || store.deliveries_of(&["a".into()]).await.unwrap().remove(0);
    let told = |row: DeliveryRow| (row.state, row.attempts, row.at, row.problem);
    assert_eq!(told(row().await), (DeliveryState::Waiting, 1, at(90), Some("busy".into())));
    store.commit(changes([attempt(2, 200), end(Outcome::Done)])).await.unwrap();
    assert_eq!(told(row().await), (DeliveryState::Done, 2, at(95), None));
    conflict(store.commit(changes([attempt(3, 300)])).await);
    conflict(store.commit(changes([end(Outcome::Failed("no".into()))])).await);
    assert_eq!((due(999).await, store.next_delivery().await.unwrap()), (vec!["a-2".to_owned()], Some(at(70))));
}

async fn what_expires_is_found_soonest_first(backend: &dyn Backend) {
    let store = backend.open().await;
    let lives = [("sakura/pc-1/karte", 5_000), ("sakura/pc-2/karte", 3_000), ("momiji/pc-1/karte", 4_000)];
    for ((name, ends), n) in lives.into_iter().zip(1..) {
        store.commit(changes([Change::OpenOrder(order(n, name))])).await.unwrap();
        store.commit(changes([Change::PutDraft { id: order_id(n), draft: draft(n) }])).await.unwrap();
        store.commit(changes([Change::Fulfil(Issued { not_after: at(ends), ..issued(n) })])).await.unwrap();
    }
    let asked = |clinic: Option<&str>, since, until, limit| ExpiringQuery {
        tenant: aozora(),
        clinic: clinic.map(|name| name.parse().unwrap()),
        since: at(since),
        until: at(until),
        limit,
    };
    let found =
        async |asked: ExpiringQuery| store.expiring(&asked).await.unwrap().into_iter().map(|row| row.serial.0[15]).collect::<Vec<_>>();
    assert_eq!(found(asked(None, 0, 9_000, 9)).await, [2, 3, 1]);
    assert_eq!(found(asked(None, 3_000, 4_000, 9)).await, [2, 3], "both ends count");
    assert_eq!(found(asked(None, 3_001, 4_999, 9)).await, [3]);
    assert_eq!(found(asked(None, 0, 9_000, 2)).await, [2, 3]);
    assert_eq!(found(asked(Some("sakura"), 0, 9_000, 1)).await, [2]);
    assert!(found(ExpiringQuery { tenant: "momiji".parse().unwrap(), ..asked(None, 0, 9_000, 9) }).await.is_empty());
    let gone = Change::Retired { serial: serial(2), at: at(900) };
    let revoked = Change::Revoke { serial: serial(3), at: at(900), because: Cause::Unspecified };
    store.commit(changes([gone, revoked])).await.unwrap();
    assert_eq!(found(asked(None, 0, 9_000, 9)).await, [1]);
}

async fn a_webhooks_keys_count_up_by_one(backend: &dyn Backend) {
    let store = backend.open().await;
    let key = |generation| WebhookKeyRow { generation, shown_at: at(80) };
    let take = |url: &str, generation| Change::UseWebhookKey { clinic: clinic("sakura"), url: url.into(), key: key(generation) };
    conflict(store.commit(changes([take("a", 2)])).await);
    store.commit(changes([take("a", 1), take("b", 1)])).await.unwrap();
    conflict(store.commit(changes([take("a", 1)])).await);
    store.commit(changes([take("a", 2)])).await.unwrap();
    assert_eq!(store.webhook_key(&clinic("sakura"), "a").await.unwrap(), Some(key(2)));
    assert_eq!(store.webhook_key(&clinic("sakura"), "b").await.unwrap(), Some(key(1)));
    assert_eq!(store.webhook_key(&clinic("momiji"), "a").await.unwrap(), None);
}

async fn no_letter_that_somebody_sends_ends_the_store(backend: &dyn Backend) {
    let store = backend.open().await;
    let file = FileHash { sha256: Sha256([1; 32]).to_string(), size: 1 };
    let put = Change::PutInstaller { tenant: aozora(), file, name: "a\0b\u{202e}'\";\\".into(), order: None, at: at(1) };
    let with_nul = NewRecord { details: json!({ "a": "\0", "b": "\\u0000" }), ..record("sakura/\0") };
    store.commit(Batch { records: vec![with_nul.clone()], changes: vec![put] }).await.unwrap();
    store.commit(records([record("x")])).await.unwrap();
    let found = store.audit(&aozora(), 0, 9).await.unwrap();
    assert_eq!(
        (&found[0].object, &found[0].details, found.len()),
        (&with_nul.object, &with_nul.details, 2),
        "records are kept to the letter"
    );
}

async fn authorities_are_kept_once(backend: &dyn Backend) {
    let store = backend.open().await;
    let row =
        |tenant, certificate: u8| AuthorityRow { tenant, name: "portal/root".into(), certificate: vec![certificate], sealed_key: vec![9] };
    store.commit(changes([Change::PutAuthority(row(Some(aozora()), 1)), Change::PutAuthority(row(None, 2))])).await.unwrap();
    conflict(store.commit(changes([Change::PutAuthority(row(Some(aozora()), 3))])).await);
    conflict(store.commit(changes([Change::PutAuthority(row(None, 3))])).await);
    let tenants = store.authorities(Some(&aozora())).await.unwrap();
    assert_eq!((tenants.len(), &tenants[0].certificate[..], &tenants[0].tenant), (1, &[1][..], &Some(aozora())));
    let own = store.authorities(None).await.unwrap();
    assert_eq!((own.len(), &own[0].certificate[..], &own[0].tenant), (1, &[2][..], &None));
}

async fn tokens_are_kept(backend: &dyn Backend) {
    let store = backend.open().await;
    let token = |n: u8, name: &str, tenant: Option<TenantName>| TokenRow {
        id: format!("{n:016x}"),
        digest: sha(n),
        name: name.parse().unwrap(),
        tenant,
        created_at: at(1),
        created_by: "person:admin".into(),
        expires_at: Some(at(9)),
        revoked_at: None,
    };
    let put = |row: &TokenRow| changes([Change::Token(TokenChange::Put(Box::new(row.clone())))]);
    let (owner, own, second) = (token(1, "admin", None), token(2, "kanri", Some(aozora())), token(3, "kanri", Some(aozora())));
    for row in [&owner, &own, &second] {
        store.commit(put(row)).await.unwrap();
    }
    assert_eq!(store.token(&owner.id).await.unwrap(), Some(owner.clone()));
    assert_eq!(store.token_by_digest(&sha(2)).await.unwrap(), Some(own.clone()));
    assert_eq!((store.token("0").await.unwrap(), store.token_by_digest(&sha(9)).await.unwrap()), (None, None));
    assert_eq!(store.tokens(None).await.unwrap(), [owner]);
    assert_eq!(store.tokens(Some(&aozora())).await.unwrap(), [own.clone(), second]);
    // The log calls them all `person:<name>`.
    conflict(store.commit(put(&token(4, "admin", Some(aozora())))).await);
    conflict(store.commit(put(&token(4, "kanri", None))).await);
    let revoke = || changes([Change::Token(TokenChange::Revoke { id: own.id.clone(), at: at(5) })]);
    store.commit(revoke()).await.unwrap();
    assert_eq!(store.token(&own.id).await.unwrap().unwrap().revoked_at, Some(at(5)));
    conflict(store.commit(revoke()).await);
}

async fn sessions_are_kept_until_they_are_forgotten(backend: &dyn Backend) {
    let store = backend.open().await;
    let session = |n: u8, tenant: &TenantName, expires_at: i64| SessionRow {
        id: format!("{n:016x}"),
        digest: sha(n),
        tenant: tenant.clone(),
        login: Login { issuer: "https://id.example.jp".into(), subject: "8d1e".into(), groups: ["b", "a"].map(str::to_owned).into() },
        created_at: at(i64::from(n)),
        expires_at: at(expires_at),
        ended_at: None,
    };
    let begin =
        |row: &SessionRow, forget: i64| changes([Change::Session(SessionChange::Begin { row: Box::new(row.clone()), forget: at(forget) })]);
    let momiji: TenantName = "momiji".parse().unwrap();
    let (first, second, foreign) = (session(1, &aozora(), 10), session(2, &aozora(), 20), session(3, &momiji, 20));
    for row in [&second, &first, &foreign] {
        store.commit(begin(row, 0)).await.unwrap();
    }
    assert_eq!(store.session(&first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(store.sessions(&aozora()).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.session("0").await.unwrap(), None);
    let end = || changes([Change::Session(SessionChange::End { id: second.id.clone(), at: at(5) })]);
    store.commit(end()).await.unwrap();
    conflict(store.commit(end()).await);
    assert_eq!(store.session(&second.id).await.unwrap().unwrap().ended_at, Some(at(5)));
    store.commit(begin(&session(4, &momiji, 30), 11)).await.unwrap();
    assert_eq!(store.sessions(&aozora()).await.unwrap().len(), 1, "what expired before 11 is forgotten, whoever signs in");
}

async fn a_refused_guard_leaves_nothing_of_its_batch(backend: &dyn Backend) {
    let store = with_device(backend).await;
    let changes = vec![
        document("Issuer", "portal", 1),
        nudge(&clinic("sakura"), 1),
        Change::OpenOrder(order(1, "sakura/pc-1/karte")),
        count("sakura/pc-1", 1),
        count("sakura/pc-1", 7),
    ];
    conflict(store.commit(Batch { records: vec![record("x")], changes }).await);
    assert!(store.documents(&aozora()).await.unwrap().is_empty());
    assert_eq!((store.next_wake().await.unwrap(), store.order(&order_id(1)).await.unwrap()), (None, None));
    assert_eq!(store.device(&aozora(), &device("sakura/pc-1")).await.unwrap().unwrap().receipts, 0);
    assert!(store.audit(&aozora(), 0, 10).await.unwrap().is_empty());
}

async fn a2_records_and_changes_live_and_die_together(backend: &dyn Backend) {
    let store = with_device(backend).await;
    for number in 1..=3 {
        store.commit(Batch { records: vec![record("counted")], changes: vec![count("sakura/pc-1", number)] }).await.unwrap();
        conflict(store.commit(Batch { records: vec![record("refused")], changes: vec![count("sakura/pc-1", number)] }).await);
    }
    let log = store.audit(&aozora(), 0, 100).await.unwrap();
    assert_eq!(log.len(), 3);
    assert!(log.iter().all(|entry| entry.object == "counted"), "{log:?}");
    let whole = &log[0];
    assert_eq!((whole.at, whole.stage, &whole.actor[..], &whole.action[..]), (77, Stage::Done, "person:test", "test.done"));
    assert_eq!(whole.details, json!({ "b": [1], "a": "あ" }));
}

async fn a6_sequences_have_no_gaps_whatever_is_refused(backend: &dyn Backend) {
    let store = with_device(backend).await;
    let mut written = 0;
    for round in 1..=20 {
        let refused = round % 3 == 0;
        let number = if refused { 999 } else { written / 2 + 1 };
        let batch = Batch { records: vec![record("a"), record("b")], changes: vec![count("sakura/pc-1", number)] };
        assert_eq!(store.commit(batch).await.is_err(), refused);
        written += if refused { 0 } else { 2 };
    }
    let numbers: Vec<u64> = store.audit(&aozora(), 0, 1_000).await.unwrap().iter().map(|entry| entry.sequence).collect();
    assert_eq!(numbers, (1..=written).collect::<Vec<_>>());
    let page: Vec<u64> = store.audit(&aozora(), 3, 2).await.unwrap().iter().map(|entry| entry.sequence).collect();
    assert_eq!(page, [4, 5]);
}

async fn records_are_found_by_their_end_and_by_what_they_are_about(backend: &dyn Backend) {
    let store = backend.open().await;
    let objects =
        ["sakura/pc-1", "sakura/pc-1/karte", "sakura/pc-10", "sakura/pc-1@momiji/karte", "sakura-naika/pc-1", "あ", "sakura/pc-1"];
    store.commit(records(objects.map(record))).await.unwrap();
    store.commit(records([NewRecord { tenant: "midori".parse().unwrap(), ..record("sakura/pc-1") }])).await.unwrap();
    let numbers = async |part, limit, object: Option<&str>| -> Vec<u64> {
        let query = AuditQuery { part, limit, object: object.map(str::to_owned) };
        store.records(&aozora(), &query).await.unwrap().iter().map(|entry| entry.sequence).collect()
    };
    assert_eq!(numbers(Part::Newest, 3, None).await, [5, 6, 7], "the newest, oldest first");
    assert_eq!(numbers(Part::Newest, 100, None).await, [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(numbers(Part::After(2), 2, None).await, [3, 4]);
    assert_eq!(numbers(Part::After(0), 100, Some("sakura/pc-1")).await, [1, 2, 4, 7], "a device and its slots, not one of a longer name");
    assert_eq!(numbers(Part::After(1), 2, Some("sakura/pc-1")).await, [2, 4]);
    assert_eq!(numbers(Part::Newest, 2, Some("sakura")).await, [4, 7]);
    assert_eq!(numbers(Part::Newest, 2, Some("あ")).await, [6]);
    assert!(numbers(Part::Newest, 2, Some("pc_1")).await.is_empty() && numbers(Part::Newest, 2, Some("%")).await.is_empty());
}

async fn a6_sequences_have_no_gaps_under_concurrency(backend: &dyn Backend) {
    let store = backend.open().await;
    let other: TenantName = "midori".parse().unwrap();
    // Slot n is ordered twice: of each pair exactly one batch is refused, and they share commits with everybody else.
    let batches = (0..200_u8).map(|n| {
        let slot = format!("sakura/pc-{}/karte", n / 2);
        let mut records = vec![record(&format!("{n}"))];
        records.push(NewRecord { tenant: other.clone(), ..record("other") });
        Batch { records, changes: vec![Change::OpenOrder(order(n, &slot))] }
    });
    let commits = futures::future::join_all(batches.map(|batch| store.commit(batch))).await;
    let accepted = commits.iter().filter(|outcome| outcome.is_ok()).count() as u64;
    assert_eq!(accepted, 100);
    for tenant in [aozora(), other] {
        let numbers: Vec<u64> = store.audit(&tenant, 0, 1_000).await.unwrap().iter().map(|entry| entry.sequence).collect();
        assert_eq!(numbers, (1..=accepted).collect::<Vec<_>>(), "of {tenant}");
    }
}

async fn s1_an_answer_means_that_everybody_can_read_it(backend: &dyn Backend) {
    let (store, witness) = (backend.open().await, backend.open().await);
    for number in 1..=100 {
        store.commit(records([record("x")])).await.unwrap();
        let seen = witness.audit(&aozora(), number - 1, 1).await.unwrap();
        assert_eq!(seen.len(), 1, "commit {number} was answered before it was done");
    }
}

async fn s1_a_reopened_database_has_everything(backend: &dyn Backend) {
    let store = with_device(backend).await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    let batch = Batch { records: vec![record("x")], changes: vec![document("Issuer", "portal", 1), nudge(&clinic("sakura"), 5)] };
    store.commit(batch).await.unwrap();
    let (device_before, log_before) = (store.devices(&aozora()).await.unwrap(), store.audit(&aozora(), 0, 10).await.unwrap());
    drop(store);
    let store = backend.open().await;
    assert_eq!(store.devices(&aozora()).await.unwrap(), device_before);
    assert_eq!(store.audit(&aozora(), 0, 10).await.unwrap(), log_before);
    assert_eq!(store.certificate(&serial(1)).await.unwrap(), Some(certificate(1, "sakura/pc-1/karte")));
    assert_eq!((store.policy_revision(&aozora()).await.unwrap(), store.next_wake().await.unwrap()), (1, Some(at(5))));
    store.commit(records([record("y")])).await.unwrap();
    assert_eq!(store.audit(&aozora(), 0, 10).await.unwrap().len(), 2, "the sequence goes on where it was");
}

async fn repeating_what_may_be_repeated_changes_nothing(backend: &dyn Backend) {
    let store = with_device(backend).await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    let again = || {
        let (tenant, pc) = (aozora(), device("sakura/pc-1"));
        changes([
            Change::Heard { tenant: tenant.clone(), device: pc.clone(), at: at(100) },
            Change::Proven { serial: serial(1), at: at(100) },
            Change::AskRenewal { tenant: tenant.clone(), slot: slot("sakura/pc-1/karte") },
            Change::PutInstaller { tenant: tenant.clone(), file: file(1), name: "f".into(), order: None, at: at(100) },
            Change::RemovingInstaller { tenant, device: pc, sha256: sha(1) },
            wake(&clinic("sakura"), Some(100)),
        ])
    };
    store.commit(again()).await.unwrap();
    let before = store.snapshot(&clinic("sakura"), at(0)).await.unwrap();
    store.commit(again()).await.unwrap();
    let after = store.snapshot(&clinic("sakura"), at(0)).await.unwrap();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

async fn f4_one_tenant_sees_nothing_of_another(backend: &dyn Backend) {
    let store = with_device(backend).await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    let batch = Batch { records: vec![record("x")], changes: vec![document("Issuer", "portal", 1), report("sakura/pc-1", &[1])] };
    store.commit(batch).await.unwrap();
    let other: TenantName = "midori".parse().unwrap();
    let pc = device("sakura/pc-1");
    assert!(store.documents(&other).await.unwrap().is_empty() && store.clinics(&other).await.unwrap().is_empty());
    assert!(store.device(&other, &pc).await.unwrap().is_none() && store.devices(&other).await.unwrap().is_empty());
    assert!(store.orders_on(&other, &pc).await.unwrap().is_empty() && store.audit(&other, 0, 9).await.unwrap().is_empty());
    assert!(store.certificates_by_fingerprint(&other, &sha(1)).await.unwrap().is_empty());
    assert!(store.devices_with_file(&other, &sha(1)).await.unwrap().is_empty());
    let filters = [CertificateFilter::default(), CertificateFilter { device: Some(pc), ..CertificateFilter::default() }];
    for filter in filters {
        assert!(store.certificates(&other, filter).await.unwrap().is_empty());
    }
    let elsewhere = store.snapshot(&ClinicId { tenant: other, clinic: "sakura".parse().unwrap() }, at(0)).await.unwrap();
    assert!(elsewhere.devices.is_empty() && elsewhere.certificates.is_empty() && elsewhere.orders.is_empty());
}

// ---- the smallest things that fit ----

fn midori() -> TenantName {
    "midori".parse().unwrap()
}

fn aozora() -> TenantName {
    "aozora".parse().unwrap()
}

fn clinic(name: &str) -> ClinicId {
    ClinicId { tenant: aozora(), clinic: name.parse().unwrap() }
}

fn device(name: &str) -> DeviceId {
    name.parse().unwrap()
}

fn slot(name: &str) -> SlotId {
    name.parse().unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(seconds)
}

fn sha(n: u8) -> Sha256 {
    Sha256([n; 32])
}

fn serial(n: u8) -> Serial {
    let mut bytes = [0; 16];
    (bytes[0], bytes[15]) = (0x40, n);
    Serial(bytes)
}

fn order_id(n: u8) -> OrderId {
    OrderId([n; 16])
}

fn file(n: u8) -> FileHash {
    FileHash { sha256: sha(n).to_string(), size: 100 }
}

fn draft(n: u8) -> Draft {
    Draft { serial: serial(n), public_key: sha(n), tbs: vec![0x30, n], shard: u32::from(n) }
}

fn template() -> Template {
    Template {
        issuer: "portal".parse().unwrap(),
        common_name: "pc-1".into(),
        organization: "sakura".into(),
        key: KeyOrigin::Device(KeyAlgorithm::EcdsaP256),
        validity: Duration::from_secs(3_600),
    }
}

fn order(n: u8, name: &str) -> OrderRow {
    OrderRow {
        id: order_id(n),
        tenant: aozora(),
        slot: slot(name),
        template: template(),
        account: Some("reception".parse().unwrap()),
        because: Reason::Missing,
        replaces: vec![],
        opened_at: at(60),
        state: OrderState::Open,
        draft: None,
        found: None,
    }
}

/// An order for a vendor's file.
fn vendors_order(n: u8, name: &str) -> OrderRow {
    OrderRow { template: Template { key: KeyOrigin::Vendor, ..template() }, ..order(n, name) }
}

fn bundle(n: u8) -> Bundle {
    Bundle { file_name: format!("{n}_JP_u00000126_client1210.p12"), sealed: vec![n; 9] }
}

fn taken(n: u8) -> TakenIn {
    let CertificateRow { order, der, fingerprint, public_key, not_before, not_after, .. } = certificate(n, "sakura/pc-1/karte");
    let (serial, common_name, organization) = (Serial::of_vendor(order), "client1210".into(), "u00000126".into());
    let (at, bundle) = (at(100), Some(bundle(n)));
    TakenIn { order, serial, common_name, organization, der, fingerprint, public_key, not_before, not_after, at, bundle }
}

fn certificate(n: u8, name: &str) -> CertificateRow {
    CertificateRow {
        serial: serial(n),
        order: order_id(n),
        tenant: aozora(),
        slot: slot(name),
        template: template(),
        account: Some("reception".parse().unwrap()),
        der: vec![0x30, 0x82, n],
        fingerprint: sha(n),
        public_key: sha(n),
        not_before: at(0),
        not_after: at(5_000),
        issued_at: at(100),
        installed_at: None,
        proven_at: None,
        retiring_at: None,
        retired_at: None,
        revoked_at: None,
    }
}

/// What [`certificate`] begins as.
fn issued(n: u8) -> Issued {
    let CertificateRow { order, serial, der, fingerprint, not_before, not_after, issued_at, .. } = certificate(n, "sakura/pc-1/karte");
    Issued { order, serial, der, fingerprint, not_before, not_after, at: issued_at }
}

fn device_row(name: &str, identity: u8) -> DeviceRow {
    DeviceRow {
        tenant: aozora(),
        device: device(name),
        identity: sha(identity),
        public_key: vec![1, 2, 3],
        enrolled_at: at(10),
        last_seen: at(10),
        clock_offset: 0,
        revoked_at: None,
        facts: Facts { hostname: "uketsuke".into(), ..Facts::default() },
        report: Report::default(),
        manifest: Manifest::default(),
        receipts: 0,
    }
}

fn code() -> CodeRow {
    CodeRow {
        handle: "AB12CD".into(),
        tenant: aozora(),
        device: device("sakura/pc-1"),
        digest: sha(1),
        tries_left: 2,
        expires_at: at(600),
        used_by: None,
    }
}

fn told(object: &str, rung: Rung) -> Told {
    Told { kind: Kind::Certificate, object: object.into(), deadline: at(9_000), rung }
}

fn letter(id: &str, told: Vec<Told>) -> NewLetter {
    let to = vec![(Channel::Mail, "a@example.jp".into()), (Channel::Webhook, "https://x.example.jp/".into())];
    NewLetter { letter: LetterRow { id: id.into(), clinic: clinic("sakura"), at: at(70), body: json!({ "n": id }) }, told, to }
}

fn document(kind: &str, name: &str, n: i64) -> Change {
    let (kind, name, author) = (kind.to_owned(), name.to_owned(), "person:test".to_owned());
    Change::PutDocument { tenant: aozora(), kind, name, body: json!({ "n": n }), author, at: at(50) }
}

fn wake(clinic: &ClinicId, moment: Option<i64>) -> Change {
    Change::Wake { clinic: clinic.clone(), at: moment.map(at) }
}

fn nudge(clinic: &ClinicId, moment: i64) -> Change {
    Change::Nudge { clinic: clinic.clone(), at: at(moment) }
}

fn rest(clinic: &ClinicId, as_of: u64, moment: Option<i64>) -> Change {
    Change::Rest { clinic: clinic.clone(), as_of, at: moment.map(at) }
}

fn put_manifest(name: &str, manifest: Manifest) -> Change {
    Change::PutManifest { tenant: aozora(), device: device(name), manifest }
}

fn count(name: &str, number: u64) -> Change {
    Change::CountReceipt { tenant: aozora(), device: device(name), number }
}

fn report(name: &str, files: &[u8]) -> Change {
    let installers = files
        .iter()
        .map(|n| InstallerSeen { path: format!("~/Downloads/{n}.p12"), file: file(*n), inside: None, quarantined: false })
        .collect();
    let facts = Facts { hostname: "uketsuke".into(), ..Facts::default() };
    let report = Report { clock: 87, facts, installers, ..Report::default() };
    Change::PutReport { tenant: aozora(), device: device(name), report, clock_offset: -3, at: at(90) }
}

fn record(object: &str) -> NewRecord {
    NewRecord {
        tenant: aozora(),
        at: at(77),
        stage: Stage::Done,
        actor: "person:test".into(),
        action: "test.done",
        object: object.into(),
        details: json!({ "b": [1], "a": "あ" }),
    }
}

fn changes(changes: impl IntoIterator<Item = Change>) -> Batch {
    Batch { records: vec![], changes: changes.into_iter().collect() }
}

fn records(records: impl IntoIterator<Item = NewRecord>) -> Batch {
    Batch { records: records.into_iter().collect(), changes: vec![] }
}

async fn with_device(backend: &dyn Backend) -> Arc<dyn Store> {
    let store = backend.open().await;
    store.commit(changes([Change::PutDevice(device_row("sakura/pc-1", 1).into())])).await.unwrap();
    store
}

/// Order, draft and certificate, all called `n`.
async fn issue(store: &dyn Store, n: u8, name: &str) {
    store.commit(changes([Change::OpenOrder(order(n, name))])).await.unwrap();
    store.commit(changes([Change::PutDraft { id: order_id(n), draft: draft(n) }])).await.unwrap();
    store.commit(changes([Change::Fulfil(issued(n))])).await.unwrap();
}

#[track_caller]
fn conflict(outcome: Result<(), StoreError>) {
    assert!(matches!(outcome, Err(StoreError::Conflict(_))), "a guard was expected to refuse, but: {outcome:?}");
}
