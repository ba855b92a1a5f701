//! Which logs and witnesses are believed, and how many of them it takes (C2SP tlog-policy).
//!
//! A log's key alone can sign two histories. A checkpoint that a quorum of witnesses has cosigned is the only one of its size that they will
//! ever cosign, so that whoever has stolen the log's key cannot pass another.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use thiserror::Error;

use crate::note::{Kind, Note, VerifierKey};

/// The longest policy that is read, in bytes.
const POLICY_MAX: usize = 64 << 10;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<VerifierKey>,
    witnesses: Vec<Witness>,
    quorum: Rule,
}

/// A witness that a policy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What it is called in this policy.
    pub name: String,
    /// What its cosignatures are checked with.
    pub key: VerifierKey,
    /// Where checkpoints are submitted to it.
    pub url: Option<String>,
}

/// What it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Nobody,
    Witness(usize),
    AtLeast(usize, Vec<Rule>),
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line} of the policy: {problem}")]
pub struct PolicyError {
    /// From 1; behind the last one where something is missing.
    pub line: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

/// Not as many witnesses as it takes have cosigned a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the checkpoint is not witnessed: {}", by(.0))]
pub struct Unwitnessed(
    /// Those that have, by their names in the policy.
    pub Vec<String>,
);

fn by(names: &[String]) -> String {
    if names.is_empty() { "no witness of the policy has cosigned it".into() } else { format!("only {} cosigned it", names.join(", ")) }
}

impl Policy {
    /// Its witnesses, in its order.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// The logs that it names. None: which ones are meant is known otherwise.
    pub fn logs(&self) -> &[VerifierKey] {
        &self.logs
    }

    /// True if it is about this log: it names it, or names none.
    pub fn is_about(&self, log: &VerifierKey) -> bool {
        self.logs.is_empty() || self.logs.contains(log)
    }

    /// Since when a quorum of witnesses vouches that this checkpoint is the log's largest, in seconds since the Unix epoch: each of them saw
    /// it then or later. `None` if the policy asks for no witness at all. That the log has signed it is not looked at.
    ///
    /// # Errors
    /// [`Unwitnessed`].
    pub fn seen(&self, note: &Note) -> Result<Option<u64>, Unwitnessed> {
        let times: Vec<_> = self.witnesses.iter().map(|witness| witness.key.verify(note).ok()).collect();
        let have =
            || self.witnesses.iter().zip(&times).filter(|(_, time)| time.is_some()).map(|(witness, _)| witness.name.clone()).collect();
        match &self.quorum {
            Rule::Nobody => Ok(None),
            rule => rule.holds(&times).map(Some).ok_or_else(|| Unwitnessed(have())),
        }
    }
}

impl Rule {
    /// The time since when it holds, by those of the witnesses.
    fn holds(&self, times: &[Option<u64>]) -> Option<u64> {
        match self {
            Self::Nobody => None,
            Self::Witness(which) => times[*which],
            Self::AtLeast(count, members) => {
                let mut held: Vec<u64> = members.iter().filter_map(|member| member.holds(times)).collect();
                held.sort_unstable_by_key(|time| std::cmp::Reverse(*time));
                held.get(count - 1).copied()
            }
        }
    }
}

impl FromStr for Policy {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let fault = |line, problem| PolicyError { line, problem };
        let is_allowed = |c: char| c == '\t' || !c.is_ascii_control();
        if text.len() > POLICY_MAX {
            return Err(fault(1, "it is longer than 64 KiB"));
        }
        let mut read = Reader::default();
        for (index, line) in text.split('\n').enumerate() {
            if !line.chars().all(is_allowed) {
                return Err(fault(index + 1, "it has a control character"));
            }
            let words: Vec<&str> = line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            read.line(&words).map_err(|problem| fault(index + 1, problem))?;
        }
        let quorum = read.quorum.ok_or_else(|| fault(text.split('\n').count(), "there is no line `quorum`"))?;
        Ok(Self { logs: read.logs, witnesses: read.witnesses, quorum })
    }
}

