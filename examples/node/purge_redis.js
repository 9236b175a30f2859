// Purges recalled messages from Redis. A complete consumer in one file, to copy.
//
//     npm ci --prefix examples/node
//     KAFKA_BOOTSTRAP_SERVERS=localhost:9094 REDIS_URL=redis://127.0.0.1:6379/ node examples/node/purge_redis.js
//
// For each record it removes the key `message:{official_account}:{msg_key}`. It commits the offset afterwards: after a
// crash in between, the purge is repeated, which is harmless. While Redis is unavailable, it keeps the records that it
// has read, reads no more, retries, and stays in its group. To share the work, start up to one process per partition
// of the topic.
//
//     KAFKA_BOOTSTRAP_SERVERS      required
//     KAFKA_SECURITY_PROTOCOL      PLAINTEXT, SSL (the authorities of Node) or SASL_SSL
//     KAFKA_SASL_USERNAME          and KAFKA_SASL_PASSWORD, for SASL_SSL with SCRAM-SHA-512
//     KAFKA_SESSION_TIMEOUT_MS     30000
//     KAFKA_HEARTBEAT_INTERVAL_MS  3000
//     RECALL_TOPIC                 official-account.recalls
//     REDIS_URL                    redis://127.0.0.1:6379/
//     GROUP_ID                     purge-redis
//
// It reads no other KAFKA_ variable: those of Kubernetes and of Kafka's own scripts change nothing.

import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel } from 'kafkajs'
import { createClient } from 'redis'

const { env } = process
const TOPIC = env.RECALL_TOPIC || 'official-account.recalls'
// The timeout in milliseconds of a connection to Redis and of a batch.
const REDIS_TIMEOUT = 5_000
// The first and the longest pause in milliseconds between two attempts while Redis is unavailable.
const RETRY_FIRST = 100
const RETRY_MOST = 5_000

