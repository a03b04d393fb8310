//! Where a record goes: Java's own partitioner, so that other producers and consumers of the topic agree.

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// The partition of a record with this key among `partitions`, as Java's `BuiltInPartitioner` chooses it.
pub fn partition_of(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// MurmurHash2, 32 bits, as in `org.apache.kafka.common.utils.Utils`.
fn murmur2(bytes: &[u8]) -> u32 {
    let mut hash = SEED ^ bytes.len() as u32;
    let (words, rest) = bytes.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> R)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// librdkafka's test vectors, which it took from the Java client.
    #[test]
    fn it_is_javas() {
        for (key, hash) in [
            ("kafka", 0xd067_cf64),
            ("giberish123456789", 0x8f55_2b0c),
            ("1234", 0x9fc9_7b14),
            ("234", 0xe7c0_09ca),
            ("34", 0x8739_30da),
            ("4", 0x5a4b_5ca1),
            ("", 0x106e_08d9),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key:?}");
        }
        let long = "PreAmbleWillBeRemoved,ThePrePartThatIs";
        for (from, hash) in [0x7842_4f1c, 0x4a62_b377, 0xe0e4_e09e, 0x62b8_b43f].into_iter().enumerate() {
            assert_eq!(murmur2(&long.as_bytes()[from..]), hash, "from {from}");
        }
    }

    #[test]
    fn every_partition_is_there() {
        for key in ["spring", "summer", "a", ""] {
            assert_eq!(partition_of(key.as_bytes(), 1), 0);
            assert!(partition_of(key.as_bytes(), 7) < 7);
        }
    }
}
