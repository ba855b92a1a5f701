//! Forty ways to make a sweep remove something else. Whatever is set up, only the listed file itself may be gone afterwards.
//!
//! What is there is known by device and number, so that a file that was merely moved is not gone, and one of the same name is not the same.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mkfifoat, mknodat};

use super::super::{SIZE_MAX, os};
use super::{Pc, bundle};

/// One trap: what lies there, what happens between the look and the removal, and what happens while the file is aside.
struct Trap {
    name: &'static str,
    set: fn(&Path),
    meanwhile: fn(&Path),
    at_last: fn(&Path, &Path),
    /// What has to go all the same, below the home. Everything else has to stay.
    goes: &'static [&'static str],
}

const TARGET: &str = "Downloads/a.p12";
/// With a line break, and a mark that has what follows read from the right.
const STRANGE: &str = "Downloads/a\nb \u{202e}21p.exe.p12";

/// A trap that is there before the look; nothing may go.
const fn stays(name: &'static str, set: fn(&Path)) -> Trap {
    Trap { name, set, meanwhile: |_| (), at_last: |_, _| (), goes: &[] }
}

/// One beside which the listed file goes.
const fn goes(name: &'static str, set: fn(&Path)) -> Trap {
    Trap { goes: &[TARGET], ..stays(name, set) }
}

/// One that is sprung between the look and the removal.
const fn meanwhile(name: &'static str, meanwhile: fn(&Path)) -> Trap {
    Trap { meanwhile, ..stays(name, put_target) }
}

/// One that is sprung while the file is aside, under the name that is given.
const fn at_last(name: &'static str, at_last: fn(&Path, &Path)) -> Trap {
    Trap { at_last, ..stays(name, put_target) }
}

