//! What of an ID token is believed.

use data_encoding::BASE64URL_NOPAD;
use tegata_core::access::Login;
use tegata_core::time::{MINUTE, Timestamp};

use super::*;
use crate::sign_in::token::{Expected, Keys, TokenFault, verify};

const NOW: Timestamp = Timestamp::from_unix(1_795_000_000);
const ISSUER: &str = "https://id.example.jp";

fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": "tegata", "sub": "8d1e", "nonce": "n-1", "iat": NOW.unix() - 1, "exp": NOW.unix() + 300,
        "groups": ["g-1", "g-2"], "acr": "phr", "amr": ["pwd", "hwk"], "email": "ito@example.jp",
    })
}

fn with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn read(token: &str, keys: &Value, more: &str) -> Result<Login, TokenFault> {
    let settings = settings(ISSUER, more);
    let since = NOW.before(5 * MINUTE);
    verify(token, &Keys::read(keys).unwrap(), Expected { settings: &settings, nonce: "n-1", since }, NOW)
}

#[test]
fn a_token_by_each_kind_of_key_says_who_somebody_is() {
    for algorithm in [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384] {
        let key = Key::new("k", algorithm);
        let login = read(&key.sign(&claims()), &set(&[&key]), "").unwrap();
        assert_eq!((&login.issuer[..], &login.subject[..], login.groups.len()), (ISSUER, "8d1e", 2), "{algorithm:?}");
        assert_eq!(login.actor(), "login:https://id.example.jp#8d1e");
    }
}

#[test]
fn what_a_token_says_has_to_fit_in_every_point() {
    use TokenFault::{Audience, Expired, Groups, Issuer, Means, Nonce, Party, Subject, Time};
    let key = Key::new("k", Algorithm::ES256);
    let (now, long) = (NOW.unix(), "x".repeat(256));
    for (changes, more, fault) in [
        (json!({ "iss": "https://id.example.jp/" }), "", Issuer),
        (json!({ "iss": "https://evil.example" }), "", Issuer),
        (json!({ "iss": null }), "", Issuer),
        (json!({ "iss": ["https://id.example.jp"] }), "", Issuer),
        (json!({ "aud": "other" }), "", Audience),
        (json!({ "aud": null }), "", Audience),
        (json!({ "aud": [] }), "", Audience),
        (json!({ "aud": "Tegata" }), "", Audience),
        (json!({ "aud": ["tegata", "other"], "azp": "tegata" }), "", Audience),
        (json!({ "aud": ["other"] }), "  audience: [other]\n", Audience),
        (json!({ "aud": ["tegata", "other"] }), "  audience: [other]\n", Party),
        (json!({ "aud": ["tegata", "other"], "azp": "other" }), "  audience: [other]\n", Party),
        (json!({ "azp": "other" }), "", Party),
        (json!({ "exp": now - 60 }), "", Expired),
        (json!({ "exp": null }), "", Expired),
        (json!({ "exp": "9999999999" }), "", Expired),
        (json!({ "exp": 1e300 }), "", Expired),
        (json!({ "iat": now + 61 }), "", Time),
        (json!({ "iat": now - 361 }), "", Time),
        (json!({ "iat": null }), "", Time),
        (json!({ "nbf": now + 61 }), "", Time),
        (json!({ "nbf": "now" }), "", Time),
        (json!({ "nonce": "n-2" }), "", Nonce),
        (json!({ "nonce": "" }), "", Nonce),
        (json!({ "nonce": null }), "", Nonce),
        (json!({ "sub": null }), "", Subject),
        (json!({ "sub": "" }), "", Subject),
        (json!({ "sub": " 8d1e" }), "", Subject),
        (json!({ "sub": "8d1e\u{202e}" }), "", Subject),
        (json!({ "sub": long }), "", Subject),
        (json!({ "groups": 7 }), "", Groups),
        (json!({ "groups": [7] }), "", Groups),
        (json!({ "groups": (0..1_001).map(|n| n.to_string()).collect::<Vec<_>>() }), "", Groups),
        (json!({}), "  acr: [phrh]\n", Means),
        (json!({ "amr": ["pwd"] }), "  amr: [hwk, fpt]\n", Means),
        (json!({ "amr": null }), "  amr: [hwk]\n", Means),
    ] {
        assert_eq!(read(&key.sign(&with(changes.clone())), &set(&[&key]), more), Err(fault), "{changes} {more}");
    }
    for (changes, more) in [
        (json!({ "exp": now - 59 }), ""),
        (json!({ "iat": now - 360 }), ""),
        (json!({ "iat": now as f64 + 0.5 }), ""),
        (json!({ "aud": ["tegata"], "azp": "tegata" }), ""),
        (json!({ "aud": ["tegata", "other"], "azp": "tegata" }), "  audience: [other]\n"),
        (json!({}), "  acr: [phrh, phr]\n  amr: [hwk]\n"),
    ] {
        read(&key.sign(&with(changes.clone())), &set(&[&key]), more).unwrap_or_else(|fault| panic!("{changes}: {fault}"));
    }
}

