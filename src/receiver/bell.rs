//! What a call that is right comes to: somebody looks, soon and once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::receiver::signature::Secrets;

/// The bell of one Repository.
#[derive(Default)]
pub struct Bell {
    secrets: Mutex<Option<Arc<Secrets>>>,
    rung: Notify,
}

impl Bell {
    /// What calls are checked with now; `None` while there is no secret: nobody is heard then.
    pub fn secrets(&self) -> Option<Arc<Secrets>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on calls are checked with these.
    pub fn set_secrets(&self, secrets: Option<Secrets>) {
        *self.secrets.lock().unwrap_or_else(PoisonError::into_inner) = secrets.map(Arc::new);
    }

    /// Asks for a look. However often it is asked before somebody looks, it is one look.
    pub fn ring(&self) {
        self.rung.notify_one();
    }

    /// Returns once it was rung since the last time.
    pub async fn rung(&self) {
        self.rung.notified().await;
    }
}

/// The bells of all Repositories, by name.
#[derive(Default)]
pub struct Bells(Mutex<BTreeMap<String, Arc<Bell>>>);

impl Bells {
    /// That of the Repository of exactly this name.
    pub fn get(&self, repository: &str) -> Option<Arc<Bell>> {
        self.bells().get(repository).cloned()
    }

    /// A new one for a Repository.
    pub fn hang(&self, repository: &str) -> Arc<Bell> {
        let bell = Arc::<Bell>::default();
        self.bells().insert(repository.to_owned(), bell.clone());
        bell
    }

    /// The Repository is gone.
    pub fn remove(&self, repository: &str) {
        self.bells().remove(repository);
    }

    fn bells(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Bell>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
