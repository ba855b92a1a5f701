use tempfile::TempDir;

use super::sink::Sink;
use super::*;

fn sink() -> (TempDir, Sink) {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start(folder.path()).unwrap();
    (folder, sink)
}

fn settings(sink: &Sink) -> MailSettings {
    MailSettings {
        url: sink.url(),
        password: Some(Zeroizing::new(Sink::PASSWORD.into())),
        from: "Tegata 手形 <tegata@example.jp>".into(),
        authority: Some(std::fs::read_to_string(sink.authority()).unwrap()),
    }
}

fn letter(to: &str) -> Letter {
    Letter {
        to: vec![to.parse().unwrap()],
        subject: "証明書の期限のお知らせ: さくら内科クリニック".into(),
        text: "受付1番の証明書は 30 日後に切れます。\n\n.\nNothing to do.\n".into(),
        id: "n-4711".into(),
    }
}

fn header<'a>(letter: &'a str, name: &str) -> Vec<&'a str> {
    letter.split("\r\n\r\n").next().unwrap().split("\r\n").filter_map(|line| line.strip_prefix(name)).collect()
}

#[tokio::test]
async fn a_japanese_letter_arrives_over_starttls_with_its_own_id() {
    let (_folder, sink) = sink();
    let mailer = Mailer::new(&settings(&sink)).unwrap();
    mailer.send(&letter("incho@example.jp")).await.unwrap();
    mailer.send(&letter("incho@example.jp")).await.unwrap();

    let letters = sink.letters().unwrap();
    assert_eq!(letters.len(), 2);
    for letter in &letters {
        assert_eq!(header(letter, "X-Tls: "), ["True"]);
        assert_eq!(header(letter, "X-Rcpt: "), ["incho@example.jp"]);
        assert_eq!(header(letter, "Message-ID: "), ["<n-4711@example.jp>"], "the same letter has the same id");
        assert_eq!(header(letter, "Auto-Submitted: "), ["auto-generated"]);
        assert!(letter.is_ascii(), "a mail server need not know 8BITMIME: {letter}");
    }
    assert_eq!(
        read_with_python(&letters[0]),
        "証明書の期限のお知らせ: さくら内科クリニック|受付1番の証明書は 30 日後に切れます。\n\n.\nNothing to do.\n"
    );
}