const TRAPS: [Trap; 48] = [
    goes("nothing but the file", put_target),
    stays("a link to a listed file elsewhere", |home| {
        listed(home, "../precious.p12");
        symlink(home.join("../precious.p12"), home.join(TARGET)).unwrap();
    }),
    stays("a link to a listed file in the same folder, which is out of reach itself", |home| {
        listed(home, "Downloads/deeper/b.p12");
        symlink("deeper/b.p12", home.join(TARGET)).unwrap();
    }),
    stays("a link to nowhere", |home| symlink("nowhere.p12", home.join(TARGET)).unwrap()),
    stays("a link to itself", |home| symlink("a.p12", home.join(TARGET)).unwrap()),
    stays("two links to each other", |home| {
        symlink("b.p12", home.join(TARGET)).unwrap();
        symlink("a.p12", home.join("Downloads/b.p12")).unwrap();
    }),
    stays("a second name", |home| {
        listed(home, "precious.p12");
        fs::hard_link(home.join("precious.p12"), home.join(TARGET)).unwrap();
    }),
    stays("a second name in the same folder", |home| {
        put_target(home);
        fs::hard_link(home.join(TARGET), home.join("Downloads/b.p12")).unwrap();
    }),
    stays("a folder that is a link", |home| {
        listed(home, "precious/a.p12");
        fs::remove_dir(home.join("Downloads")).unwrap();
        symlink("precious", home.join("Downloads")).unwrap();
    }),
    stays("a folder that is a link out of the home", |home| {
        listed(home, "../elsewhere/a.p12");
        fs::remove_dir(home.join("Downloads")).unwrap();
        symlink(home.join("../elsewhere"), home.join("Downloads")).unwrap();
    }),
    stays("a folder that links to itself", |home| {
        fs::remove_dir(home.join("Downloads")).unwrap();
        symlink("Downloads", home.join("Downloads")).unwrap();
    }),
    stays("a folder that is a file", |home| {
        fs::remove_dir(home.join("Downloads")).unwrap();
        listed(home, "Downloads");
    }),
    stays("a folder that leads up", |home| {
        settings(home, "$HOME/../elsewhere");
        listed(home, "../elsewhere/a.p12");
    }),
    stays("a folder that is said to be /", |home| settings(home, "/")),
    stays("a pipe", |home| mkfifoat(CWD, home.join(TARGET), Mode::RWXU).unwrap()),
    stays("a socket", |home| drop(UnixListener::bind(home.join(TARGET)).unwrap())),
    stays("a device", |home| {
        // Who may not make one has no such trap.
        let _ = mknodat(CWD, home.join(TARGET), FileType::CharacterDevice, Mode::RWXU, rustix::fs::makedev(1, 3));
    }),
    stays("a folder that is called like a file", |home| fs::create_dir(home.join(TARGET)).unwrap()),
    stays("a folder that is called like a file, with a listed file in it", |home| listed(home, "Downloads/a.p12/a.p12")),
    stays("other contents of the same length", |home| put(home, TARGET, &bundle("THE LISTED BUNDLE"))),
    stays("other contents of the same beginning", |home| put(home, TARGET, &[bundle(LISTED), b"and more".to_vec()].concat())),
    stays("no contents", |home| put(home, TARGET, b"")),
    stays("a file with a hole of four gigabytes", |home| {
        put_target(home);
        OpenOptions::new().write(true).open(home.join(TARGET)).unwrap().set_len(4 << 30).unwrap();
    }),
    stays("a file that is a byte too large", |home| File::create(home.join(TARGET)).unwrap().set_len(SIZE_MAX + 1).unwrap()),
    stays("another user's file", |home| {
        put_target(home);
        give_away(home, TARGET);
    }),
    stays("another user's folder", |home| {
        put_target(home);
        give_away(home, "Downloads");
    }),
    goes("a file that nobody may write to", |home| {
        put_target(home);
        fs::set_permissions(home.join(TARGET), Permissions::from_mode(0o444)).unwrap();
    }),
    goes("a file that another program has open", |home| {
        put_target(home);
        let mut program = Command::new("sleep").arg("10").stdin(File::open(home.join(TARGET)).unwrap()).spawn().unwrap();
        std::thread::spawn(move || program.wait());
    }),
    goes("names that are no text", |home| {
        put_target(home);
        for name in [&b"\xff\xfe.p12"[..], b"line\nbreak.p12", "\u{202e}21p.exe.p12".as_bytes(), b"-rf.p12", b"*.p12", b"$(id).p12"] {
            fs::write(home.join("Downloads").join(OsStr::from_bytes(name)), bundle("somebody's own")).unwrap();
        }
    }),
    Trap { goes: &[STRANGE], ..stays("a listed file whose name breaks the line and turns it around", |home| listed(home, STRANGE)) },
    stays("a file of other contents whose name does", |home| put(home, STRANGE, &bundle("THE LISTED BUNDLE"))),
    goes("names as long as names can be", |home| {
        put_target(home);
        fs::write(home.join("Downloads").join(format!("{}.p12", "n".repeat(251))), bundle("somebody's own")).unwrap();
    }),
    goes("the same name in other letters", |home| {
        put_target(home);
        put(home, "Downloads/A.P12", &bundle("THE LISTED BUNDLE"));
    }),
    goes("many files", |home| {
        put_target(home);
        (0..1_000).for_each(|number| put(home, &format!("Downloads/{number}.txt"), b"a letter"));
    }),
    goes("many files of the same length", |home| {
        put_target(home);
        (0..500).for_each(|number| put(home, &format!("Downloads/{number}.p12"), &bundle(&format!("the listed {number:06}"))));
    }),
    stays("a listed file that lies deeper", |home| listed(home, "Downloads/deeper/a.p12")),
    stays("a listed file below a hundred folders", |home| listed(home, &format!("Downloads/{}a.p12", "d/".repeat(100)))),
    stays("a listed file in a folder that nobody named", |home| listed(home, "Pictures/a.p12")),
    goes("a folder beside it that cannot be read", |home| {
        put_target(home);
        fs::create_dir(home.join("Downloads/closed")).unwrap();
        fs::set_permissions(home.join("Downloads/closed"), Permissions::from_mode(0o000)).unwrap();
    }),
    meanwhile("the file is replaced by another", |home| {
        put(home, "staging", &bundle("THE LISTED BUNDLE"));
        fs::rename(home.join("staging"), home.join(TARGET)).unwrap();
    }),
    meanwhile("the file is replaced by a link", |home| {
        listed(home, "../precious.p12");
        fs::rename(home.join(TARGET), home.join("taken")).unwrap();
        symlink(home.join("../precious.p12"), home.join(TARGET)).unwrap();
    }),
    meanwhile("the folder is replaced by a link", |home| {
        listed(home, "../elsewhere/a.p12");
        fs::rename(home.join("Downloads"), home.join("taken")).unwrap();
        symlink(home.join("../elsewhere"), home.join("Downloads")).unwrap();
    }),
    meanwhile("the folder is given another name", |home| fs::rename(home.join("Downloads"), home.join("taken")).unwrap()),
    meanwhile("the file grows", |home| {
        OpenOptions::new().append(true).open(home.join(TARGET)).unwrap().write_all(b"more").unwrap();
    }),
    meanwhile("the file is emptied", |home| File::create(home.join(TARGET)).unwrap().set_len(0).unwrap()),
    at_last("another file takes the name that it has while it is aside", |home, aside| {
        put(home, "staging", &bundle("THE LISTED BUNDLE"));
        fs::rename(aside, home.join("taken")).unwrap();
        fs::rename(home.join("staging"), aside).unwrap();
    }),
    at_last("it is written to while it is aside", |_, aside| fs::write(aside, bundle("somebody's words!")).unwrap()),
    at_last("it is given a second name while it is aside", |home, aside| fs::hard_link(aside, home.join("precious.p12")).unwrap()),
];

