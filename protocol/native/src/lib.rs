//! The OPRF over whole batches (RFC 9497, ristretto255-SHA512, mode VOPRF; SPEC 5).
//!
//! The crate also does the work for each entry of a table: tags, label keys, sealed labels and leaf hashes.
//!
//! Operations on secrets take constant time: keys, blinds, nonces and tokens. Only the composites of a proof
//! are computed in variable time, because elements and weights are public. Scalars, outputs and label keys are
//! zeroised; the inner states of hashes and MACs are not. No input of a peer causes a panic.
//!
//! `threads`, the last argument of a batch function, is the number of threads: 0 means one for each core, 1
//! means the caller's thread.

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
