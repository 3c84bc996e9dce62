//! What differs from run to run gets a name: commits, digests, times. The names work in commands as well.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

static COMMIT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9a-f]{40}\b|\b[0-9a-f]{7}\b").unwrap());
static DIGEST: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[a-z2-7]{26}\b").unwrap());
static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(commit|digest|hash)[0-9]+\b").unwrap());
static AGE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b([0-9]{2}[smhd]\b|[0-9][smhd]\b ?)").unwrap());
static SECONDS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9]+\.[0-9] s\b").unwrap());
static BEGUN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\bbegun [0-9]+ s ago\b").unwrap());
static MOMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z\b").unwrap());

/// The names of one script.
#[derive(Default)]
pub struct Names {
    /// Full commit ids, oldest first.
    commits: Vec<String>,
    /// Digests in the order of their appearance.
    digests: Vec<String>,
    /// Hashes of branches, oldest first.
    branches: Vec<String>,
    /// Text that is replaced as it stands, in both directions.
    texts: BTreeMap<String, String>,
}

impl Names {
    /// Notes the next commit.
    pub fn add_commit(&mut self, id: &str) {
        if !self.commits.iter().any(|commit| commit == id) {
            self.commits.push(id.to_owned());
        }
    }

    /// Shows `real` as `shown`.
    pub fn add_text(&mut self, real: &str, shown: &str) {
        self.texts.insert(real.to_owned(), shown.to_owned());
    }

    /// Notes the next branch: the hash at the end of its namespace is shown as `hash1` and so on, the protected one's being the first.
    pub fn add_branch(&mut self, hash: &str) {
        if !self.branches.iter().any(|known| known == hash) {
            self.branches.push(hash.to_owned());
        }
    }

    /// An output as the script shows it. Ages stand only in the tables of some commands.
    pub fn shown(&mut self, text: &str, ages: bool) -> String {
        let mut text = text.to_owned();
        // longer texts first: a path may begin with another
        let mut texts: Vec<_> = self.texts.iter().collect();
        texts.sort_by_key(|(real, _)| std::cmp::Reverse(real.len()));
        for (real, shown) in texts {
            text = text.replace(real, shown);
        }
        let text = COMMIT.replace_all(&text, |found: &regex::Captures<'_>| {
            let known = self.commits.iter().position(|commit| commit.starts_with(&found[0]));
            known.map_or_else(|| found[0].to_owned(), |index| format!("commit{}", index + 1))
        });
        let mut text = text.into_owned();
        for (index, hash) in self.branches.iter().enumerate() {
            text = text.replace(hash, &format!("hash{}", index + 1));
        }
        for found in DIGEST.find_iter(&text) {
            if !self.digests.iter().any(|digest| digest == found.as_str()) {
                self.digests.push(found.as_str().to_owned());
            }
        }
        let digest = |found: &regex::Captures<'_>| {
            let index = self.digests.iter().position(|digest| *digest == found[0]).expect("it was added above");
            format!("digest{}", index + 1)
        };
        let text = DIGEST.replace_all(&text, digest).into_owned();
        let text = SECONDS.replace_all(&text, "0.0 s").into_owned();
        let text = BEGUN.replace_all(&text, "begun N s ago");
        let text = MOMENT.replace_all(&text, "(time)").into_owned();
        if ages { AGE.replace_all(&text, "age").into_owned() } else { text }
    }

    /// A command as it is run.
    pub fn real(&self, text: &str) -> String {
        let replaced = NAME.replace_all(text, |found: &regex::Captures<'_>| {
            let kinds = [("commit", &self.commits), ("digest", &self.digests), ("hash", &self.branches)];
            let of = |(kind, names)| Some((names, found[0].strip_prefix(kind)?));
            let (names, number): (&Vec<String>, &str) = kinds.into_iter().find_map(of).expect("the pattern has these");
            let index = number.parse::<usize>().expect("the pattern has digits only");
            names.get(index.wrapping_sub(1)).unwrap_or_else(|| panic!("nothing is named {}", &found[0])).clone()
        });
        // users and paths are named in outputs only
        let typed = self.texts.iter().filter(|(_, shown)| *shown == "shop");
        typed.fold(replaced.into_owned(), |text, (real, shown)| text.replace(shown, real))
    }
}

#[test]
fn names_work_in_both_directions() {
    let mut names = Names::default();
    let commit = "8d21f00a8d21f00a8d21f00a8d21f00a8d21f00a";
    names.add_commit(commit);
    names.add_text("s007", "shop");
    let digest = "abcdefghijklmnopqrstuvwxyz";
    let shown = names.shown(&format!("s007-staging at 8d21f00, plan {digest} ({commit}), 3s  ago, 1.2 s"), true);
    assert_eq!(shown, "shop-staging at commit1, plan digest1 (commit1), age ago, 0.0 s");
    assert_eq!(names.real("approve digest1 commit1 shop"), format!("approve {digest} {commit} s007"));
}
