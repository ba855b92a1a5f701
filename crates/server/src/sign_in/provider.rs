//! One OpenID provider: where its doors are, by which keys it signs, and what it gives for a code.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use form_urlencoded::Serializer;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::Value;
use tegata_api::v1::sign_in::Begin;
use tegata_api::yaml::OpenIdProvider;
use tegata_core::name::{ProviderName, TenantName};
use tegata_core::time::{HOUR, MINUTE, Timestamp};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::ticket;
use super::token::Keys;
use crate::web::{self, told};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 256 << 10;
/// How long doors and keys are taken as they were.
const KNOWN_FOR: Duration = HOUR;
/// How long they are not asked for again because of a key that is not among them.
const ANEW_AFTER: Duration = MINUTE;
/// How long a provider that failed is not asked again.
const REST: Duration = Duration::from_secs(10);
/// So many codes are exchanged at once; whoever has none waits for a moment.
const AT_ONCE: usize = 8;

/// A provider, and what lies in the files that it names.
#[derive(Clone)]
pub struct ProviderSettings {
    /// As it was written.
    pub provider: OpenIdProvider,
    /// What it knows this server by.
    pub secret: Option<Zeroizing<String>>,
    /// The authorities of its certificate, PEM; `None`: those of the operating system.
    pub authority: Option<String>,
}

impl fmt::Debug for ProviderSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSettings").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// Why a provider cannot be used at all.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// There is no certificate in the file.
    #[error("there is no certificate (PEM) in the authorityFile of provider '{0}'")]
    Authority(ProviderName),
    /// There is no client.
    #[error("a client for provider '{0}' cannot be made")]
    Client(ProviderName, #[source] reqwest::Error),
}

/// Why a provider cannot be asked now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Too many people sign in at once.
    Busy,
    /// No connection, or no answer.
    Unreachable(String),
    /// It says no: the client or its secret is wrong, or something there is.
    Refuses(String),
    /// It answers something that is not of this protocol.
    Nonsense(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("is asked by too many at once"),
            Self::Unreachable(what) => write!(f, "cannot be reached: {what}"),
            Self::Refuses(what) => write!(f, "refuses this server: {what}; check clientId and clientSecretFile"),
            Self::Nonsense(what) => write!(f, "answers what no OpenID provider answers: {what}"),
        }
    }
}

/// What a provider says of itself (OpenID Connect Discovery, section 3), as far as it matters here.
#[derive(Debug, Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
}

/// What is known of a provider.
#[derive(Debug)]
struct Known {
    metadata: Metadata,
    keys: Keys,
    at: Timestamp,
}

/// What came of asking it. Whoever asks holds this: others wait for the same answer.
#[derive(Debug, Default)]
struct Memory {
    known: Option<Arc<Known>>,
    /// When it was asked in vain last, and why that was.
    failed: Option<(Timestamp, Trouble)>,
}

/// What is given for an ID token.
pub struct Exchange<'a> {
    /// The code.
    pub code: &'a str,
    /// What its challenge was made of.
    pub verifier: &'a str,
    /// Where the code came to.
    pub redirect: &'a str,
}

/// A provider that is asked.
pub struct Provider {
    settings: ProviderSettings,
    client: Client,
    memory: Mutex<Memory>,
    places: Semaphore,
}

impl Provider {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn new(settings: ProviderSettings) -> Result<Self, ProviderError> {
        let client = client(&settings)?;
        Ok(Self { settings, client, memory: Mutex::default(), places: Semaphore::new(AT_ONCE) })
    }

    /// What it is called here.
    pub fn name(&self) -> &ProviderName {
        &self.settings.provider.name
    }

    /// What it is called in tokens and bindings.
    pub fn issuer(&self) -> &str {
        &self.settings.provider.issuer
    }

    /// How long a session lives.
    pub fn life(&self) -> Duration {
        self.settings.provider.life
    }

    /// How it is meant.
    pub fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// True for the tenants that it is for.
    pub fn is_for(&self, tenant: &TenantName) -> bool {
        self.settings.provider.tenants.contains(tenant)
    }

    /// Where a browser signs in.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn address(&self, begin: &Begin, nonce: &str, now: Timestamp) -> Result<String, Trouble> {
        let known = self.known(now, KNOWN_FOR).await?;
        let provider = &self.settings.provider;
        let mut address = door(&known.metadata.authorization_endpoint)?;
        let scopes = std::iter::once("openid").chain(provider.scopes.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        let mut query = address.query_pairs_mut();
        query.append_pair("response_type", "code").append_pair("client_id", &provider.client_id).append_pair("scope", &scopes);
        query.append_pair("redirect_uri", &ticket::redirect(begin.port)).append_pair("state", &begin.state);
        query.append_pair("nonce", nonce).append_pair("code_challenge", &begin.challenge).append_pair("code_challenge_method", "S256");
        if !provider.acr.is_empty() {
            query.append_pair("acr_values", &provider.acr.join(" "));
        }
        drop(query);
        Ok(address.into())
    }

