//! Mode VOPRF over contiguous buffers (RFC 9497 section 3.3.2, SPEC 5.5).
//!
//! The checks have the same order as in the portable engine, so that both engines refuse an input with the same
//! code.

use std::borrow::Cow;

use curve25519_dalek::{
    ristretto::{CompressedRistretto, RistrettoPoint},
    scalar::Scalar,
    traits::IsIdentity,
};
use zeroize::Zeroizing;

use crate::{
    blocks::{self, BLOCK},
    dleq::{self, PROOF_SIZE, Proof},
    fault::Fault,
    fixed_base::FixedBase,
    suite::{
        ELEMENT_SIZE, SCALAR_SIZE, SEED_SIZE, TOKEN_SIZE, UNIFORM_SIZE, compress_doubles,
        decode_element, decode_nonzero, derive_scalar, halve, hash_to_group, output, random_scalar,
    },
};

/// Derive a key pair from a secret seed and public info (RFC 9497 section 3.2.1).
///
/// # Errors
///
/// `BadLength` unless the seed has 32 bytes and the info at most 65,535; `BadScalar` if all 256 candidates are
/// zero.
pub fn derive_key_pair(
    seed: &[u8],
    info: &[u8],
) -> Result<(Zeroizing<[u8; SCALAR_SIZE]>, [u8; ELEMENT_SIZE]), Fault> {
    let size = u16::try_from(info.len()).map_err(|_| Fault::BadLength)?;
    if seed.len() != SEED_SIZE {
        return Err(Fault::BadLength);
    }
    for counter in 0..=u8::MAX {
        let secret = derive_scalar(&[seed, &size.to_be_bytes(), info, &[counter]]);
        if *secret != Scalar::ZERO {
            let public = RistrettoPoint::mul_base(&secret).compress().to_bytes();
            return Ok((Zeroizing::new(secret.to_bytes()), public));
        }
    }
    Err(Fault::BadScalar)
}

/// A decoded batch of elements, which are canonical and not the identity.
pub struct Elements {
    encoded: Vec<u8>,
    points: Vec<RistrettoPoint>,
}

impl Elements {
    /// Decode n elements.
    ///
    /// # Errors
    ///
    /// `BadLength` for a cut element, `BadElement` if an element is not canonical or is the identity.
    pub fn decode(encoded: &[u8], threads: usize) -> Result<Self, Fault> {
        Ok(Self {
            encoded: encoded.to_vec(),
            points: decode_all(encoded, threads)?,
        })
    }

    /// Return the encoding of all elements.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

/// A batch of elements as an argument: encoded or decoded.
#[derive(Clone, Copy)]
pub enum Batch<'a> {
    Encoded(&'a [u8]),
    Decoded(&'a Elements),
}

impl<'a> Batch<'a> {
    fn encoded(self) -> &'a [u8] {
        match self {
            Self::Encoded(encoded) => encoded,
            Self::Decoded(elements) => &elements.encoded,
        }
    }

    fn points(self, threads: usize) -> Result<Cow<'a, [RistrettoPoint]>, Fault> {
        match self {
            Self::Encoded(encoded) => decode_all(encoded, threads).map(Cow::Owned),
            Self::Decoded(elements) => Ok(Cow::Borrowed(&elements.points)),
        }
    }
}

/// Blind n tokens with n * 64 uniform bytes; return n blinds and n blinded elements (SPEC 5.3).
///
/// # Errors
///
/// `BadLength` unless there are 64 uniform bytes for each token, `BadScalar` if a blind is zero, `BadElement`
/// if a hashed token or a blinded element is the identity.
pub fn blind(
    tokens: &[u8],
    uniform: &[u8],
    threads: usize,
) -> Result<(Zeroizing<Vec<u8>>, Elements), Fault> {
    if uniform.len() / UNIFORM_SIZE != tokens.len() / TOKEN_SIZE {
        return Err(Fault::BadLength);
    }
    let count = whole(uniform, UNIFORM_SIZE)?;
    let mut scalars = Zeroizing::new(Vec::with_capacity(count));
    for bytes in uniform.chunks_exact(UNIFORM_SIZE) {
        scalars.push(*random_scalar(bytes)?);
    }
    whole(tokens, TOKEN_SIZE)?;
    let blinded = blocks::map(count, BLOCK, threads, |range| {
        range
            .map(|index| blind_one(at(tokens, index), &scalars[index]))
            .collect::<Result<Vec<_>, Fault>>()
    })?;
    let mut blinds = Zeroizing::new(Vec::with_capacity(count * SCALAR_SIZE));
    for scalar in scalars.iter() {
        blinds.extend_from_slice(scalar.as_bytes());
    }
    let (points, encodings): (Vec<_>, Vec<_>) = blinded.into_iter().flatten().unzip();
    let encoded = encodings
        .iter()
        .flat_map(CompressedRistretto::to_bytes)
        .collect();
    Ok((blinds, Elements { encoded, points }))
}

