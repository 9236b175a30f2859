import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.URI;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.Set;
import java.util.regex.Pattern;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import redis.clients.jedis.Jedis;
import redis.clients.jedis.Pipeline;
import redis.clients.jedis.Response;
import redis.clients.jedis.exceptions.JedisException;

/**
 * Purges recalled messages from Redis. A complete consumer in one file, to copy.
 *
 * <pre>
 * KAFKA_BOOTSTRAP_SERVERS=localhost:9094 REDIS_URL=redis://127.0.0.1:6379/ \
 *     mvn -q -f examples/java compile exec:java
 * </pre>
 *
 * For each record it removes the key {@code message:{official_account}:{msg_key}}. It commits the offset afterwards:
 * after a crash in between, the purge is repeated, which is harmless. While Redis is unavailable, it keeps the records
 * that it has read, reads no more, retries, and stays in its group. To share the work, start up to one process per
 * partition of the topic.
 *
 * <pre>
 * KAFKA_BOOTSTRAP_SERVERS  required; any other KAFKA_X_Y is the Java client's property x.y
 * RECALL_TOPIC             official-account.recalls
 * REDIS_URL                redis://127.0.0.1:6379/
 * GROUP_ID                 purge-redis
 * </pre>
 */
public final class PurgeRedis implements ConsumerRebalanceListener {
    /** The longest wait for a record, after which the consumer checks whether it must stop. */
    private static final Duration POLL = Duration.ofMillis(100);
    /** The timeout of a connection to Redis and of a batch, far below max.poll.interval.ms (5 minutes). */
    private static final int REDIS_TIMEOUT_MS = 5_000;
    /** The longest wait for the response to a commit. */
    private static final Duration COMMIT = Duration.ofSeconds(10);
    /** The first and the longest pause between two attempts while Redis is unavailable. */
    private static final Duration RETRY_FIRST = Duration.ofMillis(100);
    private static final Duration RETRY_MOST = Duration.ofSeconds(5);

    /** Variables of Kubernetes for a Service called kafka, and of Kafka's own scripts. Not client properties. */
    private static final Pattern FOREIGN = Pattern.compile("KAFKA("
            + ".*(_SERVICE_HOST|_SERVICE_PORT(_.*)?|_PORT(_\\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?|_OPTS)"
            + "|_HOME|_CLASSPATH|_CLUSTER_ID|_VERSION|_DEBUG|_(LOG|BASE|CONF|CONFIG|DATA)_DIRS?"
            + "|_(JMX|LOG4J|GC|JVM|HEAP|CONNECT|MIRROR_MAKER|CFG)_.*)");
    private static final ObjectMapper JSON = new ObjectMapper();

    /** The recall in a record. Two records with the same id and key are one recall: a batch removes its key once. */
    private record Recall(String eventId, String key) {}

    /** A record that was read and is not committed yet; the recall is null if the record cannot be parsed. */
    private record Pending(TopicPartition partition, Recall recall) {}

    private final KafkaConsumer<byte[], byte[]> consumer;
    private final String redisUrl;
    private Jedis redis;
    private List<Pending> pending = new ArrayList<>();
    private final Map<TopicPartition, Long> committed = new HashMap<>();
    private volatile boolean stopping;

    private PurgeRedis(KafkaConsumer<byte[], byte[]> consumer, String redisUrl) {
        this.consumer = consumer;
        this.redisUrl = redisUrl;
    }

