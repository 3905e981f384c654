//! The Merkle tree of a tag table (RFC 9162 section 2.1, SPEC 7.2).

use sha2::{Digest, Sha256};

use crate::{
    fault::Fault,
    labels::{SEALED_SIZE, TAG_SIZE},
};

const HASH_SIZE: usize = 32;
const ADD: u8 = 1;

/// Append entries, given in columns, to a tree, given by its size and its complete subtrees, largest first.
///
/// Return the new size and the new subtrees. `start` is the first part of each leaf: the prefix 0x00, the
/// domain and the version. Its hash state is computed once.
///
/// # Errors
///
/// `BadLength` if a column's size does not fit the operations, or if there is not exactly one subtree of 32
/// bytes for each bit that is set in the size.
pub fn append_entries(
    (size, subtrees): (u64, &[u8]),
    start: &[u8],
    operations: &[u8],
    tags: &[u8],
    sealed: &[u8],
) -> Result<(u64, Vec<u8>), Fault> {
    let additions = operations
        .iter()
        .map(|&one| usize::from(one == ADD))
        .sum::<usize>();
    if tags.len() != operations.len() * TAG_SIZE
        || sealed.len() != additions * SEALED_SIZE
        || subtrees.len() != size.count_ones() as usize * HASH_SIZE
    {
        return Err(Fault::BadLength);
    }
    let head = Sha256::new_with_prefix(start);
    let mut nodes: Vec<[u8; HASH_SIZE]> = subtrees
        .chunks_exact(HASH_SIZE)
        .filter_map(|node| node.try_into().ok())
        .collect();
    let mut labels = sealed.chunks_exact(SEALED_SIZE);
    let mut count = size;
    for (operation, tag) in operations.iter().zip(tags.chunks_exact(TAG_SIZE)) {
        let label = if *operation == ADD {
            labels.next().unwrap_or_default()
        } else {
            &[]
        };
        let leaf = head
            .clone()
            .chain_update([*operation])
            .chain_update(tag)
            .chain_update(Sha256::digest(label));
        append(&mut nodes, count, leaf.finalize().into());
        count = count.checked_add(1).ok_or(Fault::BadLength)?;
    }
    Ok((count, nodes.concat()))
}

/// Append one leaf to a tree of `size` leaves.
///
/// As in a binary counter, the leaf merges with one subtree for each 1 at the low end of the size.
fn append(nodes: &mut Vec<[u8; HASH_SIZE]>, size: u64, leaf: [u8; HASH_SIZE]) {
    let mut node = leaf;
    for _ in 0..size.trailing_ones() {
        let Some(left) = nodes.pop() else { break };
        node = Sha256::new_with_prefix([1])
            .chain_update(left)
            .chain_update(node)
            .finalize()
            .into();
    }
    nodes.push(node);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_at_once_or_one_by_one_make_one_tree() {
        let operations = [1, 2, 1, 1, 2];
        let tags: Vec<u8> = (0..5).flat_map(|n| [n; TAG_SIZE]).collect();
        let sealed: Vec<u8> = (0..3).flat_map(|n| [n; SEALED_SIZE]).collect();
        let whole = append_entries((0, &[]), b"start", &operations, &tags, &sealed).unwrap();
        let (mut size, mut subtrees, mut labels) = (0, Vec::new(), sealed.as_slice());
        for (operation, tag) in operations.iter().zip(tags.chunks(TAG_SIZE)) {
            let (label, rest) = labels.split_at(if *operation == ADD { SEALED_SIZE } else { 0 });
            labels = rest;
            (size, subtrees) =
                append_entries((size, &subtrees), b"start", &[*operation], tag, label).unwrap();
        }
        assert_eq!(whole, (size, subtrees));
        assert_eq!(whole.1.len(), 2 * HASH_SIZE);
    }

    #[test]
    fn columns_of_other_sizes_are_refused() {
        for (tree, tags, sealed) in [
            ((1, &[][..]), TAG_SIZE, SEALED_SIZE),
            ((0, &[]), TAG_SIZE - 1, SEALED_SIZE),
            ((0, &[]), TAG_SIZE, SEALED_SIZE - 1),
        ] {
            let outcome = append_entries(tree, b"", &[ADD], &vec![0; tags], &vec![0; sealed]);
            assert_eq!(outcome.unwrap_err(), Fault::BadLength);
        }
    }
}
