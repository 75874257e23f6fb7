/* tools/config: one declaration, four sources, and a fault for everything that somebody mistyped. */
#include "tests/support_cmocka.h"

#include "tools/config.h"

#include <stdio.h>
#include <stdlib.h>

static struct config config;
static struct config_faults faults;

static void read_text(const char *yaml)
{
    memset(&faults, 0, sizeof faults);
    config_init(&config);
    config_read_yaml(&config, yaml, strlen(yaml), "config.yaml", &faults);
}

static void config_defaults_stand_alone(void **state)
{
    (void)state;
    memset(&faults, 0, sizeof faults);
    config_init(&config);
    config_check_together(&config, &faults);
    assert_int_equal(faults.count, 0);
    assert_int_equal(config.mempool_max_txs.number, 100000);
    assert_int_equal(config.mempool_max_bytes.number, 64 << 20);
    assert_int_equal(config.api_connection_timeout.number, 10000);
    assert_int_equal(config.explorer_enable.number, 1);
    assert_string_equal(config.api_listen_addr.text, "127.0.0.1:26657");
    assert_string_equal(config.api_listen_addr.origin, "default");
}

static void config_file_sets_values_with_their_lines(void **state)
{
    (void)state;
    read_text("config_version: 1\n"
              "api:\n"
              "  max_page_size: 500   # comment\n"
              "  listen_addr: \"[::1]:0\"\n"
              "  connection_timeout: 5s\n"
              "storage: {io_backend: posix, journal_bytes: 64MiB}\n"
              "explorer:\n"
              "  enable: false\n"
              "log:\n");
    assert_int_equal(faults.count, 0);
    assert_int_equal(config.api_max_page_size.number, 500);
    assert_string_equal(config.api_max_page_size.origin, "config.yaml:3");
    assert_string_equal(config.api_listen_addr.text, "[::1]:0");
    assert_int_equal(config.api_connection_timeout.number, 5000);
    assert_string_equal(config.storage_io_backend.text, "posix");
    assert_int_equal(config.storage_journal_bytes.number, 64 << 20);
    assert_int_equal(config.explorer_enable.number, 0);
}

