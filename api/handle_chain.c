/* The chain as a whole: status, genesis, parameters, supply, validators, consensus, fees, pool. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/read.h"
#include "api/server.h"
#include "apply/operation.h"
#include "apply/tables.h"
#include "replica/peers.h"

SHAPE(status_shape, "Status", "Chain, heights and health of this node",
      FIELD(HASH, "chain_id", "genesis hash"), FIELD(TEXT, "chain_name", "name in the genesis"),
      FIELD(NUMBER, "chain_tag", "what transactions carry"),
      FIELD(TEXT, "moniker", "name of the node"), FIELD(TEXT, "version", "of the program"),
      FIELD(TEXT, "role", "validator or follower"), FIELD(U64, "height", "newest executed block"),
      FIELD(U64, "certified_height", "newest height whose root a committed block names"),
      FIELD(U64, "earliest_height", "oldest block that is kept here"),
      FIELD(U64, "epoch", "running epoch"), FIELD(U64, "tx_total", "transactions in the chain"),
      FIELD(U64, "event_total", "events in the chain"), FIELD(BOOL, "ready", "takes transactions"),
      FIELD(BOOL, "signing", "takes part in consensus"),
      FIELD_MAYBE(TEXT, "stopped", "why the loop stopped"),
      FIELD(TEXT, "sync_stage", "replay, blocks (of peers) or live"),
      FIELD(NUMBER, "peers", "connected"), FIELD(U64, "sync_blocks", "blocks replayed"),
      FIELD(U64, "sync_target", "blocks to replay"), FIELD(U64, "log_bytes", "of the chain log"),
      FIELD(U64, "log_segments", "files of the chain log"),
      FIELD(U64, "state_records", "records of the state"),
      FIELD(U64, "disk_free_bytes", "where the data lies"),
      FIELD(TEXT, "disk", "good, low, refusing (transactions) or stopped (signing nothing)"),
      FIELD(TEXT, "io_backend", "uring or posix"))

SHAPE(genesis_view_shape, "GenesisView", "The genesis and its name",
      FIELD(HASH, "chain_id", "BLAKE2b-256 of the canonical bytes"),
      FIELD(BASE64, "bytes", "canonical bytes"),
      FIELD_SCHEMA("genesis", genesis_schema, "the same, decoded"))

SHAPE(params_view_shape, "ParamsView", "Parameters", FIELD(U64, "epoch", "epoch they belong to"),
      FIELD_SCHEMA("params", params_schema, "their values"))

SHAPE(supply_view_shape, "SupplyView", "Where the coins are, in base units",
      FIELD(NUMBER, "asset", "0 is the coin"), FIELD(U64, "issued", "all balances together"),
      FIELD(U64, "burned", "out of circulation"), FIELD(U64, "reward_pool", "funds rewards"),
      FIELD(U64, "treasury", "funds grants"), FIELD(U64, "fees", "of a block in progress"),
      FIELD(U64, "accounts", "held by everybody else"))

SHAPE(validator_shape, "Validator", "A validator of the running epoch",
      FIELD(NUMBER, "index", "in the set, by key"), FIELD(HASH, "key", "consensus key"),
      FIELD(ADDRESS, "operator_address", "receives the proposer's share"),
      FIELD(U64, "power", "voting weight"), FIELD(U64, "power_total", "of the set"),
      FIELD(U64, "voted", "certified blocks of the epoch for which its vote was seen"),
      FIELD(U64, "certified_blocks", "of the epoch so far"),
      FIELD(U64, "proposed", "blocks of the epoch that it proposed"))

SHAPE(consensus_shape, "Consensus", "Where consensus stands", FIELD(U64, "height", "newest block"),
      FIELD(U64, "certified_height", "newest certified height"),
      FIELD(U64, "epoch", "running epoch"), FIELD(U64, "round", "round of the newest block"),
      FIELD(TEXT, "state",
            "what this replica does: guard, idle, lead, follow, timed out, ending, halted"),
      FIELD(U64, "current_round", "it is in"),
      FIELD(U64, "signed_round", "highest that it voted in or gave up"),
      FIELD(U64, "high_qc_round", "of the highest certificate it knows"),
      FIELD(U64, "uncommitted", "blocks above the newest committed one"),
      FIELD(NUMBER, "validators", "in the set"), FIELD(NUMBER, "peers", "connected"),
      FIELD(U64, "rounds_total", "rounds entered since the start"),
      FIELD(U64, "proposals_total", "own proposals since the start"),
      FIELD(U64, "votes_total", "own votes since the start"),
      FIELD(BOOL, "signing", "takes part in consensus"))

SHAPE(peer_shape, "Peer", "A connected peer", FIELD(HASH, "key", "network key"),
      FIELD_MAYBE(HASH, "consensus_key", "that it proved to stand for"),
      FIELD(BOOL, "validator", "that key is in the set"), FIELD(BOOL, "inbound", "it dialled us"),
      FIELD(BOOL, "persistent", "from our configuration"),
      FIELD(U64, "up_seconds", "connected for"), FIELD(U64, "messages_in", "whole messages"),
      FIELD(U64, "messages_out", "whole messages"), FIELD(U64, "bytes_in", "on the wire"),
      FIELD(U64, "bytes_out", "on the wire"),
      FIELD(U64, "dropped", "messages that a full queue lost"),
      FIELD(NUMBER, "score", "of its faults, fading"))

SHAPE(fees_shape, "Fees",
      "fee >= gas * gas_price_min; gas = tx + bytes * byte + signatures * "
      "signature + operations",
      FIELD(U64, "gas_price_min", "base units for one gas"),
      FIELD(U64, "gas_tx", "for each transaction"), FIELD(U64, "gas_byte", "for each byte"),
      FIELD(U64, "gas_signature", "for each signature"),
      FIELD(U64, "gas_transfer", "for a transfer"), FIELD(U64, "gas_set_power", "for a set_power"),
      FIELD(U64, "valid_until_max_blocks", "how far ahead expiry may lie"),
      FIELD(NUMBER, "tx_bytes_max", "longest transaction"))

SHAPE(mempool_shape, "Mempool", "Pending transactions in numbers", FIELD(U64, "txs", "pending"),
      FIELD(U64, "bytes", "their bytes"), FIELD(U64, "rejected_total", "refused since the start"),
      FIELD(U64, "evicted_total", "pushed out since the start"),
      FIELD(U64, "expired_total", "expired since the start"))

/* open_genesis decodes the node's genesis: it has been checked when the node started. */
static bool open_genesis(struct request *request, struct genesis *genesis)
{
    struct bytes bytes = node_genesis(request->node);
    enum status status = genesis_decode(bytes.at, bytes.count, genesis);
    if (status != STATUS_OK) problem_status(request, status, NULL);
    return status == STATUS_OK;
}

