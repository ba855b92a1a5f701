//! A real Chromium that is clicked through: headless, told what to do over its debugging pipe (the DevTools protocol, no port).

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use data_encoding::BASE64;
use serde_json::{Value, json};

const BROWSER: &str = "/usr/lib/chromium/chromium";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(40);

/// A browser with one window.
pub struct Driver {
    child: Child,
    to: File,
    from: BufReader<File>,
    home: PathBuf,
    session: Option<String>,
    last: u64,
    /// What the page complained about: refused by its own policy, not found, broken script.
    complaints: VecDeque<String>,
}

impl Driver {
    /// Starts a browser whose user lives in `home` and trusts this authority (PEM).
    pub fn start(home: &Path, authority: &str) -> Result<Self> {
        ensure!(Path::new(BROWSER).is_file(), "{BROWSER} is missing: install the Debian package chromium");
        fs::create_dir_all(home.join("downloads"))?;
        trust(home, authority)?;
        let (to, from) = (home.join("to-browser"), home.join("from-browser"));
        let made = Command::new("mkfifo").args([&to, &from]).status()?;
        ensure!(made.success(), "mkfifo failed");
        let child = Command::new("sh")
            .args(["-c", r#"in="$1"; out="$2"; shift 2; exec "$0" "$@" 3<"$in" 4>"$out""#, BROWSER])
            .args([&to, &from])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions"])
            .args(["--remote-debugging-pipe", "--lang=ja", "--accept-lang=ja"])
            .arg(format!("--user-data-dir={}", home.join("profile").display()))
            .env("HOME", home)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(home.join("chromium.log"))?)
            .spawn()?;
        // Each opens once the shell has opened its other end, in this order.
        let (to, from) = (File::options().write(true).open(to)?, BufReader::new(File::open(from)?));
        let mut driver = Self { child, to, from, home: home.to_owned(), session: None, last: 0, complaints: VecDeque::new() };
        let target = driver.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attached = driver.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }))?;
        driver.session = Some(attached["sessionId"].as_str().context("no session")?.to_owned());
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            driver.call(domain, json!({}))?;
        }
        driver.size(1180, 760, false)?;
        Ok(driver)
    }

    /// Where downloads go.
    pub fn downloads(&self) -> PathBuf {
        self.home.join("downloads")
    }

    /// Makes the window this large, in CSS pixels.
    pub fn size(&mut self, width: u32, height: u32, phone: bool) -> Result<()> {
        let scale = if phone { 2 } else { 1 };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone });
        self.call("Emulation.setDeviceMetricsOverride", size)?;
        let folder = json!({ "behavior": "allow", "downloadPath": self.downloads() });
        self.call("Browser.setDownloadBehavior", folder).map(|_| ())
    }

    /// Opens a page and waits until it is there.
    pub fn open(&mut self, url: &str) -> Result<()> {
        let opened = self.call("Page.navigate", json!({ "url": url }))?;
        ensure!(opened.get("errorText").is_none(), "{url}: {opened}");
        self.wait("document.readyState === 'complete'")
    }

    /// Types into a field, as a person does: what was in it goes.
    pub fn fill(&mut self, field: &str, text: &str) -> Result<()> {
        self.ask(&format!("(() => {{ const field = document.querySelector({field:?}); field.focus(); field.select(); }})()"))?;
        self.call("Input.insertText", json!({ "text": text })).map(|_| ())
    }

    /// Presses something, and waits until another page is there.
    pub fn press(&mut self, what: &str) -> Result<()> {
        self.ask("window.pressed = true")?;
        self.ask(&format!("document.querySelector({what:?}).click()"))?;
        self.wait("!window.pressed && document.readyState === 'complete'")
    }

    /// Presses something that leaves the page as it is.
    pub fn touch(&mut self, what: &str) -> Result<()> {
        self.ask(&format!("document.querySelector({what:?}).click()")).map(|_| ())
    }

    /// The text of a part of the page.
    pub fn text(&mut self, part: &str) -> Result<String> {
        let text = self.ask(&format!("document.querySelector({part:?})?.innerText ?? ''"))?;
        Ok(text.as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the page says that this is so.
    pub fn wait(&mut self, condition: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            // While one page goes and the next comes, there is nobody to ask.
            if self.ask(condition).is_ok_and(|answer| answer == Value::Bool(true)) {
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                let page = self.text("body").unwrap_or_default();
                bail!("it never became true: {condition}\n{page}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks the page something.
    pub fn ask(&mut self, expression: &str) -> Result<Value> {
        let answer = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }))?;
        ensure!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        Ok(answer["result"]["value"].clone())
    }

    /// Keeps a picture of the whole page.
    pub fn picture(&mut self, file: &Path) -> Result<()> {
        let size = &self.call("Page.getLayoutMetrics", json!({}))?["cssContentSize"];
        let clip = json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let taken = self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }))?;
        let bytes = BASE64.decode(taken["data"].as_str().context("no picture")?.as_bytes())?;
        Ok(fs::write(file, bytes)?)
    }

    /// What the pages complained about so far.
    pub fn complaints(&self) -> Vec<String> {
        self.complaints.iter().cloned().collect()
    }

    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = session.clone().into();
        }
        self.to.write_all(format!("{message}\0").as_bytes())?;
        loop {
            let mut bytes = Vec::new();
            self.from.read_until(0, &mut bytes)?;
            ensure!(bytes.pop() == Some(0), "the browser has ended:\n{}", fs::read_to_string(self.home.join("chromium.log"))?);
            let answer: Value = serde_json::from_slice(&bytes)?;
            if answer["id"] == self.last {
                ensure!(answer.get("error").is_none(), "{method}: {answer}");
                return Ok(answer["result"].clone());
            }
            self.hear(&answer);
        }
    }

    fn hear(&mut self, event: &Value) {
        let complaint = match event["method"].as_str() {
            Some("Log.entryAdded") if event["params"]["entry"]["level"] == "error" => event["params"]["entry"].to_string(),
            Some("Runtime.exceptionThrown") => event["params"].to_string(),
            _ => return,
        };
        self.complaints.push_back(complaint);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the browser of whoever lives in `home` looks for authorities and certificates.
pub fn database(home: &Path) -> Result<String> {
    let folder = home.join(".local/share/pki/nssdb");
    if !folder.join("cert9.db").exists() {
        fs::create_dir_all(&folder)?;
        let made = Command::new("certutil").args(["-N", "--empty-password", "-d"]).arg(format!("sql:{}", folder.display())).output()?;
        ensure!(made.status.success(), "certutil: {}", String::from_utf8_lossy(&made.stderr));
    }
    Ok(format!("sql:{}", folder.display()))
}

fn trust(home: &Path, authority: &str) -> Result<()> {
    let (database, file) = (database(home)?, home.join("authority.pem"));
    fs::write(&file, authority)?;
    let output = Command::new("certutil").args(["-A", "-d", &database, "-n", "server", "-t", "C,,", "-i"]).arg(&file).output()?;
    ensure!(output.status.success(), "certutil: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
