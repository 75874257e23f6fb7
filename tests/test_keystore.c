/* tools/keystore: a damaged, weakened or exposed key file is refused, clearly. */
#include "tests/support_cmocka.h"

#include "log/bytes.h"
#include "log/hash.h"
#include "log/io.h"
#include "tests/support_crash.h"
#include "tests/support_damage.h"
#include "tests/support_disk_internal.h"
#include "tools/keystore.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PASSPHRASE       "correct horse"
#define PASSPHRASE_COUNT 13

static struct io io;
static char folder[64], path[128];
static const uint8_t SEED[KEYSTORE_SEED_BYTES] = {1, 2, 3, 4, 5};

static int start(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/cairn-keystore-XXXXXX");
    if (hash_init() != STATUS_OK || io_posix_init(&io, 8) != STATUS_OK || !mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/k.key", folder);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    unlink(path);
    io_deinit(&io);
    return rmdir(folder);
}

static struct keystore_info development_key(void)
{
    struct keystore_info info = {.purpose = KEYSTORE_WALLET,
                                 .cost = KEYSTORE_COST_DEVELOPMENT,
                                 .derived = true,
                                 .account = 1,
                                 .role = 2,
                                 .index = 3};
    unlink(path);
    assert_int_equal(keystore_save(&io, path, &info, SEED, PASSPHRASE, PASSPHRASE_COUNT),
                     STATUS_OK);
    return info;
}

static void write_all(const uint8_t *bytes, size_t count)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(file >= 0);
    assert_int_equal(write(file, bytes, count), (ssize_t)count);
    close(file);
}

static void read_all(uint8_t bytes[KEYSTORE_FILE_BYTES])
{
    int file = open(path, O_RDONLY);
    assert_true(file >= 0);
    assert_int_equal(read(file, bytes, KEYSTORE_FILE_BYTES), KEYSTORE_FILE_BYTES);
    close(file);
}

static enum status try_open(void)
{
    struct keystore_key key;
    enum status status = keystore_open(&io, path, PASSPHRASE, PASSPHRASE_COUNT, &key);
    if (status != STATUS_OK) assert_null(key.secret);
    keystore_close(&key);
    return status;
}

static void keystore_gives_back_what_was_saved(void **state)
{
    (void)state;
    struct keystore_info saved = development_key(), info;
    struct keystore_key key;
    assert_int_equal(keystore_read_info(&io, path, &info), STATUS_OK);
    assert_int_equal(info.purpose, KEYSTORE_WALLET);
    assert_int_equal(info.cost, KEYSTORE_COST_DEVELOPMENT);
    assert_true(info.derived);
    assert_int_equal(info.account * 100 + info.role * 10 + info.index, 123);
    assert_memory_equal(info.public_key, saved.public_key, 32);
    assert_int_equal(keystore_open(&io, path, PASSPHRASE, PASSPHRASE_COUNT, &key), STATUS_OK);
    assert_memory_equal(key.secret, SEED, KEYSTORE_SEED_BYTES);
    assert_memory_equal(key.secret + 32, saved.public_key, 32);
    keystore_close(&key);
    struct stat info_stat;
    assert_int_equal(stat(path, &info_stat), 0);
    assert_int_equal(info_stat.st_mode & 07777, 0600);
}

static void keystore_stores_no_plain_seed_and_no_repeated_salt(void **state)
{
    (void)state;
    uint8_t first[KEYSTORE_FILE_BYTES], second[KEYSTORE_FILE_BYTES];
    development_key();
    read_all(first);
    development_key();
    read_all(second);
    assert_null(memmem(first, sizeof first, SEED, 5));
    assert_memory_not_equal(first + 40, second + 40, 16);
    assert_memory_not_equal(first + 56, second + 56, 24);
    assert_memory_not_equal(first + 112, second + 112, 48);
}

static void keystore_refuses_a_wrong_passphrase(void **state)
{
    (void)state;
    struct keystore_key key;
    development_key();
    assert_int_equal(keystore_open(&io, path, "correct horsf", 13, &key), STATUS_BAD_PASSPHRASE);
    assert_int_equal(keystore_open(&io, path, PASSPHRASE, 12, &key), STATUS_BAD_PASSPHRASE);
    assert_int_equal(keystore_open(&io, path, "", 0, &key), STATUS_BAD_PASSPHRASE);
    struct keystore_info info = {.purpose = KEYSTORE_WALLET, .cost = KEYSTORE_COST_DEVELOPMENT};
    unlink(path);
    assert_int_equal(keystore_save(&io, path, &info, SEED, "", 0), STATUS_RANGE);
    assert_int_equal(access(path, F_OK), -1);
}

