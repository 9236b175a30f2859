//! The spool against a model in memory: after any operations and crashes, it holds exactly the acknowledged events, in
//! order and byte for byte.

#![allow(clippy::trivially_copy_pass_by_ref, reason = "places in a list are handed on as they were drawn")]

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use uuid::Uuid;

use super::loss::{Loss, lose, loss, salts, synced};
use super::*;

#[derive(Debug, Clone)]
enum Op {
    /// Webhooks that arrive together. Each has events of these sizes.
    Append(Vec<Vec<usize>>),
    Quarantine(usize),
    /// The published sequence advances over a part of the backlog.
    Advance(Index, i32, i64),
    Begin(i32, i64),
    /// Kafka rejects the record at the published sequence.
    Refuse(usize),
    Renew(Index),
    Read(Index, Index, u64, usize),
    /// The WAL is copied into the database, and may restart.
    Checkpoint(&'static str),
    Reopen,
    /// A crash during commits: a part of the unsynced WAL is lost.
    Crash(Vec<Vec<usize>>, Index, Loss),
}

fn delivery() -> impl Strategy<Value = Vec<usize>> {
    vec(prop_oneof![9 => 0..700_usize, 1 => 700..40_000_usize], 1..5)
}

fn op() -> impl Strategy<Value = Op> {
    let loss = loss();
    prop_oneof![
        8 => vec(delivery(), 1..6).prop_map(Op::Append),
        2 => (0..3000_usize).prop_map(Op::Quarantine),
        4 => (any::<Index>(), 0..3_i32, 0..1000_i64).prop_map(|(by, partition, offset)| Op::Advance(by, partition, offset)),
        2 => (0..3_i32, 0..1000_i64).prop_map(|(partition, offset)| Op::Begin(partition, offset)),
        1 => (0..2000_usize).prop_map(Op::Refuse),
        1 => any::<Index>().prop_map(Op::Renew),
        3 => (any::<Index>(), any::<Index>(), 1..20_u64, 0..50_000_usize)
            .prop_map(|(from, below, events, bytes)| Op::Read(from, below, events, bytes)),
        2 => prop_oneof![Just("PASSIVE"), Just("FULL"), Just("RESTART"), Just("TRUNCATE")].prop_map(Op::Checkpoint),
        2 => Just(Op::Reopen),
        4 => (vec(delivery(), 0..5), any::<Index>(), loss).prop_map(|(under_way, moment, loss)| Op::Crash(under_way, moment, loss)),
    ]
}

/// The values that are stored with a published sequence.
type Stored = (Seq, NextOffsets);

/// The expected content of the spool.
#[derive(Debug, Default)]
struct Model {
    /// Event `seq` is at `seq - 1`.
    events: Vec<Vec<u8>>,
    /// The published sequences that may be stored, oldest first: the first is durable, the last is the current one.
    stored: Vec<Stored>,
    quarantine: Vec<(String, Vec<u8>)>,
    identities: BTreeMap<Seq, Uuid>,
    /// A counter that gives each event different bytes.
    made: u64,
}

impl Model {
    fn next_seq(&self) -> Seq {
        self.events.len() as u64 + 1
    }

    fn published_end(&self) -> Seq {
        self.stored.last().unwrap().0
    }

    fn make(&mut self, size: usize) -> Vec<u8> {
        self.made += 1;
        let mut bytes = format!("{}:", self.made).into_bytes();
        bytes.resize(bytes.len() + size, b'a' + u8::try_from(self.made % 26).unwrap());
        bytes
    }

    fn deliveries(&mut self, sizes: &[Vec<usize>]) -> Vec<Vec<Vec<u8>>> {
        sizes.iter().map(|sizes| sizes.iter().map(|size| self.make(*size)).collect()).collect()
    }

    /// The current published sequence is on the disk.
    fn settle(&mut self) {
        self.stored.drain(..self.stored.len() - 1);
        self.forget_identities();
    }

