#include "api/route.h"

#include <assert.h>
#include <string.h>

#include "api/bech32m.h"
#include "api/handle.h"
#include "api/text.h"
#include "apply/store.h"

/* clang-format off */
#define IN_PATH_TEXT(name, max, text) {name, PARAM_TEXT, true, 1, max, NULL, text, NULL}
#define IN_PATH_HASH(name, text)      {name, PARAM_HASH, true, 0, 0, NULL, text, NULL}
#define IN_PATH_ADDRESS(name, text)   {name, PARAM_ADDRESS, true, 0, 0, NULL, text, NULL}
#define LIMIT  {"limit", PARAM_U64, false, 1, PAGE_LIMIT_MAX, NULL, "items on a page", "50"}
#define CURSOR {"cursor", PARAM_TEXT, false, 1, CURSOR_BYTES_MAX, NULL, "page.next or page.prev of an earlier answer", NULL}
#define ORDER  {"order", PARAM_CHOICE, false, 0, 1, "asc|desc", "order of the items", "desc"}
#define HEIGHT {"height", PARAM_U64, false, 0, UINT64_MAX, NULL, "state after this height; 410 if no view of it is kept", "the newest"}
#define BLOCK  IN_PATH_TEXT("block", 64, "height, block hash or latest")

static const struct route ROUTES[] = {
    {ROUTE_GET, "/", handle_page, ROUTE_HTML, ROUTE_FREE, NULL, "getPage", "node",
     "A page that shows blocks as they arrive", {{0}}},
    {ROUTE_GET, "/livez", handle_livez, ROUTE_TEXT, ROUTE_FREE, NULL, "getLive", "health",
     "The process answers", {{0}}},
    {ROUTE_GET, "/readyz", handle_readyz, ROUTE_TEXT, ROUTE_FREE, NULL, "getReady", "health",
     "The node can serve and take transactions",
     {{"verbose", PARAM_FLAG, false, 0, 1, NULL, "one line for each check", "0"}}},
    {ROUTE_GET, "/startupz", handle_startupz, ROUTE_TEXT, ROUTE_FREE, NULL, "getStarted", "health",
     "The start is over: recovery and replay are done", {{0}}},
    {ROUTE_GET, "/openapi.json", handle_openapi, ROUTE_JSON, ROUTE_PAGE, NULL, "getOpenapi", "node",
     "This description", {{0}}},
    {ROUTE_GET, "/v1/errors", handle_errors, ROUTE_LIST, ROUTE_CHEAP, &error_code_shape,
     "listErrors", "node", "All error codes", {{0}}},
    {ROUTE_GET, "/v1/errors/{code}", handle_error, ROUTE_DATA, ROUTE_CHEAP, &error_code_shape,
     "getError", "node", "What an error code means", {IN_PATH_TEXT("code", 48, "error code")}},
    {ROUTE_GET, "/v1/status", handle_status, ROUTE_DATA, ROUTE_CHEAP, &status_shape, "getStatus",
     "node", "Chain, heights, sync, log and version of this node", {{0}}},
    {ROUTE_GET, "/v1/genesis", handle_genesis, ROUTE_DATA, ROUTE_PAGE, &genesis_view_shape,
     "getGenesis", "chain", "The genesis, whose hash names the chain", {{0}}},
    {ROUTE_GET, "/v1/params", handle_params, ROUTE_DATA, ROUTE_CHEAP, &params_view_shape,
     "getParams", "chain", "Parameters of the running epoch", {HEIGHT}},
    {ROUTE_GET, "/v1/supply", handle_supply, ROUTE_DATA, ROUTE_CHEAP, &supply_view_shape,
     "getSupply", "chain", "Supply of the coin and the pools", {HEIGHT}},
    {ROUTE_GET, "/v1/validators", handle_validators, ROUTE_LIST, ROUTE_CHEAP, &validator_shape,
     "listValidators", "chain", "Validators of the running epoch in key order", {HEIGHT}},
    {ROUTE_GET, "/v1/evidence", handle_evidence, ROUTE_LIST, ROUTE_DEAR, &offender_shape,
     "listEvidence", "chain", "Validators whose offences are recorded, in the order of the state tree",
     {LIMIT, CURSOR, HEIGHT}},
    {ROUTE_GET, "/v1/consensus", handle_consensus, ROUTE_DATA, ROUTE_CHEAP, &consensus_shape,
     "getConsensus", "chain", "Where consensus stands", {{0}}},
    {ROUTE_GET, "/v1/peers", handle_peers, ROUTE_LIST, ROUTE_CHEAP, &peer_shape, "listPeers", "chain",
     "Connected peers by network key; their addresses are not told", {{0}}},
    {ROUTE_GET, "/v1/fees", handle_fees, ROUTE_DATA, ROUTE_CHEAP, &fees_shape, "getFees", "txs",
     "What a transaction costs", {{0}}},
    {ROUTE_GET, "/v1/mempool", handle_mempool, ROUTE_DATA, ROUTE_CHEAP, &mempool_shape,
     "getMempool", "txs", "Pending transactions in numbers", {{0}}},
    {ROUTE_GET, "/v1/blocks", handle_blocks, ROUTE_LIST, ROUTE_PAGE, &block_summary_shape,
     "listBlocks", "blocks", "Blocks, newest first", {LIMIT, CURSOR, ORDER}},
    {ROUTE_GET, "/v1/blocks/{block}", handle_block, ROUTE_DATA, ROUTE_CHEAP, &block_view_shape,
     "getBlock", "blocks", "One block: header, justification, transaction hashes", {BLOCK}},
    {ROUTE_GET, "/v1/blocks/{block}/txs", handle_block_txs, ROUTE_LIST, ROUTE_PAGE, &block_tx_shape,
     "listBlockTxs", "blocks", "Transactions of a block with their receipts, in order",
     {BLOCK, LIMIT, CURSOR}},
    {ROUTE_GET, "/v1/blocks/{block}/events", handle_block_events, ROUTE_LIST, ROUTE_PAGE,
     &event_view_shape, "listBlockEvents", "blocks", "Events of a block in order",
     {BLOCK, LIMIT, CURSOR}},
    {ROUTE_GET, "/v1/blocks/{block}/commit", handle_block_commit, ROUTE_DATA, ROUTE_PAGE,
     &commit_shape, "getBlockCommit", "blocks", "The certificate of a block and who signed it",
     {BLOCK}},
    {ROUTE_GET, "/v1/txs/{hash}", handle_tx, ROUTE_DATA, ROUTE_CHEAP, &tx_status_shape, "getTx",
     "txs", "What became of a transaction", {IN_PATH_HASH("hash", "transaction hash")}},
    {ROUTE_POST, "/v1/txs", handle_submit, ROUTE_DATA, ROUTE_CHEAP, &submission_shape, "submitTx",
     "txs", "Submit one transaction (raw bytes) or a batch (JSON). Submitting again is harmless",
     {{"wait", PARAM_CHOICE, false, 0, 1, "admitted|committed", "what to wait for", "admitted"},
      {"timeout", PARAM_DURATION, false, 1, 30000, NULL, "longest wait, such as 10s or 500ms", "10s"}}},
    {ROUTE_POST, "/v1/txs/batch", handle_batch, ROUTE_DATA, ROUTE_CHEAP, &batch_shape,
     "submitBatch", "txs", "Submit many transactions as bytes; only what is refused is named", {{0}}},
    {ROUTE_POST, "/v1/txs/simulate", handle_simulate, ROUTE_DATA, ROUTE_DEAR, &simulation_shape,
     "simulateTx", "txs", "What a transaction would do now; signatures are not checked", {{0}}},
    {ROUTE_GET, "/v1/accounts", handle_accounts, ROUTE_LIST, ROUTE_DEAR, &account_summary_shape,
     "listAccounts", "accounts", "Accounts that hold coins, in the order of the state tree",
     {LIMIT, CURSOR, HEIGHT}},
    {ROUTE_GET, "/v1/accounts/{address}", handle_account, ROUTE_DATA, ROUTE_CHEAP, &account_shape,
     "getAccount", "accounts", "Balances and nonce of an account",
     {IN_PATH_ADDRESS("address", "address of the account"), HEIGHT}},
    {ROUTE_GET, "/v1/events", handle_events, ROUTE_STREAM, ROUTE_PAGE, &event_line_shape,
     "streamEvents", "streams",
     "Events from a position on, for ever: server-sent events, or JSON lines by Accept",
     {{"from", PARAM_TEXT, false, 1, 40, NULL, "position height.index, itself excluded; 0 is the start; latest", "latest"},
      {"to", PARAM_U64, false, 0, UINT64_MAX, NULL, "end after this height", NULL},
      {"types", PARAM_TEXT, false, 1, 512, NULL, "names of events, separated by commas", NULL},
      {"account", PARAM_ADDRESS, false, 0, 0, NULL, "only events that change a balance of this address", NULL}}},
    {ROUTE_GET, "/v1/notices", handle_notices, ROUTE_STREAM, ROUTE_PAGE, &notice_shape,
     "streamNotices", "streams",
     "Transactions that left this node's pool without inclusion; local, not part of the ledger",
     {{"from", PARAM_TEXT, false, 1, 20, NULL, "sequence, itself excluded; 0 is all that are kept", "0"}}},
    {ROUTE_GET, "/v1/log/blocks", handle_log_blocks, ROUTE_LOG, ROUTE_DEAR, &log_block_shape,
     "listLogBlocks", "log", "Raw blocks of the chain log: JSON lines, or bytes by Accept",
     {{"from", PARAM_U64, false, 1, UINT64_MAX, NULL, "first height", "1"},
      {"limit", PARAM_U64, false, 1, 1000, NULL, "most blocks of one answer", "100"}}},
    {ROUTE_GET, "/v1/proofs/state/{table}/{key}", handle_proof_state, ROUTE_DATA, ROUTE_DEAR,
     &state_proof_shape, "getStateProof", "proofs",
     "ICS-23 proof that the state has, or has not, a record",
     {IN_PATH_TEXT("table", 32, "name or number of the table"),
      IN_PATH_TEXT("key", 2 * STORE_KEY_BYTES_MAX, "key in hex; an address in the tables account and balance")}},
    {ROUTE_GET, "/v1/proofs/tx/{hash}", handle_proof_tx, ROUTE_DATA, ROUTE_DEAR, &tx_proof_shape,
     "getTxProof", "proofs", "RFC 6962 proof that a transaction is in its block",
     {IN_PATH_HASH("hash", "transaction hash")}},
    {ROUTE_GET, "/v1/light/{block}", handle_light, ROUTE_DATA, ROUTE_DEAR, &light_proof_shape,
     "getLightProof", "proofs", "Proof file for light clients: JSON, or bytes by Accept",
     {BLOCK, {"from_epoch", PARAM_U64, false, 0, UINT64_MAX, NULL, "epoch whose validators are trusted", "0"},
      {"tx", PARAM_U64, false, 0, BLOCK_COMMANDS_MAX - 1, NULL, "with this transaction of the block", NULL}}},
    {ROUTE_GET, "/v1/search", handle_search, ROUTE_LIST, ROUTE_PAGE, &search_hit_shape, "search",
     "node", "What a height, a hash or an address names",
     {{"q", PARAM_TEXT, false, 1, 128, NULL, "height, hash or address", NULL}}},
};
/* clang-format on */

