//! Every string that leaves the program and must never change: names, labels, annotations, digests.
//!
//! Optional fields may be added; nothing here is renamed. Each digest says what goes in.

use std::collections::BTreeMap;

use data_encoding::BASE32_NOPAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::model::cleartext::Cleartext;
use crate::model::digest::{b32, base32, sha256_hex};
use crate::model::object::ObjectId;

/// API group of the custom resources.
pub const GROUP: &str = "osier.dev";
/// Version of the custom resources.
pub const VERSION: &str = "v1alpha1";
/// `group/version` of the custom resources and of `osier.yaml`.
pub const API_VERSION: &str = "osier.dev/v1alpha1";
/// `group/version` of what commands print as data.
pub const PRINTED_DATA: &str = "cli.osier.dev/v1";
/// Field manager of every write.
pub const MANAGER: &str = "osier";

/// Label and annotation: the environment that owns the object.
pub const ENVIRONMENT: &str = "osier.dev/environment";
/// Label on Records: name of the environment, to list them by.
pub const ENVIRONMENT_NAME: &str = "osier.dev/environment-name";
/// Annotation: digest of what the object was made from.
pub const INPUTS: &str = "osier.dev/inputs";
/// Annotation on ConfigMaps and Secrets: keyed digest of the values.
pub const FINGERPRINT: &str = "osier.dev/fingerprint";
/// Annotation: digest of our leaf paths, `.`, digest of the other owners' entries.
pub const FIELDS: &str = "osier.dev/fields";
/// Annotation: number of the Record that wrote the object last; information only.
pub const RECORD: &str = "osier.dev/record";
/// Annotation of pod templates: digest of the configuration that the workload refers to.
pub const CONFIG: &str = "osier.dev/config";
/// Annotation of a workload: the value of `CONFIG` at adoption, kept beside the template so that adopting restarts nothing.
pub const ADOPTED_CONFIG: &str = "osier.dev/adopted-config";
/// Label on namespaces and Environments: name of the Repository.
pub const REPOSITORY: &str = "osier.dev/repository";
/// Annotation on branch environments and their namespaces: the full ref.
pub const REF: &str = "osier.dev/ref";
/// What the full ref of a branch begins with.
pub const HEADS: &str = "refs/heads/";
/// Label on Environments: the lane that serves them.
pub const LANE: &str = "osier.dev/lane";

/// Annotation in git: paths set at creation and then left to others.
pub const IGNORE: &str = "osier.dev/ignore";
/// Annotation in git: `keep` leaves the object when it leaves git.
pub const PRUNE: &str = "osier.dev/prune";
/// Annotation in git: `shared` leaves keys that others add.
pub const KEYS: &str = "osier.dev/keys";
/// Annotation in git: `allow` lets a change of an immutable field delete and create the object.
pub const RECREATE: &str = "osier.dev/recreate";
/// Annotation in git: `never` keeps osier from restarting the workload.
pub const RESTART: &str = "osier.dev/restart";
/// Annotation of Jobs in git: `before` or `after-ready`.
pub const RUN: &str = "osier.dev/run";

/// Name of the Secret in the home namespace that holds the fingerprint key, and its entry.
pub const FINGERPRINT_SECRET: (&str, &str) = ("osier-fingerprint", "key");

/// Path of the webhooks at the receiver; the name of the Repository follows.
pub const WEBHOOK_PATH: &str = "/hooks/";
/// Entries of the Secret that a Repository names as its webhook secret: the secret, and the one before it while forges change over.
pub const WEBHOOK_SECRET: (&str, &str) = ("secret", "previous");

/// Name of the Lease of the protected environments, in osier's own namespace.
pub const LEASE_PROTECTED: &str = "osier-protected";
/// Name of the Lease of the branch environments.
pub const LEASE_BRANCHES: &str = "osier-branches";

/// Longest slug of a branch: with a prefix of 20 and the hash it fits into a DNS label.
const SLUG: usize = 30;
/// Characters of the hash of a branch.
const HASH: usize = 10;

/// Version of everything that turns files into objects; raised when equal inputs would give another object.
pub const RENDER_VERSION: u32 = 1;

