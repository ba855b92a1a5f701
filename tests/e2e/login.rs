//! People sign in with a real OpenID provider (Canaille), by the real command line and a browser that fills the provider's forms in.

use std::fs::{self, read_to_string};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use tegata_api::v1::fleet::Access;
use tegata_pki::certificate::read_pem;
use tegata_pki::key::sha256;
use tegata_tests::World;
use tegata_tests::identity::Identity;
use tegata_tests::process::{Process, binary, run, run_well, wait_for};
use tegata_tests::world::PATIENCE;

const POLICY: &str = "apiVersion: tegata.dev/v1alpha1
kind: ClinicNetwork
metadata: { name: sakura }
spec: { displayName: さくら, facilitySlug: sakura }
";

/// A server whose tenant `aozora` has a provider.
struct Scene {
    world: World,
    identity: Identity,
}

/// Somebody at their own PC.
struct Desk<'a> {
    scene: &'a Scene,
    name: &'static str,
}

impl Scene {
    fn start() -> Result<Self> {
        let mut world = World::start()?;
        let identity = Identity::start(&world.path("identity"))?;
        let file = world.write("oidc.yaml", &identity.document("aozora"))?;
        world.restart_server_with(&["--oidc", &file])?;
        world.apply(POLICY)?;
        Ok(Self { world, identity })
    }

    fn desk(&self, name: &'static str) -> Desk<'_> {
        Desk { scene: self, name }
    }

    /// Gives the group `staff` of the provider a role, or somebody else.
    fn bind(&self, subject: &str, role: &str) -> Result<String> {
        let issuer = self.identity.issuer();
        let head = "apiVersion: tegata.dev/v1alpha1\nkind: AccessBinding\nmetadata: { name: staff }";
        self.world.apply(&format!("{POLICY}---\n{head}\nspec: {{ subject: {{ issuer: \"{issuer}\", {subject} }}, role: {role} }}\n"))
    }

    /// Who, what and why, of the sessions in the log.
    fn told(&self) -> Result<Vec<String>> {
        let of_sessions = self.world.audit()?.into_iter().filter(|record| record.action.starts_with("session."));
        let issuer = self.identity.issuer();
        Ok(of_sessions
            .map(|record| {
                let reason = record.details["reason"].as_str().unwrap_or("-").to_owned();
                format!("{} {} {reason}", record.actor.replace(&issuer, "ID"), record.action)
            })
            .collect())
    }
}

impl Desk<'_> {
    fn access(&self) -> PathBuf {
        self.scene.world.path(&format!("{}.json", self.name))
    }

    fn arguments<'a>(&self, more: impl IntoIterator<Item = &'a str>) -> Vec<std::ffi::OsString> {
        let own = ["--access".into(), self.access().into_os_string()];
        own.into_iter().chain(more.into_iter().map(Into::into)).collect()
    }

    fn says(&self, arguments: &[&str]) -> Result<String> {
        run_well(&binary("tegata"), self.arguments(arguments.iter().copied()))
    }

    /// The exit code of a command that is refused, and what it says.
    fn refused(&self, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let output = run(&binary("tegata"), self.arguments(arguments.iter().copied()))?;
        ensure!(!output.status.success(), "{arguments:?} was not refused");
        Ok((output.status.code(), String::from_utf8(output.stderr)?))
    }

    /// Says `tegata login`, and gives the address that it prints.
    fn begin(&self, tenant: &str) -> Result<(Process, String)> {
        let authority = sha256(&read_pem(&self.scene.world.access()?.authority)?.remove(0).der).to_string();
        let (server, back) = (self.scene.world.address(), self.scene.identity.back());
        let login = ["login", "-n", tenant, "--server", &server, "--authority-sha256", &authority, "--port", &back];
        let log = self.scene.world.path(&format!("{}.log", self.name));
        let _ = fs::remove_file(&log);
        let mut command = Command::new(binary("tegata"));
        let mut process = Process::spawn(command.args(self.arguments(login)).stdin(Stdio::null()), &log)?;
        let address = wait_for(PATIENCE, "the address to sign in at", || {
            let runs = process.runs();
            let said = read_to_string(&log)?;
            ensure!(runs || said.contains("  https://"), "it ended: {said}");
            Ok(said.lines().find_map(|line| line.trim().strip_prefix("https://").map(|rest| format!("https://{rest}"))))
        })?;
        Ok((process, address))
    }

    /// Waits for the end of `tegata login`; gives its exit code and what it said.
    fn end(&self, mut process: Process) -> Result<(Option<i32>, String)> {
        let status = process.wait(PATIENCE)?;
        Ok((status.code(), read_to_string(self.scene.world.path(&format!("{}.log", self.name)))?))
    }

    /// Signs in, if that is possible.
    fn login(&self, person: &str) -> Result<(Option<i32>, String)> {
        let (process, address) = self.begin("aozora")?;
        let place = self.scene.identity.sign_in(&address, person)?;
        self.scene.identity.arrive(&place)?;
        self.end(process)
    }
}

