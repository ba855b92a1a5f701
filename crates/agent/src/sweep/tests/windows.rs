//! Links, handles and swaps, as Windows has them.

use std::fs::{self, OpenOptions};
use std::os::windows::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use windows_sys::Win32::Storage::FileSystem::{FILE_ATTRIBUTE_OFFLINE, FILE_SHARE_DELETE, FILE_SHARE_READ, FILE_SHARE_WRITE};

use super::super::os::{self, Aside};
use super::super::{Found, SIZE_MAX};
use super::{Pc, bundle};

mod calls;
pub(super) use calls::is_wine;
use calls::{make_junction, mark_offline};

/// A junction needs no rights, so anybody can put one in the place of a folder. Wine 8 makes none: should it once, this test tells.
#[test]
fn f8_what_lies_behind_a_junction_stays_and_wine_makes_none() {
    let mut pc = Pc::new();
    let home = pc.world.home();
    let listed = pc.put("precious/a.p12", &bundle("the listed bundle"));
    let made = make_junction(&home.join("Desktop"), &home.join("precious"));
    if is_wine() {
        made.expect_err("Wine makes junctions now: take this out, and say in the README that they are tried");
        return;
    }
    made.unwrap();
    assert!(home.join("Desktop/a.p12").exists(), "it leads there");
    let swept = pc.sweep(&[&listed]);
    assert!(pc.has("precious/a.p12") && !pc.receipts.is_waiting());
    assert_eq!(swept.unread, [Path::new("Desktop")]);
}

/// As a cloud's program marks a file whose contents are not on this PC. Wine 8 keeps no such mark: should it once, this test tells.
#[test]
fn f8_a_file_whose_contents_are_elsewhere_stays_and_wine_keeps_no_such_mark() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/a.p12", &bundle("the listed bundle"));
    let path = pc.world.home().join("Downloads/a.p12");
    mark_offline(&path).unwrap();
    let is_marked = fs::metadata(&path).unwrap().file_attributes() & FILE_ATTRIBUTE_OFFLINE != 0;
    assert_eq!(is_marked, !is_wine(), "Wine keeps the mark now: take this out, and say in the README that it is tried");
    let swept = pc.sweep(&[&listed]);
    assert_eq!(pc.has("Downloads/a.p12"), is_marked);
    assert_eq!(swept.unread.len(), usize::from(is_marked), "it is told that it was not looked at");
}

#[test]
fn f8_second_names_other_contents_and_huge_files_are_left_alone() {
    let mut pc = Pc::new();
    let listed = pc.put("precious/original.p12", &bundle("the listed bundle"));
    fs::hard_link(pc.world.home().join("precious/original.p12"), pc.world.home().join("Downloads/hard.p12")).unwrap();
    fs::File::create(pc.world.home().join("Downloads/huge.p12")).unwrap().set_len(SIZE_MAX + 1).unwrap();
    pc.put("Downloads/same-size.p12", &bundle("THE LISTED BUNDLE"));
    let swept = pc.sweep(&[&listed]);
    assert_eq!(swept.left.iter().map(|seen| seen.path.as_str()).collect::<Vec<_>>(), ["~/Downloads/same-size.p12"]);
    assert_eq!(swept.unread, [std::path::Path::new("Downloads/hard.p12")], "it is told that one was not looked at");
    assert!(pc.has("precious/original.p12") && pc.has("Downloads/hard.p12") && !pc.receipts.is_waiting());
}

#[test]
fn f8_a_name_is_no_path_and_no_stream_of_a_file() {
    let pc = Pc::new();
    let file = pc.put("Downloads/a.p12", &bundle("the listed bundle"));
    pc.put("Downloads/deeper/a.p12", &bundle("the listed bundle"));
    for name in ["a.p12::$DATA", "deeper\\a.p12", "..\\Downloads\\a.p12", ".."] {
        let found = Found { folder: "Downloads".into(), name: name.into(), file: file.clone(), inside: None };
        assert!(os::set_aside(&pc.world.home(), &found).is_err(), "{name}");
    }
    let found = Found { folder: "Downloads\\..\\Downloads".into(), name: "a.p12".into(), file, inside: None };
    assert!(os::set_aside(&pc.world.home(), &found).is_err() && pc.has("Downloads/a.p12"));
}

#[test]
fn a_file_that_is_marked_read_only_goes_too() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/a.p12", &bundle("the listed bundle"));
    let path = pc.world.home().join("Downloads/a.p12");
    let mut marked = fs::metadata(&path).unwrap().permissions();
    marked.set_readonly(true);
    fs::set_permissions(&path, marked).unwrap();
    assert!(pc.left(&[&listed]).is_empty() && !pc.has("Downloads/a.p12"));
    assert_eq!(pc.receipts.waiting(), 1);
}

