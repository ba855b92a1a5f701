//! A clinic with a portal, the people who read its mail, and what they send with `curl`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tegata_core::time::Timestamp;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};
use zeroize::Zeroizing;

use crate::mail::MailSettings;
use crate::mail::sink::Sink;
use crate::serve::start_at;
use crate::serve::tests::world::{PATIENCE, World, clock, config};

pub const SAKURA: &str = "/portal/aozora/sakura";

/// Two clinics of one tenant and one of another, each with a portal.
pub fn policy(clinic: &str, portal: &str) -> String {
    format!(
        "apiVersion: tegata.dev/v1alpha1
kind: Issuer
metadata: {{ name: portal }}
spec:
  type: ca
  commonName: Clinic CA
  portal: {{ {portal} }}
---
apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: {{ name: {clinic} }}
spec:
  displayName: さくら内科クリニック
  facilitySlug: {clinic}
  institutionNumber: \"1312345678\"
  portal: {{ issuer: portal }}
  accounts:
    - {{ name: tanaka, mail: Tanaka@example.jp }}
    - {{ name: suzuki, mail: suzuki@example.jp }}
    - {{ name: sato, mail: sato@example.jp, state: left }}
    - {{ name: one, mail: one@example.jp, quota: {{ certificates: 1 }} }}
    - {{ name: few, mail: few@example.jp, quota: {{ certificates: 2, per: 730d }} }}
  devices:
    - {{ name: uketsuke-1, platform: windows, memo: 受付1番 (1階) }}
"
    )
}

pub struct Clinic {
    pub world: World,
    pub sink: Sink,
    read: std::sync::atomic::AtomicUsize,
    _mail: TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        // The pages' own way to write a slash.
        String::from_utf8_lossy(&self.body).replace("&#x2f;", "/")
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let line = self.headers.lines().find(|line| line.to_lowercase().starts_with(&format!("{name}: ")));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value)
    }

    /// What stands after a text in the page, up to a quote or a tag.
    pub fn after(&self, text: &str) -> String {
        let page = self.text();
        let rest = page.split_once(text).unwrap_or_else(|| panic!("no {text:?} in {page}")).1;
        rest.split(['"', '<']).next().unwrap_or_default().to_owned()
    }
}

impl Clinic {
    pub async fn open() -> Self {
        Self::with("validity: 1095d").await
    }

    pub async fn with(portal: &str) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (place, offset, mail) = (tempfile::tempdir().unwrap(), Default::default(), tempfile::tempdir().unwrap());
        let sink = Sink::start(mail.path()).unwrap();
        let settings = MailSettings {
            url: sink.url(),
            password: Some(Zeroizing::new(Sink::PASSWORD.into())),
            from: "tegata@example.jp".into(),
            authority: Some(std::fs::read_to_string(sink.authority()).unwrap()),
        };
        let config = crate::serve::Config { mail: Some(settings), ..config(&place) };
        let server = start_at(config, clock(&offset)).await.unwrap();
        let world = World::of(place, server, offset);
        world.apply("aozora", &policy("sakura", portal)).await;
        world.apply("momiji", &policy("kaede", portal)).await;
        std::fs::write(world.place.path().join("server.pem"), &world.server.access().authority).unwrap();
        Self { world, sink, read: Default::default(), _mail: mail }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.world.place.path().join(name)
    }

    /// Somebody at a browser of their own.
    pub fn person(&self, name: &str) -> Person<'_> {
        Person { clinic: self, cookies: self.path(&format!("{name}.cookies")) }
    }

    /// Waits for one letter more than were read so far.
    pub async fn letter(&self) -> String {
        let start = Instant::now();
        let index = self.read.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        loop {
            if let Some(letter) = self.sink.letters().unwrap().get(index) {
                return letter.clone();
            }
            assert!(start.elapsed() < PATIENCE, "no letter came");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The six digits of the next letter.
    pub async fn digits(&self) -> String {
        let letter = self.letter().await;
        let text = decoded(&letter).await;
        text.split_once("Your code: ").unwrap_or_else(|| panic!("{text}")).1[..6].to_owned()
    }

    pub async fn curl(&self, path: &str, arguments: &[&str]) -> Answer {
        let url = if path.starts_with("https://") { path.to_owned() } else { format!("{}{path}", self.world.server.access().server) };
        let mut command = Command::new("curl");
        command
            .args(["--silent", "--show-error", "--include", "--http1.1", "--cacert"])
            .arg(self.path("server.pem"))
            .args(arguments)
            .arg(url);
        let output = command.output().await.expect("curl is installed");
        assert!(output.status.success(), "curl {path}: {}", String::from_utf8_lossy(&output.stderr));
        let end = output.stdout.windows(4).position(|four| four == b"\r\n\r\n").expect("an HTTP answer");
        let headers = String::from_utf8_lossy(&output.stdout[..end]).into_owned();
        let status = headers.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Answer { status, headers, body: output.stdout[end + 4..].to_vec() }
    }
}

/// Quoted-printable or base64, read by Python's own mail parser.
async fn decoded(letter: &str) -> String {
    let script = "import sys, email, email.policy\nm = email.message_from_string(sys.argv[1], policy=email.policy.default)\nprint(m['subject']); print(m.get_content())";
    let output = Command::new("python3").args(["-c", script, letter]).output().await.expect("python3 is installed");
    String::from_utf8(output.stdout).unwrap()
}

pub struct Person<'a> {
    pub clinic: &'a Clinic,
    cookies: PathBuf,
}

