//! Plans that people ask for: a person creates one, osier answers it once and deletes it after its time.

use data_encoding::BASE32_NOPAD;
use serde_json::json;

use crate::cluster::Cluster;
use crate::cluster::call::{Call, encoded};
use crate::cluster::error::Error;
use crate::cluster::own::{WRITE, collection, json, typed};
use crate::model::asked::{Answer, AskedPlan, Question};
use crate::model::wire::{API_VERSION, ENVIRONMENT_NAME, REPOSITORY};

impl Cluster {
    /// Asks for a plan. Its name is new each time.
    ///
    /// # Errors
    /// `Random`, `Malformed`, `Call`.
    pub async fn ask_plan(&self, home: &str, repository: &str, question: &Question) -> Result<AskedPlan, Error> {
        let mut random = [0; 5];
        getrandom::fill(&mut random).map_err(|source| Error::Random { source })?;
        let name = format!("{}-{}", question.environment, BASE32_NOPAD.encode(&random).to_ascii_lowercase());
        let body = json!({"apiVersion": API_VERSION, "kind": "Plan", "spec": json(question), "metadata": {
            "name": name, "namespace": home, "labels": {REPOSITORY: repository, ENVIRONMENT_NAME: question.environment}}});
        let call = Call::post(format!("{}{WRITE}", collection(home, "plans")), &body).whole();
        let failure = match self.call(&call).await {
            Ok(answer) => return typed(&what(&name), answer),
            Err(failure) => failure,
        };
        let there = match failure.code() {
            // the answer to the first attempt was lost
            Some(409) if failure.repeated => self.get_own::<AskedPlan>(path(home, &name), &what(&name)).await?,
            _ => None,
        };
        there
            .filter(|there| there.spec == *question)
            .ok_or_else(|| Error::call(format!("create {}", what(&name)))(failure))
    }

    /// Writes the answer, once.
    ///
    /// # Errors
    /// `Changed` if the Plan is not as it was read any more; `Malformed`, `Call`.
    pub async fn answer_plan(&self, plan: &AskedPlan, answer: &Answer) -> Result<AskedPlan, Error> {
        let metadata = &plan.metadata;
        let (home, name) =
            (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
        let body = json!({"metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version}, "status": json(answer)});
        let call = Call::merge_patch(format!("{}/status{WRITE}", path(home, name)), &body).whole();
        match self.call(&call).await {
            Ok(answered) => typed(&what(name), answered),
            Err(failure) if failure.is_conflict() => Err(Error::Changed { what: what(name) }),
            Err(failure) => Err(Error::call(format!("answer {}", what(name)))(failure)),
        }
    }

    /// Deletes a Plan as it was seen; one that is gone already is done.
    ///
    /// # Errors
    /// `Changed` if it is another one, or not as it was seen; `Call`.
    pub async fn delete_plan(&self, home: &str, name: &str, uid: &str, version: &str) -> Result<(), Error> {
        let body = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid, "resourceVersion": version}});
        match self.call(&Call::delete(path(home, name), &body)).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code() == Some(404) => Ok(()),
            Err(failure) if failure.is_conflict() => Err(Error::Changed { what: what(name) }),
            Err(failure) => Err(Error::call(format!("delete {}", what(name)))(failure)),
        }
    }
}

fn path(home: &str, name: &str) -> String {
    format!("{}/{}", collection(home, "plans"), encoded(name))
}

fn what(name: &str) -> String {
    format!("Plan `{name}`")
}
