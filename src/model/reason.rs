//! The closed list of reasons, one spelling for conditions, Events, metrics, the command line and docs.

use std::fmt;

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// Why an environment is as it is. The names leave the program: never rename one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason { $($(#[doc = $doc])+ $name,)+ }

        impl Reason {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// The CamelCase spelling.
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name),)+ }
            }

            /// The one that is spelt so.
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().find(|known| known.as_str() == text).copied()
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(Reason::$name => concat!($($doc),+).trim_ascii(),)+ }
            }
        }
    };
}

reasons! {
    /// The environment equals the revision.
    Applied,
    /// `mode: observe`: planned and compared, nothing written.
    Observing,
    /// The git remote could not be read; everything stays.
    RepositoryUnreachable,
    /// The remote answered, but not with a continuation of what was accepted; everything stays until an administrator allows the tip.
    RepositorySuspicious,
    /// A required commit signature is missing or wrong.
    SignatureInvalid,
    /// Files of the revision have mistakes; nothing was applied.
    ProblemsFound,
    /// An encrypted file cannot be opened with the keys at hand.
    CannotDecrypt,
    /// A policy or the Repository's grant refuses the revision.
    PolicyDenied,
    /// The plan writes to objects that are not osier's; somebody has to allow its digest.
    AdoptionHeld,
    /// The plan deletes too much to go on unasked; somebody has to allow its digest.
    MassDeletionHeld,
    /// The plan waits for approval.
    ApprovalPending,
    /// A rollback or hold keeps the environment at an earlier commit.
    HeldBack,
    /// Somebody suspended reconciliation.
    Suspended,
    /// The environment left `osier.yaml` or changed its namespace; nothing is pruned by that.
    Orphaned,
    /// The environment belongs to another cluster.
    Elsewhere,
    /// The namespace does not exist.
    NamespaceMissing,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The namespace is taken by another environment or Repository.
    NameTaken,
    /// The home namespace serves another Repository already.
    HomeTaken,
    /// A resource quota refuses the objects.
    QuotaExceeded,
    /// The API server refuses for lack of rights, or an admission policy does.
    Forbidden,
    /// Somebody else wrote at the same time, again and again.
    Conflict,
    /// The API server does not answer, or with errors.
    ServerUnavailable,
    /// A Record's seal or chain does not fit; its number is skipped.
    RecordForged,
    /// An apply ended in the middle; the next one completes it.
    Interrupted,
    /// Somebody else keeps changing the same object.
    Flapping,
    /// The revision failed to complete twice and is not tried again.
    Quarantined,
    /// A check failed: a Job before or after, or a workload that does not become ready.
    CheckFailed,
    /// A Plan that somebody asked for is answered.
    Planned,
    /// There are as many branch environments as `osier.yaml` or the Repository allows; it is made once another one is gone.
    CapReached,
    /// The branch is gone or the environment's time is over: it goes, unless somebody pushes.
    Expiring,
    /// The branch environment was removed; its Records stay.
    Gone,
    /// The revision waits for a Job that runs before it.
    CheckPending,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether trying again can help without anybody doing something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// No: the same input gives the same answer.
    Never,
    /// Yes, after a while.
    Later,
}