#[derive(Default)]
struct Reader<'a> {
    logs: Vec<VerifierKey>,
    witnesses: Vec<Witness>,
    names: BTreeMap<&'a str, Rule>,
    members: BTreeSet<&'a str>,
    quorum: Option<Rule>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, words: &[&'a str]) -> Result<(), &'static str> {
        match words {
            [] => Ok(()),
            [first, ..] if first.starts_with('#') => Ok(()),
            ["log", key] | ["log", key, _] => self.log(key),
            ["witness", name, key] => self.witness(name, key, None),
            ["witness", name, key, url] => self.witness(name, key, Some(url)),
            ["group", name, count, members @ ..] => self.group(name, count, members),
            ["quorum", _] if self.quorum.is_some() => Err("a second quorum"),
            ["quorum", name] => {
                let rule = if *name == "none" { Rule::Nobody } else { self.named(name)? };
                self.quorum = Some(rule);
                Ok(())
            }
            _ => Err("a line is `log KEY [URL]`, `witness NAME KEY [URL]`, `group NAME all|any|N NAME…` or `quorum NAME|none`"),
        }
    }

    fn log(&mut self, key: &str) -> Result<(), &'static str> {
        let key = read_key(key, Kind::Log, "this is not the key of a log")?;
        if self.logs.iter().any(|log| log.is_same_key(&key)) {
            return Err("this log's key was there before");
        }
        self.logs.push(key);
        Ok(())
    }

    fn witness(&mut self, name: &'a str, key: &str, url: Option<&str>) -> Result<(), &'static str> {
        let key = read_key(key, Kind::Witness, "this is not the key of a witness")?;
        if self.witnesses.iter().any(|witness| witness.key.is_same_key(&key)) {
            return Err("this witness's key was there before");
        }
        self.define(name, Rule::Witness(self.witnesses.len()))?;
        self.witnesses.push(Witness { name: name.to_owned(), key, url: url.map(str::to_owned) });
        Ok(())
    }

    fn group(&mut self, name: &'a str, count: &str, members: &[&'a str]) -> Result<(), &'static str> {
        let rules = members.iter().map(|member| self.named(member)).collect::<Result<Vec<_>, _>>()?;
        let is_number = count.bytes().all(|byte| byte.is_ascii_digit()) && !count.starts_with('0');
        let at_least = match count {
            "any" => 1,
            "all" => members.len(),
            _ => count.parse().ok().filter(|_| is_number).ok_or("how many is `all`, `any` or a number")?,
        };
        if !(1..=members.len()).contains(&at_least) {
            return Err("a group asks for at least one, and for no more than it has");
        }
        if !members.iter().all(|member| self.members.insert(member)) {
            return Err("one of these is a member already");
        }
        self.define(name, Rule::AtLeast(at_least, rules))
    }

    fn define(&mut self, name: &'a str, rule: Rule) -> Result<(), &'static str> {
        if name == "none" || self.names.insert(name, rule).is_some() { Err("this name is taken") } else { Ok(()) }
    }

    fn named(&self, name: &str) -> Result<Rule, &'static str> {
        self.names.get(name).cloned().ok_or("no line before this one has that name")
    }
}

