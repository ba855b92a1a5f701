//! What every backend has to do for the portal.

use tegata_core::name::{IssuerName, Serial, Sha256, TenantName};
use tegata_core::revocation::Cause;
use tegata_server::store::portal::{
    AccountId, DeliveryRow, MEMO_TAKEN, NO_ROOM, PortalChange, PortalCodeRow, PortalDraft, PortalIssued, PortalSessionRow, Rolling, Room,
};
use tegata_server::store::revocation::{Holder, RevokedRow, Selection};
use tegata_server::store::{Change, Store, StoreError};

use super::{Backend, aozora, at, changes, clinic, conflict, issue, midori};

const PLENTY: Room = Room { living_max: 50, issued: vec![] };

fn account(name: &str) -> AccountId {
    AccountId { tenant: aozora(), clinic: "sakura".parse().unwrap(), account: name.parse().unwrap() }
}

fn serial(number: u8) -> Serial {
    Serial([0x40 + number; 16])
}

fn draft(number: u8, memo: &str) -> PortalDraft {
    PortalDraft {
        serial: serial(number),
        account: account("tanaka"),
        issuer: "portal".parse().unwrap(),
        shard: 1,
        n: number.into(),
        common_name: format!("client{number}"),
        organization: "u1".into(),
        memo: memo.into(),
        label: Some("EAST".into()),
        remarks: "備考".into(),
        file_name: "a.p12".into(),
        public_key: Sha256([number; 32]),
        tbs: vec![number],
        not_after: at(10_000),
        applied_at: at(100),
        replaces: None,
    }
}

fn put(draft: PortalDraft, room: Room) -> Change {
    Change::Portal(PortalChange::PutDraft { draft: draft.into(), room })
}

fn fulfil(number: u8) -> Change {
    let issued = PortalIssued {
        serial: serial(number),
        der: vec![number, 1],
        fingerprint: Sha256([number; 32]),
        bundle: vec![number, 2],
        at: at(101),
    };
    Change::Portal(PortalChange::Fulfil(issued))
}

fn revoke(number: u8) -> Change {
    Change::Portal(PortalChange::Revoke { serial: serial(number), at: at(200), because: Cause::Superseded })
}

/// Keeps a certificate.
async fn issued(store: &dyn Store, draft: PortalDraft) -> Result<(), StoreError> {
    let number = draft.serial.0[0] - 0x40;
    store.commit(changes([put(draft, PLENTY), fulfil(number)])).await
}

fn refused(result: Result<(), StoreError>, why: &str) {
    assert!(matches!(&result, Err(StoreError::Conflict(found)) if *found == why), "{why}: {result:?}");
}

pub async fn a_portal_code_is_tried_a_few_times_and_used_once(backend: &dyn Backend) {
    let store = backend.open().await;
    let code = |handle: &str| PortalCodeRow {
        handle: handle.into(),
        tenant: aozora(),
        clinic: "sakura".parse().unwrap(),
        subject: Sha256([1; 32]),
        account: Some("tanaka".parse().unwrap()),
        digest: Sha256([2; 32]),
        tries_left: 2,
        made_at: at(100),
        expires_at: at(700),
        used_at: None,
    };
    let put = |handle: &str| Change::Portal(PortalChange::PutCode { code: code(handle), since: at(0), most: 2 });
    store.commit(changes([put("one")])).await.unwrap();
    store.commit(changes([put("two")])).await.unwrap();
    conflict(store.commit(changes([put("three")])).await);
    assert_eq!(store.portal_code("one").await.unwrap(), Some(code("one")), "an earlier one stays good");
    let spend = |now| Change::Portal(PortalChange::SpendTry { handle: "one".into(), now: at(now) });
    conflict(store.commit(changes([spend(700)])).await);
    store.commit(changes([spend(699)])).await.unwrap();
    store.commit(changes([spend(699)])).await.unwrap();
    conflict(store.commit(changes([spend(699)])).await);
    assert_eq!(store.portal_code("two").await.unwrap().unwrap().tries_left, 2, "tries are each code's own");

    let session = PortalSessionRow { digest: Sha256([3; 32]), account: account("tanaka"), expires_at: at(2_000) };
    let enter = || Change::Portal(PortalChange::UseCode { handle: "two".into(), at: at(200), session: session.clone() });
    store.commit(changes([enter()])).await.unwrap();
    let again = PortalSessionRow { digest: Sha256([4; 32]), ..session.clone() };
    conflict(store.commit(changes([Change::Portal(PortalChange::UseCode { handle: "two".into(), at: at(201), session: again })])).await);
    assert_eq!(store.portal_session(&session.digest).await.unwrap(), Some(session.clone()));
    store.commit(changes([Change::Portal(PortalChange::EndSession { digest: session.digest })])).await.unwrap();
    assert_eq!(store.portal_session(&session.digest).await.unwrap(), None);
}

