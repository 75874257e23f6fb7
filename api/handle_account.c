/* Accounts: one of them, and pages of all that hold coins. */
#include <string.h>

#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
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

struct page {
    json_t *list;
    uint64_t limit;
    uint8_t next[HASH_BYTES]; /* tree position behind the last item */
    bool more;
};

static bool add_account(void *context, const uint8_t path[HASH_BYTES], const uint8_t *key,
                        struct bytes value)
{
    struct page *page = context;
    struct balance_key parts;
    struct balance balance;
    if (balance_key_decode(key, balance_key_bytes_max, &parts) != STATUS_OK ||
        balance_decode(value.at, value.count, &balance) != STATUS_OK || balance.amount == 0)
        return true;
    if (json_array_size(page->list) == page->limit) {
        page->more = true;
        memcpy(page->next, path, HASH_BYTES);
        return false;
    }
    json_t *item = json_object();
    json_set_address(item, "address", parts.address);
    json_set_number(item, "asset", parts.asset);
    json_set_u64(item, "amount", balance.amount);
    json_array_append_new(page->list, item);
    return true;
}

/* Every page of one walk shows the same height: the cursor carries it. A walk longer than the views
 * last ends with view_gone. */
void handle_accounts(struct request *request)
{
    uint8_t place[8 + HASH_BYTES] = {0};
    bool resumed;
    struct state_read state;
    const struct route_value *height = request_param(request, "height");
    if (!cursor_read(request, 'a', place, sizeof place, &resumed)) {
        problem_reply(request, "bad_cursor", NULL);
        return;
    }
    uint64_t at = resumed ? load_u64(place) : height->number;
    if (!state_begin(request, resumed || height->given, at, &state)) return;
    struct page page = {.list = json_array(), .limit = request_limit(request)};
    enum status status = store_scan(state.store, TABLE_BALANCE, state.height,
                                    resumed ? place + 8 : NULL, add_account, &page);
    uint64_t oldest = store_view_oldest(state.store);
    state_end(&state);
    if (status != STATUS_OK) {
        json_decref(page.list);
        if (status == STATUS_VIEW_GONE)
            problem_too_old(request, status, oldest);
        else
            problem_status(request, status, NULL);
        return;
    }
    char next[CURSOR_BYTES_MAX];
    store_u64(place, state.height);
    memcpy(place + 8, page.next, HASH_BYTES);
    cursor_write('a', place, sizeof place, next);
    reply_list(request, page.list, page.more ? next : NULL, NULL, page.limit, &state.meta);
}
