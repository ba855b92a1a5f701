//! The routes: who may ask for what, and where it is answered.
//!
//! [`access`] lets people through, by the right that each route names. [`agent`] answers devices, [`people`], [`mod@audit`], [`log`](mod@log), [`vendor`], [`offline`], [`backup`], [`notices`], [`playbooks`] and [`recovery`] answer bearer tokens, [`sign_in`] gives them to people whom a provider knows,
//! [`public`] and [`revocation`] answer anyone,
//! [`portal`] answers browsers. How the server says no is made in [`refuse`] alone.

pub mod access;
pub mod agent;
pub mod audit;
pub mod backup;
pub mod log;
pub mod metrics;
pub mod notices;
pub mod offline;
pub mod people;
pub mod playbooks;
pub mod portal;
pub mod public;
pub mod recovery;
pub mod refuse;
pub mod revocation;
pub mod sign_in;
pub mod vendor;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, FromRef, FromRequest, MatchedPath, Request, State};
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Json, Router};
use opentelemetry::trace::FutureExt;
use tegata_api::v1::device::HOLD_SECONDS;
use tegata_core::access::Right;
use tegata_core::time::HOUR;
use tegata_tlog::policy::Policy;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;

use crate::access::Told;
use crate::audit::Ledger;
use crate::backup::target::Access;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::enroll::Enrolment;
use crate::http::access::{Door, Narrowing};
use crate::http::refuse::Refusal;
use crate::issuers::authorities::Authorities;
use crate::issuers::ocsp::Responders;
use crate::issuers::order::Issuance;
use crate::issuers::revocation::Lists;
use crate::log::keys::LogKeys;
use crate::mail::Mailer;
use crate::notify::keys::WebhookKeys;
use crate::portal::Desk;
use crate::serve::certificate::ServerCertificate;
use crate::sign_in::SignIn;
use crate::telemetry::instruments::Instruments;
use crate::tls::Peer;

/// How long an ordinary request may take, its body included.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for a request that changes a hundred thousand things.
const LONG_PATIENCE: Duration = Duration::from_secs(600);
/// The same for a request that is held on purpose.
const HELD_PATIENCE: Duration = PATIENCE.saturating_add(Duration::from_secs(HOLD_SECONDS));

/// What handlers are given parts of; none takes the whole.
#[derive(Clone, FromRef)]
pub struct App {
    /// Reads and records.
    pub ledger: Ledger,
    /// Wakes turns and devices.
    pub bells: Bells,
    /// What time it is.
    pub clock: Clock,
    /// Makes and redeems codes.
    pub enrolment: Arc<Enrolment>,
    /// Issues what was ordered.
    pub issuance: Issuance,
    /// Signs what is carried to devices without a network.
    pub certificate: Arc<ServerCertificate>,
    /// Knows every authority.
    pub authorities: Arc<Authorities>,
    /// Knows every revocation list.
    pub lists: Arc<Lists>,
    /// Answer about single certificates.
    pub responders: Arc<Responders>,
    /// Cancelled when the server begins to stop.
    pub stopping: CancellationToken,
    /// Hands letters in, if there is anywhere to hand them in.
    pub mailer: Option<Mailer>,
    /// Makes the keys of webhooks.
    pub webhook_keys: Arc<WebhookKeys>,
    /// Sign checkpoints.
    pub log_keys: Arc<LogKeys>,
    /// Who witnesses logs, if anybody does.
    pub witnesses: Option<Arc<Policy>>,
    /// Serves staff whose PC has no agent.
    pub desk: Desk,
    /// How the server gets into backup targets.
    pub backup_access: Access,
    /// What is on record already of who read and who was refused.
    pub told: Told,
    /// Lets people in whom a provider knows.
    pub sign_in: Arc<SignIn>,
    /// Times requests.
    pub instruments: Instruments,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Anyone who can connect.
    Anyone,
    /// A device, by its identity certificate.
    Device,
    /// A person or a program, by a bearer token that gives this right.
    Person(Right),
}

impl Audience {
    /// The largest body that is read, in bytes. People send whole policy folders.
    fn body_max(self) -> usize {
        match self {
            Self::Anyone => 64 << 10,
            Self::Device => 1 << 20,
            Self::Person(_) => 16 << 20,
        }
    }
}

/// How long what takes much away at once goes on without witnesses.
const FOUR_HOURS: Duration = HOUR.saturating_mul(4);

/// One line of the table of routes.
pub struct Route {
    /// Who may use it.
    pub audience: Audience,
    /// Its method.
    pub method: Method,
    /// Its path, as axum writes it.
    pub path: &'static str,
    /// How it keeps to the clinics that somebody may see.
    pub narrowing: Narrowing,
    /// For how long a log may be without its witnesses before this is not done any more; `None`: it goes on whatever they do.
    pub rests_after: Option<Duration>,
    handler: MethodRouter<App>,
    patience: Duration,
    notes_reads: bool,
}

