//! Bundles that Tegata writes are opened by what waits for them in clinics: Java programs, and Windows' own import as Wine has it.
//!
//! Java is too large to be installed for a test alone (200 MB): both are met where they are there, and missed aloud where they are not.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::*;

/// Java, told to start fast and to read its arguments as UTF-8.
pub const KEYTOOL: &str = "keytool -J-XX:TieredStopAtLevel=1 -J-Dsun.jnu.encoding=UTF-8";

/// True if the program is there; says so if it is not.
pub fn is_there(program: &str, what: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        eprintln!("SKIPPED: {what} is not tried, because there is no `{program}` here");
    }
    found
}

/// A key with its chain, and what Tegata writes of it.
fn written(house: &House, flavor: Flavor, algorithm: KeyAlgorithm, password: &str) -> (Vec<Vec<u8>>, Vec<u8>) {
    let key = PrivateKey::generate(algorithm).unwrap();
    let chain = house.chain(house.issue(&client(), &key.public_key()).1);
    let bundle = pkcs12::write(flavor, &key, &chain, NAME, password).unwrap();
    (chain, bundle)
}

#[test]
fn java_opens_what_tegata_writes() {
    if !is_there("keytool", "Java") {
        return;
    }
    let house = House::new();
    let modern = ALGORITHMS.map(|algorithm| (Flavor::Modern, algorithm));
    for (flavor, algorithm) in modern.into_iter().chain([(Flavor::Legacy, KeyAlgorithm::Rsa2048)]) {
        let (chain, bundle) = written(&house, flavor, algorithm, "secret");
        house.desk.put("a.p12", bundle);
        let said = house.desk.accepts(&format!("{KEYTOOL} -list -rfc -storetype PKCS12 -keystore a.p12 -storepass secret"));
        assert!(said.contains("Entry type: PrivateKeyEntry") && said.contains("Certificate chain length: 3"), "{said}");
        let ders: Vec<_> = certificate::read_pem(&said).unwrap().into_iter().map(|read| read.der).collect();
        assert_eq!(ders, chain);
        // Only whoever has decrypted the key can sign with it.
        house.desk.accepts(&format!("{KEYTOOL} -certreq -alias {NAME} -keystore a.p12 -storepass secret -file a.csr"));
        house.desk.accepts("openssl req -verify -in a.csr -noout");
    }
    house.desk.refuses(&format!("{KEYTOOL} -list -storetype PKCS12 -keystore a.p12 -storepass wrong1"));
}

/// Wine's folder of programs, where Debian does not link it into the path.
const WINE: &str = "/usr/lib/wine/wine64";

/// A prefix that is kept between runs: making one takes 20 seconds.
struct Wine {
    prefix: PathBuf,
}

impl Wine {
    fn find() -> Option<Self> {
        if !is_there("x86_64-w64-mingw32-gcc", "Windows' import of bundles") {
            return None;
        }
        if !Path::new(WINE).exists() {
            eprintln!("SKIPPED: Windows' import of bundles is not tried, because there is no {WINE} here");
            return None;
        }
        let wine = Self { prefix: Path::new(env!("CARGO_TARGET_TMPDIR")).join("wine") };
        if !wine.prefix.join("system.reg").exists() {
            fs::create_dir_all(&wine.prefix).unwrap();
            let made = wine.command(&["wineboot.exe", "-i"]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
            assert!(made.success(), "wineboot: {made}");
        }
        Some(wine)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(WINE);
        command.args(words).env("WINEPREFIX", &self.prefix).env("WINEDEBUG", "-all").env("DISPLAY", "").stdin(Stdio::null());
        command
    }

    /// Runs a program and gives its exit code and what it said. Through a file: Wine's services would hold a pipe open for ever.
    fn run(&self, desk: &Desk, words: &[&str]) -> (Option<i32>, String) {
        let said = fs::File::create(desk.path("said.txt")).unwrap();
        let mut command = self.command(words);
        let status = command.current_dir(desk.folder.path()).stdout(said).stderr(Stdio::null()).status().unwrap();
        (status.code(), String::from_utf8_lossy(&desk.take("said.txt")).into_owned())
    }
}

/// RSA only: Wine's import knows no elliptic curves, whatever protects them.
#[test]
fn windows_import_opens_what_tegata_writes() {
    let Some(wine) = Wine::find() else { return };
    let house = House::new();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/pfximport.c");
    house.desk.accepts(&format!("x86_64-w64-mingw32-gcc -O1 -Wall -Werror {source} -o pfximport.exe -lcrypt32"));
    for flavor in [Flavor::Modern, Flavor::Legacy] {
        let (_, bundle) = written(&house, flavor, KeyAlgorithm::Rsa2048, "secret");
        house.desk.put("a.p12", bundle);
        let (code, said) = wine.run(&house.desk, &["pfximport.exe", "a.p12", "secret"]);
        assert_eq!(code, Some(0), "{flavor:?}: {said}");
        assert!(said.contains("with key: CN=uketsuke-1"), "{flavor:?}: {said}");
        assert_eq!(wine.run(&house.desk, &["pfximport.exe", "a.p12", "wrong"]).0, Some(4), "{flavor:?}");
    }
}
