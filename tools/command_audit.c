/* cairn audit: replay, invariants, supply, diff, proof. */
#include "tools/command_audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/bech32m.h"
#include "api/json.h"
#include "apply/invariant.h"
#include "apply/proof.h"
#include "apply/tables.h"
#include "log/chain.h"
#include "tools/audit.h"
#include "tools/home.h"
#include "tools/output.h"

#define PROGRESS_EVERY 1000

static const struct option REPLAY_OPTIONS[] = {
    {.name = "to",
     .kind = OPTION_U64,
     .value = "HEIGHT",
     .preset = "18446744073709551615",
     .lo = 0,
     .hi = UINT64_MAX,
     .text = "last height; the published head unless given"},
    {.name = "print-roots", .kind = OPTION_FLAG, .text = "block id and state root of every height"},
    {.name = "skip-signatures",
     .kind = OPTION_FLAG,
     .text = "do not verify signatures of transactions (certificates are verified)"},
    {.name = "full-every",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "1000",
     .lo = 0,
     .hi = UINT64_MAX,
     .text = "recompute every invariant from all records each N blocks, and at the end"},
};

static const struct option TO_OPTION[] = {
    {.name = "to",
     .kind = OPTION_U64,
     .value = "HEIGHT",
     .preset = "18446744073709551615",
     .lo = 0,
     .hi = UINT64_MAX,
     .text = "height to look at; the published head unless given"},
};

/* ---- running an audit ---- */

struct run {
    struct call *call;
    struct io io;
    bool io_open;
    struct home_genesis genesis;
    char log_dir[IO_PATH_MAX];
    struct audit_options options;
    struct audit_report report;
    struct ledger *ledger;
    bool progress;
};

static void on_block(void *context, uint64_t height, const uint8_t id[HASH_BYTES],
                     const uint8_t root[HASH_BYTES])
{
    struct run *run = context;
    output_row(run->call,
               json_pack("{s:o, s:o, s:o}", "height", output_amount(height), "block",
                         output_hex(id, HASH_BYTES), "root", output_hex(root, HASH_BYTES)));
}

static void on_progress(void *context, uint64_t height, uint64_t target)
{
    struct run *run = context;
    if (!run->progress || (height % PROGRESS_EVERY != 0 && height != target)) return;
    fprintf(stderr, "\raudit: height %llu of %llu%s", (unsigned long long)height,
            (unsigned long long)target, height == target ? "\n" : "");
}

static void run_close(struct run *run)
{
    if (run->ledger) ledger_close(run->ledger);
    home_close_genesis(&run->genesis);
    if (run->io_open) io_deinit(&run->io);
}

/* run_home audits one data directory. The failure has been told when it answers another code than
 * EXIT_OK; violations are no failure here. */
static enum exit_code run_home(struct run *run, const char *home)
{
    struct call *call = run->call;
    enum status status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&run->io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, "audit");
    run->io_open = true;
    status = home_open_genesis(&run->io, home, &run->genesis);
    if (status != STATUS_OK) return output_fail_status(call, status, "genesis");
    status = home_path(home, "data/log", run->log_dir);
    if (status != STATUS_OK) return output_fail_status(call, status, home);
    run->options.io = &run->io;
    run->options.log_dir = run->log_dir;
    run->options.genesis = (struct bytes){run->genesis.bytes, run->genesis.count};
    run->options.context = run;
    run->options.progress = on_progress;
    run->progress = call->output == OUTPUT_TEXT && isatty(STDERR_FILENO);
    status = audit_run(&run->options, &run->report, &run->ledger);
    if (status != STATUS_OK && run->report.violations == 0) {
        return output_fail_status(call, status, "audit");
    }
    return EXIT_OK;
}

static enum exit_code run_call(struct run *run)
{
    char home[IO_PATH_MAX];
    enum status status = call_home(run->call, home);
    if (status != STATUS_OK) return output_fail_status(run->call, status, "--home");
    return run_home(run, home);
}

static json_t *report_json(const struct audit_report *report)
{
    uint64_t ms = report->microseconds / 1000;
    char seconds[32];
    snprintf(seconds, sizeof seconds, "%llu.%03llu", (unsigned long long)(ms / 1000),
             (unsigned long long)(ms % 1000));
    json_t *json =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:o}", "chain",
                  output_hex(report->genesis_id, 32), "heights", output_amount(report->heights),
                  "transactions", output_amount(report->transactions), "signatures",
                  output_amount(report->signatures), "invariants_checked",
                  output_amount(report->invariants_checked), "violations",
                  output_amount(report->violations), "seconds", seconds, "block",
                  output_hex(report->last_id, 32), "root", output_hex(report->last_root, 32));
    if (report->violations > 0) {
        json_object_set_new(json, "first_violation",
                            json_pack("{s:o, s:s}", "height", output_amount(report->fault_height),
                                      "text", report->fault));
    }
    return json;
}

/* ---- commands ---- */

