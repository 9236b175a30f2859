#!/usr/bin/env python3
"""Marks recalled messages in a PostgreSQL archive: a whole consumer in one file, to copy.

    pip install -r examples/requirements.txt
    psql "$DATABASE_URL" -f examples/archive.sql
    KAFKA_BOOTSTRAP_SERVERS=localhost:9094 DATABASE_URL=postgresql:///archive python examples/mark_archive.py

For each record it sets `recalled_at` of the message's row, and makes the row where the message has
not come yet (see archive.sql). The database commits first, Kafka's offset follows: whatever dies in
between, the rows are marked again, which changes nothing. While PostgreSQL is away it holds what it
has read, reads no more, and tries again; it stays in its group meanwhile.

KAFKA_BOOTSTRAP_SERVERS  required; any other KAFKA_X_Y is librdkafka's property x.y
RECALL_TOPIC             official-account.recalls
DATABASE_URL             postgresql:///archive
GROUP_ID                 mark-archive
"""

import json
import os
import re
import signal
import sys
import time
import unicodedata

import psycopg
from confluent_kafka import Consumer, KafkaException

TOPIC = os.environ.get("RECALL_TOPIC", "official-account.recalls")
DATABASE = os.environ.get("DATABASE_URL", "postgresql:///archive")
# Records that are marked in one transaction, and then committed together.
BATCH_RECORDS = 500
# Seconds to wait for a record; so often it looks whether it is to stop.
POLL = 0.1
# Seconds between two attempts while PostgreSQL is away: at first, and at most.
RETRY_FIRST, RETRY_MOST = 0.1, 5
# Bounds far below max.poll.interval.ms (5 minutes), after which Kafka would give the partitions to
# another consumer. lock_timeout is below PostgreSQL's deadlock_timeout (1 s): where this and the
# archive's writer wait for each other, it is this one that gives up, and tries again.
CONNECTION = {
    "connect_timeout": 5,
    "options": "-c lock_timeout=500ms -c statement_timeout=20s",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

# The first recall of a message decides; coalesce keeps it, however often records come again.
MARK = """
INSERT INTO messages (sdk_app_id, official_account, msg_key, recalled_at, recall_event_id)
VALUES (%(sdk_app_id)s, %(official_account)s, %(msg_key)s, %(at)s, %(event_id)s)
ON CONFLICT (sdk_app_id, official_account, msg_key) DO UPDATE
SET recalled_at = coalesce(messages.recalled_at, excluded.recalled_at),
    recall_event_id = coalesce(messages.recall_event_id, excluded.recall_event_id)
"""


def is_foreign(name, value):
    """Whether Kubernetes put a variable there, for a Service called kafka, or whether it is meant for
    Kafka's own scripts. None of them is a property of librdkafka."""
    service = r"_SERVICE_HOST|_SERVICE_PORT(_.*)?|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?"
    scripts = r"_HOME|_CLASSPATH|_CLUSTER_ID|_VERSION|_(LOG|BASE|CONF|CONFIG|DATA)_DIRS?"
    prefixed = r"_(JMX|LOG4J|GC|JVM|HEAP|CONNECT|MIRROR_MAKER|CFG)_.*"
    if name == "KAFKA_DEBUG":
        # For librdkafka it is a list of what to tell about.
        return value.lower() in ("y", "yes", "true", "on", "1", "n", "no", "false", "off", "0")
    return re.fullmatch(rf"KAFKA(.*({service}|_OPTS)|{scripts}|{prefixed})", name) is not None


def shown(text):
    """Untrusted text, without what a terminal obeys (control characters) and what
    deceives a reader (characters without width, or that change the direction)."""
    unsafe = ("Cc", "Cf", "Cs", "Zl", "Zp")
    return "".join(f"\\u{{{ord(c):x}}}" if unicodedata.category(c) in unsafe else c for c in text)


def log(text):
    print(f"mark-archive: {shown(text)}", file=sys.stderr, flush=True)


def kafka_settings():
    settings = {"client.id": "mark-archive"}
    for name, value in os.environ.items():
        if name.startswith("KAFKA_") and not is_foreign(name, value):
            settings[name.removeprefix("KAFKA_").lower().replace("_", ".")] = value
    if "bootstrap.servers" not in settings:
        sys.exit("mark-archive: KAFKA_BOOTSTRAP_SERVERS is missing")
    return settings | {
        "group.id": os.environ.get("GROUP_ID", "mark-archive"),
        # Records of aborted transactions are none.
        "isolation.level": "read_committed",
        # Only what is marked is committed.
        "enable.auto.commit": False,
        # A new group marks what was recalled before it came.
        "auto.offset.reset": "earliest",
    }


def skip(partition, offset, fault):
    """A record that cannot be understood, or that the database refuses for good, is no recall that
    could be marked now or later, and to stop at it would keep every later recall visible. So it is
    reported, with the place where it can be looked at, and passed over. Alert on this line."""
    log(f"SKIPPED record {partition}@{offset}: {fault!r}")


def understand(message):
    """The values for MARK, or None."""
    try:
        recall = json.loads(message.value())
        if recall["schema_version"] != 1:  # Raised only when a field changes its meaning or goes away.
            raise ValueError(f"schema_version is {recall['schema_version']}")
        values = {field: recall[field] for field in ("sdk_app_id", "official_account", "msg_key", "event_id")}
        # When it was recalled is not always known; when it was received is.
        values["at"] = recall["recalled_at"] or recall["received_at"]
        for field, value in values.items():
            if type(value) is not (int if field == "sdk_app_id" else str):
                raise ValueError(f"{field} is {value!r}")
            str(value).encode()  # What is no Unicode text is a fault, too.
        return values
    except (ValueError, KeyError, TypeError) as fault:
        skip(message.partition(), message.offset(), fault)
        return None


class Archive:
    def __init__(self):
        self.connection = None

    def mark(self, pending):
        """One transaction for all; where the data itself is refused, one for each."""
        records = [record for record in pending if record[2] is not None]
        if not records:
            return
        if self.connection is None or self.connection.closed:
            self.connection = psycopg.connect(DATABASE, **CONNECTION)
        try:
            self.commit(records)
        except psycopg.DataError:
            for record in records:
                try:
                    self.commit([record])
                # What no repetition mends: text that PostgreSQL cannot hold (a NUL), a time out of range.
                except psycopg.DataError as fault:
                    skip(record[0], record[1], fault)

    def commit(self, records):
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(MARK, [values for _, _, values in records])
        for _, _, values in records:
            print(f"marked {shown(values['official_account'])} {shown(values['msg_key'])}", flush=True)


def commit(consumer, committed):
    """Commits where the consumer stands, once all that was read is marked. That is not the record behind
    the last one: each transaction ends with a marker, and behind the record alone a consumer that has
    read everything would lag by 1 for ever. Where this fails, the next commit says it too; until then, at
    worst, rows are marked again."""
    try:
        positions = consumer.position(consumer.assignment())
        # Negative: nothing was read from it yet.
        moved = [at for at in positions if at.offset >= 0 and committed.get(at.partition) != at.offset]
        if moved:
            consumer.commit(offsets=moved, asynchronous=False)
            committed.update((at.partition, at.offset) for at in moved)
    except KafkaException as error:
        log(f"offsets not committed: {error}")


def run(consumer, archive, stopping, revoked):
    """Reads, marks, commits, until it is told to stop. What is pending then is not committed, and
    is read again after the next start."""
    pending = []  # (partition, offset, values or None)
    committed = {}  # The offset of each partition.
    again_at, delay = None, RETRY_FIRST  # While PostgreSQL is away: when to try again.
    while not stopping:
        if again_at is not None:
            consumer.pause(consumer.assignment())  # Each time: partitions may have come meanwhile.
        # Whoever does not poll is taken for dead, so this goes on while PostgreSQL is away.
        message = consumer.poll(POLL if not pending or again_at is not None else 0)
        # What others read now, they will mark. Done before the record that has just come is added:
        # it was read after the partitions had changed hands.
        pending = [record for record in pending if record[0] not in revoked]
        for partition in revoked:
            committed.pop(partition, None)
        revoked.clear()
        if message is not None and message.error():
            if message.error().fatal():
                raise KafkaException(message.error())
            log(f"Kafka: {message.error()}")  # It connects again by itself.
        elif message is not None:
            pending.append((message.partition(), message.offset(), understand(message)))
            if len(pending) < BATCH_RECORDS and again_at is None:
                continue
        if again_at is not None and time.monotonic() < again_at:
            continue
        try:
            archive.mark(pending)
        except psycopg.Error as error:
            log(f"PostgreSQL: {str(error).strip()}; {len(pending)} records wait, again in {delay} s")
            again_at, delay = time.monotonic() + delay, min(delay * 2, RETRY_MOST)
            continue
        commit(consumer, committed)
        pending = []
        if again_at is not None:
            again_at, delay = None, RETRY_FIRST
            log("going on")
            consumer.resume(consumer.assignment())


def main():
    stopping, revoked = [], set()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: stopping.append(received))
    consumer = Consumer(kafka_settings())
    consumer.subscribe([TOPIC], on_revoke=lambda _, parts: revoked.update(part.partition for part in parts))
    log(f"waiting for recalls from {TOPIC}")
    try:
        run(consumer, Archive(), stopping, revoked)
    finally:
        consumer.close()  # Leaves the group, so that the partitions go to the others at once.
    log("stopped")


if __name__ == "__main__":
    main()
