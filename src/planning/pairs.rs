//! Desired and live, side by side: one walk over both instead of a look into the one for each of the other.

use std::cmp::Ordering;

use crate::desired::set::{Desired, DesiredSet};
use crate::model::object::ObjectId;
use crate::planning::live::{Found, Live, LiveSet};

/// An object that git names, or one that only the cluster has.
#[derive(Clone, Copy, Debug)]
pub enum Pair<'a> {
    /// Desired, and live if it is there.
    Desired(&'a ObjectId, &'a Desired, Option<&'a Live>),
    /// Not desired.
    Undesired(Found<'a>),
}

/// Every object of both, in the order of object ids. Both are of one namespace.
pub fn pairs<'a>(desired: &'a DesiredSet, live: &'a LiveSet) -> impl Iterator<Item = Pair<'a>> {
    let (mut desired, mut live) = (desired.objects.iter().peekable(), live.iter().peekable());
    std::iter::from_fn(move || {
        let first = match (desired.peek(), live.peek()) {
            (Some((object, _)), Some(found)) => {
                object.kind.cmp(found.kind).then_with(|| object.name.as_str().cmp(found.name))
            }
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        if first == Ordering::Greater {
            return live.next().map(Pair::Undesired);
        }
        let live = if first == Ordering::Equal { live.next() } else { None };
        desired.next().map(|(object, desired)| Pair::Desired(object, desired, live.map(|found| found.live)))
    })
}
