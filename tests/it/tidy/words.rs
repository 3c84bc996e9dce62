//! One word for one thing: the glossary's never-say list against public names, and a shorter one against prose.

use super::source::{Source, shipped};
use super::{Breach, files, has_ending, none, read};

/// A word that no public name has, and what to say.
const NEVER: &[(&str, &str)] = &[
    ("source", "repository"),
    ("project", "repository"),
    ("version", "revision"),
    ("sha", "commit_id, blob_id"),
    ("stage", "environment"),
    ("app", "environment"),
    ("target", "environment"),
    ("preview", "branch environment, plan"),
    ("review", "branch environment"),
    ("ephemeral", "branch environment"),
    ("overlay", "layer"),
    ("component", "part"),
    ("tier", "lane"),
    ("resource", "document, object"),
    ("template", "manifest"),
    ("entity", "object"),
    ("expected", "desired"),
    ("actual", "live"),
    ("remote", "live"),
    ("changeset", "plan"),
    ("sync", "step, reconcile"),
    ("patch", "step"),
    ("gc", "prune"),
    ("garbage", "prune"),
    ("deploy", "reconcile, apply"),
    ("push", "apply"),
    ("install", "apply"),
    ("report", "outcome"),
    ("snapshot", "record"),
    ("pin", "hold"),
    ("freeze", "hold"),
    ("undo", "rollback"),
    ("pause", "suspend"),
    ("disable", "suspend"),
    ("event", "trigger"),
    ("hook", "trigger"),
    ("constraint", "policy"),
    ("warning", "problem"),
    ("state", "condition"),
    ("phase", "condition"),
    ("plaintext", "cleartext"),
    ("masked", "redacted"),
];

/// A word or a whole name that is Kubernetes', git's or another program's own, where it stays, and why.
const OWN_TERMS: &[(&str, &str, &str)] = &[
    ("*", "src/sandbox", "it speaks Kubernetes' language only"),
    ("api_version", "src/", "Kubernetes' field"),
    ("resource_version", "src/", "Kubernetes' field"),
    ("in_template", "src/planning", "the pod template of a workload"),
    ("pod_template", "src/desired", "Kubernetes' own term"),
    ("has_pod_template", "src/planning", "Kubernetes' own term"),
    ("template", "src/desired", "a directory of `osier.yaml`: what a namespace is made with"),
    ("template", "src/reconcile", "a directory of `osier.yaml`: what a namespace is made with"),
    ("push", "src/git", "git's own term"),
    ("push", "src/cli/demo", "git's own term"),
    ("pin", "src/git", "git's refs that keep commits"),
    ("remotes", "src/git", "git's own term"),
    ("remote", "src/controller", "git's own term"),
    ("Remote", "src/controller", "git's own term"),
    ("Remotes", "src/git", "git's own term"),
    ("change_remotes", "src/git", "git's own term"),
    ("is_the_remote", "src/git", "git's own term"),
    ("state", "src/desired/sops.rs", "how a leaf stands in a file, no condition of anything"),
    ("LeafState", "src/desired/sops.rs", "how a leaf stands in a file, no condition of anything"),
    ("target", "src/reconcile", "the commit that is gone to, as in rollback target; no environment"),
    ("Target", "src/reconcile", "the commit that is gone to, as in rollback target; no environment"),
    ("source", "src/cli", "where the bytes of a file come from; no repository"),
    ("Stage", "src/cli/demo", "where the story plays; no environment"),
    ("INSTALL", "src/cluster/error.rs", "custom resources are installed, objects are applied"),
    ("Event", "src/cluster/watch.rs", "what a watch tells, as Kubernetes calls it"),
    ("Events", "src/cluster/watch.rs", "what a watch tells, as Kubernetes calls it"),
    ("events", "src/cluster.rs", "Kubernetes' own kind: what kubectl describe shows"),
    ("source", "src/reconcile", "where the bytes of a file come from; no repository"),
    ("Source", "src/reconcile", "where the bytes of a file come from; no repository"),
    ("VERSION", "src/model/wire.rs", "the version of an API group"),
    ("API_VERSION", "src/model/wire.rs", "Kubernetes' field"),
    ("RENDER_VERSION", "src/model/wire.rs", "the version of osier's own rendering, no revision"),
    ("mirror_pin", "src/model/wire.rs", "git's refs that keep commits"),
    ("report", "src/lib.rs", "the module that prints; the results of a plan are its outcome"),
    ("Phase", "src/planning", "the place of a step in the order, no condition of anything"),
    ("phase", "src/planning", "the place of a step in the order, no condition of anything"),
    ("Source", "src/desired", "the entry that makes an object; the repository is called so"),
    ("sources", "src/desired", "the entries that make an object"),
];

/// Phrases that no paper, help text or message has, and what to say.
const NEVER_IN_PROSE: &[(&str, &str)] = &[
    ("plaintext", "cleartext"),
    ("masked", "redacted"),
    ("out of sync", "drift"),
    ("garbage collect", "prune"),
    ("main branch", "protected branch"),
    ("overlay", "layer"),
    ("changeset", "plan"),
    ("preview environment", "branch environment"),
];

