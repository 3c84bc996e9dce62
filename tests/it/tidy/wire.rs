//! Strings that leave the program are fixed: written once, never renamed.

use std::collections::BTreeMap;

use expect_test::expect;
use osier::model::cleartext::Cleartext;
use osier::model::object::{Kind, ObjectId};
use osier::model::reason::Reason;
use osier::model::wire::{self, FingerprintKey};

use super::source::shipped;
use super::{Breach, none, read};

const HOME: &str = "src/model/wire.rs";
const GROUP_SLASH: &str = "osier.dev/";

#[test]
fn labels_and_annotations_are_written_once() {
    let known: Vec<String> = constants().into_iter().map(|(_, value)| value).collect();
    let mut breaches = Vec::new();
    for source in shipped().iter().filter(|source| source.path != HOME) {
        for (number, line) in source.shipped() {
            for text in &line.strings {
                if known.contains(text) && text.starts_with(GROUP_SLASH) {
                    breaches.push(Breach::new(&source.path, number, format!("\"{text}\" is a constant of {HOME}")));
                }
                for name in names(text).into_iter().filter(|name| !known.contains(name)) {
                    breaches.push(Breach::new(&source.path, number, format!("`{name}` is not in {HOME}")));
                }
            }
        }
    }
    none("code uses the constants of model/wire.rs; a sentence may name them, spelt as there", &breaches);
}

#[test]
fn constants_never_change() {
    let mut text = String::new();
    for (name, value) in constants() {
        text.push_str(&format!("{name} = {value}\n"));
    }
    expect![[r#"
        GROUP = osier.dev
        VERSION = v1alpha1
        API_VERSION = osier.dev/v1alpha1
        PRINTED_DATA = cli.osier.dev/v1
        MANAGER = osier
        ENVIRONMENT = osier.dev/environment
        ENVIRONMENT_NAME = osier.dev/environment-name
        INPUTS = osier.dev/inputs
        FINGERPRINT = osier.dev/fingerprint
        FIELDS = osier.dev/fields
        RECORD = osier.dev/record
        CONFIG = osier.dev/config
        ADOPTED_CONFIG = osier.dev/adopted-config
        REPOSITORY = osier.dev/repository
        REF = osier.dev/ref
        HEADS = refs/heads/
        LANE = osier.dev/lane
        IGNORE = osier.dev/ignore
        PRUNE = osier.dev/prune
        KEYS = osier.dev/keys
        RECREATE = osier.dev/recreate
        RESTART = osier.dev/restart
        RUN = osier.dev/run
        FINGERPRINT_SECRET = osier-fingerprint
        FINGERPRINT_SECRET = key
        WEBHOOK_PATH = /hooks/
        WEBHOOK_SECRET = secret
        WEBHOOK_SECRET = previous
        LEASE_PROTECTED = osier-protected
        LEASE_BRANCHES = osier-branches
    "#]]
    .assert_eq(&text);
}

#[test]
fn digests_never_change() {
    let key = FingerprintKey(Cleartext::new(vec![7; 32]));
    let object = ObjectId::new(Kind::new("", "ConfigMap"), "shop", "app");
    let parameters = BTreeMap::from([("osier.environment".to_owned(), "staging".to_owned())]);
    let spec = serde_json::json!({"environment": "staging", "number": 1});
    let values: [(&str, &[u8]); 2] = [("A", b"1"), ("B", b"")];
    let step = ["create".to_owned(), object.to_string(), "v1.x".to_owned(), String::new()];
    let digests = [
        ("environment id", wire::environment_id("osier-shop", "shop", "env:staging")),
        ("inputs", wire::inputs(["a", "b"], &parameters)),
        ("content id of a document", wire::cleartext_content_id(b"kind: ConfigMap\n")),
        ("content id of an encrypted document", wire::encrypted_content_id("4f2a91c", 1)),
        ("fingerprint", wire::fingerprint(&key, "e", &object, "ConfigMap", values)),
        ("config", wire::config(&BTreeMap::from([(object, Some("f".to_owned()))]))),
        ("plan", wire::plan_digest("e", vec![step])),
        ("seal", wire::seal(&key, &spec)),
        ("record", wire::record_hash("staging-1", &spec, &serde_json::json!({"result": "Applied"}))),
        ("pin", wire::mirror_pin("4f2a91c")),
    ];
    let text: String = digests.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    expect![[r#"
        environment id: wmb4ipicfl4r7a7nfr4j3vtk77
        inputs: v1.zm73wbjrsaxv4igbfk5lxso5nj
        content id of a document: bb6c7fb1ce4b8ac8baa8f6344623dd4602cf3d6ce859f9ff859a5a43787c5987
        content id of an encrypted document: 4f2a91c#1
        fingerprint: frrpi36g5uxgkaevbanf56ouup
        config: xf6la2bds7nh46mftinzf4qo7s
        plan: rmqckawaf36cfvlt6pl3dquuym
        seal: 5gutvclhh5yhzp25h7wblco4sdxr22pgaaesnfvmcix5faqm43wa
        record: b147fcd686188ec71b939f53a45719d880acbfc5d363774b6ce68f1bc895124b
        pin: refs/osier/applied/4f2a91c
    "#]]
    .assert_eq(&text);
}

#[test]
fn reasons_never_change() {
    let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    expect![[r#"
        Applied
        Observing
        RepositoryUnreachable
        RepositorySuspicious
        SignatureInvalid
        ProblemsFound
        CannotDecrypt
        PolicyDenied
        AdoptionHeld
        MassDeletionHeld
        ApprovalPending
        HeldBack
        Suspended
        Orphaned
        Elsewhere
        NamespaceMissing
        NamespaceTerminating
        NameTaken
        HomeTaken
        QuotaExceeded
        Forbidden
        Conflict
        ServerUnavailable
        RecordForged
        Interrupted
        Flapping
        Quarantined
        CheckFailed
        Planned
        CapReached
        Expiring
        Gone
        CheckPending
    "#]]
    .assert_eq(&format!("{}\n", names.join("\n")));
}

/// Name and value of each string constant of `wire.rs`, in order.
fn constants() -> Vec<(String, String)> {
    let text = read(HOME);
    let source = super::source::Source::parse(HOME, &text);
    let mut found = Vec::new();
    for (_, line) in source.shipped() {
        let Some(rest) = line.code.trim().strip_prefix("pub const ") else { continue };
        let name = rest.split(':').next().unwrap_or(rest);
        found.extend(line.strings.iter().map(|value| (name.to_owned(), value.clone())));
    }
    found
}

/// Each `osier.dev/name` of a sentence; `cli.osier.dev/…` is another group.
fn names(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(GROUP_SLASH) {
        let inside = text[..at].ends_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '.');
        let rest = &text[at + GROUP_SLASH.len()..];
        let end = rest.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '-')).unwrap_or(rest.len());
        if !inside && end > 0 {
            found.push(format!("{GROUP_SLASH}{}", &rest[..end]));
        }
    }
    found
}
