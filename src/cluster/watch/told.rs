//! What a watch of our own kinds tells, as changes to what is known by name.

use std::collections::BTreeSet;

use kube::Resource;
use kube::core::error_boundary::InvalidObject;

use crate::cluster::error::Error;
use crate::cluster::watch::Event;

/// Changes to what is known.
#[derive(Debug)]
pub struct Told<K> {
    /// Objects that are new or were changed, by name.
    pub found: Vec<(String, K)>,
    /// Names of those that are gone.
    pub gone: BTreeSet<String>,
}

impl<K: Resource> Event<Result<K, InvalidObject>> {
    /// What it changes of those that are `known`. One that cannot be read is logged, and stays what it was.
    ///
    /// # Errors
    /// Nothing can be heard.
    pub fn told<'k>(self, kind: &str, known: impl Iterator<Item = &'k String>) -> Result<Told<K>, Error> {
        let (mut gone, heard): (BTreeSet<String>, Vec<_>) = match self {
            Event::Listed(heard) => (known.cloned().collect(), heard),
            Event::Changed(heard) => (BTreeSet::new(), vec![heard]),
            Event::Gone(heard) => (name(&heard).into_iter().collect(), Vec::new()),
            Event::Restored => (BTreeSet::new(), Vec::new()),
            Event::Broken(error) => return Err(error),
        };
        let mut found = Vec::new();
        for heard in heard {
            let Some(name) = name(&heard) else { continue };
            gone.remove(&name);
            match heard {
                Ok(object) => found.push((name, object)),
                Err(invalid) => tracing::error!(name, "the {kind} cannot be read: {}", invalid.error),
            }
        }
        Ok(Told { found, gone })
    }
}

fn name<K: Resource>(heard: &Result<K, InvalidObject>) -> Option<String> {
    match heard {
        Ok(object) => object.meta().name.clone(),
        Err(invalid) => invalid.metadata.name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::environment::Environment;

    fn heard(name: &str, is_sound: bool) -> Result<Environment, InvalidObject> {
        let metadata = json!({"name": name});
        if is_sound {
            return Ok(serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap());
        }
        Err(InvalidObject { error: "no".to_owned(), metadata: serde_json::from_value(metadata).unwrap() })
    }

    #[test]
    fn what_a_list_lacks_is_gone_and_what_cannot_be_read_is_not() {
        let known = ["a", "b", "c"].map(str::to_owned);
        let told = |event: Event<_>| {
            let Told { found, gone } = event.told("Environment", known.iter()).unwrap();
            (found.into_iter().map(|(name, _)| name).collect::<Vec<_>>(), gone.into_iter().collect::<Vec<_>>())
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let listed = Event::Listed(vec![heard("a", true), heard("b", false), heard("d", true)]);
        assert_eq!(told(listed), (names(&["a", "d"]), names(&["c"])));
        assert_eq!(told(Event::Changed(heard("a", true))), (names(&["a"]), names(&[])));
        assert_eq!(told(Event::Gone(heard("b", false))), (names(&[]), names(&["b"])));
        assert_eq!(told(Event::Restored), (names(&[]), names(&[])));
    }
}
