//! Somebody swaps a whole folder for a link, as fast as the machine can, while the agent removes what is in it.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::super::Found;
use super::super::os::{self, Aside};
use super::{Pc, bundle};

const SWAPS: u32 = 100_000;
/// How often at least the agent has to have met the link, and to have removed the right file.
const HITS: u32 = 50;
/// Nobody who needs more than so many tries gets there.
const TRIES_MAX: u32 = 2_000_000;

/// Where the link leads in turn, as it stands in it.
const LEADS_TO: [&str; 2] = ["Pictures", "../elsewhere"];

#[test]
fn f8_files_behind_a_link_outlive_a_hundred_thousand_swaps_of_the_folder_for_it() {
    race();
}

/// As macOS opens files, which has no openat2.
#[test]
fn f8_so_they_do_where_folders_are_opened_one_by_one() {
    crate::home::steps::try_them();
    race();
}

/// The link leads to one of two folders in turn, in the home and outside of it. Both hold the very bundle that is listed, in a folder that
/// nobody named.
fn race() {
    let pc = Pc::new();
    let home = pc.world.home();
    let listed = pc.put("Downloads/bundle.p12", &bundle("the listed bundle"));
    pc.put("Pictures/bundle.p12", &bundle("the listed bundle"));
    pc.put("../elsewhere/bundle.p12", &bundle("the listed bundle"));
    let precious = LEADS_TO.map(|folder| home.join(folder));
    let before = precious.each_ref().map(|folder| identity(folder));
    let found = Found { folder: "Downloads".into(), name: "bundle.p12".into(), file: listed, inside: None };
    let (enough, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    let (mut tries, mut removed, mut refused) = (0_u32, 0_u32, 0_u32);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| exchange(&home, &enough, &swaps));
        while !swapper.is_finished() {
            match os::set_aside(&home, &found).and_then(Aside::remove) {
                Ok(()) => removed += 1,
                Err(problem) => refused += u32::from(problem.kind() != std::io::ErrorKind::NotFound),
            }
            tries += 1;
            let is_enough = swaps.load(Ordering::Relaxed) >= SWAPS && removed >= HITS && refused >= HITS;
            let is_lost = tries.is_multiple_of(1_000) && precious.each_ref().map(|folder| identity(folder)) != before;
            enough.store(is_enough || is_lost || tries >= TRIES_MAX, Ordering::Relaxed);
        }
        swapper.join().expect("the swapper was stopped");
    });
    assert_eq!(precious.each_ref().map(|folder| identity(folder)), before, "after {removed} removals, {refused} refused");
    assert!(removed >= HITS && refused >= HITS, "{removed} removed, {refused} refused");
}

/// Everything in a folder: names, and what they mean.
fn identity(folder: &Path) -> Vec<(PathBuf, u64)> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).map(|entry| (entry.path(), entry.metadata().unwrap().ino())).collect()
}

fn exchange(home: &Path, enough: &AtomicBool, swaps: &AtomicU32) {
    let (folder, link, staging) = (home.join("Downloads"), home.join("link"), home.join("staging"));
    symlink(LEADS_TO[0], &link).unwrap();
    while !enough.load(Ordering::Relaxed) {
        // The folder is in its place.
        if !folder.join("bundle.p12").exists() {
            fs::write(&staging, bundle("the listed bundle")).unwrap();
            fs::rename(&staging, folder.join("bundle.p12")).unwrap();
        }
        let round = swaps.load(Ordering::Relaxed) as usize;
        if round.is_multiple_of(64) {
            symlink(LEADS_TO[round / 64 % 2], &staging).unwrap();
            fs::rename(&staging, &link).unwrap();
        }
        for _ in 0..2 {
            renameat_with(CWD, &folder, CWD, &link, RenameFlags::EXCHANGE).unwrap();
            swaps.fetch_add(1, Ordering::Relaxed);
        }
    }
}
