//! The server from outside: real TLS on a real port, real certificates, a fresh state folder for each test.

mod access;
mod audit;
mod enrolment;
mod issuance;
mod lifecycle;
mod matrix;
mod notices;
mod offline;
mod personal;
mod portal;
mod recovery;
mod relying;
mod revocation;
mod sessions;
mod tenants;
mod vendor;
mod watching;
mod world;
