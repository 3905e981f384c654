//! The OPRF of Mandorla over whole batches: RFC 9497, ristretto255-SHA512, mode VOPRF.
//!
//! Beside it, what a round does for each entry of a table: tags and label keys, sealed labels, leaf hashes.
//!
//! Secrets are handled in constant time, and scalars, outputs and label keys zeroised (not so the inner states
//! of hashes and MACs); the composites of a proof, which are public, in
//! variable time. Nothing that a peer sends panics. The last argument of a batch function is how many
//! threads it uses: 0 for every core, 1 for the caller's own.

#![forbid(unsafe_code)]
#![warn(clippy::pedantic)]

pub mod batch;
mod blocks;
mod dleq;
pub mod fault;
mod fixed_base;
pub mod labels;
#[cfg(feature = "python")]
mod python;
mod suite;
pub mod tree;
