/* cairn log: verify, dump, stats; cairn genesis: show, hash, verify. */
#include "tools/command_log.h"

#include <stdlib.h>

#include "api/json.h"
#include "api/transaction_json.h"
#include "apply/receipt.h"
#include "log/chain.h"
#include "tools/home.h"
#include "tools/output.h"

/* A data directory that is only read. */
struct home_log {
    struct io io;
    bool io_open;
    struct home_genesis genesis;
    char dir[IO_PATH_MAX];
};

static void close_log(struct home_log *log)
{
    home_close_genesis(&log->genesis);
    if (log->io_open) io_deinit(&log->io);
}

static enum exit_code open_log(struct call *call, struct home_log *log)
{
    char home[IO_PATH_MAX];
    *log = (struct home_log){.io_open = false};
    enum status status = call_home(call, home);
    if (status == STATUS_OK) status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&log->io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, "--home");
    log->io_open = true;
    status = home_open_genesis(&log->io, home, &log->genesis);
    if (status == STATUS_OK) status = home_path(home, "data/log", log->dir);
    if (status == STATUS_OK) return EXIT_OK;
    enum exit_code code = log->genesis.rule
                              ? output_fail(call, EXIT_FAILED, "genesis",
                                            "the genesis breaks the rule %s", log->genesis.rule)
                              : output_fail_status(call, status, HOME_GENESIS_FILE);
    close_log(log);
    return code;
}

/* ---- verify and stats ---- */

static json_t *kinds_json(const uint64_t values[SEGMENT_KIND_COUNT])
{
    json_t *object = json_object();
    for (unsigned kind = 0; kind < SEGMENT_KIND_COUNT; kind++) {
        json_object_set_new(object, segment_kind_name((enum segment_kind)kind),
                            output_amount(values[kind]));
    }
    return object;
}

static json_t *report_json(const struct chain_report *report, enum status status)
{
    json_t *json = json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "first_height",
        output_amount(report->first_height), "last_height", output_amount(report->last_height),
        "segments", kinds_json(report->segments), "entries", kinds_json(report->entries), "items",
        kinds_json(report->items), "bytes", kinds_json(report->bytes), "torn_bytes",
        output_amount(report->torn_bytes), "whole", status == STATUS_OK);
    if (report->fault) {
        json_object_set_new(json, "fault",
                            json_pack("{s:s, s:s, s:o, s:o, s:o}", "text", report->fault, "kind",
                                      segment_kind_name(report->fault_kind), "segment",
                                      output_amount(report->fault_segment), "offset",
                                      output_amount(report->fault_offset), "height",
                                      output_amount(report->fault_height)));
    }
    return json;
}

static enum exit_code run_verify(struct call *call)
{
    struct home_log log;
    struct chain_report report;
    enum exit_code code = open_log(call, &log);
    if (code != EXIT_OK) return code;
    enum status status = chain_verify(&log.io, log.dir, log.genesis.id, &report);
    if (status != STATUS_OK && !report.fault) {
        code = output_fail_status(call, status, log.dir);
    } else {
        code = output_result(call, report_json(&report, status));
        if (code == EXIT_OK && status != STATUS_OK) code = EXIT_NOT_VERIFIED;
    }
    close_log(&log);
    return code;
}

static enum exit_code run_stats(struct call *call)
{
    struct home_log log;
    struct chain_reader *reader;
    struct head head;
    uint64_t first, last;
    enum exit_code code = open_log(call, &log);
    if (code != EXIT_OK) return code;
    enum status status = chain_reader_open(&reader, &log.io, log.dir, log.genesis.id);
    if (status == STATUS_OK) {
        status = chain_reader_head(reader, &head);
        if (status == STATUS_OK) status = chain_range(reader, SEGMENT_EVENTS, &first, &last);
        chain_reader_close(reader);
    }
    code = status != STATUS_OK
               ? output_fail_status(call, status, log.dir)
               : output_result(call, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "height",
                                               output_amount(head.mark.height), "block",
                                               output_hex(head.mark.id, HASH_BYTES), "root",
                                               output_hex(head.root, HASH_BYTES), "earliest_height",
                                               output_amount(first), "segment",
                                               output_amount(head.mark.segment), "segment_bytes",
                                               kinds_json(head.mark.end), "generation",
                                               output_amount(head.generation)));
    close_log(&log);
    return code;
}

/* ---- dump ---- */

static const struct option DUMP_OPTIONS[] = {
    {.name = "from",
     .kind = OPTION_U64,
     .value = "HEIGHT",
     .preset = "1",
     .lo = 0,
     .hi = UINT64_MAX,
     .text = "first height"},
    {.name = "to",
     .kind = OPTION_U64,
     .value = "HEIGHT",
     .preset = "18446744073709551615",
     .lo = 0,
     .hi = UINT64_MAX,
     .text = "last height; the published head unless given"},
    {.name = "kind",
     .kind = OPTION_TEXT,
     .value = "KIND",
     .preset = "chain",
     .text = "chain, receipts or events"},
};

static bool kind_of(const char *name, enum segment_kind *kind)
{
    for (unsigned i = 0; i < SEGMENT_KIND_COUNT; i++) {
        *kind = (enum segment_kind)i;
        if (strcmp(name, segment_kind_name(*kind)) == 0) return true;
    }
    return false;
}

