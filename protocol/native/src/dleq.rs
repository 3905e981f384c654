//! Batched proofs that two discrete logarithms are equal (RFC 9497 section 2.2, SPEC 5.4).
//!
//! A proof covers the composites of the batch, which are sums with random weights. Each weight depends on the
//! whole batch. In RFC 9497 it depends on its own pair only, so a prover can search for false answers whose
//! weighted errors cancel.

use curve25519_dalek::{
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
    traits::VartimeMultiscalarMul,
};
use sha2::{Digest, Sha512};
use zeroize::Zeroizing;

use crate::{
    blocks::{self, BLOCK},
    fault::Fault,
    suite::{BATCH_DST, ELEMENT_SIZE, SCALAR_SIZE, decode_scalar, hash_to_scalar},
};

/// The most elements in a batch: RFC 9497 section 2.2.1 writes an index in two bytes.
pub const MAX_BATCH: usize = 65_535;
pub const PROOF_SIZE: usize = 2 * SCALAR_SIZE;

/// A proof: the challenge c and the response s.
pub struct Proof {
    challenge: Scalar,
    response: Scalar,
}

impl Proof {
    /// Serialise as c || s (RFC 9497 section 3.3.2).
    #[must_use]
    pub fn encode(&self) -> [u8; PROOF_SIZE] {
        let mut encoded = [0; PROOF_SIZE];
        encoded[..SCALAR_SIZE].copy_from_slice(self.challenge.as_bytes());
        encoded[SCALAR_SIZE..].copy_from_slice(self.response.as_bytes());
        encoded
    }

    /// Parse c || s strictly.
    ///
    /// # Errors
    ///
    /// `BadLength` for another length than two scalars, `BadScalar` for an unreduced scalar.
    pub fn decode(encoded: &[u8]) -> Result<Self, Fault> {
        if encoded.len() != PROOF_SIZE {
            return Err(Fault::BadLength);
        }
        let (challenge, response) = encoded.split_at(SCALAR_SIZE);
        Ok(Self {
            challenge: decode_scalar(challenge)?,
            response: decode_scalar(response)?,
        })
    }
}

/// Check the numbers of blinded and evaluated elements.
///
/// # Errors
///
/// `BadLength` unless both numbers are equal, and 1 to 65,535.
pub fn require_batch(blinded: usize, evaluated: usize) -> Result<(), Fault> {
    if blinded == evaluated && (1..=MAX_BATCH).contains(&blinded) {
        Ok(())
    } else {
        Err(Fault::BadLength)
    }
}

/// Return the seed of the weights: a hash of the public key and the whole batch (SPEC 5.4).
///
/// # Errors
///
/// `BadLength` if the public key or the batch's size does not fit its field.
pub fn batch_seed(public_key: &[u8], blinded: &[u8], evaluated: &[u8]) -> Result<[u8; 64], Fault> {
    let count = u32::try_from(blinded.len() / ELEMENT_SIZE).map_err(|_| Fault::BadLength)?;
    Ok(Sha512::new()
        .chain_update(prefix(public_key)?)
        .chain_update(public_key)
        .chain_update(prefix(BATCH_DST)?)
        .chain_update(BATCH_DST)
        .chain_update(count.to_be_bytes())
        .chain_update(blinded)
        .chain_update(evaluated)
        .finalize()
        .into())
}

/// Return the batch's weights `d_i`, which are public (RFC 9497 section 2.2.1, `ComputeComposites`).
///
/// # Errors
///
/// `BadLength` if an index does not fit its two bytes.
pub fn weights(
    seed: &[u8; 64],
    blinded: &[u8],
    evaluated: &[u8],
    threads: usize,
) -> Result<Vec<Scalar>, Fault> {
    let found = blocks::map(blinded.len() / ELEMENT_SIZE, BLOCK, threads, |range| {
        range
            .map(|index| {
                let number = u16::try_from(index).map_err(|_| Fault::BadLength)?;
                let place = index * ELEMENT_SIZE..(index + 1) * ELEMENT_SIZE;
                Ok(hash_to_scalar(&[
                    &[0, 64],
                    seed,
                    &number.to_be_bytes(),
                    &[0, 32],
                    &blinded[place.clone()],
                    &[0, 32],
                    &evaluated[place],
                    b"Composite",
                ]))
            })
            .collect::<Result<Vec<_>, Fault>>()
    })?;
    Ok(found.concat())
}

/// Return the sum of `weights[i] * points[i]`, in variable time, because both are public.
#[must_use]
pub fn combine(weights: &[Scalar], points: &[RistrettoPoint], threads: usize) -> RistrettoPoint {
    let size = points.len().div_ceil(blocks::resolve(threads));
    blocks::map(points.len(), size, threads, |range| {
        Ok::<_, Fault>(RistrettoPoint::vartime_multiscalar_mul(
            &weights[range.clone()],
            &points[range],
        ))
    })
    .unwrap_or_default()
    .iter()
    .sum()
}

/// Prove that each evaluated element is `secret` times its blinded element, given the composite m of the
/// blinded elements (RFC 9497 section 2.2.1).
///
/// # Errors
///
/// `BadLength` if the public key does not fit its two bytes of length.
pub fn prove(
    secret: &Scalar,
    public_key: &[u8],
    m: &RistrettoPoint,
    nonce: &Scalar,
) -> Result<Proof, Fault> {
    let z = secret * m;
    let t2 = RistrettoPoint::mul_base(nonce);
    let t3 = nonce * m;
    let challenge = challenge(public_key, [m, &z, &t2, &t3])?;
    let product = Zeroizing::new(challenge * secret);
    Ok(Proof {
        challenge,
        response: nonce - *product,
    })
}

/// Verify a proof against the public key and the batch's composites (RFC 9497 section 2.2.2).
///
/// # Errors
///
/// `BadProof` if it does not hold.
pub fn verify(
    public_key: &CompressedRistretto,
    public_point: &RistrettoPoint,
    m: &RistrettoPoint,
    z: &RistrettoPoint,
    proof: &Proof,
) -> Result<(), Fault> {
    let Proof {
        challenge: c,
        response: s,
    } = proof;
    let t2 = RistrettoPoint::vartime_double_scalar_mul_basepoint(c, public_point, s);
    let t3 = RistrettoPoint::vartime_multiscalar_mul([s, c], [m, z]);
    if challenge(public_key.as_bytes(), [m, z, &t2, &t3])? == *c {
        Ok(())
    } else {
        Err(Fault::BadProof)
    }
}

fn challenge(public_key: &[u8], points: [&RistrettoPoint; 4]) -> Result<Scalar, Fault> {
    let size = prefix(public_key)?;
    let [m, z, t2, t3] = points.map(RistrettoPoint::compress);
    Ok(hash_to_scalar(&[
        &size,
        public_key,
        &[0, 32],
        m.as_bytes(),
        &[0, 32],
        z.as_bytes(),
        &[0, 32],
        t2.as_bytes(),
        &[0, 32],
        t3.as_bytes(),
        b"Challenge",
    ]))
}

fn prefix(value: &[u8]) -> Result<[u8; 2], Fault> {
    Ok(u16::try_from(value.len())
        .map_err(|_| Fault::BadLength)?
        .to_be_bytes())
}
