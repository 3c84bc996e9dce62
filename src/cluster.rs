#![allow(unused_variables, missing_docs, clippy::all)]
pub mod error {
    use crate::model::reason::{Reason, Retry};
    #[derive(Debug, thiserror::Error)]
    #[error("x")]
    pub struct Error;
    impl Error {
        pub fn reason(&self) -> Reason {
            todo!()
        }
        pub fn retry(&self) -> Retry {
            todo!()
        }
        pub fn hint(&self) -> Option<String> {
            todo!()
        }
    }
}
pub mod write {
    use crate::model::{object::ObjectId, reason::Reason};
    use std::collections::BTreeMap;
    pub struct WriteContext {
        pub environment_id: String,
        pub namespace: String,
        pub record: u64,
    }
    #[derive(Debug)]
    pub struct Outcome {}
    impl Outcome {
        pub fn counts(&self) -> BTreeMap<String, u64> {
            todo!()
        }
        pub fn first_failure(&self) -> Option<(ObjectId, Reason, String)> {
            todo!()
        }
    }
}
use crate::model::{environment::*, object::*, record::*, repository::*, wire::FingerprintKey};
use error::Error;
use std::collections::{BTreeMap, BTreeSet};
pub struct Cluster;
impl Cluster {
    pub async fn connect(k: Option<&std::path::Path>, c: Option<&str>) -> Result<Self, Error> {
        todo!()
    }
    pub async fn ensure_crds_present(&self) -> Result<(), Error> {
        todo!()
    }
    pub async fn repository(&self, name: &str) -> Result<Repository, Error> {
        todo!()
    }
    pub async fn repositories(&self) -> Result<Vec<Repository>, Error> {
        todo!()
    }
    pub async fn fingerprint_key(&self, home: &str) -> Result<FingerprintKey, Error> {
        todo!()
    }
    pub async fn environment(&self, home: &str, name: &str) -> Result<Option<Environment>, Error> {
        todo!()
    }
    pub async fn environments(&self, home: &str) -> Result<Vec<Environment>, Error> {
        todo!()
    }
    pub async fn create_environment(
        &self,
        home: &str,
        repository: &str,
        name: &str,
        lane: &str,
    ) -> Result<Environment, Error> {
        todo!()
    }
    pub async fn write_environment_status(&self, e: &Environment, s: &EnvironmentStatus) -> Result<Environment, Error> {
        todo!()
    }
    pub async fn patch_environment(
        &self,
        home: &str,
        name: &str,
        patch: &serde_json::Value,
    ) -> Result<Environment, Error> {
        todo!()
    }
    pub async fn records(&self, home: &str, environment: &str) -> Result<Vec<Record>, Error> {
        todo!()
    }
    pub async fn claim_record(&self, home: &str, repository: &str, spec: RecordSpec) -> Result<Record, Error> {
        todo!()
    }
    pub async fn complete_record(&self, record: &Record, status: &RecordStatus) -> Result<Record, Error> {
        todo!()
    }
    pub async fn who_am_i(&self) -> Result<String, Error> {
        todo!()
    }
    pub async fn check_namespace(&self, ns: &str, repository: &str) -> Result<(), Error> {
        todo!()
    }
    pub async fn live(
        &self,
        ns: &str,
        kinds: &BTreeSet<Kind>,
        id: &str,
    ) -> Result<crate::planning::live::LiveSet, Error> {
        todo!()
    }
    pub async fn get(&self, o: &ObjectId) -> Result<Option<serde_json::Value>, Error> {
        todo!()
    }
    pub async fn execute(
        &self,
        plan: &crate::planning::plan::Plan,
        m: &mut BTreeMap<ObjectId, crate::desired::manifest::Manifest>,
        c: &write::WriteContext,
    ) -> write::Outcome {
        todo!()
    }
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        todo!()
    }
}
