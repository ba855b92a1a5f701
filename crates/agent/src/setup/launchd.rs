//! A LaunchAgent: what launchd starts when its user logs on, and starts again when it ends.

use std::fs;
use std::path::{Path, PathBuf};

use plist::{Dictionary, Value};

use super::{Left, SetupError};
use crate::command::CommandError;
use crate::disk::{self, Readers, failing};

/// Its name, and that of its file.
pub(super) const LABEL: &str = "dev.tegata.agent";
/// The program in its place.
const PROGRAM: &str = "tegata-agent";
/// How long launchd waits before it starts the agent again, in seconds.
const PAUSE: i64 = 30;

/// Asks launchd: `launchctl` with these arguments.
pub(super) type Launchctl<'a> = dyn FnMut(&[&str]) -> Result<(), CommandError> + 'a;

/// Where everything lies of one user.
pub(super) struct Places {
    folder: PathBuf,
    plist: PathBuf,
    complaints: PathBuf,
    /// The user's part of launchd, `gui/501`.
    domain: String,
}

impl Places {
    pub(super) fn of(home: &Path, user: u32) -> Self {
        let library = home.join("Library");
        Self {
            folder: library.join("Application Support/Tegata"),
            plist: library.join(format!("LaunchAgents/{LABEL}.plist")),
            complaints: library.join("Logs/tegata-agent.log"),
            domain: format!("gui/{user}"),
        }
    }

    fn service(&self) -> String {
        format!("{}/{LABEL}", self.domain)
    }
}

/// Copies `this` program to its place, and has launchd start it, now and from now on. What runs already is replaced.
pub(super) fn install(this: &Path, places: &Places, launchctl: &mut Launchctl<'_>) -> Result<(), SetupError> {
    let program = places.folder.join(PROGRAM);
    for folder in [&places.plist, &places.complaints, &program].map(|path| path.parent().unwrap_or(path)) {
        fs::create_dir_all(folder).map_err(failing("make the folder", folder))?;
    }
    end(places, launchctl);
    if this != program {
        // Not over the old one: a program that runs must keep its bytes.
        let fresh = disk::hidden(&program);
        fs::copy(this, &fresh).map_err(failing("write", &fresh))?;
        disk::rename(&fresh, &program)?;
    }
    let text = plist(&program, Some(&places.complaints)).map_err(failing("write", &places.plist))?;
    disk::write(&places.plist, &text, Readers::Everyone)?;
    // Whoever switched it off in the settings wants it again now.
    launchctl(&["enable", &places.service()])?;
    Ok(launchctl(&["bootstrap", &places.domain, &places.plist.to_string_lossy()])?)
}

/// Ends it and removes what [`install`] has brought.
pub(super) fn uninstall(places: &Places, launchctl: &mut Launchctl<'_>) -> Result<Left, SetupError> {
    end(places, launchctl);
    let program = places.folder.join(PROGRAM);
    for path in [&places.plist, &places.complaints, &disk::hidden(&program), &program] {
        disk::remove(path)?;
    }
    disk::remove_empty_folder(&places.folder)?;
    Ok(Left::Nothing)
}

/// Ends it, if it runs: launchctl fails where there is nothing to end.
fn end(places: &Places, launchctl: &mut Launchctl<'_>) {
    let _ = launchctl(&["bootout", &places.service()]);
}