static enum exit_code run_replay(struct call *call)
{
    struct run run = {.call = call};
    run.options.to = option_number(call, "to");
    run.options.skip_signatures = option_flag(call, "skip-signatures");
    run.options.full_every = option_number(call, "full-every");
    if (option_flag(call, "print-roots")) run.options.block = on_block;
    enum exit_code code = run_call(&run);
    if (code == EXIT_OK) code = output_result(call, report_json(&run.report));
    if (code == EXIT_OK && run.report.violations > 0) code = EXIT_NOT_VERIFIED;
    run_close(&run);
    return code;
}

static void on_broken(void *context, enum invariant invariant, const char *text)
{
    json_array_append_new(
        context, json_pack("{s:s, s:s}", "invariant", invariant_id(invariant), "text", text));
}

static enum exit_code run_invariants(struct call *call)
{
    struct run run = {.call = call};
    run.options.to = option_number(call, "to");
    run.options.skip_signatures = true;
    enum exit_code code = run_call(&run);
    if (code == EXIT_OK) {
        uint64_t checked = 0;
        json_t *broken = json_array();
        enum status status =
            run.ledger ? invariant_check_all(ledger_store(run.ledger), on_broken, broken, &checked)
                       : STATUS_NOT_FOUND;
        bool clean = json_array_size(broken) == 0 && run.report.violations == 0;
        code = status != STATUS_OK
                   ? output_fail_status(call, status, "invariants")
                   : output_result(call, json_pack("{s:o, s:o, s:o, s:O}", "height",
                                                   output_amount(run.report.heights), "checked",
                                                   output_amount(checked), "violations",
                                                   output_amount(run.report.violations), "broken",
                                                   broken));
        json_decref(broken);
        if (code == EXIT_OK && !clean) code = EXIT_NOT_VERIFIED;
    }
    run_close(&run);
    return code;
}

static uint64_t pool_amount(const struct ledger *ledger, enum pool pool)
{
    uint8_t address[HASH_BYTES];
    uint64_t nonce, amount;
    pool_address(pool, address);
    ledger_account(ledger, address, &nonce, &amount);
    return amount;
}

static enum exit_code run_supply(struct call *call)
{
    struct run run = {.call = call};
    run.options.to = option_number(call, "to");
    run.options.skip_signatures = true;
    enum exit_code code = run_call(&run);
    if (code == EXIT_OK && !run.ledger) code = output_fail_status(call, STATUS_NOT_FOUND, "state");
    if (code == EXIT_OK) {
        const struct ledger *ledger = run.ledger;
        uint64_t burned = pool_amount(ledger, POOL_BURNED),
                 reward = pool_amount(ledger, POOL_REWARD);
        uint64_t treasury = pool_amount(ledger, POOL_TREASURY),
                 fees = pool_amount(ledger, POOL_FEES);
        code = output_result(
            call,
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "height",
                      output_amount(run.report.heights), "issued", output_amount(GENESIS_SUPPLY),
                      "burned", output_amount(burned), "reward_pool", output_amount(reward),
                      "treasury", output_amount(treasury), "fees", output_amount(fees), "accounts",
                      output_amount(GENESIS_SUPPLY - burned - reward - treasury - fees),
                      "violations", output_amount(run.report.violations)));
        if (code == EXIT_OK && run.report.violations > 0) code = EXIT_NOT_VERIFIED;
    }
    run_close(&run);
    return code;
}

/* ---- diff ---- */

struct diff {
    struct store *other;
    json_t *rows;
    uint64_t count;
    uint16_t table;
    bool missing_only; /* second pass: what the other has and this one lacks */
};

#define DIFF_ROWS_MAX 100

static bool diff_record(void *context, const uint8_t path[HASH_BYTES], const uint8_t *key,
                        struct bytes value)
{
    struct diff *diff = context;
    (void)path;
    struct bytes other = store_get(diff->other, diff->table, key);
    bool same =
        other.at && other.count == value.count && memcmp(other.at, value.at, value.count) == 0;
    if (same || (diff->missing_only && other.at)) return true;
    if (diff->count++ >= DIFF_ROWS_MAX) return true;
    const struct schema_entry *table = table_find(diff->table);
    json_t *here = output_hex(value.at, value.count);
    json_t *there = other.at ? output_hex(other.at, other.count) : json_null();
    json_array_append_new(diff->rows, json_pack("{s:s, s:o, s:o, s:o}", "table", table->name, "key",
                                                output_hex(key, table->key->bytes_max), "a",
                                                diff->missing_only ? there : here, "b",
                                                diff->missing_only ? here : there));
    return true;
}

static enum status diff_stores(struct ledger *a, struct ledger *b, struct diff *diff)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        struct ledger *from = pass == 0 ? a : b;
        diff->other = ledger_store(pass == 0 ? b : a);
        diff->missing_only = pass == 1;
        for (size_t i = 0; i < TABLE_COUNT; i++) {
            diff->table = TABLES[i].number;
            TRY(store_scan(ledger_store(from), diff->table, ledger_height(from), NULL, diff_record,
                           diff));
        }
    }
    return STATUS_OK;
}

