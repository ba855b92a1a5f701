//! Starts a server and stops it: the composition of everything else, in named pieces.

pub mod certificate;
pub mod folder;
mod owner;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tegata_api::v1::fleet::Access;
use tegata_core::name::TenantName;
use tegata_pki::key::Seal;
use tegata_tlog::policy::Policy;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Told;
use crate::audit::Ledger;
use crate::backup::carrier::Carrier;
use crate::backup::target::Access as TargetAccess;
use crate::bells::Bells;
use crate::clock::Clock;
use crate::enroll::{CodeKey, Enrolment};
use crate::http::{self, App};
use crate::indexer;
use crate::issuers::authorities::{Authorities, AuthorityError, INSTANCE, Own};
use crate::issuers::ocsp::Responders;
use crate::issuers::order::Issuance;
use crate::issuers::publication::Publication;
use crate::issuers::revocation::Lists;
use crate::issuers::signer::Signer;
use crate::log::keys::LogKeys;
use crate::log::sequencer::Sequencer;
use crate::log::witnesses::{self, Witnesses};
use crate::mail::{MailError, MailSettings, Mailer};
use crate::neighbours;
use crate::notify::keys::WebhookKeys;
use crate::notify::post::Post;
use crate::notify::webhook::Hooks;
use crate::portal::{Desk, PortalKey};
use crate::serve::certificate::{CertificateError, ServerCertificate};
use crate::serve::folder::{Folder, FolderError};
use crate::sign_in::provider::{ProviderError, ProviderSettings};
use crate::sign_in::{SignIn, SignInKey};
use crate::store::sql::Database;
use crate::store::sql::postgres::Address;
use crate::store::{Store, StoreError};
use crate::telemetry::export::Export;
use crate::telemetry::instruments::Instruments;
use crate::telemetry::{Meters, Telemetry, TelemetryError};
use crate::tls::{self, Door};
use crate::tokens::TokenError;
use crate::{turn, watch};

