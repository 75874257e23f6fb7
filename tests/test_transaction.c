/* The envelope: one encoding, authorities, signatures. */
#include "apply/transaction.h"

#include "log/signature.h"
#include "tests/support_chain.h"

static struct fold chain;

static size_t plain(uint8_t bytes[TX_BYTES_MAX])
{
    struct fold_tx tx;
    fold_tx_start(&chain, &tx, &chain.keys[0], 3);
    tx.memo = "f\xc3\xbcr Anna";
    fold_tx_transfer(&tx, chain.keys[1].address, ASSET_COIN, 12);
    return fold_tx_sign(&tx, bytes);
}

static void tx_open_names_what_it_accepts(void **state)
{
    (void)state;
    uint8_t bytes[TX_BYTES_MAX], again[TX_BYTES_MAX], id[32];
    size_t count = plain(bytes), length;
    struct tx_view view;
    assert_int_equal(tx_open(bytes, count, &view), STATUS_OK);
    hash_bytes(HASH_TRANSACTION, bytes, count, id);
    assert_memory_equal(view.id, id, 32);
    assert_memory_equal(view.sender, chain.keys[0].address, 32);
    assert_int_equal(view.content.count + 2 + 65, count);
    assert_int_equal(tx_verify(&view, chain.genesis_id), STATUS_OK);
    assert_int_equal(tx_encode(&view.tx, again, sizeof again, &length), STATUS_OK);
    assert_int_equal(length, count);
    assert_memory_equal(again, bytes, count);
}

static void tx_open_refuses_every_cut_and_every_added_byte(void **state)
{
    (void)state;
    uint8_t bytes[TX_BYTES_MAX];
    size_t count = plain(bytes);
    struct tx_view view;
    for (size_t cut = 0; cut < count; cut++) {
        assert_int_not_equal(tx_open(bytes, cut, &view), STATUS_OK);
    }
    bytes[count] = 0;
    assert_int_equal(tx_open(bytes, count + 1, &view), STATUS_TRAILING);
}

static void tx_longer_than_any_may_be_is_refused_by_its_length(void **state)
{
    (void)state;
    static uint8_t bytes[TX_BYTES_MAX + TX_SIGNED_BYTES_MAX];
    size_t count = plain(bytes);
    struct tx_view view;
    assert_int_equal(tx_open(bytes, TX_BYTES_MAX, &view), STATUS_TRAILING);
    assert_int_equal(tx_open(bytes, TX_BYTES_MAX + 1, &view), STATUS_RANGE);
    assert_int_equal(tx_open(bytes, count, &view), STATUS_OK);
    view.content.count = TX_SIGNED_BYTES_MAX;
    assert_int_equal(tx_verify(&view, chain.genesis_id), STATUS_FULL);
}