#[test]
fn groups_come_from_the_claim_that_is_named_and_no_other() {
    let key = Key::new("k", Algorithm::ES256);
    let groups = |changes: Value, more: &str| {
        let login = read(&key.sign(&with(changes)), &set(&[&key]), more).unwrap();
        login.groups.into_iter().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(groups(json!({ "groups": "g-9" }), ""), "g-9");
    assert_eq!(groups(json!({ "groups": null }), ""), "");
    assert_eq!(groups(json!({ "roles": ["r-1"] }), "  groupsClaim: roles\n"), "r-1");
    assert_eq!(groups(json!({ "groups": ["", " g", "g-1", "x".repeat(256)] }), ""), "g-1");
}

#[test]
fn only_the_providers_own_signature_counts() {
    use TokenFault::{Algorithm as Alg, Key as Unknown, Signature, Unreadable};
    let (own, other, rsa) = (Key::new("k", Algorithm::ES256), Key::new("k", Algorithm::ES256), Key::new("r", Algorithm::RS256));
    let token = own.sign(&claims());
    let parts: Vec<&str> = token.split('.').collect();
    let text = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let (changed, none) = (text(with(json!({ "sub": "admin" }))), text(json!({ "alg": "none" })));
    let critical = text(json!({ "alg": "ES256", "kid": "k", "crit": ["b64"], "b64": false }));
    let keys = set(&[&own, &rsa]);
    for (token, fault) in [
        (format!("{}.{changed}.{}", parts[0], parts[2]), Signature),
        (other.sign(&claims()), Signature),
        (format!("{}.{}.", parts[0], parts[1]), Signature),
        (format!("{none}.{}.", parts[1]), Alg),
        (format!("{none}.{}.{}", parts[1], parts[2]), Alg),
        (format!("{critical}.{}.{}", parts[1], parts[2]), Alg),
        (Key { id: Some("x"), ..Key::new("x", Algorithm::ES256) }.sign(&claims()), Unknown),
        (Key { id: Some("r"), ..Key::new("r", Algorithm::ES256) }.sign(&claims()), Unknown),
        (String::new(), Unreadable),
        ("a.b".into(), Unreadable),
        (format!("{token}.{}", parts[2]), Unreadable),
    ] {
        assert_eq!(read(&token, &keys, ""), Err(fault), "{token}");
    }
    assert!(read(&token, &keys, "").is_ok());
}

/// Whoever can read a public key could sign with it as a secret.
#[test]
fn a_public_key_is_no_secret_to_sign_with() {
    let own = Key::new("k", Algorithm::RS256);
    let public = own.published()["n"].as_str().unwrap().to_owned();
    for secret in [public.as_bytes().to_vec(), BASE64URL_NOPAD.decode(public.as_bytes()).unwrap()] {
        let forged = Key { id: Some("k"), algorithm: Algorithm::HS256, key: EncodingKey::from_secret(&secret) };
        assert_eq!(read(&forged.sign(&claims()), &set(&[&own]), ""), Err(TokenFault::Algorithm));
        // A provider that publishes a secret does not make it a key.
        let keys = set(&[&own, &Key { id: Some("k"), algorithm: Algorithm::HS256, key: EncodingKey::from_secret(&secret) }]);
        assert_eq!(read(&forged.sign(&claims()), &keys, ""), Err(TokenFault::Algorithm));
        assert!(read(&own.sign(&claims()), &keys, "").is_ok());
    }
}

#[test]
fn without_a_name_of_the_key_there_may_be_only_one_that_fits() {
    let (mut own, second, rsa) = (Key::new("k", Algorithm::ES256), Key::new("l", Algorithm::ES256), Key::new("r", Algorithm::RS256));
    let mut encrypting = second.published();
    encrypting["use"] = json!("enc");
    let known = own.published();
    own.id = None;
    let token = own.sign(&claims());
    let keys = |keys: &[&Value]| json!({ "keys": keys });
    assert!(read(&token, &keys(&[&known, &rsa.published(), &encrypting, &json!({ "kty": "new" }), &json!(1)]), "").is_ok());
    assert_eq!(read(&token, &keys(&[&known, &second.published()]), ""), Err(TokenFault::Key));
    assert!(Keys::read(&json!({ "keys": 1 })).is_none() && Keys::read(&json!([])).is_none());
}