#[test]
fn public_names_use_the_glossary() {
    let mut breaches = Vec::new();
    for source in shipped() {
        for (line, name) in public_names(source) {
            let said = NEVER.iter().filter(|(never, _)| words(&name).iter().any(|word| is_form_of(word, never)));
            for (never, say) in said.filter(|_| !is_own_term(&name, &source.path)) {
                breaches.push(Breach::new(&source.path, line, format!("`{name}` says `{never}`; say {say}")));
            }
        }
    }
    none("public names use the glossary's words; another program's own term is listed in OWN_TERMS", &breaches);
}

#[test]
fn names_are_never_bare_ids() {
    let mut breaches = Vec::new();
    for source in shipped().iter().filter(|source| !source.path.starts_with("src/sandbox")) {
        let bare =
            public_names(source).into_iter().filter(|(_, name)| matches!(name.as_str(), "id" | "oid" | "hash_id"));
        for (line, name) in bare.filter(|_| !BARE_IDS.contains(&source.path.as_str())) {
            breaches.push(Breach::new(&source.path, line, format!("`{name}`: whose?")));
        }
    }
    none("commit_id, blob_id, environment_id: never a bare id", &breaches);
}

/// Fields of the CRDs, fixed by the wire format.
const BARE_IDS: &[&str] = &["src/model/record.rs", "src/model/environment.rs"];

#[test]
fn prose_uses_the_glossary() {
    let mut breaches = Vec::new();
    let papers =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "example-repo/README.md"];
    let papers =
        papers.map(str::to_owned).into_iter().chain(files("docs").into_iter().filter(|path| has_ending(path, "md")));
    for paper in papers {
        for (index, line) in read(&paper).lines().enumerate() {
            said_in(line, &paper, index + 1, &mut breaches);
        }
    }
    for source in shipped().iter().filter(|source| source.module() != "sandbox") {
        for (number, line) in source.shipped() {
            line.strings.iter().for_each(|text| said_in(text, &source.path, number, &mut breaches));
            if let Some(help) = line.text.trim().strip_prefix("///").filter(|_| source.module() == "cli") {
                said_in(help, &source.path, number, &mut breaches);
            }
        }
    }
    none("papers, help texts and messages use the glossary's words", &breaches);
}

fn said_in(text: &str, path: &str, line: usize, breaches: &mut Vec<Breach>) {
    let text = text.to_lowercase();
    let said = NEVER_IN_PROSE.iter().filter(|(never, _)| text.contains(never));
    breaches.extend(said.map(|(never, say)| Breach::new(path, line, format!("says \"{never}\"; say \"{say}\""))));
}

fn is_own_term(name: &str, path: &str) -> bool {
    OWN_TERMS.iter().any(|(own, place, _)| (*own == "*" || *own == name) && path.starts_with(place))
}

fn is_form_of(word: &str, never: &str) -> bool {
    word == never || word.strip_suffix('s') == Some(never)
}

/// `ObjectId`, `object_id` and `OBJECT_ID` are the words `object`, `id`.
fn words(name: &str) -> Vec<String> {
    let shouted = name.chars().all(|letter| !letter.is_lowercase());
    let mut words = vec![String::new()];
    for letter in name.chars() {
        if letter == '_' || (letter.is_uppercase() && !shouted) {
            words.push(String::new());
        }
        if letter != '_' {
            words.last_mut().expect("there is always one").extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Public items, fields and variants, each with its line. rustfmt puts one on a line.
fn public_names(source: &Source) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let mut in_enum = false;
    for (number, line) in source.shipped() {
        let code = line.code.trim();
        if in_enum && line.code.starts_with("    ") && !line.code.starts_with("     ") {
            let variant = code.starts_with(|letter: char| letter.is_uppercase());
            names.extend(variant.then(|| (number, identifier(code))));
        }
        in_enum = (in_enum || code.starts_with("pub enum ") && code.ends_with('{')) && line.code != "}";
        let Some(rest) = code.strip_prefix("pub ") else { continue };
        let keywords = ["const ", "async ", "unsafe ", "fn ", "struct ", "enum ", "mod ", "type ", "static ", "trait "];
        let name = keywords.iter().fold(rest, |rest, keyword| rest.strip_prefix(keyword).unwrap_or(rest));
        names.extend((!rest.starts_with("use ")).then(|| (number, identifier(name))));
    }
    names
}

fn identifier(code: &str) -> String {
    code.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

#[test]
fn names_are_split_into_words() {
    assert_eq!(words("ObjectId"), ["object", "id"]);
    assert_eq!(words("blob_id"), ["blob", "id"]);
    assert_eq!(words("API_VERSION"), ["api", "version"]);
    assert_eq!(words("base32"), ["base32"]);
}
