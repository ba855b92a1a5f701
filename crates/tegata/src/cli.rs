//! The command line as a whole: every verb, and what all of them share.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use tegata_core::name::TenantName;

use crate::failure::{Exit, Failure};
use crate::output::{ColorChoice, Format};
use crate::{
    adopt, application, apply, approve, audit, backup, bundle, certificate, completion, confirm, demo, describe, enroll, get, installers,
    login, plan, playbook, profile, reference, renew, revoke, schema, serve, state, token, webhook, witness,
};

/// The right client certificate on every clinic PC: pushed, proven, renewed before anyone notices, and on record.
#[derive(Parser)]
#[command(name = "tegata", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_CODES: &str = "\
Exit codes, the same for every command:
   0  done, or nothing to do
   1  an error that none of the others describes
   2  the command line cannot be understood
   3  documents are not valid
   4  refused, because devices could no longer sign in
   5  the server cannot be reached, or is busy: try again later
   6  there is no such thing, or none that you may see or change
   7  refused, because an account may not have so many certificates
   8  a vendor's file cannot be opened, or is not what policy expects
   9  a playbook was not carried out on every host
  10  there are changes (only `plan --exit-code` and `playbook check`)
  11  nothing was done yet: it was only shown what would be (say it again with --yes)
  12  an audit log is not what was signed, or not what was seen before
  13  an audit log is not vouched for by as many witnesses as were asked for";

/// What every command understands.
#[derive(Args, Clone)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// How to reach the server: what `tegata login` or `tegata token create` wrote, or the admin.json of `tegata serve` [default: login.json
    /// in ~/.local/state/tegata, else admin.json there]
    #[arg(long, global = true, env = "TEGATA_ACCESS", hide_env_values = true, value_name = "FILE")]
    pub access: Option<PathBuf>,
    /// Whose clinics: the namespace of their documents [default: that of the session, else default]
    #[arg(short = 'n', long, global = true, env = "TEGATA_TENANT", hide_env_values = true, value_name = "NAME")]
    tenant: Option<TenantName>,
    /// How answers are written: json and yaml are as the server gave them, and do not change
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "table|json|yaml", hide_possible_values = true)]
    pub output: Format,
    /// Whether to colour; auto does on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "auto|always|never", hide_possible_values = true)]
    pub color: ColorChoice,
}

impl Global {
    /// Whose clinics.
    pub fn tenant(&self) -> TenantName {
        self.tenant.clone().unwrap_or_else(|| "default".parse().expect("`default` is a DNS label"))
    }

    /// Whose clinics, if somebody said so.
    pub fn named_tenant(&self) -> Option<&TenantName> {
        self.tenant.as_ref()
    }
}

#[derive(Subcommand)]
enum Verb {
    Serve(serve::Serve),
    Plan(plan::Plan),
    Apply(apply::Apply),
    Get(get::Get),
    Describe(describe::Describe),
    Enroll(enroll::Enroll),
    Certificate(certificate::Certificate),
    Adopt(adopt::Adopt),
    Confirm(confirm::Confirm),
    Backup(backup::Backup),
    Bundle(bundle::Bundle),
    Renew(renew::Renew),
    Revoke(revoke::Revoke),
    Installers(installers::Installers),
    Playbook(playbook::Playbook),
    Profile(profile::Profile),
    Application(application::Application),
    Webhook(webhook::Webhook),
    Token(token::Token),
    Login(login::Login),
    Logout(login::Logout),
    Approve(approve::Approve),
    State(state::State),
    Audit(audit::Audit),
    Witness(witness::Witness),
    Schema(schema::Schema),
    Completion(completion::Completion),
    Demo(demo::Demo),
    #[command(hide = true)]
    DemoEmr(demo::emr::DemoEmr),
    #[command(hide = true)]
    Reference,
}

impl Cli {
    /// Does what was typed.
    pub async fn run(self) -> Result<Exit, Failure> {
        let global = &self.global;
        match self.verb {
            Verb::Serve(verb) => verb.run(global).await,
            Verb::Plan(verb) => verb.run(global).await,
            Verb::Apply(verb) => verb.run(global).await,
            Verb::Get(verb) => verb.run(global).await,
            Verb::Describe(verb) => verb.run(global).await,
            Verb::Enroll(verb) => verb.run(global).await,
            Verb::Certificate(verb) => verb.run(global).await,
            Verb::Adopt(verb) => verb.run(global).await,
            Verb::Confirm(verb) => verb.run(global).await,
            Verb::Backup(verb) => verb.run(global).await,
            Verb::Bundle(verb) => verb.run(global).await,
            Verb::Renew(verb) => verb.run(global).await,
            Verb::Revoke(verb) => verb.run(global).await,
            Verb::Application(verb) => verb.run(global).await,
            Verb::Installers(verb) => verb.run(global).await,
            Verb::Playbook(verb) => verb.run(global).await,
            Verb::Profile(verb) => verb.run(global).await,
            Verb::Webhook(verb) => verb.run(global).await,
            Verb::Token(verb) => verb.run(global).await,
            Verb::Login(verb) => verb.run(global).await,
            Verb::Logout(verb) => verb.run(global).await,
            Verb::Approve(verb) => verb.run(global).await,
            Verb::State(verb) => verb.run(global).await,
            Verb::Audit(verb) => verb.run(global).await,
            Verb::Witness(verb) => verb.run().await,
            Verb::Schema(verb) => verb.run(),
            Verb::Completion(verb) => verb.run(),
            Verb::Demo(verb) => verb.run(global).await,
            Verb::DemoEmr(verb) => verb.run(global).await,
            Verb::Reference => reference::run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    /// Every command that does something, with its full name.
    fn leaves(command: &Command, name: &str) -> Vec<(String, Command)> {
        let mut found = Vec::new();
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let name = format!("{name} {}", sub.get_name());
            if sub.has_subcommands() { found.extend(leaves(sub, &name)) } else { found.push((name, sub.clone())) }
        }
        found
    }

    #[test]
    fn every_command_shows_an_example_that_can_be_typed() {
        let leaves = leaves(&Cli::command(), "tegata");
        assert!(leaves.len() >= 14, "only {} commands were found", leaves.len());
        for (name, command) in leaves {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> = help.lines().filter_map(|line| line.trim().strip_prefix("$ ")).collect();
            let own = examples.iter().find(|example| example.starts_with(&name)).unwrap_or_else(|| panic!("{name} has no example"));
            let typed = own.split(" | ").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
            let parsed = Cli::try_parse_from(typed.split_whitespace());
            assert!(parsed.is_ok(), "{own}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }
}
