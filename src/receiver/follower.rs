//! One Repository: its webhook secret as it is now, and a look for each time its bell rings.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::future::pending;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use crate::cluster::Cluster;
use crate::cluster::error::Error;
use crate::cluster::watch::Event;
use crate::model::reason::Retry;
use crate::model::repository::Repository;
use crate::model::wire::WEBHOOK_SECRET;
use crate::receiver::bell::Bell;
use crate::receiver::metrics::Metrics;
use crate::receiver::signature::Secrets;
use crate::server::health::Health;
use crate::supervise::pace::{Pace, until};

/// Looks are asked for this far apart. What comes in between is answered by one at its end, so that the last push is never missed.
const APART: Duration = Duration::from_secs(1);

/// The follower of one Repository.
pub struct Follower {
    /// The API server.
    pub cluster: Arc<Cluster>,
    /// Its name.
    pub name: String,
    /// It, as it was seen last.
    pub repository: watch::Receiver<Arc<Repository>>,
    /// What calls ring.
    pub bell: Arc<Bell>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The probes.
    pub health: Arc<Health>,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
}

impl Follower {
    /// Follows it until nobody tells of the Repository any more.
    pub async fn run(self) {
        let mut repository = self.repository.clone();
        tokio::select! {
            () = self.follow_secret() => {}
            () = self.look_when_rung() => {}
            () = gone(&mut repository) => {}
        }
        self.health.forget(&self.part());
    }

    async fn look_when_rung(&self) {
        loop {
            self.bell.rung().await;
            self.ask_for_look().await;
            sleep(APART).await;
        }
    }

    /// Asks until it is heard, or the API server refuses for good.
    async fn ask_for_look(&self) {
        let mut pace = Pace::default();
        loop {
            let repository = self.repository.borrow().clone();
            let Err(error) = self.cluster.ask_for_look(&repository, (self.clock)()).await else {
                self.metrics.looked(&self.name, "Asked");
                return tracing::info!(repository = self.name, "a webhook: the service is asked to look");
            };
            self.metrics.looked(&self.name, "Failed");
            let (reason, hint) = (error.reason().as_str(), error.hint());
            tracing::warn!(repository = self.name, reason, hint, "a webhook is not passed on: {error}");
            if error.retry() == Retry::Never {
                return;
            }
            pace.failed();
            sleep_until(pace.again()).await;
        }
    }

    /// Keeps the secret that calls are checked with. Never returns.
    async fn follow_secret(&self) {
        let mut repository = self.repository.clone();
        loop {
            let (home, secret) = named(&repository.borrow_and_update());
            self.bell.set_secrets(None);
            self.health.forget(&self.part());
            let other = async {
                let changed = repository.wait_for(|now| named(now) != (home.clone(), secret.clone())).await;
                changed.is_ok()
            };
            tokio::select! {
                is_told = other => if !is_told { return pending().await },
                () = self.follow_named(&home, secret.as_deref()) => {}
            }
        }
    }

    /// Never returns.
    async fn follow_named(&self, home: &str, secret: Option<&str>) {
        let Some(secret) = secret else { return pending().await };
        let mut events = self.cluster.watch_secret(home, secret);
        let mut pace = Pace::default();
        let mut due = None;
        loop {
            tokio::select! {
                Some(event) = events.next() => match event {
                    Event::Listed(_) | Event::Changed(()) | Event::Gone(()) => due = Some(Instant::now()),
                    Event::Restored => {}
                    Event::Broken(error) => self.cannot(&error.to_string(), error.hint()),
                },
                () = until(due) => {
                    due = None;
                    if let Err(error) = self.read(home, secret).await {
                        self.cannot(&error.to_string(), error.hint());
                        pace.failed();
                        due = Some(pace.again());
                    }
                }
            }
        }
    }

    /// Reads the secret. What cannot be asked for at the moment stays as it was.
    async fn read(&self, home: &str, name: &str) -> Result<(), Error> {
        let (secrets, why) = match self.cluster.secret(home, name).await {
            Ok(Some(data)) => match Secrets::from_secret(data) {
                Ok(secrets) => (Some(secrets), String::new()),
                Err(error) => (None, format!("Secret `{home}/{name}` is no webhook secret: {error}")),
            },
            Ok(None) => {
                (None, format!("there is no Secret `{home}/{name}`, which the Repository's `webhookSecret` names"))
            }
            Err(error) if error.retry() == Retry::Never => {
                self.bell.set_secrets(None);
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        if secrets.is_some() {
            self.health.forget(&self.part());
            tracing::info!(repository = self.name, "webhooks are heard");
        } else {
            let entry = WEBHOOK_SECRET.0;
            let hint = format!(
                "kubectl -n {home} create secret generic {name} --from-file={entry}=SECRET_FILE, at least 16 bytes"
            );
            self.cannot(&why, Some(hint));
        }
        self.bell.set_secrets(secrets);
        Ok(())
    }

    /// Webhooks of this Repository are not heard, or may be checked with an old secret.
    fn cannot(&self, why: &str, hint: Option<String>) {
        tracing::warn!(repository = self.name, hint, "the webhook secret cannot be used: {why}");
        self.health.ready_but(&self.part(), why);
    }

    /// The part of the probes that its secret is.
    fn part(&self) -> String {
        format!("webhook secret of {}", self.name)
    }
}

/// Home namespace, and name of the Secret there.
fn named(repository: &Repository) -> (String, Option<String>) {
    (repository.spec.home.clone(), repository.spec.webhook_secret.clone())
}

/// Returns once nobody tells of the Repository any more.
async fn gone(repository: &mut watch::Receiver<Arc<Repository>>) {
    while repository.changed().await.is_ok() {}
}
