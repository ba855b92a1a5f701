//! What is told of a diagnosis, to people and to programs.

use jiff::tz::TimeZone;
use serde::Serialize;
use tegata_api::v1::diagnosis as wire;
use tegata_core::diagnosis::{Cause, Certainty, Diagnosis, Finding};

use crate::words::{DoctorPhrase, Language, Phrase, say};

/// Nothing was found, but not everything could be checked.
const NOT_ALL_CHECKED: u8 = 3;
/// Nothing was found that explains it, but something that might.
const ONLY_POSSIBLE: u8 = 4;
/// The first cause's exit code. The others follow in their order, so that none ever changes its number.
const FIRST_CAUSE: u8 = 10;

/// The exit code of a cause.
pub fn exit_code(cause: Cause) -> u8 {
    (FIRST_CAUSE..).zip(Cause::ALL).find(|(_, listed)| *listed == cause).map_or(1, |(code, _)| code)
}

/// A diagnosis in the words of one language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// What this command ends with.
    pub exit_code: u8,
    /// What was found, the first cause first.
    pub findings: Vec<ToldFinding>,
    /// Words for the causes that could not be checked.
    pub unchecked: Vec<&'static str>,
    #[serde(skip)]
    text: String,
}

/// One cause that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToldFinding {
    /// A word for the cause.
    pub cause: &'static str,
    /// `certain`, `likely` or `possible`.
    pub certainty: &'static str,
    /// What is the matter, for people.
    pub said: String,
    /// What was seen, for people.
    pub evidence: Vec<String>,
    /// What to do next, for people.
    pub next: String,
}

impl Told {
    /// Puts a diagnosis into words, with times as clocks in `zone` show them.
    pub fn of(diagnosis: &Diagnosis, language: Language, zone: &TimeZone) -> Self {
        let say = |phrase| say(language, &Phrase::Doctor(phrase));
        let told = |finding: &Finding| ToldFinding {
            cause: wire::Cause::from(finding.cause).word(),
            certainty: wire::Certainty::from(finding.certainty).word(),
            said: say(DoctorPhrase::Cause(finding.cause)),
            evidence: finding.evidence.iter().map(|fact| say(DoctorPhrase::Seen(fact.clone(), zone.clone()))).collect(),
            next: say(DoctorPhrase::Next(finding.cause, finding.evidence.first().cloned())),
        };
        let exit_code = match diagnosis.findings.first() {
            Some(Finding { certainty: Certainty::Possible, .. }) => ONLY_POSSIBLE,
            Some(first) => self::exit_code(first.cause),
            None if diagnosis.unchecked.is_empty() => 0,
            None => NOT_ALL_CHECKED,
        };
        Self {
            exit_code,
            findings: diagnosis.findings.iter().map(told).collect(),
            unchecked: diagnosis.unchecked.iter().map(|cause| wire::Cause::from(*cause).word()).collect(),
            text: phrases(diagnosis, zone).into_iter().map(|phrase| say(phrase) + "\n").collect(),
        }
    }

    /// Tells it to people: the first cause at length, the others on a line each.
    pub fn tell(&self) -> String {
        self.text.clone()
    }
}

fn phrases(diagnosis: &Diagnosis, zone: &TimeZone) -> Vec<DoctorPhrase> {
    let mut phrases = Vec::new();
    let mut findings = diagnosis.findings.iter();
    if let Some(first) = findings.next() {
        phrases.push(DoctorPhrase::First(first.certainty, first.cause));
        phrases.extend(first.evidence.iter().map(|fact| DoctorPhrase::Detail(Box::new(DoctorPhrase::Seen(fact.clone(), zone.clone())))));
        phrases.push(DoctorPhrase::Do(Box::new(DoctorPhrase::Next(first.cause, first.evidence.first().cloned()))));
    } else if diagnosis.unchecked.is_empty() {
        phrases.push(DoctorPhrase::Well);
    } else {
        phrases.push(DoctorPhrase::NothingFound);
    }
    phrases.extend(findings.map(|other| DoctorPhrase::Other(other.certainty, other.cause)));
    if !diagnosis.unchecked.is_empty() {
        phrases.push(DoctorPhrase::NotChecked(diagnosis.unchecked.clone()));
    }
    phrases
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use tegata_core::diagnosis::{Answer, Fact, Validity, diagnose};
    use tegata_core::time::Timestamp;

    use super::*;

    #[test]
    fn only_what_explains_why_a_chart_does_not_open_ends_with_the_code_of_its_cause() {
        let code = |facts: &[Fact]| Told::of(&diagnose(facts), Language::English, &TimeZone::UTC).exit_code;
        assert_eq!(code(&[Fact::ClockAhead(28 * 60)]), exit_code(Cause::Clock));
        assert_eq!(code(&[Fact::HoldsOld]), exit_code(Cause::OldDecision), "likely");
        assert_eq!(code(&[Fact::Extension("x".into()), Fact::ClockAhead(61)]), ONLY_POSSIBLE);
        assert_eq!(code(&[Fact::Extension("x".into()), Fact::HoldsOld]), exit_code(Cause::OldDecision));
        assert_eq!(code(&[Fact::Fine(Cause::Clock)]), NOT_ALL_CHECKED);
        assert_eq!(code(&Cause::ALL.map(Fact::Fine)), 0);
    }

    #[test]
    fn staff_read_the_first_cause_what_was_seen_and_the_one_thing_to_do() {
        let expired = Fact::Held("sakura/uketsuke-1/karte".parse().unwrap(), Validity::Until(Timestamp::from_unix(1_800_000_000)));
        let refused = Fact::Site { site: "https://karte.example.jp/".into(), answer: Answer::Refused, was_open: true };
        let mut facts: Vec<Fact> = Cause::ALL.into_iter().filter(|cause| *cause != Cause::Quota).map(Fact::Fine).collect();
        facts.extend([Fact::ClockAhead(28 * 60), expired, refused]);
        let tokyo = TimeZone::get("Asia/Tokyo").unwrap();
        let told = |facts: &[Fact], language| Told::of(&diagnose(facts), language, &tokyo).tell();
        expect![[r#"
            原因: パソコンの時計がずれています
              ・28分0秒進んでいます
            → 日付と時刻を「自動設定」にして、ブラウザーを開き直してください。
            ほかに (確実): 証明書の有効期間ではありません
            ほかに (おそらく): 証明書が失効しています
            ほかに (可能性): 証明書を発行したアカウントが削除されています
        "#]]
        .assert_eq(&told(&facts, Language::Japanese));
        expect![[r#"
            Cause: the clock of this PC is wrong
              - 28 min 0 s fast
            -> Set date and time to automatic, then start the browser again.
            Also (certain): the certificate is not valid today
            Also (likely): the certificate was revoked
            Also (possible): the account that the certificate was issued under was deleted
        "#]]
        .assert_eq(&told(&facts, Language::English));
        facts.retain(|fact| matches!(fact, Fact::Fine(_)));
        expect![[r#"
            確認できた範囲では、問題は見つかりませんでした。それでも開かないときは、この画面を管理者に見せてください。
            確認できなかったこと: 発行枚数
        "#]]
        .assert_eq(&told(&facts, Language::Japanese));
        facts.push(Fact::Fine(Cause::Quota));
        expect![[r#"
            問題は見つかりませんでした。それでも開かないときは、この画面を管理者に見せてください。
        "#]]
        .assert_eq(&told(&facts, Language::Japanese));
    }
}