#[test]
fn f8_a_file_that_another_program_has_open_stays_and_is_told_until_that_has_closed_it() {
    let mut pc = Pc::new();
    let listed = pc.put("Downloads/a.p12", &bundle("the listed bundle"));
    for share in [FILE_SHARE_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE] {
        let other = OpenOptions::new().read(true).share_mode(share).open(pc.world.home().join("Downloads/a.p12")).unwrap();
        assert_eq!(pc.left(&[&listed]), ["~/Downloads/a.p12"], "{share}");
        drop(other);
        assert!(pc.has("Downloads/a.p12") && !pc.receipts.is_waiting());
    }
    let alone = OpenOptions::new().read(true).share_mode(0).open(pc.world.home().join("Downloads/a.p12")).unwrap();
    assert_eq!(pc.sweep(&[&listed]).unread, [std::path::Path::new("Downloads/a.p12")]);
    drop(alone);
    assert!(pc.left(&[&listed]).is_empty() && !pc.has("Downloads/a.p12"));
}

#[test]
fn f8_nothing_can_take_the_place_of_a_file_between_look_and_removal() {
    let pc = Pc::new();
    let file = pc.put("Downloads/a.p12", &bundle("the listed bundle"));
    let (home, found) = (pc.world.home(), Found { folder: "Downloads".into(), name: "a.p12".into(), file, inside: None });
    pc.put("Downloads/other.p12", &bundle("THE LISTED BUNDLE"));
    let aside = os::set_aside(&home, &found).unwrap();
    let place = home.join("Downloads").join(&aside.name);
    fs::write(&place, "different").unwrap_err();
    fs::remove_file(&place).unwrap_err();
    fs::rename(&place, home.join("Downloads/b.p12")).unwrap_err();
    fs::rename(home.join("Downloads/other.p12"), &place).unwrap_err();
    fs::rename(home.join("Downloads"), home.join("Elsewhere")).unwrap_err();
    // The old name is free, and means another file now.
    fs::rename(home.join("Downloads/other.p12"), home.join("Downloads/a.p12")).unwrap();
    aside.remove().unwrap();
    assert!(pc.has("Downloads/a.p12") && fs::read_dir(home.join("Downloads")).unwrap().count() == 1);
    os::set_aside(&home, &found).map(drop).unwrap_err();
}

#[test]
fn f8_nothing_different_is_removed_under_racing_swaps() {
    const REMOVALS: u32 = 300;
    let pc = Pc::new();
    let home = pc.world.home();
    let (target, kept) = (home.join("Downloads/bundle.p12"), home.join("kept"));
    let file = pc.put("Downloads/bundle.p12", &bundle("the listed bundle"));
    let found = Found { folder: "Downloads".into(), name: "bundle.p12".into(), file, inside: None };
    let (stop, swaps) = (AtomicBool::new(false), AtomicU32::new(0));
    let mut removed = 0_u32;
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let staging = home.join("staging");
            while !stop.load(Ordering::Relaxed) {
                fs::write(&staging, bundle("the listed bundle")).unwrap();
                // While the file is held, it cannot be replaced.
                let _ = fs::rename(&staging, &target);
                let different = bundle(&format!("different {:08}", swaps.fetch_add(1, Ordering::Relaxed)));
                fs::write(&staging, &different).unwrap();
                if fs::rename(&staging, &target).is_ok() {
                    while fs::rename(&target, &kept).is_err() {
                        assert!(target.exists(), "a file that was not listed is gone");
                    }
                    assert_eq!(fs::read(&kept).unwrap(), different);
                }
            }
        });
        while (removed < REMOVALS || swaps.load(Ordering::Relaxed) < REMOVALS) && !swapper.is_finished() {
            removed += u32::from(os::set_aside(&home, &found).and_then(Aside::remove).is_ok());
        }
        stop.store(true, Ordering::Relaxed);
        swapper.join().expect("the swapper found something gone that was not listed");
    });
    assert!(removed >= REMOVALS, "{removed}");
}

#[test]
fn a_folder_of_the_users_is_looked_into_where_windows_has_it() {
    let profile = std::path::PathBuf::from(std::env::var_os("USERPROFILE").unwrap());
    assert_eq!(os::own_folder(&profile, "Downloads").unwrap(), std::path::Path::new("Downloads"));
    assert_eq!(os::own_folder(&profile.join("elsewhere"), "Downloads"), None, "Windows speaks of its own user only");
}