static enum exit_code dump(struct call *call, struct chain_reader *reader, enum segment_kind kind)
{
    static const struct schema *const SCHEMAS[] = {&block_schema, &block_receipts_schema,
                                                   &block_events_schema};
    uint64_t first, last, from = option_number(call, "from"), to = option_number(call, "to");
    enum status status = chain_range(reader, kind, &first, &last);
    if (status != STATUS_OK) return output_fail_status(call, status, "log");
    if (from < first) from = first;
    if (to > last) to = last;
    struct chain_buffer buffer = {0};
    for (uint64_t height = from; height <= to && status == STATUS_OK; height++) {
        struct chain_record record;
        status = chain_read(reader, kind, height, &buffer, &record);
        if (status != STATUS_OK) break;
        output_row(call,
                   json_pack("{s:o, s:o, s:o, s:o, s:o}", "height", output_amount(height), "block",
                             output_hex(record.id, HASH_BYTES), "segment",
                             output_amount(record.segment), "offset", output_amount(record.offset),
                             segment_kind_name(kind),
                             json_from_bytes(SCHEMAS[kind], record.body.at, record.body.count)));
    }
    chain_buffer_free(&buffer);
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, "log");
}

static enum exit_code run_dump(struct call *call)
{
    struct home_log log;
    struct chain_reader *reader;
    enum segment_kind kind;
    if (!kind_of(option_text(call, "kind"), &kind)) {
        return output_fail(call, EXIT_USAGE, "usage", "--kind is chain, receipts or events");
    }
    enum exit_code code = open_log(call, &log);
    if (code != EXIT_OK) return code;
    enum status status = chain_reader_open(&reader, &log.io, log.dir, log.genesis.id);
    if (status != STATUS_OK) {
        code = output_fail_status(call, status, log.dir);
    } else {
        code = dump(call, reader, kind);
        chain_reader_close(reader);
    }
    close_log(&log);
    return code;
}

static const struct action LOG[] = {
    {.verb = "verify", .text = "read every byte of the log and check it", .run = run_verify},
    {.verb = "dump",
     .text = "print blocks, receipts or events as JSON lines",
     OPTIONS_OF(DUMP_OPTIONS),
     .run = run_dump},
    {.verb = "stats", .text = "where the published log ends", .run = run_stats},
};
COMMAND_SET(COMMANDS_LOG, "log", "the chain log of a data directory", LOG);

/* ---- genesis ---- */

static enum exit_code run_genesis_show(struct call *call)
{
    struct home_log log;
    enum exit_code code = open_log(call, &log);
    if (code != EXIT_OK) return code;
    code = output_result(call, json_pack("{s:o, s:o}", "chain",
                                         output_hex(log.genesis.id, HASH_BYTES), "genesis",
                                         genesis_to_json(log.genesis.bytes, log.genesis.count)));
    close_log(&log);
    return code;
}

static enum exit_code run_genesis_hash(struct call *call)
{
    struct home_log log;
    enum exit_code code = open_log(call, &log);
    if (code != EXIT_OK) return code;
    code =
        output_result(call, json_pack("{s:o, s:o}", "chain", output_hex(log.genesis.id, HASH_BYTES),
                                      "bytes", output_amount(log.genesis.count)));
    close_log(&log);
    return code;
}

/* run_genesis_make turns a genesis in JSON into the canonical file of --home. */
static enum exit_code run_genesis_make(struct call *call)
{
    char home[IO_PATH_MAX], path[IO_PATH_MAX];
    struct io io;
    uint8_t *text = NULL, *bytes = NULL, id[HASH_BYTES];
    size_t count = 0, written = 0;
    struct json_fault fault = {0};
    struct genesis genesis;
    const char *rule = NULL;
    enum status status = call_home(call, home);
    if (status == STATUS_OK) status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, "--home");
    status = home_read(&io, call->operands[0], JSON_TEXT_MAX, &text, &count);
    json_t *value = status == STATUS_OK ? json_parse((const char *)text, count, &fault) : NULL;
    if (status == STATUS_OK && !value) status = STATUS_USAGE;
    if (status == STATUS_OK && !(bytes = malloc(JSON_TEXT_MAX))) status = STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        struct writer w = writer_of(bytes, JSON_TEXT_MAX);
        status = genesis_from_json(value, &w, &fault);
        written = writer_bytes(&w);
    }
    if (status == STATUS_OK) status = genesis_open(bytes, written, &genesis, id, &rule);
    if (status == STATUS_OK) status = home_make(&io, home);
    if (status == STATUS_OK) status = home_path(home, HOME_GENESIS_FILE, path);
    if (status == STATUS_OK) status = io_write_file(&io, path, bytes, written);
    enum exit_code code;
    if (status == STATUS_OK) {
        code = output_result(
            call, json_pack("{s:o, s:s}", "chain", output_hex(id, HASH_BYTES), "file", path));
    } else if (rule) {
        code = output_fail(call, EXIT_USAGE, "genesis", "the genesis breaks the rule %s", rule);
    } else if (fault.code) {
        code =
            output_fail(call, EXIT_USAGE, fault.code, "at \"%s\": %s", fault.pointer, fault.detail);
    } else {
        code = output_fail_status(call, status, call->operands[0]);
    }
    json_decref(value);
    free(bytes);
    free(text);
    io_deinit(&io);
    return code;
}

static const struct action GENESIS[] = {
    {.verb = "show", .text = "the genesis of a data directory as JSON", .run = run_genesis_show},
    {.verb = "hash", .text = "the chain's name", .run = run_genesis_hash},
    {.verb = "make",
     .text = "check a genesis in JSON and write its canonical bytes to --home",
     .operands = "FILE",
     .operands_min = 1,
     .operands_max = 1,
     .run = run_genesis_make},
};
COMMAND_SET(COMMANDS_GENESIS, "genesis", "the first state of a chain", GENESIS);
