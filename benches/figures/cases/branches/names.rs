//! Names of environments for refs that were made to meet.

use std::collections::HashSet;
use std::time::Instant;

use osier::model::wire;

use crate::process::{count, short};
use crate::random::Random;
use crate::table::Row;

/// What a name is made of that is hard to tell from another: case, Unicode twins, what a slug drops, what shells and paths take for theirs.
const PIECES: [&str; 24] = [
    "a",
    "A",
    "\u{430}",
    "\u{ff41}",
    "e\u{301}",
    "\u{e9}",
    "-",
    "_",
    ".",
    "/",
    "--",
    "%2F",
    ";rm",
    "$(x)",
    "@{0}",
    "main",
    "refs/heads/main",
    "HEAD",
    "\u{200d}",
    "ss",
    "\u{df}",
    "0",
    "O",
    "l",
];
const DNS_LABEL: usize = 63;

pub fn rows(refs: usize) -> Vec<Row> {
    let begin = Instant::now();
    let mut random = Random::of("names");
    let (mut references, mut names, mut bad) = (HashSet::new(), HashSet::new(), 0_usize);
    while references.len() < refs {
        let length = random.within(1, 13);
        let name: String = (0..length).map(|_| PIECES[random.within(0, PIECES.len())]).collect();
        // one in a hundred as long as git takes them
        let name = if random.within(0, 100) == 0 { name.repeat(4_000 / name.len()) } else { name };
        let reference = format!("{}{name}", wire::HEADS);
        let namespace = wire::branch_namespace("a-prefix-of-twenty-b", &wire::branch_slug(&name), "shop", &reference);
        if references.insert(reference) {
            bad += usize::from(!is_label(&namespace));
            names.insert(namespace);
        }
    }
    vec![Row::new(
        "",
        format!("names of {} adversarial refs", count(refs)),
        format!("{} collisions, {bad} bad names", references.len() - names.len()),
        format!("wire::branch_namespace, {}", short(begin.elapsed())),
    )]
}

fn is_label(name: &str) -> bool {
    let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= DNS_LABEL && name.chars().all(right) && !name.starts_with('-') && !name.ends_with('-')
}