static void config_names_each_fault_and_its_line(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {
        {"api: {}\n", "config.yaml:1: config_version: 1 is missing"},
        {"config_version: 2\n", "config.yaml:1: config_version: this program reads version 1"},
        {"config_version: 1\napi:\n  max_pagesize: 5\n",
         "config.yaml:3: unknown setting api.max_pagesize; did you mean api.max_page_size?"},
        {"config_version: 1\nappi:\n  max_page_size: 5\n",
         "config.yaml:2: unknown section appi; did you mean api?"},
        {"config_version: 1\nstaking: {}\n", "config.yaml:2: unknown section staking"},
        {"config_version: 1\napi:\n  max_page_size: 0\n",
         "config.yaml:3: api.max_page_size: \"0\" is outside 1..500"},
        {"config_version: 1\napi:\n  max_page_size: 1e3\n",
         "config.yaml:3: api.max_page_size: \"1e3\" is not a decimal number"},
        {"config_version: 1\napi:\n\n  max_body_bytes: 1MB\n",
         "config.yaml:4: api.max_body_bytes: \"1MB\" is not a size such as 64MiB"},
        {"config_version: 1\napi:\n  max_page_size: 5\n  max_page_size: 6\n",
         "config.yaml:4: max_page_size stands twice"},
        {"config_version: 1\napi: {}\napi: {}\n", "config.yaml:3: api stands twice"},
        {"config_version: 1\napi:\n  max_page_size: [5]\n",
         "config.yaml:3: api.max_page_size takes one value"},
        {"config_version: 1\napi: 5\n", "config.yaml:2: api is a section: its keys stand below it"},
        {"config_version: 1\nstorage: {io_backend: aio}\n",
         "config.yaml:2: storage.io_backend: \"aio\" is not one of auto|uring|posix"},
        {"config_version: 1\nlog: {level: loud}\n",
         "config.yaml:2: log.level: \"loud\" is not a level such as info or info,replica=debug"},
        {"config_version: 1\nexplorer: {enable: yes}\n",
         "config.yaml:2: explorer.enable: \"yes\" is not true or false"},
        {"config_version: 1\napi: {listen_addr: 'localhost:1'}\n",
         "config.yaml:2: api.listen_addr: \"localhost:1\" is not a numeric address and port such "
         "as "
         "127.0.0.1:26657"},
        {"- a\n- b\n", "config.yaml:1: not a mapping of sections"},
        {"", "config.yaml:1: not a mapping of sections"},
        {"config_version: 1\n---\nconfig_version: 1\n",
         "config.yaml: a second document follows the first"},
        {"config_version: 1\n? [a]\n: b\n", "config.yaml:2: a key must be a short word"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        read_text(CASES[i][0]);
        assert_int_equal(faults.count, 1);
        assert_string_equal(faults.texts[0], CASES[i][1]);
    }
    read_text("config_version: 1\napi:\n\tmax_page_size: 5\n");
    assert_int_equal(faults.count, 1);
    assert_memory_equal(faults.texts[0], "config.yaml:3: ", 15);
}

static void config_keeps_the_old_value_beside_a_fault(void **state)
{
    (void)state;
    read_text("config_version: 1\napi: {max_page_size: 0, sse_max_clients: 9}\nfoo: {}\nbar: {}\n");
    assert_int_equal(faults.count, 3);
    assert_int_equal(config.api_max_page_size.number, 500);
    assert_int_equal(config.api_sse_max_clients.number, 9);
}

static void config_flag_beats_environment_beats_file(void **state)
{
    (void)state;
    char *environment[] = {"CAIRN_API_MAX_PAGE_SIZE=300",
                           "CAIRN_LOG_LEVEL=debug",
                           "CAIRN_HOME=/x",
                           "CAIRN_VECTORS=/y",
                           "API_MAX_PAGE_SIZE=1",
                           NULL};
    struct setting_given settings[] = {{.key = "api.max_page_size", .text = "400"}};
    read_text(
        "config_version: 1\napi: {max_page_size: 200, sse_max_clients: 9}\nlog: {level: warn}\n");
    config_read_environment(&config, environment, &faults);
    assert_int_equal(config.api_max_page_size.number, 300);
    assert_string_equal(config.api_max_page_size.origin, "CAIRN_API_MAX_PAGE_SIZE");
    config_read_settings(&config, settings, 1, &faults);
    assert_int_equal(faults.count, 0);
    assert_int_equal(config.api_max_page_size.number, 400);
    assert_string_equal(config.api_max_page_size.origin, "--api.max-page-size");
    assert_string_equal(config.log_level.text, "debug");
    assert_string_equal(config.api_sse_max_clients.origin, "config.yaml:2");
}

static void config_refuses_mistyped_environment_and_flags(void **state)
{
    (void)state;
    char *environment[] = {"CAIRN_API_MAX_PAGESIZE=600", "CAIRN_API_MAX_PAGE_SIZE=x", NULL};
    struct setting_given settings[] = {{.key = "api.max_page_sise", .text = "1"},
                                       {.key = "log.format", .text = "json"},
                                       {.key = "log.format", .text = "logfmt"}};
    read_text("config_version: 1\n");
    config_read_environment(&config, environment, &faults);
    config_read_settings(&config, settings, 3, &faults);
    assert_int_equal(faults.count, 4);
    assert_string_equal(faults.texts[0], "environment: unknown setting CAIRN_API_MAX_PAGESIZE; did "
                                         "you mean CAIRN_API_MAX_PAGE_SIZE?");
    assert_string_equal(
        faults.texts[1],
        "CAIRN_API_MAX_PAGE_SIZE: api.max_page_size: \"x\" is not a decimal number");
    assert_string_equal(faults.texts[2], "command line: unknown setting api.max_page_sise; did you "
                                         "mean api.max_page_size?");
    assert_string_equal(faults.texts[3], "command line: --log.format is given twice");
}

static void config_checks_settings_against_each_other(void **state)
{
    (void)state;
    read_text("config_version: 1\n"
              "mempool: {max_txs: 10, per_account: 11}\n"
              "storage: {warn_bytes: 1MiB, refuse_bytes: 2MiB, stop_bytes: 3MiB}\n"
              "api: {max_connections: 8, max_connections_per_ip: 9, sse_max_clients: 8, "
              "listen_addr: '127.0.0.1:26660'}\n");
    assert_int_equal(faults.count, 0);
    config_check_together(&config, &faults);
    assert_int_equal(faults.count, 6);
}

static void config_listen_takes_numeric_addresses_only(void **state)
{
    (void)state;
    static const char *const GOOD[] = {"0.0.0.0:1", "[::]:65535", "127.0.0.1:0"};
    static const char *const BAD[] = {
        "",         ":80",        "1.2.3:80",        "127.0.0.1", "::1:80",
        "[::1]",    "[::1]80",    "127.0.0.1:65536", "[]:80",     "[:80",
        "1.2.3.4:", "1.2.3.4:+1", "[1.2.3.4]:80"};
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0] + sizeof BAD / sizeof BAD[0]; i++) {
        bool good = i < sizeof GOOD / sizeof GOOD[0];
        const char *text = good ? GOOD[i] : BAD[i - sizeof GOOD / sizeof GOOD[0]];
        struct setting_given setting = {.key = "api.listen_addr", .text = text};
        memset(&faults, 0, sizeof faults);
        config_init(&config);
        config_read_settings(&config, &setting, 1, &faults);
        assert_int_equal(faults.count, good ? 0 : 1);
    }
}

