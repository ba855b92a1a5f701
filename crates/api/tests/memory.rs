//! The reader stays small whatever it is thrown. A process of its own, because the kernel tells a process's peak and nothing smaller.

#![cfg(target_os = "linux")]

use std::fs;

use tegata_api::v1::fleet::File;
use tegata_api::yaml::check;

/// The most that this process has had in memory so far, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Every place in it has a name of 28,000 bytes, and thousands of places are wrong.
fn deep_and_doubled() -> String {
    let key = "𠮷".repeat(250);
    let open: String = (0..28).map(|_| format!("{{{key}: ")).collect();
    format!("{open}{{{}}}{}", "a: 1, ".repeat(24_000), "}".repeat(28))
}

/// The same where only the schema finds something wrong.
fn deep_and_unknown() -> String {
    let key = "𠮷".repeat(60);
    let open: String = (0..25).map(|_| format!("{{{key}: ")).collect();
    let many: String = (0..20_000).map(|number| format!("k{number}: 1, ")).collect();
    let head = "apiVersion: tegata.dev/v1alpha1\nkind: Issuer\nmetadata: { name: a }\nspec: ";
    format!("{head}{open}{{{many}}}{}\n", "}".repeat(25))
}

#[test]
fn f6_no_file_makes_the_reader_large() {
    let file = |text: String, number: usize| File { name: format!("{number}.yaml"), text };
    let mut files: Vec<File> = (0..8).map(|number| file(deep_and_doubled(), number)).collect();
    files.extend((8..16).map(|number| file(deep_and_unknown(), number)));
    // Sixteen megabytes in small files, each of which is all mistakes.
    files.extend((16..40_000).map(|number| file("\u{200e}".repeat(120), number)));
    let before = peak();
    let findings = check(&files, &"aozora".parse().unwrap(), &[]).unwrap_err();
    let grown = (peak() - before) / 1024;
    assert!(grown < 64, "{grown} MiB");
    for file in &files[..16] {
        let of_this = findings.iter().filter(|finding| finding.file == file.name);
        assert!((1..=101).contains(&of_this.count()), "{}", file.name);
    }
    assert!(findings.iter().all(|finding| finding.path.len() < 1_100), "a path is for people to read");
}
