//! Several servers on one PostgreSQL database, behind one address, as a cluster runs them.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::World;
use crate::line::{Gate, before};
use crate::postgres::Postgres;
use crate::process::{Process, binary, free_ports};

/// The servers beside the first, which is the [`World`]'s, and their database.
pub struct Replicas {
    others: Vec<Replica>,
    gates: Vec<Gate>,
    /// What all of them stand on.
    pub postgres: Postgres,
}

struct Replica {
    state: PathBuf,
    port: u16,
    database: String,
    process: Option<Process>,
}

impl Replicas {
    /// Starts so many servers, and gives the world that reaches them by one address.
    ///
    /// # Errors
    /// One of them does not start.
    pub fn start(count: usize) -> Result<(World, Self)> {
        let postgres = Postgres::start("")?;
        let url = postgres.new_database()?;
        let ports = free_ports(count)?;
        // Each has a way of its own to the database, so that one alone can be cut off.
        let gates: Vec<Gate> = ports.iter().map(|_| Gate::before(postgres.port())).collect();
        let through = |gate: &Gate| url.replace(&format!(":{}/", postgres.port()), &format!(":{}/", gate.port));
        let world = World::start_behind(ports[0], before(ports.clone()), &["--database", &through(&gates[0])])?;
        let seal = fs::read(world.path("server/seal.key"))?;
        let mut others = Vec::new();
        for (port, gate) in ports.iter().zip(&gates).skip(1) {
            let state = world.path(&format!("server-{port}"));
            fs::create_dir(&state)?;
            let mut file = fs::File::options().create_new(true).write(true).mode(0o600).open(state.join("seal.key"))?;
            file.write_all(&seal)?;
            let mut replica = Replica { state, port: *port, database: through(gate), process: None };
            replica.launch()?;
            others.push(replica);
        }
        Ok((world, Self { others, gates, postgres }))
    }

    /// How many there are beside the first.
    pub fn count(&self) -> usize {
        self.others.len()
    }

    /// Ends one of them as a power cut would, and starts it again.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn kill(&mut self, number: usize) -> Result<()> {
        self.others.get_mut(number).context("there is such a server")?.launch()
    }

    /// The way of one server to the database, the first one's among them.
    pub fn gate(&self, number: usize) -> &Gate {
        &self.gates[number % self.gates.len()]
    }
}

impl Replica {
    fn launch(&mut self) -> Result<()> {
        self.process = None;
        let (state, listen) = (self.state.display().to_string(), format!("127.0.0.1:{}", self.port));
        let arguments = ["serve", "--state", &state, "--listen", &listen, "--database", &self.database];
        self.process = Some(Process::start(&binary("tegata"), arguments, &self.state.join("server.log"))?);
        Ok(())
    }
}
