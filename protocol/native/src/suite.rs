//! The ciphersuite ristretto255-SHA512 in mode VOPRF (RFC 9497 section 4.1).

use std::sync::LazyLock;

use curve25519_dalek::{
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
    traits::IsIdentity,
};
use sha2::{Digest, Sha512};
use zeroize::{Zeroize, Zeroizing};

use crate::fault::Fault;

pub const SEED_SIZE: usize = 32;
pub const TOKEN_SIZE: usize = 32;
pub const ELEMENT_SIZE: usize = 32;
pub const SCALAR_SIZE: usize = 32;
pub const UNIFORM_SIZE: usize = 64;
pub const OUTPUT_SIZE: usize = 64;

/// "Batch-" and the RFC's contextString: a field of the seed of a proof's weights (SPEC 5.4).
pub const BATCH_DST: &[u8] = b"Batch-OPRFV1-\x01-ristretto255-SHA512";
const GROUP_DST: &[u8] = b"HashToGroup-OPRFV1-\x01-ristretto255-SHA512";
const SCALAR_DST: &[u8] = b"HashToScalar-OPRFV1-\x01-ristretto255-SHA512";
const KEY_DST: &[u8] = b"DeriveKeyPairOPRFV1-\x01-ristretto255-SHA512";

/// The state of SHA-512 after the first block of `expand_message_xmd`, which is all zeros.
static ZERO_BLOCK: LazyLock<Sha512> = LazyLock::new(|| Sha512::new_with_prefix([0; 128]));

/// The inverse of two. The batch compression doubles its points, so callers halve their scalars.
static HALF: LazyLock<Scalar> = LazyLock::new(|| Scalar::from(2_u8).invert());

/// Expand a message, given in parts, to 64 uniform bytes with SHA-512 (RFC 9380 section 5.3.1).
fn expand_message_xmd(parts: &[&[u8]], dst: &[u8]) -> [u8; 64] {
    let dst_size = [u8::try_from(dst.len()).unwrap_or(u8::MAX)];
    let mut state = ZERO_BLOCK.clone();
    for part in parts {
        state.update(part);
    }
    state.update([0, 64, 0]);
    state.update(dst);
    state.update(dst_size);
    let mut b_0 = state.finalize();
    let uniform = Sha512::new()
        .chain_update(b_0)
        .chain_update([1])
        .chain_update(dst)
        .chain_update(dst_size)
        .finalize();
    b_0.as_mut_slice().zeroize();
    uniform.into()
}

/// Map a token to an element (RFC 9497 section 4.1).
///
/// # Errors
///
/// `BadElement` if the result is the identity (the RFC's `InvalidInputError`).
pub fn hash_to_group(token: &[u8]) -> Result<RistrettoPoint, Fault> {
    let uniform = Zeroizing::new(expand_message_xmd(&[token], GROUP_DST));
    let point = RistrettoPoint::from_uniform_bytes(&uniform);
    if point.is_identity() {
        return Err(Fault::BadElement);
    }
    Ok(point)
}

/// Map a public message, given in parts, to a scalar (RFC 9497 section 4.1).
#[must_use]
pub fn hash_to_scalar(parts: &[&[u8]]) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&expand_message_xmd(parts, SCALAR_DST))
}

/// Map a secret message, given in parts, to the scalar of a key (RFC 9497 section 3.2.1).
#[must_use]
pub fn derive_scalar(parts: &[&[u8]]) -> Zeroizing<Scalar> {
    let uniform = Zeroizing::new(expand_message_xmd(parts, KEY_DST));
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&uniform))
}

/// Return the OPRF output of a token and its unblinded element (RFC 9497 section 3.3.1, Finalize).
#[must_use]
pub fn output(token: &[u8], unblinded: &CompressedRistretto) -> [u8; OUTPUT_SIZE] {
    Sha512::new()
        .chain_update([0, 32])
        .chain_update(token)
        .chain_update([0, 32])
        .chain_update(unblinded.as_bytes())
        .chain_update(b"Finalize")
        .finalize()
        .into()
}

/// Decode a canonical element that is not the identity (RFC 9496 section 4.3.1, RFC 9497 section 2.1).
///
/// # Errors
///
/// `BadElement` for any other bytes.
pub fn decode_element(encoded: &[u8]) -> Result<RistrettoPoint, Fault> {
    let compressed = CompressedRistretto::from_slice(encoded).map_err(|_| Fault::BadElement)?;
    let point = compressed.decompress().ok_or(Fault::BadElement)?;
    if point.is_identity() {
        return Err(Fault::BadElement);
    }
    Ok(point)
}

/// Decode a scalar below the order, which may be zero.
///
/// # Errors
///
/// `BadScalar` for any other bytes.
pub fn decode_scalar(encoded: &[u8]) -> Result<Scalar, Fault> {
    let bytes = <[u8; SCALAR_SIZE]>::try_from(encoded).map_err(|_| Fault::BadScalar)?;
    Option::from(Scalar::from_canonical_bytes(bytes)).ok_or(Fault::BadScalar)
}

/// Decode a key or a blind: a scalar below the order that is not zero.
///
/// A zero key gives one element for all tokens, and a zero blind does not hide the token.
///
/// # Errors
///
/// `BadScalar` for any other bytes.
pub fn decode_nonzero(encoded: &[u8]) -> Result<Zeroizing<Scalar>, Fault> {
    let scalar = Zeroizing::new(decode_scalar(encoded)?);
    if *scalar == Scalar::ZERO {
        return Err(Fault::BadScalar);
    }
    Ok(scalar)
}

/// Reduce 64 uniform bytes to a non-zero scalar.
///
/// # Errors
///
/// `BadLength` for another number of bytes; `BadScalar` if the result is zero.
pub fn random_scalar(uniform: &[u8]) -> Result<Zeroizing<Scalar>, Fault> {
    let bytes = <[u8; UNIFORM_SIZE]>::try_from(uniform).map_err(|_| Fault::BadLength)?;
    let bytes = Zeroizing::new(bytes);
    let scalar = Zeroizing::new(Scalar::from_bytes_mod_order_wide(&bytes));
    if *scalar == Scalar::ZERO {
        return Err(Fault::BadScalar);
    }
    Ok(scalar)
}

/// Return half a scalar, modulo the order.
#[must_use]
pub fn halve(scalar: &Scalar) -> Zeroizing<Scalar> {
    Zeroizing::new(scalar * *HALF)
}

/// Compress the doubles of points, with one inversion for all.
///
/// Compressing one point takes an inversion. curve25519-dalek compresses many points with one inversion, but
/// only their doubles: so callers multiply by half the scalar, and the doubles are the wanted points.
#[must_use]
pub fn compress_doubles(halves: &[RistrettoPoint]) -> Vec<CompressedRistretto> {
    RistrettoPoint::double_and_compress_batch(halves)
}
