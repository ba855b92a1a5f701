//! An S3-compatible bucket, at a server that shows a certificate of the authority that policy pins, or else of one that the system trusts.
//!
//! An object is put in one request, so it is there whole or not at all; nothing is ever half done beside it.

use std::error::Error;
use std::io;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector, HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig, UpdateVersion};
use reqwest::Client;
use tegata_core::backup::Trouble;
use tegata_core::policy::Bucket;
use tokio::runtime::{Builder, Runtime};

use super::credentials::Credentials;
use super::{Access, OBJECT_MAX, ObjectName, Target, TargetError};
use crate::web;

/// What a bucket's server says instead of a bucket that is not there.
const NO_BUCKET: &str = "NoSuchBucket";
/// What servers say when there is no room: Amazon has no limit, MinIO and Ceph have.
const NO_ROOM: [&str; 3] = ["QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"];

/// A bucket, and what carries requests to it.
pub(super) struct S3 {
    store: AmazonS3,
    prefix: String,
    /// `bucket at server`, for messages.
    shown: String,
    /// This thread's own. There until it is dropped.
    runtime: Option<Runtime>,
}

/// A runtime that is dropped where another one works would panic; this one just ends.
impl Drop for S3 {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl S3 {
    /// Gets everything ready; nobody is asked anything yet.
    pub(super) fn at(bucket: &Bucket, access: &Access) -> Result<Self, TargetError> {
        let shown = format!("{} at {}", bucket.name, bucket.endpoint.as_deref().unwrap_or("Amazon S3"));
        let credentials = credentials(bucket, access)?;
        let client = client(bucket, access)?;
        let builder = AmazonS3Builder::new()
            .with_region(&bucket.region)
            .with_bucket_name(&bucket.name)
            .with_virtual_hosted_style_request(!bucket.path_style)
            .with_access_key_id(credentials.id)
            .with_secret_access_key(credentials.secret.as_str())
            .with_http_connector(Connector(client))
            // Not every server knows how to delete many at once, and the carrier tries again by itself.
            .with_disable_bulk_delete(true)
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() });
        let builder = match &credentials.token {
            Some(token) => builder.with_token(token.as_str()),
            None => builder,
        };
        let builder = match address(bucket) {
            Some(address) => builder.with_endpoint(address),
            None => builder,
        };
        let broken = |error: &dyn Error| TargetError::new(Trouble::Broken, format!("getting ready for {shown}: {error}"));
        let store = builder.build().map_err(|error| broken(&error))?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(|error| broken(&error))?;
        Ok(Self { store, prefix: bucket.prefix.clone(), shown, runtime: Some(runtime) })
    }

    fn path(&self, name: &ObjectName) -> Result<Path, TargetError> {
        let [tenant, clinic] = name.folders();
        let path = format!("{}{tenant}/{clinic}/{}", self.prefix, name.file());
        Path::parse(&path).map_err(|error| TargetError::because(Trouble::Broken, format!("calling an object {path}"), error))
    }

    fn run<T>(&self, doing: &str, name: &ObjectName, work: impl Future<Output = object_store::Result<T>>) -> Result<T, TargetError> {
        let runtime = self.runtime.as_ref().expect("it is there until it is dropped");
        runtime.block_on(work).map_err(|error| failed(format!("{doing} {} in {}", name.file(), self.shown), error))
    }

    /// What is there already is written over only as it was seen, so that nobody else's writing gets lost in between.
    async fn write(&self, path: &Path, bytes: &[u8]) -> object_store::Result<()> {
        let payload = PutPayload::from(bytes.to_vec());
        match self.store.put_opts(path, payload.clone(), PutMode::Create.into()).await {
            Err(object_store::Error::AlreadyExists { .. }) => {}
            other => return other.map(drop),
        }
        let there = self.store.head(path).await?;
        let seen = UpdateVersion { e_tag: there.e_tag, version: there.version };
        self.store.put_opts(path, payload, PutMode::Update(seen).into()).await.map(drop)
    }
}

impl Target for S3 {
    fn put(&mut self, name: &ObjectName, bytes: &[u8]) -> Result<(), TargetError> {
        let path = self.path(name)?;
        self.run("putting", name, self.write(&path, bytes))
    }

