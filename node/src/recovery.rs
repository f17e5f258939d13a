//! Coming back: how a start proves that nothing it has said is missing, and what it does when it cannot
//! (specs/store.md §10, specs/clearing.md §11).

pub mod instance;