static enum exit_code run_diff(struct call *call)
{
    struct run a = {.call = call}, b = {.call = call};
    a.options.to = b.options.to = option_number(call, "to");
    a.options.skip_signatures = b.options.skip_signatures = true;
    enum exit_code code = run_home(&a, call->operands[0]);
    /* Two logs of different length are compared at the lower height. */
    if (code == EXIT_OK) {
        b.options.to = a.report.heights;
        code = run_home(&b, call->operands[1]);
    }
    if (code == EXIT_OK && b.report.heights < a.report.heights) {
        run_close(&a);
        a = (struct run){.call = call};
        a.options.to = b.report.heights;
        a.options.skip_signatures = true;
        code = run_home(&a, call->operands[0]);
    }
    if (code == EXIT_OK && a.ledger && b.ledger) {
        struct diff diff = {.rows = json_array()};
        enum status status = diff_stores(a.ledger, b.ledger, &diff);
        if (status != STATUS_OK) {
            json_decref(diff.rows);
            code = output_fail_status(call, status, "diff");
        } else {
            code = output_result(call, json_pack("{s:o, s:o, s:o, s:o, s:o}", "height",
                                                 output_amount(a.report.heights), "root_a",
                                                 output_hex(a.report.last_root, 32), "root_b",
                                                 output_hex(b.report.last_root, 32), "differences",
                                                 output_amount(diff.count), "records", diff.rows));
            if (code == EXIT_OK && diff.count > 0) code = EXIT_NOT_VERIFIED;
        }
    }
    run_close(&a);
    run_close(&b);
    return code;
}

/* ---- proof ---- */

static const struct option PROOF_OPTIONS[] = {
    {.name = "to",
     .kind = OPTION_U64,
     .value = "HEIGHT",
     .preset = "18446744073709551615",
     .lo = 0,
     .hi = UINT64_MAX,
     .text = "height of the state; the published head unless given"},
    {.name = "asset",
     .kind = OPTION_U64,
     .value = "N",
     .preset = "0",
     .lo = 0,
     .hi = UINT32_MAX,
     .text = "asset of the balance"},
};

/* An account's balance record is proven from the refolded state and the proof is verified. */
static enum exit_code run_proof(struct call *call)
{
    uint8_t key[36], full_key[38];
    enum status status = address_parse(call->operands[0], key);
    if (status != STATUS_OK) return output_fail(call, EXIT_USAGE, "usage", "not an address");
    store_u32(key + 32, (uint32_t)option_number(call, "asset"));
    full_key[0] = TABLE_BALANCE >> 8;
    full_key[1] = TABLE_BALANCE & 0xff;
    memcpy(full_key + 2, key, sizeof key);

    struct run run = {.call = call};
    run.options.to = option_number(call, "to");
    run.options.skip_signatures = true;
    enum exit_code code = run_call(&run);
    uint8_t *proof = malloc(PROOF_BYTES_MAX);
    if (code == EXIT_OK && (!run.ledger || !proof)) {
        code = output_fail_status(call, STATUS_NO_MEMORY, "proof");
    }
    if (code == EXIT_OK) {
        size_t count = 0;
        struct bytes whole = {full_key, sizeof full_key};
        struct store *store = ledger_store(run.ledger);
        status = proof_state(store, TABLE_BALANCE, key, proof, PROOF_BYTES_MAX, &count);
        struct bytes value = store_get(store, TABLE_BALANCE, key), bytes = {proof, count};
        if (status == STATUS_OK) {
            status = value.at ? proof_verify_presence(PROOF_SMT, run.report.last_root, whole, value,
                                                      bytes)
                              : proof_verify_absence(PROOF_SMT, run.report.last_root, whole, bytes);
        }
        code = status != STATUS_OK
                   ? output_fail_status(call, status, "proof")
                   : output_result(
                         call, json_pack("{s:o, s:o, s:o, s:o, s:o}", "height",
                                         output_amount(run.report.heights), "root",
                                         output_hex(run.report.last_root, 32), "key",
                                         output_hex(full_key, sizeof full_key), "value",
                                         value.at ? output_hex(value.at, value.count) : json_null(),
                                         "proof", json_base64(proof, count)));
    }
    free(proof);
    run_close(&run);
    return code;
}

static const struct action AUDIT[] = {
    {.verb = "replay",
     .text = "refold the log from genesis and check everything on the way",
     OPTIONS_OF(REPLAY_OPTIONS),
     .run = run_replay},
    {.verb = "invariants",
     .text = "recompute every invariant on the state of a height",
     OPTIONS_OF(TO_OPTION),
     .run = run_invariants},
    {.verb = "supply", .text = "where the coins are", OPTIONS_OF(TO_OPTION), .run = run_supply},
    {.verb = "diff",
     .text = "compare the states of two data directories at their common height",
     .operands = "HOME HOME",
     .operands_min = 2,
     .operands_max = 2,
     OPTIONS_OF(TO_OPTION),
     .run = run_diff},
    {.verb = "proof",
     .text = "prove the balance of an account, or its absence, from the log alone",
     .operands = "ADDRESS",
     .operands_min = 1,
     .operands_max = 1,
     OPTIONS_OF(PROOF_OPTIONS),
     .run = run_proof},
};
COMMAND_SET(COMMANDS_AUDIT, "audit", "refold the log and believe nothing", AUDIT);
