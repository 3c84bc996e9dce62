//! After the other tests: whatever osier asked the real API servers of this run of `cargo test` for is in the table of `docs/rights.md`.
//!
//! `tests/it/support/control-plane.sh` leaves what its server was asked for. A binary of its own, as cargo runs those one after another.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

const TABLE: &str = include_str!("../docs/rights.md");
/// Bound of the end of the servers, which goes on after that of the tests.
const END: Duration = Duration::from_mins(2);
/// Verbs that are requests; the others are asked about by admission policies.
const REQUESTS: [&str; 6] = ["get", "list", "watch", "create", "patch", "delete"];

/// Kind and verb; the kind with its group.
type Right = (String, String);

/// The columns of the table.
#[derive(Default)]
struct Columns {
    service: BTreeSet<Right>,
    besides: BTreeSet<Right>,
    receiver: BTreeSet<Right>,
    people: BTreeSet<Right>,
}

#[test]
fn nothing_was_asked_for_that_is_not_documented() {
    let columns = table();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("asked");
    let run = folder.join(parent_id().to_string());
    let files = finished(&run);
    assert!(!files.is_empty(), "no server was asked before: `cargo test` runs all tests, this one after the others");
    let (mut used, mut strange) = (BTreeMap::<&str, BTreeSet<Right>>::new(), BTreeSet::new());
    for line in
        files.iter().flat_map(|file| fs::read_to_string(file).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let [user, verb, resource, group] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let right = (kind(group, resource), verb.to_owned());
        let (who, theirs) = columns.of(user);
        if !theirs.iter().any(|column| column.contains(&right)) && resource != "selfsubjectreviews" {
            strange.insert(format!("{user} ({who}): {verb} {}", right.0));
        }
        if resource != "selfsubjectreviews" {
            used.entry(who).or_default().insert(right);
        }
    }
    let both = columns.service.union(&columns.besides).cloned().collect();
    for (who, granted) in [("service", &both), ("receiver", &columns.receiver), ("people", &columns.people)] {
        let granted = granted.iter().filter(|(_, verb)| REQUESTS.contains(&verb.as_str())).count();
        let used = used.get(who).map_or(0, BTreeSet::len);
        let line = format!("rights: {who}, {used} used of {granted} granted\n");
        std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
    }
    assert!(strange.is_empty(), "docs/rights.md does not have {strange:#?}");
    assert!(used.len() >= 3, "the suite is larger than that: {:?}", used.keys());
    fs::remove_dir_all(folder).unwrap();
}

impl Columns {
    /// Those of a user of the tests. Tests that are in the same process as what they test do what all of them do.
    fn of(&self, user: &str) -> (&'static str, Vec<&BTreeSet<Right>>) {
        let Columns { service, besides, receiver, people } = self;
        let begins = |beginnings: &[&str]| beginnings.iter().any(|beginning| user.starts_with(beginning));
        match user {
            "system:serviceaccount:osier-system:osier-protected" => ("service", vec![service]),
            "system:serviceaccount:osier-system:osier-receiver" => ("receiver", vec![receiver]),
            _ if begins(&["service-", "rights-", "system:serviceaccount:"]) => ("service", vec![service, besides]),
            _ if begins(&["receiver-"]) => ("receiver", vec![receiver]),
            _ if begins(&["scenario-", "viewer-", "developer-", "operator-", "approver-", "nobody-"]) => {
                ("people", vec![people])
            }
            _ => ("the tests", vec![service, besides, receiver, people]),
        }
    }
}

/// What the servers were asked for, once all of them have ended.
fn finished(run: &Path) -> Vec<PathBuf> {
    let begun = Instant::now();
    loop {
        let files: Vec<PathBuf> = fs::read_dir(run).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        let open = files.iter().find(|file| file.extension().is_some_and(|extension| extension == "open"));
        let Some(open) = open else { return files };
        assert!(begun.elapsed() < END, "a control plane does not end: {}", open.display());
        sleep(Duration::from_millis(100));
    }
}

fn table() -> Columns {
    let mut columns = Columns::default();
    for line in TABLE.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [group, resource, service, besides, receiver, people] = cells[..] else { panic!("{line}") };
        let Columns { service: of_service, besides: of_besides, receiver: of_receiver, people: of_people } =
            &mut columns;
        for (cell, column) in
            [(service, of_service), (besides, of_besides), (receiver, of_receiver), (people, of_people)]
        {
            let verbs = cell.split(", ").filter(|verb| !verb.is_empty());
            column.extend(verbs.map(|verb| (kind(group, resource), verb.to_owned())));
        }
    }
    columns
}

fn kind(group: &str, resource: &str) -> String {
    format!("{resource}.{group}").trim_end_matches('.').to_owned()
}
