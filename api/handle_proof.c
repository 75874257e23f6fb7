/* Proofs, and the search box. */
#include <stdlib.h>
#include <string.h>

#include "api/bech32m.h"
#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/recent.h"
#include "api/text.h"
#include "api/txs.h"
#include "apply/proof.h"
#include "apply/tables.h"
#include "log/merkle.h"

SHAPE(state_proof_shape, "StateProof",
      "ICS-23 CommitmentProof (SMT) over the key table number big-endian | key",
      FIELD(TEXT, "table", "name"), FIELD(NUMBER, "table_number", "number"),
      FIELD(TEXT, "key", "hex, without the table"),
      FIELD(TEXT, "full_key", "hex, what the tree hashes"),
      FIELD(BOOL, "present", "the state has this record"),
      FIELD(KEY, "key_fields", "the key, decoded"), FIELD_MAYBE(BASE64, "value", "canonical bytes"),
      FIELD_MAYBE(RECORD, "record", "the value, decoded"), FIELD(U64, "height", "of the state"),
      FIELD(HASH, "root", "state root after that height"), FIELD(BASE64, "proof", "protobuf"),
      FIELD(BOOL, "certified", "a committed header already names this height's root"))

SHAPE(tx_proof_shape, "TxProof",
      "RFC 6962: leaf = SHA-256(00 | u16 length | bytes); body_root = BLAKE2b-256 of sys_root | "
      "cmd_root",
      FIELD(HASH, "hash", "transaction hash"), FIELD(U64, "height", "block"),
      FIELD(HASH, "block_hash", "its id"), FIELD(NUMBER, "leaf_index", "in the block"),
      FIELD(NUMBER, "tree_size", "transactions of the block"),
      FIELD(BASE64, "bytes", "the transaction"), FIELD(HASH, "leaf", "hash of the leaf"),
      FIELD_LIST(HASH, "path", "siblings, deepest first"),
      FIELD(HASH, "cmd_root", "where the path leads"),
      FIELD(HASH, "sys_root", "over system records"),
      FIELD_SCHEMA("header", header_schema, "its body_root binds both"))

SHAPE(search_hit_shape, "SearchHit", "Something that the text names",
      FIELD(TEXT, "kind", "block, tx or account"), FIELD(TEXT, "id", "height, hash or address"),
      FIELD(TEXT, "path", "where to read about it"))

/* ---- state ---- */

static const struct schema_entry *find_table(const char *text)
{
    uint64_t number;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        if (strcmp(TABLES[i].name, text) == 0) return &TABLES[i];
    }
    if (text_u64_parse(text, &number) != STATUS_OK || number > UINT16_MAX) return NULL;
    return table_find((uint16_t)number);
}

/* read_key takes hex of the exact length; an address where the key begins with one (asset 0). */
static bool read_key(const struct schema_entry *table, const char *text, uint8_t *key, size_t count)
{
    if (text_hex_parse(text, key, count) == STATUS_OK)
        return schema_check(table->key, key, count) == STATUS_OK;
    memset(key, 0, count);
    return table->key->fields[0].kind == SCHEMA_ADDRESS && address_parse(text, key) == STATUS_OK;
}

struct state_proof {
    uint8_t bytes[PROOF_BYTES_MAX], root[HASH_BYTES];
    size_t count;
    json_t *value, *record; /* null, or base64 and decoded */
    struct reply_meta meta;
    struct node_head head;
};

/* make_proof needs the writer's side: the tree is brought up to date first. */
static enum status make_proof(struct node *node, const struct schema_entry *table,
                              const uint8_t *key, struct state_proof *made)
{
    struct ledger *ledger = node_write_begin(node);
    struct store *store = ledger_store(ledger);
    uint8_t slot = 0;
    struct chain_head record;
    enum status status = ledger_root(ledger, made->root);
    if (status == STATUS_OK)
        status =
            proof_state(store, table->number, key, made->bytes, sizeof made->bytes, &made->count);
    struct bytes value = store_get(store, table->number, key);
    made->value = value.at ? json_base64(value.at, value.count) : json_null();
    made->record = value.at ? json_from_bytes(table->body, value.at, value.count) : json_null();
    made->meta = (struct reply_meta){.height = ledger_height(ledger), .has_root = true};
    memcpy(made->meta.state_root, made->root, HASH_BYTES);
    value = store_get(store, TABLE_HEAD, &slot);
    if (value.at && chain_head_decode(value.at, value.count, &record) == STATUS_OK) {
        made->meta.time_us = record.time_us;
        memcpy(made->meta.block_id, record.block_id, HASH_BYTES);
    }
    node_write_end(node);
    node_head(node, &made->head);
    return status;
}

