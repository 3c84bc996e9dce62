//! Digests that leave the program are of ciphertext or names, or keyed (see `wire`).

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

/// The first `length` characters of lower-case base32 of SHA-256 over the parts joined by NUL.
pub fn b32<P: AsRef<[u8]>>(length: usize, parts: impl IntoIterator<Item = P>) -> String {
    base32(length, &sha256(parts))
}

/// The first 16 bytes of SHA-256 over the parts joined by NUL: for many that are kept.
pub fn short<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> [u8; 16] {
    *sha256(parts).first_chunk().expect("SHA-256 has 32 bytes")
}

fn sha256<P: AsRef<[u8]>>(parts: impl IntoIterator<Item = P>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            hash.update([0]);
        }
        hash.update(part.as_ref());
    }
    hash.finalize().into()
}

/// The first `length` characters of lower-case base32 of `bytes`.
pub fn base32(length: usize, bytes: &[u8]) -> String {
    let mut text = BASE32_NOPAD.encode(bytes).to_ascii_lowercase();
    text.truncate(length);
    text
}

/// SHA-256 in lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_joined_by_nul_so_that_borders_count() {
        assert_ne!(b32(26, ["ab", "c"]), b32(26, ["a", "bc"]));
        assert_eq!(b32(26, ["a", "b"]), base32(26, &Sha256::digest(b"a\0b")));
        assert_eq!(b32(10, ["a"]).len(), 10);
    }

    #[test]
    fn base32_is_rfc_4648_in_lower_case() {
        assert_eq!(base32(26, b"foobar"), "mzxw6ytboi");
    }
}
