#!/usr/bin/env python3
"""Purges recalled messages from Redis: a whole consumer in one file, to copy.

    pip install -r examples/requirements.txt
    KAFKA_BOOTSTRAP_SERVERS=localhost:9094 REDIS_URL=redis://127.0.0.1:6379/ python examples/purge_redis.py

For each record it removes the key `message:{official_account}:{msg_key}`. The offset is committed
after that, never before: whatever dies in between, the purge is repeated, which does no harm.
While Redis is away it holds what it has read, reads no more, and tries again; it stays in its
group meanwhile. Start it as often as the topic has partitions to share the work.

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
# Records that are purged, and then committed, together.
BATCH_RECORDS = 500
# Seconds to wait for a record; so often it looks whether it is to stop.
POLL = 0.1
# Seconds within which Redis has to connect, and to answer a batch. Far below max.poll.interval.ms
# (5 minutes), after which Kafka would give the partitions to another consumer.
REDIS_TIMEOUT = 5
# Seconds between two attempts while Redis is away: at first, and at most.
RETRY_FIRST, RETRY_MOST = 0.1, 5


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
        # Records of aborted transactions are none.
        "isolation.level": "read_committed",
        # Only what is purged is committed.
        "enable.auto.commit": False,
        # A new group purges what was recalled before it came.
        "auto.offset.reset": "earliest",
    }


def understand(message):
    """The key to remove. None for a record that cannot be understood: it is no recall that could be
    purged now or later, and to stop at it would keep every later recall visible. So it is reported,
    with the place where it can be looked at, and passed over. Alert on this line."""
    try:
        recall = json.loads(message.value())
        if recall["schema_version"] != 1:  # Raised only when a field changes its meaning or goes away.
            raise ValueError(f"schema_version is {recall['schema_version']}")
        account, msg_key = recall["official_account"], recall["msg_key"]
        if not (isinstance(account, str) and isinstance(msg_key, str)):
            raise ValueError("official_account or msg_key is no text")
        key = f"message:{account}:{msg_key}"
        key.encode()  # What is no Unicode text is a fault, too.
        return key
    except (ValueError, KeyError, TypeError) as fault:
        log(f"SKIPPED record {message.partition()}@{message.offset()}: {fault!r}")
        return None


def purge(store, pending):
    """Removes the keys. After an error some may be removed; all are tried again."""
    keys = [key for _, key in pending if key is not None]
    if not keys:
        return
    pipeline = store.pipeline(transaction=False)
    for key in keys:
        pipeline.unlink(key)
    for key, removed in zip(keys, pipeline.execute()):
        print(f"purged {shown(key)} ({removed} removed)", flush=True)


def commit(consumer, committed):
    """Commits where the consumer stands, once all that was read is purged. That is not the record behind
    the last one: each transaction ends with a marker, and behind the record alone a consumer that has
    read everything would lag by 1 for ever. Where this fails, the next commit says it too; until then, at
    worst, a purge is done again."""
    try:
        positions = consumer.position(consumer.assignment())
        # Negative: nothing was read from it yet.
        moved = [at for at in positions if at.offset >= 0 and committed.get(at.partition) != at.offset]
        if moved:
            consumer.commit(offsets=moved, asynchronous=False)
            committed.update((at.partition, at.offset) for at in moved)
    except KafkaException as error:
        log(f"offsets not committed: {error}")


def run(consumer, store, stopping, revoked):
    """Reads, purges, commits, until it is told to stop. What is pending then is not committed, and
    is read again after the next start."""
    pending = []  # (partition, key to remove or None)
    committed = {}  # The offset of each partition.
    again_at, delay = None, RETRY_FIRST  # While Redis is away: when to try again.
    while not stopping:
        if again_at is not None:
            consumer.pause(consumer.assignment())  # Each time: partitions may have come meanwhile.
        # Whoever does not poll is taken for dead, so this goes on while Redis is away.
        message = consumer.poll(POLL if not pending or again_at is not None else 0)
        # What others read now, they will purge. Done before the record that has just come is added:
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
        consumer.close()  # Leaves the group, so that the partitions go to the others at once.
    log("stopped")


if __name__ == "__main__":
    main()
