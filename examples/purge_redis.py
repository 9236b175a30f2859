#!/usr/bin/env python3
"""Purges recalled messages from Redis. A complete consumer in one file, to copy.

    pip install -r examples/requirements.txt
    KAFKA_BOOTSTRAP_SERVERS=localhost:9094 REDIS_URL=redis://127.0.0.1:6379/ python examples/purge_redis.py

For each record it removes the key `message:{official_account}:{msg_key}`. It commits the offset afterwards: after a
crash in between, the purge is repeated, which is harmless. While Redis is unavailable, it keeps the records that it
has read, reads no more, retries, and stays in its group. To share the work, start up to one process per partition
of the topic.

KAFKA_BOOTSTRAP_SERVERS  required; any other KAFKA_X_Y is librdkafka's property x.y
RECALL_TOPIC             official-account.recalls
REDIS_URL                redis://127.0.0.1:6379/
GROUP_ID                 purge-redis
"""

import json
import os
import re
import signal
import sys
import time
import unicodedata

import redis
from confluent_kafka import Consumer, KafkaException

TOPIC = os.environ.get("RECALL_TOPIC", "official-account.recalls")
# The number of records that are purged and then committed together.
BATCH_RECORDS = 500
# The longest wait for a record in seconds, after which the consumer checks whether it must stop.
POLL = 0.1
# The timeout in seconds of a connection to Redis and of a batch. It is far below max.poll.interval.ms (5 minutes),
# after which Kafka would assign the partitions to another consumer.
REDIS_TIMEOUT = 5
# The first and the longest pause in seconds between two attempts while Redis is unavailable.
RETRY_FIRST, RETRY_MOST = 0.1, 5


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
    print(f"purge-redis: {shown(text)}", file=sys.stderr, flush=True)


def kafka_settings():
    settings = {"client.id": "purge-redis"}
    for name, value in os.environ.items():
        if name.startswith("KAFKA_") and not is_foreign(name, value):
            settings[name.removeprefix("KAFKA_").lower().replace("_", ".")] = value
    if "bootstrap.servers" not in settings:
        sys.exit("purge-redis: KAFKA_BOOTSTRAP_SERVERS is missing")
    return settings | {
        "group.id": os.environ.get("GROUP_ID", "purge-redis"),
        # Skips records of aborted transactions.
        "isolation.level": "read_committed",
        # Only purged records are committed.
        "enable.auto.commit": False,
        # A new group also purges the recalls from before its start.
        "auto.offset.reset": "earliest",
    }


def understand(message):
    """Returns the key to remove, or None if the record cannot be parsed. Such a record can never be purged. A
    consumer that stops at it leaves every later recalled message visible. So this consumer logs partition and
    offset, and skips the record. Alert on this log line."""
    try:
        recall = json.loads(message.value())
        if recall["schema_version"] != 1:  # The version rises only when a field changes its meaning or is removed.
            raise ValueError(f"schema_version is {recall['schema_version']}")
        account, msg_key = recall["official_account"], recall["msg_key"]
        if not (isinstance(account, str) and isinstance(msg_key, str)):
            raise ValueError("official_account or msg_key is no text")
        key = f"message:{account}:{msg_key}"
        key.encode()  # Text that is not valid Unicode is an error, too.
        return key
    except (ValueError, KeyError, TypeError) as fault:
        log(f"SKIPPED record {message.partition()}@{message.offset()}: {fault!r}")
        return None


def purge(store, pending):
    """Removes the keys. After an error, some keys may already be removed. The next attempt removes all again."""
    keys = [key for _, key in pending if key is not None]
    if not keys:
        return
    pipeline = store.pipeline(transaction=False)
    for key in keys:
        pipeline.unlink(key)
    for key, removed in zip(keys, pipeline.execute()):
        print(f"purged {shown(key)} ({removed} removed)", flush=True)


def commit(consumer, committed):
    """Commits the consumer's position after all read records are purged. The position can be higher than the last
    record's offset plus 1, because each transaction ends with a marker. With offset plus 1, a consumer that has read
    everything would have a lag of 1 forever. If the commit fails, the next commit includes it. A crash before that
    only repeats purges."""
    try:
        positions = consumer.position(consumer.assignment())
        # The offset is negative before the first record of the partition is read.
        moved = [at for at in positions if at.offset >= 0 and committed.get(at.partition) != at.offset]
        if moved:
            consumer.commit(offsets=moved, asynchronous=False)
            committed.update((at.partition, at.offset) for at in moved)
    except KafkaException as error:
        log(f"offsets not committed: {error}")


def run(consumer, store, stopping, revoked):
    """Reads, purges and commits until it must stop. Records that are not committed are read again after a restart."""
    pending = []  # (partition, key to remove or None)
    committed = {}  # The committed offset of each partition.
    again_at, delay = None, RETRY_FIRST  # The time of the next attempt while Redis is unavailable.
    while not stopping:
        if again_at is not None:
            consumer.pause(consumer.assignment())  # Repeated, because new partitions may have been assigned.
        # Kafka removes a consumer that does not poll, so polling continues while Redis is unavailable.
        message = consumer.poll(POLL if not pending or again_at is not None else 0)
        # Records of revoked partitions are dropped: their new consumers will purge them. This happens before the
        # new record is added, because it was read after the assignment had changed.
        pending = [record for record in pending if record[0] not in revoked]
        for partition in revoked:
            committed.pop(partition, None)
        revoked.clear()
        if message is not None and message.error():
            if message.error().fatal():
                raise KafkaException(message.error())
            log(f"Kafka: {message.error()}")  # The client reconnects by itself.
        elif message is not None:
            pending.append((message.partition(), understand(message)))
            if len(pending) < BATCH_RECORDS and again_at is None:
                continue
        if again_at is not None and time.monotonic() < again_at:
            continue
        try:
            purge(store, pending)
        except redis.RedisError as error:
            log(f"Redis: {error}; {len(pending)} records wait, again in {delay} s")
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
    store = redis.Redis.from_url(
        os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/"),
        socket_timeout=REDIS_TIMEOUT,
        socket_connect_timeout=REDIS_TIMEOUT,
    )
    consumer = Consumer(kafka_settings())
    consumer.subscribe([TOPIC], on_revoke=lambda _, parts: revoked.update(part.partition for part in parts))
    log(f"waiting for recalls from {TOPIC}")
    try:
        run(consumer, store, stopping, revoked)
    finally:
        consumer.close()  # Leaves the group, so Kafka assigns its partitions to others at once.
    log("stopped")


if __name__ == "__main__":
    main()
