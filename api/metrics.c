#include "api/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define ROUTES_MAX 64

static const unsigned STATUS_CODES[] = {200, 202, 204, 304, 400, 404, 405, 406,
                                        410, 413, 415, 422, 429, 500, 503, 504};
#define STATUS_CODE_COUNT (sizeof STATUS_CODES / sizeof STATUS_CODES[0])

/* Upper bounds of the duration histogram, in microseconds and as the label says them. */
static const struct {
    uint64_t us;
    const char *label;
} BUCKETS[] = {{500, "0.0005"}, {2000, "0.002"}, {10000, "0.01"}, {50000, "0.05"},
               {200000, "0.2"}, {1000000, "1"},  {5000000, "5"},  {UINT64_MAX, "+Inf"}};
#define BUCKET_COUNT (sizeof BUCKETS / sizeof BUCKETS[0])

struct route_counts {
    _Atomic uint64_t status[STATUS_CODE_COUNT + 1]; /* the last: any other */
    _Atomic uint64_t bucket[BUCKET_COUNT];
    _Atomic uint64_t duration_us;
};

struct metrics {
    struct route_counts routes[ROUTES_MAX + 1]; /* the last: unknown paths */
    _Atomic uint64_t events[METRICS_EVENT_COUNT];
};

enum status metrics_open(struct metrics **metrics)
{
    if (route_count() > ROUTES_MAX) return STATUS_FULL;
    *metrics = calloc(1, sizeof **metrics);
    return *metrics ? STATUS_OK : STATUS_NO_MEMORY;
}

void metrics_close(struct metrics *metrics)
{
    free(metrics);
}