/// A second opinion on what was sent: Python's own mail parser.
fn read_with_python(letter: &str) -> String {
    use std::io::Write;
    let script = "import sys, email, email.policy\nm = email.message_from_bytes(sys.stdin.buffer.read(), policy=email.policy.default)\n\
                  sys.stdout.write(str(m['subject']) + '|' + m.get_content().replace('\\r\\n', '\\n'))";
    let mut child = std::process::Command::new("python3")
        .args(["-X", "utf8", "-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(letter.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_from_what_may_work_later() {
    let (_folder, mut sink) = sink();
    let mailer = Mailer::new(&settings(&sink)).unwrap();

    let bounced = mailer.send(&letter("bounce@example.jp")).await.unwrap_err();
    assert!(bounced.is_permanent() && bounced.to_string().contains("no such user"), "{bounced}");
    let deferred = mailer.send(&letter("defer@example.jp")).await.unwrap_err();
    assert!(!deferred.is_permanent() && deferred.to_string().contains("try again later"), "{deferred}");

    let stranger = MailSettings { password: Some(Zeroizing::new("wrong".into())), ..settings(&sink) };
    let unknown = Mailer::new(&stranger).unwrap().send(&letter("a@example.jp")).await.unwrap_err();
    assert!(!unknown.is_permanent() && unknown.to_string().contains("password"), "once the password is mended it goes: {unknown}");

    let other = MailSettings { authority: None, ..settings(&sink) };
    let untrusted = Mailer::new(&other).unwrap().send(&letter("a@example.jp")).await.unwrap_err();
    assert!(!untrusted.is_permanent(), "{untrusted}");

    sink.end();
    let silent = mailer.send(&letter("a@example.jp")).await.unwrap_err();
    assert!(!silent.is_permanent(), "{silent}");
    assert!(sink.letters().unwrap().is_empty());

    let sink = sink.restart().unwrap();
    mailer.send(&letter("a@example.jp")).await.unwrap();
    assert_eq!(sink.letters().unwrap().len(), 1, "the same mailer goes on once the server is back");
}

#[tokio::test]
async fn nothing_in_a_letter_can_become_a_header_or_another_recipient() {
    let (_folder, sink) = sink();
    let mailer = Mailer::new(&settings(&sink)).unwrap();
    let nasty = "x\r\nBcc: thief@example.com\r\n\r\nbody\u{85}\u{0}";
    let letter = Letter { subject: nasty.into(), id: nasty.into(), text: format!("{nasty}\r\n.\r\nQUIT\r\n"), ..letter("a@example.jp") };
    mailer.send(&letter).await.unwrap();
    let arrived = sink.letters().unwrap();
    assert_eq!(arrived.len(), 1);
    assert!(read_with_python(&arrived[0]).starts_with("x  Bcc: thief@example.com"), "{}", read_with_python(&arrived[0]));
    assert!(header(&arrived[0], "Bcc").is_empty(), "{}", arrived[0]);
    assert_eq!(header(&arrived[0], "X-Rcpt: "), ["a@example.jp"]);
    assert_eq!(header(&arrived[0], "Message-ID: ").len(), 1);
    for nasty in ["a@example.jp\r\nBcc: b@example.jp", "a@b.jp,c@d.jp"] {
        assert!(nasty.parse::<Mail>().is_err(), "{nasty:?} is no address at all");
    }
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused_and_say_what_to_write() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let plain = MailSettings { url: "smtp://mail.example.jp".into(), password: None, from: "tegata@example.jp".into(), authority: None };
    let secret = Some(Zeroizing::new("hush-hush".to_owned()));
    Mailer::new(&plain).unwrap();
    Mailer::new(&MailSettings { url: "smtps://mail.example.jp:4465".into(), ..plain.clone() }).unwrap();
    Mailer::new(&MailSettings { url: "smtp://[::1]:25?tls=none".into(), ..plain.clone() }).unwrap();
    Mailer::new(&MailSettings { url: "smtp://a%40b.jp@mail.example.jp".into(), password: secret.clone(), ..plain.clone() }).unwrap();
    let cases = [
        (MailSettings { url: "mail.example.jp".into(), ..plain.clone() }, "expected smtp://"),
        (MailSettings { url: "https://mail.example.jp".into(), ..plain.clone() }, "expected smtp://"),
        (MailSettings { url: "smtp://mail.example.jp?tls=opportunistic".into(), ..plain.clone() }, "expected smtp://"),
        (MailSettings { url: "smtp://u:hush-hush@mail.example.jp".into(), ..plain.clone() }, "TEGATA_SMTP_PASSWORD"),
        (MailSettings { url: "smtp://u@mail.example.jp".into(), ..plain.clone() }, "there is no password"),
        (MailSettings { password: secret.clone(), ..plain.clone() }, "names no user"),
        (MailSettings { url: "smtp://u@mail.example.jp?tls=none".into(), password: secret, ..plain.clone() }, "in the clear"),
        (MailSettings { from: "nobody".into(), ..plain.clone() }, "the sender"),
        (MailSettings { authority: Some("-----BEGIN CERTIFICATE-----\nAAAA\n".into()), ..plain }, "certificate"),
    ];
    for (settings, expected) in cases {
        let error = Mailer::new(&settings).err().unwrap_or_else(|| panic!("{settings:?} was taken"));
        let told = error.to_string();
        assert!(told.contains(expected) && error.is_permanent(), "{settings:?}: {told}");
        assert!(!told.contains("hush-hush") && !format!("{:?}", settings.password.is_some()).contains("hush"), "{told}");
    }
}

#[test]
fn the_password_is_not_in_what_is_logged() {
    let settings = MailSettings {
        url: "smtp://u@mail.example.jp".into(),
        password: Some(Zeroizing::new("hush-hush".into())),
        from: "tegata@example.jp".into(),
        authority: None,
    };
    assert!(!format!("{settings:?}").contains("hush-hush"));
}
