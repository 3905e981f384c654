//! Tags, label keys and sealed labels of whole batches (SPEC 6).

use chacha20poly1305::{
    AeadInPlace, ChaCha20Poly1305, KeyInit,
    aead::generic_array::{GenericArray, typenum::Unsigned},
};
use hmac::{Hmac, Mac};
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::{fault::Fault, suite::OUTPUT_SIZE};

pub const TAG_SIZE: usize = 16;
pub const KEY_SIZE: usize = 32;
pub const LABEL_SIZE: usize = 256;
pub const SEALED_SIZE: usize =
    LABEL_SIZE + <ChaCha20Poly1305 as chacha20poly1305::AeadCore>::TagSize::USIZE;
const NONCE_SIZE: usize = 12;

/// Split outputs of 64 bytes into tags and label keys (SPEC 6.1, 6.2).
///
/// A label key is HKDF-Expand (RFC 5869 section 2.3) with SHA-512 and `info`. Its 32 bytes are a part of the
/// first block, so one HMAC gives the key.
///
/// # Errors
///
/// `BadLength` unless there is a whole number of outputs.
pub fn split(outputs: &[u8], info: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Fault> {
    if !outputs.len().is_multiple_of(OUTPUT_SIZE) {
        return Err(Fault::BadLength);
    }
    let count = outputs.len() / OUTPUT_SIZE;
    let mut tags = Vec::with_capacity(count * TAG_SIZE);
    let mut keys = Zeroizing::new(Vec::with_capacity(count * KEY_SIZE));
    for output in outputs.chunks_exact(OUTPUT_SIZE) {
        let (tag, secret) = output.split_at(TAG_SIZE);
        tags.extend_from_slice(tag);
        let mut first_block =
            <Hmac<Sha512> as Mac>::new_from_slice(secret).map_err(|_| Fault::BadLength)?;
        first_block.update(info);
        first_block.update(&[1]);
        keys.extend_from_slice(&first_block.finalize().into_bytes()[..KEY_SIZE]);
    }
    Ok((tags, keys))
}

/// Seal labels of 256 bytes, each under its own key; return 272 bytes for each (SPEC 6.4).
///
/// The associated data of a label are `before`, its tag and `after`. All labels have one nonce, which is safe
/// because each label has another key.
///
/// # Errors
///
/// `BadLength` unless each label has 256 bytes, a key of 32 and a tag of 16, and the nonce has 12 bytes.
pub fn seal(
    keys: &[u8],
    tags: &[u8],
    labels: &[u8],
    nonce: &[u8],
    (before, after): (&[u8], &[u8]),
) -> Result<Vec<u8>, Fault> {
    let count = keys.len() / KEY_SIZE;
    let sizes = (count * KEY_SIZE, count * TAG_SIZE, count * LABEL_SIZE);
    if (keys.len(), tags.len(), labels.len()) != sizes || nonce.len() != NONCE_SIZE {
        return Err(Fault::BadLength);
    }
    let nonce = GenericArray::from_slice(nonce);
    let mut sealed = Vec::with_capacity(count * SEALED_SIZE);
    for ((key, tag), label) in keys
        .chunks_exact(KEY_SIZE)
        .zip(tags.chunks_exact(TAG_SIZE))
        .zip(labels.chunks_exact(LABEL_SIZE))
    {
        let start = sealed.len();
        sealed.extend_from_slice(label);
        let aad = [before, tag, after].concat();
        let mac = ChaCha20Poly1305::new(GenericArray::from_slice(key))
            .encrypt_in_place_detached(nonce, &aad, &mut sealed[start..])
            .map_err(|_| Fault::BadLength)?;
        sealed.extend_from_slice(&mac);
    }
    Ok(sealed)
}

/// Open sealed labels of 272 bytes, each with its own key (SPEC 6.4).
///
/// The associated data of a label are `before`, its tag and `after`. Return one byte for each label, 1 if it
/// authenticates and 0 if not, and 256 bytes for each label, zeros if it does not authenticate.
///
/// # Errors
///
/// `BadLength` unless each label has 272 bytes, a key of 32 and a tag of 16, and the nonce has 12 bytes.
pub fn open(
    keys: &[u8],
    tags: &[u8],
    sealed: &[u8],
    nonce: &[u8],
    (before, after): (&[u8], &[u8]),
) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let count = keys.len() / KEY_SIZE;
    let sizes = (count * KEY_SIZE, count * TAG_SIZE, count * SEALED_SIZE);
    if (keys.len(), tags.len(), sealed.len()) != sizes || nonce.len() != NONCE_SIZE {
        return Err(Fault::BadLength);
    }
    let nonce = GenericArray::from_slice(nonce);
    let mut opened = vec![0; count];
    let mut labels = vec![0; count * LABEL_SIZE];
    for (index, (key, tag)) in keys
        .chunks_exact(KEY_SIZE)
        .zip(tags.chunks_exact(TAG_SIZE))
        .enumerate()
    {
        let label = &mut labels[index * LABEL_SIZE..][..LABEL_SIZE];
        let (text, mac) = sealed[index * SEALED_SIZE..][..SEALED_SIZE].split_at(LABEL_SIZE);
        label.copy_from_slice(text);
        let aad = [before, tag, after].concat();
        let outcome = ChaCha20Poly1305::new(GenericArray::from_slice(key))
            .decrypt_in_place_detached(nonce, &aad, label, GenericArray::from_slice(mac));
        if outcome.is_ok() {
            opened[index] = 1;
        } else {
            label.fill(0);
        }
    }
    Ok((opened, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_and_what_was_altered_does_not() {
        let labels: Vec<u8> = (0..2 * LABEL_SIZE).map(|n| n.to_be_bytes()[7]).collect();
        let (keys, tags, nonce) = ([7; 2 * KEY_SIZE], [9; 2 * TAG_SIZE], [3; NONCE_SIZE]);
        let mut sealed = seal(&keys, &tags, &labels, &nonce, (b"a", b"b")).unwrap();
        sealed[SEALED_SIZE] ^= 1;
        let (opened, read) = open(&keys, &tags, &sealed, &nonce, (b"a", b"b")).unwrap();
        assert_eq!(opened, [1, 0]);
        assert_eq!(read[..LABEL_SIZE], labels[..LABEL_SIZE]);
        assert_eq!(read[LABEL_SIZE..], [0; LABEL_SIZE]);
    }

    #[test]
    fn batches_of_uneven_sizes_are_refused() {
        assert_eq!(split(&[0; 65], b"").unwrap_err(), Fault::BadLength);
        for (keys, tags, labels, nonce) in [
            (31, 16, 256, 12),
            (32, 15, 256, 12),
            (32, 16, 255, 12),
            (32, 16, 256, 11),
        ] {
            let [keys, tags, labels, nonce] = [keys, tags, labels, nonce].map(|size| vec![0; size]);
            let outcome = seal(&keys, &tags, &labels, &nonce, (b"", b""));
            assert_eq!(outcome.unwrap_err(), Fault::BadLength);
            let sealed = [labels.as_slice(), &[0; SEALED_SIZE - LABEL_SIZE]].concat();
            let outcome = open(&keys, &tags, &sealed, &nonce, (b"", b""));
            assert_eq!(outcome.unwrap_err(), Fault::BadLength);
        }
    }
}
