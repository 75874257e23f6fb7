/* tools/testnet: several nodes that know each other, and what each of them holds. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log/signature.h"
#include "tests/support_cmocka.h"
#include "tools/config.h"
#include "tools/home.h"
#include "tools/testnet_internal.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)

static char root[64];
static struct io io;
static struct testnet_made made;
static struct config config;

static int make_root(void **state)
{
    (void)state;
    memcpy(root, "/tmp/cairn-testnet-XXXXXX", sizeof "/tmp/cairn-testnet-XXXXXX");
    return mkdtemp(root) && hash_init() == STATUS_OK && io_posix_init(&io, 4) == STATUS_OK ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    io_deinit(&io);
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static struct testnet_options options_of(uint32_t validators, uint32_t observers)
{
    static char directory[96];
    static unsigned number;
    snprintf(directory, sizeof directory, "%s/net%u", root, number++);
    return (struct testnet_options){.directory = directory,
                                    .chain_name = "test",
                                    .preset = TESTNET_DEV,
                                    .validators = validators,
                                    .observers = observers,
                                    .load_keys = 1,
                                    .journal_bytes = UINT64_C(80) << 20,
                                    .time_us = UINT64_C(1700000000000000)};
}

static const char *home_of(const struct testnet_options *options, size_t index)
{
    static char home[128];
    snprintf(home, sizeof home, "%s/node%zu", options->directory, index);
    return home;
}

static void read_config(const char *home)
{
    static struct config_faults faults;
    char path[IO_PATH_MAX];
    uint8_t *bytes;
    size_t count;
    OK(home_path(home, "config/config.yaml", path));
    OK(home_read(&io, path, CONFIG_FILE_BYTES_MAX, &bytes, &count));
    config_init(&config);
    faults.count = 0;
    config_read_yaml(&config, (const char *)bytes, count, "config.yaml", &faults);
    config_check_together(&config, &faults);
    assert_int_equal(faults.count, 0);
    free(bytes);
}

static bool is_there(const char *home, const char *name)
{
    char path[IO_PATH_MAX];
    OK(home_path(home, name, path));
    return access(path, F_OK) == 0;
}

static void every_node_has_the_genesis_a_key_of_its_own_and_the_others_as_peers(void **state)
{
    (void)state;
    static struct peer_address peers[CONFIG_PEERS_MAX];
    struct testnet_options options = options_of(3, 2);
    const uint64_t powers[] = {10, 9, 5};
    struct validator_list list;
    options.powers = powers;
    options.base_port = 30000;
    OK(testnet_make(&io, &options, &made));
    assert_int_equal(made.count, 5);
    for (size_t i = 0; i < 5; i++) {
        const char *home = home_of(&options, i);
        struct home_genesis genesis;
        uint8_t secret[64];
        char text[32];
        OK(home_open_genesis(&io, home, &genesis));
        assert_memory_equal(genesis.id, made.genesis_id, HASH_BYTES);
        validator_list_of(&genesis.genesis.validators, &list); /* node i is validator i */
        assert_int_equal(list.count, 3);
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(list.at[j].power, powers[j]);
        }
        home_close_genesis(&genesis);
        OK(home_open_node_key(&io, home, secret));
        assert_memory_equal(secret + 32, made.node[i].key, 32);
        assert_int_equal(is_there(home, "validator"), i < 3);
        assert_int_equal(home_has_validator(&io, home), i < 3);
        read_config(home);
        snprintf(text, sizeof text, "127.0.0.1:%zu", 30000 + 10 * i);
        assert_string_equal(config.api_listen_addr.text, text);
        snprintf(text, sizeof text, "127.0.0.1:%zu", 30003 + 10 * i);
        assert_string_equal(config.metrics_listen_addr.text, text);
        snprintf(text, sizeof text, "127.0.0.1:%zu", 29999 + 10 * i);
        assert_string_equal(config.p2p_listen_addr.text, text);
        assert_int_equal(config_peers(config.p2p_persistent_peers.text, peers), 4);
        for (size_t j = 0; j < 4; j++) {
            const struct testnet_node *other = &made.node[j < i ? j : j + 1];
            assert_true(peers[j].has_key);
            assert_memory_equal(peers[j].key, other->key, 32);
            assert_int_equal(peers[j].port, other->peers_port);
        }
    }
    assert_int_equal(testnet_make(&io, &options, NULL), STATUS_EXISTS);
}