#[test]
fn whom_the_provider_knows_and_a_binding_names_works_by_a_session() -> Result<()> {
    let scene = Scene::start()?;
    let ito = scene.desk("ito");
    let (code, said) = ito.login("ito")?;
    ensure!(code == Some(6) && said.contains("no AccessBinding in force names you: you are 'ito' of https://"), "{code:?} {said}");
    ensure!(!ito.access().exists());

    scene.bind("group: staff", "viewer")?;
    let (code, said) = ito.login("ito")?;
    ensure!(code == Some(0) && said.contains("Signed in as ito of https://"), "{code:?} {said}");
    #[cfg(unix)]
    ensure!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(ito.access())?.permissions()) & 0o777 == 0o600);
    // Nobody named the tenant: it is that of the session.
    ensure!(ito.says(&["get", "clinics"])?.contains("sakura"));
    let file = scene.world.write("again.yaml", POLICY)?;
    let (code, said) = ito.refused(&["apply", "-f", &file])?;
    ensure!(code == Some(6) && said.contains("your AccessBindings make you viewer"), "{said}");
    for elsewhere in ["momiji", "nobody", "tegata"] {
        let (code, said) = ito.refused(&["get", "clinics", "-n", elsewhere])?;
        ensure!(code == Some(6) && said.contains("there is no such thing"), "{elsewhere}: {said}");
        let (code, said) = scene.desk("other").begin(elsewhere).err().map(|error| (6, error.to_string())).unwrap_or_default();
        ensure!(code == 6 && said.contains("there is no such thing"), "{elsewhere}: {said}");
    }
    ensure!(scene.world.cli_well(["get", "sessions"])?.contains("in-force"));

    // Taken away, it is gone at the next request; given again, it is there again, without signing in.
    scene.bind("group: others", "viewer")?;
    ensure!(ito.refused(&["get", "clinics"])?.1.contains("no AccessBinding in force names you"));
    scene.bind("subject: ito", "viewer")?;
    ito.says(&["get", "clinics"])?;

    let kept = fs::read(ito.access())?;
    ito.says(&["logout"])?;
    ensure!(!ito.access().exists());
    fs::write(ito.access(), &kept)?;
    let (code, said) = ito.refused(&["get", "clinics"])?;
    ensure!(code == Some(6) && said.contains("sign in anew with `tegata login`"), "{said}");
    let told = scene.told()?;
    let wanted = ["session.refuse unbound", "session.begin -", "session.end -"].map(|what| format!("login:ID#ito {what}"));
    ensure!(told == wanted, "{told:?}");
    let log = serde_json::to_string(&scene.world.audit()?)?;
    let token = serde_json::from_slice::<Access>(&kept)?.token;
    let server_log = read_to_string(scene.world.path("server.log"))?;
    for secret in [token.as_str(), "ito@example.jp", tegata_tests::identity::SECRET] {
        ensure!(!log.contains(secret) && !server_log.contains(secret), "{secret} was told");
    }
    Ok(())
}

#[test]
fn what_was_stolen_from_a_sign_in_lets_nobody_in() -> Result<()> {
    let scene = Scene::start()?;
    scene.bind("group: staff", "viewer")?;
    let (thief, ito) = (scene.desk("thief"), scene.desk("ito"));
    // The code of somebody else's sign-in, brought into one's own: the verifier is not the thief's.
    let (process, address) = ito.begin("aozora")?;
    let place = scene.identity.sign_in(&address, "ito")?;
    drop(process);
    let (process, own) = thief.begin("aozora")?;
    let part = |text: &str, name: &str| {
        text.split(['?', '&']).find_map(|pair| pair.strip_prefix(name)).map(str::to_owned).context("a part is missing")
    };
    let (stolen, state) = (part(&place, "code=")?, part(&own, "state=")?);
    let back = scene.identity.back();
    // What does not know the state is not even heard.
    ensure!(scene.identity.arrive(&place)?.contains("not the answer"));
    scene.identity.arrive(&format!("http://127.0.0.1:{back}/?code={stolen}&state={state}"))?;
    let (code, said) = thief.end(process)?;
    ensure!(code == Some(6) && said.contains("the provider does not take the code") && !thief.access().exists(), "{code:?} {said}");

    let (process, address) = ito.begin("aozora")?;
    let state = part(&address, "state=")?;
    scene.identity.arrive(&format!("http://127.0.0.1:{back}/?error=access_denied&state={state}"))?;
    let (code, said) = ito.end(process)?;
    ensure!(code == Some(6) && said.contains("the provider says no: access_denied"), "{code:?} {said}");

    let told = scene.told()?;
    ensure!(told == ["tegata session.refuse code"], "{told:?}");
    Ok(())
}

#[test]
fn whoever_is_signed_in_stays_so_while_the_provider_is_away() -> Result<()> {
    let mut scene = Scene::start()?;
    scene.bind("group: staff", "viewer")?;
    let (code, said) = scene.desk("ito").login("ito")?;
    ensure!(code == Some(0), "{code:?} {said}");
    let (process, address) = scene.desk("sato").begin("aozora")?;
    let place = scene.identity.sign_in(&address, "sato")?;
    scene.identity.end();
    scene.identity.arrive(&place)?;
    let (code, said) = scene.desk("sato").end(process)?;
    ensure!(code == Some(5) && said.contains("provider 'canaille' cannot be reached"), "{code:?} {said}");
    scene.desk("ito").says(&["get", "clinics"])?;
    let told = scene.told()?;
    ensure!(told == ["login:ID#ito session.begin -"], "{told:?}");
    Ok(())
}
