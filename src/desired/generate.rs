//! `generate`: entries of Secrets that nobody has to make up. They are in no file, and nothing but the API server keeps them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::desired::manifest::{ConfigValue, Manifest, Origin};
use crate::model::wire::{self, FingerprintKey};

/// Where an entry is from that is in no file.
const PATH: &str = "osier.yaml";

/// What is made, by the name of the Secret.
pub type Generate = BTreeMap<String, Arc<Generated>>;

/// The entries of one Secret that are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// Line of the first in `osier.yaml`, from 1.
    pub line: u32,
    /// How many characters each has.
    pub entries: BTreeMap<String, usize>,
}

/// Makes the values of one environment.
///
/// # Guarantees
/// The same environment, Secret and entry give the same value, for as long as the key is the same; another one of these gives one that
/// tells nothing of it.
#[derive(Clone, Copy)]
pub struct Generator<'a> {
    /// Whoever has it can make the values, too.
    pub key: &'a FingerprintKey,
    /// The environment.
    pub environment_id: &'a str,
}

impl Generator<'_> {
    /// Puts the values into the Secret that asks for them.
    pub fn fill(self, manifest: &mut Manifest, generated: &Generated) {
        let Self { key, environment_id } = self;
        for (entry, length) in &generated.entries {
            let bytes = wire::generated(key, environment_id, &manifest.object, entry, *length);
            let origin =
                Origin { path: PATH.to_owned(), line: generated.line, ciphertext: None, overrides: Vec::new() };
            manifest.origins.insert(format!("data.{entry}"), origin);
            manifest.values.insert(entry.clone(), ConfigValue { bytes, redacted: true, binary: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::desired::fixture::{Fixture, show};
    use crate::model::cleartext::Cleartext;

    fn fixture(text: &str, length: usize) -> Fixture {
        let entries = BTreeMap::from([("PASSWORD".to_owned(), length)]);
        let mut fixture = Fixture::new(text);
        fixture.generate.insert("db".to_owned(), Arc::new(Generated { line: 9, entries }));
        fixture
    }

    const OTHER: &str = "//- base/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: db}\n";
    const USER: &str =
        "//- base/db.yaml sops\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {USER: shop}\n";
    const BOTH: &str = "//- base/db.yaml sops\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData:\n  USER: shop\n  PASSWORD: word\n";
    const NONE: &str =
        "//- over/db.yaml\napiVersion: v1\nkind: Secret\nmetadata: {name: db}\nstringData: {PASSWORD: null}\n";

    /// Keys of the Secret, the made one with `*`, and how long it is.
    fn secret(fixture: &Fixture) -> String {
        let key = FingerprintKey(Cleartext::new(vec![7; 32]));
        let desired = fixture.desired("staging").unwrap();
        let manifests = fixture.manifests("staging").unwrap();
        let (object, mut manifest) = manifests.into_iter().find(|(object, _)| object.kind.is_secret()).unwrap();
        let generated = desired.objects[&object].generated.clone().unwrap();
        Generator { key: &key, environment_id: "e1" }.fill(&mut manifest, &generated);
        let key = |(name, value): (&String, &ConfigValue)| {
            let made = manifest.origins[&format!("data.{name}")].path == "osier.yaml";
            format!("{name}{}{} ", if made { "*" } else { "" }, value.bytes.size())
        };
        assert!(manifest.values.values().all(|value| value.redacted));
        manifest.values.iter().map(key).collect()
    }

    #[test]
    fn what_is_made_is_added_to_a_secret_or_is_one() {
        assert_eq!(secret(&fixture(OTHER, 32)), "PASSWORD*32 ");
        assert_eq!(secret(&fixture(USER, 20)), "PASSWORD*20 USER4 ");
        assert_eq!(secret(&fixture(&format!("{BOTH}{NONE}"), 32)), "PASSWORD*32 USER4 ");
    }

    #[test]
    fn what_is_in_git_as_well_is_a_problem() {
        let problems = fixture(BOTH, 32).desired("staging").unwrap_err();
        expect![[r#"
            base/db.yaml:6: `data.PASSWORD` of Secret/db is in git, and `generate` of osier.yaml makes it, too
              remove one of the two; `null` in a layer above this one removes it, too
        "#]]
        .assert_eq(&show(&problems));
    }

    #[test]
    fn another_length_is_another_input() {
        let inputs = |fixture: &Fixture| {
            let desired = fixture.desired("staging").unwrap();
            let of = desired.objects.into_iter().find(|(object, _)| object.kind.is_secret());
            of.map(|(_, desired)| desired.inputs)
        };
        let [one, other, none] = [fixture(USER, 32), fixture(USER, 33), Fixture::new(USER)].map(|it| inputs(&it));
        assert!(one != other && one != none && one == inputs(&fixture(USER, 32)));
    }
}