impl Route {
    fn held(mut self) -> Self {
        self.patience = HELD_PATIENCE;
        self
    }

    /// Its handler keeps to the clinics that the caller may see.
    fn by_handler(mut self) -> Self {
        self.narrowing = Narrowing::Handler;
        self
    }

    /// Its handler puts on record that it was asked.
    fn notes_reads(mut self) -> Self {
        self.notes_reads = true;
        self
    }

    /// It takes much away at once, or lets in what was not there: it waits for those who would vouch that it is on record. No clinic stops
    /// because a witness has: renewing, and revoking one certificate or device, never wait.
    fn rests_without_witnesses(mut self, after: Duration) -> Self {
        self.rests_after = Some(after);
        self
    }

    fn long(mut self) -> Self {
        self.patience = LONG_PATIENCE;
        self
    }

    fn into_handler(self, app: &App) -> MethodRouter<App> {
        let patience = self.patience;
        let handler = match self.audience {
            Audience::Anyone | Audience::Device => self.handler,
            Audience::Person(right) => {
                let door = Door::new(app, right, &self);
                self.handler.route_layer(from_fn_with_state(door, access::pass))
            }
        };
        let limited = move |request: Request, next: Next| async move {
            tokio::time::timeout(patience, next.run(request)).await.unwrap_or_else(|_| Refusal::too_slow().into_response())
        };
        handler.layer(DefaultBodyLimit::max(self.audience.body_max())).layer(from_fn(limited))
    }
}

/// Every route that there is.
pub fn routes() -> Vec<Route> {
    let people = [
        people::routes(),
        access::routes(),
        audit::routes(),
        log::routes(),
        vendor::routes(),
        offline::routes(),
        backup::routes(),
        notices::routes(),
        playbooks::routes(),
        recovery::routes(),
        sign_in::routes(),
    ];
    let people = people.into_iter().flatten();
    let anyone = [public::routes(), revocation::routes(), portal::routes()].into_iter().flatten();
    agent::routes().into_iter().chain(people).chain(anyone).collect()
}

/// Puts the routes together.
pub fn router(app: App) -> Router {
    assemble(app, routes())
}

/// The routes that may be asked without TLS: what they answer is signed, and they are asked by programs that know no TLS.
pub fn plain_router(app: App) -> Router {
    assemble(app, revocation::routes())
}

fn assemble(app: App, routes: Vec<Route>) -> Router {
    let add = |router: Router<App>, route: Route| router.route(route.path, route.into_handler(&app));
    let routed = routes.into_iter().fold(Router::new(), add);
    routed
        .fallback(|| async { Refusal::not_found() })
        .method_not_allowed_fallback(|| async { Refusal::wrong_method() })
        .layer(CatchPanicLayer::custom(refuse::panicked))
        .layer(from_fn_with_state(app.instruments.clone(), observe))
        .with_state(app)
}

fn get<H: Handler<T, App>, T: 'static>(audience: Audience, path: &'static str, handler: H) -> Route {
    route(audience, (Method::GET, path), on(MethodFilter::GET, handler))
}

fn post<H: Handler<T, App>, T: 'static>(audience: Audience, path: &'static str, handler: H) -> Route {
    route(audience, (Method::POST, path), on(MethodFilter::POST, handler))
}

fn route(audience: Audience, (method, path): (Method, &'static str), handler: MethodRouter<App>) -> Route {
    let is_narrow = path.contains("{clinic}") || path.contains("{serial}");
    let narrowing = if is_narrow { Narrowing::Path } else { Narrowing::Tenant };
    Route { audience, method, path, narrowing, rests_after: None, handler, patience: PATIENCE, notes_reads: false }
}

/// A JSON body, or a problem that says what is wrong with it.
#[derive(FromRequest)]
#[from_request(via(Json), rejection(Refusal))]
struct Body<T>(T);

/// A method as it is measured: whoever asks makes up no series.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "_OTHER",
    }
}

/// One line and one measurement for each request. Paths hold names and numbers only; headers, queries and bodies are never logged.
///
/// Devices ask all the time and what they do is in the audit log: their requests are told at `debug`, unless they are refused.
async fn observe(State(instruments): State<Instruments>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let device = request.extensions().get::<Peer>().and_then(Peer::key);
    let watched = instruments.begin(known(&method), route);
    let response = match watched.span() {
        Some(span) => next.run(request).with_context(span).await,
        None => next.run(request).await,
    };
    let status = response.status();
    let took = watched.answered(status.as_u16());
    let ms = took.as_millis();
    match device {
        Some(key) if status.is_success() => tracing::debug!(%method, path, status = status.as_u16(), ms, device = %key, "answered"),
        Some(key) => tracing::info!(%method, path, status = status.as_u16(), ms, device = %key, "answered"),
        None => tracing::info!(%method, path, status = status.as_u16(), ms, "answered"),
    }
    response
}
