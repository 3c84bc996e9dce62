//! Records: the claim before the first write, the outcome after the last, the chain between them.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use serde_json::Value;

use crate::desired::set::DesiredSet;
use crate::git::objects::CommitInfo;
use crate::model::digest::b32;
use crate::model::environment::Head;
use crate::model::record::{Record, RecordKind, RecordResult, RecordSpec, RecordStatus};
use crate::model::wire::{self, FingerprintKey};
use crate::planning::plan::Plan;
use crate::reconcile::target::Target;

/// What an environment's Records say, read once at the start.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// The newest complete Record that fits the chain.
    pub head: Option<Record>,
    /// The newest of them that was applied whole.
    pub applied: Option<Record>,
    /// A Record without a result, newer than the head.
    pub pending: Option<Record>,
    /// Numbers of Records whose seal or chain does not fit.
    pub forged: Vec<u64>,
    /// Complete Records that fit, by number with their uid: what retention may delete from, oldest first.
    pub kept: BTreeMap<u64, String>,
    /// The next free number.
    pub next: u64,
}

impl Chain {
    /// Sorts an environment's Records into head, pending and forged.
    ///
    /// # Guarantees
    /// A Record whose seal does not fit, or whose `previous` is not the hash of the last one that fits, is forged and skipped.
    /// Retention may have deleted the oldest ones: the chain begins at the oldest that is there.
    pub fn new(mut records: Vec<Record>, environment_id: &str, key: &FingerprintKey) -> Self {
        records.sort_by_key(|record| record.spec.number);
        let mut chain = Chain { next: 1, ..Chain::default() };
        for record in records {
            chain.next = chain.next.max(record.spec.number + 1);
            let follows = chain.head.as_ref().is_none_or(|head| hash(head) == record.spec.previous);
            let own = record.spec.id == environment_id && sealed(&record.spec, key) == record.spec.seal;
            if !follows || !own {
                chain.forged.push(record.spec.number);
            } else if result(&record).is_none() {
                chain.pending = Some(record);
            } else if hash(&record) == expected_hash(&record) {
                chain.add(record);
            } else {
                chain.forged.push(record.spec.number);
            }
        }
        chain
    }

    /// Adds a completed Record, which is the head from now on.
    pub fn add(&mut self, record: Record) {
        self.pending = None;
        self.next = self.next.max(record.spec.number + 1);
        self.kept.insert(record.spec.number, record.metadata.uid.clone().unwrap_or_default());
        if result(&record) == Some(RecordResult::Applied) {
            self.applied = Some(record.clone());
        }
        self.head = Some(record);
    }

    /// Number and hash of the head.
    pub fn head(&self) -> Option<Head> {
        self.head.as_ref().map(|record| Head { number: record.spec.number, hash: hash(record).to_owned() })
    }
}

/// Everything that a new Record says beside its number and predecessor.
pub struct Entry<'a> {
    /// Name of the environment.
    pub environment: &'a str,
    /// Its environment id.
    pub environment_id: &'a str,
    /// What is applied.
    pub target: &'a Target,
    /// Author, time and message of the commit.
    pub info: &'a CommitInfo,
    /// Digest of what shall be.
    pub inputs: &'a str,
    /// What is about to be done.
    pub plan: &'a Plan,
    /// What made osier look.
    pub trigger: &'a str,
    /// Issue keys of the commit message.
    pub issues: Vec<String>,
    /// Who allowed the plan.
    pub allowed_by: Vec<String>,
}

/// The spec of the next Record, sealed.
pub fn spec(entry: &Entry<'_>, chain: &Chain, key: &FingerprintKey, now: Timestamp) -> RecordSpec {
    let Entry { environment, environment_id, target, info, inputs, plan, trigger, issues, allowed_by } = entry;
    let mut spec = RecordSpec {
        environment: (*environment).to_owned(),
        id: (*environment_id).to_owned(),
        number: chain.next,
        previous: chain.head.as_ref().map(|record| hash(record).to_owned()).unwrap_or_default(),
        kind: target.kind,
        commit: target.commit.to_string(),
        reference: target.reference.clone(),
        layers: target.layers.clone(),
        parameters: target.parameters.clone(),
        inputs: (*inputs).to_owned(),
        plan_digest: plan.digest.clone(),
        trigger: (*trigger).to_owned(),
        by: target.by.clone(),
        reason: target.reason.clone(),
        allowed_by: allowed_by.clone(),
        author: info.author.clone(),
        committed_at: rfc3339(info.time),
        issues: issues.clone(),
        started_at: seconds(now),
        seal: String::new(),
    };
    spec.seal = sealed(&spec, key);
    spec
}

/// The status that completes a Record, with its hash.
pub fn status(
    record: &Record,
    result: RecordResult,
    reason: &str,
    counts: BTreeMap<String, u64>,
    now: Timestamp,
) -> RecordStatus {
    let mut status = RecordStatus {
        result: Some(result),
        reason: reason.to_owned(),
        counts,
        finished_at: seconds(now),
        hash: String::new(),
    };
    status.hash = hash_of(record, &status);
    status
}

/// Digest over the inputs of all objects: equal digests mean equal environments.
pub fn inputs(desired: &DesiredSet) -> String {
    // one text instead of two an object
    let mut text = String::new();
    for (object, desired) in &desired.objects {
        let border = if text.is_empty() { "" } else { "\0" };
        write!(text, "{border}{object}\0{}", desired.inputs).expect("a text grows");
    }
    b32(26, [text])
}

/// How a Record ended, `None` while it is Pending.
pub fn result(record: &Record) -> Option<RecordResult> {
    record.status.as_ref().and_then(|status| status.result)
}

/// Number of the record that was in force at a moment.
pub fn in_force(records: &[Record], forged: &[u64], moment: Timestamp) -> Option<u64> {
    let own = records.iter().filter(|record| !forged.contains(&record.spec.number));
    let applied = own.filter(|record| result(record) == Some(RecordResult::Applied));
    let finished = |record: &&Record| {
        let finished = record.status.as_ref().and_then(|status| status.finished_at.parse::<Timestamp>().ok());
        finished.is_some_and(|finished| finished <= moment)
    };
    applied.filter(finished).map(|record| record.spec.number).max()
}

/// A time as RFC 3339 in whole seconds.
pub fn seconds(time: Timestamp) -> String {
    rfc3339(time.as_second())
}

fn rfc3339(seconds: i64) -> String {
    // git allows times that jiff does not represent: they are shown as the epoch
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

fn hash(record: &Record) -> &str {
    record.status.as_ref().map(|status| status.hash.as_str()).unwrap_or_default()
}

fn expected_hash(record: &Record) -> String {
    hash_of(record, &record.status.clone().unwrap_or_default())
}

fn hash_of(record: &Record, status: &RecordStatus) -> String {
    let name = record.metadata.name.clone().unwrap_or_default();
    let status = RecordStatus { hash: String::new(), ..status.clone() };
    wire::record_hash(&name, &json(&record.spec), &json(&status))
}

fn sealed(spec: &RecordSpec, key: &FingerprintKey) -> String {
    wire::seal(key, &json(&RecordSpec { seal: String::new(), ..spec.clone() }))
}

fn json<T: serde::Serialize>(value: &T) -> Value {
    serde_json::to_value(value).expect("the fields of a Record are strings, numbers and maps with string keys")
}

/// What the kinds of Records are called for people.
pub fn kind(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Revision => "revision",
        RecordKind::Rollback => "rollback",
        RecordKind::Release => "release",
    }
}
