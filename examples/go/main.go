// Purge-redis purges recalled messages from Redis. A complete consumer in one file, to copy.
//
//	KAFKA_BOOTSTRAP_SERVERS=localhost:9094 REDIS_URL=redis://127.0.0.1:6379/ go -C examples/go run .
//
// For each record it removes the key message:{official_account}:{msg_key}. It commits the offset afterwards: after a
// crash in between, the purge is repeated, which is harmless. While Redis is unavailable, it keeps the records that it
// has read, reads no more, retries, and stays in its group. To share the work, start up to one process per partition
// of the topic.
//
//	KAFKA_BOOTSTRAP_SERVERS      required
//	KAFKA_SECURITY_PROTOCOL      PLAINTEXT, SSL (the authorities of the system) or SASL_SSL
//	KAFKA_SASL_USERNAME          and KAFKA_SASL_PASSWORD, for SASL_SSL with SCRAM-SHA-512
//	KAFKA_SESSION_TIMEOUT_MS     45000
//	KAFKA_HEARTBEAT_INTERVAL_MS  3000
//	KAFKA_GROUP_INSTANCE_ID      none
//	RECALL_TOPIC                 official-account.recalls
//	REDIS_URL                    redis://127.0.0.1:6379/
//	GROUP_ID                     purge-redis
//
// It reads no other KAFKA_ variable: those of Kubernetes and of Kafka's own scripts change nothing.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

const (
	// The number of records that are purged and then committed together.
	batchRecords = 500
	// The timeout of a connection to Redis, of a batch and of a commit.
	timeout = 5 * time.Second
	// The first and the longest pause between two attempts while Redis is unavailable.
	retryFirst, retryMost = 100 * time.Millisecond, 5 * time.Second
)

// recall is the recall in a record. Two records with the same id and key are one recall: a batch removes its key once.
type recall struct{ eventID, key string }

type purger struct {
	client *kgo.Client
	redis  *redis.Client

	mutex sync.Mutex
	// For each partition, the last record that was read and is not committed yet.
	last map[int32]*kgo.Record
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := start(ctx); err != nil {
		logf("%v", err)
		os.Exit(1)
	}
	logf("stopped")
}

func start(ctx context.Context) error {
	store, err := redis.ParseURL(setting("REDIS_URL", "redis://127.0.0.1:6379/"))
	if err != nil {
		return fmt.Errorf("REDIS_URL: %w", err)
	}
	// The loop below retries.
	store.MaxRetries, store.DialTimeout, store.ReadTimeout, store.WriteTimeout = -1, timeout, timeout, timeout
	p := &purger{redis: redis.NewClient(store), last: make(map[int32]*kgo.Record)}
	defer p.redis.Close()

	topic := setting("RECALL_TOPIC", "official-account.recalls")
	options, err := kafkaOptions()
	if err != nil {
		return err
	}
	p.client, err = kgo.NewClient(append(options,
		kgo.ConsumeTopics(topic),
		kgo.ConsumerGroup(setting("GROUP_ID", "purge-redis")),
		// Skips records of aborted transactions. The default of franz-go is read uncommitted.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Only purged records are committed.
		kgo.DisableAutoCommit(),
		// A new group also purges the recalls from before its start.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// The markers at the end of transactions have offsets, too. If the client did not commit these, a consumer that
		// has read everything would have a lag of 1 per partition forever.
		kgo.KeepControlRecords(),
		// Partitions are revoked only where this program calls AllowRebalance.
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsRevoked(p.drop),
		kgo.OnPartitionsLost(p.drop),
	)...)
	if err != nil {
		return err
	}
	// The consumer leaves the group, so Kafka assigns its partitions to others at once.
	defer p.client.CloseAllowingRebalance()
	logf("waiting for recalls from %s", topic)
	return p.run(ctx)
}

// run reads, purges and commits until it must stop. Records that are not committed are read again after a restart.
func (p *purger) run(ctx context.Context) error {
	for {
		fetches := p.client.PollRecords(ctx, batchRecords)
		if ctx.Err() != nil {
			return nil
		}
		for _, failed := range fetches.Errors() {
			logf("Kafka: %v", failed.Err) // The client reconnects by itself.
		}
		p.mutex.Lock()
		for _, record := range fetches.Records() {
			p.last[record.Partition] = record
		}
		p.mutex.Unlock()
		if !p.purgeAll(ctx, understandAll(fetches.Records())) {
			return nil
		}
		p.commit(ctx)
		p.client.AllowRebalance()
	}
}

// purgeAll retries until Redis is available. It returns false if it must stop. franz-go sends heartbeats in the
// background, so the consumer stays in its group without polling.
func (p *purger) purgeAll(ctx context.Context, recalls []recall) bool {
	delay := retryFirst
	for {
		err := p.purge(ctx, recalls)
		if err == nil {
			if delay != retryFirst {
				logf("going on")
			}
			return true
		}
		logf("Redis: %v; %d records wait, again in %v", err, len(recalls), delay)
		// Other consumers may take over partitions meanwhile. It is harmless to purge their records, too. `drop` makes
		// sure that their offsets are not committed.
		p.client.AllowRebalance()
		select {
		case <-ctx.Done():
			return false
		case <-time.After(delay):
		}
		delay = min(delay*2, retryMost)
	}
}

