//! Decrypted bytes.

use zeroize::{Zeroize, ZeroizeOnDrop};

/// Decrypted bytes on their way to the API server.
///
/// # Guarantees
/// It cannot be printed, serialised, cloned or compared with `==`; its `Debug` is a constant; its memory is wiped on drop.
/// Buffers of TLS and JSON libraries that the bytes pass through are not wiped.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Cleartext(Vec<u8>);

impl Cleartext {
    /// Takes the bytes over; the caller keeps no copy.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes themselves. Every call site is listed in `tests/tidy`.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes there are. Nothing that is shown may depend on it.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Debug for Cleartext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cleartext(redacted)")
    }
}
