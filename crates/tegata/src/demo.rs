//! `tegata demo`: a whole group of clinics on one machine. Real server, real agents, real handshakes; only the chart is a stand-in.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use self::acts::Play;
use self::cast::Cast;
use self::ending::Ending;
use self::house::House;
use self::progress::Progress;
use self::stage::Stage;
use crate::cli::Global;
use crate::failure::{Exit, Failure};
use crate::serve;

mod acts;
mod cast;
pub mod emr;
mod ending;
mod house;
mod leftover;
mod pc;
mod progress;
mod stage;
mod thief;
mod verdict;

/// Show Tegata at work on this machine: a server, a group of clinics, their PCs, and a stand-in chart
#[derive(Args)]
#[command(after_help = "Examples:\n  $ tegata demo --once\n  $ tegata demo --example examples/aozora-group --keep /tmp/tegata-demo\n\n\
    It makes everything anew in a folder of its own, talks only to this machine, and leaves nothing behind unless told to.")]
pub struct Demo {
    /// End when everything was shown: 0 only if every certificate is proven, every installer gone, every act on record
    #[arg(long)]
    once: bool,
    /// The group's policy files
    #[arg(long, default_value = "examples/aozora-group", value_name = "DIR")]
    example: PathBuf,
    /// The agent [default: tegata-agent beside this program]
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// Use this new folder, and leave it there
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

impl Demo {
    /// Plays until the end, or until Ctrl-C.
    pub async fn run(self, global: &Global) -> Result<Exit, Failure> {
        let cast = Cast::read(&self.example, global.named_tenant())?;
        let mut house = House::build(self.keep.clone())?;
        let played = tokio::select! {
            played = self.play(global, &cast, &house) => played,
            () = serve::told_to_stop() => Ok(if self.once { Exit::Error } else { Exit::Fine }),
        };
        if !matches!(played, Ok(Exit::Fine)) {
            eprintln!("The servers' and agents' logs stay in {}", house.leave().display());
        }
        Ok(played?)
    }

    /// The story. Whatever happens, processes end when their owners here are dropped.
    async fn play(&self, global: &Global, cast: &Cast, house: &House) -> Result<Exit> {
        let progress = Progress::start();
        let stage = Stage::set(house.path(), cast, &progress).await?;
        let mut play = Play::begin(cast, &stage, &progress, pc::agent(self.agent.clone())?)?;
        play.enrol().await?;
        play.converge().await?;
        play.renew().await?;
        play.revoke().await?;
        let ending = Ending::look(&play, global).await?;
        progress.finish();
        ending.tell(&stage)?;
        if self.once {
            return Ok(if ending.is_happy() { Exit::Fine } else { Exit::Error });
        }
        ending::invite(&stage)?;
        std::future::pending().await
    }
}
