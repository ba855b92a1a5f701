//! Every text arrives as it was sent: through a shell on standard input, and quoted where there is no other way.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tegata_api::v1::playbook::HostTrouble;
use tegata_core::policy::Platform;
use tegata_playbook::quote;
use tegata_playbook::remote::{Call, RemoteShell, command};
use tegata_ssh::{Output, SshError};
use tegata_tests::process::run_well;
use tegata_tests::wine::Pc;
use zeroize::Zeroizing;

/// How many texts are sent.
const TEXTS: usize = 100_000;
/// How many of them in one value: one process for each text would take hours.
const IN_ONE: usize = 500;
/// What stands between them: a character like any other, but in none of them.
const BETWEEN: &str = "\u{1f}";

/// A shell of this machine, started as `sshd` starts one: the login shell with `-c` and the command line.
struct Local(&'static str);

impl RemoteShell for Local {
    fn run(&self, command: &str, input: &[&[u8]], _: Duration) -> Result<Output, SshError> {
        let mut child = Command::new(self.0).args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        input.iter().for_each(|part| stdin.write_all(part).unwrap());
        drop(stdin);
        let ended = child.wait_with_output().unwrap();
        Ok(Output { status: ended.status.code(), printed: ended.stdout })
    }
}

/// Texts that somebody might try: what shells, awk, JSON, PowerShell and terminals care for, and what people write.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "'",
            "\"",
            "\\",
            "\\\\",
            "\\n",
            "\\u0041",
            "$(touch /tmp/x)",
            "`id`",
            "${HOME}",
            "$value",
            "\n",
            "\r\n",
            "\t",
            "%s%n",
            "%PATH%",
            "!x",
            "&",
            "|",
            ";",
            "<",
            ">",
            "*",
            "?",
            "~",
            "#",
            "--",
            "-n",
            " ",
            "''",
            "‘",
            "’",
            "“",
            "{{ x }}",
            "\u{8}",
            "\u{c}",
            "\u{1b}[31m",
            "\u{7f}",
            "\u{1}",
            "受付1番",
            "さくら内科クリニック",
            "ｶﾅ",
            "👩‍⚕️",
            "𠮷野家",
            "مرحبا",
            "\u{202e}",
            "\u{200f}",
            "\u{feff}",
            "é",
            "e\u{301}",
            "EOF",
            "]]>",
            "\u{2028}",
            "^",
            "(",
            ")",
            "=",
            ",",
            "\\\"",
            "tegata: changed",
            "x",
            "",
        ])
        .prop_map(str::to_owned),
        any::<char>().prop_filter("NUL is refused, and one stands between", |c| !matches!(c, '\0' | '\u{1f}')).prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn batches() -> impl Iterator<Item = Vec<String>> {
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(hostile(), IN_ONE);
    (0..TEXTS / IN_ONE).map(move |_| strategy.new_tree(&mut runner).unwrap().current())
}

