//! monsiaj's folder as it may be found, with the plug pulled between any two effects.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use tegata_pki::authority::Authority;

use super::*;
use crate::crash::{self, Unplugged};
use crate::vendor::tests::{authority, issued};

/// One user's home.
struct Home {
    root: tempfile::TempDir,
    vendor: Rc<Authority>,
}

impl Home {
    fn new() -> Self {
        let root = tempfile::Builder::new().prefix("院長 さくら").tempdir().unwrap();
        Self { root, vendor: Rc::new(authority()) }
    }

    fn store(&self) -> Monsiaj {
        Monsiaj::of(self.root.path())
    }

    async fn installed(&self, number: u32) -> (Pair, Sha256) {
        let pair = issued(&self.vendor, number);
        self.store().install(&slot(), &pair, "受付1番").await.unwrap();
        let fingerprint = pair.fingerprint().unwrap();
        (pair, fingerprint)
    }

    fn file_of(&self, fingerprint: Sha256) -> String {
        self.store().bundle(fingerprint).unwrap().unwrap().0.to_str().unwrap().to_owned()
    }

    /// Settings in which each server uses a file, or none.
    fn configure(&self, files: &[Option<&str>]) {
        let mut properties = Properties::read(b"# monsiaj\n");
        for (number, file) in files.iter().enumerate() {
            properties.set(&format!("monsiaj.config.{number}.host"), "auth.example.jp");
            if let Some(file) = file {
                properties.set(&format!("monsiaj.config.{number}.clientCertificateFile"), file);
            }
        }
        std::fs::write(self.store().properties(), &*properties.written()).unwrap();
    }

    /// Which file each server uses, and that its password opens it.
    fn used(&self) -> Vec<Option<String>> {
        let properties = Properties::read(&std::fs::read(self.store().properties()).unwrap());
        let value = |number: usize, name: &str| properties.value(&format!("monsiaj.config.{number}.{name}"));
        let hosts = (0..).take_while(|number| value(*number, "host").is_some());
        hosts
            .map(|number| {
                let (file, password) = (value(number, "clientCertificateFile"), value(number, "clientCertificatePassword"));
                if let (Some(file), Some(password)) = (&file, password) {
                    pkcs12::read(&std::fs::read(file).unwrap(), &password).unwrap();
                }
                file
            })
            .collect()
    }

    /// Every password has its bundle, in sight or not.
    fn check_passwords(&self, at: u32) {
        for password in disk::files(&self.store().certificates()).unwrap().iter().filter(|path| is(path, "pass")) {
            let bundle = password.with_extension("p12");
            assert!(bundle.exists() || disk::hidden(&bundle).exists(), "pulled at {at}: {}", password.display());
        }
    }
}

fn slot() -> SlotId {
    "sakura/uketsuke-1/orcamo".parse().unwrap()
}

async fn prefer(home: &Home, fingerprint: Sha256, previous: &[Sha256]) -> Result<(), KeystoreError> {
    home.store().prefer(fingerprint, &previous.iter().copied().collect()).await
}

#[tokio::test]
async fn every_server_that_used_the_one_before_uses_the_new_one_and_no_other() {
    let home = Home::new();
    let (_, old) = home.installed(1).await;
    let (_, others) = home.installed(2).await;
    let (_, new) = home.installed(3).await;
    let [old_file, others_file, new_file] = [old, others, new].map(|one| home.file_of(one));
    home.configure(&[Some(&others_file), Some(&old_file), None, Some("/elsewhere/x.p12"), Some(&old_file)]);
    for _again in 0..2 {
        prefer(&home, new, &[old]).await.unwrap();
        let [elsewhere, others] = ["/elsewhere/x.p12", &others_file].map(|file| Some(file.to_owned()));
        assert_eq!(home.used(), [others, Some(new_file.clone()), None, elsewhere, Some(new_file.clone())]);
    }
    let text = std::fs::read_to_string(home.store().properties()).unwrap();
    assert!(text.is_ascii() && text.contains("\\u9662\\u9577 \\u3055\\u304F\\u3089"), "as Java writes it: {text}");
}

#[tokio::test]
async fn without_the_one_before_there_must_be_no_choice() {
    let home = Home::new();
    let (_, others) = home.installed(1).await;
    let (_, new) = home.installed(2).await;
    let (others_file, new_file) = (home.file_of(others), home.file_of(new));
    let gone = home.store().certificates().join("gone.p12").to_str().unwrap().to_owned();
    for (files, users) in [
        (vec![None], vec![0]),
        (vec![Some("/elsewhere/x.p12")], vec![0]),
        (vec![None, Some(gone.as_str()), Some("/elsewhere/x.p12")], vec![1]),
        (vec![Some(gone.as_str()), Some(new_file.as_str())], vec![1]),
    ] {
        home.configure(&files);
        prefer(&home, new, &[]).await.unwrap();
        let used = home.used();
        for (number, file) in files.iter().enumerate() {
            let expected = if users.contains(&number) { Some(new_file.as_str()) } else { *file };
            assert_eq!(used[number].as_deref(), expected, "{number} of {files:?}");
        }
    }
    for files in [vec![None, None], vec![Some(gone.as_str()), Some(others_file.as_str())], vec![Some("/a.p12"), Some("/b.p12")]] {
        home.configure(&files);
        let problem = prefer(&home, new, &[]).await.unwrap_err().to_string();
        assert!(problem.contains("several servers") && problem.contains(&new_file), "{problem}");
        assert_eq!(home.used(), files.iter().map(|file| file.map(str::to_owned)).collect::<Vec<_>>(), "nothing is switched");
    }
}