/// The 32 random bytes that fingerprints and seals are keyed with.
pub struct FingerprintKey(pub Cleartext);

impl FingerprintKey {
    fn mac(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.0.expose()).expect("HMAC takes keys of any length")
    }
}

/// Id of an environment: stable over deletion, restore and a new cluster.
///
/// `name` is `env:<name>` for one of `osier.yaml`, the full ref for a branch environment.
pub fn environment_id(home: &str, repository: &str, name: &str) -> String {
    b32(26, ["osier/env/v1", home, repository, name])
}

/// Namespace, and name of the Environment, of a branch environment: `<prefix>-<slug>-<10 characters over Repository and full ref>`.
///
/// With a `prefix` of at most 20 bytes and a `slug` of `branch_slug` it is a DNS label. Two refs that meet in one name are told apart by
/// the ref that Environment and namespace carry.
pub fn branch_namespace(prefix: &str, slug: &str, repository: &str, reference: &str) -> String {
    format!("{prefix}-{}", branch_label(slug, repository, reference))
}

/// A slug that only one branch of a Repository has: `<slug>-<10 characters over Repository and full ref>`.
pub fn branch_label(slug: &str, repository: &str, reference: &str) -> String {
    format!("{slug}{}", branch_hash(repository, reference))
}

/// True if a slug could be the label of another branch: who knows that branch can call one of his so.
pub fn ends_like_label(slug: &str) -> bool {
    let is_of_hash = |c: char| matches!(c, 'a'..='z' | '2'..='7');
    slug.rsplit_once('-').is_some_and(|(_, last)| last.len() == HASH && last.chars().all(is_of_hash))
}

/// True for the name of a branch environment of this ref.
pub fn is_of_branch(name: &str, repository: &str, reference: &str) -> bool {
    name.ends_with(&branch_hash(repository, reference))
}

fn branch_hash(repository: &str, reference: &str) -> String {
    format!("-{}", b32(HASH, [repository, reference]))
}

/// What is left of a branch's name in namespaces and addresses: ASCII letters in lower case and digits, anything else one `-`, at most 30.
pub fn branch_slug(name: &str) -> String {
    let mut slug = String::new();
    for c in name.chars() {
        if slug.len() == SLUG {
            break;
        }
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "x".to_owned() } else { slug.to_owned() }
}

/// The `osier.dev/inputs` stamp: content ids in layer order, then `name=value` of the parameters that this object uses.
pub fn inputs<'a>(content_ids: impl IntoIterator<Item = &'a str>, parameters: &BTreeMap<String, String>) -> String {
    let parts = content_ids
        .into_iter()
        .map(str::to_owned)
        .chain(parameters.iter().map(|(name, value)| format!("{name}={value}")));
    format!("v{RENDER_VERSION}.{}", b32(26, parts))
}

/// Content id of a document that is not encrypted: its bytes alone.
pub fn cleartext_content_id(document: &[u8]) -> String {
    sha256_hex(document)
}

/// Content id of a document of an encrypted file: blob id and index.
pub fn encrypted_content_id(blob_id: &str, index: usize) -> String {
    format!("{blob_id}#{index}")
}

/// Content id of an entry that `generate` asks for.
pub fn generated_content_id(entry: &str, length: usize) -> String {
    format!("generate:{entry}:{length}")
}

/// A value that `generate` asks for: HKDF-Expand (RFC 5869) with the key as PRK and `osier/generate/v1`, environment id, object id and entry,
/// joined by NUL, as info; in base32.
///
/// What is fingerprinted begins with a NUL and what is sealed with `{`, so that none of the three is ever another.
pub fn generated(
    key: &FingerprintKey,
    environment_id: &str,
    object: &ObjectId,
    entry: &str,
    length: usize,
) -> Cleartext {
    let object = object.to_string();
    let info = ["osier/generate/v1", environment_id, &object, entry].join("\0");
    let mut expanded = Zeroizing::new(Vec::new());
    let mut block = Zeroizing::new(Vec::new());
    for number in 1..=u8::MAX {
        let mut mac = key.mac();
        for part in [block.as_slice(), info.as_bytes(), &[number]] {
            mac.update(part);
        }
        block = Zeroizing::new(mac.finalize().into_bytes().to_vec());
        expanded.extend_from_slice(&block);
        if expanded.len() * 8 >= length * 5 {
            break;
        }
    }
    let mut text = Zeroizing::new(BASE32_NOPAD.encode(&expanded));
    text.make_ascii_lowercase();
    text.truncate(length);
    Cleartext::new(text.as_bytes().to_vec())
}

