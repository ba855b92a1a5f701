//! "Did you mean".
