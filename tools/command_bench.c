/* cairn bench tx: the load generator (tools/load.h) as a command. */
#include "tools/command_bench.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "log/hash.h"
#include "tools/load.h"
#include "tools/output.h"
#include "tools/text.h"

static volatile bool stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = true;
}

static const struct option BENCH_OPTIONS[] = {
    {.name = "keys-file",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .text = "seed of the sending keys, 64 hexadecimal digits (testnet writes load.seed)"},
    {.name = "keys",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "100",
     .lo = 2,
     .hi = LOAD_KEYS_MAX,
     .text = "how many keys send"},
    {.name = "txs",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "10000",
     .lo = 1,
     .hi = 10000000,
     .text = "how many transfers"},
    {.name = "rate",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "0",
     .lo = 0,
     .hi = 1000000,
     .text = "transfers a second; 0: as fast as they are admitted"},
    {.name = "batch",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "100",
     .lo = 1,
     .hi = 256,
     .text = "transfers in one request"},
    {.name = "threads",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "2",
     .lo = 1,
     .hi = LOAD_THREADS_MAX,
     .text = "connections that send"},
    {.name = "committed-file",
     .kind = OPTION_TEXT,
     .value = "FILE",
     .text = "append the id of each transfer seen committed"},
    {.name = "forever", .kind = OPTION_FLAG, .text = "until interrupted"},
    {.name = "no-progress", .kind = OPTION_FLAG, .text = "no bar on standard error"},
};

static enum status read_seed(const char *path, uint8_t seed[LOAD_SEED_BYTES])
{
    char text[2 * LOAD_SEED_BYTES + 1] = {0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return STATUS_NOT_FOUND;
    ssize_t count = read(file, text, sizeof text - 1);
    close(file);
    if (count != 2 * LOAD_SEED_BYTES) return STATUS_TRUNCATED;
    return text_parse_hex(text, seed, LOAD_SEED_BYTES);
}

static json_t *times_json(const struct load_times *times)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)times->count, "min_us",
                     (json_int_t)times->min_us, "p50_us", (json_int_t)times->p50_us, "p90_us",
                     (json_int_t)times->p90_us, "p99_us", (json_int_t)times->p99_us, "max_us",
                     (json_int_t)times->max_us);
}

static json_int_t rate_of(uint64_t count, uint64_t us)
{
    return us == 0 ? 0 : (json_int_t)((u128)count * 1000000 / us);
}

static json_t *report_json(const struct load_report *report)
{
    json_t *result =
        json_pack("{s:I, s:I, s:I, s:I, s:I}", "sent", (json_int_t)report->sent, "admitted",
                  (json_int_t)report->admitted, "refused", (json_int_t)report->refused, "committed",
                  (json_int_t)report->committed, "missing", (json_int_t)report->missing);
    json_object_set_new(result, "admitted_per_second",
                        json_integer(rate_of(report->admitted, report->send_us)));
    json_object_set_new(result, "committed_per_second",
                        json_integer(rate_of(report->committed, report->commit_us)));
    json_object_set_new(result, "admission", times_json(&report->admission));
    json_object_set_new(result, "finality", times_json(&report->finality));
    if (report->refusal[0])
        json_object_set_new(result, "first_refusal", json_string(report->refusal));
    return result;
}

static enum exit_code run_bench_tx(struct call *call)
{
    const char *node = option_text_at(call, "node", 0), *file = option_text(call, "keys-file");
    struct load_options options = {
        .node = node ? node : "http://127.0.0.1:26657",
        .keys = (uint32_t)option_number(call, "keys"),
        .txs = option_number(call, "txs"),
        .rate = option_number(call, "rate"),
        .batch = (uint32_t)option_number(call, "batch"),
        .threads = (unsigned)option_number(call, "threads"),
        .forever = option_flag(call, "forever"),
        .progress = call->output == OUTPUT_TEXT && !option_flag(call, "no-progress"),
        .committed_file = option_text(call, "committed-file"),
        .timeout_ms = option_number(call, "timeout"),
    };
    if (!file) return output_fail(call, EXIT_USAGE, "usage", "--keys-file is needed");
    if (hash_init() != STATUS_OK) return output_fail_status(call, STATUS_UNSUPPORTED, "libraries");
    enum status status = read_seed(file, options.seed);
    if (status != STATUS_OK) return output_fail_status(call, status, file);

    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    struct load_report report;
    status = load_run(&options, &stop_asked, &report);
    enum exit_code code = output_result(call, report_json(&report));
    if (status != STATUS_OK) return output_fail_status(call, status, "load");
    return code == EXIT_OK && report.missing > 0 ? EXIT_UNKNOWN_OUTCOME : code;
}

static const struct action BENCH[] = {
    {.verb = "tx",
     .text = "send signed transfers and report admission and finality apart",
     OPTIONS_OF(BENCH_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_bench_tx},
};
COMMAND_SET(COMMANDS_BENCH, "bench", "put load on a node", BENCH);
