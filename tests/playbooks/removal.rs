//! Installer files go by what is in them, whoever meddles in between.
//!
//! Who meddles is deterministic: the tool that hashes is the real one, and at its first or second call somebody does something right after.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use tegata_api::v1::playbook::HostTrouble;
use tegata_core::policy::Platform;
use tegata_playbook::remote::{Answer, Call, Failed, RemoteShell};
use tegata_ssh::{Output, SshError};
use tegata_tests::process::run_well;
use tegata_tests::wine::Pc;
use zeroize::Zeroizing;

const SCRIPT: &str = include_str!("../../crates/playbook/src/sh/installers.sh");
const OURS: &str = "what a vendor sent";
const PRECIOUS: &str = "what somebody else needs";
/// A name that a shell, `ls` and `mv` could take for something else.
const NAME: &str = "-rf it's $(here)\n受付.p12";

/// A machine with folders, on which somebody meddles.
struct Place {
    folder: tempfile::TempDir,
    shell: &'static str,
}

impl RemoteShell for Place {
    fn run(&self, command: &str, input: &[&[u8]], _: Duration) -> Result<Output, SshError> {
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.at("tools").display());
        let mut child = Command::new(self.shell)
            .args(["-c", command])
            .env("PATH", path)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Who is killed reads no further.
        input.iter().for_each(|part| drop(std::io::Write::write_all(&mut stdin, part)));
        drop(stdin);
        let ended = child.wait_with_output().unwrap();
        Ok(Output { status: ended.status.code(), printed: ended.stdout })
    }
}

