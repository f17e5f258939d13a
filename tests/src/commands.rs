//! One file per command; each has its arguments and a `run`.

pub(crate) mod simulator;