pub async fn i1_a_portal_draft_is_signed_once_or_forgotten(backend: &dyn Backend) {
    let store = backend.open().await;
    conflict(store.commit(changes([fulfil(1)])).await);
    store.commit(changes([put(draft(1, "受付"), PLENTY)])).await.unwrap();
    assert_eq!(store.portal_drafts().await.unwrap(), [draft(1, "受付")]);
    assert!(store.portal_certificates(&account("tanaka")).await.unwrap().is_empty(), "an intention is no certificate");
    store.commit(changes([fulfil(1)])).await.unwrap();
    conflict(store.commit(changes([fulfil(1)])).await);
    conflict(store.commit(changes([Change::Portal(PortalChange::Abandon { serial: serial(1) })])).await);
    let row = store.portal_certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!((row.draft.clone(), row.der.clone(), row.revoked_at), (draft(1, "受付"), vec![1, 1], None));
    assert_eq!(store.portal_certificate_by_fingerprint(&Sha256([1; 32])).await.unwrap(), Some(row));
    assert_eq!(store.portal_bundle(&serial(1)).await.unwrap(), Some(vec![1, 2]));
    assert!(store.portal_certificates(&account("suzuki")).await.unwrap().is_empty());

    store.commit(changes([put(draft(2, "診察室"), PLENTY)])).await.unwrap();
    store.commit(changes([Change::Portal(PortalChange::Abandon { serial: serial(2) })])).await.unwrap();
    assert!(store.portal_drafts().await.unwrap().is_empty());
    assert_eq!(store.portal_next(&aozora(), &"portal".parse().unwrap()).await.unwrap(), 2);
    conflict(store.commit(changes([put(PortalDraft { serial: serial(9), ..draft(1, "別") }, PLENTY)])).await);
}

pub async fn a_memo_is_one_living_certificates_and_room_is_kept(backend: &dyn Backend) {
    let store = backend.open().await;
    issued(&*store, draft(1, "受付")).await.unwrap();
    refused(issued(&*store, draft(2, "受付")).await, MEMO_TAKEN);
    issued(&*store, PortalDraft { account: account("suzuki"), ..draft(2, "受付") }).await.unwrap();
    issued(&*store, PortalDraft { applied_at: at(10_001), not_after: at(20_000), ..draft(3, "受付") }).await.unwrap();

    let two = Room { living_max: 1, issued: vec![] };
    refused(store.commit(changes([put(PortalDraft { not_after: at(9_000), ..draft(4, "診察室") }, two.clone())])).await, NO_ROOM);
    store.commit(changes([revoke(1), revoke(3)])).await.unwrap();
    conflict(store.commit(changes([revoke(1)])).await);
    store.commit(changes([put(draft(4, "診察室"), two), fulfil(4)])).await.unwrap();
    let rolling = |most| Room { living_max: 50, issued: vec![Rolling { since: at(99), most, unrevoked_only: false }] };
    refused(store.commit(changes([put(draft(5, "待合室"), rolling(3))])).await, NO_ROOM);
    let unrevoked = Room { living_max: 50, issued: vec![Rolling { since: at(99), most: 2, unrevoked_only: true }] };
    store.commit(changes([put(draft(5, "待合室"), unrevoked.clone())])).await.unwrap();
    refused(store.commit(changes([put(draft(6, "医局"), unrevoked)])).await, NO_ROOM);
    store.commit(changes([put(draft(6, "医局"), rolling(5))])).await.unwrap();
}

pub async fn what_an_accounts_devices_hold_takes_room_at_the_portal_too(backend: &dyn Backend) {
    let store = backend.open().await;
    issue(&*store, 1, "sakura/pc-1/karte").await;
    let of_reception = || PortalDraft { account: account("reception"), ..draft(2, "受付") };
    let rolling = |most| Room { living_max: 50, issued: vec![Rolling { since: at(0), most, unrevoked_only: false }] };
    refused(store.commit(changes([put(of_reception(), Room { living_max: 1, issued: vec![] })])).await, NO_ROOM);
    refused(store.commit(changes([put(of_reception(), rolling(1))])).await, NO_ROOM);
    store.commit(changes([put(of_reception(), Room { living_max: 2, ..rolling(2) })])).await.unwrap();
}

pub async fn portal_certificates_follow_each_other_and_are_revoked_in_the_issuers_list(backend: &dyn Backend) {
    let store = backend.open().await;
    let follow = |number: u8, old: u8| PortalDraft { n: 1, replaces: Some(serial(old)), ..draft(number, "受付") };
    issued(&*store, draft(1, "受付")).await.unwrap();
    // The place of the one that is followed is taken over, however little room there is.
    let full = Room { living_max: 1, issued: vec![] };
    store.commit(changes([put(follow(2, 1), full), fulfil(2)])).await.unwrap();
    conflict(issued(&*store, follow(3, 1)).await);
    let first = store.portal_certificate(&serial(1)).await.unwrap().unwrap();
    assert_eq!((first.followed_by, first.takes_a_place(at(150)), first.is_valid(at(150))), (Some(serial(2)), false, true));
    let seats = store.snapshot(&clinic("sakura"), at(0)).await.unwrap().portal;
    assert_eq!(seats.iter().filter(|seat| seat.takes_a_place_until >= at(150)).count(), 1);

    store.commit(changes([revoke(2)])).await.unwrap();
    assert_eq!(store.portal_certificate(&serial(1)).await.unwrap().unwrap().followed_by, None);
    issued(&*store, follow(3, 1)).await.unwrap();
    conflict(issued(&*store, follow(4, 2)).await);
    let issuer = "portal".parse().unwrap();
    let revoked = store.revoked(&aozora(), &issuer, None, at(300), 10).await.unwrap();
    assert_eq!(revoked, [RevokedRow { serial: serial(2), at: at(200), because: Cause::Superseded }]);
    assert!(store.revoked(&aozora(), &issuer, None, at(10_001), 10).await.unwrap().is_empty());
    let verdict = store.verdict(&aozora(), &issuer, &serial(2)).await.unwrap().unwrap();
    assert_eq!(verdict.revoked, Some((at(200), Cause::Superseded)));
}