impl Place {
    /// One of our files in `Downloads`, and somebody's own elsewhere.
    fn new(shell: &'static str) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap(), shell };
        ["tools", "Downloads", "elsewhere"].iter().for_each(|name| fs::create_dir(place.at(name)).unwrap());
        fs::write(place.at("Downloads").join(NAME), OURS).unwrap();
        fs::write(place.at("elsewhere").join(NAME), PRECIOUS).unwrap();
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Right after so many files were hashed, somebody does this; `$here` is the folder with everything, `$name` the file's name.
    fn meddle(&self, after: u32, what: &str) {
        let (here, name) = (self.folder.path().display(), NAME.replace('\'', "'\\''"));
        let script = format!(
            "#!/bin/sh\nhere='{here}'\nname='{name}'\n/usr/bin/sha256sum\necho >>\"$here/count\"\n\
             [ \"$(grep -c '' \"$here/count\")\" = {after} ] || exit 0\n{what}\n"
        );
        let tool = self.at("tools/sha256sum");
        fs::write(&tool, script).unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn call(&self, step: &str) -> Result<Answer, Failed> {
        let downloads = self.at("Downloads").display().to_string();
        let hash = run_hash(OURS);
        let values = [("hashes", &*hash), ("step", step), ("folder.0", &*downloads)];
        let values = values.map(|(name, value)| (name, Zeroizing::new(value.to_owned()))).to_vec();
        Call { script: SCRIPT, as_user: None, values, content: b"", within: Duration::from_secs(60) }.run(self, Platform::Linux)
    }

    /// What is below a folder: names and what is in them.
    fn files(&self, folder: &str) -> Vec<String> {
        super::files(&self.at(folder)).into_iter().map(|name| fs::read_to_string(self.at(folder).join(name)).unwrap()).collect()
    }
}

fn run_hash(text: &str) -> String {
    tegata_pki::key::sha256(text.as_bytes()).to_string()
}

const SHELLS: [&str; 2] = ["dash", "bash"];

#[test]
fn what_was_hashed_goes_and_the_second_run_is_quiet() {
    for shell in SHELLS {
        let place = Place::new(shell);
        fs::write(place.at("Downloads/other.PFX"), PRECIOUS).unwrap();
        fs::write(place.at("Downloads/copy.pfx"), OURS).unwrap();
        fs::write(place.at("Downloads/copy.txt"), OURS).unwrap();
        symlink(place.at("Downloads/copy.txt"), place.at("Downloads/link.p12")).unwrap();
        fs::create_dir(place.at("Downloads/folder.p12")).unwrap();
        assert_eq!(place.call("check").unwrap().changed, Some(true));
        assert_eq!(place.files("Downloads").len(), 5, "a check changes nothing");
        assert_eq!(place.call("apply").unwrap().changed, Some(true));
        assert_eq!(super::files(&place.at("Downloads")), ["copy.txt", "link.p12", "other.PFX"]);
        for step in ["check", "apply"] {
            assert_eq!(place.call(step).unwrap(), Answer { changed: Some(false), ..Answer::default() });
        }
    }
}

#[test]
fn what_takes_its_place_after_it_was_hashed_stays() {
    let swaps = [
        ("another file", "cp \"$here/elsewhere/$name\" \"$here/new\"; mv \"$here/new\" \"$here/Downloads/$name\""),
        ("other words in it", "cat \"$here/elsewhere/$name\" >\"$here/Downloads/$name\""),
    ];
    for (swap, shell) in swaps.into_iter().flat_map(|swap| SHELLS.map(|shell| (swap, shell))) {
        let place = Place::new(shell);
        place.meddle(1, swap.1);
        place.call("apply").unwrap();
        assert_eq!(place.files("Downloads"), [PRECIOUS], "{} ({shell})", swap.0);
        assert_eq!(super::files(&place.at("Downloads")), [NAME], "it lies where it lay");
    }
}

#[test]
fn nothing_goes_through_a_link_that_takes_the_place_of_a_file_or_a_folder() {
    let swaps = [
        ("of the file", "mv \"$here/Downloads/$name\" \"$here/old\"; ln -s \"$here/elsewhere/$name\" \"$here/Downloads/$name\""),
        ("of the folder", "mv \"$here/Downloads\" \"$here/old\"; ln -s \"$here/elsewhere\" \"$here/Downloads\""),
    ];
    for (swap, shell) in swaps.into_iter().flat_map(|swap| SHELLS.map(|shell| (swap, shell))) {
        let place = Place::new(shell);
        // What lies elsewhere has the same hash, so that only the link tells it apart.
        fs::write(place.at("elsewhere").join(NAME), OURS).unwrap();
        place.meddle(1, swap.1);
        place.call("apply").unwrap();
        assert_eq!(place.files("elsewhere"), [OURS], "a link in the place {} ({shell})", swap.0);
    }
    let place = Place::new("dash");
    fs::rename(place.at("Downloads"), place.at("old")).unwrap();
    symlink(place.at("old"), place.at("Downloads")).unwrap();
    let refused = place.call("apply").unwrap_err();
    assert!(refused.trouble == HostTrouble::TaskFailed && refused.told.contains("is a link"), "{refused:?}");
    assert_eq!(place.files("old"), [OURS]);
}

#[test]
fn what_belongs_to_somebody_else_stays_and_is_told() {
    let place = Place::new("dash");
    std::os::unix::fs::chown(place.at("Downloads").join(NAME), Some(65534), None).unwrap();
    for step in ["check", "apply"] {
        let refused = place.call(step).unwrap_err();
        assert!(refused.trouble == HostTrouble::TaskFailed && refused.told.contains("belongs to somebody else"), "{refused:?}");
    }
    assert_eq!(place.files("Downloads"), [OURS]);
    // Of a user in whose folder it lies, whoever signs in.
    std::os::unix::fs::chown(place.at("Downloads"), Some(65534), None).unwrap();
    assert_eq!(place.call("apply").unwrap().changed, Some(true));
    assert!(place.files("Downloads").is_empty());
}

#[test]
fn a_removal_that_is_killed_in_the_middle_is_ended_by_the_next_run() {
    for (what, shell) in [OURS, PRECIOUS].into_iter().flat_map(|what| SHELLS.map(|shell| (what, shell))) {
        let place = Place::new(shell);
        fs::write(place.at("what"), what).unwrap();
        // In the folder that nobody else can write into; somebody wrote into the file before, or not. Everything of the run is killed.
        place.meddle(2, "cat \"$here/what\" >\"$(echo \"$here\"/Downloads/.tegata-removal.*)/$name\"; kill -9 0");
        place.call("apply").unwrap_err();
        let left = super::files(&place.at("Downloads"));
        assert!(left.len() == 1 && left[0].starts_with(".tegata-removal."), "{left:?}");
        assert_eq!(place.call("check").unwrap().changed, Some(true));
        assert_eq!(place.call("apply").unwrap().changed, Some(true));
        let expected: &[&str] = if what == OURS { &[] } else { &[NAME] };
        assert_eq!(super::files(&place.at("Downloads")), expected, "{what}");
        assert_eq!(fs::read_dir(place.at("Downloads")).unwrap().count(), expected.len(), "no folder of ours is left");
        assert_eq!(place.call("apply").unwrap().changed, Some(false));
    }
}

#[test]
fn a_folder_that_only_looks_like_ours_is_not_entered() {
    let place = Place::new("dash");
    fs::remove_file(place.at("Downloads").join(NAME)).unwrap();
    let planted = place.at("Downloads/.tegata-removal.planted");
    fs::create_dir(&planted).unwrap();
    fs::write(planted.join("x.p12"), OURS).unwrap();
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o777)).unwrap();
    let refused = place.call("apply").unwrap_err();
    assert!(refused.told.contains("could not be ended"), "{refused:?}");
    assert!(Path::new(&planted).join("x.p12").exists());
}

