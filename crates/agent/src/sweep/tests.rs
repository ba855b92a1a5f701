//! The sweep, and those who would like it to remove something else.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::os::Aside;
use super::*;
use crate::pretend::World;

struct Pc {
    world: World,
    limit: Limit,
    receipts: Receipts,
}

impl Pc {
    fn new() -> Self {
        let world = World::new();
        fs::create_dir_all(world.home().join("Downloads")).unwrap();
        let limit = Limit::open(&world.state.installer_removals()).unwrap();
        let receipts = world.receipts();
        Self { world, limit, receipts }
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
        let folders = ["downloads", "desktop", "documents", "trash"].map(String::from).into();
        let home = self.world.home();
        let mut sweeper = Sweeper { state: &self.world.state, home: &home, receipts: &mut self.receipts, limit: &mut self.limit };
        sweeper.sweep(&folders, &listed.iter().map(|&file| file.clone()).collect()).unwrap()
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
    fs::create_dir_all(pc.world.home().join(".config")).unwrap();
    let own = "# comment\nXDG_DOWNLOAD_DIR=\"$HOME/ダウンロード\"\nXDG_DESKTOP_DIR=\"/etc\"\nXDG_DOCUMENTS_DIR=\"$HOME/\"\n";
    fs::write(pc.world.home().join(".config/user-dirs.dirs"), own).unwrap();
    for path in ["Downloads/client_cert.PFX", "ダウンロード/202101.p12", "Desktop/a.pfx"] {
        pc.put(path, &bundle("bundle"));
    }
    for path in ["Downloads/deeper/b.p12", "Downloads/photo.jpg", "Pictures/c.p12", "d.p12"] {
        pc.put(path, &bundle("bundle!"));
    }
    assert_eq!(pc.left(&[]), ["~/Desktop/a.pfx", "~/Downloads/client_cert.PFX", "~/ダウンロード/202101.p12"]);
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
fn f8_links_second_names_and_other_contents_are_left_alone() {
    let mut pc = Pc::new();
    let listed = pc.put("precious/original.p12", &bundle("the listed bundle"));
    fs::hard_link(pc.world.home().join("precious/original.p12"), pc.world.home().join("Downloads/hard.p12")).unwrap();
    symlink(pc.world.home().join("precious/original.p12"), pc.world.home().join("Downloads/soft.p12")).unwrap();
    symlink(pc.world.home().join("precious"), pc.world.home().join("Desktop")).unwrap();
    pc.put("Downloads/same-size.p12", &bundle("THE LISTED BUNDLE"));
    assert_eq!(pc.left(&[&listed]), ["~/Downloads/same-size.p12"]);
    for path in ["precious/original.p12", "Downloads/hard.p12", "Downloads/soft.p12", "Downloads/same-size.p12"] {
        assert!(pc.has(path), "{path}");
    }
    assert!(!pc.receipts.is_waiting());
}

#[test]
fn f8_a_pipe_does_not_hold_the_agent_up_and_a_huge_file_is_not_read() {
    let mut pc = Pc::new();
    rustix::fs::mkfifoat(rustix::fs::CWD, pc.world.home().join("Downloads/pipe.p12"), rustix::fs::Mode::RWXU).unwrap();
    fs::File::create(pc.world.home().join("Downloads/huge.p12")).unwrap().set_len(SIZE_MAX + 1).unwrap();
    assert!(pc.left(&[]).is_empty());
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
        let found = Found { folder: folder.into(), name: name.into(), file };
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

#[test]
fn a_folder_that_cannot_be_looked_into_is_told_and_stops_no_other() {
    let mut pc = Pc::new();
    fs::create_dir_all(pc.world.home().join(".config")).unwrap();
    fs::write(pc.world.home().join(".config/user-dirs.dirs"), format!("XDG_DESKTOP_DIR=\"$HOME/{}\"\n", "x".repeat(300))).unwrap();
    pc.put("Downloads/a.p12", &bundle("bundle"));
    let swept = pc.sweep(&[]);
    assert_eq!((swept.left.len(), swept.unread.len()), (1, 1));
}

/// macOS answers EPERM for a folder that it asks the user about, and the user has not said yes.
#[test]
fn a_folder_that_the_system_keeps_from_the_agent_is_not_one_without_files() {
    use rustix::io::Errno;
    let is_passed_over = |errno: Errno| os::is_nobodys_trouble(&errno.into());
    assert_eq!([Errno::NOENT, Errno::LOOP, Errno::NOTDIR].map(is_passed_over), [true; 3]);
    assert_eq!([Errno::PERM, Errno::ACCESS, Errno::NOSYS].map(is_passed_over), [false; 3]);
}

/// As macOS opens files, which has no openat2.
#[test]
fn f8_the_same_holds_where_folders_are_opened_one_by_one() {
    crate::home::steps::try_them();
    installers_are_seen_in_the_users_folders_one_level_deep();
    a_listed_file_goes_under_whatever_name_and_leaves_a_receipt();
    f8_links_second_names_and_other_contents_are_left_alone();
    f8_a_pipe_does_not_hold_the_agent_up_and_a_huge_file_is_not_read();
    f8_what_is_no_bundle_is_neither_told_nor_removed_whatever_the_server_lists();
    a_folder_that_cannot_be_looked_into_is_told_and_stops_no_other();
    a_removal_that_was_cut_short_is_finished_and_receipted_once();
    f8_nothing_outside_and_nothing_different_is_removed_under_racing_swaps();
}

/// Leaves behind what an agent leaves that was cut off after writing this intent.
fn cut_short(pc: &Pc, seen: &InstallerSeen, aside: Option<&str>) {
    let intent = Intent { seen: seen.clone(), folder: "Downloads".into(), aside: aside.map(str::to_owned) };
    disk::write_json(&pc.world.state.sweeping(), &intent).unwrap();
}

#[test]
fn a_removal_that_was_cut_short_is_finished_and_receipted_once() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/cut.p12", &bundle("the listed bundle"));
    let seen = InstallerSeen { path: "~/Downloads/cut.p12".into(), file: listed.clone() };
    let aside = ".tegata-removing-0.p12";
    // Cut after the intent, after the move aside, and before and after the removal itself.
    for (number, (reached, moved)) in [(None, false), (None, true), (Some(aside), true)].into_iter().enumerate() {
        let path = if moved { format!("Downloads/{aside}") } else { "Downloads/cut.p12".into() };
        pc.put(&path, &bundle("the listed bundle"));
        cut_short(&pc, &seen, reached);
        assert!(pc.left(&[&listed]).is_empty(), "{reached:?} {moved}");
        assert_eq!(pc.said(), [Deed::InstallerRemoved { path: seen.path.clone(), file: listed.clone() }], "{number}");
    }
    let gone = InstallerSeen { path: "~/Downloads/gone.p12".into(), file: FileHash { sha256: "ab".repeat(32), size: 3 } };
    cut_short(&pc, &gone, Some(aside));
    pc.left(&[]);
    assert_eq!(pc.receipts.waiting(), 2);
    assert!(disk::read(&pc.world.state.sweeping()).unwrap().is_none());
}

#[test]
fn a_file_that_the_user_took_away_before_the_agent_did_is_not_claimed() {
    let mut pc = Pc::new();
    let gone = InstallerSeen { path: "~/Downloads/gone.p12".into(), file: FileHash { sha256: "ab".repeat(32), size: 3 } };
    cut_short(&pc, &gone, None);
    pc.left(&[]);
    assert!(!pc.receipts.is_waiting());
    assert!(disk::read(&pc.world.state.sweeping()).unwrap().is_none());
}

/// Somebody swaps the file for links and for other files, as fast as the machine can, while the agent removes.
#[test]
fn f8_nothing_outside_and_nothing_different_is_removed_under_racing_swaps() {
    const REMOVALS: u32 = 10_000;
    let pc = Pc::new();
    let home = pc.world.home();
    let downloads = home.join("Downloads");
    let target = downloads.join("bundle.p12");
    let listed = pc.put("Downloads/bundle.p12", &bundle("the listed bundle"));
    let precious = home.join("precious.p12");
    fs::write(&precious, bundle("the listed bundle")).unwrap();
    let found = Found { folder: "Downloads".into(), name: "bundle.p12".into(), file: listed };
    let (stop, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    let (mut removed, mut attempts) = (0_u32, 0_u32);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| swap(&downloads, &target, &precious, &stop, &swaps));
        while (attempts < REMOVALS || removed == 0 || swaps.load(Ordering::Relaxed) < REMOVALS) && !swapper.is_finished() {
            attempts += 1;
            removed += u32::from(os::set_aside(&home, &found).and_then(Aside::remove).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
        let (made, survived) = swapper.join().expect("the swapper found something gone that was not listed");
        assert!(survived <= made);
    });
    assert!(removed > 0 && precious.exists(), "{removed} of {attempts} removed");
}

/// Puts the listed file, a link out of the folder, and a different file under the same name in turn. Whatever is not the listed file
/// carries its own name inside, and has to be found again afterwards: under that name, or aside where the sweep has left it.
fn swap(downloads: &Path, target: &Path, precious: &Path, stop: &AtomicBool, swaps: &AtomicU32) -> (u32, u32) {
    let (mut made, mut survived) = (0, 0);
    let staging = downloads.parent().unwrap().join("staging");
    while !stop.load(Ordering::Relaxed) {
        let round = swaps.fetch_add(1, Ordering::Relaxed);
        match round % 3 {
            0 => fs::write(&staging, bundle("the listed bundle")).unwrap(),
            1 => symlink(precious, &staging).unwrap(),
            _ => fs::write(&staging, bundle(&format!("different {made:07}"))).unwrap(),
        }
        let kept = downloads.parent().unwrap().join("kept");
        fs::rename(&staging, target).unwrap();
        if round % 3 == 2 {
            made += 1;
            survived += u32::from(take_back(downloads, target, &kept, &bundle(&format!("different {:07}", made - 1))));
        }
        assert!(precious.exists(), "a file outside the folder is gone");
    }
    assert_eq!(made, survived, "a file that was not listed is gone");
    (made, survived)
}

/// Looks for the different file: the sweep may be holding it aside for a moment.
fn take_back(downloads: &Path, target: &Path, kept: &Path, contents: &[u8]) -> bool {
    for _ in 0..100_000 {
        let places = fs::read_dir(downloads).unwrap().map(|entry| entry.unwrap().path()).chain([target.to_owned()]);
        for place in places {
            if fs::read(&place).is_ok_and(|bytes| bytes == contents) && fs::rename(&place, kept).is_ok() {
                return true;
            }
        }
    }
    false
}
