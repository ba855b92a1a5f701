//! `tegata serve`: runs the server until it is told to stop.

pub mod mail;
mod oidc;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use tegata_server::serve::{self, Config};
use tegata_server::store::sql::postgres::Address;
use tegata_server::telemetry::export::Export;
use tegata_tlog::policy::Policy;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::serve::mail::MailOptions;
use crate::witness::policy;
use crate::{output, session};

/// Run the server: one process, one folder
#[derive(Args)]
#[command(
    after_help = "Examples:\n  $ tegata serve --state /var/lib/tegata --listen 0.0.0.0:8443 --name tegata.example.jp\n  $ tegata serve --watch /etc/tegata/policies --tenant aozora\n\nWhat it does is logged to standard error; TEGATA_LOG chooses how much (such as `info` or `tegata_server=debug`). Spans, figures, logs and the audit log are sent to a collector of OpenTelemetry where OTEL_EXPORTER_OTLP_ENDPOINT names one, by HTTP with protobuf; the other OTEL_ variables are followed too."
)]
pub struct Serve {
    /// The folder for everything that must survive [default: ~/.local/state/tegata]
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A PostgreSQL database to keep everything in, postgres://user@host/name, instead of a file in --state; a password goes into PGPASSWORD
    #[arg(long, env = "TEGATA_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<Address>,
    /// Address and port; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8443", value_name = "ADDR")]
    listen: SocketAddr,
    /// DNS names and IP addresses of this server, for its certificate; people and agents reach it by the first
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
    /// Address and port where revocation lists and OCSP are served without TLS too: certificates name it, under the first --name
    #[arg(long, value_name = "ADDR")]
    revocation_listen: Option<SocketAddr>,
    /// Address and port where figures are served for Prometheus, under /metrics: without TLS, to whoever asks, with the names of all clinics
    #[arg(long, value_name = "ADDR")]
    metrics_listen: Option<SocketAddr>,
    /// A folder of policy files that is applied to the tenant whenever it changes
    #[arg(long, value_name = "DIR")]
    watch: Option<PathBuf>,
    /// The private key with which backups are carried to SFTP targets: a file as ssh-keygen writes it, without a passphrase
    #[arg(long, value_name = "FILE")]
    backup_key: Option<PathBuf>,
    /// The keys with which backups are carried to S3 targets: a file as Amazon's own tools keep them, ~/.aws/credentials
    #[arg(long, value_name = "FILE")]
    backup_credentials: Option<PathBuf>,
    /// The witnesses of the audit logs, and how many it takes: a policy as C2SP tlog-policy writes it. Its lines `log` say which logs, without
    /// one it is all of them; witnesses are asked at the URLs behind their keys
    #[arg(long, value_name = "FILE", value_parser = policy)]
    witnesses: Option<Policy>,
    /// The OpenID providers by which people sign in, and to which tenants: YAML of the kind OpenIdProvider (`tegata schema OpenIdProvider`)
    #[arg(long, value_name = "FILE")]
    oidc: Option<PathBuf>,
    #[command(flatten)]
    mail: MailOptions,
}

impl Serve {
    /// Serves until SIGTERM, Ctrl-C, or the end of the database.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let export = Export::from_environment().map_err(Failure::Export)?;
        log(export.as_ref());
        let state = self.state.unwrap_or_else(session::default_state);
        let access_file = state.join("admin.json");
        let mail = self.mail.read()?;
        let providers = self.oidc.as_deref().map(oidc::read).transpose()?.unwrap_or_default();
        let policies = self.watch.map(|folder| (global.tenant(), folder));
        let config = Config {
            state,
            database: self.database,
            listen: self.listen,
            names: self.names,
            plain: self.revocation_listen,
            metrics: self.metrics_listen,
            export: export.clone(),
            policies,
            mail,
            backup_key: self.backup_key,
            backup_credentials: self.backup_credentials,
            witnesses: self.witnesses,
            providers,
        };
        let server = serve::start(config).await.map_err(Failure::Serve)?;
        let access = if access_file.exists() {
            format!("access for people: {}", access_file.display())
        } else {
            "access for people: as the first server on this database made it".to_owned()
        };
        output::print(&format!("listening on {} ({})\n{access}", server.address(), server.access().server))?;
        let failed = tokio::select! {
            () = server.failed() => true,
            () = told_to_stop() => false,
        };
        server.stop().await;
        if let Some(export) = export {
            export.stop().await;
        }
        if failed { Err(Failure::DatabaseFailed) } else { Ok(Exit::Fine) }
    }
}

/// Returns when somebody wants the program to end: Ctrl-C, or SIGTERM where there is such a thing.
pub async fn told_to_stop() {
    let interrupt = async {
        if tokio::signal::ctrl_c().await.is_err() {
            // Nobody can tell us to stop in this way; the other way remains.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = interrupt => {}
        () = terminated() => {}
    }
}

#[cfg(unix)]
async fn terminated() {
    match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

#[cfg(not(unix))]
async fn terminated() {
    std::future::pending().await
}

/// Logs to standard error, and to a collector where the environment names one.
pub fn log(export: Option<&Export>) {
    let filter = EnvFilter::try_from_env("TEGATA_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let console = tracing_subscriber::fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    // An error would only say that somebody logs already.
    let _ = tracing_subscriber::registry().with(filter).with(console).with(export.and_then(Export::layer)).try_init();
}
