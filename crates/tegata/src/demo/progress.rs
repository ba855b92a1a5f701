//! What the person in front of the demo sees while it plays.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

/// How often a condition is looked at.
const INTERVAL: Duration = Duration::from_millis(150);

/// Lines with the time at which they were said; on a terminal, also a line that moves.
pub struct Progress {
    start: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Begins counting.
    pub fn start() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar
        });
        Self { start: Instant::now(), bar }
    }

    /// Says what has happened.
    pub fn say(&self, text: &str) {
        let line = format!("{:5.1} s  {text}", self.start.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => bar.suspend(|| told(&line)),
            None => told(&line),
        }
    }

    /// Shows what is under way, on a terminal.
    pub fn show(&self, text: String) {
        if let Some(bar) = &self.bar {
            bar.set_message(text);
        }
    }

    /// Looks again and again until there is something; `what` says what was waited for in vain.
    pub async fn until<T>(&self, what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
        self.show(format!("waiting for {what}"));
        let start = Instant::now();
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if start.elapsed() > patience {
                bail!("waited {} s in vain for {what}", patience.as_secs());
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Takes the moving line away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A reader that has gone away, such as `head`, stops no demo; its outcome is in the exit code.
fn told(line: &str) {
    let _ = crate::output::print(line);
}