#[test]
fn f8_no_trap_makes_a_sweep_remove_anything_but_the_listed_file() {
    for trap in &TRAPS {
        spring(trap);
    }
}

/// As macOS opens files, which has no openat2.
#[test]
fn f8_nor_where_folders_are_opened_one_by_one() {
    crate::home::steps::try_them();
    TRAPS.iter().for_each(spring);
}

/// A folder on another drive, in the place of one of the user's: what lies on it is looked at as itself. Only who may mount has this trap.
#[test]
fn f8_a_drive_that_is_mounted_over_a_folder_meanwhile_is_left_alone() {
    let pc = Pc::new();
    let home = pc.world.home();
    put_target(&home);
    let listed = hash(&bundle(LISTED));
    let found = look(&home, &listed);
    let downloads = home.join("Downloads");
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).arg(&downloads).output().is_ok_and(|ran| ran.status.success())
    };
    if !run("mount", &["-t", "tmpfs", "none"]) {
        return;
    }
    put(&home, TARGET, &bundle("THE LISTED BUNDLE"));
    let set_aside = os::set_aside(&home, &found[0]).map(drop);
    let left = fs::read(home.join(TARGET));
    assert!(run("umount", &[]));
    set_aside.unwrap_err();
    assert!(left.unwrap() == bundle("THE LISTED BUNDLE") && home.join(TARGET).exists());
}

/// A drive, or a server, below a place is not part of it: a look would go on without end there. Only who may mount has this trap.
#[test]
fn f8_a_drive_that_is_mounted_below_a_place_is_not_looked_at() {
    let pc = Pc::new();
    let home = pc.world.home();
    listed(&home, "Work/a.p12");
    let inside = home.join("Work/inside");
    fs::create_dir(&inside).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).arg(&inside).output().is_ok_and(|ran| ran.status.success())
    };
    if !run("mount", &["-t", "tmpfs", "none"]) {
        return;
    }
    listed(&home, "Work/inside/a.p12");
    let looked = super::look(&home, &["~/Work/**".to_owned()].into(), &[].into(), &mut super::Memory::default(), super::Pace::default());
    assert!(run("umount", &[]));
    let found: Vec<PathBuf> = looked.unwrap().found.into_iter().map(|found| found.folder).collect();
    assert_eq!(found, [Path::new("Work")]);
}