/// The `osier.dev/fingerprint` stamp: keyed, and bound to environment and object, so that two places cannot be compared.
///
/// `values` are the sorted keys and decoded values; everything is length-prefixed (64-bit big endian).
pub fn fingerprint<'a>(
    key: &FingerprintKey,
    environment_id: &str,
    object: &ObjectId,
    kind: &str,
    values: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> String {
    let mut mac = key.mac();
    let mut take = |bytes: &[u8]| {
        mac.update(&(bytes.len() as u64).to_be_bytes());
        mac.update(bytes);
    };
    take(environment_id.as_bytes());
    take(object.to_string().as_bytes());
    take(kind.as_bytes());
    for (name, value) in values {
        take(name.as_bytes());
        take(value);
    }
    base32(26, &mac.finalize().into_bytes())
}

/// The `osier.dev/config` stamp: what a workload refers to, each with its fingerprint or `absent`.
pub fn config(references: &BTreeMap<ObjectId, Option<String>>) -> String {
    let parts = references.iter().flat_map(|(object, fingerprint)| {
        [object.to_string(), fingerprint.clone().unwrap_or_else(|| "absent".to_owned())]
    });
    b32(26, parts)
}

/// Digest of a plan over what it does: (verb, object id, inputs, uid or empty) of each step that is no repair; sorted here.
pub fn plan_digest(environment_id: &str, mut steps: Vec<[String; 4]>) -> String {
    steps.sort();
    b32(26, std::iter::once(environment_id.to_owned()).chain(steps.into_iter().flatten()))
}

/// `spec.seal` of a Record: keyed digest of its spec without the seal, as RFC 8785 JSON.
pub fn seal(key: &FingerprintKey, spec_without_seal: &serde_json::Value) -> String {
    let mut mac = key.mac();
    mac.update(canonical_json(spec_without_seal).as_bytes());
    base32(52, &mac.finalize().into_bytes())
}

/// `status.hash` of a Record, over {name, spec, status without hash} as RFC 8785 JSON.
pub fn record_hash(name: &str, spec: &serde_json::Value, status_without_hash: &serde_json::Value) -> String {
    sha256_hex(
        canonical_json(&serde_json::json!({"name": name, "spec": spec, "status": status_without_hash})).as_bytes(),
    )
}

/// RFC 8785 JSON of a value without floating-point numbers: keys sorted, no spaces.
///
/// serde_json sorts keys by bytes and escapes as RFC 8785 does; the two orders differ only outside the Basic Multilingual Plane, and all keys here are ours.
pub fn canonical_json(value: &serde_json::Value) -> String {
    value.to_string()
}