static uint64_t earliest_height(struct node *node)
{
    uint64_t first, last;
    return chain_range(node_chain(node), SEGMENT_CHAIN, &first, &last) == STATUS_OK ? first : 0;
}

void handle_status(struct request *request)
{
    struct node_stats stats;
    struct genesis genesis;
    if (!open_genesis(request, &genesis)) return;
    node_stats(request->node, &stats);
    const uint8_t *id = node_genesis_id(request->node);
    json_t *data = json_object();
    json_set_hex(data, "chain_id", id, HASH_BYTES);
    json_set(data, "chain_name",
             json_stringn((const char *)genesis.chain_name.at, genesis.chain_name.count));
    json_set_number(data, "chain_tag", chain_tag_of(id));
    json_set_text(data, "moniker", server_options(request->server)->moniker);
    json_set_text(data, "version", server_options(request->server)->version);
    json_set_text(data, "role", stats.signing ? "validator" : "follower");
    json_set_u64(data, "height", stats.head.height);
    json_set_u64(data, "certified_height", stats.head.certified_height);
    json_set_u64(data, "earliest_height", earliest_height(request->node));
    json_set_u64(data, "epoch", stats.head.epoch);
    json_set_u64(data, "tx_total", stats.head.tx_total);
    json_set_u64(data, "event_total", stats.head.event_total);
    json_set_bool(data, "ready", stats.ready && stats.space < NODE_SPACE_REFUSING);
    json_set_bool(data, "signing", stats.signing);
    json_set_text(data, "stopped", stats.stopped);
    json_set_text(data, "sync_stage",
                  stats.replay_blocks < stats.replay_target ? "replay"
                  : stats.syncing                           ? "blocks"
                                                            : "live");
    json_set_number(data, "peers", stats.peers);
    json_set_u64(data, "sync_blocks", stats.replay_blocks);
    json_set_u64(data, "sync_target", stats.replay_target);
    json_set_u64(data, "log_bytes", stats.chain_bytes);
    json_set_u64(data, "log_segments", stats.chain_segments);
    json_set_u64(data, "state_records", stats.state_records);
    json_set_u64(data, "disk_free_bytes", stats.free_bytes);
    json_set_text(data, "disk", node_space_name(stats.space));
    json_set_text(data, "io_backend", stats.io_name ? stats.io_name : "none");
    struct reply_meta meta = reply_meta_of(&stats.head);
    reply_data(request, 200, data, &meta);
}

