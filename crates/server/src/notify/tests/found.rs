//! Certificates that agents merely found: told before they expire.

use tegata_api::v1::device::{FoundCertificate, Report};
use tegata_api::v1::notice::{Acts, Origin};

use super::*;
use crate::pretend::Pc;
use crate::reports;

/// A world of two clinics that share a PC, whose PCs hold nothing of Tegata's that could be told of.
async fn world(notify: &str) -> (World, Pc, Pc) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let world = World::new().await;
    let momiji = clinic("momiji", &["pc-1"], "  guests: [{ clinic: sakura, device: pc-1 }]\n  hours: { timeZone: Asia/Tokyo }\n");
    apply_with(&world, &[PROFILE], &[&sakura(&["pc-1"], notify)[..], &momiji].join("---")).await;
    let (ours, theirs) = (world.enrol("sakura/pc-1").await, world.enrol("momiji/pc-1").await);
    world.settle().await;
    (world, ours, theirs)
}

fn one(world: &World, digit: &str, subject: &str, days: u32) -> FoundCertificate {
    FoundCertificate {
        fingerprint: digit.repeat(64),
        store: "nss".into(),
        subject: subject.into(),
        issuer: "CN=Intermediate CA".into(),
        serial: "0659".into(),
        not_before: world.now.unix(),
        not_after: world.now.after(days * DAY).unix(),
        has_key: true,
    }
}

async fn report(world: &World, pc: &Pc, found: Vec<FoundCertificate>) {
    let said = Report { clock: world.now.unix(), found, ..Report::default() };
    reports::report(&world.ledger, &world.bells, &world.row(pc).await, said, world.now).await.unwrap();
}

/// Clinic, rung and fingerprint's first digit of everything that was told.
async fn said(world: &World) -> Vec<String> {
    let told = told(world).await;
    let items = told.iter().flat_map(|notice| notice.bulletin.items.iter().map(move |item| (notice, item)));
    items.map(|(notice, item)| format!("{} {} {} {}", notice.bulletin.clinic, item.rung, item.slot, &item.object[..1])).collect()
}

#[tokio::test]
async fn what_others_installed_is_told_to_the_clinic_where_it_lies_before_it_expires() {
    let (mut world, ours, theirs) = world("").await;
    // The same file on two PCs of two clinics: each of them is told, of its own.
    report(&world, &ours, vec![one(&world, "a", "CN=client1210, O=u00000126", 40), one(&world, "b", "CN=old, O=x", 0)]).await;
    report(&world, &theirs, vec![one(&world, "a", "CN=client1210, O=u00000126", 40)]).await;
    world.pass(DAY);
    live(&mut world, 100 * DAY, None).await;
    let (sakura, momiji): (Vec<_>, Vec<_>) = said(&world).await.into_iter().partition(|line| line.starts_with("sakura"));
    let of = |clinic: &str| ["30d", "14d", "7d", "1d"].map(|rung| format!("{clinic} {rung} {clinic}/pc-1 a"));
    assert_eq!((sakura, momiji), (of("sakura").to_vec(), of("momiji").to_vec()), "what had expired before is nobody's business");
    let item = &told(&world).await[0].bulletin.items[0];
    let shown = (&item.kind[..], &item.subject[..], &item.issuer[..], item.acts);
    assert_eq!(shown, ("found", "CN=client1210, O=u00000126", "CN=Intermediate CA", Acts::Person));
}

#[tokio::test]
async fn each_rung_about_a_found_certificate_is_told_once_whatever_is_restarted() {
    let (mut world, ours, _) = world("  contacts: [incho@example.jp]\n").await;
    let mail = Mail::new();
    let twice = vec![one(&world, "a", "CN=a, O=x", 40), FoundCertificate { store: "file".into(), ..one(&world, "a", "CN=a, O=x", 40) }];
    report(&world, &ours, twice.clone()).await;
    let end = world.now.after(60 * DAY);
    while let Some(next) = next_step(&world).await.filter(|next| *next <= end) {
        world.now = next.max(world.now);
        world = world.restart().await;
        report(&world, &ours, twice.clone()).await;
        world.settle().await;
        post(&world, Some(&mail.mailer)).send_due().await.unwrap();
    }
    assert_eq!(rungs(&world).await, ["30d x1 8:00", "14d x1 8:00", "7d x1 8:00", "1d x1 8:00"], "in two stores it is one");
    assert_eq!(mail.arrived().len(), 4);
}

