//! Names that follow from content alone, and draws that follow from keys alone.
//!
//! It must never depend on order, time or machine.

/// BLAKE3 over the encoded image and the caption, each preceded by its length as eight little-endian
/// bytes; the first 16 bytes in hex. The same pair has the same hash in any format.
pub fn content_hash(image: &[u8], caption: &str) -> String {
    digest(&[image, caption.as_bytes()], blake3::Hasher::new()).to_hex()[..32].to_owned()
}

/// Uniform over u64 and fixed by the seed and the sample's name: keeping the samples whose hash lies
/// under `share * 2^64` draws the same samples wherever and whenever they are read.
pub fn key_hash(seed: u64, dataset: &str, shard: &str, key: &str) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    let digest = digest(&[dataset.as_bytes(), shard.as_bytes(), key.as_bytes()], hasher);
    u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest has 32 bytes"))
}

fn digest(parts: &[&[u8]], mut hasher: blake3::Hasher) -> blake3::Hash {
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_keep_parts_apart() {
        assert_ne!(content_hash(b"ab", "c"), content_hash(b"a", "bc"));
        assert_ne!(key_hash(1, "d", "s1", "2"), key_hash(1, "d", "s", "12"));
        assert_ne!(key_hash(1, "d", "s", "k"), key_hash(2, "d", "s", "k"));
        assert_eq!(content_hash(b"", "").len(), 32);
    }

    #[test]
    fn the_hash_is_blake3_of_the_stated_bytes() {
        let bytes = [&2_u64.to_le_bytes()[..], b"ab", &1_u64.to_le_bytes()[..], b"c"].concat();
        assert_eq!(content_hash(b"ab", "c"), blake3::hash(&bytes).to_hex()[..32]);
    }

    #[test]
    fn key_hashes_are_uniform() {
        let below = (0..20_000).filter(|n| key_hash(7, "d", "s", &n.to_string()) < u64::MAX / 10).count();
        assert!((1_850..2_150).contains(&below), "{below} of 20000 under a tenth");
    }
}
