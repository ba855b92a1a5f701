use tegata_core::name::{TenantName, TokenName};
use tegata_core::time::{DAY, HOUR, MINUTE};

use super::*;
use crate::pretend::World;

fn name(text: &str) -> TokenName {
    text.parse().unwrap()
}

fn aozora() -> TenantName {
    "aozora".parse().unwrap()
}

async fn made(world: &World, holder: &str, tenant: Option<&TenantName>) -> Result<(TokenRow, Zeroizing<String>), TokenError> {
    let wanted = Wanted { name: &name(holder), tenant, life: Some(30 * DAY), by: "person:admin", now: world.now };
    make(&world.ledger, wanted).await
}

async fn is_known(world: &World, token: &str) -> bool {
    holder(&world.ledger, token, world.now).await.unwrap().is_some()
}

#[tokio::test]
async fn a_token_is_known_until_it_ends_and_never_in_another_spelling() {
    let mut world = World::new().await;
    let (row, token) = made(&world, "kanri", Some(&aozora())).await.unwrap();
    assert_eq!(holder(&world.ledger, &token, world.now).await.unwrap(), Some(row.clone()));
    let other = made(&world, "kanri", Some(&aozora())).await.unwrap().1;
    let swapped = format!("{}{}", &token[..22], &other[22..]);
    let longer = format!("{}A", *token);
    for wrong in [&swapped, &longer, &token[..token.len() - 1], &token[..22], &token.to_uppercase(), "tgt2.", "tgt1.", "tgt2..", ""] {
        assert!(!is_known(&world, wrong).await, "{wrong}");
    }
    world.pass(30 * DAY - MINUTE);
    assert!(is_known(&world, &token).await);
    world.pass(MINUTE);
    assert!(!is_known(&world, &token).await);
}

#[tokio::test]
async fn scanners_can_find_a_token_and_the_database_holds_none() {
    let world = World::new().await;
    let (row, token) = made(&world, "kanri", None).await.unwrap();
    let (id, secret) = token.strip_prefix("tgt2.").unwrap().split_once('.').unwrap();
    assert!(id == row.id && id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase()));
    assert!(secret.len() == 43 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    assert_eq!(row.digest, sha256(token.as_bytes()));
}

#[tokio::test]
async fn a_token_from_before_there_were_ids_works_as_before() {
    let world = World::new().await;
    let old = "tgt1.MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
    let row = TokenRow {
        id: "00112233445566aa".into(),
        digest: digest(old),
        name: name("admin"),
        tenant: None,
        created_at: Timestamp::from_unix(0),
        created_by: "tegata".into(),
        expires_at: None,
        revoked_at: None,
    };
    let put = Change::Token(TokenChange::Put(Box::new(row)));
    world.ledger.note(Batch { records: vec![], changes: vec![put] }).await.unwrap();
    assert!(is_known(&world, old).await);
    assert!(!is_known(&world, "tgt2.00112233445566aa.MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY").await);
}

#[tokio::test]
async fn a_token_is_revoked_by_its_id_or_all_of_a_name_at_once() {
    let world = World::new().await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(made(&world, "kanri", Some(&aozora())).await.unwrap());
    }
    let by = ("person:admin", world.now);
    let gone = revoke(&world.ledger, Some(&aozora()), &tokens[0].0.id, by).await.unwrap();
    assert_eq!(gone.len(), 1);
    assert!(!is_known(&world, &tokens[0].1).await && is_known(&world, &tokens[1].1).await);
    for elsewhere in [None, Some("momiji".parse().unwrap())] {
        let refused = revoke(&world.ledger, elsewhere.as_ref(), "kanri", by).await;
        assert!(matches!(refused, Err(TokenError::NotFound)));
    }
    assert_eq!(revoke(&world.ledger, Some(&aozora()), "kanri", by).await.unwrap().len(), 2);
    assert!(!is_known(&world, &tokens[1].1).await && !is_known(&world, &tokens[2].1).await);
    assert!(matches!(revoke(&world.ledger, Some(&aozora()), "kanri", by).await, Err(TokenError::NotFound)));
}

#[tokio::test]
async fn the_log_calls_no_two_people_the_same() {
    let world = World::new().await;
    made(&world, "ito", None).await.unwrap();
    made(&world, "sato", Some(&aozora())).await.unwrap();
    assert!(matches!(made(&world, "ito", Some(&aozora())).await, Err(TokenError::Taken(_))));
    assert!(matches!(made(&world, "sato", None).await, Err(TokenError::Taken(_))));
}

#[tokio::test]
async fn a_token_that_somebody_asks_for_has_an_end() {
    let world = World::new().await;
    for (life, fits) in [(HOUR, true), (366 * DAY, true), (HOUR - MINUTE, false), (367 * DAY, false)] {
        let wanted = Wanted { name: &name("kanri"), tenant: Some(&aozora()), life: Some(life), by: "person:admin", now: world.now };
        assert_eq!(make(&world.ledger, wanted).await.is_ok(), fits, "{life:?}");
    }
}
