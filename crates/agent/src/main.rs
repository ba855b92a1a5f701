//! `tegata-agent`: enrols a clinic PC, and then keeps its client certificates right without anyone noticing.

fn main() -> std::process::ExitCode {
    tegata_agent::cli::main()
}
