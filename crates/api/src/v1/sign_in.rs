//! Signing in with an OpenID provider: what the command line asks the server, and what the server is told about providers.
//!
//! All under `/v1/tenants/{tenant}`. A tenant without a provider answers like one that was made up.
//!
//! | request | by | answer |
//! |---|---|---|
//! | `POST /sign-in` [`Begin`] | anyone | [`Begun`] |
//! | `POST /sign-in/finish` [`Finish`] | anyone | [`SignedIn`] |
//! | `POST /sign-out` | whoever has the session's token | 204 |
//! | `GET /sessions` | `manage-tokens` | `[`[`Session`]`]` |
//! | `POST /sessions/{session}/revoke` | `manage-tokens` | [`Session`] |

#[cfg(feature = "policy")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Somebody wants to sign in, and listens on this machine for the provider's answer (RFC 8252, section 7.3).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Begin {
    /// With which of the tenant's providers. Left out: with the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The port of 127.0.0.1 that the answer comes to.
    pub port: u16,
    /// What the answer is known by: 43 characters of base64url.
    pub state: String,
    /// SHA-256 of the verifier (RFC 7636, `S256`), base64url: whoever finishes has to know the verifier.
    pub challenge: String,
}

/// Where to sign in.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Begun {
    /// What to open in a browser.
    pub address: String,
    /// Who will answer; an answer that names somebody else (RFC 9207) is not taken.
    pub issuer: String,
    /// What the server has to be given back. Good for ten minutes.
    pub ticket: String,
}

/// The provider has answered.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finish {
    /// As it was given.
    pub ticket: String,
    /// The provider's code. Nobody but the server exchanges it for tokens.
    pub code: String,
    /// What the challenge was made of.
    pub verifier: String,
}

/// Somebody has signed in.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignedIn {
    /// What is known of the session from now on.
    pub session: Session,
    /// The bearer token of the session. It is shown this once.
    pub token: String,
    /// The authority that the server's certificate comes from, PEM.
    pub authority: String,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Its public part.
    pub id: String,
    /// The provider's address.
    pub issuer: String,
    /// The person, as the provider calls them.
    pub subject: String,
    /// When they signed in, in seconds since 1970.
    pub created_at: i64,
    /// From when on they have to sign in anew, in seconds since 1970.
    pub expires_at: i64,
    /// `in-force`, `expired` or `ended`.
    pub state: String,
}

/// A provider by which people sign in, in the file of `tegata serve --oidc`.
#[cfg(feature = "policy")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OpenIdProviderSpec {
    /// The tenants that it is for. Nobody signs in by it to any other.
    #[schemars(length(min = 1, max = 1000))]
    pub tenants: Vec<super::policy::Name>,
    /// Its address, exactly as it stands in its tokens (`iss`) and in the bindings.
    pub issuer: super::policy::Url,
    /// What it knows this server by.
    #[schemars(length(min = 1, max = 255))]
    pub client_id: String,
    /// A file whose first line is the secret that it knows this server by. Left out: there is none, PKCE alone binds a code to its sign-in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<String>,
    /// A file with the authorities (PEM) that the provider's certificate may come from. Left out: those of the operating system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_file: Option<String>,
    /// What is asked for beside `openid`, where the provider lists groups only so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub scopes: Vec<String>,
    /// The claim that lists the ids of somebody's groups. Left out: `groups`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub groups_claim: Option<String>,
    /// Whom its tokens may be for beside this server. Left out: nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub audience: Vec<String>,
    /// How long a session lives: from 5min to 24h. Left out: 8h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Of these ways to sign in (`acr`) it has to be one, such as `phrh` where a provider knows phishing-resistant ones by that name. Left out: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub acr: Vec<String>,
    /// At least one of these means (`amr`, RFC 8176) has to have been used, such as `hwk`. Left out: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub amr: Vec<String>,
}
