//! Calls webhooks: signed, only where they may be, and at the very address that was checked.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use reqwest::{Client, Response, StatusCode, Url};
use rustls::RootCertStore;
use tegata_api::v1::notice::Event;
use tegata_core::name::ClinicId;
use tegata_core::policy::Webhook;
use tegata_core::time::Timestamp;

use super::address::{Reach, reach};
use super::keys::WebhookKeys;
use crate::audit::Recorded;
use crate::store::notices::{DeliveryRow, Outcome};
use crate::web::{self, told};

/// How long it may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
/// How long a call may take in all.
const PATIENCE: Duration = Duration::from_secs(15);
/// How much of an answer is read, so that the connection ends in peace; what it says does not matter.
const ANSWER_MAX: usize = 4 << 10;

/// Asks for the addresses of a host.
pub type Lookup = Arc<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Who calls webhooks.
pub struct Hooks {
    keys: Arc<WebhookKeys>,
    lookup: Lookup,
    roots: Arc<RootCertStore>,
}

impl Hooks {
    /// Asks the system for addresses, and trusts the authorities that the system trusts.
    pub fn new(keys: Arc<WebhookKeys>) -> Self {
        Self::with(keys, Arc::new(|host, port| Box::pin(ask_system(host, port))), web::system_roots())
    }

    /// Asks `lookup` for addresses, and trusts `roots`.
    pub fn with(keys: Arc<WebhookKeys>, lookup: Lookup, roots: RootCertStore) -> Self {
        Self { keys, lookup, roots: roots.into() }
    }

    /// Calls one webhook about one event.
    pub(super) async fn call(
        &self,
        delivery: &Recorded<DeliveryRow>,
        clinic: &ClinicId,
        webhook: &Webhook,
        generation: u32,
        event: &Event,
        now: Timestamp,
    ) -> Outcome {
        let place = match self.place(webhook).await {
            Ok(place) => place,
            Err(outcome) => return outcome,
        };
        let Ok(client) = self.client(&place) else { return Outcome::Failed("TLS cannot be set up for it".into()) };
        let body = serde_json::to_vec(event).expect("an event is plain data with text keys");
        let id = &delivery.get().id;
        let signature = self.keys.sign(clinic, webhook.url.as_str(), generation, id, now, &body);
        let request = client
            .post(place.url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("tegata/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", now.unix().to_string())
            .header("webhook-signature", signature)
            .body(body);
        match request.send().await {
            Ok(response) => judge(response).await,
            Err(error) => Outcome::Later(told(&error)),
        }
    }

    /// Finds out where the webhook is, and whether it may be there.
    async fn place(&self, webhook: &Webhook) -> Result<Place, Outcome> {
        let Ok(url) = Url::parse(webhook.url.as_str()) else { return Err(Outcome::Failed("not a URL".into())) };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Outcome::Failed("the URL names no host".into()));
        };
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let addresses = match literal {
            Ok(address) => vec![address],
            Err(_) => {
                (self.lookup)(host.to_owned(), port).await.map_err(|error| Outcome::Later(format!("{host} is not found: {error}")))?
            }
        };
        if addresses.is_empty() {
            return Err(Outcome::Later(format!("{host} has no address")));
        }
        // One bad address is enough: who answers with a good and a bad one is up to something.
        for address in &addresses {
            match reach(*address) {
                Reach::Public => {}
                Reach::Private if webhook.allow_private => {}
                Reach::Private => {
                    let problem = format!("{host} is in a private network ({address}); if that is right, say allowPrivate: true");
                    return Err(Outcome::Failed(problem));
                }
                Reach::Never => return Err(Outcome::Failed(format!("{host} is at {address}, where no webhook may be"))),
            }
        }
        let (host, addresses) = (host.to_owned(), addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect());
        Ok(Place { url, host, addresses })
    }

    /// A client that connects to the addresses that were checked and asks nobody for others: no proxy, no redirect, no second look-up.
    fn client(&self, place: &Place) -> Result<Client, reqwest::Error> {
        web::client(web::tls(self.roots.clone()))
            .resolve_to_addrs(&place.host, &place.addresses)
            .no_proxy()
            .connect_timeout(CONNECT_PATIENCE)
            .timeout(PATIENCE)
            .pool_max_idle_per_host(0)
            .build()
    }
}

/// Where a webhook is.
struct Place {
    url: Url,
    host: String,
    addresses: Vec<SocketAddr>,
}

async fn ask_system(host: String, port: u16) -> io::Result<Vec<IpAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.map(|address| address.ip()).collect())
}

/// Anything but a success is tried again, as Standard Webhooks says; but not what has gone for good, and nobody is followed elsewhere.
async fn judge(mut response: Response) -> Outcome {
    let status = response.status();
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read >= ANSWER_MAX {
            break;
        }
    }
    match status {
        status if status.is_success() => Outcome::Done,
        status if status.is_redirection() => {
            Outcome::Failed(format!("it answered {}; redirects are not followed, so write the address that it points to", status.as_u16()))
        }
        StatusCode::GONE => Outcome::Failed("it answered 410: it does not want to be told any more".into()),
        status => Outcome::Later(format!("it answered {}", status.as_u16())),
    }
}