size_t route_count(void)
{
    return sizeof ROUTES / sizeof ROUTES[0];
}

const struct route *route_at(size_t index)
{
    return index < route_count() ? &ROUTES[index] : NULL;
}

/* ---- parameters ---- */

static enum status read_choice(const char *choices, const char *text, struct route_value *value)
{
    size_t count = strlen(text);
    value->number = 0;
    for (const char *p = choices;; value->number++) {
        size_t length = strcspn(p, "|");
        if (length == count && memcmp(p, text, count) == 0) return STATUS_OK;
        if (p[length] == '\0') return STATUS_USAGE;
        p += length + 1;
    }
}

static enum status read_duration(const char *text, struct route_value *value)
{
    char digits[16];
    size_t count = strspn(text, "0123456789");
    if (count == 0 || count >= sizeof digits) return STATUS_USAGE;
    memcpy(digits, text, count);
    digits[count] = '\0';
    uint64_t factor = strcmp(text + count, "ms") == 0  ? 1
                      : strcmp(text + count, "s") == 0 ? 1000
                                                       : 0;
    if (factor == 0) return STATUS_USAGE;
    TRY(text_u64_parse(digits, &value->number));
    value->number *= factor; /* at most 15 digits and a factor of 1000: no overflow */
    return STATUS_OK;
}

