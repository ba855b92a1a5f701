//! A real S3 server on this machine: moto, over TLS, that lets in whoever signs with the right key and nobody else.
//!
//! It keeps everything in memory: one that is started again has its bucket and its key, and no objects.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::{Process, find, free_port, run_well, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// The bucket that it has.
pub const BUCKET: &str = "tegata";

/// What is asked of it before it looks at signatures: as many as `SETUP` asks.
const UNSIGNED: u32 = 4;

/// Makes who may sign in, and the bucket; prints the key. The seed makes the key the same each time.
const SETUP: &str = "import boto3, requests, sys
url, authority = sys.argv[1:]
requests.post(url + '/moto-api/seed?a=7', verify=authority).raise_for_status()
ask = lambda name: boto3.client(name, endpoint_url=url, region_name='us-east-1', verify=authority, aws_access_key_id='a', aws_secret_access_key='b')
iam = ask('iam')
iam.create_user(UserName='tegata')
key = iam.create_access_key(UserName='tegata')['AccessKey']
policy = '{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"s3:*\",\"Resource\":\"*\"}]}'
iam.put_user_policy(UserName='tegata', PolicyName='all', PolicyDocument=policy)
ask('s3').create_bucket(Bucket='tegata')
print(key['AccessKeyId'], key['SecretAccessKey'])
";

/// Prints the names of all objects, one a line.
const LIST: &str = "import boto3, sys
url, authority, key, secret = sys.argv[1:]
s3 = boto3.client('s3', endpoint_url=url, region_name='us-east-1', verify=authority, aws_access_key_id=key, aws_secret_access_key=secret)
for found in s3.list_objects_v2(Bucket='tegata').get('Contents', []): print(found['Key'])
";

/// A running S3 server. Ends when dropped.
pub struct S3 {
    folder: PathBuf,
    port: u16,
    key: (String, String),
    process: Option<Process>,
}

impl S3 {
    /// Starts one with a fresh certificate.
    pub fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let at = |name: &str| folder.join(name).display().to_string();
        let (key, certificate) = (at("tls.key"), at("tls.pem"));
        let names = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"];
        let fresh = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=s3"];
        run_well(Path::new("openssl"), [&fresh[..], &names, &["-keyout", &key, "-out", &certificate]].concat())?;
        let mut s3 = Self { folder: folder.to_owned(), port: free_port()?, key: Default::default(), process: None };
        s3.resume()?;
        let credentials = format!("[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n", s3.key.0, s3.key.1);
        fs::write(s3.credentials(), credentials)?;
        Ok(s3)
    }

    /// Ends it: nobody answers there any more.
    pub fn end(&mut self) {
        self.process = None;
    }

    /// Starts it again at the same address, with the same key and an empty bucket.
    pub fn resume(&mut self) -> Result<()> {
        let mut command = Command::new(program("moto_server")?);
        command.args(["-H", "127.0.0.1", "-p", &self.port.to_string()]).args(["-c", "tls.pem", "-k", "tls.key"]);
        command.current_dir(&self.folder).env("INITIAL_NO_AUTH_ACTION_COUNT", UNSIGNED.to_string());
        self.process = Some(Process::spawn(&mut command, &self.folder.join("moto.log"))?);
        let listens = || Ok(std::net::TcpStream::connect(("127.0.0.1", self.port)).ok().map(drop));
        wait_for(PATIENCE, "the S3 server to listen", listens)?;
        let said = self.python(SETUP, &[])?;
        let (id, secret) = said.trim().split_once(' ').context("the S3 server gave no key")?;
        self.key = (id.to_owned(), secret.to_owned());
        Ok(())
    }

    fn python(&self, script: &str, more: &[&str]) -> Result<String> {
        let (url, authority) = (self.endpoint(), self.folder.join("tls.pem").display().to_string());
        run_well(&program("python3")?, [&["-c", script, &url, &authority], more].concat())
    }

    /// Its address.
    pub fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its certificate in PEM, which stands for itself.
    pub fn authority(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.join("tls.pem"))?)
    }

    /// A file with the key that it lets in, as Amazon's tools keep it.
    pub fn credentials(&self) -> PathBuf {
        self.folder.join("credentials")
    }

    /// The names of everything that it holds.
    pub fn objects(&self) -> Result<Vec<String>> {
        Ok(self.python(LIST, &[&self.key.0, &self.key.1])?.lines().map(str::to_owned).collect())
    }
}

fn program(name: &str) -> Result<PathBuf> {
    let bin = find("peers").map(|peers| peers.join("moto/bin").join(name)).filter(|path| path.exists());
    bin.context("there is no S3 server in target/peers: run `cargo xtask test` once")
}
