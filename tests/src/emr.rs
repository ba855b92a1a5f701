//! The stand-in for a cloud chart: `tegata demo-emr`, as a process of its own.