/// The calls that `installers.ps1` makes, by way of .NET, in their order and with its numbers; what others can do meanwhile; exit code 0 if
/// all is as the script relies on.
const AS_WINDOWS: &str = "#include <windows.h>
#include <stdio.h>
#include <wchar.h>
#define EXPECT(what) if (!(what)) { printf(\"%s (%lu)\\n\", #what, GetLastError()); return 1; }
int main(void) {
    const wchar_t *path = L\"C:\\\\downloads\\\\client.p12\", *other = L\"C:\\\\downloads\\\\other.p12\";
    wchar_t found[1024];
    unsigned char yes = 1;
    /* FileSystemRights: Read, Delete. FileShare: None. */
    HANDLE file = CreateFileW(path, 0x20089 | 0x10000, 0, 0, OPEN_EXISTING, 0, 0);
    EXPECT(file != INVALID_HANDLE_VALUE)
    EXPECT(CreateFileW(path, GENERIC_WRITE, 7, 0, OPEN_EXISTING, 0, 0) == INVALID_HANDLE_VALUE && GetLastError() == ERROR_SHARING_VIOLATION)
    EXPECT(!MoveFileW(path, L\"C:\\\\elsewhere.p12\") && !DeleteFileW(path) && !MoveFileExW(other, path, MOVEFILE_REPLACE_EXISTING))
    EXPECT(GetFinalPathNameByHandleW(file, found, 1024, 0) && wcsicmp(found, L\"\\\\\\\\?\\\\C:\\\\downloads\\\\client.p12\") == 0)
    EXPECT(SetFileAttributesW(path, FILE_ATTRIBUTE_NORMAL))
    EXPECT(SetFileInformationByHandle(file, 4, &yes, 1))
    EXPECT(CloseHandle(file) && GetFileAttributesW(path) == INVALID_FILE_ATTRIBUTES && GetFileAttributesW(other) != INVALID_FILE_ATTRIBUTES)
    return 0;
}
";

#[test]
fn on_windows_the_handle_that_was_hashed_is_the_file_that_goes() -> Result<()> {
    let pc = Pc::new()?;
    let (source, program) = (pc.drive().join("go.c"), pc.drive().join("go.exe"));
    fs::write(&source, AS_WINDOWS)?;
    run_well(Path::new("x86_64-w64-mingw32-gcc"), [source.as_os_str(), OsStr::new("-o"), program.as_os_str()])?;
    let downloads = pc.drive().join("downloads");
    fs::create_dir(&downloads)?;
    for (name, text) in [("client.p12", OURS), ("other.p12", PRECIOUS)] {
        fs::write(downloads.join(name), text)?;
    }
    fs::set_permissions(downloads.join("client.p12"), fs::Permissions::from_mode(0o444))?;
    let ended = pc.run(&program, [] as [&str; 0])?;
    anyhow::ensure!(ended.status.success(), "{ended:?}");
    anyhow::ensure!(super::files(&downloads) == ["other.p12"]);
    Ok(())
}