    public static void main(String[] arguments) {
        String topic = variable("RECALL_TOPIC", "official-account.recalls");
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties())) {
            PurgeRedis purge = new PurgeRedis(consumer, variable("REDIS_URL", "redis://127.0.0.1:6379/"));
            purge.stopOnSignal(Thread.currentThread());
            consumer.subscribe(Set.of(topic), purge);
            log("waiting for recalls from " + topic);
            purge.run();
        }
        // Closing the consumer leaves the group, so Kafka assigns its partitions to others at once.
        log("stopped");
    }

    /** Reads, purges and commits until it must stop. Records that are not committed are read again after a restart. */
    private void run() {
        // The time of the next attempt while Redis is unavailable.
        Instant again = null;
        Duration delay = RETRY_FIRST;
        while (!stopping) {
            if (again != null) {
                consumer.pause(consumer.assignment()); // Repeated, because new partitions may have been assigned.
            }
            // Kafka removes a consumer that does not poll, so polling continues while Redis is unavailable.
            for (ConsumerRecord<byte[], byte[]> read : consumer.poll(POLL)) {
                pending.add(new Pending(new TopicPartition(read.topic(), read.partition()), understand(read)));
            }
            if (again != null && Instant.now().isBefore(again)) {
                continue;
            }
            try {
                purge();
            } catch (JedisException error) {
                log("Redis: %s; %d records wait, again in %d ms".formatted(error, pending.size(), delay.toMillis()));
                again = Instant.now().plus(delay);
                Duration twice = delay.multipliedBy(2);
                delay = twice.compareTo(RETRY_MOST) < 0 ? twice : RETRY_MOST;
                continue;
            }
            commit();
            pending.clear();
            if (again != null) {
                again = null;
                delay = RETRY_FIRST;
                log("going on");
                consumer.resume(consumer.assignment());
            }
        }
    }

    /**
     * Returns null for a record that cannot be parsed. Such a record can never be purged. A consumer that stops at it
     * leaves every later recalled message visible. So this consumer logs partition and offset, and skips the record.
     * Alert on this log line.
     */
    private static Recall understand(ConsumerRecord<byte[], byte[]> record) {
        try {
            JsonNode recall = JSON.readTree(Objects.requireNonNullElse(record.value(), new byte[0]));
            // The version rises only when a field changes its meaning or is removed. Unknown fields are ignored.
            if (recall.path("schema_version").asInt() != 1) {
                throw new IOException("schema_version is " + recall.path("schema_version"));
            }
            String key = "message:" + text(recall, "official_account") + ":" + text(recall, "msg_key");
            return new Recall(text(recall, "event_id"), key);
        } catch (IOException fault) {
            log("SKIPPED record %d@%d: %s".formatted(record.partition(), record.offset(), fault.getMessage()));
            return null;
        }
    }

    private static String text(JsonNode recall, String field) throws IOException {
        if (!recall.path(field).isTextual()) {
            throw new IOException(field + " is no text");
        }
        return recall.path(field).textValue();
    }

    /** Removes the keys. After an error, some keys may already be removed. The next attempt removes all again. */
    private void purge() {
        List<Recall> recalls = pending.stream().map(Pending::recall).filter(Objects::nonNull).distinct().toList();
        if (recalls.isEmpty()) {
            return;
        }
        try {
            if (redis == null) {
                redis = new Jedis(URI.create(redisUrl), REDIS_TIMEOUT_MS);
            }
            Map<Recall, Response<Long>> removed = new HashMap<>();
            try (Pipeline pipeline = redis.pipelined()) {
                recalls.forEach(recall -> removed.put(recall, pipeline.unlink(recall.key())));
                pipeline.sync();
            }
            recalls.forEach(recall -> System.out.printf(
                    "purged %s (%d removed)%n", shown(recall.key()), removed.get(recall).get()));
        } catch (JedisException error) {
            // After an error, the state of the connection is unknown.
            if (redis != null) {
                redis.disconnect();
            }
            redis = null;
            throw error;
        }
    }

    /**
     * Commits the consumer's position after all read records are purged. The position can be higher than the last
     * record's offset plus 1, because each transaction ends with a marker. With offset plus 1, a consumer that has read
     * everything would have a lag of 1 forever. If the commit fails, the next commit includes it. A crash before that
     * only repeats purges.
     */
    private void commit() {
        Map<TopicPartition, OffsetAndMetadata> moved = new HashMap<>();
        for (TopicPartition partition : consumer.assignment()) {
            try {
                long position = consumer.position(partition, Duration.ZERO);
                if (!Long.valueOf(position).equals(committed.get(partition))) {
                    moved.put(partition, new OffsetAndMetadata(position));
                }
            } catch (TimeoutException notKnown) {
                // No record of the partition was read yet.
            }
        }
        if (moved.isEmpty()) {
            return;
        }
        try {
            consumer.commitSync(moved, COMMIT);
            moved.forEach((partition, offset) -> committed.put(partition, offset.offset()));
        } catch (KafkaException error) {
            log("offsets not committed: " + error);
        }
    }

    @Override
    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {}

    /** Drops the records of these partitions: their new consumers will purge them. `poll` calls this method. */
    @Override
    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
        pending.removeIf(record -> partitions.contains(record.partition()));
        committed.keySet().removeAll(partitions);
    }

    private static Properties properties() {
        Properties properties = new Properties();
        properties.setProperty("client.id", "purge-redis");
        System.getenv().forEach((name, value) -> {
            if (name.startsWith("KAFKA_") && !FOREIGN.matcher(name).matches()) {
                String property = name.substring("KAFKA_".length()).toLowerCase(Locale.ROOT).replace('_', '.');
                properties.setProperty(property, value);
            }
        });
        if (!properties.containsKey("bootstrap.servers")) {
            log("KAFKA_BOOTSTRAP_SERVERS is missing");
            System.exit(1);
        }
        properties.setProperty("group.id", variable("GROUP_ID", "purge-redis"));
        // Skips records of aborted transactions. The default of the Java client is read_uncommitted.
        properties.setProperty("isolation.level", "read_committed");
        // Only purged records are committed.
        properties.setProperty("enable.auto.commit", "false");
        // A new group also purges the recalls from before its start.
        properties.setProperty("auto.offset.reset", "earliest");
        properties.setProperty("key.deserializer", ByteArrayDeserializer.class.getName());
        properties.setProperty("value.deserializer", ByteArrayDeserializer.class.getName());
        return properties;
    }

    /** After SIGTERM or SIGINT: waits for the end of `main`, and exits with 0 instead of 143. */
    private void stopOnSignal(Thread main) {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            if (!main.isAlive()) {
                return;
            }
            stopping = true;
            try {
                main.join();
            } catch (InterruptedException ended) {
                Thread.currentThread().interrupt();
            }
            Runtime.getRuntime().halt(0);
        }));
    }

    private static String variable(String name, String otherwise) {
        return Objects.requireNonNullElse(System.getenv(name), otherwise);
    }

    private static void log(String text) {
        System.err.println("purge-redis: " + shown(text));
    }

    /** Escapes untrusted text: control characters, and zero-width or bidirectional characters. */
    private static String shown(String text) {
        StringBuilder shown = new StringBuilder();
        text.codePoints().forEach(letter -> {
            switch (Character.getType(letter)) {
                case Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.LINE_SEPARATOR,
                        Character.PARAGRAPH_SEPARATOR -> shown.append("\\u{%x}".formatted(letter));
                default -> shown.appendCodePoint(letter);
            }
        });
        return shown.toString();
    }
}