static void keystore_refuses_every_flipped_bit(void **state)
{
    (void)state;
    uint8_t file[KEYSTORE_FILE_BYTES];
    development_key();
    read_all(file);
    for (size_t bit = 0; bit < KEYSTORE_FILE_BYTES * 8; bit++) {
        file[bit / 8] ^= (uint8_t)(1u << bit % 8);
        write_all(file, sizeof file);
        enum status status = try_open();
        enum status expected = STATUS_BAD_PASSPHRASE;
        if (bit < 8 * 8 || (bit >= 28 * 8 && bit < 40 * 8)) expected = STATUS_CORRUPT;
        if (bit >= 8 * 8 && bit < 10 * 8) expected = STATUS_UNSUPPORTED;
        if (bit >= 10 * 8 && bit < 28 * 8)
            assert_true(status == STATUS_CORRUPT || status == STATUS_BAD_PASSPHRASE);
        else
            assert_int_equal(status, expected);
        file[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    write_all(file, sizeof file);
    assert_int_equal(try_open(), STATUS_OK);
}

static enum status try_decode(const uint8_t file[KEYSTORE_FILE_BYTES])
{
    struct keystore_key key;
    enum status status =
        keystore_decode(file, KEYSTORE_FILE_BYTES, PASSPHRASE, PASSPHRASE_COUNT, &key);
    assert_int_equal(key.secret != NULL, status == STATUS_OK);
    keystore_close(&key);
    return status;
}

static void keystore_refuses_every_damaged_byte(void **state)
{
    (void)state;
    uint8_t file[KEYSTORE_FILE_BYTES];
    development_key();
    read_all(file);
    for (size_t at = 0; at < sizeof file; at++) {
        uint8_t old = file[at];
        for (unsigned which = 0; which < DAMAGE_WAYS; which++) {
            file[at] = damage_byte(old, which);
            if (file[at] != old) assert_int_not_equal(try_decode(file), STATUS_OK);
        }
        file[at] = old;
    }
    assert_int_equal(try_decode(file), STATUS_OK);
}

/* Whoever knows the passphrase may seal anything; a seed that does not make the public key that the
 * header names is not taken for a key all the same. */
static void keystore_refuses_damage_behind_a_new_tag(void **state)
{
    (void)state;
    uint8_t file[KEYSTORE_FILE_BYTES], seed[KEYSTORE_SEED_BYTES], key[32];
    development_key();
    read_all(file);
    assert_int_equal(crypto_pwhash_argon2id(key, sizeof key, PASSPHRASE, PASSPHRASE_COUNT,
                                            file + 40, crypto_pwhash_argon2id_OPSLIMIT_MIN,
                                            crypto_pwhash_argon2id_MEMLIMIT_MIN,
                                            crypto_pwhash_argon2id_ALG_ARGON2ID13),
                     0);
    for (size_t at = 0; at < 64; at++) {
        uint8_t *byte = at < 32 ? &seed[at] : &file[80 + at - 32];
        memcpy(seed, SEED, sizeof seed);
        uint8_t old = *byte;
        for (unsigned which = 0; which < DAMAGE_WAYS; which++) {
            *byte = damage_byte(old, which);
            crypto_aead_xchacha20poly1305_ietf_encrypt(file + 112, NULL, seed, sizeof seed, file,
                                                       112, NULL, file + 56, key);
            assert_int_equal(try_decode(file), *byte == old ? STATUS_OK : STATUS_CORRUPT);
        }
        *byte = old;
    }
}

/* ---- power cuts ---- */

static uint64_t draws;

static const char *draw_name(void)
{
    return "counter";
}

static void draw(void *const out, const size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ((uint8_t *)out)[i] = (uint8_t)(disk_mix(draws++) >> 8);
    }
}

static uint32_t draw_one(void)
{
    uint32_t one;
    draw(&one, sizeof one);
    return one;
}

static enum status save_on(struct io *on)
{
    struct keystore_info info = {.purpose = KEYSTORE_WALLET, .cost = KEYSTORE_COST_DEVELOPMENT};
    draws = 0;
    return keystore_save(on, "keys/k", &info, SEED, PASSPHRASE, PASSPHRASE_COUNT);
}

/* The key is whole or absent; absent, it can be saved again, whatever else was left. */
static void check_image(struct disk *image, void *context)
{
    const bool *saved = context;
    const uint8_t *bytes;
    size_t count;
    struct io on = disk_io(image);
    bool is_there = disk_file(image, "keys/k", &bytes, &count);
    assert_true(is_there || !*saved);
    if (!is_there) {
        assert_int_equal(save_on(&on), STATUS_OK);
        assert_true(disk_file(image, "keys/k", &bytes, &count));
    }
    assert_int_equal(count, KEYSTORE_FILE_BYTES);
    assert_int_equal(try_decode(bytes), STATUS_OK);
}

static void keystore_save_survives_power_cuts(void **state)
{
    (void)state;
    static struct randombytes_implementation counter = {
        .implementation_name = draw_name, .random = draw_one, .buf = draw};
    struct disk *disk;
    assert_int_equal(randombytes_set_implementation(&counter), 0);
    for (size_t tear = 1; tear <= 512; tear *= 8) {
        for (uint64_t nth = 1;; nth++) {
            disk_open(&disk);
            struct io on = disk_io(disk);
            assert_int_equal(io_mkdir(&on, "keys"), STATUS_OK);
            assert_int_equal(io_dir_sync(&on, "."), STATUS_OK);
            disk_tear_set(disk, tear);
            disk_crash_at_change(disk, nth);
            bool saved = save_on(&on) == STATUS_OK, crashed = disk_crashed(disk);
            disk_crash(disk);
            const struct crash_cut cut = {.most = 1000, .turn = 0, .promise = saved, .depth = 1};
            crash_each(disk, &cut, check_image, &saved);
            disk_close(disk);
            if (!crashed) break;
        }
    }
    assert_int_equal(randombytes_set_implementation(&randombytes_sysrandom_implementation), 0);
    crash_report();
    assert_true(crash_images() >= 50);
}

static void keystore_refuses_every_other_length(void **state)
{
    (void)state;
    uint8_t file[KEYSTORE_FILE_BYTES + 1] = {0};
    development_key();
    read_all(file);
    for (size_t count = 0; count <= sizeof file; count++) {
        if (count == KEYSTORE_FILE_BYTES) continue;
        write_all(file, count);
        assert_int_equal(try_open(), STATUS_CORRUPT);
    }
}

static void keystore_spends_nothing_on_a_kdf_bomb(void **state)
{
    (void)state;
    static const struct {
        uint32_t passes;
        uint64_t memory_bytes;
    } BOMBS[] = {
        {UINT32_MAX, UINT64_C(1) << 30},
        {11, UINT64_C(1) << 30},
        {3, (UINT64_C(4) << 30) + 1},
        {4, UINT64_MAX},
        {1, 8193},
        {2, 8192},
        {3, (UINT64_C(256) << 20) - 1},
        {0, 0},
        {2, UINT64_C(256) << 20},
    };
    uint8_t file[KEYSTORE_FILE_BYTES];
    struct keystore_info info;
    development_key();
    read_all(file);
    for (size_t i = 0; i < sizeof BOMBS / sizeof BOMBS[0]; i++) {
        store_u32(file + 28, BOMBS[i].passes);
        store_u64(file + 32, BOMBS[i].memory_bytes);
        write_all(file, sizeof file);
        assert_int_equal(try_open(), STATUS_CORRUPT);
    }
    store_u32(file + 28, KEYSTORE_PASSES_MAX);
    store_u64(file + 32, KEYSTORE_MEMORY_BYTES_MAX);
    assert_int_equal(keystore_decode_info(file, sizeof file, &info), STATUS_OK);
    assert_int_equal(info.cost, KEYSTORE_COST_NORMAL);
}

static void keystore_refuses_a_file_that_others_may_read(void **state)
{
    (void)state;
    struct keystore_info info;
    development_key();
    const mode_t modes[] = {0644, 0640, 0620, 0610, 0604, 0602, 0601};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(try_open(), STATUS_PERMISSION);
        assert_int_equal(keystore_read_info(&io, path, &info), STATUS_PERMISSION);
    }
    assert_int_equal(keystore_read_info(&io, folder, &info), STATUS_CORRUPT);
    unlink(path);
    assert_int_equal(try_open(), STATUS_NOT_FOUND);
}

