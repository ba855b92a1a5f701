//! `tegata reference`: the command line as one Markdown page, for `cargo xtask generate`.

use clap::{Command, CommandFactory};
use clap_markdown::{MarkdownOptions, help_markdown_command_custom};

use crate::cli::Cli;
use crate::failure::{Exit, Failure};
use crate::output;

/// Prints the page.
pub fn run() -> Result<Exit, Failure> {
    let options = MarkdownOptions::new().title("The `tegata` command line".into()).show_footer(false);
    output::print(&help_markdown_command_custom(&quoted(Cli::command()), &options))?;
    Ok(Exit::Fine)
}

/// The same command, with examples and exit codes in the form that Markdown leaves as it is.
fn quoted(command: Command) -> Command {
    let below = command.get_after_help().map(ToString::to_string);
    let command = match below {
        Some(text) => command.after_help(format!("```text\n{}\n```", text.trim_end())),
        None => command,
    };
    command.mut_subcommands(quoted)
}