/// What the hash is taken of may change while it is taken: then there is none.
#[test]
fn f8_a_file_that_grows_or_shrinks_while_it_is_read_has_no_hash() {
    let pc = Pc::new();
    let path = pc.world.home().join(TARGET);
    for length in [0, 30, 1_000_000] {
        put_target(&pc.world.home());
        let (file, before) = (File::open(&path).unwrap(), rustix::fs::stat(&path).unwrap());
        assert!(os::bundle_in(&file, &before).unwrap().is_some());
        let file = File::open(&path).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length).unwrap();
        assert!(os::bundle_in(&file, &before).is_err());
    }
}

fn spring(trap: &Trap) {
    let pc = Pc::new();
    let home = pc.world.home();
    let root = home.parent().unwrap();
    (trap.set)(&home);
    let mut gone = Vec::new();
    let listed = hash(&bundle(LISTED));
    let before = everything(root);
    let found = look(&home, &listed);
    gone.extend(lost(&before, root));
    for found in found.into_iter().filter(|found| found.file == listed) {
        (trap.meanwhile)(&home);
        let before = everything(root);
        let aside = os::set_aside(&home, &found);
        gone.extend(lost(&before, root));
        let Ok(aside) = aside else { continue };
        (trap.at_last)(&home, &home.join(&found.folder).join(&aside.name));
        let before = everything(root);
        let _ = aside.remove();
        gone.extend(lost(&before, root));
    }
    let meant: Vec<PathBuf> = trap.goes.iter().map(|path| home.join(path)).collect();
    let is_meant = gone.len() == meant.len() && meant.iter().all(|path| !path.exists());
    assert!(is_meant, "{}: gone is {gone:?}, meant was {meant:?}", trap.name);
}

fn look(home: &Path, listed: &super::FileHash) -> Vec<super::Found> {
    let (words, wanted) = (["downloads".to_owned()].into(), [listed.clone()].into());
    super::look(home, &words, &wanted, &mut super::Memory::default(), super::Pace::default()).unwrap().found
}

/// What was there before and is not now, under whatever name.
fn lost(before: &Everything, root: &Path) -> Vec<PathBuf> {
    let now = everything(root);
    before.iter().filter(|(identity, _)| !now.contains_key(*identity)).map(|(_, path)| path.clone()).collect()
}

/// Every file, folder, link and pipe, by what it is: device, number and, of a small file, the contents.
type Everything = BTreeMap<(u64, u64, Vec<u8>), PathBuf>;

fn everything(root: &Path) -> Everything {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let is = path.symlink_metadata().unwrap();
            let contents = if is.is_file() && is.len() < 4_096 { fs::read(&path).unwrap_or_default() } else { Vec::new() };
            if is.is_dir() {
                folders.push(path.clone());
            }
            found.insert((is.dev(), is.ino(), contents), path);
        }
    }
    found
}

const LISTED: &str = "the listed bundle";

fn hash(contents: &[u8]) -> super::FileHash {
    super::FileHash { sha256: tegata_pki::key::sha256(contents).to_string(), size: contents.len() as u64 }
}

fn put(home: &Path, path: &str, contents: &[u8]) {
    let path = home.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, contents).unwrap();
}

fn listed(home: &Path, path: &str) {
    put(home, path, &bundle(LISTED));
}

fn put_target(home: &Path) {
    listed(home, TARGET);
}

fn settings(home: &Path, downloads: &str) {
    put(home, ".config/user-dirs.dirs", format!("XDG_DOWNLOAD_DIR=\"{downloads}\"\n").as_bytes());
}

/// Who may not give files away has another trap: a file without any rights.
fn give_away(home: &Path, path: &str) {
    if chown(home.join(path), Some(12_345), None).is_err() {
        fs::set_permissions(home.join(path), Permissions::from_mode(0o000)).unwrap();
    }
}