    fn forget_identities(&mut self) {
        forget_behind(&mut self.identities, self.stored[0].0);
    }
}

/// Removes identities below the published sequence: the spool removes them when it stores the next one.
fn forget_behind(identities: &mut BTreeMap<Seq, Uuid>, published_end: Seq) {
    let current = identities.range(..=published_end).next_back().map_or(1, |(first_seq, _)| *first_seq);
    identities.retain(|first_seq, _| *first_seq >= current);
}

struct Run {
    dir: tempfile::TempDir,
    spool: Spool,
    writer: WriterHandle,
    model: Model,
}

fn open_at(dir: &Path) -> (Spool, WriterHandle) {
    let options = SpoolOptions {
        dir: dir.to_owned(),
        max_bytes: 1 << 30,
        quarantine_max_bytes: 1 << 30,
        dedup_window: Duration::ZERO,
        on_commit: Box::new(|_, _| ()),
    };
    Spool::open(options, || ()).unwrap()
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (spool, writer) = open_at(dir.path());
        let mut model = Model { stored: vec![(1, NextOffsets::new())], ..Model::default() };
        model.identities.insert(1, spool.identities()[0].uuid);
        Self { dir, spool, writer, model }
    }

    fn apply(mut self, op: &Op) -> Self {
        let model = &mut self.model;
        match op {
            Op::Append(sizes) => {
                let deliveries = model.deliveries(sizes);
                with_appender(&self.spool, async |appender| {
                    let all = deliveries.iter().map(|events| appender.append(|writer| put(writer, events)));
                    for result in join_all(all.collect()).await {
                        result.unwrap();
                    }
                });
                model.events.extend(deliveries.into_iter().flatten());
            }
            Op::Quarantine(size) => {
                let body = model.make(*size);
                let entry = entry("malformed", body.clone());
                with_appender(&self.spool, async |appender| appender.quarantine(entry).await).unwrap();
                model.quarantine.push(("malformed".into(), body));
            }
            Op::Advance(by, partition, offset) => {
                let waiting = model.next_seq() - model.published_end();
                let published_end = model.published_end() + by.index(usize::try_from(waiting).unwrap() + 1) as u64;
                let next_offsets: NextOffsets = [(*partition, *offset)].into();
                let mut all = model.stored.last().unwrap().1.clone();
                all.extend(&next_offsets);
                self.spool.advance(Advance { published_end, topic: TOPIC.into(), next_offsets });
                model.stored.push((published_end, all));
            }
            Op::Begin(partition, offset) => {
                let next_offsets: NextOffsets = [(*partition, *offset)].into();
                assert!(self.spool.begin(&TOPIC.into(), next_offsets.clone(), false).unwrap());
                model.stored.push((model.published_end(), next_offsets));
                model.settle();
                self.audit();
            }
            Op::Refuse(size) => {
                let seq = model.published_end();
                if seq < model.next_seq() {
                    let body = model.make(*size);
                    self.spool.quarantine_record(seq, entry("kafka_invalid", body.clone())).unwrap();
                    model.quarantine.push(("kafka_invalid".into(), body));
                    model.stored.push((seq + 1, model.stored.last().unwrap().1.clone()));
                    model.settle();
                }
            }
            Op::Renew(at) => {
                let waiting = usize::try_from(model.next_seq() - model.published_end()).unwrap();
                let first_seq = model.published_end() + at.index(waiting + 1) as u64;
                let uuid = Uuid::new_v4();
                self.spool.renew_identity(Identity { first_seq, uuid }).unwrap();
                model.identities.insert(first_seq, uuid);
            }
            Op::Read(from, below, events, bytes) => {
                self.read(from, below, ReadLimit { events: *events, bytes: *bytes });
            }
            Op::Checkpoint(mode) => {
                let connection = rusqlite::Connection::open(self.dir.path().join("spool.db")).unwrap();
                connection.busy_timeout(Duration::from_secs(5)).unwrap();
                connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).unwrap();
            }
            Op::Reopen => {
                self.model.settle();
                let (dir, model) = self.stop();
                return Self::reopen(dir, model);
            }
            Op::Crash(sizes, moment, loss) => return self.crash(sizes, moment, loss),
        }
        self.count();
        self
    }

    /// Stops the writer, as a clean exit does.
    fn stop(self) -> (tempfile::TempDir, Model) {
        self.writer.stop().unwrap();
        (self.dir, self.model)
    }

    fn crash(mut self, sizes: &[Vec<usize>], moment: &Index, loss: &Loss) -> Self {
        let under_way = self.model.deliveries(sizes);
        let copy = tempfile::tempdir().unwrap();
        let log = with_appender(&self.spool, async |appender| {
            let (before, end) = synced(self.dir.path());
            // The WAL keeps everything that this open transaction sees. So the copies of the files fit together, although
            // the writer works while they are copied one after the other.
            let reader = rusqlite::Connection::open(self.dir.path().join("spool.db")).unwrap();
            let hold = reader.unchecked_transaction().unwrap();
            hold.query_row("SELECT count(*) FROM event_group", [], |_| Ok(())).unwrap();
            let all = under_way.iter().map(|events| appender.append(|writer| put(writer, events)));
            let mut all = Box::pin(join_all(all.collect()));
            let over = std::future::poll_fn(|cx| std::task::Poll::Ready(all.as_mut().poll(cx).is_ready())).await;
            for _ in 0..moment.index(20) {
                std::thread::yield_now();
            }
            std::fs::copy(self.dir.path().join("spool.db"), copy.path().join("spool.db")).unwrap();
            let mut log = std::fs::read(self.dir.path().join("spool.db-wal")).unwrap();
            drop(hold);
            let synced = if salts(&log) == before { usize::try_from(end).unwrap() } else { 0 };
            lose(&mut log, synced, loss);
            if !over {
                all.await;
            }
            log
        });
        std::fs::write(copy.path().join("spool.db-wal"), log).unwrap();
        let (_, mut model) = self.stop();
        let (spool, writer) = open_at(copy.path());
        // Webhooks in progress may be durable: each completely, in their order.
        for delivery in under_way {
            if spool.progress().next_seq > model.next_seq() {
                model.events.extend(delivery);
            }
        }
        let published_end = spool.progress().published_end;
        let next_offsets = spool.reader().unwrap().next_offsets(TOPIC).unwrap();
        let found = model.stored.iter().position(|stored| *stored == (published_end, next_offsets.clone()));
        let found = found
            .unwrap_or_else(|| panic!("{published_end} with {next_offsets:?} was never stored: {:?}", model.stored));
        model.stored = vec![model.stored.swap_remove(found)];
        model.forget_identities();
        Self::check(copy, spool, writer, model)
    }

    fn reopen(dir: tempfile::TempDir, model: Model) -> Self {
        let (spool, writer) = open_at(dir.path());
        Self::check(dir, spool, writer, model)
    }

    fn check(dir: tempfile::TempDir, spool: Spool, writer: WriterHandle, mut model: Model) -> Self {
        let mut identities: BTreeMap<Seq, Uuid> =
            spool.identities().iter().map(|identity| (identity.first_seq, identity.uuid)).collect();
        if let (1, Some((first_seq, uuid))) = (identities.len(), identities.iter_mut().next())
            && *first_seq >= model.next_seq()
        {
            // No event has the UUID of an unused spool, so each opening takes a new one.
            let known = model.identities.insert(*first_seq, *uuid);
            assert!(known.is_some_and(|known| known != *uuid), "the name was kept");
        }
        forget_behind(&mut identities, model.published_end());
        assert_eq!(identities, model.identities);
        let progress = spool.progress();
        assert_eq!((progress.opened_next_seq, progress.opened_watermark), (model.next_seq(), model.published_end()));
        let run = Self { dir, spool, writer, model };
        run.count();
        run.audit();
        run
    }

    /// The values of status and metrics.
    fn count(&self) {
        let progress = self.spool.progress();
        assert_eq!((progress.next_seq, progress.published_end), (self.model.next_seq(), self.model.published_end()));
        let usage = self.spool.usage();
        let bytes: usize = self.model.quarantine.iter().map(|(_, body)| body.len() + DETAIL.len() + QUERY.len()).sum();
        assert_eq!(
            (usage.quarantine_events, usage.quarantine_bytes),
            (self.model.quarantine.len() as u64, bytes as u64)
        );
        assert!(self.spool.fault().is_none(), "{:?}", self.spool.fault());
    }

    /// The whole content of the file. The published sequence was just stored.
    fn audit(&self) {
        let (model, published_end) = (&self.model, self.model.published_end());
        let report = verify(self.dir.path()).unwrap();
        assert_eq!(report.faults, Vec::<String>::new());
        assert_eq!((report.next_seq, report.published_end), (model.next_seq(), published_end));
        let connection = rusqlite::Connection::open(self.dir.path().join("spool.db")).unwrap();
        let mut used = 0;
        let mut statement =
            connection.prepare("SELECT first_seq, events, payload FROM event_group ORDER BY first_seq").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        for row in rows {
            let (first_seq, events, payload): (usize, usize, Vec<u8>) = row.unwrap();
            let mut expected = Vec::new();
            for event in &model.events[first_seq - 1..first_seq - 1 + events] {
                frame::push_event(&mut expected, |out| out.extend_from_slice(event));
            }
            assert!(payload == expected, "the row of event {first_seq}");
            if (first_seq + events) as u64 > published_end {
                used += payload.len() as u64;
            }
        }
        assert_eq!(self.spool.usage().bytes, used);
        let mut statement = connection.prepare("SELECT reason, body FROM quarantine ORDER BY id").unwrap();
        let entries = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let entries: Vec<(String, Vec<u8>)> = entries.collect::<Result<_, _>>().unwrap();
        assert!(entries == model.quarantine, "the quarantine");
        let next_offsets = self.spool.reader().unwrap().next_offsets(TOPIC).unwrap();
        assert_eq!(next_offsets, model.stored.last().unwrap().1);
        let everything = ReadLimit { events: u64::MAX, bytes: usize::MAX };
        let batch = self.spool.reader().unwrap().read(published_end, Seq::MAX, everything).unwrap();
        assert_eq!(batch.until(), model.next_seq());
    }

    fn read(&self, from: &Index, below: &Index, limit: ReadLimit) {
        let (model, published_end) = (&self.model, self.model.published_end());
        let waiting = usize::try_from(model.next_seq() - published_end).unwrap();
        let from = published_end + from.index(waiting + 1) as u64;
        let below = from + below.index(waiting + 5) as u64;
        let mut reader = self.spool.reader().unwrap();
        let batch = reader.read(from, below, limit).unwrap();
        let end = model.next_seq().min(below).min(from + limit.events).max(from);
        assert!(batch.until() <= end && (batch.until() > from || end == from), "{batch:?} from {from} below {below}");
        assert_eq!(batch.is_empty(), batch.until() == from);
        let read: Vec<(Seq, &[u8])> = batch.events().collect();
        let at = |seq: Seq| usize::try_from(seq - 1).unwrap();
        let expected: Vec<(Seq, &[u8])> =
            (from..batch.until()).map(|seq| (seq, model.events[at(seq)].as_slice())).collect();
        assert!(read == expected, "from {from}: {:?}", read.iter().map(|(seq, _)| seq).collect::<Vec<_>>());
        assert_eq!(reader.accepted_at_ms(from).unwrap().is_some(), from < model.next_seq());
    }
}

const DETAIL: &str = "why, in a sentence";
const QUERY: &str = "SdkAppid=1";

fn entry(reason: &'static str, body: Vec<u8>) -> QuarantineEntry {
    QuarantineEntry { at_ms: 5, reason: reason.into(), detail: DETAIL.into(), query: QUERY.into(), body }
}

fn put(writer: &mut EventWriter<'_>, events: &[Vec<u8>]) {
    for event in events {
        writer.event(|out| {
            out.extend_from_slice(event);
            None
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::with_cases(40) })]

    #[test]
    fn the_spool_equals_a_model_in_memory_after_crashes_and_reopening(
        ops in vec(op(), 1..30), moment in any::<Index>(),
    ) {
        let mut run = Run::new();
        for op in &ops {
            run = run.apply(op);
        }
        run.apply(&Op::Crash(vec![], moment, Loss::Nothing)).apply(&Op::Reopen);
    }
}