#[tokio::test]
async fn what_is_replaced_taken_over_or_gone_is_told_no_more() {
    let (mut world, ours, _) = world("").await;
    let old = one(&world, "a", "CN=client1210, O=u00000126", 40);
    report(&world, &ours, vec![old.clone()]).await;
    live(&mut world, 12 * DAY, None).await;
    assert_eq!(said(&world).await, ["sakura 30d sakura/pc-1 a"]);
    report(&world, &ours, vec![old.clone(), one(&world, "b", "CN=client1210, O=u00000126", 900)]).await;
    live(&mut world, 16 * DAY, None).await;
    assert_eq!(said(&world).await.len(), 1, "a newer one for the same subject is there");
    report(&world, &ours, vec![one(&world, "b", "CN=somebody else, O=u00000126", 900), old]).await;
    live(&mut world, DAY, None).await;
    assert_eq!(said(&world).await[1..], ["sakura 14d sakura/pc-1 a"]);
    report(&world, &ours, vec![]).await;
    live(&mut world, 40 * DAY, None).await;
    assert_eq!(said(&world).await.len(), 2);
}

#[tokio::test]
async fn a_clinic_says_when_it_is_told_of_what_was_found_or_that_it_is_not() {
    for (notify, expected) in [("  notify: { found: [20d, 2d] }\n", &["20d", "2d"][..]), ("  notify: { found: [] }\n", &[])] {
        let (mut world, ours, _) = world(notify).await;
        report(&world, &ours, vec![one(&world, "a", "CN=a, O=x", 40)]).await;
        live(&mut world, 60 * DAY, None).await;
        assert_eq!(told(&world).await.iter().map(|notice| notice.bulletin.items[0].rung.clone()).collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_lost_pc_says_nothing_of_what_was_found_on_it() {
    let (mut world, ours, _) = world("").await;
    report(&world, &ours, vec![one(&world, "a", "CN=a, O=x", 20)]).await;
    crate::asks::revoke_device(&world.ledger, &world.bells, &tenant(), &ours.device, "person:ito", world.now).await.unwrap();
    live(&mut world, 30 * DAY, None).await;
    assert_eq!(said(&world).await, [""; 0]);
}

#[tokio::test]
async fn what_was_found_is_listed_for_its_clinic_and_for_its_tenant_only() {
    let (world, ours, theirs) = world("").await;
    report(&world, &ours, vec![one(&world, "a", "CN=a, O=x", 20)]).await;
    report(&world, &theirs, vec![one(&world, "b", "CN=b, O=x", 30), one(&world, "c", "CN=c, O=x", 60)]).await;
    let listed = async |tenant: &str, clinic: Option<&str>| {
        let (tenant, clinic) = (tenant.parse().unwrap(), clinic.map(|name| name.parse().unwrap()));
        let rows = answers::expiring(&world.ledger, &tenant, clinic.as_ref(), world.now.after(50 * DAY), 100, world.now).await.unwrap();
        assert!(rows.iter().all(|row| row.kind == Origin::Found), "{rows:?}");
        rows.iter().map(|row| format!("{} {}", row.slot, &row.serial[..1])).collect::<Vec<_>>()
    };
    assert_eq!(listed("aozora", None).await, ["sakura/pc-1 a", "momiji/pc-1 b"]);
    assert_eq!(listed("aozora", Some("sakura")).await, ["sakura/pc-1 a"]);
    assert_eq!(listed("aozora", Some("momiji")).await, ["momiji/pc-1 b"]);
    assert_eq!(listed("midori", None).await, [""; 0]);
}