fn call<'a>(script: &'a str, values: &[(&'a str, &str)]) -> Call<'a> {
    let values = values.iter().map(|(name, value)| (*name, Zeroizing::new((*value).to_owned()))).collect();
    Call { script, as_user: None, values, content: b"", within: Duration::from_secs(60) }
}

#[test]
fn a_hundred_thousand_hostile_texts_arrive_unchanged_on_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("it's \"here\" $HOME");
    let script = "read_value out; out=$value; read_value a; printf '%s' \"$value\" >\"$out\"; answer changed";
    for (number, batch) in batches().enumerate() {
        let sent = batch.join(BETWEEN);
        let shell = Local(["dash", "bash"][number % 2]);
        let answer = call(script, &[("b", "'"), ("a", &sent), ("out", out.to_str().unwrap())]).run(&shell, Platform::Linux).unwrap();
        assert_eq!((answer.changed, &*answer.printed), (Some(true), ""));
        assert_eq!(fs::read_to_string(&out).unwrap(), sent);
    }
}

#[test]
fn a_hundred_thousand_hostile_texts_are_words_of_a_shell_once_they_are_quoted() {
    for (number, batch) in batches().enumerate() {
        let words: Vec<String> = batch.iter().map(|text| quote::sh(text).unwrap()).collect();
        let script = format!("printf '%s\\037' {}", words.join(" "));
        let printed = Command::new(["dash", "bash"][number % 2]).args(["-c", &script]).output().unwrap().stdout;
        let arrived = String::from_utf8(printed).unwrap();
        assert_eq!(arrived.split_terminator(BETWEEN).collect::<Vec<_>>(), batch);
    }
}

/// Reads `program` and command lines behind it, as Windows has texts (UTF-16), a NUL after each; writes the arguments that Windows makes of them.
const ASK_WINDOWS: &str = "#include <windows.h>
#include <stdio.h>
#include <stdlib.h>
int wmain(int count, wchar_t **argument) {
    FILE *in = _wfopen(argument[1], L\"rb\"), *out = _wfopen(argument[2], L\"wb\");
    if (!in || !out) return 1;
    fseek(in, 0, SEEK_END);
    long size = ftell(in);
    rewind(in);
    wchar_t *line = malloc(size), *end = (wchar_t *)((char *)line + fread(line, 1, size, in));
    for (; line < end; line += wcslen(line) + 1) {
        int found;
        wchar_t **words = CommandLineToArgvW(line, &found);
        for (int i = 1; i < found; i++) fwrite(words[i], sizeof(wchar_t), wcslen(words[i]) + 1, out);
        LocalFree(words);
    }
    return fclose(out);
}
";

#[test]
fn a_hundred_thousand_hostile_texts_are_arguments_of_windows_once_they_are_quoted() -> anyhow::Result<()> {
    let pc = Pc::new()?;
    let (source, program) = (pc.drive().join("ask.c"), pc.drive().join("ask.exe"));
    fs::write(&source, ASK_WINDOWS)?;
    let arguments = [OsStr::new("-municode"), source.as_os_str(), OsStr::new("-o"), program.as_os_str(), OsStr::new("-lshell32")];
    run_well(Path::new("x86_64-w64-mingw32-gcc"), arguments)?;
    let (mut lines, mut sent) = (Vec::new(), 0);
    for batch in batches() {
        // Five arguments on a line, as programs have them.
        for words in batch.chunks(5) {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            lines.extend(format!("\"C:\\a b\\tegata-agent.exe\" {}\0", quote::windows(&words)?).encode_utf16().flat_map(u16::to_le_bytes));
            sent += words.len();
        }
    }
    fs::write(pc.drive().join("in"), lines)?;
    let asked = pc.run(&program, ["C:\\in", "C:\\out"])?;
    anyhow::ensure!(asked.status.success() && sent == TEXTS, "{asked:?}");
    let arrived = fs::read(pc.drive().join("out"))?;
    let arrived: Vec<u16> = arrived.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let arrived = String::from_utf16(&arrived)?;
    let mut arrived = arrived.split_terminator('\0');
    for text in batches().flatten() {
        assert_eq!(arrived.next(), Some(&*text));
    }
    assert_eq!(arrived.next(), None);
    Ok(())
}

#[test]
fn nul_is_refused_before_anything_is_sent() {
    struct Nobody;
    impl RemoteShell for Nobody {
        fn run(&self, _: &str, _: &[&[u8]], _: Duration) -> Result<Output, SshError> {
            panic!("something was sent")
        }
    }
    let refused = call("true", &[("a", "x\0y")]).run(&Nobody, Platform::Linux).unwrap_err();
    assert_eq!(refused.trouble, HostTrouble::InputMissing);
}

#[test]
fn the_content_of_a_file_follows_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let content: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let values = vec![("out", Zeroizing::new(out.to_str().unwrap().to_owned()))];
    let script = "read_value out; cat >\"$value\"";
    Call { script, as_user: None, values, content: &content, within: Duration::from_secs(60) }
        .run(&Local("dash"), Platform::Linux)
        .unwrap();
    assert!(fs::read(&out).unwrap() == content);
}

#[test]
fn a_refusal_of_a_script_is_one_of_a_closed_list() {
    let trouble = |script: &str| call(script, &[]).run(&Local("dash"), Platform::Linux).map_err(|failed| (failed.trouble, failed.told));
    assert_eq!(trouble("echo because; refuse disk-full"), Err((HostTrouble::DiskFull, "because".into())));
    assert_eq!(trouble("need no-such-tool"), Err((HostTrouble::ToolMissing, "there is no no-such-tool".into())));
    assert_eq!(trouble("exit 3"), Err((HostTrouble::TaskFailed, "the script ended with exit code 3".into())));
    assert_eq!(trouble("refuse whatever; "), Err((HostTrouble::TaskFailed, "the script ended with exit code 1".into())));
    assert_eq!(trouble("read_value missing"), Err((HostTrouble::Broken, "there is no value missing".into())));
    assert!(trouble("true").is_ok());
}

#[test]
fn no_command_line_is_made_from_data_and_each_fits_where_it_has_to() {
    // cmd.exe, which OpenSSH starts on Windows, takes 8,191 characters; libssh2 sends 32,000 bytes in one piece.
    assert!(command(Platform::Windows).len() < 8191, "{}", command(Platform::Windows).len());
    assert!(command(Platform::Linux).len() < 16_000, "{}", command(Platform::Linux).len());
    assert_eq!(command(Platform::Linux), command(Platform::Macos));
    assert!(command(Platform::Windows).is_ascii());
}
