//! Files planted in every place that policy can name: each is found and removed, what lies beside it stays.

use super::super::places::WORDS;
use super::*;

const FAST: Pace = Pace { names_max: 20_000, bytes_max: u64::MAX, rest: Duration::ZERO };

/// A file in one of the places.
struct Row {
    word: &'static str,
    /// Below the home, or its whole path.
    path: PathBuf,
}

/// The files, where they are planted: below the home, or elsewhere.
struct Planted {
    home: PathBuf,
    rows: Vec<Row>,
}

impl Planted {
    fn row(&mut self, word: &'static str, path: impl Into<PathBuf>) {
        self.rows.push(Row { word, path: path.into() });
    }

    /// One for each folder of programs of a kind; what a program chooses in its name is made up.
    fn patterns(&mut self, word: &'static str, patterns: &[&str]) {
        for pattern in patterns {
            self.row(word, Path::new(&pattern.replace('*', " - Clinic")).join("1/2/a.p12"));
        }
    }

    /// What policy names by itself.
    fn named(&mut self) {
        self.row("~/Work/certificates", "Work/certificates/a.p12");
        self.row("~/share/*/keys", "share/east/keys/a.p12");
        self.row("~/share/*/keys", "share/west/keys/a.p12");
        self.row("~/Scans/**", "Scans/2026/11/21/a.p12");
    }
}

/// However the test ends, nothing is left of what it has planted.
struct Beside(PathBuf);

impl Drop for Beside {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap_or_default();
    }
}

#[test]
fn what_is_planted_in_every_place_is_found_and_removed_and_nothing_beside_it() {
    let mut pc = Pc::new();
    let planted = os_rows::plant(&pc);
    for (word, _) in WORDS {
        assert!(planted.rows.iter().any(|row| row.word == word), "nothing is planted in {word}");
    }
    let mut kept = Vec::new();
    for (number, row) in planted.rows.iter().enumerate() {
        let path = planted.home.join(&row.path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let contents = bundle(&format!("planted {number:02}"));
        fs::write(&path, &contents).unwrap();
        let beside = path.with_file_name(format!("beside {number}.p12"));
        fs::write(&beside, bundle(&format!("PLANTED {number:02}"))).unwrap();
        kept.push(Beside(beside.clone()));
        let listed = FileHash { sha256: tegata_pki::key::sha256(&contents).to_string(), size: contents.len() as u64 };
        pc.may_remove_again();

        let told = |swept: &Swept, path: &Path| {
            let below = path.strip_prefix(&planted.home).unwrap_or(path);
            swept.left.iter().any(|seen| seen.path == named(below))
        };
        let seen = pc.sweep_at(&planted.home, &[row.word], &[], FAST);
        assert!(told(&seen, &path) && told(&seen, &beside), "{} is not found in {}: {seen:?}", path.display(), row.word);
        let swept = pc.sweep_at(&planted.home, &[row.word], &[&listed], FAST);
        assert!(!told(&swept, &path) && !path.exists(), "{} is not removed from {}: {swept:?}", path.display(), row.word);
        assert!(told(&swept, &beside) && beside.exists(), "{} is gone", beside.display());
    }
    assert_eq!(pc.said().len(), planted.rows.len(), "each is said");
}

#[test]
fn what_is_planted_nowhere_that_policy_names_stays() {
    let mut pc = Pc::new();
    let listed = pc.put("Pictures/a.p12", &bundle("the listed bundle"));
    pc.put("Work/a.p12", &bundle("the listed bundle"));
    let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).filter(|word| !["temp", "removable"].contains(word)).collect();
    pc.sweep_in(&words, &[&listed], FAST);
    assert!(pc.has("Pictures/a.p12") && pc.has("Work/a.p12"));
}

/// Each word of policy's is one that the agent knows: a new one does not compile here before it has one.
#[test]
fn there_is_a_word_for_each_place_of_policys() {
    use tegata_core::policy::Folder;
    let word = |folder| match folder {
        Folder::Downloads => "downloads",
        Folder::Desktop => "desktop",
        Folder::Documents => "documents",
        Folder::Temp => "temp",
        Folder::Mail => "mail",
        Folder::Cloud => "cloud",
        Folder::Trash => "trash",
        Folder::Removable => "removable",
    };
    let all = [
        Folder::Downloads,
        Folder::Desktop,
        Folder::Documents,
        Folder::Temp,
        Folder::Mail,
        Folder::Cloud,
        Folder::Trash,
        Folder::Removable,
    ];
    assert_eq!(all.map(word), WORDS.map(|(word, _)| word));
}

#[cfg(target_os = "linux")]
mod os_rows {
    use std::process::Command;

    use super::super::os::{self, pretend};
    use super::*;

