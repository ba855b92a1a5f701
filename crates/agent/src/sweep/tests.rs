//! The sweep, and those who would like it to remove something else.

use std::fs;
use std::time::Duration;

use super::*;
use crate::pretend::World;

mod inside;
mod million;
mod planted;
mod quarantine;
#[cfg(target_os = "linux")]
mod swaps;
#[cfg(target_os = "linux")]
mod traps;
#[cfg(unix)]
mod unix;
mod walk;
#[cfg(windows)]
mod windows;

struct Pc {
    world: World,
    limit: Limit,
    receipts: Receipts,
    memory: Memory,
    /// What the server wants out of the way.
    unwelcome: BTreeSet<FileHash>,
}

impl Pc {
    fn new() -> Self {
        let world = World::new();
        fs::create_dir_all(world.home().join("Downloads")).unwrap();
        let limit = Limit::open(&world.state.installer_removals()).unwrap();
        let receipts = world.receipts();
        Self { world, limit, receipts, memory: Memory::default(), unwelcome: BTreeSet::new() }
    }

    fn put(&self, path: &str, contents: &[u8]) -> FileHash {
        let path = self.world.home().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
        FileHash { sha256: tegata_pki::key::sha256(contents).to_string(), size: contents.len() as u64 }
    }

    fn has(&self, path: &str) -> bool {
        self.world.home().join(path).symlink_metadata().is_ok()
    }

    fn sweep(&mut self, listed: &[&FileHash]) -> Swept {
        self.sweep_in(&["downloads", "desktop", "documents"], listed, Pace { rest: Duration::ZERO, ..Pace::default() })
    }

    fn sweep_in(&mut self, words: &[&str], listed: &[&FileHash], pace: Pace) -> Swept {
        let home = self.world.home();
        self.sweep_at(&home, words, listed, pace)
    }

    fn sweep_at(&mut self, home: &Path, words: &[&str], listed: &[&FileHash], pace: Pace) -> Swept {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let listed = listed.iter().map(|&file| file.clone()).collect();
        let looked = look(home, &words, &listed, &mut self.memory, pace).unwrap();
        self.clean(home, looked, &listed)
    }

    fn clean(&mut self, home: &Path, looked: Looked, listed: &BTreeSet<FileHash>) -> Swept {
        let (state, receipts, limit) = (&self.world.state, &mut self.receipts, &mut self.limit);
        Sweeper { state, home, receipts, limit, generation: 7 }.clean(looked, listed, &self.unwelcome).unwrap()
    }

    /// An hour has passed.
    fn may_remove_again(&mut self) {
        let path = self.world.state.installer_removals();
        fs::remove_file(&path).unwrap_or_default();
        self.limit = Limit::open(&path).unwrap();
    }

    /// The different deeds that wait to be told.
    fn said(&self) -> Vec<Deed> {
        self.receipts.deeds().cloned().collect()
    }

    fn left(&mut self, listed: &[&FileHash]) -> Vec<String> {
        self.sweep(listed).left.into_iter().map(|seen| seen.path).collect()
    }
}

/// The least that is a PKCS#12 bundle: version 3, and contents of type data.
fn bundle(text: &str) -> Vec<u8> {
    const DATA: [u8; 11] = [6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    let der = |tag: u8, parts: &[&[u8]]| {
        let inside = parts.concat();
        [&[tag, u8::try_from(inside.len()).unwrap()], &inside[..]].concat()
    };
    der(0x30, &[&[2, 1, 3], &der(0x30, &[&DATA, &der(0xa0, &[&der(4, &[text.as_bytes()])])])])
}

#[test]
fn installers_are_seen_in_the_users_folders_one_level_deep() {
    let mut pc = Pc::new();
    for path in ["Downloads/client_cert.PFX", "Documents/202101.p12", "Desktop/a.pfx"] {
        pc.put(path, &bundle("bundle"));
    }
    for path in ["Downloads/deeper/b.p12", "Downloads/photo.jpg", "Pictures/c.p12", "d.p12"] {
        pc.put(path, &bundle("bundle!"));
    }
    assert_eq!(pc.left(&[]), ["~/Desktop/a.pfx", "~/Documents/202101.p12", "~/Downloads/client_cert.PFX"]);
}

#[test]
fn a_listed_file_goes_under_whatever_name_and_leaves_a_receipt() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/renamed.dat", &bundle("the listed bundle"));
    pc.put("Downloads/other.p12", &bundle("another bundle"));
    assert_eq!(pc.left(&[&listed]), ["~/Downloads/other.p12"]);
    assert!(!pc.has("Downloads/renamed.dat"));
    assert_eq!(pc.receipts.waiting(), 1);
    assert_eq!(pc.left(&[&listed]), ["~/Downloads/other.p12"]);
    assert_eq!(pc.receipts.waiting(), 1, "said once");
}