// purge removes the keys. After an error, some keys may already be removed. The next attempt removes all again.
func (p *purger) purge(ctx context.Context, recalls []recall) error {
	if len(recalls) == 0 {
		return nil
	}
	removed, err := p.redis.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for _, recall := range recalls {
			pipe.Unlink(ctx, recall.key)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, recall := range recalls {
		fmt.Printf("purged %s (%d removed)\n", shown(recall.key), removed[i].(*redis.IntCmd).Val())
	}
	return nil
}

// commit commits the offsets of purged records. If it fails, the next commit includes them. A crash before that only
// repeats purges.
func (p *purger) commit(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if err := p.client.CommitRecords(ctx, slices.Collect(maps.Values(p.last))...); err != nil {
		logf("offsets not committed: %v", err)
		return
	}
	clear(p.last)
}

// drop removes the records of revoked partitions: their new consumers will purge them.
func (p *purger) drop(_ context.Context, _ *kgo.Client, revoked map[string][]int32) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, partitions := range revoked {
		for _, partition := range partitions {
			delete(p.last, partition)
		}
	}
}

// understandAll returns each recall of these records once.
func understandAll(records []*kgo.Record) []recall {
	var recalls []recall
	seen := make(map[recall]bool)
	for _, record := range records {
		if record.Attrs.IsControl() {
			continue
		}
		recall, err := understand(record.Value)
		if err != nil {
			// The record can never be purged. A consumer that stops at it leaves every later recalled message
			// visible. So this consumer logs partition and offset, and skips the record. Alert on this log line.
			logf("SKIPPED record %d@%d: %v", record.Partition, record.Offset, err)
		} else if !seen[recall] {
			seen[recall] = true
			recalls = append(recalls, recall)
		}
	}
	return recalls
}

// understand parses the value of a record. It ignores unknown fields: the bridge may add some.
func understand(value []byte) (recall, error) {
	var fields struct {
		SchemaVersion int     `json:"schema_version"`
		EventID       *string `json:"event_id"`
		Account       *string `json:"official_account"`
		MsgKey        *string `json:"msg_key"`
	}
	switch err := json.Unmarshal(value, &fields); {
	case err != nil:
		return recall{}, err
	case !utf8.Valid(value):
		return recall{}, errors.New("not valid UTF-8")
	case fields.SchemaVersion != 1: // The version rises only when a field changes its meaning or is removed.
		return recall{}, fmt.Errorf("schema_version is %d", fields.SchemaVersion)
	case fields.EventID == nil || fields.Account == nil || fields.MsgKey == nil:
		return recall{}, errors.New("event_id, official_account or msg_key is missing")
	}
	return recall{*fields.EventID, "message:" + *fields.Account + ":" + *fields.MsgKey}, nil
}

func kafkaOptions() ([]kgo.Opt, error) {
	servers := os.Getenv("KAFKA_BOOTSTRAP_SERVERS")
	if servers == "" {
		return nil, errors.New("KAFKA_BOOTSTRAP_SERVERS is missing")
	}
	options := []kgo.Opt{kgo.SeedBrokers(strings.Split(servers, ",")...), kgo.ClientID("purge-redis")}
	switch protocol := setting("KAFKA_SECURITY_PROTOCOL", "PLAINTEXT"); protocol {
	case "PLAINTEXT":
	case "SSL":
		options = append(options, kgo.DialTLS())
	case "SASL_SSL":
		auth := scram.Auth{User: os.Getenv("KAFKA_SASL_USERNAME"), Pass: os.Getenv("KAFKA_SASL_PASSWORD")}
		options = append(options, kgo.DialTLS(), kgo.SASL(auth.AsSha512Mechanism()))
	default:
		return nil, fmt.Errorf("KAFKA_SECURITY_PROTOCOL: %s is not PLAINTEXT, SSL or SASL_SSL", protocol)
	}
	session, err := milliseconds("KAFKA_SESSION_TIMEOUT_MS", "45000")
	if err != nil {
		return nil, err
	}
	heartbeat, err := milliseconds("KAFKA_HEARTBEAT_INTERVAL_MS", "3000")
	if err != nil {
		return nil, err
	}
	options = append(options, kgo.SessionTimeout(session), kgo.HeartbeatInterval(heartbeat))
	if instance := os.Getenv("KAFKA_GROUP_INSTANCE_ID"); instance != "" {
		options = append(options, kgo.InstanceID(instance))
	}
	return options, nil
}

func milliseconds(name, otherwise string) (time.Duration, error) {
	number, err := strconv.ParseUint(setting(name, otherwise), 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return time.Duration(number) * time.Millisecond, nil
}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func logf(format string, values ...any) {
	fmt.Fprintln(os.Stderr, "purge-redis: "+shown(fmt.Sprintf(format, values...)))
}

// shown escapes untrusted text: control characters, and zero-width or bidirectional characters.
func shown(text string) string {
	var out strings.Builder
	for _, letter := range text {
		if unicode.In(letter, unicode.Cc, unicode.Cf, unicode.Cs, unicode.Zl, unicode.Zp) {
			fmt.Fprintf(&out, `\u{%x}`, letter)
		} else {
			out.WriteRune(letter)
		}
	}
	return out.String()
}