enum status route_param_read(const struct route_param *param, const char *text,
                             struct route_value *value)
{
    *value = (struct route_value){.given = true, .text = text};
    switch (param->kind) {
    case PARAM_U64:
        if (text_u64_parse(text, &value->number) != STATUS_OK) return STATUS_USAGE;
        break;
    case PARAM_TEXT: value->number = strlen(text); break;
    case PARAM_CHOICE: return read_choice(param->choices, text, value);
    case PARAM_ADDRESS:
        return address_parse(text, value->bytes) == STATUS_OK ? STATUS_OK : STATUS_USAGE;
    case PARAM_HASH:
        return text_hex_parse(text, value->bytes, 32) == STATUS_OK ? STATUS_OK : STATUS_USAGE;
    case PARAM_DURATION:
        if (read_duration(text, value) != STATUS_OK) return STATUS_USAGE;
        break;
    case PARAM_FLAG:
        if (text[0] == '\0' || strcmp(text, "1") == 0)
            value->number = 1;
        else if (strcmp(text, "0") != 0)
            return STATUS_USAGE;
        break;
    }
    return value->number < param->lo || value->number > param->hi ? STATUS_RANGE : STATUS_OK;
}

/* ---- matching ---- */

/* segment_end answers where a segment ends: at a slash or at the end. */
static size_t segment_end(const char *path)
{
    return strcspn(path, "/");
}

