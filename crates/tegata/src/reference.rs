//! `tegata reference`: the command line as one Markdown page, for `cargo xtask generate`.

use crate::cli::Cli;
use crate::failure::{Exit, Failure};
use crate::output;

/// Prints the page.
pub fn run() -> Result<Exit, Failure> {
    let options = clap_markdown::MarkdownOptions::new().title("The `tegata` command line".into()).show_footer(false);
    output::print(&clap_markdown::help_markdown_custom::<Cli>(&options))?;
    Ok(Exit::Fine)
}
