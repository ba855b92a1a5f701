//! The server, in this process, and the stand-in chart beside it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};
use tegata_api::v1::fleet::{ApplyRequest, Documents, Preview};
use tegata_server::serve::{self, Config, Server};

use super::cast::Cast;
use super::emr::{Emr, Outcome, Visit};
use super::progress::Progress;
use crate::session::Session;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Everything but the PCs.
pub struct Stage {
    /// The folder of the demo.
    pub folder: PathBuf,
    /// As the group's administrator.
    pub session: Session,
    /// The stand-in chart.
    pub emr: Emr,
    /// Who came to the chart.
    pub visitors: Arc<Visitors>,
    /// Runs for as long as this lives.
    _server: Server,
}

impl Stage {
    /// Starts the server, applies the policies, and opens the chart.
    pub async fn set(folder: &Path, cast: &Cast, progress: &Progress) -> Result<Self> {
        let config = Config {
            state: folder.join("server"),
            listen: ANY_PORT,
            names: Vec::new(),
            plain: None,
            metrics: None,
            export: None,
            policies: None,
            mail: None,
            backup_key: None,
            backup_credentials: None,
            database: None,
            witnesses: None,
            providers: Vec::new(),
        };
        let server = serve::start(config).await.context("the server did not start")?;
        progress.say(&format!("the server listens on {}", server.address()));
        let session = Session::with(server.access().clone(), cast.tenant.clone())?;
        apply(&session, cast, progress).await?;
        let (emr, visitors) = open_chart(&session, cast).await?;
        progress.say(&format!("the stand-in chart listens on {} and serves {} sites", emr.address(), emr.doors().sites().count()));
        let stage = Self { folder: folder.to_owned(), session, emr, visitors, _server: server };
        fs::write(stage.probe_roots(), stage.emr.web_authority()).context("cannot write the chart's authority")?;
        Ok(stage)
    }

    /// What a PC has to trust to reach the chart.
    pub fn probe_roots(&self) -> PathBuf {
        self.folder.join("web-authority.pem")
    }

    /// Where the administrator's access lies.
    pub fn access_file(&self) -> PathBuf {
        self.folder.join("server/admin.json")
    }

    /// `HOST:443=127.0.0.1:PORT` for every site: the policies keep their real addresses.
    pub fn resolve(&self) -> Vec<String> {
        self.emr.doors().sites().map(|site| format!("{}:443={}", site.host, self.emr.address())).collect()
    }
}

async fn apply(session: &Session, cast: &Cast, progress: &Progress) -> Result<()> {
    let begin = Instant::now();
    let documents = Documents { files: cast.files.clone(), prune: false };
    let preview: Preview = session.post("apply", &ApplyRequest { documents, allow_lockout: 0, allow_over_quota: 0 }).await?;
    let took = begin.elapsed().as_millis();
    progress.say(&format!("applied {} documents in {took} ms: {} actions follow", preview.documents.len(), preview.actions.len()));
    Ok(())
}

async fn open_chart(session: &Session, cast: &Cast) -> Result<(Emr, Arc<Visitors>)> {
    let visitors = Arc::new(Visitors::default());
    let counted = visitors.clone();
    let emr = Emr::start(session.access(), &cast.tenant, cast.sites(), ANY_PORT, move |visit| counted.count(visit)).await?;
    Ok((emr, visitors))
}

/// How many came to the chart, and how they fared.
#[derive(Default)]
pub struct Visitors {
    answered: AtomicU64,
    forbidden: AtomicU64,
    refused: AtomicU64,
}

impl Visitors {
    fn count(&self, visit: &Visit) {
        let counter = match visit.outcome {
            Outcome::Answered(_) => &self.answered,
            Outcome::Forbidden(_) => &self.forbidden,
            Outcome::Refused(_) => &self.refused,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// In words.
    pub fn told(&self) -> String {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        format!(
            "{} let in, {} at another clinic's door (403), {} refused in the handshake",
            of(&self.answered),
            of(&self.forbidden),
            of(&self.refused)
        )
    }
}