void metrics_request(struct metrics *metrics, const struct route *route, unsigned status,
                     uint64_t duration_us)
{
    size_t index = route ? (size_t)(route - route_at(0)) : ROUTES_MAX;
    struct route_counts *counts = &metrics->routes[index];
    size_t code = 0, bucket = 0;
    while (code < STATUS_CODE_COUNT && STATUS_CODES[code] != status) {
        code++;
    }
    while (duration_us > BUCKETS[bucket].us) {
        bucket++;
    }
    atomic_fetch_add_explicit(&counts->status[code], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->bucket[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counts->duration_us, duration_us, memory_order_relaxed);
}

void metrics_count(struct metrics *metrics, enum metrics_event event)
{
    atomic_fetch_add_explicit(&metrics->events[event], 1, memory_order_relaxed);
}

/* ---- writing ---- */

PRINTF_LIKE(5, 6)
static void one(FILE *out, const char *name, const char *type, const char *help, const char *format,
                ...)
{
    va_list arguments;
    fprintf(out, "# HELP cairn_%s %s\n# TYPE cairn_%s %s\ncairn_%s", name, help, name, type, name);
    va_start(arguments, format);
    vfprintf(out, format, arguments);
    va_end(arguments);
    fputc('\n', out);
}

static void gauge(FILE *out, const char *name, const char *help, uint64_t value)
{
    one(out, name, "gauge", help, " %" PRIu64, value);
}

static void counter(FILE *out, const char *name, const char *help, uint64_t value)
{
    one(out, name, "counter", help, " %" PRIu64, value);
}

/* Seconds with six digits from microseconds, without floating point. */
static void seconds(FILE *out, const char *name, const char *type, const char *help, uint64_t us)
{
    one(out, name, type, help, " %" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
}

static void write_signer(FILE *out, const struct node_stats *stats)
{
    counter(out, "signer_signatures_total", "Signatures of the consensus key since the start.",
            stats->sign_answers[SIGN_GRANTED]);
    fputs("# HELP cairn_signer_refusals_total Requests that the signer refused, by reason.\n"
          "# TYPE cairn_signer_refusals_total counter\n",
          out);
    for (unsigned i = SIGN_GRANTED + 1; i < SIGN_ANSWERS; i++) {
        fprintf(out, "cairn_signer_refusals_total{reason=\"%s\"} %" PRIu64 "\n",
                sign_answer_name((enum sign_answer)i), stats->sign_answers[i]);
    }
}

static void write_compact(FILE *out, const struct node_stats *stats)
{
    counter(out, "p2p_compact_sent_total", "Own proposals sent without what peers have.",
            stats->compact_sent);
    counter(out, "p2p_compact_spared_bytes_total", "Bytes that this spared for each peer.",
            stats->compact_spared_bytes);
    counter(out, "p2p_compact_rebuilt_total", "Compact proposals completed without asking.",
            stats->compact_rebuilt);
    counter(out, "p2p_compact_asked_total", "Requests for missing transactions of proposals.",
            stats->compact_asked);
    counter(out, "p2p_compact_whole_total", "Requests for whole blocks in their stead.",
            stats->compact_whole);
}

static void write_node(FILE *out, struct node *node)
{
    struct node_stats stats;
    node_stats(node, &stats);
    gauge(out, "block_height", "Newest executed block.", stats.head.height);
    gauge(out, "block_certified_height", "Newest height whose state root a committed block names.",
          stats.head.certified_height);
    seconds(out, "block_last_timestamp_seconds", "gauge", "Time of the newest block.",
            stats.head.time_us);
    counter(out, "blocks_applied_total", "Blocks executed since the start.", stats.blocks_applied);
    counter(out, "txs_total", "Transactions in the chain.", stats.head.tx_total);
    counter(out, "events_total", "Events in the chain.", stats.head.event_total);
    seconds(out, "block_processing_seconds_total", "counter", "Time spent executing blocks.",
            stats.apply_us_total);
    gauge(out, "consensus_epoch", "Running epoch.", stats.head.epoch);
    gauge(out, "consensus_round", "Round of the newest block.", stats.head.round);
    gauge(out, "consensus_current_round", "Round that this replica is in.", stats.current_round);
    gauge(out, "consensus_uncommitted_blocks", "Blocks above the newest committed one.",
          stats.uncommitted);
    gauge(out, "consensus_validators", "Validators of the running epoch.", stats.validators);
    counter(out, "consensus_timeouts_total", "Own timeouts since the start.", stats.timeouts);
    counter(out, "consensus_evidence_total", "Offences of validators seen since the start.",
            stats.evidence);
    gauge(out, "p2p_peers", "Peers that are connected.", stats.peers);
    counter(out, "p2p_txs_dropped_total", "Transactions of peers that found no place.",
            stats.gossip_dropped);
    write_compact(out, &stats);
    counter(out, "consensus_rounds_total", "Rounds entered since the start.", stats.rounds);
    counter(out, "consensus_proposals_total", "Own proposals since the start.", stats.proposals);
    counter(out, "consensus_votes_total", "Own votes since the start.", stats.votes);
    write_signer(out, &stats);
    counter(out, "quarantined_total", "Transactions undone to save an invariant.",
            stats.quarantined);
    one(out, "invariant_ok", "gauge", "1 while no transaction or block was quarantined.",
        "{name=\"quarantine\"} %d", stats.quarantined == 0);
    counter(out, "journal_groups_total", "Groups written to the journal.", stats.journal_groups);
    counter(out, "journal_bytes_total", "Bytes written to the journal.", stats.journal_bytes);
    counter(out, "journal_syncs_total", "Syncs of the journal.", stats.journal_syncs);
    seconds(out, "journal_sync_seconds_total", "counter", "Time spent in syncs of the journal.",
            stats.journal_sync_us_total);
    seconds(out, "journal_sync_longest_seconds", "gauge", "Longest sync of the journal.",
            stats.journal_sync_us_max);
    gauge(out, "log_size_bytes", "Size of the chain log.", stats.chain_bytes);
    gauge(out, "log_segments", "Segments of the chain log.", stats.chain_segments);
    gauge(out, "state_records", "Records of the state.", stats.state_records);
    gauge(out, "disk_free_bytes", "Free space where the node keeps its data.", stats.free_bytes);
    gauge(out, "disk_state", "0 good, 1 low, 2 refusing transactions, 3 signing nothing.",
          stats.space);
    gauge(out, "mempool_txs", "Pending transactions.", stats.mempool_txs);
    gauge(out, "mempool_bytes", "Bytes of pending transactions.", stats.mempool_bytes);
    counter(out, "mempool_rejected_total", "Transactions that the pool refused.",
            stats.mempool_rejected);
    counter(out, "mempool_evicted_total", "Transactions pushed out by better ones.",
            stats.mempool_evicted);
    counter(out, "mempool_expired_total", "Transactions whose valid-until height passed.",
            stats.mempool_expired);
    counter(out, "txs_submitted_total", "Transactions submitted.", stats.submitted);
    fputs("# HELP cairn_sig_verify_total Transactions whose signatures were checked.\n"
          "# TYPE cairn_sig_verify_total counter\n",
          out);
    fprintf(out, "cairn_sig_verify_total{result=\"good\"} %" PRIu64 "\n", stats.verified);
    fprintf(out, "cairn_sig_verify_total{result=\"bad\"} %" PRIu64 "\n", stats.verify_failed);
    gauge(out, "replay_blocks", "Blocks replayed by the start.", stats.replay_blocks);
    gauge(out, "replay_target_blocks", "Blocks that the start has to replay.", stats.replay_target);
    one(out, "ready", "gauge", "1 if the check passes.",
        "{check=\"node\"} %d\ncairn_ready{check=\"signing\"} %d\ncairn_ready{check=\"running\"} "
        "%d\n"
        "cairn_ready{check=\"storage\"} %d",
        stats.ready, stats.signing, stats.stopped == NULL, stats.space < NODE_SPACE_REFUSING);
}

static void write_info(FILE *out, struct node *node, const char *version)
{
    struct node_stats stats;
    node_stats(node, &stats);
    one(out, "build_info", "gauge", "Always 1; the labels say what runs.",
        "{version=\"%s\",io_backend=\"%s\"} 1", version, stats.io_name ? stats.io_name : "none");
}

static void write_process(FILE *out)
{
    struct rusage usage;
    uint64_t us = 0, pages = 0;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        us = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
             (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm) {
        if (fscanf(statm, "%*u %" SCNu64, &pages) != 1) pages = 0;
        fclose(statm);
    }
    fprintf(out,
            "# HELP process_cpu_seconds_total User and system time of the process.\n"
            "# TYPE process_cpu_seconds_total counter\n"
            "process_cpu_seconds_total %" PRIu64 ".%06" PRIu64 "\n"
            "# HELP process_resident_memory_bytes Resident memory.\n"
            "# TYPE process_resident_memory_bytes gauge\n"
            "process_resident_memory_bytes %" PRIu64 "\n",
            us / 1000000, us % 1000000, pages * (uint64_t)sysconf(_SC_PAGESIZE));
}

static const char *method_name(const struct route *route)
{
    return !route ? "any" : route->method == ROUTE_GET ? "GET" : "POST";
}

static void write_statuses(FILE *out, const struct route *route, struct route_counts *counts)
{
    const char *path = route ? route->path : "unknown";
    for (size_t i = 0; i <= STATUS_CODE_COUNT; i++) {
        uint64_t value = atomic_load_explicit(&counts->status[i], memory_order_relaxed);
        if (value == 0) continue;
        fprintf(out, "cairn_http_requests_total{route=\"%s\",method=\"%s\",code=\"", path,
                method_name(route));
        if (i < STATUS_CODE_COUNT)
            fprintf(out, "%u\"} %" PRIu64 "\n", STATUS_CODES[i], value);
        else
            fprintf(out, "other\"} %" PRIu64 "\n", value);
    }
}

static void write_durations(FILE *out, const struct route *route, struct route_counts *counts)
{
    const char *path = route ? route->path : "unknown", *method = method_name(route);
    uint64_t sum = 0, us = atomic_load_explicit(&counts->duration_us, memory_order_relaxed);
    uint64_t values[BUCKET_COUNT];
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        values[i] = sum += atomic_load_explicit(&counts->bucket[i], memory_order_relaxed);
    }
    if (sum == 0) return;
    for (size_t i = 0; i < BUCKET_COUNT; i++) {
        fprintf(out,
                "cairn_http_request_duration_seconds_bucket{route=\"%s\",method=\"%s\",le=\"%s\"} "
                "%" PRIu64 "\n",
                path, method, BUCKETS[i].label, values[i]);
    }
    fprintf(out,
            "cairn_http_request_duration_seconds_sum{route=\"%s\",method=\"%s\"} %" PRIu64
            ".%06" PRIu64 "\n",
            path, method, us / 1000000, us % 1000000);
    fprintf(out,
            "cairn_http_request_duration_seconds_count{route=\"%s\",method=\"%s\"} %" PRIu64 "\n",
            path, method, sum);
}

static void write_http(FILE *out, struct metrics *metrics, const struct metrics_server *server)
{
    fputs("# HELP cairn_http_requests_total Answered requests.\n"
          "# TYPE cairn_http_requests_total counter\n",
          out);
    for (size_t i = 0; i <= route_count(); i++) {
        const struct route *route = route_at(i);
        write_statuses(out, route, &metrics->routes[route ? i : ROUTES_MAX]);
    }
    fputs("# HELP cairn_http_request_duration_seconds Time until the answer was taken.\n"
          "# TYPE cairn_http_request_duration_seconds histogram\n",
          out);
    for (size_t i = 0; i <= route_count(); i++) {
        const struct route *route = route_at(i);
        write_durations(out, route, &metrics->routes[route ? i : ROUTES_MAX]);
    }
    gauge(out, "http_connections", "Open connections.", server->connections);
    gauge(out, "http_inflight", "Requests being answered.", server->inflight);
    gauge(out, "http_sse_clients", "Open streams.", server->streams);
    counter(out, "http_rate_limited_total", "Requests refused by a token bucket.",
            atomic_load(&metrics->events[METRICS_RATE_LIMITED]));
    counter(out, "http_connections_refused_total", "Connections refused by a limit.",
            atomic_load(&metrics->events[METRICS_CONNECTION_REFUSED]));
    counter(out, "http_deadlines_total", "Connections closed at a deadline.",
            atomic_load(&metrics->events[METRICS_DEADLINE]));
}

char *metrics_text(struct metrics *metrics, struct node *node, const struct metrics_server *server,
                   const char *version, size_t *count)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, count);
    if (!out) return NULL;
    write_info(out, node, version);
    write_node(out, node);
    write_http(out, metrics, server);
    write_process(out);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
