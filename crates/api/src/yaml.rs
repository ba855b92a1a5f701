//! Reads policy documents.