/// Evaluate n blinded elements; return n evaluated elements and one proof (RFC 9497 section 3.3.2).
///
/// `nonce` is 64 secret uniform bytes that are never used with another batch.
///
/// # Errors
///
/// `BadElement` for an element or the public key, `BadLength` for the batch's size, `BadScalar` for the secret
/// or the nonce.
pub fn evaluate_and_prove(
    secret: &[u8],
    public_key: &[u8],
    blinded: Batch<'_>,
    nonce: &[u8],
    threads: usize,
) -> Result<(Vec<u8>, [u8; PROOF_SIZE]), Fault> {
    let secret = decode_nonzero(secret)?;
    decode_element(public_key)?;
    let points = blinded.points(threads)?;
    let blinded = blinded.encoded();
    let nonce = random_scalar(nonce)?;
    dleq::require_batch(points.len(), points.len())?;
    // The batch compression returns the doubles of its points.
    let half = halve(&secret);
    let evaluated = join(&blocks::map(points.len(), BLOCK, threads, |range| {
        let halves: Vec<_> = points[range].iter().map(|point| *half * point).collect();
        Ok::<_, Fault>(compress_doubles(&halves))
    })?);
    let seed = dleq::batch_seed(public_key, blinded, &evaluated)?;
    let weights = dleq::weights(&seed, blinded, &evaluated, threads)?;
    let m = dleq::combine(&weights, &points, threads);
    let proof = dleq::prove(&secret, public_key, &m, &nonce)?;
    Ok((evaluated, proof.encode()))
}

/// Verify the batch's proof, unblind, and return n outputs of 64 bytes (RFC 9497 section 3.3.2).
///
/// # Errors
///
/// `BadElement`, `BadLength` or `BadScalar` for malformed arguments, `BadProof` if the proof does not hold.
pub fn verify_and_finalize(
    public_key: &[u8],
    tokens: &[u8],
    blinds: &[u8],
    blinded: Batch<'_>,
    evaluated: &[u8],
    proof: &[u8],
    threads: usize,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let public_point = decode_element(public_key)?;
    let count = tokens.len() / TOKEN_SIZE;
    if blinds.len() / SCALAR_SIZE != count || blinded.encoded().len() / ELEMENT_SIZE != count {
        return Err(Fault::BadLength);
    }
    let answers = verified(
        public_key,
        &public_point,
        blinded,
        evaluated,
        proof,
        threads,
    )?;

    whole(tokens, TOKEN_SIZE)?;
    let scalars = decode_blinds(blinds)?;
    let key = FixedBase::new(public_point, count);
    let outputs = blocks::map(count, BLOCK, threads, |range| {
        Ok(Zeroizing::new(
            range
                .map(|index| {
                    let element = unblind(&answers[index], &scalars[index], &key);
                    output(at(tokens, index), &element)
                })
                .collect::<Vec<_>>(),
        ))
    })?;
    Ok(join_outputs(&outputs))
}

/// Verify a batch's proof, given all elements, as an auditor does (RFC 9497 section 2.2.2).
///
/// # Errors
///
/// `BadElement`, `BadLength` or `BadScalar` for malformed arguments, `BadProof` if the proof does not hold.
pub fn verify(
    public_key: &[u8],
    blinded: &[u8],
    evaluated: &[u8],
    proof: &[u8],
    threads: usize,
) -> Result<(), Fault> {
    let public_point = decode_element(public_key)?;
    verified(
        public_key,
        &public_point,
        Batch::Encoded(blinded),
        evaluated,
        proof,
        threads,
    )
    .map(drop)
}

/// Verify a batch's proof; return the decoded evaluated elements.
fn verified(
    public_key: &[u8],
    public_point: &RistrettoPoint,
    blinded: Batch<'_>,
    evaluated: &[u8],
    proof: &[u8],
    threads: usize,
) -> Result<Vec<RistrettoPoint>, Fault> {
    let answers = decode_all(evaluated, threads)?;
    let proof = Proof::decode(proof)?;
    dleq::require_batch(whole(blinded.encoded(), ELEMENT_SIZE)?, answers.len())?;
    let own = blinded.points(threads)?;
    let blinded = blinded.encoded();

    let seed = dleq::batch_seed(public_key, blinded, evaluated)?;
    let weights = dleq::weights(&seed, blinded, evaluated, threads)?;
    let m = dleq::combine(&weights, &own, threads);
    let z = dleq::combine(&weights, &answers, threads);
    let compressed = CompressedRistretto::from_slice(public_key).map_err(|_| Fault::BadElement)?;
    dleq::verify(&compressed, public_point, &m, &z, &proof)?;
    Ok(answers)
}

