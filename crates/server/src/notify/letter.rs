//! Writes a bulletin as a letter, in Japanese and English.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;
use tegata_api::v1::notice::{Acts, Bulletin, Item};
use tegata_core::notice::Kind;
use tegata_core::policy::Language;

use super::words::{Both, story};
use crate::words;

/// How many things are listed of each sort: a letter is to be read.
const LISTED_MAX: usize = 50;

/// A letter without its recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    pub subject: String,
    pub text: String,
}

/// Writes it. The same bulletin always gives the same letter.
///
/// # Errors
/// If a template is wrong, which the tests rule out.
pub(super) fn write(bulletin: &Bulletin, language: Language) -> Result<Written, minijinja::Error> {
    let japanese = || part(bulletin, "letter.ja.txt", include_str!("letter.ja.txt"), |both| both.ja, japanese_date);
    let english = || part(bulletin, "letter.en.txt", include_str!("letter.en.txt"), |both| both.en, str::to_owned);
    match language {
        Language::Japanese => japanese(),
        Language::English => english(),
        Language::Both => {
            let (first, second) = (japanese()?, english()?);
            let subject = format!("{} / {}", first.subject, second.subject);
            Ok(Written { subject, text: format!("{}\n----\n\n{}", first.text, second.text) })
        }
    }
}

/// What a template is filled with.
#[derive(Serialize)]
struct Letter<'a> {
    clinic: &'a str,
    /// True if a person has to do something.
    asks: bool,
    certificates: usize,
    applications: usize,
    /// What a person has to act about.
    person: Vec<Told>,
    /// What was applied for at a vendor.
    applied: Vec<Told>,
    /// What agents merely found.
    found: Vec<Told>,
    /// What goes on by itself.
    itself: Vec<Told>,
    /// How many more there are than are listed.
    more: usize,
}

/// Something with a deadline, in the words of one language.
#[derive(Serialize)]
struct Told {
    place: String,
    slot: String,
    subject: String,
    issuer: String,
    deadline: String,
    days_left: i64,
    expired: bool,
    is_application: bool,
    why: &'static str,
    todo: Option<&'static str>,
    dependants: Vec<String>,
}

/// One language's letter: the first line of the template is the subject.
fn part(
    bulletin: &Bulletin,
    name: &'static str,
    template: &'static str,
    choose: fn(Both) -> &'static str,
    date: fn(&str) -> String,
) -> Result<Written, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build()?);
    environment.add_template(name, template)?;
    let told = |item: &Item| {
        let (why, todo) = story(item);
        Told {
            place: item.place.clone().unwrap_or_else(|| device(&item.slot)),
            slot: item.slot.clone(),
            subject: item.subject.clone(),
            issuer: item.issuer.clone(),
            deadline: date(&item.deadline_local),
            days_left: item.days_left,
            expired: item.rung.starts_with("expired"),
            is_application: item.kind == words::kind(Kind::Application),
            why: choose(why),
            todo: todo.map(choose),
            dependants: item.dependants.clone(),
        }
    };
    let items = |kind: Kind| bulletin.items.iter().filter(move |item| item.kind == words::kind(kind));
    let (applications, clinic) = (items(Kind::Application).count(), &bulletin.display_name);
    let (certificates, asks) = (bulletin.items.len() - applications, bulletin.items.iter().any(|item| item.acts == Acts::Person));
    let (person, itself): (Vec<_>, Vec<_>) = items(Kind::Certificate).partition(|item| item.acts == Acts::Person);
    let list = |items: Vec<&Item>| items.into_iter().take(LISTED_MAX).map(told).collect::<Vec<_>>();
    let (person, itself) = (list(person), list(itself));
    let (applied, found) = (list(items(Kind::Application).collect()), list(items(Kind::Found).collect()));
    let more = bulletin.items.len() - person.len() - applied.len() - found.len() - itself.len();
    let told = Letter { clinic, asks, certificates, applications, person, applied, found, itself, more };
    let text = environment.get_template(name)?.render(Serde(told))?;
    let (subject, text) = text.split_once('\n').unwrap_or((&text, ""));
    Ok(Written { subject: subject.to_owned(), text: text.trim_start_matches('\n').to_owned() })
}

fn device(slot: &str) -> String {
    slot.split('/').nth(1).unwrap_or(slot).to_owned()
}

/// `2027-01-15 15:30` as a Japanese writes it.
fn japanese_date(local: &str) -> String {
    let (date, time) = local.split_once(' ').unwrap_or((local, ""));
    let parts: Vec<&str> = date.splitn(3, '-').map(|part| part.trim_start_matches('0')).collect();
    match parts[..] {
        [year, month, day] => format!("{year}年{month}月{day}日 {time}"),
        _ => local.to_owned(),
    }
}

#[cfg(test)]
mod tests;