pub async fn a_renewed_file_is_delivered_once(backend: &dyn Backend) {
    let store = backend.open().await;
    issued(&*store, draft(1, "受付")).await.unwrap();
    let row = DeliveryRow { digest: Sha256([7; 32]), serial: serial(1), holder: Sha256([8; 32]), expires_at: at(700), fetched_at: None };
    let keep = |now| {
        Change::Portal(PortalChange::PutDelivery { delivery: DeliveryRow { digest: Sha256([now as u8; 32]), ..row.clone() }, now: at(now) })
    };
    store.commit(changes([keep(7)])).await.unwrap();
    assert_eq!(store.portal_delivery(&row.digest).await.unwrap(), Some(row.clone()));
    let deliver = Change::Portal(PortalChange::Deliver { digest: row.digest, serial: serial(1), at: at(150) });
    store.commit(changes([deliver.clone()])).await.unwrap();
    conflict(store.commit(changes([deliver])).await);
    assert_eq!(store.portal_certificate(&serial(1)).await.unwrap().unwrap().fetched_at, Some(at(150)));
    let remark = |account| Change::Portal(PortalChange::Remark { account, serial: serial(1), remarks: "新".into() });
    conflict(store.commit(changes([remark(account("suzuki"))])).await);
    store.commit(changes([remark(account("tanaka"))])).await.unwrap();
    assert_eq!(store.portal_certificate(&serial(1)).await.unwrap().unwrap().draft.remarks, "新");
    let late = DeliveryRow { digest: Sha256([9; 32]), ..row.clone() };
    store.commit(changes([Change::Portal(PortalChange::PutDelivery { delivery: late, now: at(701) })])).await.unwrap();
    assert_eq!(store.portal_delivery(&row.digest).await.unwrap(), None, "what has run out is forgotten");
}

pub async fn what_the_portal_handed_out_is_sampled_selected_and_revoked_with_all_the_rest(backend: &dyn Backend) {
    let store = backend.open().await;
    issued(&*store, draft(1, "受付")).await.unwrap();
    issued(&*store, PortalDraft { account: account("suzuki"), ..draft(2, "受付") }).await.unwrap();
    store.commit(changes([put(draft(3, "診察室"), PLENTY)])).await.unwrap();
    let issuer: IssuerName = "portal".parse().unwrap();
    let sample = async |shard, now| store.sample(&aozora(), &issuer, shard, at(now), 8).await.unwrap();
    assert_eq!(sample(1, 150).await, [(serial(1), vec![1, 1]), (serial(2), vec![2, 1])], "what is signed, of its shard");
    assert!(sample(2, 150).await.is_empty() && sample(1, 10_001).await.is_empty());

    let of_issuer = Selection { issuer: Some(issuer.clone()), ..Selection::default() };
    let selected = async |tenant: TenantName, limit| {
        let selected = store.selected(&tenant, &of_issuer, at(150), limit).await.unwrap();
        selected.into_iter().map(|one| (one.serial, one.holder)).collect::<Vec<_>>()
    };
    let all = [(serial(1), Holder::Account(account("tanaka"))), (serial(2), Holder::Account(account("suzuki")))];
    assert_eq!(selected(aozora(), 9).await, all, "nothing that was never signed");
    assert_eq!(selected(aozora(), 1).await, all[..1]);
    assert!(selected(midori(), 9).await.is_empty());

    let revoke_all = |numbers: &[u8]| {
        let serials = numbers.iter().map(|number| serial(*number)).collect();
        changes([Change::RevokeAll { serials, at: at(160), because: Cause::KeyCompromise }])
    };
    conflict(store.commit(revoke_all(&[1, 3])).await);
    assert_eq!(selected(aozora(), 9).await, all, "all of them or none");
    store.commit(revoke_all(&[1])).await.unwrap();
    assert_eq!(selected(aozora(), 9).await, all[1..]);
    let on_list = store.revoked(&aozora(), &issuer, Some(1), at(0), 9).await.unwrap();
    assert_eq!(on_list.iter().map(|row| (row.serial, row.because)).collect::<Vec<_>>(), [(serial(1), Cause::KeyCompromise)]);
    conflict(store.commit(revoke_all(&[1])).await);
}