void handle_genesis(struct request *request)
{
    struct genesis genesis;
    if (!open_genesis(request, &genesis)) return;
    struct bytes bytes = node_genesis(request->node);
    const uint8_t *id = node_genesis_id(request->node);
    if (request_accepts(request, "application/octet-stream")) {
        uint8_t *copy = malloc(bytes.count);
        if (copy) memcpy(copy, bytes.at, bytes.count);
        reply_bytes(request, copy ? 200 : 500, "application/octet-stream", copy,
                    copy ? bytes.count : 0);
        reply_immutable(request, id, "raw");
        return;
    }
    struct reply_meta meta = {.height = 0, .time_us = genesis.time_us};
    memcpy(meta.block_id, id, HASH_BYTES);
    json_t *data = json_object();
    json_set_hex(data, "chain_id", id, HASH_BYTES);
    json_set_base64(data, "bytes", bytes.at, bytes.count);
    json_set(data, "genesis", json_from_bytes(&genesis_schema, bytes.at, bytes.count));
    reply_data(request, 200, data, &meta);
    reply_immutable(request, id, "genesis");
}

static bool begin(struct request *request, struct state_read *state)
{
    const struct route_value *height = request_param(request, "height");
    return state_begin(request, height->given, height->number, state);
}

/* epoch_of reads the record of the running epoch. */
static uint64_t epoch_of(const struct state_read *state)
{
    uint8_t slot = 0;
    struct epoch_record epoch;
    struct bytes value = state_get(state, TABLE_EPOCH, &slot);
    if (!value.at || epoch_record_decode(value.at, value.count, &epoch) != STATUS_OK) return 0;
    return epoch.number;
}

void handle_params(struct request *request)
{
    struct state_read state;
    uint8_t slot = PARAMS_CURRENT;
    if (!begin(request, &state)) return;
    struct bytes value = state_get(&state, TABLE_PARAMS, &slot);
    json_t *data = json_object();
    json_set_u64(data, "epoch", epoch_of(&state));
    json_set(data, "params", json_from_bytes(&params_schema, value.at, value.count));
    state_end(&state);
    reply_data(request, 200, data, &state.meta);
}

static uint64_t pool_amount(const struct state_read *state, enum pool pool)
{
    uint8_t address[32];
    struct balance account;
    pool_address(pool, address);
    (void)state_account(state, address, &account);
    return account.amount;
}

void handle_supply(struct request *request)
{
    struct state_read state;
    struct supply supply = {.issued = 0};
    uint8_t asset[4] = {0};
    if (!begin(request, &state)) return;
    struct bytes value = state_get(&state, TABLE_SUPPLY, asset);
    if (!value.at || supply_decode(value.at, value.count, &supply) != STATUS_OK) supply.issued = 0;
    uint64_t reward = pool_amount(&state, POOL_REWARD);
    uint64_t treasury = pool_amount(&state, POOL_TREASURY);
    uint64_t fees = pool_amount(&state, POOL_FEES);
    state_end(&state);
    json_t *data = json_object();
    json_set_number(data, "asset", 0);
    json_set_u64(data, "issued", supply.issued);
    json_set_u64(data, "burned", supply.burned);
    json_set_u64(data, "reward_pool", reward);
    json_set_u64(data, "treasury", treasury);
    json_set_u64(data, "fees", fees);
    /* Invariant I1 makes the pools part of the sum. */
    json_set_u64(data, "accounts", supply.issued - supply.burned - reward - treasury - fees);
    reply_data(request, 200, data, &state.meta);
}

void handle_validators(struct request *request)
{
    struct state_read state;
    struct validators set = {.entries = {.count = 0}};
    if (!begin(request, &state)) return;
    uint8_t key[8];
    store_u64(key, epoch_of(&state));
    struct bytes value = state_get(&state, TABLE_VALIDATORS, key);
    json_t *list = json_array();
    uint64_t total = 0;
    struct validator_entry entry;
    if (value.at && validators_decode(value.at, value.count, &set) == STATUS_OK) {
        struct reader r = list_reader(&set.entries);
        for (uint32_t i = 0; i < set.entries.count; i++) {
            validator_entry_read(&r, &entry);
            total += entry.power; /* bounded by POWER_TOTAL_MAX */
        }
    }
    struct participation counts = {.certified = 0};
    value = state_get(&state, TABLE_PARTICIPATION, key);
    if (value.at && participation_decode(value.at, value.count, &counts) != STATUS_OK)
        counts = (struct participation){.certified = 0};
    struct reader r = list_reader(&set.entries), p = list_reader(&counts.participants);
    for (uint32_t i = 0; i < set.entries.count; i++) {
        struct participant participant = {.voted = 0};
        validator_entry_read(&r, &entry);
        if (i < counts.participants.count) participant_read(&p, &participant);
        json_t *item = json_object();
        json_set_number(item, "index", i);
        json_set_hex(item, "key", entry.key, 32);
        json_set_address(item, "operator_address", entry.operator_address);
        json_set_u64(item, "power", entry.power);
        json_set_u64(item, "power_total", total);
        json_set_u64(item, "voted", participant.voted);
        json_set_u64(item, "certified_blocks", counts.certified);
        json_set_u64(item, "proposed", participant.proposed);
        json_array_append_new(list, item);
    }
    state_end(&state);
    reply_list(request, list, NULL, NULL, VALIDATORS_MAX, &state.meta);
}

