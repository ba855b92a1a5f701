//! What an ID token has to say (OpenID Connect Core, section 3.1.3.7), and by whom it has to be signed.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use tegata_core::access::Login;
use tegata_core::name::is_deceptive;
use tegata_core::time::{MINUTE, Timestamp};
use tegata_pki::key::same;

use super::provider::ProviderSettings;

/// Asymmetric algorithms only. `none` is no algorithm, and with a shared secret everybody who can check a token could make one.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// How far the clocks of two machines may be apart.
const LEEWAY: Duration = MINUTE;
/// The longest name of a person or group, in bytes (OpenID Connect Core, section 2, of `sub`).
const ID_MAX: usize = 255;
/// So many groups are kept of one person.
const GROUPS_MAX: usize = 1_000;

/// What is wrong with an ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenFault {
    /// It is no token.
    Unreadable,
    /// It is not signed, or by an algorithm that proves nothing.
    Algorithm,
    /// By a key that the provider does not name.
    Key,
    /// The signature is wrong.
    Signature,
    /// Another provider has made it.
    Issuer,
    /// It is not for this server, or for others too.
    Audience,
    /// It is not for whoever asked for it.
    Party,
    /// It is too old.
    Expired,
    /// It is from the future, or from before the sign-in began.
    Time,
    /// It is of another sign-in.
    Nonce,
    /// It does not say who they are.
    Subject,
    /// The list of groups is none, or endless.
    Groups,
    /// They did not sign in as it has to be.
    Means,
}

impl TokenFault {
    /// What the log calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Algorithm => "algorithm",
            Self::Key => "key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
            Self::Party => "party",
            Self::Expired => "expired",
            Self::Time => "time",
            Self::Nonce => "nonce",
            Self::Subject => "subject",
            Self::Groups => "groups",
            Self::Means => "means",
        }
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreadable => "what the provider gave is no ID token",
            Self::Algorithm => "the ID token is not signed, or by an algorithm that is not taken",
            Self::Key => "the ID token is signed by a key that the provider does not name",
            Self::Signature => "the signature of the ID token is wrong",
            Self::Issuer => "the ID token is of another issuer",
            Self::Audience => "the ID token is for somebody else; see clientId and audience of the provider",
            Self::Party => "the ID token was given to another client",
            Self::Expired => "the ID token has expired; check the clocks of server and provider",
            Self::Time => "the ID token was made before this sign-in, or in the future; check the clocks of server and provider",
            Self::Nonce => "the ID token is of another sign-in",
            Self::Subject => "the ID token does not say who you are (sub)",
            Self::Groups => "the groups in the ID token are no list of texts, or too many; see groupsClaim of the provider",
            Self::Means => "you did not sign in by the means that are asked for here; see acr and amr of the provider",
        })
    }
}

impl std::error::Error for TokenFault {}

/// The keys of a provider that tokens may be signed by.
#[derive(Debug, Clone, Default)]
pub struct Keys(Vec<Jwk>);

impl Keys {
    /// Reads a JSON Web Key Set (RFC 7517). Keys of other kinds are left out.
    pub fn read(set: &Value) -> Option<Self> {
        let keys = set.get("keys")?.as_array()?.iter().filter_map(|key| serde_json::from_value::<Jwk>(key.clone()).ok());
        Some(Self(keys.filter(is_for_signatures).collect()))
    }

    /// The key that a token names. Where it names none, the provider has to have only one that fits.
    fn of(&self, header: &Header) -> Option<DecodingKey> {
        let is_meant = |key: &&Jwk| header.kid.is_none() || key.common.key_id == header.kid;
        let fits = |key: &&Jwk| key.common.key_algorithm.is_none_or(|own| own.to_string() == format!("{:?}", header.alg));
        let fitting = self.0.iter().filter(is_meant).filter(fits).filter_map(|key| DecodingKey::from_jwk(key).ok());
        let mut fitting = fitting.filter(|key| key.family().algorithms().contains(&header.alg));
        let key = fitting.next()?;
        fitting.next().is_none().then_some(key)
    }
}

fn is_for_signatures(key: &Jwk) -> bool {
    let is_public = !matches!(key.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_));
    is_public && matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature))
}

/// What a token is compared with.
#[derive(Clone, Copy)]
pub struct Expected<'a> {
    /// Whose it has to be, and for whom.
    pub settings: &'a ProviderSettings,
    /// Of which sign-in.
    pub nonce: &'a str,
    /// When that began.
    pub since: Timestamp,
}

