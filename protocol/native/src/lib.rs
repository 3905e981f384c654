//! The OPRF of Mandorla over whole batches: RFC 9497, ristretto255-SHA512, mode VOPRF.
//!
//! Secrets are handled in constant time and zeroised; the composites of a proof, which are public, in
//! variable time. Nothing that a peer sends panics. The last argument of a batch function is how many
//! threads it uses: 0 for every core, 1 for the caller's own.

#![forbid(unsafe_code)]
#![warn(clippy::pedantic)]

pub mod batch;
mod blocks;
mod dleq;
pub mod fault;
mod fixed_base;
#[cfg(feature = "python")]
mod python;
mod suite;