/// Return n outputs of 64 bytes for the holder's own n tokens (RFC 9497 section 3.3.1).
///
/// # Errors
///
/// `BadLength` for a cut token, `BadScalar` if the secret is zero or not canonical.
pub fn evaluate(secret: &[u8], tokens: &[u8], threads: usize) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let half = halve(&*decode_nonzero(secret)?);
    let outputs = blocks::map(whole(tokens, TOKEN_SIZE)?, BLOCK, threads, |range| {
        let halves = range
            .clone()
            .map(|index| Ok(*half * hash_to_group(at(tokens, index))?))
            .collect::<Result<Vec<_>, Fault>>()?;
        Ok(Zeroizing::new(
            range
                .zip(&compress_doubles(&halves))
                .map(|(index, element)| output(at(tokens, index), element))
                .collect::<Vec<_>>(),
        ))
    })?;
    Ok(join_outputs(&outputs))
}

/// Blind a token by adding the blind times the generator. A fixed base makes this faster than multiplying.
fn blind_one(token: &[u8], blind: &Scalar) -> Result<(RistrettoPoint, CompressedRistretto), Fault> {
    let blinded = hash_to_group(token)? + RistrettoPoint::mul_base(blind);
    if blinded.is_identity() {
        return Err(Fault::BadElement);
    }
    Ok((blinded, blinded.compress()))
}

/// Subtract the blind times the public key. The result is the secret key times the hashed token.
fn unblind(evaluated: &RistrettoPoint, blind: &Scalar, key: &FixedBase) -> CompressedRistretto {
    (evaluated - key.multiply(blind)).compress()
}

fn decode_blinds(blinds: &[u8]) -> Result<Zeroizing<Vec<Scalar>>, Fault> {
    let count = whole(blinds, SCALAR_SIZE)?;
    let mut scalars = Zeroizing::new(Vec::with_capacity(count));
    for bytes in blinds.chunks_exact(SCALAR_SIZE) {
        scalars.push(*decode_nonzero(bytes)?);
    }
    Ok(scalars)
}

fn decode_all(elements: &[u8], threads: usize) -> Result<Vec<RistrettoPoint>, Fault> {
    let count = whole(elements, ELEMENT_SIZE)?;
    let points = blocks::map(count, BLOCK, threads, |range| {
        range
            .map(|index| decode_element(at(elements, index)))
            .collect::<Result<Vec<_>, Fault>>()
    })?;
    Ok(points.concat())
}

/// Return the number of values of `size` bytes in a buffer.
fn whole(buffer: &[u8], size: usize) -> Result<usize, Fault> {
    if buffer.len().is_multiple_of(size) {
        Ok(buffer.len() / size)
    } else {
        Err(Fault::BadLength)
    }
}

/// Return the token, element or scalar at an index: all have 32 bytes.
fn at(buffer: &[u8], index: usize) -> &[u8] {
    at_range(buffer, &(index..index + 1))
}

fn at_range<'a>(buffer: &'a [u8], range: &std::ops::Range<usize>) -> &'a [u8] {
    &buffer[range.start * 32..range.end * 32]
}

fn join(blocks: &[Vec<CompressedRistretto>]) -> Vec<u8> {
    blocks
        .iter()
        .flatten()
        .flat_map(CompressedRistretto::to_bytes)
        .collect()
}

