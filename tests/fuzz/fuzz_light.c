/* F14. Any bytes as a proof file for a light client: of all files near the true ones, only the true ones are
 * believed, under each of three trusts.
 *
 * The chain, four epochs with changing validators, is made at the start from fixed seeds. Input: which
 * trust (1), the file. */
#include "replica/light_make.h"
#include "tests/fuzz/records.h"
#include "tests/support_certified.h"

#define TRUSTS    3
#define FILE_MAX  (96 * 1024)
#define LAST_FILE 24

static struct certified_chain chain;
static struct light_trust trusts[TRUSTS]; /* genesis, epochs 1 and 2 */
static struct {
    uint8_t bytes[FILE_MAX];
    size_t count;
    unsigned trust;
} files[LAST_FILE];
static size_t file_count;

/* ---- proof files without a log ---- */

static size_t first_of(uint64_t epoch)
{
    size_t height = 1;
    while (chain.at[height].header.epoch < epoch) {
        height++;
    }
    return height;
}

static void set_of(uint64_t epoch, uint8_t *out, struct light_set *set)
{
    struct validator_list list;
    struct params params;
    REQUIRE(light_epoch_of(chain.fold.ledger, epoch, &list, &params) == STATUS_OK);
    struct writer w = writer_of(out, light_set_bytes_max);
    write_u16(&w, (uint16_t)list.count);
    for (uint32_t i = 0; i < list.count; i++) {
        validator_entry_write(&w, &list.at[i]);
    }
    params_write(&w, &params);
    REQUIRE(light_set_decode(out, writer_bytes(&w), set) == STATUS_OK);
}

/* certificate_in answers the certificate that the block at a height carries. */
static struct qc certificate_in(size_t height)
{
    struct block block;
    uint8_t id[HASH_BYTES];
    REQUIRE(block_open(chain.at[height].bytes, chain.at[height].count, &block, id) == STATUS_OK);
    return block.justify.qc;
}

static void add_file(unsigned trust, size_t height, bool with_state)
{
    static uint8_t steps[4 * light_step_bytes_max], sets[4][light_set_bytes_max];
    static uint8_t proof_bytes[PROOF_BYTES_MAX];
    uint8_t headers[header_bytes_max];
    struct light_proof proof = {
        .magic = LIGHT_MAGIC, .version = 1, .from_epoch = trust, .has_start = trust > 0};
    struct writer w = writer_of(steps, sizeof steps);
    for (uint64_t e = trust; e < chain.at[height].header.epoch; e++) {
        struct light_step step = {.header = chain.at[first_of(e + 1) - 1].header};
        step.certificate = certificate_in(first_of(e + 1));
        set_of(e + 1, sets[0], &step.next);
        light_step_write(&w, &step);
        proof.steps.count++;
    }
    proof.steps = (struct list){steps, writer_bytes(&w), proof.steps.count};
    memcpy(proof.genesis_id, chain.fold.genesis_id, HASH_BYTES);
    if (trust > 0) set_of(trust, sets[1], &proof.start);
    w = writer_of(headers, sizeof headers);
    header_write(&w, &chain.at[height].header);
    proof.headers = (struct list){headers, writer_bytes(&w), 1};
    proof.certificate = certificate_in(height + 2);
    if (with_state) {
        /* Of height 0: nothing but the genesis is needed to make its state again. */
        struct ledger *ledger;
        struct ledger_options options = {.view_bytes_max = 0};
        size_t count;
        REQUIRE(chain.at[height].header.exec_height == 0);
        REQUIRE(ledger_open(&ledger, &chain.fold.genesis, &options) == STATUS_OK);
        struct store *store = ledger_store(ledger);
        struct bytes value = store_get(store, TABLE_SUPPLY, (const uint8_t[4]){0});
        REQUIRE(proof_state(store, TABLE_SUPPLY, (const uint8_t[4]){0}, proof_bytes,
                            sizeof proof_bytes, &count) == STATUS_OK);
        memcpy(sets[2], value.at, value.count);
        memset(sets[3], 0, 4);
        proof.has_state = true;
        proof.state = (struct light_state){.table = TABLE_SUPPLY,
                                           .key = {sets[3], 4},
                                           .present = 1,
                                           .value = {sets[2], value.count},
                                           .proof = {proof_bytes, count}};
        ledger_close(ledger);
    }
    REQUIRE(file_count < LAST_FILE);
    files[file_count].trust = trust;
    REQUIRE(light_proof_encode(&proof, files[file_count].bytes, FILE_MAX,
                               &files[file_count].count) == STATUS_OK);
    file_count++;
}