static void config_takes_no_text_that_yaml_would_not_give_back(void **state)
{
    (void)state;
    static const char *const BAD[] = {"a\xff",         "\xc3",         "a\xe2\x80\xa8z",
                                      "\xe2\x80\xa9z", "\xef\xbf\xbe", "\xc2\x85"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct setting_given setting = {.key = "node.moniker", .text = BAD[i]};
        memset(&faults, 0, sizeof faults);
        config_init(&config);
        config_read_settings(&config, &setting, 1, &faults);
        assert_int_equal(faults.count, 1);
        assert_string_equal(config.node_moniker.text, "cairn");
    }
}

static void config_written_file_reads_back_the_same(void **state)
{
    (void)state;
    static char out[16384];
    static struct config written;
    size_t count;
    struct setting_given settings[] = {{.key = "node.moniker", .text = "it's # odd: {x}"},
                                       {.key = "api.max_body_bytes", .text = "2097152"},
                                       {.key = "api.listen_addr", .text = "[::1]:7"},
                                       {.key = "log.level", .text = "info,api=off"},
                                       {.key = "explorer.enable", .text = "false"}};
    read_text("config_version: 1\n");
    config_read_settings(&config, settings, 5, &faults);
    assert_int_equal(faults.count, 0);
    assert_int_equal(config_write_yaml(&config, out, sizeof out, &count), STATUS_OK);
    written = config;
    read_text(out);
    assert_int_equal(faults.count, 0);
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        assert_string_equal(config_value_of(&config, &CONFIG_ENTRIES[i])->text,
                            config_value_of(&written, &CONFIG_ENTRIES[i])->text);
    }
    assert_string_equal(config.node_moniker.text, "it's # odd: {x}");
    assert_int_equal(config_write_yaml(&config, out, count, &count), STATUS_FULL);
}

#define KEY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static void config_takes_peers_as_a_list_or_between_commas(void **state)
{
    (void)state;
    static struct peer_address peers[CONFIG_PEERS_MAX];
    read_text("config_version: 1\n"
              "p2p:\n"
              "  persistent_peers:\n"
              "    - \"" KEY "@127.0.0.1:1\"\n"
              "    - 127.0.0.2:2\n"
              "  seeds: \"127.0.0.3:3,[::1]:4\"\n"
              "  external_addr: 203.0.113.7:26656\n");
    assert_int_equal(faults.count, 0);
    assert_string_equal(config.p2p_persistent_peers.text, KEY "@127.0.0.1:1,127.0.0.2:2");
    assert_string_equal(config.p2p_persistent_peers.origin, "config.yaml:3");
    assert_int_equal(config.p2p_persistent_peers.number, 2);
    assert_int_equal(config_peers(config.p2p_persistent_peers.text, peers), 2);
    assert_true(peers[0].has_key);
    assert_false(peers[1].has_key);
    assert_string_equal(peers[1].host, "127.0.0.2");
    assert_int_equal(config_peers(config.p2p_seeds.text, peers), 2);
    assert_string_equal(peers[1].host, "::1");
    read_text("config_version: 1\np2p:\n  seeds: []\n");
    assert_int_equal(faults.count, 0);
    assert_int_equal(config_peers(config.p2p_seeds.text, peers), 0);
}

/* Of the longest form. */
static void config_has_room_for_all_the_peers_that_there_may_be(void **state)
{
    (void)state;
    static char yaml[CONFIG_FILE_BYTES_MAX], out[CONFIG_FILE_BYTES_MAX];
    static const char PEER[] = KEY "@[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
    static struct peer_address peers[CONFIG_PEERS_MAX];
    static char before[CONFIG_PEERS_BYTES];
    for (int more = 0; more < 2; more++) {
        int used = snprintf(yaml, sizeof yaml, "config_version: 1\np2p:\n  persistent_peers:\n");
        for (int i = 0; i < CONFIG_PEERS_MAX + more; i++) {
            used += snprintf(yaml + used, sizeof yaml - (size_t)used, "    - \"%s\"\n", PEER);
        }
        read_text(yaml);
        assert_int_equal(faults.count, more);
    }
    assert_non_null(strstr(faults.texts[0], "p2p.persistent_peers"));
    *strrchr(yaml, '-') = '#';
    read_text(yaml);
    assert_int_equal(faults.count, 0);
    assert_int_equal(config_peers(config.p2p_persistent_peers.text, peers), CONFIG_PEERS_MAX);
    size_t count;
    memcpy(before, config.p2p_persistent_peers.text, sizeof before);
    assert_int_equal(config_write_yaml(&config, out, sizeof out, &count), STATUS_OK);
    read_text(out);
    assert_int_equal(faults.count, 0);
    assert_string_equal(config.p2p_persistent_peers.text, before);
}

