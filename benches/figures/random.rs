//! Numbers and texts that look random and are the same in every run.

use sha2::{Digest, Sha256};

/// The seed of every workload.
const SEED: &str = "osier figures 1";

/// SplitMix64: small, and good enough for sizes and texts.
pub struct Random(u64);

impl Random {
    /// The numbers that belong to `what`, whatever was drawn elsewhere.
    pub fn of(what: &str) -> Self {
        let digest = Sha256::digest(format!("{SEED}/{what}"));
        Self(u64::from_le_bytes(digest[..8].try_into().expect("a digest has 32 bytes")))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// At least `low`, less than `high`.
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        let span = u64::try_from(high - low).expect("a span fits");
        low + usize::try_from(self.next() % span).expect("less than a usize")
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        std::iter::repeat_with(|| self.next().to_le_bytes()).flatten().take(count).collect()
    }

    /// Letters and digits.
    pub fn text(&mut self, length: usize) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        self.bytes(length).into_iter().map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).collect()
    }
}
