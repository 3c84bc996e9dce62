//! Leaves in few bytes: an outline is kept as long as its environment, and leaves would be most of it.

use crate::desired::outline::{Leaf, Leaves};

/// Leaves in the order of their paths, each as what it has not in common with the one before it.
///
/// A leaf is the length of the beginning that its path shares with the last one, the length and the bytes of the rest, the line, and
/// 16 bytes of digest or none. Numbers are LEB128; the lowest bit of the line's tells whether there is a digest.
#[derive(Clone, Default, PartialEq)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// Packs the wanted ones.
    pub fn new(leaves: &Leaves, wanted: impl Fn(&str) -> bool) -> Self {
        let (mut bytes, mut last) = (Vec::new(), "");
        for (path, leaf) in leaves.iter().filter(|(path, _)| wanted(path)) {
            let shared = path.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
            let rest = &path.as_bytes()[shared..];
            put(&mut bytes, shared as u64);
            put(&mut bytes, rest.len() as u64);
            bytes.extend_from_slice(rest);
            put(&mut bytes, u64::from(leaf.line) << 1 | u64::from(leaf.ciphertext.is_some()));
            bytes.extend(leaf.ciphertext.iter().flatten());
            last = path;
        }
        Self(bytes.into())
    }

    /// Every leaf with its path, in the order of paths.
    pub fn iter(&self) -> impl Iterator<Item = (String, Leaf)> {
        let (mut rest, mut path) = (&*self.0, Vec::new());
        std::iter::from_fn(move || next(&mut rest, &mut path))
    }
}

/// `None` at the end.
fn next(bytes: &mut &[u8], path: &mut Vec<u8>) -> Option<(String, Leaf)> {
    path.truncate(usize::try_from(take(bytes)?).ok()?);
    let length = usize::try_from(take(bytes)?).ok()?;
    path.extend_from_slice(bytes.split_off(..length)?);
    let line = take(bytes)?;
    let ciphertext = if line & 1 == 1 { Some(bytes.split_off(..16)?.try_into().ok()?) } else { None };
    let leaf = Leaf { line: u32::try_from(line >> 1).ok()?, ciphertext };
    Some((String::from_utf8(path.clone()).ok()?, leaf))
}

fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(0x80 | number.to_le_bytes()[0]);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Some(number)
}

/// As the leaves that it holds.
impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_comes_out_again() {
        let paths = ["data", "data.A", "data.AÄ", "data.AÖ", "data.B", "spec.x", "", &"y".repeat(300)];
        let leaf = |(number, path): (usize, &&str)| {
            let line = [0, 1, 63, 64, 70_000, u32::MAX][number % 6];
            ((*path).into(), Leaf { line, ciphertext: (number % 2 == 0).then_some([0xff; 16]) })
        };
        let leaves: Leaves = paths.iter().enumerate().map(leaf).collect();
        let unpacked = |packed: &Packed| packed.iter().map(|(path, leaf)| (path.into(), leaf)).collect::<Leaves>();
        assert_eq!(unpacked(&Packed::new(&leaves, |_| true)), leaves);

        let without = leaves.clone().into_iter().filter(|(path, _)| path.as_str() != "data.A").collect::<Leaves>();
        assert_eq!(unpacked(&Packed::new(&leaves, |path| path != "data.A")), without);
        assert_eq!(Packed::new(&Leaves::new(), |_| true).iter().count(), 0);
    }

    #[test]
    fn neighbours_take_few_bytes() {
        let leaf = Leaf { line: 7, ciphertext: Some([1; 16]) };
        let leaves: Leaves = (10..60).map(|number| (format!("data.DATABASE_{number}").as_str().into(), leaf)).collect();
        assert!(Packed::new(&leaves, |_| true).0.len() < 50 * 22);
    }
}