#[tokio::test]
async fn without_settings_there_is_nothing_to_switch() {
    let home = Home::new();
    let (_, new) = home.installed(1).await;
    prefer(&home, new, &[]).await.unwrap();
    assert!(!home.store().properties().exists());
    std::fs::write(home.store().properties(), "# empty\n").unwrap();
    prefer(&home, new, &[]).await.unwrap();
    assert_eq!(std::fs::read(home.store().properties()).unwrap(), b"# empty\n");
}

#[cfg(unix)]
#[tokio::test]
async fn what_monsiaj_leaves_open_is_closed_whenever_the_folder_is_touched() {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let (_, old) = home.installed(1).await;
    let (folder, elsewhere) = (home.store().certificates(), home.root.path().join("letter"));
    let (theirs, link) = (folder.join("20200101000000.pass"), folder.join("20200102000000.pass"));
    std::fs::write(&theirs, "pass").unwrap();
    std::fs::write(&elsewhere, "to whom it may concern").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    let open = || {
        [(&folder, 0o755), (&theirs, 0o644), (&elsewhere, 0o644)]
            .map(|(path, mode)| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap())
    };
    let modes = || [&folder, &theirs, &elsewhere].map(|path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777);
    open();
    prefer(&home, old, &[]).await.unwrap();
    assert_eq!(modes(), [0o700, 0o600, 0o644], "what a link leads to is not ours");
    open();
    home.installed(2).await;
    assert_eq!(modes(), [0o700, 0o600, 0o644]);
    open();
    home.store().remove(old).await.unwrap();
    assert_eq!(modes(), [0o700, 0o600, 0o644]);
    assert_eq!(std::fs::read(&theirs).unwrap(), b"pass", "a password without a bundle is not ours to remove");
}

#[tokio::test]
async fn a_password_that_somebody_left_alone_is_not_written_over() {
    let home = Home::new();
    let (pair, fingerprint) = home.installed(1).await;
    let theirs = Path::new(&home.file_of(fingerprint)).with_extension("pass");
    home.store().remove(fingerprint).await.unwrap();
    std::fs::write(&theirs, "theirs").unwrap();
    home.store().install(&slot(), &pair, "again").await.unwrap();
    assert!(home.store().open(fingerprint).await.is_ok() && std::fs::read(&theirs).unwrap() == b"theirs");
}

/// Runs until the plug is pulled at the `n`-th point; false if it never was.
fn unplugged(work: impl Future<Output = ()>, n: u32) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    crash::after(Some(n));
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(work)));
    crash::after(None);
    ended.is_err_and(|cause| cause.is::<Unplugged>())
}

#[test]
fn the_plug_can_be_pulled_while_something_is_put_in_switched_to_or_removed() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut points = 0;
    loop {
        let home = Home::new();
        let (_, old) = runtime.block_on(home.installed(1));
        home.configure(&[Some(&home.file_of(old))]);
        let pair = issued(&home.vendor, 2);
        let new = pair.fingerprint().unwrap();
        let life = async || {
            home.store().install(&slot(), &pair, "new").await.unwrap();
            prefer(&home, new, &[old]).await.unwrap();
            home.store().remove(old).await.unwrap();
        };
        let is_cut = unplugged(life(), points);
        home.check_passwords(points);
        runtime.block_on(async { home.store().list().await.unwrap().iter().for_each(|one| assert!([old, new].contains(one))) });
        runtime.block_on(life());
        let file = home.file_of(new);
        let left: BTreeSet<PathBuf> = disk::entries(&home.store().certificates()).unwrap().into_iter().collect();
        assert_eq!(left, [PathBuf::from(&file), Path::new(&file).with_extension("pass")].into(), "pulled at {points}");
        assert_eq!(home.used(), [Some(file)], "pulled at {points}");
        if !is_cut {
            break;
        }
        points += 1;
    }
    assert!(points > 12, "only {points} points");
}

/// What was begun and is not wanted any more.
#[test]
fn a_bundle_that_never_came_to_be_leaves_no_password() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for point in 0..6 {
        let home = Home::new();
        let pair = issued(&home.vendor, 1);
        assert!(unplugged(async { home.store().install(&slot(), &pair, "x").await.unwrap() }, point), "{point}");
        home.check_passwords(point);
        runtime.block_on(async { home.store().remove(pair.fingerprint().unwrap()).await.unwrap() });
        assert!(disk::entries(&home.store().certificates()).unwrap().is_empty(), "pulled at {point}");
    }
}