void handle_consensus(struct request *request)
{
    struct node_stats stats;
    node_stats(request->node, &stats);
    json_t *data = json_object();
    json_set_u64(data, "height", stats.head.height);
    json_set_u64(data, "certified_height", stats.head.certified_height);
    json_set_u64(data, "epoch", stats.head.epoch);
    json_set_u64(data, "round", stats.head.round);
    json_set_text(data, "state", stats.state);
    json_set_u64(data, "current_round", stats.current_round);
    json_set_u64(data, "signed_round", stats.signed_round);
    json_set_u64(data, "high_qc_round", stats.high_qc_round);
    json_set_u64(data, "uncommitted", stats.uncommitted);
    json_set_number(data, "validators", stats.validators);
    json_set_number(data, "peers", stats.peers);
    json_set_u64(data, "rounds_total", stats.rounds);
    json_set_u64(data, "proposals_total", stats.proposals);
    json_set_u64(data, "votes_total", stats.votes);
    json_set_bool(data, "signing", stats.signing);
    struct reply_meta meta = reply_meta_of(&stats.head);
    reply_data(request, 200, data, &meta);
}

static json_t *peer_json(const struct peer_info *peer, uint64_t now_us)
{
    static const uint8_t NONE[32];
    json_t *item = json_object();
    json_set_hex(item, "key", peer->key, 32);
    if (memcmp(peer->consensus_key, NONE, 32) != 0)
        json_set_hex(item, "consensus_key", peer->consensus_key, 32);
    else
        json_set(item, "consensus_key", json_null());
    json_set_bool(item, "validator", peer->validator);
    json_set_bool(item, "inbound", peer->inbound);
    json_set_bool(item, "persistent", peer->persistent);
    json_set_u64(item, "up_seconds", (now_us - peer->up_since_us) / 1000000);
    json_set_u64(item, "messages_in", peer->link.messages_in);
    json_set_u64(item, "messages_out", peer->link.messages_out);
    json_set_u64(item, "bytes_in", peer->link.bytes_in);
    json_set_u64(item, "bytes_out", peer->link.bytes_out);
    json_set_u64(item, "dropped", peer->link.dropped);
    json_set_number(item, "score", peer->score);
    return item;
}

void handle_peers(struct request *request)
{
    struct node_head head;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
    struct peer_info *peers = calloc(NET_PEERS_MAX, sizeof *peers);
    size_t count = peers ? node_peers(request->node, peers, NET_PEERS_MAX) : 0;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_array_append_new(list, peer_json(&peers[i], now));
    }
    free(peers);
    node_head(request->node, &head);
    struct reply_meta meta = reply_meta_of(&head);
    reply_list(request, list, NULL, NULL, NET_PEERS_MAX, &meta);
}

void handle_fees(struct request *request)
{
    struct state_read state;
    struct params params;
    if (!state_begin(request, false, 0, &state)) return;
    ledger_params(state.ledger, &params);
    state_end(&state);
    json_t *data = json_object();
    json_set_u64(data, "gas_price_min", params.gas_price_min);
    json_set_u64(data, "gas_tx", params.gas_tx);
    json_set_u64(data, "gas_byte", params.gas_byte);
    json_set_u64(data, "gas_signature", params.gas_signature);
    json_set_u64(data, "gas_transfer", params.gas_transfer);
    json_set_u64(data, "gas_set_power", params.gas_set_power);
    json_set_u64(data, "valid_until_max_blocks", params.valid_until_max_blocks);
    json_set_number(data, "tx_bytes_max", params.tx_bytes_max);
    reply_data(request, 200, data, &state.meta);
}

void handle_mempool(struct request *request)
{
    struct node_stats stats;
    node_stats(request->node, &stats);
    json_t *data = json_object();
    json_set_u64(data, "txs", stats.mempool_txs);
    json_set_u64(data, "bytes", stats.mempool_bytes);
    json_set_u64(data, "rejected_total", stats.mempool_rejected);
    json_set_u64(data, "evicted_total", stats.mempool_evicted);
    json_set_u64(data, "expired_total", stats.mempool_expired);
    struct reply_meta meta = reply_meta_of(&stats.head);
    reply_data(request, 200, data, &meta);
}