#[test]
fn f1_the_local_limit_holds_and_is_told() {
    let mut pc = Pc::new();
    let listed: Vec<FileHash> = (0..12).map(|n| pc.put(&format!("Downloads/{n:02}.p12"), &bundle(&format!("bundle {n:02}")))).collect();
    let swept = pc.sweep(&listed.iter().collect::<Vec<_>>());
    assert_eq!((swept.left.len(), swept.limited), (2, true));
    assert_eq!(pc.receipts.waiting(), 10);
}

#[test]
fn f1_every_copy_counts() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/00.p12", &bundle("the listed bundle"));
    for n in 1..12 {
        pc.put(&format!("Downloads/{n:02}.p12"), &bundle("the listed bundle"));
    }
    let swept = pc.sweep(&[&listed]);
    assert_eq!((swept.left.len(), swept.limited), (2, true));
}

#[test]
fn f1_of_a_list_without_end_only_the_beginning_is_looked_at() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/last.p12", &bundle("the listed bundle"));
    let others: Vec<FileHash> = (0..LISTED_MAX).map(|n| FileHash { sha256: format!("{n:064x}"), size: 1 }).collect();
    let all: Vec<&FileHash> = others.iter().chain([&listed]).collect();
    assert_eq!(pc.left(&all), ["~/Downloads/last.p12"]);
    assert!(pc.left(&all[1..]).is_empty());
}

#[test]
fn f8_what_is_no_bundle_is_neither_told_nor_removed_whatever_the_server_lists() {
    let mut pc = Pc::new();
    let papers = [
        ("Documents/letter.odt", b"PK\x03\x04 to whom it may concern".to_vec()),
        ("Documents/letter.p12", b"to whom it may concern".to_vec()),
        ("Downloads/key.pfx", vec![0x30, 3, 2, 1, 0]),
        ("Downloads/short.pfx", bundle("cut")[..20].to_vec()),
        ("Downloads/long.pfx", [bundle("more"), vec![0]].concat()),
    ];
    let listed: Vec<FileHash> = papers.iter().map(|(path, contents)| pc.put(path, contents)).collect();
    assert_eq!(pc.sweep(&listed.iter().collect::<Vec<_>>()), Swept::default());
    assert!(papers.iter().all(|(path, _)| pc.has(path)) && !pc.receipts.is_waiting());
    for ((path, _), file) in papers.iter().zip(listed) {
        let (folder, name) = path.split_once('/').unwrap();
        let found = Found { folder: folder.into(), name: name.into(), file, inside: None };
        assert!(os::set_aside(&pc.world.home(), &found).is_err(), "{path}");
    }
}

#[test]
fn f8_a_bundle_of_another_name_is_told_only_if_it_is_listed() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/a.p12", &bundle("the listed bundle"));
    pc.put("Documents/own.bak", &bundle("THE LISTED BUNDLE"));
    assert!(pc.left(&[&listed]).is_empty());
}

/// Leaves behind what an agent leaves that was cut off after writing this intent.
fn cut_short(pc: &Pc, seen: &InstallerSeen, aside: Option<&str>) {
    let intent = Intent { seen: seen.clone(), folder: "Downloads".into(), aside: aside.map(str::to_owned), generation: 7, to: None };
    disk::write_json(&pc.world.state.sweeping(), &intent).unwrap();
}

#[test]
fn a_removal_that_was_cut_short_is_finished_and_receipted_once() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/cut.p12", &bundle("the listed bundle"));
    let seen = InstallerSeen { path: "~/Downloads/cut.p12".into(), file: listed.clone(), inside: None, quarantined: false };
    let aside = ".tegata-removing-0.p12";
    // Cut after the intent, after the move aside, and before and after the removal itself.
    for (number, (reached, moved)) in [(None, false), (None, true), (Some(aside), true)].into_iter().enumerate() {
        let path = if moved { format!("Downloads/{aside}") } else { "Downloads/cut.p12".into() };
        pc.put(&path, &bundle("the listed bundle"));
        cut_short(&pc, &seen, reached);
        assert!(pc.left(&[&listed]).is_empty(), "{reached:?} {moved}");
        assert_eq!(pc.said(), [Deed::InstallerRemoved { path: seen.path.clone(), file: listed.clone(), generation: 7 }], "{number}");
    }
    let gone = InstallerSeen {
        path: "~/Downloads/gone.p12".into(),
        file: FileHash { sha256: "ab".repeat(32), size: 3 },
        inside: None,
        quarantined: false,
    };
    cut_short(&pc, &gone, Some(aside));
    pc.left(&[]);
    assert_eq!(pc.receipts.waiting(), 2);
    assert!(disk::read(&pc.world.state.sweeping()).unwrap().is_none());
}

#[test]
fn a_file_that_the_user_took_away_before_the_agent_did_is_not_claimed() {
    let mut pc = Pc::new();
    let gone = InstallerSeen {
        path: "~/Downloads/gone.p12".into(),
        file: FileHash { sha256: "ab".repeat(32), size: 3 },
        inside: None,
        quarantined: false,
    };
    cut_short(&pc, &gone, None);
    pc.left(&[]);
    assert!(!pc.receipts.is_waiting());
    assert!(disk::read(&pc.world.state.sweeping()).unwrap().is_none());
}