fn join_outputs(blocks: &[Zeroizing<Vec<[u8; 64]>>]) -> Zeroizing<Vec<u8>> {
    let size = blocks.iter().map(|block| block.len() * 64).sum();
    let mut joined = Zeroizing::new(Vec::with_capacity(size));
    for block in blocks {
        joined.extend_from_slice(block.as_flattened());
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suite::decode_scalar;
    use sha2::{Digest, Sha512};

    /// RFC 9497 appendix A.1.2.
    const SECRET: &str = "e6f73f344b79b379f1a0dd37e07ff62e38d9f71345ce62ae3a9bc60b04ccd909";
    const PUBLIC: &str = "c803e2cc6b05fc15064549b5920659ca4a77b2cca6f04f6b357009335476ad4e";
    const BLIND: &str = "64d37aed22a27f5191de1c1d69fadb899d8862b58eb4220029e036ec4c1f6706";
    const BLINDED: &str = "863f330cc1a1259ed5a5998a23acfd37fb4351a793a5b3c090b642ddc439b945";
    const EVALUATED: &str = "aa8fa048764d5623868679402ff6108d2521884fa138cd7f9c7669a9a014267e";
    const NONCE: &str = "222a5e897cf59db8145db8d16e597e8facb80ae7d4e26d9881aa6f61d645fc0e";
    const PROOF: &str = "ddef93772692e535d1a53903db24367355cc2cc78de93b3be5a8ffcc6985dd06\
                         6d4346421d17bf5117a2a1ff0fcb2a759f58a539dfbe857a40bce4cf49ec600d";

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// Return the seed of RFC 9497 section 2.2.1, as in the RFC's proofs.
    fn rfc_seed() -> [u8; 64] {
        let dst = b"Seed-OPRFV1-\x01-ristretto255-SHA512";
        Sha512::new()
            .chain_update([0, 32])
            .chain_update(hex(PUBLIC))
            .chain_update([0, 33])
            .chain_update(dst)
            .finalize()
            .into()
    }

    #[test]
    fn the_rfcs_public_key_evaluation_and_proof() {
        let (secret, public) = derive_key_pair(&[0xa3; 32], b"test key").unwrap();
        assert_eq!(secret.to_vec(), hex(SECRET));
        assert_eq!(public.to_vec(), hex(PUBLIC));
        let nonce = [hex(NONCE), vec![0; 32]].concat();
        let (evaluated, _) = evaluate_and_prove(
            &hex(SECRET),
            &hex(PUBLIC),
            Batch::Encoded(&hex(BLINDED)),
            &nonce,
            1,
        )
        .unwrap();
        assert_eq!(evaluated, hex(EVALUATED));

        let weights = dleq::weights(&rfc_seed(), &hex(BLINDED), &evaluated, 1).unwrap();
        let m = dleq::combine(&weights, &[decode_element(&hex(BLINDED)).unwrap()], 1);
        let z = dleq::combine(&weights, &[decode_element(&hex(EVALUATED)).unwrap()], 1);
        let secret = decode_scalar(&hex(SECRET)).unwrap();
        let nonce = decode_scalar(&hex(NONCE)).unwrap();
        let proof = dleq::prove(&secret, &hex(PUBLIC), &m, &nonce).unwrap();
        assert_eq!(proof.encode().to_vec(), hex(PROOF));
        let public = decode_element(&hex(PUBLIC)).unwrap();
        dleq::verify(&public.compress(), &public, &m, &z, &proof).unwrap();
    }

    #[test]
    fn what_is_proved_is_verified_and_the_rfcs_proof_is_not_ours() {
        let nonce = [hex(NONCE), vec![0; 32]].concat();
        let (evaluated, proof) = evaluate_and_prove(
            &hex(SECRET),
            &hex(PUBLIC),
            Batch::Encoded(&hex(BLINDED)),
            &nonce,
            1,
        )
        .unwrap();
        verify(&hex(PUBLIC), &hex(BLINDED), &evaluated, &proof, 1).unwrap();
        let outcome = verify(&hex(PUBLIC), &hex(BLINDED), &evaluated, &hex(PROOF), 1);
        assert_eq!(outcome.unwrap_err(), Fault::BadProof);
    }

    #[test]
    fn the_rfcs_blinded_element() {
        let blind = decode_scalar(&hex(BLIND)).unwrap();
        let half = *halve(&blind) * hash_to_group(&[0]).unwrap();
        assert_eq!(
            compress_doubles(&[half])[0].to_bytes().to_vec(),
            hex(BLINDED)
        );
    }

    #[test]
    fn elements_that_were_decoded_serve_as_their_encodings_do() {
        let tokens: Vec<u8> = (0..96).collect();
        let uniform: Vec<u8> = (0..192).collect();
        let (blinds, blinded) = blind(&tokens, &uniform, 1).unwrap();
        let decoded = Elements::decode(blinded.encoded(), 1).unwrap();
        assert_eq!(decoded.encoded(), blinded.encoded());
        assert_eq!(decoded.points, blinded.points);
        let nonce = [hex(NONCE), vec![0; 32]].concat();
        let answer = |batch| evaluate_and_prove(&hex(SECRET), &hex(PUBLIC), batch, &nonce, 1);
        let (evaluated, proof) = answer(Batch::Decoded(&blinded)).unwrap();
        let again = answer(Batch::Encoded(blinded.encoded())).unwrap();
        assert_eq!((evaluated.clone(), proof), again);
        let outputs = |batch| {
            verify_and_finalize(&hex(PUBLIC), &tokens, &blinds, batch, &evaluated, &proof, 1)
        };
        assert_eq!(
            outputs(Batch::Decoded(&blinded)).unwrap(),
            evaluate(&hex(SECRET), &tokens, 1).unwrap()
        );
        assert!(outputs(Batch::Encoded(blinded.encoded())).is_ok());
    }

    #[test]
    fn an_altered_proof_is_refused() {
        let mut proof = hex(PROOF);
        proof[40] ^= 1;
        let (token, blind) = ([0; 32], hex(BLIND));
        let outcome = verify_and_finalize(
            &hex(PUBLIC),
            &token,
            &blind,
            Batch::Encoded(&hex(BLINDED)),
            &hex(EVALUATED),
            &proof,
            1,
        );
        assert_eq!(outcome.unwrap_err(), Fault::BadProof);
    }
}
