//! Both brains and a pretend world: fleets driven by text scripts, whose transcripts are the tests.