static void free_ports_are_all_different_and_chosen_when_it_is_made(void **state)
{
    (void)state;
    struct testnet_options options = options_of(1, 3);
    OK(testnet_make(&io, &options, &made));
    for (size_t i = 0; i < 4; i++) {
        read_config(home_of(&options, i));
        assert_string_equal(config.api_listen_addr.text, "127.0.0.1:0");
        assert_true(made.node[i].peers_port != 0);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(made.node[i].peers_port, made.node[j].peers_port);
        }
    }
}

/* Only the settings are written: a hundred journals are more than a test may cost. */
static void a_large_network_keeps_its_validators_together(void **state)
{
    (void)state;
    static struct peer_address peers[CONFIG_PEERS_MAX];
    static struct testnet net;
    struct testnet_options options = options_of(TESTNET_VALIDATORS_MAX, TESTNET_OBSERVERS_MAX);
    char home[96];
    snprintf(home, sizeof home, "%s/large", root);
    OK(home_make(&io, home));
    net = (struct testnet){.io = &io, .options = &options, .made = &made};
    made.count = TESTNET_NODES_MAX;
    for (size_t i = 0; i < made.count; i++) {
        memset(made.node[i].key, (int)i, 32);
    }
    OK(testnet_choose_ports(&net));
    for (size_t i = 0; i < made.count; i += 33) {
        bool is_validator = i < TESTNET_VALIDATORS_MAX;
        OK(testnet_write_config(&net, home, i));
        read_config(home);
        size_t count = config_peers(config.p2p_persistent_peers.text, peers);
        assert_int_equal(count, is_validator ? TESTNET_VALIDATORS_MAX - 1 : TESTNET_OBSERVED);
        for (size_t j = 0; j < count; j++) {
            assert_in_range(peers[j].key[0], 0, TESTNET_VALIDATORS_MAX - 1);
            assert_int_not_equal(peers[j].key[0], i);
        }
    }
    options.base_port = testnet_base_port_max(made.count);
    OK(testnet_choose_ports(&net));
    assert_int_equal(made.node[made.count - 1].metrics_port, UINT16_MAX);
    options.base_port++;
    assert_int_equal(testnet_choose_ports(&net), STATUS_RANGE);
}

static void a_node_key_is_made_once_and_for_its_owner_only(void **state)
{
    (void)state;
    char home[96], path[IO_PATH_MAX];
    uint8_t first[64], again[64];
    struct stat info;
    snprintf(home, sizeof home, "%s/alone", root);
    OK(home_make(&io, home));
    assert_false(is_there(home, "validator"));
    OK(home_open_node_key(&io, home, first));
    OK(home_open_node_key(&io, home, again));
    assert_memory_equal(first, again, 64);
    assert_int_equal(home_write_node_key(&io, home, first), STATUS_EXISTS);
    OK(home_path(home, HOME_NODE_KEY_FILE, path));
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(info.st_size, 32);
    for (size_t size = 0; size < 40; size += 31) { /* 0, 31: not a key */
        assert_int_equal(truncate(path, (off_t)size), 0);
        assert_int_equal(home_open_node_key(&io, home, again), STATUS_CORRUPT);
    }
    assert_int_equal(truncate(path, 33), 0);
    assert_int_equal(home_open_node_key(&io, home, again), STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_node_has_the_genesis_a_key_of_its_own_and_the_others_as_peers),
        cmocka_unit_test(free_ports_are_all_different_and_chosen_when_it_is_made),
        cmocka_unit_test(a_large_network_keeps_its_validators_together),
        cmocka_unit_test(a_node_key_is_made_once_and_for_its_owner_only),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