static void tx_verify_refuses_every_flipped_bit(void **state)
{
    (void)state;
    uint8_t bytes[TX_BYTES_MAX], id[32];
    size_t count = plain(bytes), opened = 0;
    struct tx_view view;
    assert_int_equal(tx_open(bytes, count, &view), STATUS_OK);
    memcpy(id, view.id, 32);
    for (size_t bit = 0; bit < 8 * count; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (tx_open(bytes, count, &view) == STATUS_OK) {
            opened++;
            assert_memory_not_equal(view.id, id, 32);
            assert_int_equal(tx_verify(&view, chain.genesis_id), STATUS_BAD_SIGNATURE);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(opened > 4 * count); /* most flips are other well-formed transactions */
}

static void tx_verify_is_bound_to_the_chain(void **state)
{
    (void)state;
    uint8_t bytes[TX_BYTES_MAX], other[32];
    size_t count = plain(bytes);
    struct tx_view view;
    memcpy(other, chain.genesis_id, 32);
    other[31] ^= 1;
    assert_int_equal(tx_open(bytes, count, &view), STATUS_OK);
    assert_int_equal(tx_verify(&view, other), STATUS_BAD_SIGNATURE);
    assert_int_equal(tx_check(&view, &chain.params, chain_tag_of(chain.genesis_id), 1), OUTCOME_OK);
    assert_int_equal(tx_check(&view, &chain.params, chain_tag_of(chain.genesis_id) + 1, 1),
                     OUTCOME_WRONG_CHAIN);
}

/* ---- policies ---- */

struct policy {
    uint8_t threshold;
    size_t key_count;
    const struct fold_key *keys[TX_KEYS_MAX];
    size_t signer_count;
    uint8_t signers[TX_KEYS_MAX]; /* the index that is written; its key signs if there is one */
    uint16_t kind;
};

static size_t policy_tx(const struct policy *policy, uint8_t bytes[TX_BYTES_MAX])
{
    uint8_t keys[TX_KEYS_MAX * 32], body[256], operations[512], message[TX_SIGNED_BYTES_MAX];
    size_t body_bytes, message_bytes;
    for (size_t i = 0; i < policy->key_count; i++) {
        memcpy(keys + 32 * i, policy->keys[i]->key, 32);
    }
    struct transfer transfer = {.amount = 1};
    assert_int_equal(transfer_encode(&transfer, body, sizeof body, &body_bytes), STATUS_OK);
    struct operation operation = {.kind = policy->kind, .body = {body, body_bytes}};
    struct writer o = writer_of(operations, sizeof operations);
    operation_write(&o, &operation);
    struct tx_content content = {
        .version = TX_VERSION,
        .authority = {TX_SCHEME_ED25519,
                      policy->threshold,
                      {keys, 32 * policy->key_count, (uint32_t)policy->key_count}},
        .valid_until = 1,
        .operations = {operations, writer_bytes(&o), 1},
    };
    struct writer w = writer_of(bytes, TX_BYTES_MAX);
    tx_content_write(&w, &content);
    assert_int_equal(tx_signed_bytes((struct bytes){bytes, writer_bytes(&w)}, chain.genesis_id,
                                     message, sizeof message, &message_bytes),
                     STATUS_OK);
    write_u16(&w, (uint16_t)policy->signer_count);
    for (size_t i = 0; i < policy->signer_count; i++) {
        struct tx_signature signature = {.key_index = policy->signers[i]};
        size_t key = policy->signers[i] < policy->key_count ? policy->signers[i] : 0;
        signature_make(policy->keys[key]->secret, message, message_bytes, signature.signature);
        tx_signature_write(&w, &signature);
    }
    return writer_bytes(&w);
}

static void tx_policy_needs_its_threshold_in_order(void **state)
{
    (void)state;
    struct fold_key key[3], swap;
    for (uint64_t i = 0; i < 3; i++) {
        fold_key_make(500 + i, &key[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = i + 1; j < 3; j++) {
            if (memcmp(key[i].key, key[j].key, 32) < 0) continue;
            swap = key[i];
            key[i] = key[j];
            key[j] = swap;
        }
    }
    const struct {
        enum status status;
        struct policy policy;
    } cases[] = {
        {STATUS_OK, {2, 3, {&key[0], &key[1], &key[2]}, 2, {0, 2}, 1}},
        {STATUS_OK, {3, 3, {&key[0], &key[1], &key[2]}, 3, {0, 1, 2}, 1}},
        {STATUS_RANGE, {2, 3, {&key[0], &key[1], &key[2]}, 1, {0}, 1}},
        {STATUS_RANGE, {2, 3, {&key[0], &key[1], &key[2]}, 3, {0, 1, 2}, 1}},
        {STATUS_RANGE, {3, 2, {&key[0], &key[1]}, 3, {0, 1, 2}, 1}},
        {STATUS_RANGE, {2, 1, {&key[0]}, 2, {0, 0}, 1}},
        {STATUS_RANGE, {2, 3, {&key[0], &key[1], &key[2]}, 2, {0, 3}, 1}},
        {STATUS_NONCANONICAL, {2, 3, {&key[0], &key[1], &key[2]}, 2, {2, 0}, 1}},
        {STATUS_NONCANONICAL, {2, 3, {&key[0], &key[1], &key[2]}, 2, {1, 1}, 1}},
        {STATUS_NONCANONICAL, {2, 3, {&key[1], &key[0], &key[2]}, 2, {0, 1}, 1}},
        {STATUS_NONCANONICAL, {2, 2, {&key[1], &key[1]}, 2, {0, 1}, 1}},
        {STATUS_UNSUPPORTED, {2, 3, {&key[0], &key[1], &key[2]}, 2, {0, 2}, 65535}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[TX_BYTES_MAX];
        struct tx_view view;
        size_t count = policy_tx(&cases[i].policy, bytes);
        enum status status = tx_open(bytes, count, &view);
        if (status != cases[i].status) fail_msg("case %zu: %s", i, status_name(status));
        if (status != STATUS_OK) continue;
        assert_int_equal(tx_verify(&view, chain.genesis_id), STATUS_OK);
        bytes[count - 1] ^= 0x01; /* the last of the signatures */
        assert_int_equal(tx_open(bytes, count, &view), STATUS_OK);
        assert_int_equal(tx_verify(&view, chain.genesis_id), STATUS_BAD_SIGNATURE);
    }
}

static void tx_address_depends_on_keys_and_threshold(void **state)
{
    (void)state;
    uint8_t keys[64], address[3][32];
    memcpy(keys, chain.keys[0].key, 32);
    memcpy(keys + 32, chain.keys[1].key, 32);
    struct authority authority = {TX_SCHEME_ED25519, 1, {keys, 64, 2}};
    address_of(&authority, address[0]);
    authority.threshold = 2;
    address_of(&authority, address[1]);
    address_of_key(chain.keys[0].key, address[2]);
    assert_memory_not_equal(address[0], address[1], 32);
    assert_memory_not_equal(address[0], address[2], 32);
    assert_memory_not_equal(address[1], address[2], 32);
}

static void tx_open_refuses_bodies_and_memos_that_are_not_well_formed(void **state)
{
    (void)state;
    uint8_t bytes[TX_BYTES_MAX], body[transfer_bytes_max + 1] = {0};
    struct tx_view view;
    struct fold_tx tx;
    fold_tx_start(&chain, &tx, &chain.keys[0], 0);
    fold_tx_operation(&tx, OPERATION_TRANSFER, body, transfer_bytes_max); /* amount 0 */
    assert_int_equal(tx_open(bytes, fold_tx_sign(&tx, bytes), &view), STATUS_RANGE);
    body[36] = 1;
    fold_tx_start(&chain, &tx, &chain.keys[0], 0);
    fold_tx_operation(&tx, OPERATION_TRANSFER, body, transfer_bytes_max);
    assert_int_equal(tx_open(bytes, fold_tx_sign(&tx, bytes), &view), STATUS_OK);
    tx.memo = "two\nlines";
    assert_int_equal(tx_open(bytes, fold_tx_sign(&tx, bytes), &view), STATUS_NONCANONICAL);
    fold_tx_start(&chain, &tx, &chain.keys[0], 0);
    fold_tx_operation(&tx, OPERATION_TRANSFER, body, transfer_bytes_max + 1);
    assert_int_equal(tx_open(bytes, fold_tx_sign(&tx, bytes), &view), STATUS_TRAILING);
}

static int prepare(void **state)
{
    (void)state;
    fold_open(&chain, NULL, NULL);
    return 0;
}

static int leave(void **state)
{
    (void)state;
    fold_close(&chain);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tx_open_names_what_it_accepts),
        cmocka_unit_test(tx_open_refuses_every_cut_and_every_added_byte),
        cmocka_unit_test(tx_longer_than_any_may_be_is_refused_by_its_length),
        cmocka_unit_test(tx_verify_refuses_every_flipped_bit),
        cmocka_unit_test(tx_verify_is_bound_to_the_chain),
        cmocka_unit_test(tx_policy_needs_its_threshold_in_order),
        cmocka_unit_test(tx_address_depends_on_keys_and_threshold),
        cmocka_unit_test(tx_open_refuses_bodies_and_memos_that_are_not_well_formed),
    };
    return cmocka_run_group_tests(tests, prepare, leave);
}
