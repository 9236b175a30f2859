//! The kinds of events in a schedule, and how many times each of them happened.

/// Declares the kinds with their names.
macro_rules! kinds {
    ($($kind:ident: $name:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Kind { $($kind),* }

        pub const KINDS: &[(Kind, &str)] = &[$((Kind::$kind, $name)),*];
    };
}

kinds! {
    RequestLost: "a request is lost, and sent again",
    AnswerLost: "an answer is lost, and the request sent again",
    GivenUp: "the client gives up on a request that may arrive yet",
    HeldProduce: "a produce request is held, and its repetition wins",
    HeldAdd: "an AddPartitionsToTxn is held, and its repetition wins",
    HeldEnd: "an EndTxn is held, and its repetition wins",
    HeldInit: "an InitProducerId is held, and its repetition wins",
    LateProduce: "a late produce request is taken",
    LateAdd: "a late AddPartitionsToTxn opens or widens a transaction",
    LateEnd: "a late EndTxn ends a transaction that is open",
    LateInit: "a late InitProducerId fences a producer",
    LateRefused: "a late request is refused",
    Repeated: "a produce request that the log has is recognized",
    Fenced: "a request is refused because of its epoch",
    NotOpen: "a request is refused because no such transaction is open",
    OutOfOrder: "a produce request is refused because of its sequence",
    TimedOut: "a transaction is aborted by its coordinator",
    CoordinatorMoved: "a coordinator is on the move",
    LeaderMoved: "leaders are on the move",
    OtherOpened: "another node leaves a transaction open",
    OtherEnded: "another node's transaction is committed or aborted",
    HeldBack: "a reading waits for another node's transaction",
    GivenUpReading: "a reading is given up",
    Retention: "retention removes records",
    OutOfRange: "a stored offset is below the first record",
    PartitionsAdded: "partitions are added",
    TopicDeleted: "the topic is deleted",
    TopicAnew: "the topic is made anew",
    BeyondEnd: "a stored offset is above the high watermark",
    Hidden: "a topic made anew has grown beyond all stored offsets",
    Crashed: "a bridge crashes",
    CrashedBusy: "a bridge crashes amid a request",
    CrashedReading: "a bridge crashes after reading, before it goes on",
    CleanStop: "a bridge stops cleanly",
    SpoolFails: "a commit of the spool fails",
    Behind: "a watermark that was not stored is lost",
    Restored: "a spool is restored from an older copy",
    CopyStarted: "a copy of a spool is started beside it",
    Damaged: "a row of a spool is damaged",
    Poisoned: "Kafka refuses a record for good",
    Quarantined: "a record goes to quarantine",
    FoundAhead: "a reading finds records ahead of ones that are missing",
    RecoveredSet: "a reading finds records that the watermark has not passed",
    Renewed: "a spool takes a new identity",
    Unused: "a spool that was never used is opened",
    Used: "a spool accepts before it has reached Kafka for the first time",
}

/// How many times each kind happened.
#[derive(Debug, Clone)]
pub struct Counts(pub Vec<u64>);

impl Default for Counts {
    fn default() -> Self {
        Self(vec![0; KINDS.len()])
    }
}

impl Counts {
    pub fn count(&mut self, kind: Kind) {
        self.0[kind as usize] += 1;
    }

    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.0.iter_mut().zip(&other.0) {
            *sum += more;
        }
    }

    pub fn missing(&self) -> Vec<&'static str> {
        KINDS.iter().filter(|(kind, _)| self.0[*kind as usize] == 0).map(|(_, name)| *name).collect()
    }
}