static void keystore_never_writes_over_a_key(void **state)
{
    (void)state;
    uint8_t before[KEYSTORE_FILE_BYTES], after[KEYSTORE_FILE_BYTES];
    struct keystore_info info = development_key();
    read_all(before);
    assert_int_equal(keystore_save(&io, path, &info, SEED, PASSPHRASE, PASSPHRASE_COUNT),
                     STATUS_EXISTS);
    read_all(after);
    assert_memory_equal(before, after, sizeof before);
}

static void keystore_wallet_cost_is_moderate(void **state)
{
    (void)state;
    struct keystore_info info = {.purpose = KEYSTORE_WALLET};
    unlink(path);
    assert_int_equal(keystore_save(&io, path, &info, SEED, PASSPHRASE, PASSPHRASE_COUNT),
                     STATUS_OK);
    assert_int_equal(info.kdf_passes, 3);
    assert_int_equal(info.kdf_memory_bytes, UINT64_C(256) << 20);
    assert_int_equal(try_open(), STATUS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keystore_gives_back_what_was_saved),
        cmocka_unit_test(keystore_stores_no_plain_seed_and_no_repeated_salt),
        cmocka_unit_test(keystore_refuses_a_wrong_passphrase),
        cmocka_unit_test(keystore_refuses_every_flipped_bit),
        cmocka_unit_test(keystore_refuses_every_damaged_byte),
        cmocka_unit_test(keystore_refuses_damage_behind_a_new_tag),
        cmocka_unit_test(keystore_save_survives_power_cuts),
        cmocka_unit_test(keystore_refuses_every_other_length),
        cmocka_unit_test(keystore_spends_nothing_on_a_kdf_bomb),
        cmocka_unit_test(keystore_refuses_a_file_that_others_may_read),
        cmocka_unit_test(keystore_never_writes_over_a_key),
        cmocka_unit_test(keystore_wallet_cost_is_moderate),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