static void config_names_the_line_of_each_peer_that_is_none(void **state)
{
    (void)state;
    read_text("config_version: 1\n"
              "p2p:\n"
              "  persistent_peers:\n"
              "    - 127.0.0.1:1\n"
              "    - localhost:2\n"
              "    - 127.0.0.1:3,127.0.0.1:4\n"
              "    - [a]\n"
              "  seeds: 127.0.0.1:0\n"
              "  external_addr: 127.0.0.1:0\n");
    assert_int_equal(faults.count, 5);
    static const char *const BEGIN[] = {
        "config.yaml:5: p2p.persistent_peers: \"localhost:2\"",
        "config.yaml:6: p2p.persistent_peers", "config.yaml:7: p2p.persistent_peers",
        "config.yaml:8: p2p.seeds", "config.yaml:9: p2p.external_addr"};
    for (size_t i = 0; i < 5; i++) {
        assert_memory_equal(faults.texts[i], BEGIN[i], strlen(BEGIN[i]));
    }
    assert_string_equal(config.p2p_persistent_peers.text, "");
    static const char *const BAD[] = {"127.0.0.1:1,", ",127.0.0.1:1", "127.0.0.1:1,,127.0.0.1:2",
                                      KEY "127.0.0.1:1", " 127.0.0.1:1"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        struct setting_given setting = {.key = "p2p.seeds", .text = BAD[i]};
        read_text("config_version: 1\n");
        config_read_settings(&config, &setting, 1, &faults);
        assert_int_equal(faults.count, 1);
    }
    struct setting_given twice = {.key = "p2p.listen_addr", .text = "127.0.0.1:26657"};
    read_text("config_version: 1\n");
    config_read_settings(&config, &twice, 1, &faults);
    config_check_together(&config, &faults);
    assert_int_equal(faults.count, 1);
}

static void config_survives_every_cut_and_odd_byte(void **state)
{
    (void)state;
    static const char YAML[] =
        "config_version: 1\napi: {max_page_size: 5, listen_addr: \"1.1.1.1:1\"}\n"
        "log: &a {level: info}\nnode: *a\nmempool:\n  - 1\n";
    char copy[sizeof YAML];
    for (size_t i = 0; i < sizeof YAML; i++) {
        memset(&faults, 0, sizeof faults);
        config_init(&config);
        config_read_yaml(&config, YAML, i, "config.yaml", &faults);
        for (int odd = 0; odd < 256; odd += 5) {
            memcpy(copy, YAML, sizeof YAML);
            copy[i] = (char)odd;
            memset(&faults, 0, sizeof faults);
            config_read_yaml(&config, copy, sizeof copy - 1, "config.yaml", &faults);
        }
    }
    char *many = malloc(65536);
    memset(many, '[', 65536);
    memset(&faults, 0, sizeof faults);
    config_read_yaml(&config, many, 65536, "config.yaml", &faults);
    assert_int_equal(faults.count, 1);
    free(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(config_defaults_stand_alone),
        cmocka_unit_test(config_file_sets_values_with_their_lines),
        cmocka_unit_test(config_names_each_fault_and_its_line),
        cmocka_unit_test(config_keeps_the_old_value_beside_a_fault),
        cmocka_unit_test(config_flag_beats_environment_beats_file),
        cmocka_unit_test(config_refuses_mistyped_environment_and_flags),
        cmocka_unit_test(config_checks_settings_against_each_other),
        cmocka_unit_test(config_listen_takes_numeric_addresses_only),
        cmocka_unit_test(config_takes_no_text_that_yaml_would_not_give_back),
        cmocka_unit_test(config_written_file_reads_back_the_same),
        cmocka_unit_test(config_takes_peers_as_a_list_or_between_commas),
        cmocka_unit_test(config_has_room_for_all_the_peers_that_there_may_be),
        cmocka_unit_test(config_names_the_line_of_each_peer_that_is_none),
        cmocka_unit_test(config_survives_every_cut_and_odd_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