/// Ref that keeps an applied commit in the mirror.
pub fn mirror_pin(commit: &str) -> String {
    format!("refs/osier/applied/{commit}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::object::Kind;

    #[test]
    fn fixed_values() {
        assert_eq!(environment_id("osier-shop", "shop", "env:staging").len(), 26);
        assert_eq!(
            environment_id("osier-shop", "shop", "env:staging"),
            b32(26, ["osier/env/v1", "osier-shop", "shop", "env:staging"])
        );
        let none = BTreeMap::new();
        assert!(inputs(["a"], &none).starts_with("v1."));
        assert_ne!(
            inputs(["a"], &none),
            inputs(["a"], &BTreeMap::from([("osier.branch".to_owned(), "main".to_owned())]))
        );
    }

    #[test]
    fn slugs_of_branches() {
        let cases = [
            ("SHOP-431-checkout", "shop-431-checkout"),
            ("a;rm -rf $(id)", "a-rm-rf-id"),
            ("--x--", "x"),
            ("", "x"),
            ("\u{43f}\u{440}\u{438}", "x"),
            ("refs/heads/main", "refs-heads-main"),
            ("0123456789012345678901234567-./9", "0123456789012345678901234567-9"),
            ("01234567890123456789012345678-.9", "01234567890123456789012345678"),
        ];
        for (name, slug) in cases {
            assert_eq!(branch_slug(name), slug, "{name}");
        }
        assert_eq!(branch_slug(&"x".repeat(4_000)).len(), 30);
        assert_eq!(branch_namespace("shop-b", "x", "shop", "refs/heads/x"), "shop-b-x-rxccisc4lh");
    }

    /// Names that others have mixed up: case, separators, Unicode twins, long tails, names of refs, numbers that count up.
    #[test]
    fn branches_of_one_slug_never_share_a_namespace() {
        let shapes: [fn(u32) -> String; 8] = [
            |n| format!("feature/{n}"),
            |n| format!("feature-{n}"),
            |n| format!("Feature/{n}"),
            |n| format!("feature/{n}-"),
            |n| format!("feature/\u{e9}{n}"),
            |n| format!("feature/e\u{301}{n}"),
            |n| format!("refs/heads/feature/{n}"),
            |n| format!("{}{n}", "long/".repeat(60)),
        ];
        let mut names = std::collections::HashSet::new();
        for n in 0..25_000 {
            for shape in shapes {
                let reference = format!("refs/heads/{}", shape(n));
                let name = branch_namespace(&"p".repeat(20), &branch_slug("same"), "shop", &reference);
                assert!(name.len() <= 63 && names.insert(name), "{reference}");
            }
        }
    }

    #[test]
    fn fingerprints_are_bound_to_environment_object_and_borders() {
        let key = FingerprintKey(Cleartext::new(vec![7; 32]));
        let object = ObjectId::new(Kind::new("", "Secret"), "shop", "db");
        let other = ObjectId::new(Kind::new("", "Secret"), "shop", "db2");
        let of = |env: &str, id: &ObjectId, values: &[(&str, &[u8])]| {
            fingerprint(&key, env, id, "Opaque", values.iter().copied())
        };
        let base = of("e1", &object, &[("a", b"1")]);
        assert_eq!(base, of("e1", &object, &[("a", b"1")]));
        assert_ne!(base, of("e2", &object, &[("a", b"1")]));
        assert_ne!(base, of("e1", &other, &[("a", b"1")]));
        assert_ne!(of("e1", &object, &[("a", b"bc")]), of("e1", &object, &[("ab", b"c")]));
    }

    #[test]
    fn generated_values_are_fixed_and_each_its_own() {
        let key = FingerprintKey(Cleartext::new(vec![7; 32]));
        let object = |name: &str| ObjectId::new(Kind::new("", "Secret"), "shop", name);
        let of = |env: &str, name: &str, entry: &str, length: usize| {
            String::from_utf8(generated(&key, env, &object(name), entry, length).expose().to_vec()).unwrap()
        };
        let all = [of("e1", "db", "A", 32), of("e2", "db", "A", 32), of("e1", "db2", "A", 32), of("e1", "db", "B", 32)];
        assert_eq!(all[0], "7twrp6lx7qr52gien5bj4zdgz6xqfjra");
        assert!(all.iter().all(|value| value.len() == 32));
        assert_eq!(all.iter().collect::<std::collections::BTreeSet<_>>().len(), 4);
        assert_eq!(of("e1", "db", "A", 256).len(), 256);
    }

    #[test]
    fn plan_digest_does_not_depend_on_the_order_of_steps() {
        let step = |name: &str| ["create".to_owned(), name.to_owned(), "v1.x".to_owned(), String::new()];
        assert_eq!(plan_digest("e", vec![step("a"), step("b")]), plan_digest("e", vec![step("b"), step("a")]));
        assert_ne!(plan_digest("e", vec![step("a")]), plan_digest("f", vec![step("a")]));
    }
}