impl Person<'_> {
    pub async fn get(&self, path: &str) -> Answer {
        let cookies = self.cookies.to_str().unwrap();
        self.clinic.curl(path, &["-b", cookies, "-c", cookies, "-H", "Accept-Language: ja"]).await
    }

    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from("same-origin", path, fields).await
    }

    pub async fn post_from(&self, site: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let (cookies, site) = (self.cookies.to_str().unwrap(), format!("Sec-Fetch-Site: {site}"));
        self.clinic.curl(path, &["-b", cookies, "-c", cookies, "-H", "Accept-Language: ja", "-H", &site, "--data-raw", &body]).await
    }

    /// Asks for a code; gives its handle.
    pub async fn apply(&self, mail: &str) -> String {
        let answer = self.post(&format!("{SAKURA}/apply"), &[("mail", mail), ("offset", "3")]).await;
        assert_eq!(answer.status, 303, "{answer:?}");
        answer.header("location").unwrap().split_once("handle=").unwrap().1.to_owned()
    }

    pub async fn enter(&self, handle: &str, digits: &str) -> Answer {
        self.post(&format!("{SAKURA}/code"), &[("handle", handle), ("digits", digits)]).await
    }

    pub async fn sign_in(&self, mail: &str) {
        let handle = self.apply(mail).await;
        let answer = self.enter(&handle, &self.clinic.digits().await).await;
        assert_eq!((answer.status, answer.header("location")), (303, Some("/portal/aozora/sakura/certificates")), "{answer:?}");
    }

    /// What every form of theirs carries.
    pub async fn token(&self) -> String {
        self.get(&format!("{SAKURA}/new")).await.after("name=\"token\" value=\"")
    }

    pub async fn issue(&self, memo: &str, label: &str) -> Answer {
        let token = self.token().await;
        self.post(&format!("{SAKURA}/new"), &[("token", &token), ("memo", memo), ("label", label)]).await
    }

    /// Issues a certificate, fetches its file and gives what one needs to use it.
    pub async fn obtain(&self, memo: &str) -> File {
        let issued = self.issue(memo, "").await;
        assert_eq!(issued.status, 200, "{}", issued.text());
        self.fetch(&issued).await
    }

    pub async fn fetch(&self, issued: &Answer) -> File {
        let (password, serial) = (issued.after("id=\"password\">"), issued.after("/certificates/").trim_end_matches("/file").to_owned());
        let file = self.get(&format!("{SAKURA}/certificates/{serial}/file")).await;
        assert_eq!(file.status, 200, "{file:?}");
        let name = file.header("content-disposition").unwrap().split('"').nth(1).unwrap().to_owned();
        let path = self.clinic.path(&format!("{serial}.p12"));
        std::fs::write(&path, &file.body).unwrap();
        File { path, password, serial, name }
    }

    /// The list, as states by memo, newest first.
    pub async fn states(&self) -> Vec<(String, String)> {
        let page = self.get(&format!("{SAKURA}/certificates")).await.text();
        let rows = page.split("<tr class=\"").skip(1);
        let memo = |row: &str| row.split("class=\"memo\"><b>").nth(1).unwrap().split('<').next().unwrap().to_owned();
        rows.map(|row| (memo(row), row.split('"').next().unwrap().to_owned())).collect()
    }
}

/// A PKCS#12 file as it lies in somebody's downloads.
pub struct File {
    pub path: PathBuf,
    pub password: String,
    pub serial: String,
    pub name: String,
}

impl File {
    pub fn at(&self) -> &Path {
        &self.path
    }
}

/// Runs a program; gives what it said on both outputs.
pub async fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(program).args(arguments).output().await.unwrap_or_else(|error| panic!("{program}: {error}"));
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Lets time pass for the server until a moment.
pub fn pass_until(clinic: &Clinic, moment: Timestamp) {
    clinic.world.pass(moment.since(clinic.world.now()));
}

/// All the server's database files, as bytes.
pub fn database(clinic: &Clinic) -> Vec<u8> {
    let files = std::fs::read_dir(clinic.path("state")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.to_string_lossy().contains("tegata.db"));
    files.flat_map(|path| std::fs::read(path).unwrap()).collect()
}
