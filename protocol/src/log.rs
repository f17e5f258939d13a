//! The log: RFC 6962 tree, proofs, notes, checkpoints, tiles.