    /// Gives a code back for an ID token; `None` if the provider does not take the code.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn exchange(&self, exchange: Exchange<'_>, now: Timestamp) -> Result<Option<Zeroizing<String>>, Trouble> {
        #[derive(Deserialize)]
        struct Given {
            id_token: String,
        }
        let _place = timeout(PATIENCE, self.places.acquire()).await.map_err(|_| Trouble::Busy)?.map_err(|_| Trouble::Busy)?;
        let known = self.known(now, KNOWN_FOR).await?;
        let response = self.asked_for(&known.metadata, &exchange)?.send().await.map_err(|error| Trouble::Unreachable(told(&error)))?;
        let status = response.status();
        let answer = read(response).await?;
        if status.is_success() {
            let given: Result<Given, _> = serde_json::from_slice(&answer);
            return given.map(|given| Some(given.id_token.into())).map_err(|_| Trouble::Nonsense("no ID token for a code".into()));
        }
        let error = serde_json::from_slice::<Value>(&answer).ok().and_then(|answer| Some(answer.get("error")?.as_str()?.to_owned()));
        match error.as_deref() {
            Some("invalid_grant") => Ok(None),
            Some(word) => Err(Trouble::Refuses(word.chars().filter(char::is_ascii_graphic).take(60).collect())),
            None => Err(Trouble::Nonsense(format!("HTTP status {} for a code", status.as_u16()))),
        }
    }

    fn asked_for(&self, metadata: &Metadata, exchange: &Exchange<'_>) -> Result<RequestBuilder, Trouble> {
        let provider = &self.settings.provider;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code").append_pair("code", exchange.code);
        form.append_pair("redirect_uri", exchange.redirect).append_pair("code_verifier", exchange.verifier);
        let mut request = self.client.post(door(&metadata.token_endpoint)?).header(ACCEPT, "application/json");
        let methods = &metadata.token_endpoint_auth_methods_supported;
        match &self.settings.secret {
            // Where a provider says nothing, it takes the secret so (Discovery, section 3). Both are encoded before (RFC 6749, section 2.3.1).
            Some(secret) if methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic") => {
                // A blank as %20, which every decoder takes: some take + for itself.
                let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
                request = request.basic_auth(encoded(&provider.client_id), Some(encoded(secret)));
            }
            Some(secret) => {
                form.append_pair("client_id", &provider.client_id).append_pair("client_secret", secret);
            }
            None => {
                form.append_pair("client_id", &provider.client_id);
            }
        }
        Ok(request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.finish()))
    }

    /// The keys that it signs by.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn keys(&self, now: Timestamp) -> Result<Keys, Trouble> {
        Ok(self.known(now, KNOWN_FOR).await?.keys.clone())
    }

    /// The same, asked for anew: once a minute at most, whoever brings tokens by keys that nobody knows.
    ///
    /// # Errors
    /// [`Trouble`].
    pub async fn keys_anew(&self, now: Timestamp) -> Result<Keys, Trouble> {
        Ok(self.known(now, ANEW_AFTER).await?.keys.clone())
    }

    async fn known(&self, now: Timestamp, good_for: Duration) -> Result<Arc<Known>, Trouble> {
        let mut memory = self.memory.lock().await;
        if let Some(known) = memory.known.as_ref().filter(|known| now < known.at.after(good_for)) {
            return Ok(known.clone());
        }
        if let Some((_, trouble)) = memory.failed.as_ref().filter(|(since, _)| now < since.after(REST)) {
            return Err(trouble.clone());
        }
        match self.learn(now).await {
            Ok(learnt) => Ok(memory.known.insert(learnt.into()).clone()),
            Err(trouble) => {
                memory.failed = Some((now, trouble.clone()));
                Err(trouble)
            }
        }
    }

    async fn learn(&self, now: Timestamp) -> Result<Known, Trouble> {
        let place = format!("{}/.well-known/openid-configuration", self.issuer().trim_end_matches('/'));
        let metadata: Metadata = self.fetch(&place).await?;
        if metadata.issuer != self.issuer() {
            let told = metadata.issuer.chars().take(200).collect::<String>();
            return Err(Trouble::Nonsense(format!("it calls itself {told:?}; write that for issuer, in bindings too")));
        }
        let set: Value = self.fetch(&metadata.jwks_uri).await?;
        let keys = Keys::read(&set).ok_or_else(|| Trouble::Nonsense("no key set".into()))?;
        Ok(Known { metadata, keys, at: now })
    }

    async fn fetch<T: serde::de::DeserializeOwned>(&self, place: &str) -> Result<T, Trouble> {
        let response = self
            .client
            .get(door(place)?)
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(|error| Trouble::Unreachable(told(&error)))?;
        if response.status() != StatusCode::OK {
            return Err(Trouble::Nonsense(format!("HTTP status {} at {place}", response.status().as_u16())));
        }
        serde_json::from_slice(&read(response).await?).map_err(|_| Trouble::Nonsense(format!("what it says at {place}")))
    }
}

/// An address of a provider: nothing is said to one without TLS.
fn door(text: &str) -> Result<Url, Trouble> {
    let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.has_host());
    url.ok_or_else(|| Trouble::Nonsense(format!("{:?} is no https address", text.chars().take(200).collect::<String>())))
}

async fn read(mut response: Response) -> Result<Zeroizing<Vec<u8>>, Trouble> {
    let mut answer = Zeroizing::new(Vec::new());
    while let Some(part) = response.chunk().await.map_err(|error| Trouble::Unreachable(told(&error)))? {
        if answer.len() + part.len() > ANSWER_MAX {
            return Err(Trouble::Nonsense("an answer without end".into()));
        }
        answer.extend_from_slice(&part);
    }
    Ok(answer)
}

/// Nobody is followed elsewhere, and no authority is believed but those that are meant.
fn client(settings: &ProviderSettings) -> Result<Client, ProviderError> {
    let name = || settings.provider.name.clone();
    let roots = match settings.authority.as_deref().map(web::roots_in) {
        None => web::system_roots(),
        Some((_, 0)) => return Err(ProviderError::Authority(name())),
        Some((roots, _)) => roots,
    };
    let client = web::client(web::tls(roots)).no_proxy();
    client.connect_timeout(PATIENCE).timeout(PATIENCE).build().map_err(|error| ProviderError::Client(name(), error))
}
