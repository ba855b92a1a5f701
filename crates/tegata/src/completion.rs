//! `tegata completion`: lets a shell complete what is typed.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::{Exit, Failure};
use crate::output;

/// Print a script that lets your shell complete `tegata` commands
#[derive(Args)]
#[command(after_help = "Example:\n  $ tegata completion bash > ~/.local/share/bash-completion/completions/tegata")]
pub struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    /// Prints the script.
    pub fn run(self) -> Result<Exit, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "tegata", &mut script);
        output::print(&String::from_utf8_lossy(&script))?;
        Ok(Exit::Fine)
    }
}
