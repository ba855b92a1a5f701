//! A provider over TLS, as far as a server asks one.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::uri::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use tegata_core::policy::KeyAlgorithm;
use tegata_core::time::{DAY, HOUR, Timestamp};
use tegata_pki::authority::{Authority, Purpose, new_serial};
use tegata_pki::certificate::to_pem;
use tegata_pki::key::PrivateKey;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What it says.
#[derive(Default)]
pub struct Saying {
    /// Who it says that it is, if it is not who it is.
    pub issuer: Option<String>,
    /// Its key set.
    pub keys: Value,
    /// What it gives for a code: a status and a body.
    pub given: Option<(StatusCode, Value)>,
    /// What it was asked: paths, and the forms of codes.
    pub asked: Vec<String>,
}

/// The provider.
#[derive(Clone)]
pub struct StandIn {
    pub issuer: String,
    pub authority: String,
    pub says: Arc<Mutex<Saying>>,
}

impl StandIn {
    pub async fn start(keys: Value) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let (tls, authority) = tls();
        let own = Self { issuer, authority, says: Arc::new(Mutex::new(Saying { keys, ..Saying::default() })) };
        let app = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys_of))
            .route("/token", post(token))
            .with_state(own.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, app) = (tls.clone(), app.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    let service = TowerToHyperService::new(app);
                    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        own
    }

    pub fn give(&self, id_token: &str) {
        self.says.lock().unwrap().given =
            Some((StatusCode::OK, json!({ "access_token": "a", "token_type": "Bearer", "id_token": id_token })));
    }

    pub fn refuse(&self, status: u16, answer: Value) {
        self.says.lock().unwrap().given = Some((StatusCode::from_u16(status).unwrap(), answer));
    }

    /// How often something was asked.
    pub fn asked(&self, what: &str) -> usize {
        self.says.lock().unwrap().asked.iter().filter(|asked| asked.starts_with(what)).count()
    }
}

/// A certificate for this machine, and the authority that it comes from.
fn tls() -> (TlsAcceptor, String) {
    let now = Timestamp::from_unix(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().cast_signed());
    let authority = Authority::new_root("id", "id", now.before(DAY), now.after(DAY)).unwrap();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let purpose = Purpose::Server { names: vec!["127.0.0.1".into()] };
    let tbs = authority.draft(&purpose, &key.public_key(), new_serial(), now.before(HOUR), now.after(HOUR)).unwrap();
    let chain = vec![CertificateDer::from(authority.sign(&tbs).unwrap())];
    let key = PrivatePkcs8KeyDer::from(key.to_pkcs8().to_vec()).into();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), to_pem(authority.certificate()))
}

async fn metadata(State(own): State<StandIn>, uri: Uri) -> Json<Value> {
    let mut says = own.says.lock().unwrap();
    says.asked.push(uri.path().to_owned());
    let at = |path: &str| format!("{}{path}", own.issuer);
    Json(json!({
        "issuer": says.issuer.as_ref().unwrap_or(&own.issuer), "authorization_endpoint": at("/authorize?tenant=1"),
        "token_endpoint": at("/token"), "jwks_uri": at("/keys"),
    }))
}

async fn keys_of(State(own): State<StandIn>, uri: Uri) -> Json<Value> {
    let mut says = own.says.lock().unwrap();
    says.asked.push(uri.path().to_owned());
    Json(says.keys.clone())
}

async fn token(State(own): State<StandIn>, headers: axum::http::HeaderMap, form: String) -> Response {
    let mut says = own.says.lock().unwrap();
    let basic = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    says.asked.push(format!("token {basic} {form}"));
    let (status, answer) = says.given.clone().unwrap_or((StatusCode::BAD_REQUEST, json!({ "error": "invalid_grant" })));
    (status, Json(answer)).into_response()
}
