/* Accounts: one of them, and pages of all that hold coins. */
#include "api/handle.h"
#include "api/json.h"
#include "api/read.h"
#include "apply/operation.h"
#include "apply/tables.h"

SHAPE(account_balance_shape, "AccountBalance", "What an account holds of one asset",
      FIELD(NUMBER, "asset", "0 is the coin"), FIELD(U64, "amount", "base units, liquid"))

SHAPE(account_shape, "Account", "An account", FIELD(ADDRESS, "address", "address"),
      FIELD_OBJECT_LIST("balances", account_balance_shape, "by asset"),
      FIELD(U64, "nonce", "paid transactions so far"),
      FIELD(U64, "nonce_next", "for the next transaction: pending ones are counted"),
      FIELD(BOOL, "exists", "the state has a record of it"),
      FIELD_MAYBE(TEXT, "pool", "name of the chain's own account"))

SHAPE(account_summary_shape, "AccountSummary", "A balance of the state",
      FIELD(ADDRESS, "address", "owner"), FIELD(NUMBER, "asset", "0 is the coin"),
      FIELD(U64, "amount", "base units, liquid"))

static json_t *balance_json(uint32_t asset, uint64_t amount)
{
    json_t *item = json_object();
    json_set_number(item, "asset", asset);
    json_set_u64(item, "amount", amount);
    return item;
}

void handle_account(struct request *request)
{
    const uint8_t *address = request_param(request, "address")->bytes;
    const struct route_value *height = request_param(request, "height");
    struct state_read state;
    struct balance account;
    if (!state_begin(request, height->given, height->number, &state)) return;
    bool known = state_account(&state, address, &account);
    state_end(&state);
    uint64_t next = height->given ? account.nonce : node_mempool_nonce(request->node, address);
    json_t *data = json_object(), *balances = json_array();
    if (account.amount > 0)
        json_array_append_new(balances, balance_json(ASSET_COIN, account.amount));
    json_set_address(data, "address", address);
    json_set(data, "balances", balances);
    json_set_u64(data, "nonce", account.nonce);
    json_set_u64(data, "nonce_next", next < account.nonce ? account.nonce : next);
    json_set_bool(data, "exists", known);
    json_set_text(data, "pool", pool_name(address));
    reply_data(request, 200, data, &state.meta);
}

/* ---- pages ---- */

static bool add_account(void *context, const uint8_t path[HASH_BYTES], const uint8_t *key,
                        struct bytes value)
{
    struct table_page *page = context;
    struct balance_key parts;
    struct balance balance;
    if (balance_key_decode(key, balance_key_bytes_max, &parts) != STATUS_OK ||
        balance_decode(value.at, value.count, &balance) != STATUS_OK || balance.amount == 0)
        return true;
    if (table_page_is_full(page, path)) return false;
    json_t *item = json_object();
    json_set_address(item, "address", parts.address);
    json_set_number(item, "asset", parts.asset);
    json_set_u64(item, "amount", balance.amount);
    json_array_append_new(page->list, item);
    return true;
}

void handle_accounts(struct request *request)
{
    reply_table(request, 'a', TABLE_BALANCE, add_account);
}