fn read_key(text: &str, kind: Kind, problem: &'static str) -> Result<VerifierKey, &'static str> {
    text.parse().ok().filter(|key: &VerifierKey| key.kind() == kind).ok_or(problem)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::note::SignerKey;

    fn key(kind: Kind, byte: u8) -> SignerKey {
        SignerKey::new(&format!("example.jp/{byte}"), kind, &[byte; 32]).unwrap()
    }

    /// The witnesses that have cosigned, each with its time.
    fn note(by: &[(u8, u64)]) -> Note {
        let mut note = Note::new("example.jp/1\n3\nAAAA\n".into()).unwrap();
        key(Kind::Log, 1).sign(&mut note, 0);
        by.iter().for_each(|(byte, time)| key(Kind::Witness, *byte).sign(&mut note, *time));
        note
    }

    fn witnesses() -> String {
        (2..=6).map(|byte| format!("witness w{byte} {}\n", key(Kind::Witness, byte).verifier())).collect()
    }

    fn policy(rest: &str) -> Result<Policy, PolicyError> {
        format!("# who\n\nlog {} https://example.jp\n{}{rest}", key(Kind::Log, 1).verifier(), witnesses()).parse()
    }

    /// Two of the first three, and one of the others.
    const NESTED: &str = "group a 2 w2 w3 w4\n group\tb any w5 w6 \ngroup both all a b\nquorum both\n";

    #[test]
    fn a_quorum_is_as_many_as_it_says_and_of_those_it_names() {
        let policy = policy(NESTED).unwrap();
        let seen = |by: &[(u8, u64)]| policy.seen(&note(by)).ok().flatten();
        assert_eq!(seen(&[(2, 10), (3, 20), (5, 30)]), Some(10));
        assert_eq!(seen(&[(2, 10), (3, 20), (4, 30), (5, 40), (6, 5)]), Some(20), "since the two newest of the three");
        for by in [
            &[(2, 10), (5, 10)][..],
            &[(2, 10), (3, 10)],
            &[(2, 10), (2, 20), (5, 10)],
            &[(5, 10), (6, 10)],
            &[],
            &[(7, 10), (8, 10), (9, 10)],
        ] {
            assert_eq!(seen(by), None, "{by:?}");
        }
        assert_eq!(policy.seen(&note(&[(3, 1)])), Err(Unwitnessed(vec!["w3".into()])));
    }

    #[test]
    fn who_has_cosigned_another_text_has_not_cosigned() {
        let policy = policy("group all all w2 w3 w4 w5 w6\nquorum w2").unwrap();
        assert_eq!(policy.seen(&note(&[(2, 10)])), Ok(Some(10)));
        let forged = note(&[(2, 10)]).to_string().replace("AAAA", "AAAB").parse().unwrap();
        assert_eq!(policy.seen(&forged), Err(Unwitnessed(vec![])));
    }

    #[test]
    fn nobody_is_asked_for_only_where_it_is_written() {
        assert_eq!("quorum none\n".parse::<Policy>().unwrap().seen(&note(&[])), Ok(None));
        assert_eq!(policy("").unwrap_err(), PolicyError { line: 9, problem: "there is no line `quorum`" });
    }

    #[test]
    fn what_is_no_policy_is_refused_with_its_line() {
        let (log, witness) = (key(Kind::Log, 1).verifier().to_string(), key(Kind::Witness, 2).verifier().to_string());
        for (rest, problem) in [
            ("quorum w9", "no line before this one has that name"),
            ("quorum none\nquorum none", "a second quorum"),
            ("group g 0 w2\nquorum g", "how many is `all`, `any` or a number"),
            ("group g 2 w2\nquorum g", "a group asks for at least one, and for no more than it has"),
            ("group g any\nquorum g", "a group asks for at least one, and for no more than it has"),
            ("group g +1 w2\nquorum g", "how many is `all`, `any` or a number"),
            ("group g any none\nquorum g", "no line before this one has that name"),
            ("group g any g\nquorum g", "no line before this one has that name"),
            ("group g any w2 w2\nquorum g", "one of these is a member already"),
            ("group g any w2\ngroup h any w2\nquorum h", "one of these is a member already"),
            ("group w2 any w3\nquorum w2", "this name is taken"),
            ("group none any w3\nquorum none", "this name is taken"),
            (&format!("log {log}"), "this log's key was there before"),
            (&format!("witness again {witness}"), "this witness's key was there before"),
            (&format!("witness wrong {log}"), "this is not the key of a witness"),
            (&format!("log {witness}"), "this is not the key of a log"),
            ("quorum w2\r", "it has a control character"),
        ] {
            assert_eq!(policy(rest).map_err(|error| error.problem).unwrap_err(), problem, "{rest}");
        }
        assert!(policy("quorums w2").is_err());
    }

    #[test]
    fn a_policy_is_about_the_logs_that_it_names() {
        let (named, other) = (key(Kind::Log, 1), key(Kind::Log, 9));
        let some = policy("quorum w2").unwrap();
        assert!(some.is_about(named.verifier()) && !some.is_about(other.verifier()));
        assert!("quorum none".parse::<Policy>().unwrap().is_about(other.verifier()));
    }

    proptest! {
        #[test]
        fn no_policy_of_a_hostile_peer_panics(text in "((log|witness|group|quorum|none|any|all|2|[a-c])[ \t\n]){0,40}") {
            let _ = text.parse::<Policy>().map(|policy| policy.seen(&note(&[])));
        }
    }
}