/* matches compares a path with a template without changing either. */
static bool matches(const char *template, const char *path)
{
    while (*template && *path) {
        if (*template == '{') {
            size_t count = segment_end(path);
            if (count == 0) return false;
            template += segment_end(template);
            path += count;
        } else if (*template ++ != *path++) {
            return false;
        }
    }
    return *template == *path;
}

/* cut_values ends each path value with a NUL and decodes it in place. */
static bool cut_values(const struct route *route, char *path, struct route_value *values)
{
    const char *template = route->path;
    size_t index = 0;
    bool good = true;
    while (*template) {
        if (*template != '{') {
            template ++;
            path++;
            continue;
        }
        template += segment_end(template);
        char *start = path;
        path += segment_end(path);
        if (*path == '/') {
            *path++ = '\0';
            template ++;
        }
        assert(index < ROUTE_PARAMS_MAX && route->params[index].in_path);
        if (text_percent_decode(start) != STATUS_OK) good = false;
        values[index++] = (struct route_value){.given = true, .text = start};
    }
    return good;
}

const struct route *route_find(enum route_method method, char *path,
                               struct route_value values[ROUTE_PARAMS_MAX], unsigned *allowed,
                               bool *bad_path)
{
    const struct route *found = NULL;
    *allowed = 0;
    *bad_path = false;
    for (size_t i = 0; i < route_count(); i++) {
        if (!matches(ROUTES[i].path, path)) continue;
        *allowed |= 1u << ROUTES[i].method;
        if (ROUTES[i].method == method && !found) found = &ROUTES[i];
    }
    memset(values, 0, ROUTE_PARAMS_MAX * sizeof *values);
    if (found && !cut_values(found, path, values)) *bad_path = true;
    return found;
}