/// How long requests may take to finish once the server stops.
const STOP_PATIENCE: Duration = Duration::from_secs(9);
/// How long whatever is left may take to notice that it is ended.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// What a server is told when it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The state folder. Made at first start.
    pub state: PathBuf,
    /// Where the database is. None: in the state folder.
    pub database: Option<Address>,
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// DNS names and IP addresses for the server's certificate; the first is how people and agents reach it. Empty: the address
    /// that it listens on. This machine's own names (`localhost`, `127.0.0.1`, `::1`) are always added.
    pub names: Vec<String>,
    /// Where revocation data is served without TLS too, if anywhere: certificates name this address then, because most programs that
    /// check them can ask no other.
    pub plain: Option<SocketAddr>,
    /// Where figures are served for Prometheus, without TLS and to whoever asks, if anywhere: they name the clinics of all tenants.
    pub metrics: Option<SocketAddr>,
    /// Where telemetry is sent, if anywhere.
    pub export: Option<Export>,
    /// A folder of policy files that is applied whenever it changes, and the tenant that it is for.
    pub policies: Option<(TenantName, PathBuf)>,
    /// Where mail is handed in. `None`: what would be mailed is said on the console only.
    pub mail: Option<MailSettings>,
    /// The private key with which backups are carried by SFTP. `None`: such targets fail.
    pub backup_key: Option<PathBuf>,
    /// The keys with which backups are carried to S3, as Amazon's tools keep them. `None`: such targets fail.
    pub backup_credentials: Option<PathBuf>,
    /// Who witnesses the logs, and how many of them it takes. `None`: nobody is asked.
    pub witnesses: Option<Policy>,
    /// Who says who people are. None: they are known by tokens alone.
    pub providers: Vec<ProviderSettings>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The state folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The owner's token cannot be made.
    #[error("the token of the installation's owner cannot be made")]
    Token(#[from] TokenError),
    /// One of the server's own authorities cannot be had.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The server's certificate cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The mail settings make no sense.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// A witness's address is none.
    #[error("witness '{0}' has an address that is none; write http://… or https://… behind its key")]
    Witness(String),
    /// Witnesses cannot be asked.
    #[error("a client for witnesses cannot be made")]
    Witnesses(#[source] reqwest::Error),
    /// A provider cannot be asked.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// Nothing can be measured.
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    /// The address is taken, or not this machine's.
    #[error("cannot listen on {address}; choose another address or port with --listen")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The policy folder is for the tenant of the server's own log.
    #[error("tenant '{INSTANCE}' is reserved for the server's own log; choose another name for the tenant of the policy folder")]
    Reserved,
    /// The policy folder cannot be read. One that is empty for now can.
    #[error("cannot read the policy folder {}; check --watch, and that the user of the server may read there", path.display())]
    Policies {
        /// The folder.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// A running server. Dropping it ends it at once; [`Server::stop`] lets requests finish.
pub struct Server {
    address: SocketAddr,
    metrics: Option<SocketAddr>,
    /// Held because nothing is measured once it is gone.
    provider: SdkMeterProvider,
    access: Access,
    ledger: Ledger,
    running: Running,
    /// Held so that no other server takes the state folder meanwhile.
    _folder: Folder,
}

/// Everything that runs beside the caller.
#[derive(Clone, Default)]
struct Running {
    /// Cancelled when no new work is wanted.
    stopping: CancellationToken,
    /// Cancelled when all work ends.
    ending: CancellationToken,
    tasks: TaskTracker,
}

/// Starts a server. Returns once it listens.
///
/// # Errors
/// [`ServeError`]. Nothing runs then.
pub async fn start(config: Config) -> Result<Server, ServeError> {
    start_at(config, Clock::system()).await
}

/// [`start`] by any clock, for tests.
async fn start_at(config: Config, clock: Clock) -> Result<Server, ServeError> {
    if config.policies.as_ref().is_some_and(|(tenant, _)| tenant.as_str() == INSTANCE) {
        return Err(ServeError::Reserved);
    }
    if let Some((_, path)) = &config.policies {
        std::fs::read_dir(path).map_err(|source| ServeError::Policies { path: path.clone(), source })?;
    }
    if let Some(witness) = config.witnesses.as_ref().and_then(witnesses::misplaced) {
        return Err(ServeError::Witness(witness.name.clone()));
    }
    let mailer = config.mail.as_ref().map(Mailer::new).transpose()?;
    let folder = Folder::take(&config.state)?;
    let (listener, address) = listen(config.listen).await?;
    let (plain, figures) = (listen_if(config.plain).await?, listen_if(config.metrics).await?);
    let (store, seal) = open(&folder, config.database.as_ref()).await?;
    let sign_in = Arc::new(SignIn::new(&config.providers, SignInKey::of(&seal))?);
    let (code_key, portal_key) = (CodeKey::of(&seal), PortalKey::of(&seal));
    let (webhook_keys, log_keys) = (Arc::new(WebhookKeys::of(&seal)), Arc::new(LogKeys::of(&seal)));
    let meters = Meters::new(config.export.as_ref())?;
    let ledger = Ledger::open(Arc::new(store)).await?.counting(meters.instruments().clone());
    let authorities = Arc::new(Authorities::new(ledger.clone(), clock.clone(), seal));
    let (server, devices) = (Arc::new(authorities.own(Own::Server).await?), Arc::new(authorities.own(Own::Devices).await?));
    let access = owner::access(&folder, &ledger, (&clock, config.database.is_some()), &server, reached_at(&config, address)).await?;

    let running = Running::default();
    let backup_access = TargetAccess {
        key: config.backup_key.clone(),
        credentials: config.backup_credentials.clone(),
        patience: crate::backup::PATIENCE,
        busy: Default::default(),
    };
    // Whatever fails from here on ends what was begun.
    let unless_started = running.stopping.clone().drop_guard();
    let base = Base {
        ledger: ledger.clone(),
        bells: Bells::default(),
        clock,
        instruments: meters.instruments().clone(),
        running: running.clone(),
        mailer,
        webhook_keys,
        log_keys,
        witnesses: config.witnesses.clone().map(Arc::new),
        backup_access,
        sign_in,
    };
    let certificate = base.certificate(server.clone(), certificate_names(&config, address)).await?;
    let tls = tls::config(&devices, certificate.clone())?;
    let published_at = plain.as_ref().map_or(access.server.clone(), |(_, address)| host_and_port("http", &config, *address));
    let desk = base.desk(authorities.clone(), portal_key, (&access.server, &published_at));
    let app = base.app(authorities, devices.clone(), (server, certificate), code_key, &published_at, desk);
    base.clear_drafts(&app).await?;
    base.take_turns();
    base.send_post();
    base.carry_backups();
    base.grow_logs();
    base.ask_witnesses()?;
    base.once_settled(indexer::run(base.ledger.clone(), base.running.stopping.clone()));
    base.watch_policies(config.policies);
    if let Some((listener, _)) = plain {
        base.open_plain_door(listener, app.clone());
    }
    base.open_door(listener, tls, &devices, app);
    running.until_stopping(neighbours::listen(ledger.clone(), base.bells.clone()));
    let (measured, provider) = (figures.as_ref().map(|(_, address)| *address), meters.provider());
    base.tell_figures(figures, config.export.as_ref(), meters)?;
    unless_started.disarm();
    tracing::info!(server = %access.server, "listening");
    Ok(Server { address, metrics: measured, provider, access, ledger, running, _folder: folder })
}

impl Server {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it serves figures.
    pub fn metrics(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// How people reach it, as in `admin.json`.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Stops accepting, answers what is held, lets requests finish, and returns: within 10 seconds, whatever happens.
    pub async fn stop(self) {
        self.running.stopping.cancel();
        self.running.tasks.close();
        if timeout(STOP_PATIENCE, self.running.tasks.wait()).await.is_err() {
            tracing::warn!("some requests did not finish in time");
        }
        self.running.ending.cancel();
        if timeout(END_PATIENCE, self.running.tasks.wait()).await.is_err() {
            tracing::error!("something does not end; leaving it behind");
        }
        let provider = self.provider.clone();
        // A collector that is away does not matter any more. It is given up beside the caller, since whoever drops the last one waits for it.
        let giving_up = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(END_PATIENCE));
        let _ = timeout(END_PATIENCE, giving_up).await;
    }

    /// Returns if the database has failed for good: the process has to end with an error.
    pub async fn failed(&self) {
        self.ledger.store().failed().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.stopping.cancel();
        self.running.ending.cancel();
    }
}

/// What every piece stands on.
struct Base {
    ledger: Ledger,
    bells: Bells,
    clock: Clock,
    instruments: Instruments,
    running: Running,
    mailer: Option<Mailer>,
    webhook_keys: Arc<WebhookKeys>,
    log_keys: Arc<LogKeys>,
    witnesses: Option<Arc<Policy>>,
    backup_access: TargetAccess,
    sign_in: Arc<SignIn>,
}

impl Base {
    /// Issues the server's certificate and keeps it fresh.
    async fn certificate(&self, signer: Arc<Signer>, names: Vec<String>) -> Result<Arc<ServerCertificate>, CertificateError> {
        let certificate = Arc::new(ServerCertificate::issue(self.ledger.clone(), self.clock.clone(), signer, names).await?);
        let kept = certificate.clone();
        self.running.until_stopping(async move { kept.keep_fresh().await });
        Ok(certificate)
    }

    /// Where staff without an agent are served.
    fn desk(&self, authorities: Arc<Authorities>, key: PortalKey, (address, published_at): (&str, &str)) -> Desk {
        Desk {
            ledger: self.ledger.clone(),
            bells: self.bells.clone(),
            clock: self.clock.clone(),
            authorities,
            address: address.into(),
            publication: Publication::at(published_at),
            shards: Arc::default(),
            mailer: self.mailer.clone(),
            key: key.into(),
            tasks: self.running.tasks.clone(),
        }
    }

    /// What the routes are answered from.
    fn app(
        &self,
        authorities: Arc<Authorities>,
        devices: Arc<Signer>,
        (server, certificate): (Arc<Signer>, Arc<ServerCertificate>),
        code_key: CodeKey,
        address: &str,
        desk: Desk,
    ) -> App {
        let (ledger, bells, clock) = (self.ledger.clone(), self.bells.clone(), self.clock.clone());
        let publication = Publication::at(address);
        let enrolment = Enrolment::new(ledger.clone(), bells.clone(), clock.clone(), devices, server, code_key);
        let issuance = Issuance {
            ledger: ledger.clone(),
            bells: bells.clone(),
            clock: clock.clone(),
            authorities: authorities.clone(),
            publication: publication.clone(),
            shards: desk.shards.clone(),
        };
        let lists = Lists::new(ledger.clone(), clock.clone(), authorities.clone(), publication).into();
        let responders = Responders::new(ledger.clone(), clock.clone(), authorities.clone()).into();
        let stopping = self.running.stopping.clone();
        App {
            ledger,
            bells,
            clock,
            enrolment: enrolment.into(),
            issuance,
            certificate,
            authorities,
            lists,
            responders,
            stopping,
            mailer: self.mailer.clone(),
            webhook_keys: self.webhook_keys.clone(),
            log_keys: self.log_keys.clone(),
            witnesses: self.witnesses.clone(),
            desk,
            backup_access: self.backup_access.clone(),
            told: Told::default(),
            sign_in: self.sign_in.clone(),
            instruments: self.instruments.clone(),
        }
    }

    fn take_turns(&self) {
        let stopping = self.running.stopping.clone();
        self.once_settled(turn::run(self.ledger.clone(), self.bells.clone(), self.clock.clone(), stopping));
    }

    fn send_post(&self) {
        let (ledger, bells, clock, mailer) = (self.ledger.clone(), self.bells.clone(), self.clock.clone(), self.mailer.clone());
        let post = Post { ledger, bells, clock, mailer, hooks: Hooks::new(self.webhook_keys.clone()) };
        self.once_settled(post.run(self.running.stopping.clone()));
    }

    fn carry_backups(&self) {
        let (ledger, bells, clock, access) = (self.ledger.clone(), self.bells.clone(), self.clock.clone(), self.backup_access.clone());
        let carrier = Carrier { ledger, bells, clock, access };
        self.once_settled(carrier.run(self.running.stopping.clone()));
    }

    /// Ends or forgets what a crash left between two commits: at once, or once something may be given out.
    async fn clear_drafts(&self, app: &App) -> Result<(), StoreError> {
        if !self.ledger.history().is_open {
            app.issuance.finish_drafts().await?;
            return app.desk.forget_drafts().await;
        }
        tracing::warn!("this database was put back from a backup: nothing is given out until `tegata state recover --note …` was said");
        let desk = app.desk.clone();
        self.once_settled(async move {
            if let Err(error) = desk.forget_drafts().await {
                tracing::error!(error = &error as &dyn std::error::Error, "drafts of the portal are left over");
            }
        });
        Ok(())
    }

    /// Begins once something may be given out.
    fn once_settled(&self, work: impl Future<Output = ()> + Send + 'static) {
        let (ledger, stopping) = (self.ledger.clone(), self.running.stopping.clone());
        self.running.tasks.spawn(async move {
            if stopping.run_until_cancelled(ledger.until_settled()).await.is_some() {
                work.await;
            }
        });
    }

    fn grow_logs(&self) {
        let (ledger, clock, keys) = (self.ledger.clone(), self.clock.clone(), self.log_keys.clone());
        let sequencer = Sequencer { ledger, clock, keys };
        self.running.tasks.spawn(sequencer.run(self.running.stopping.clone()));
    }

    fn ask_witnesses(&self) -> Result<(), ServeError> {
        let Some(policy) = self.witnesses.clone() else { return Ok(()) };
        let asking =
            Witnesses::new(self.ledger.clone(), self.clock.clone(), self.log_keys.clone(), policy).map_err(ServeError::Witnesses)?;
        self.once_settled(asking.run(self.running.stopping.clone()));
        Ok(())
    }

    fn watch_policies(&self, policies: Option<(TenantName, PathBuf)>) {
        let Some((tenant, path)) = policies else { return };
        let (ledger, bells, clock) = (self.ledger.clone(), self.bells.clone(), self.clock.clone());
        let settled = ledger.clone();
        self.running.until_stopping(async move {
            settled.until_settled().await;
            watch::Folder { tenant, path, ledger, bells, clock }.watch().await;
        });
    }

    fn open_door(&self, listener: TcpListener, tls: tls::Handshakes, devices: &Signer, app: App) {
        let Running { stopping, ending, tasks } = self.running.clone();
        let (tls, device_authority) = (Some(tls), devices.common_name().to_owned());
        let door = Door { tls, device_authority, app: http::router(app), stopping, ending, tasks };
        self.running.tasks.spawn(door.open(listener));
    }
}

impl Base {
    fn open_plain_door(&self, listener: TcpListener, app: App) {
        self.open_without_tls(listener, http::plain_router(app));
    }

    /// Serves figures where they are asked for, and sends them and the audit log to where the environment says.
    fn tell_figures(&self, listener: Option<(TcpListener, SocketAddr)>, export: Option<&Export>, meters: Meters) -> Result<(), ServeError> {
        let (ledger, clock) = (self.ledger.clone(), self.clock.clone());
        let telemetry = Arc::new(Telemetry::new(meters, ledger.clone(), clock.clone(), export.and_then(Export::sink))?);
        if let Some(export) = export {
            self.running.until_stopping(telemetry.push(export, clock.clone())?);
            if let Some(audit) = export.audit(ledger, clock).map_err(TelemetryError::from)? {
                self.once_settled(audit.run(self.running.stopping.clone()));
            }
        }
        if let Some((listener, address)) = listener {
            if !address.ip().is_loopback() {
                tracing::warn!(%address, "whoever reaches this address reads the names of all clinics in the figures");
            }
            self.open_without_tls(listener, http::metrics::router(telemetry));
        }
        Ok(())
    }

    fn open_without_tls(&self, listener: TcpListener, app: Router) {
        let Running { stopping, ending, tasks } = self.running.clone();
        let door = Door { tls: None, device_authority: String::new(), app, stopping, ending, tasks };
        self.running.tasks.spawn(door.open(listener));
    }
}

impl Running {
    /// Runs something that ends by being dropped.
    fn until_stopping(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stopping = self.stopping.clone();
        self.tasks.spawn(async move { stopping.run_until_cancelled(work).await });
    }
}

async fn listen_if(address: Option<SocketAddr>) -> Result<Option<(TcpListener, SocketAddr)>, ServeError> {
    match address {
        Some(address) => listen(address).await.map(Some),
        None => Ok(None),
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The database, in the state folder or elsewhere, and what its keys are sealed with.
async fn open(folder: &Folder, elsewhere: Option<&Address>) -> Result<(Database, Seal), ServeError> {
    let store = match elsewhere {
        Some(address) => Database::postgres(address).await?,
        None => {
            folder.keep_database_private()?;
            Database::sqlite(&folder.database()).await?
        }
    };
    let seal = folder.seal(store.authorities(None).await?.is_empty())?;
    Ok((store, seal))
}

/// `https://host:port`, by the first name that the server was given.
fn reached_at(config: &Config, address: SocketAddr) -> String {
    host_and_port("https", config, address)
}

fn host_and_port(scheme: &str, config: &Config, address: SocketAddr) -> String {
    let host = match config.names.first() {
        Some(name) => name.clone(),
        None if address.ip().is_unspecified() => "127.0.0.1".to_owned(),
        None => address.ip().to_string(),
    };
    let host = if host.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) { format!("[{host}]") } else { host };
    format!("{scheme}://{host}:{}", address.port())
}

/// The names in the server's certificate: as configured, the address, and this machine's own.
fn certificate_names(config: &Config, address: SocketAddr) -> Vec<String> {
    let mut names = config.names.clone();
    let listens_on = Some(address.ip()).filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
    for name in listens_on.into_iter().chain(["localhost", "127.0.0.1", "::1"].map(String::from)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
