//! Links, pipes, and swaps as fast as the machine can, as Unix has them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::super::os::{self, Aside};
use super::super::{Found, SIZE_MAX};
use super::{Pc, bundle};

#[test]
fn folders_are_also_looked_into_where_the_user_has_them() {
    let mut pc = Pc::new();
    fs::create_dir_all(pc.world.home().join(".config")).unwrap();
    let own = "# comment\nXDG_DOWNLOAD_DIR=\"$HOME/ダウンロード\"\nXDG_DESKTOP_DIR=\"/etc\"\nXDG_DOCUMENTS_DIR=\"$HOME/\"\n";
    fs::write(pc.world.home().join(".config/user-dirs.dirs"), own).unwrap();
    for path in ["Downloads/client_cert.PFX", "ダウンロード/202101.p12", "d.p12"] {
        pc.put(path, &bundle("bundle"));
    }
    assert_eq!(pc.left(&[]), ["~/Downloads/client_cert.PFX", "~/ダウンロード/202101.p12"]);
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
    super::installers_are_seen_in_the_users_folders_one_level_deep();
    super::a_listed_file_goes_under_whatever_name_and_leaves_a_receipt();
    f8_links_second_names_and_other_contents_are_left_alone();
    f8_a_pipe_does_not_hold_the_agent_up_and_a_huge_file_is_not_read();
    super::f8_what_is_no_bundle_is_neither_told_nor_removed_whatever_the_server_lists();
    a_folder_that_cannot_be_looked_into_is_told_and_stops_no_other();
    super::a_removal_that_was_cut_short_is_finished_and_receipted_once();
    race(500);
}

#[test]
fn f8_nothing_outside_and_nothing_different_is_removed_under_racing_swaps() {
    race(2_000);
}

/// Somebody swaps the file for links and for other files, as fast as the machine can, while the agent removes.
fn race(removals: u32) {
    let pc = Pc::new();
    let home = pc.world.home();
    let downloads = home.join("Downloads");
    let target = downloads.join("bundle.p12");
    let listed = pc.put("Downloads/bundle.p12", &bundle("the listed bundle"));
    let precious = home.join("precious.p12");
    fs::write(&precious, bundle("the listed bundle")).unwrap();
    let found = Found { folder: "Downloads".into(), name: "bundle.p12".into(), file: listed, inside: None };
    let (stop, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    let (mut removed, mut attempts) = (0_u32, 0_u32);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| swap(&downloads, &target, &precious, &stop, &swaps));
        while (attempts < removals || removed == 0 || swaps.load(Ordering::Relaxed) < removals) && !swapper.is_finished() {
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

#[cfg(target_os = "linux")]
#[test]
fn f8_a_precious_file_outlives_a_hundred_thousand_swaps() {
    a_precious_file_outlives(100_000, Aside::remove);
}

#[cfg(target_os = "linux")]
#[test]
fn f8_a_precious_file_is_never_moved_out_of_the_way_under_swaps() {
    use std::os::unix::fs::PermissionsExt;
    let own = tempfile::tempdir().unwrap();
    fs::set_permissions(own.path(), fs::Permissions::from_mode(0o700)).unwrap();
    a_precious_file_outlives(20_000, |aside| {
        aside.keep(own.path(), "id")?;
        let arrived = own.path().join("id");
        assert_eq!(fs::read(&arrived).unwrap(), bundle("the listed bundle"), "what was moved is not what was listed");
        fs::remove_file(arrived)
    });
}

/// A precious file and the listed one change places, each time in one step, while the agent takes away what is listed.
#[cfg(target_os = "linux")]
fn a_precious_file_outlives(least: u32, take_away: impl Fn(Aside) -> std::io::Result<()>) {
    /// How often at least the agent has to have been deceived, and to have taken the right file away.
    const HITS: u32 = 50;
    let pc = Pc::new();
    let home = pc.world.home();
    let listed = pc.put("Downloads/bundle.p12", &bundle("the listed bundle"));
    let found = Found { folder: "Downloads".into(), name: "bundle.p12".into(), file: listed, inside: None };
    fs::write(home.join("precious.p12"), bundle("a precious bundle")).unwrap();
    let (enough, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    let (mut removed, mut deceived) = (0_u32, 0_u32);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| exchange(&home, &enough, &swaps));
        while !swapper.is_finished() {
            match os::set_aside(&home, &found).and_then(&take_away) {
                Ok(()) => removed += 1,
                Err(problem) => deceived += u32::from(problem.to_string().contains("something else took its place")),
            }
            enough.store(swaps.load(Ordering::Relaxed) >= least && removed >= HITS && deceived >= HITS, Ordering::Relaxed);
        }
        swapper.join().expect("the precious file is gone");
    });
    assert!(removed >= HITS && deceived >= HITS);
}

#[cfg(target_os = "linux")]
fn exchange(home: &Path, enough: &AtomicBool, swaps: &AtomicU32) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    let (target, elsewhere, staging) = (home.join("Downloads/bundle.p12"), home.join("precious.p12"), home.join("staging"));
    let mut is_elsewhere = true;
    while !enough.load(Ordering::Relaxed) {
        if renameat_with(CWD, &target, CWD, &elsewhere, RenameFlags::EXCHANGE).is_ok() {
            swaps.fetch_add(1, Ordering::Relaxed);
            is_elsewhere = !is_elsewhere;
        } else if is_elsewhere {
            fs::write(&staging, bundle("the listed bundle")).unwrap();
            renameat_with(CWD, &staging, CWD, &target, RenameFlags::NOREPLACE).unwrap_or_default();
        } else {
            // The agent has moved it aside, and has to bring it back.
            assert!((0..5_000_000).any(|_| target.exists()), "it does not come back");
        }
    }
    let place = if is_elsewhere { elsewhere } else { target };
    assert!((0..5_000_000).any(|_| fs::read(&place).is_ok_and(|bytes| bytes == bundle("a precious bundle"))), "it is not there");
}
