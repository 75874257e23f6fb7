/* Any bytes as any declared record: the generated reader and the description agree on them, and what is
 * accepted is written back byte for byte. The first byte chooses the record.
 *
 *   cmake -S . -B build-fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DCAIRN_FUZZ=ON
 *   ninja -C build-fuzz fuzz_codec && build-fuzz/fuzz_codec -max_total_time=60
 */
#include <assert.h>
#include <stdlib.h>

#include "apply/genesis.h"
#include "apply/receipt.h"
#include "apply/tables.h"
#include "apply/transaction.h"
#include "log/superblock.h"
#include "replica/replica.h"

#define INPUT_BYTES_MAX (256 * 1024)

/* X(record). clang-format never settles on a layout for this list. */
/* clang-format off */
#define RECORDS(X)                                                                            \
    X(header) X(qc) X(tc) X(justify) X(body) X(block)                                         \
    X(tx_content) X(tx) X(transfer) X(params) X(genesis)                                      \
    X(event) X(block_events) X(receipt) X(block_receipts)                                     \
    X(chain_head) X(epoch_record) X(frontier_record) X(validators)                            \
    X(vote) X(vote_record) X(checkpoint_record) X(superblock)
/* clang-format on */

/* A wrong answer must end the run, in every build. */
static void require(int holds)
{
    if (!holds) abort();
}

#define CHECK_RECORD(record)                                                                       \
    static void check_##record(const uint8_t *bytes, size_t count, uint8_t *again)                 \
    {                                                                                              \
        struct record value;                                                                       \
        size_t written = 0;                                                                        \
        enum status status = record##_decode(bytes, count, &value);                                \
        require(status == schema_check(&record##_schema, bytes, count));                           \
        if (status != STATUS_OK) return;                                                           \
        require(record##_encode(&value, again, INPUT_BYTES_MAX, &written) == STATUS_OK);           \
        require(written == count && memcmp(bytes, again, count) == 0);                             \
    }
RECORDS(CHECK_RECORD)

static void (*const CHECKS[])(const uint8_t *, size_t, uint8_t *) = {
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
    if (block_open(bytes, count, &block, id) == STATUS_OK) require(block.header.height > 0);
    if (tx_open(bytes, count, &view) == STATUS_OK) require(view.bytes.count == count);
    if (genesis_open(bytes, count, &genesis, id, &rule) == STATUS_OK) require(rule == NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(hash_init() == STATUS_OK);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count)
{
    static uint8_t again[INPUT_BYTES_MAX];
    if (count == 0 || count > INPUT_BYTES_MAX) return 0;
    CHECKS[data[0] % (sizeof CHECKS / sizeof CHECKS[0])](data + 1, count - 1, again);
    check_rules(data + 1, count - 1);
    return 0;
}
