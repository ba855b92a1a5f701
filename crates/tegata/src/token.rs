//! `tegata token`: by what other people and programs are known to the server.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use tegata_api::v1::access::{Token as Known, TokenMade, TokenRequest};
use tegata_api::v1::fleet::Access;
use tegata_core::name::TokenName;

use crate::backup::write_new;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::get::span;
use crate::output::{self, Look};
use crate::session::Session;
use crate::table::{Field, Table};

/// Make, list and revoke the tokens by which people and programs are known
///
/// What the holder of a token may do, AccessBindings say; whoever none of them names may do nothing. Tokens of the tenant `tegata` are those of the
/// installation's owners, who may do everything in every tenant, as whoever has the admin.json may.
#[derive(Args)]
pub struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Make a token. It is shown once, and begins with `tgt2.`, by which scanners of repositories and logs can find one that was left there
    #[command(
        after_help = "Examples:\n  $ tegata token create ito --to ito.json\n  $ tegata token create second -n tegata --expires 30d --to second.json\n\nWhoever was given ito.json says:\n  tegata --access ito.json get slots"
    )]
    Create {
        /// What its holder is called in bindings and in the audit log
        name: TokenName,
        /// How long it lives: from 1h to 366d
        #[arg(long, default_value = "90d", value_name = "SPAN", value_parser = span)]
        expires: Duration,
        /// Write an access file for its holder, which nobody but you may read, instead of showing the token
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// List tokens: whose they are, who made them, and until when they live
    #[command(after_help = "Example:\n  $ tegata token list")]
    List,
    /// Revoke a token by its id, or all that are in force under a name. They are worth nothing from the next request on
    #[command(after_help = "Example:\n  $ tegata token revoke ito")]
    Revoke {
        /// A name, or the id of one token
        token: String,
    },
}

impl Token {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let session = Session::open(global)?;
        match self.what {
            What::Create { name, expires, to } => create(global, &session, &name, expires, to).await?,
            What::List => {
                let tokens: Vec<Known> = session.get("tokens").await?;
                output::show(global, &tokens, |look| table(&tokens, look))?;
            }
            What::Revoke { token } => {
                if !is_plain(&token) {
                    return Err(session.no_such("token", vec![token]));
                }
                let revoked: Vec<Known> = session.post(&format!("tokens/{token}/revoke"), &()).await?;
                output::show(global, &revoked, |look| table(&revoked, look))?;
            }
        }
        Ok(Exit::Fine)
    }
}

async fn create(global: &Global, session: &Session, name: &TokenName, life: Duration, to: Option<PathBuf>) -> Result<(), Failure> {
    if let Some(path) = to.as_ref().filter(|path| path.exists()) {
        return Err(Failure::Keep { path: path.clone(), source: std::io::ErrorKind::AlreadyExists.into() });
    }
    let made: TokenMade = session.post("tokens", &TokenRequest { name: name.to_string(), life: life.as_secs() }).await?;
    let Some(path) = to else {
        return output::show(global, &made, |_| format!("{}\n\nKeep it now: it is not shown again.", made.token));
    };
    let access = Access { token: made.token, ..session.access().clone() };
    let text = output::json(&access)?;
    write_new(&path, text.as_bytes()).map_err(|source| Failure::Keep { path: path.clone(), source })?;
    output::show(global, &made.about, |_| format!("{} is for {name} alone: with it they are known to the server.", path.display()))
}

/// Names and ids are made of these alone; nothing else gets into the path of a request.
pub fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn table(tokens: &[Known], look: &Look) -> String {
    let mut table = Table::new(look, ["ID", "NAME", "STATE", "CREATED", "CREATED BY", "EXPIRES"]);
    for token in tokens {
        table.row([
            (*token.id).into(),
            (*token.name).into(),
            Field::State(token.state.clone()),
            if token.created_at == 0 { Field::Nothing } else { Field::Moment(token.created_at) },
            (*token.created_by).into(),
            token.expires_at.map_or(Field::Nothing, Field::Moment),
        ]);
    }
    table.or("No tokens. Make one with `tegata token create NAME`, and say with an AccessBinding what its holder may do.")
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::output::test_look;

    #[test]
    fn a_token_says_whose_it_is_and_until_when_it_lives() {
        let look = test_look();
        let token = |name: &str, state: &str, created_at| Known {
            id: "0123456789abcdef".into(),
            name: name.into(),
            created_at,
            created_by: "person:admin".into(),
            expires_at: (created_at > 0).then(|| look.now.unix() + 86_400),
            state: state.into(),
        };
        expect![[r#"
            ID                NAME   STATE     CREATED                      CREATED BY    EXPIRES
            0123456789abcdef  admin  in-force  –                            person:admin  –
            0123456789abcdef  ito    revoked   2026-11-18 20:05 (60 s ago)  person:admin  2026-11-19 20:06 (in 24 h)"#]]
        .assert_eq(&table(&[token("admin", "in-force", 0), token("ito", "revoked", look.now.unix() - 60)], &look));
    }

    #[test]
    fn nothing_but_a_name_gets_into_a_path() {
        assert!(is_plain("ito-2") && is_plain("0123456789abcdef"));
        for text in ["", "../apply", "a/b", "a?b", "伊藤", "A"] {
            assert!(!is_plain(text), "{text}");
        }
    }
}
