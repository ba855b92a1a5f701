//! Staff without an agent, from their browser's side: real mail over a real SMTP server, pages over real TLS, files that other programs
//! open, and renewal by clients that show what they have.

mod files;
mod flow;
mod refused;
mod renewal;
mod revocation;
mod staff;