static void reply_proof(struct request *request, const struct schema_entry *table,
                        const uint8_t *key, size_t key_bytes, struct state_proof *made)
{
    char hex[2 * (2 + STORE_KEY_BYTES_MAX) + 1];
    uint8_t full[2 + STORE_KEY_BYTES_MAX];
    full[0] = (uint8_t)(table->number >> 8);
    full[1] = (uint8_t)table->number;
    memcpy(full + 2, key, key_bytes);
    json_t *data = json_object();
    json_set_text(data, "table", table->name);
    json_set_number(data, "table_number", table->number);
    text_hex_format(key, key_bytes, hex);
    json_set_text(data, "key", hex);
    text_hex_format(full, 2 + key_bytes, hex);
    json_set_text(data, "full_key", hex);
    json_set_bool(data, "present", !json_is_null(made->value));
    json_set(data, "key_fields", json_from_bytes(table->key, key, key_bytes));
    json_set(data, "value", made->value);
    json_set(data, "record", made->record);
    json_set_u64(data, "height", made->meta.height);
    json_set_hex(data, "root", made->root, HASH_BYTES);
    json_set_base64(data, "proof", made->bytes, made->count);
    json_set_bool(data, "certified", made->meta.height <= made->head.certified_height);
    reply_data(request, 200, data, &made->meta);
}

void handle_proof_state(struct request *request)
{
    const struct schema_entry *table = find_table(request_param(request, "table")->text);
    uint8_t key[STORE_KEY_BYTES_MAX];
    if (!table) {
        problem_reply(request, "table_not_found", NULL);
        return;
    }
    size_t key_bytes = table->key->bytes_max;
    if (!read_key(table, request_param(request, "key")->text, key, key_bytes)) {
        problem_reply(request, "bad_parameter", "key: hex of the table's key, or an address");
        return;
    }
    struct state_proof *made = calloc(1, sizeof *made);
    enum status status = made ? make_proof(request->node, table, key, made) : STATUS_NO_MEMORY;
    if (status == STATUS_OK) {
        reply_proof(request, table, key, key_bytes, made);
    } else {
        if (made) {
            json_decref(made->value);
            json_decref(made->record);
        }
        problem_status(request, status, NULL);
    }
    free(made);
}

/* ---- a transaction in its block ---- */

/* list_leaves hashes every encoded element of a body list. */
static void list_leaves(const struct list *list, const struct schema *schema,
                        uint8_t (*leaves)[HASH_BYTES])
{
    struct reader r = list_reader(list);
    for (uint32_t i = 0; i < list->count; i++) {
        const uint8_t *start = r.at;
        schema_skip(&r, schema);
        merkle_leaf(start, (size_t)(r.at - start), leaves[i]);
    }
}

static void leaves_root(const uint8_t (*leaves)[HASH_BYTES], uint32_t count,
                        uint8_t root[HASH_BYTES])
{
    struct merkle_frontier frontier;
    merkle_frontier_init(&frontier);
    for (uint32_t i = 0; i < count; i++) {
        merkle_frontier_append(&frontier, leaves[i]);
    }
    merkle_frontier_root(&frontier, root);
}

static json_t *header_json(const struct header *header)
{
    uint8_t bytes[header_bytes_max];
    size_t count;
    if (header_encode(header, bytes, sizeof bytes, &count) != STATUS_OK) return NULL;
    return json_from_bytes(&header_schema, bytes, count);
}

static json_t *path_json(const uint8_t (*leaves)[HASH_BYTES], uint32_t count, uint32_t index)
{
    uint8_t path[MERKLE_DEPTH_MAX][HASH_BYTES];
    size_t path_count;
    char hex[TEXT_HASH_BYTES];
    json_t *list = json_array();
    merkle_path(leaves, count, index, path, &path_count);
    for (size_t i = 0; i < path_count; i++) {
        text_hex_format(path[i], HASH_BYTES, hex);
        json_array_append_new(list, json_string(hex));
    }
    return list;
}