/* ---- the chain ---- */

static void init(void)
{
    const struct fold_key *from = &chain.fold.keys[0];
    certified_open(&chain);
    for (uint32_t i = 0; i < 3; i++) {
        fold_add_set_power(&chain.fold, from, i, chain.pool.set.key[i], 10);
    }
    fold_add_set_power(&chain.fold, from, 3, chain.fold.validator.key, 0);
    while (chain.epoch.number < 3) {
        certified_next(&chain);
        if (chain.epoch.number == 1 && chain.fold.height == chain.epoch.base_height) {
            fold_add_set_power(&chain.fold, from, 4, chain.pool.set.key[5], 3);
            fold_add_set_power(&chain.fold, from, 5, chain.pool.set.key[0], 0);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        certified_next(&chain);
    }
    light_trust_genesis(&chain.fold.genesis, chain.fold.genesis_id, &trusts[0]);
    for (unsigned epoch = 1; epoch < TRUSTS; epoch++) {
        const struct header *end = &chain.at[first_of(epoch) - 1].header;
        light_trust_checkpoint(chain.fold.genesis_id, epoch, chain.at[first_of(epoch) - 1].id,
                               end->next_set_hash, &trusts[epoch]);
    }
    add_file(0, 1, true);
    for (unsigned trust = 0; trust < TRUSTS; trust++) {
        for (uint64_t epoch = trust; epoch <= 3; epoch++) {
            add_file(trust, first_of(epoch), false);
        }
    }
    for (size_t i = 0; i < file_count; i++) {
        struct light_result result;
        const char *why;
        REQUIRE(light_verify(&trusts[files[i].trust],
                             (struct bytes){files[i].bytes, files[i].count}, &result,
                             &why) == STATUS_OK);
    }
}

static bool is_true(unsigned trust, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < file_count; i++) {
        if (files[i].trust == trust && files[i].count == count &&
            memcmp(files[i].bytes, bytes, count) == 0)
            return true;
    }
    return false;
}

static void run(const uint8_t *data, size_t count)
{
    static struct light_result result;
    const char *why;
    if (count == 0) return;
    unsigned trust = data[0] % TRUSTS;
    enum status status =
        light_verify(&trusts[trust], (struct bytes){data + 1, count - 1}, &result, &why);
    REQUIRE((status == STATUS_OK) == is_true(trust, data + 1, count - 1));
    REQUIRE((status == STATUS_OK) == (why[0] == 0));
}

static size_t mutate(uint8_t *data, size_t count, size_t capacity, struct fuzz_random *random)
{
    if (capacity == 0) return count;
    if (count == 0 || fuzz_odds(random, 8)) {
        size_t at = fuzz_below(random, file_count);
        if (files[at].count + 1 > capacity) return count;
        data[0] = (uint8_t)files[at].trust;
        memcpy(data + 1, files[at].bytes, files[at].count);
        count = files[at].count + 1;
    }
    if (fuzz_odds(random, 32)) {
        data[0] = (uint8_t)fuzz_next(random);
        return count;
    }
    return 1 + record_mutate(&light_proof_schema, data + 1, count - 1, capacity - 1, random);
}

const struct fuzz_target FUZZ_TARGET = {
    .input_bytes_max = 16 * 1024,
    .allocation_base = 64 * 1024 * 1024,
    .init = init,
    .run = run,
    .mutate = mutate,
};
