//! The files of the demo, built into the program: the example shop, and what the story makes of one encrypted file.

/// Names and contents of files below a folder of this source tree.
macro_rules! files {
    ($folder:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!($folder, $path)))),*]
    };
}

/// Path and content of every file of `example-repo/`.
pub const SHOP: &[(&str, &str)] = files!("../../../example-repo/":
    ".sops.yaml"
    "README.md"
    "base/cart-store.yaml"
    "base/cart.yaml"
    "base/catalog.yaml"
    "base/checkout.yaml"
    "base/payments.sops.yaml"
    "base/registry.sops.yaml"
    "base/shop.yaml"
    "branches/services.sops.yaml"
    "branches/shop.yaml"
    "envs/production/availability.yaml"
    "envs/production/cart.yaml"
    "envs/production/checkout.yaml"
    "envs/production/config.yaml"
    "envs/production/db.sops.yaml"
    "envs/production/network.yaml"
    "envs/production/payments.sops.yaml"
    "envs/production/services.sops.yaml"
    "envs/staging/checkout.yaml"
    "envs/staging/config.yaml"
    "envs/staging/db.sops.yaml"
    "envs/staging/services.sops.yaml"
    "keys/README.md"
    "keys/branches/branch.txt"
    "keys/production.txt"
    "keys/staging.txt"
    "make-secrets.sh"
    "network/network.yaml"
    "osier.yaml"
    "policies/branch-namespace/limit-range.yaml"
    "policies/branch-namespace/namespace.yaml"
    "policies/branch-namespace/network-policy.yaml"
    "policies/branch-namespace/resource-quota.yaml"
    "policies/branch-namespace/role-binding.yaml"
);

/// The encrypted file that the story changes.
pub const PAYMENTS: &str = "base/payments.sops.yaml";
/// It with another value of `API_TOKEN`.
pub const NEW_TOKEN: &str = include_str!("story/new-token/payments.sops.yaml");
/// It with the same values under a new data key.
pub const RE_ENCRYPTED: &str = include_str!("story/re-encrypted/payments.sops.yaml");
/// It without one of its lines.
pub const BROKEN_MAC: &str = include_str!("story/broken-mac/payments.sops.yaml");

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    fn paths(directory: &Path, root: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                paths(&path, root, found);
            } else {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            }
        }
    }

    #[test]
    fn the_shop_is_the_whole_example_repo() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("example-repo");
        let mut found = Vec::new();
        paths(&root, &root, &mut found);
        found.sort();
        let mut built_in: Vec<PathBuf> = SHOP.iter().map(|(path, _)| PathBuf::from(path)).collect();
        built_in.sort();
        assert_eq!(built_in, found);
    }
}