/// Who a token says that somebody is, if it may be believed.
///
/// # Errors
/// [`TokenFault`]. [`TokenFault::Key`] may be cured by asking the provider for its keys anew.
pub fn verify(token: &str, keys: &Keys, expected: Expected<'_>, now: Timestamp) -> Result<Login, TokenFault> {
    let claims = signed(token, keys)?;
    let provider = &expected.settings.provider;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(&provider.issuer) {
        return Err(TokenFault::Issuer);
    }
    let audience = texts(claims.get("aud")).ok_or(TokenFault::Audience)?;
    let is_known = |other: &str| other == provider.client_id || provider.audience.contains(other);
    if !audience.contains(&*provider.client_id) || !audience.iter().all(|other| is_known(other)) {
        return Err(TokenFault::Audience);
    }
    if claims.get("azp").map_or(audience.len() > 1, |party| party.as_str() != Some(&provider.client_id)) {
        return Err(TokenFault::Party);
    }
    in_time(&claims, expected.since, now)?;
    if !text("nonce").is_some_and(|nonce| same(nonce.as_bytes(), expected.nonce.as_bytes())) {
        return Err(TokenFault::Nonce);
    }
    let subject = text("sub").filter(|subject| is_id(subject)).ok_or(TokenFault::Subject)?;
    let has_one = |name: &str, wanted: &[String]| {
        let said = texts(claims.get(name)).unwrap_or_default();
        wanted.is_empty() || wanted.iter().any(|wanted| said.contains(&**wanted))
    };
    if !has_one("acr", &provider.acr) || !has_one("amr", &provider.amr) {
        return Err(TokenFault::Means);
    }
    let groups = groups(claims.get(&provider.groups_claim))?;
    Ok(Login { issuer: provider.issuer.clone(), subject: subject.to_owned(), groups })
}

/// What stands in a token that one of these keys has signed.
fn signed(token: &str, keys: &Keys) -> Result<Map<String, Value>, TokenFault> {
    // An algorithm that the library does not know, such as `none`, makes the header unreadable.
    let header =
        decode_header(token).map_err(|_| if token.split('.').count() == 3 { TokenFault::Algorithm } else { TokenFault::Unreadable })?;
    if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
        return Err(TokenFault::Algorithm);
    }
    let key = keys.of(&header).ok_or(TokenFault::Key)?;
    // The signature is the library's work; what the token says is looked at by `verify`, by the server's own clock.
    let mut validation = Validation::new(header.alg);
    validation.required_spec_claims.clear();
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    decode(token, &key, &validation).map(|data| data.claims).map_err(|_| TokenFault::Signature)
}

fn in_time(claims: &Map<String, Value>, since: Timestamp, now: Timestamp) -> Result<(), TokenFault> {
    // Seconds since 1970, whole or not (RFC 7519, section 2). What lies past 2^53 is no moment.
    let moment = |name: &str| claims.get(name).and_then(Value::as_f64).filter(|seconds| seconds.abs() < 9e15).map(|seconds| seconds as i64);
    let leeway = LEEWAY.as_secs().cast_signed();
    if moment("exp").is_none_or(|end| now.unix() >= end + leeway) {
        return Err(TokenFault::Expired);
    }
    let is_from_then = moment("iat").is_some_and(|made| (since.unix() - leeway..=now.unix() + leeway).contains(&made));
    let has_begun = claims.get("nbf").is_none_or(|_| moment("nbf").is_some_and(|begin| begin <= now.unix() + leeway));
    if is_from_then && has_begun { Ok(()) } else { Err(TokenFault::Time) }
}

/// One text, or a list of texts.
fn texts(value: Option<&Value>) -> Option<BTreeSet<&str>> {
    match value? {
        Value::String(text) => Some(BTreeSet::from([&text[..]])),
        Value::Array(items) => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn groups(claim: Option<&Value>) -> Result<BTreeSet<String>, TokenFault> {
    if claim.is_none_or(Value::is_null) {
        return Ok(BTreeSet::new());
    }
    let groups = texts(claim).filter(|groups| groups.len() <= GROUPS_MAX).ok_or(TokenFault::Groups)?;
    // What no binding could name is nobody's group.
    Ok(groups.into_iter().filter(|group| is_id(group)).map(str::to_owned).collect())
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= ID_MAX && text.trim() == text && !text.chars().any(is_deceptive)
}