    fn get(&mut self, name: &ObjectName) -> Result<Vec<u8>, TargetError> {
        let path = self.path(name)?;
        let read = async {
            let found = self.store.get(&path).await?;
            if found.meta.size > OBJECT_MAX as u64 { Ok(None) } else { found.bytes().await.map(Some) }
        };
        match self.run("reading", name, read)? {
            Some(bytes) => Ok(bytes.into()),
            None => Err(TargetError::new(Trouble::Altered, format!("{} in {} is larger than any backup", name.file(), self.shown))),
        }
    }

    fn remove(&mut self, name: &ObjectName) -> Result<(), TargetError> {
        let path = self.path(name)?;
        match self.run("removing", name, self.store.delete(&path)) {
            Err(error) if error.trouble == Trouble::Missing => Ok(()),
            other => other,
        }
    }
}

fn credentials(bucket: &Bucket, access: &Access) -> Result<Credentials, TargetError> {
    let none = |doing: String| TargetError::new(Trouble::NoCredentials, doing);
    let file = access.credentials.as_ref().ok_or_else(|| none("the server was started without --backup-credentials".into()))?;
    let read = Credentials::read(file, &bucket.credentials)
        .map_err(|error| TargetError::because(Trouble::NoCredentials, format!("reading {}", file.display()), error))?;
    read.ok_or_else(|| none(format!("{} has no section [{}] with both halves of a key", file.display(), bucket.credentials)))
}

/// With the bucket's name in the host, the service's address has to have it too.
fn address(bucket: &Bucket) -> Option<String> {
    let endpoint = bucket.endpoint.as_deref()?;
    match endpoint.strip_prefix("https://") {
        Some(host) if !bucket.path_style => Some(format!("https://{}.{host}", bucket.name)),
        _ => Some(endpoint.to_owned()),
    }
}

/// A client that nobody leads elsewhere: no proxy, no redirect, and no authority but those that are meant.
fn client(bucket: &Bucket, access: &Access) -> Result<Client, TargetError> {
    let roots = bucket.authority.as_deref().map_or_else(web::system_roots, |pem| web::roots_in(pem).0);
    web::client(web::tls(roots))
        .no_proxy()
        .connect_timeout(access.patience)
        .timeout(access.patience)
        .build()
        .map_err(|error| TargetError::because(Trouble::Broken, "making an HTTP client", error))
}

/// Hands out our own client.
#[derive(Debug)]
struct Connector(Client);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

fn failed(doing: String, error: object_store::Error) -> TargetError {
    let code = code(&error);
    let said = |codes: &[&str]| code.as_deref().is_some_and(|code| codes.contains(&code));
    let trouble = match &error {
        _ if said(&[NO_BUCKET]) => Trouble::Unreachable,
        _ if said(&NO_ROOM) => Trouble::Full,
        object_store::Error::NotFound { .. } => Trouble::Missing,
        object_store::Error::PermissionDenied { .. } if said(&["AccessDenied"]) => Trouble::Forbidden,
        // A key that nobody knows, or a signature that is not the key's.
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => Trouble::SignIn,
        _ if said(&["SlowDown", "ServiceUnavailable"]) => Trouble::Slow,
        _ => of_line(&error).unwrap_or(Trouble::Broken),
    };
    TargetError::because(trouble, doing, error)
}

/// What the server calls it: the `Code` of its answer (Amazon S3 API reference, "Error responses").
fn code(error: &dyn Error) -> Option<String> {
    let text = error.to_string();
    let (_, rest) = text.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code.trim().to_owned())
}

/// What became of the connection, if it is that.
fn of_line(error: &(dyn Error + 'static)) -> Option<Trouble> {
    let mut found = None;
    let mut next = Some(error);
    while let Some(error) = next {
        if is_distrust(error) {
            return Some(Trouble::WrongAuthority);
        }
        if let Some(http) = error.downcast_ref::<HttpError>() {
            found = match http.kind() {
                HttpErrorKind::Timeout => Some(Trouble::Slow),
                HttpErrorKind::Connect | HttpErrorKind::Request | HttpErrorKind::Interrupted => Some(Trouble::Unreachable),
                _ => None,
            };
        }
        next = error.source();
    }
    found
}

/// True if the server's certificate is what is wrong. An error of the operating system does not say as its source what it wraps.
fn is_distrust(error: &(dyn Error + 'static)) -> bool {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => is_distrust(wrapped),
        None => matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))),
    }
}
