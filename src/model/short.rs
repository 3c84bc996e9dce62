//! Short texts in place: a digest or a version is smaller than the administration of an allocation of its own.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

use serde::{Serialize, Serializer};

/// A text; one of at most `N` bytes needs no allocation. With `N` of 14, 22, 30 or 38 nothing is lost to alignment.
#[derive(Clone)]
pub struct Short<const N: usize>(Place<N>);

#[derive(Clone)]
enum Place<const N: usize> {
    Here { length: u8, bytes: [u8; N] },
    Elsewhere(Box<str>),
}

impl<const N: usize> Short<N> {
    /// The text.
    pub fn as_str(&self) -> &str {
        self
    }

    fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Place::Here { length, bytes } => &bytes[..usize::from(*length)],
            Place::Elsewhere(text) => text.as_bytes(),
        }
    }
}

impl<const N: usize> From<&str> for Short<N> {
    fn from(text: &str) -> Self {
        let mut bytes = [0; N];
        match (u8::try_from(text.len()), bytes.get_mut(..text.len())) {
            (Ok(length), Some(place)) => {
                place.copy_from_slice(text.as_bytes());
                Self(Place::Here { length, bytes })
            }
            _ => Self(Place::Elsewhere(text.into())),
        }
    }
}

impl<const N: usize> From<String> for Short<N> {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl<const N: usize> Deref for Short<N> {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Place::Here { .. } => std::str::from_utf8(self.as_bytes()).expect("it was made of a whole text"),
            Place::Elsewhere(text) => text,
        }
    }
}

impl<const N: usize> Borrow<str> for Short<N> {
    fn borrow(&self) -> &str {
        self
    }
}

impl<const N: usize> Default for Short<N> {
    fn default() -> Self {
        "".into()
    }
}

impl<const N: usize> PartialEq for Short<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> Eq for Short<N> {}

impl<const N: usize> PartialEq<str> for Short<N> {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> PartialEq<&str> for Short<N> {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl<const N: usize> PartialEq<String> for Short<N> {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

impl<const N: usize> PartialEq<Short<N>> for String {
    fn eq(&self, other: &Short<N>) -> bool {
        other == self
    }
}

impl<const N: usize> PartialEq<Short<N>> for &str {
    fn eq(&self, other: &Short<N>) -> bool {
        other == *self
    }
}

impl<const N: usize> From<Short<N>> for String {
    fn from(short: Short<N>) -> Self {
        short.to_string()
    }
}

impl<const N: usize> Serialize for Short<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

impl<const N: usize> Hash for Short<N> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl<const N: usize> PartialOrd for Short<N> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The order of texts is the order of their bytes.
impl<const N: usize> Ord for Short<N> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl<const N: usize> fmt::Debug for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl<const N: usize> fmt::Display for Short<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_texts_stay_what_they_are() {
        for text in ["", "a", "äöü", &"x".repeat(14), &"x".repeat(15), &"x".repeat(300)] {
            let short = Short::<14>::from(text);
            assert_eq!(&*short, text);
            assert_eq!(short, Short::from(text.to_owned()));
        }
        let (short, long) = (Short::<14>::from("a"), Short::<14>::from("b".repeat(40).as_str()));
        assert!(short < long);
    }

    #[test]
    fn nothing_is_lost_to_alignment() {
        assert_eq!([size_of::<Short<22>>(), size_of::<Short<30>>(), size_of::<Option<Short<38>>>()], [24, 32, 40]);
    }
}