// Escapes untrusted text: control characters, and zero-width or bidirectional characters.
const shown = (text) => text.replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`)
const log = (text) => console.error(`purge-redis: ${shown(text)}`)

// Parses the value of a record. Ignores unknown fields: the bridge may add some.
function understand(value) {
  const { schema_version: version, event_id: eventId, official_account: account, msg_key: msgKey } = JSON.parse(value)
  // The version rises only when a field changes its meaning or is removed.
  if (version !== 1) throw new Error(`schema_version is ${version}`)
  for (const text of [eventId, account, msgKey]) {
    if (typeof text !== 'string') throw new Error('event_id, official_account or msg_key is no text')
  }
  return { eventId, key: `message:${account}:${msgKey}` }
}

// Returns the keys of a batch. Two records with the same id and key are one recall: its key is removed once.
function keys({ messages, partition }) {
  const recalls = new Map()
  for (const { offset, value } of messages) {
    try {
      const { eventId, key } = understand(value?.toString() ?? '')
      recalls.set(`${eventId} ${key}`, key)
    } catch (fault) {
      // The record can never be purged. A consumer that stops at it leaves every later recalled message visible.
      // So this consumer logs partition and offset, and skips the record. Alert on this log line.
      log(`SKIPPED record ${partition}@${offset}: ${fault.message}`)
    }
  }
  return [...recalls.values()]
}

// Removes the keys. After an error, some keys may already be removed. The next attempt removes all again.
async function purge(redis, keys) {
  if (keys.length === 0) return
  const pipeline = redis.multi()
  for (const key of keys) pipeline.unlink(key)
  const removed = await pipeline.execAsPipeline()
  keys.forEach((key, at) => console.log(`purged ${shown(key)} (${removed[at]} removed)`))
}

// Retries until Redis is available. Returns false if another consumer must purge the batch, or if this one must stop.
async function purgeAll(redis, keys, { heartbeat, isRunning, isStale }) {
  let delay = RETRY_FIRST
  for (;;) {
    try {
      await purge(redis, keys)
      if (delay !== RETRY_FIRST) log('going on')
      return true
    } catch (error) {
      log(`Redis: ${error.message}; ${keys.length} records wait, again in ${delay} ms`)
    }
    for (const until = Date.now() + delay; Date.now() < until; ) {
      if (!isRunning() || isStale()) return false
      await heartbeat().catch(ignoreAbsence)
      await sleep(Math.min(100, delay))
    }
    delay = Math.min(delay * 2, RETRY_MOST)
  }
}

// Ignores the error of a heartbeat while no broker responds: the consumer keeps its batch. Throws the error if it has a
// type: then it comes from Kafka, the group has changed, and the batch belongs to another consumer.
function ignoreAbsence(error) {
  if (error.type) throw error
  log(`Kafka: ${error.message}`)
}

function kafka() {
  if (!env.KAFKA_BOOTSTRAP_SERVERS) throw new Error('KAFKA_BOOTSTRAP_SERVERS is missing')
  const protocol = env.KAFKA_SECURITY_PROTOCOL || 'PLAINTEXT'
  if (!['PLAINTEXT', 'SSL', 'SASL_SSL'].includes(protocol)) throw new Error(`KAFKA_SECURITY_PROTOCOL: ${protocol}`)
  const sasl = { mechanism: 'scram-sha-512', username: env.KAFKA_SASL_USERNAME, password: env.KAFKA_SASL_PASSWORD }
  return new Kafka({
    clientId: 'purge-redis',
    brokers: env.KAFKA_BOOTSTRAP_SERVERS.split(','),
    ssl: protocol !== 'PLAINTEXT',
    sasl: protocol === 'SASL_SSL' ? sasl : undefined,
    logLevel: logLevel.WARN,
    logCreator: () => ({ log: { message, error } }) => log(`Kafka: ${message} ${error ?? ''}`),
  })
}

async function main() {
  const redis = createClient({
    url: env.REDIS_URL || 'redis://127.0.0.1:6379/',
    // While Redis is unavailable, commands fail at once. `purgeAll` repeats them.
    disableOfflineQueue: true,
    socket: { connectTimeout: REDIS_TIMEOUT, socketTimeout: REDIS_TIMEOUT, reconnectStrategy: () => 100 },
    pingInterval: REDIS_TIMEOUT / 2,
  })
  redis.on('error', () => {}) // The failed commands report it.
  redis.connect().catch(() => {})

  const consumer = kafka().consumer({
    groupId: env.GROUP_ID || 'purge-redis',
    // Skips records of aborted transactions. This is the default of kafkajs.
    readUncommitted: false,
    sessionTimeout: Number(env.KAFKA_SESSION_TIMEOUT_MS || 30_000),
    heartbeatInterval: Number(env.KAFKA_HEARTBEAT_INTERVAL_MS || 3_000),
    maxWaitTimeInMs: 500,
  })
  // kafkajs starts the consumer again after a temporary error.
  consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || process.exit(1))
  let stopping = false
  const stop = async () => {
    if (stopping) return
    stopping = true
    await consumer.disconnect() // Leaves the group, so Kafka assigns its partitions to others at once.
    redis.destroy()
    log('stopped')
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, stop)

  await consumer.connect()
  // A new group also purges the recalls from before its start.
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true })
  log(`waiting for recalls from ${TOPIC}`)
  await consumer.run({
    // kafkajs commits the resolved offsets, and those of the markers at the end of transactions. Without the latter,
    // a consumer that has read everything would have a lag of 1 per partition forever.
    autoCommitThreshold: 1,
    // Only purged records are resolved.
    eachBatchAutoResolve: false,
    eachBatch: async ({ batch, resolveOffset, ...group }) => {
      if (await purgeAll(redis, keys(batch), group)) resolveOffset(batch.messages.at(-1).offset)
    },
  })
}

main().catch((error) => {
  log(error.message)
  process.exit(1)
})