static void reply_tx_proof(struct request *request, const uint8_t id[HASH_BYTES],
                           const struct tx_fact *fact)
{
    const struct body *body = &fact->block.block.body;
    uint32_t count = body->commands.count;
    uint32_t longer = count > body->system.count ? count : body->system.count;
    uint8_t(*leaves)[HASH_BYTES] = calloc(longer, HASH_BYTES);
    uint8_t system_root[HASH_BYTES], command_root[HASH_BYTES];
    if (!leaves) {
        problem_reply(request, "internal", "not enough memory");
        return;
    }
    list_leaves(&body->system, &system_record_schema, leaves);
    leaves_root((const uint8_t(*)[HASH_BYTES])leaves, body->system.count, system_root);
    list_leaves(&body->commands, &command_schema, leaves);
    leaves_root((const uint8_t(*)[HASH_BYTES])leaves, count, command_root);
    json_t *data = json_object();
    json_set_hex(data, "hash", id, HASH_BYTES);
    json_set_u64(data, "height", fact->height);
    json_set_hex(data, "block_hash", fact->block.record.id, HASH_BYTES);
    json_set_number(data, "leaf_index", fact->index);
    json_set_number(data, "tree_size", count);
    json_set_base64(data, "bytes", fact->tx.at, fact->tx.count);
    json_set_hex(data, "leaf", leaves[fact->index], HASH_BYTES);
    json_set(data, "path", path_json((const uint8_t(*)[HASH_BYTES])leaves, count, fact->index));
    json_set_hex(data, "cmd_root", command_root, HASH_BYTES);
    json_set_hex(data, "sys_root", system_root, HASH_BYTES);
    json_set(data, "header", header_json(&fact->block.block.header));
    free(leaves);
    struct reply_meta meta = block_meta(&fact->block);
    reply_data(request, 200, data, &meta);
}

void handle_proof_tx(struct request *request)
{
    const uint8_t *id = request_param(request, "hash")->bytes;
    struct tx_fact fact;
    enum status status = tx_find(request->node, id, &fact);
    if (status == STATUS_BUSY)
        problem_reply(request, "index_behind", NULL);
    else if (status != STATUS_OK)
        problem_status(request, status, NULL);
    else if (!fact.included)
        problem_reply(request, "tx_not_found", "no block has it");
    else
        reply_tx_proof(request, id, &fact);
    tx_fact_release(&fact);
}

/* ---- search ---- */

static void add_hit(json_t *list, const char *kind, const char *id, const char *path)
{
    char full[160] = {0};
    json_t *hit = json_object();
    strncat(full, path, 32);
    strncat(full, id, 100);
    json_set_text(hit, "kind", kind);
    json_set_text(hit, "id", id);
    json_set_text(hit, "path", full);
    json_array_append_new(list, hit);
}

static void search_hash(struct request *request, const char *text, const uint8_t id[HASH_BYTES],
                        json_t *list)
{
    struct tx_fact fact;
    uint64_t height;
    if (recent_find(server_recent(request->server), id, &height))
        add_hit(list, "block", text, "/v1/blocks/");
    if (tx_find(request->node, id, &fact) == STATUS_OK && fact.status)
        add_hit(list, "tx", text, "/v1/txs/");
    tx_fact_release(&fact);
}

void handle_search(struct request *request)
{
    const struct route_value *query = request_param(request, "q");
    uint8_t bytes[HASH_BYTES];
    uint64_t height;
    struct node_head head;
    if (!query->given) {
        problem_reply(request, "bad_parameter", "q is required");
        return;
    }
    node_head(request->node, &head);
    json_t *list = json_array();
    if (text_u64_parse(query->text, &height) == STATUS_OK) {
        if (height >= 1 && height <= head.height)
            add_hit(list, "block", query->text, "/v1/blocks/");
    } else if (address_parse(query->text, bytes) == STATUS_OK) {
        char address[ADDRESS_TEXT_BYTES];
        address_format(bytes, address); /* lower case, however it was typed */
        add_hit(list, "account", address, "/v1/accounts/");
    } else if (text_hex_parse(query->text, bytes, HASH_BYTES) == STATUS_OK) {
        search_hash(request, query->text, bytes, list);
    }
    struct reply_meta meta = reply_meta_of(&head);
    reply_list(request, list, NULL, NULL, PAGE_LIMIT_DEFAULT, &meta);
}