    /// On a PC of its own, as far as it lies outside the home: `/tmp` and `/media` are a folder of the test's.
    pub(super) fn plant(pc: &Pc) -> Planted {
        let home = pc.world.home();
        let root = fs::canonicalize(&home).unwrap().with_file_name("root");
        pretend::pretend(pretend::Surroundings { root: root.clone(), user: "uketsuke".into() });
        let stick = root.join("media/uketsuke/USB 8GB");
        for folder in [root.join("tmp"), root.join("var/tmp"), stick.clone(), home.join(".config")] {
            fs::create_dir_all(folder).unwrap();
        }
        let own = ["DOWNLOAD_DIR=\"$HOME/ダウンロード\"", "DESKTOP_DIR=\"$HOME/デスクトップ\"", "DOCUMENTS_DIR=\"$HOME/書類\""];
        fs::write(home.join(".config/user-dirs.dirs"), own.map(|line| format!("XDG_{line}\n")).concat()).unwrap();
        let mut planted = Planted { home, rows: vec![] };
        for (word, usual, moved) in
            [("downloads", "Downloads", "ダウンロード"), ("desktop", "Desktop", "デスクトップ"), ("documents", "Documents", "書類")]
        {
            planted.row(word, Path::new(usual).join("a.p12"));
            planted.row(word, Path::new(moved).join("a.p12"));
        }
        // Thunderbird opens attachments from a folder of its own in there.
        planted.row("temp", root.join("tmp/mozilla_uketsuke0/a.p12"));
        planted.row("temp", root.join("var/tmp/a.p12"));
        planted.patterns("mail", os::MAIL);
        planted.patterns("cloud", os::CLOUD);
        planted.row("trash", ".local/share/Trash/files/a.p12");
        planted.row("trash", ".local/share/Trash/files/old/a.p12");
        planted.row("removable", stick.join("keys/a.p12"));
        planted.row("removable", stick.join(".Trash-1000/files/a.p12"));
        planted.row("removable", root.join("run/media/uketsuke/SD/a.p12"));
        planted.named();
        planted
    }

    #[test]
    fn without_a_test_temporary_files_are_everybodys() {
        let meant: Vec<PathBuf> = ["/tmp", "/var/tmp"].into_iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
        assert_eq!(os::temporary(Path::new("/")), meant);
    }

    /// A drive as a drive: a file system of its own. Only who may mount can try this.
    #[test]
    fn what_lies_on_a_drive_that_is_mounted_goes_and_none_of_another_users() {
        let mut pc = Pc::new();
        let root = fs::canonicalize(pc.world.home()).unwrap().with_file_name("root");
        pretend::pretend(pretend::Surroundings { root: root.clone(), user: "uketsuke".into() });
        let [stick, other] = ["media/uketsuke/STICK", "media/shinsatsu/STICK"].map(|path| root.join(path));
        fs::create_dir_all(&stick).unwrap();
        fs::create_dir_all(&other).unwrap();
        let run = |program: &str, arguments: &[&str]| {
            Command::new(program).args(arguments).arg(&stick).output().is_ok_and(|ran| ran.status.success())
        };
        let is_mounted = run("mount", &["-t", "tmpfs", "none"]);
        let listed = pc.put("../elsewhere.p12", &bundle("the listed bundle"));
        for drive in [&stick, &other] {
            fs::copy(root.with_file_name("elsewhere.p12"), drive.join("a.p12")).unwrap();
        }
        let swept = pc.sweep_in(&["removable"], &[&listed], FAST);
        let left = [&stick, &other].map(|drive| drive.join("a.p12").exists());
        assert!(!is_mounted || run("umount", &[]));
        assert_eq!((left, swept.left.len(), swept.unread.len()), ([false, true], 0, 0));
    }
}

#[cfg(windows)]
mod os_rows {
    use windows_registry::{CURRENT_USER, LOCAL_MACHINE};

    use super::super::os;
    use super::*;
    use crate::windows::access;
    use crate::windows::system::{self, Folder};

    /// In the user's own profile, with some of the places moved to the stick that each PC of ours under Wine has (`tests/src/wine.rs`): the
    /// settings of a PC that somebody works at are not changed.
    pub(super) fn plant(_: &Pc) -> Planted {
        assert!(super::super::windows::is_wine(), "this test belongs on a PC of its own");
        let (home, user) = (system::folder(Folder::Profile).unwrap(), access::user().unwrap());
        let set = |path: &str, name: &str, value: &str| CURRENT_USER.create(path).unwrap().set_string(name, value).unwrap();
        set(r"Software\Microsoft\Windows\CurrentVersion\Explorer\User Shell Folders", "Personal", r"E:\書類");
        set("Environment", "TEMP", r"E:\Temporary");
        set("Environment", "TMP", r"%UserProfile%\Temporary");
        set(r"Software\Microsoft\OneDrive\Accounts\Business1", "UserFolder", r"E:\OneDrive");
        let provider = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\SyncRootManager\iCloudDrive!1\UserSyncRoots";
        LOCAL_MACHINE.create(provider).unwrap().set_string(&user, r"E:\iCloud").unwrap();

        let mut planted = Planted { home, rows: vec![] };
        planted.row("downloads", r"Downloads\a.p12");
        planted.row("desktop", r"Desktop\a.p12");
        planted.row("documents", r"Documents\a.p12");
        planted.row("documents", r"E:\書類\a.p12");
        planted.row("temp", r"AppData\Local\Temp\7zO\a.p12");
        planted.row("temp", r"E:\Temporary\7zO\a.p12");
        planted.row("temp", r"Temporary\a.p12");
        planted.patterns("mail", os::MAIL);
        planted.patterns("cloud", os::CLOUD);
        planted.row("cloud", r"E:\OneDrive\1\2\a.p12");
        planted.row("cloud", r"E:\iCloud\a.p12");
        planted.row("trash", format!(r"C:\$Recycle.Bin\{user}\$RAB12CD.p12"));
        planted.row("trash", format!(r"C:\$Recycle.Bin\{user}\$RAB12CE\a.p12"));
        planted.row("removable", r"E:\a.p12");
        planted.row("removable", r"E:\keys\a.p12");
        planted.row("removable", format!(r"E:\$Recycle.Bin\{user}\$RAB12CD.p12"));
        planted.named();
        planted
    }

    #[test]
    fn what_somebody_else_has_in_the_bin_and_in_a_cloud_is_nobodys_business() {
        let home = Path::new(r"C:\users\somebody else");
        assert!(os::clouds(home).is_empty());
        assert_eq!(os::temporary(home), [Path::new(r"AppData\Local\Temp")]);
        assert!(os::trash(home).iter().all(|bin| bin.ends_with(access::user().unwrap())));
    }
}
