#!/usr/bin/env python3
"""Marks recalled messages in a PostgreSQL archive. A complete consumer in one file, to copy.

    pip install -r examples/requirements.txt
    psql "$DATABASE_URL" -f examples/archive.sql
    KAFKA_BOOTSTRAP_SERVERS=localhost:9094 DATABASE_URL=postgresql:///archive python examples/mark_archive.py

For each record it sets `recalled_at` of the message's row, and creates the row if the message has not arrived yet
(see archive.sql). The database commits first, then Kafka's offset: after a crash in between, the rows are marked
again, which changes nothing. While PostgreSQL is unavailable, it keeps the records that it has read, reads no more,
retries, and stays in its group.

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
# The number of records that are marked in one transaction and then committed together.
BATCH_RECORDS = 500
# The longest wait for a record in seconds, after which the consumer checks whether it must stop.
POLL = 0.1
# The first and the longest pause in seconds between two attempts while PostgreSQL is unavailable.
RETRY_FIRST, RETRY_MOST = 0.1, 5
# Timeouts far below max.poll.interval.ms (5 minutes), after which Kafka would assign the partitions to another
# consumer. lock_timeout is below PostgreSQL's deadlock_timeout (1 s): in a deadlock with the archive's writer, this
# consumer gives up and retries.
CONNECTION = {
    "connect_timeout": 5,
    "options": "-c lock_timeout=500ms -c statement_timeout=20s",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

# The first recall of a message determines recalled_at; coalesce keeps it when records are repeated.
MARK = """
INSERT INTO messages (sdk_app_id, official_account, msg_key, recalled_at, recall_event_id)
VALUES (%(sdk_app_id)s, %(official_account)s, %(msg_key)s, %(at)s, %(event_id)s)
ON CONFLICT (sdk_app_id, official_account, msg_key) DO UPDATE
SET recalled_at = coalesce(messages.recalled_at, excluded.recalled_at),
    recall_event_id = coalesce(messages.recall_event_id, excluded.recall_event_id)
"""


def is_foreign(name, value):
    """Returns whether a variable comes from Kubernetes, for a Service called kafka, or belongs to Kafka's own scripts.
    Such a variable is not a property of librdkafka."""
    service = r"_SERVICE_HOST|_SERVICE_PORT(_.*)?|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?"
    scripts = r"_HOME|_CLASSPATH|_CLUSTER_ID|_VERSION|_(LOG|BASE|CONF|CONFIG|DATA)_DIRS?"
    prefixed = r"_(JMX|LOG4J|GC|JVM|HEAP|CONNECT|MIRROR_MAKER|CFG)_.*"
    if name == "KAFKA_DEBUG":
        # For librdkafka, this variable is a list of debug contexts. For Kafka's scripts, it is a switch.
        return value.lower() in ("y", "yes", "true", "on", "1", "n", "no", "false", "off", "0")
    return re.fullmatch(rf"KAFKA(.*({service}|_OPTS)|{scripts}|{prefixed})", name) is not None


def shown(text):
    """Escapes untrusted text: control characters, and zero-width or bidirectional characters."""
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
        # Skips records of aborted transactions.
        "isolation.level": "read_committed",
        # Only marked records are committed.
        "enable.auto.commit": False,
        # A new group also marks the recalls from before its start.
        "auto.offset.reset": "earliest",
    }


def skip(partition, offset, fault):
    """Skips a record that cannot be parsed, or that the database rejects permanently. It can never be marked. A
    consumer that stops at it leaves every later recalled message visible. Alert on this log line."""
    log(f"SKIPPED record {partition}@{offset}: {fault!r}")


def understand(message):
    """Returns the values for MARK, or None."""
    try:
        recall = json.loads(message.value())
        if recall["schema_version"] != 1:  # The version rises only when a field changes its meaning or is removed.
            raise ValueError(f"schema_version is {recall['schema_version']}")
        values = {field: recall[field] for field in ("sdk_app_id", "official_account", "msg_key", "event_id")}
        # The vendor does not always send the time of the recall. The time of receipt is always known.
        values["at"] = recall["recalled_at"] or recall["received_at"]
        for field, value in values.items():
            if type(value) is not (int if field == "sdk_app_id" else str):
                raise ValueError(f"{field} is {value!r}")
            str(value).encode()  # Text that is not valid Unicode is an error, too.
        return values
    except (ValueError, KeyError, TypeError) as fault:
        skip(message.partition(), message.offset(), fault)
        return None


class Archive:
    def __init__(self):
        self.connection = None

    def mark(self, pending):
        """Uses one transaction for all records, or one for each record if PostgreSQL rejects the data of any."""
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
                # A retry cannot help: the text cannot be stored in PostgreSQL (a NUL), or a time is out of range.
                except psycopg.DataError as fault:
                    skip(record[0], record[1], fault)

    def commit(self, records):
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(MARK, [values for _, _, values in records])
        for _, _, values in records:
            print(f"marked {shown(values['official_account'])} {shown(values['msg_key'])}", flush=True)


def commit(consumer, committed):
    """Commits the consumer's position after all read records are marked. The position can be higher than the last
    record's offset plus 1, because each transaction ends with a marker. With offset plus 1, a consumer that has read
    everything would have a lag of 1 forever. If the commit fails, the next commit includes it. A crash before that
    only marks rows again."""
    try:
        positions = consumer.position(consumer.assignment())
        # The offset is negative before the first record of the partition is read.
        moved = [at for at in positions if at.offset >= 0 and committed.get(at.partition) != at.offset]
        if moved:
            consumer.commit(offsets=moved, asynchronous=False)
            committed.update((at.partition, at.offset) for at in moved)
    except KafkaException as error:
        log(f"offsets not committed: {error}")


def run(consumer, archive, stopping, revoked):
    """Reads, marks and commits until it must stop. Records that are not committed are read again after a restart."""
    pending = []  # (partition, offset, values or None)
    committed = {}  # The committed offset of each partition.
    again_at, delay = None, RETRY_FIRST  # The time of the next attempt while PostgreSQL is unavailable.
    while not stopping:
        if again_at is not None:
            consumer.pause(consumer.assignment())  # Repeated, because new partitions may have been assigned.
        # Kafka removes a consumer that does not poll, so polling continues while PostgreSQL is unavailable.
        message = consumer.poll(POLL if not pending or again_at is not None else 0)
        # Records of revoked partitions are dropped: their new consumers will mark them. This happens before the new
        # record is added, because it was read after the assignment had changed.
        pending = [record for record in pending if record[0] not in revoked]
        for partition in revoked:
            committed.pop(partition, None)
        revoked.clear()
        if message is not None and message.error():
            if message.error().fatal():
                raise KafkaException(message.error())
            log(f"Kafka: {message.error()}")  # The client reconnects by itself.
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
        consumer.close()  # Leaves the group, so Kafka assigns its partitions to others at once.
    log("stopped")


if __name__ == "__main__":
    main()
