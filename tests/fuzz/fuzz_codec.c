/* Any bytes as any declared record: the generated reader and the description agree on them, and what is
 * accepted is written back byte for byte. The first byte chooses the record.
 */
#include "apply/evidence.h"
#include "apply/genesis.h"
#include "apply/receipt.h"
#include "apply/tables.h"
#include "apply/transaction.h"
#include "log/superblock.h"
#include "replica/handshake.h"
#include "replica/replica.h"
#include "tests/fuzz/records.h"

/* X(record). clang-format never settles on a layout for this list. */
/* clang-format off */
#define RECORDS(X)                                                                            \
    X(header) X(qc) X(tc) X(justify) X(body) X(block)                                         \
    X(tx_content) X(tx) X(transfer) X(set_power) X(params) X(genesis)                         \
    X(event) X(block_events) X(receipt) X(block_receipts)                                     \
    X(chain_head) X(epoch_record) X(frontier_record) X(validators) X(participation) X(offences)     \
    X(vote) X(vote_record) X(timeout_record) X(reserve_record) X(cert_record) X(epoch_end_record)   \
    X(checkpoint_record) X(timeout_message) X(standing) X(evidence) X(superblock)            \
    X(handshake_hello) X(handshake_answer) X(handshake_identity)
/* clang-format on */

RECORDS(RECORD_ROUND_TRIP)

static bool (*const CHECKS[])(const uint8_t *, size_t) = {
#define X(record) check_##record,
    RECORDS(X)
#undef X
};

/* What stands behind the codecs: hashes and rules on bytes alone never crash on accepted bytes. */
static void check_rules(const uint8_t *bytes, size_t count)
{
    struct block block;
    struct tx_view view;
    struct genesis genesis;
    uint8_t id[HASH_BYTES];
    const char *rule;
    if (block_open(bytes, count, &block, id) == STATUS_OK) REQUIRE(block.header.height > 0);
    if (tx_open(bytes, count, &view) == STATUS_OK) REQUIRE(view.bytes.count == count);
    if (genesis_open(bytes, count, &genesis, id, &rule) == STATUS_OK) REQUIRE(rule == NULL);
}

static const struct schema *const SCHEMAS[] = {
#define X(record) &record##_schema,
    RECORDS(X)
#undef X
};

#define RECORD_COUNT (sizeof CHECKS / sizeof CHECKS[0])

static void init(void)
{
    REQUIRE(hash_init() == STATUS_OK);
}

static void run(const uint8_t *data, size_t count)
{
    if (count == 0) return;
    CHECKS[data[0] % RECORD_COUNT](data + 1, count - 1);
    check_rules(data + 1, count - 1);
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    if (capacity == 0) return count;
    if (count == 0 || fuzz_odds(random, 64)) {
        data[0] = (uint8_t)fuzz_below(random, RECORD_COUNT);
        count = 1;
    }
    return 1 + record_mutate(SCHEMAS[data[0] % RECORD_COUNT], data + 1, count - 1, capacity - 1,
                             random);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 64 * 1024,
    .init = init,
    .run = run,
    .mutate = mutate,
};