/// The property list (launchd.plist(5)). `complaints` is where goes what the agent says before it has a log of its own.
fn plist(program: &Path, complaints: Option<&Path>) -> std::io::Result<Vec<u8>> {
    let text = |path: &Path| Value::from(path.to_string_lossy().into_owned());
    let arguments = [text(program), "run".into(), "--wait".into(), "--log".into()];
    let mut entries = Dictionary::from_iter([
        ("Label", Value::from(LABEL)),
        ("ProgramArguments", Value::Array(arguments.into())),
        ("RunAtLoad", true.into()),
        ("KeepAlive", true.into()),
        ("ThrottleInterval", PAUSE.into()),
        ("ProcessType", "Background".into()),
        ("LowPriorityIO", true.into()),
        ("Nice", 10.into()),
        ("Umask", 0o077.into()),
    ]);
    if let Some(path) = complaints {
        entries.insert("StandardErrorPath".into(), text(path));
    }
    let mut bytes = Vec::new();
    Value::Dictionary(entries).to_writer_xml(&mut bytes).map_err(std::io::Error::other)?;
    bytes.push(b'\n');
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use expect_test::{expect, expect_file};

    use super::*;

    /// A home with a program in Downloads, and what launchctl was asked, one call a line.
    struct Mac {
        home: tempfile::TempDir,
        asked: String,
    }

    impl Mac {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            fs::create_dir(home.path().join("Downloads")).unwrap();
            let mac = Self { home, asked: String::new() };
            fs::write(mac.download(), "program").unwrap();
            fs::set_permissions(mac.download(), fs::Permissions::from_mode(0o755)).unwrap();
            mac
        }

        fn download(&self) -> PathBuf {
            self.home.path().join("Downloads/tegata-agent")
        }

        fn install(&mut self, refuses: &str) -> Result<(), SetupError> {
            self.install_from(&self.download(), refuses)
        }

        fn install_from(&mut self, this: &Path, refuses: &str) -> Result<(), SetupError> {
            let places = Places::of(self.home.path(), 501);
            install(this, &places, &mut launchctl(&mut self.asked, refuses))
        }

        fn uninstall(&mut self, refuses: &str) -> Result<Left, SetupError> {
            let places = Places::of(self.home.path(), 501);
            uninstall(&places, &mut launchctl(&mut self.asked, refuses))
        }

        /// Every file below the home, with its permissions, and what was asked.
        fn told(&self) -> String {
            let home = self.home.path().to_string_lossy().into_owned();
            let mut files = Vec::new();
            let mut folders = vec![self.home.path().join("Library")];
            while let Some(folder) = folders.pop() {
                for entry in disk::entries(&folder).unwrap() {
                    let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
                    if entry.is_dir() {
                        folders.push(entry);
                    } else {
                        files.push(format!("{mode:o} {}\n", entry.display()));
                    }
                }
            }
            files.sort();
            (files.concat() + &self.asked).replace(&home, "~")
        }
    }

    fn launchctl(asked: &mut String, refuses: &str) -> impl FnMut(&[&str]) -> Result<(), CommandError> {
        move |arguments| {
            *asked += &format!("launchctl {}\n", arguments.join(" "));
            let failed = || CommandError::Failed { program: "launchctl".into(), complaint: "Boot-out failed: 3: No such process".into() };
            if arguments[0] == refuses { Err(failed()) } else { Ok(()) }
        }
    }

    #[test]
    fn the_agent_of_a_first_installation_is_in_its_place_and_started() {
        let mut mac = Mac::new();
        mac.install("bootout").unwrap();
        expect![[r#"
            644 ~/Library/LaunchAgents/dev.tegata.agent.plist
            755 ~/Library/Application Support/Tegata/tegata-agent
            launchctl bootout gui/501/dev.tegata.agent
            launchctl enable gui/501/dev.tegata.agent
            launchctl bootstrap gui/501 ~/Library/LaunchAgents/dev.tegata.agent.plist
        "#]]
        .assert_eq(&mac.told());
    }

    #[test]
    fn a_newer_program_replaces_the_old_one_which_was_ended_before_also_from_its_own_place() {
        let mut mac = Mac::new();
        mac.install("").unwrap();
        fs::write(mac.download(), "newer").unwrap();
        mac.install("").unwrap();
        let placed = mac.home.path().join("Library/Application Support/Tegata/tegata-agent");
        assert_eq!(fs::read(&placed).unwrap(), b"newer");
        mac.install_from(&placed, "").unwrap();
        assert_eq!(fs::read(&placed).unwrap(), b"newer");
    }

    #[test]
    fn what_launchd_refuses_is_told() {
        let problem = Mac::new().install("bootstrap").unwrap_err();
        assert!(crate::told(&problem).contains("launchctl failed: Boot-out failed"), "{problem}");
    }

    #[test]
    fn nothing_is_left_of_it_and_nothing_else_goes() {
        let mut mac = Mac::new();
        mac.install("").unwrap();
        mac.asked.clear();
        let library = mac.home.path().join("Library");
        fs::write(library.join("Logs/tegata-agent.log"), "complaint").unwrap();
        fs::write(library.join("LaunchAgents/com.example.other.plist"), "other").unwrap();
        assert_eq!(mac.uninstall("").unwrap(), Left::Nothing);
        assert_eq!(mac.uninstall("bootout").unwrap(), Left::Nothing, "it can be repeated");
        assert!(!library.join("Application Support/Tegata").exists());
        expect![[r#"
            644 ~/Library/LaunchAgents/com.example.other.plist
            launchctl bootout gui/501/dev.tegata.agent
            launchctl bootout gui/501/dev.tegata.agent
        "#]]
        .assert_eq(&mac.told());
    }

    #[test]
    fn the_property_list_starts_it_at_logon_and_whenever_it_ends() {
        let written = String::from_utf8(plist(Path::new("/usr/local/bin/tegata-agent"), None).unwrap()).unwrap();
        expect_file!["../../packages/macos/dev.tegata.agent.plist"].assert_eq(&written);
        let of_user = plist(Path::new("/Users/受付/x & <y>"), Some(Path::new("/Users/受付/log"))).unwrap();
        let read = Value::from_reader_xml(of_user.as_slice()).unwrap().into_dictionary().unwrap();
        assert_eq!(read["ProgramArguments"].as_array().unwrap()[0].as_string(), Some("/Users/受付/x & <y>"));
        assert_eq!(read["StandardErrorPath"].as_string(), Some("/Users/受付/log"));
    }
}
