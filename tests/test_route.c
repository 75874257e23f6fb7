/* Claims about api/route.h, api/limit.h and api/problem.h: what is declared is what is served. */
#include "tests/support_cmocka.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "api/handle.h"
#include "api/limit.h"
#include "api/openapi.h"
#include "api/problem.h"
#include "apply/outcome.h"

static const struct route *find(enum route_method method, const char *path,
                                struct route_value *values, unsigned *allowed, bool *bad)
{
    static char copy[ROUTE_PATH_BYTES_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    return route_find(method, copy, values, allowed, bad);
}

static void route_find_cuts_and_decodes_path_values(void **state)
{
    (void)state;
    struct route_value values[ROUTE_PARAMS_MAX];
    unsigned allowed;
    bool bad;
    const struct route *route =
        find(ROUTE_GET, "/v1/proofs/state/bal%61nce/00ff", values, &allowed, &bad);
    assert_non_null(route);
    assert_true(route->handle == handle_proof_state);
    assert_false(bad);
    assert_string_equal(values[0].text, "balance");
    assert_string_equal(values[1].text, "00ff");
    assert_non_null(find(ROUTE_GET, "/v1/blocks/7/txs", values, &allowed, &bad));
    assert_string_equal(values[0].text, "7");
}

static void route_find_refuses_what_only_looks_like_a_route(void **state)
{
    (void)state;
    static const char *const BAD[] = {"",
                                      "//",
                                      "/v1",
                                      "/v1/",
                                      "/v1/blocks/",
                                      "/v1/blocks//txs",
                                      "/v1/blocks/1/",
                                      "/v1/blocks/1/txs/2",
                                      "/V1/blocks",
                                      "/v1/proofs/state/balance",
                                      "/livezz",
                                      "/v1/txs/%2e%2e/x"};
    struct route_value values[ROUTE_PARAMS_MAX];
    unsigned allowed;
    bool bad;
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_null(find(ROUTE_GET, BAD[i], values, &allowed, &bad));
        assert_int_equal(allowed, 0);
    }
    assert_null(find(ROUTE_GET, "/v1/txs", values, &allowed, &bad));
    assert_int_equal(allowed, 1u << ROUTE_POST);
    assert_non_null(find(ROUTE_GET, "/v1/blocks/%00", values, &allowed, &bad));
    assert_true(bad);
}

static void route_table_declares_each_path_value_in_order_and_each_name_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *route = route_at(i);
        size_t index = 0;
        for (const char *at = route->path; (at = strchr(at, '{')); at++, index++) {
            const struct route_param *param = &route->params[index];
            assert_true(param->in_path);
            assert_int_equal(strncmp(at + 1, param->name, strlen(param->name)), 0);
            assert_int_equal(at[1 + strlen(param->name)], '}');
        }
        for (; index < ROUTE_PARAMS_MAX && route->params[index].name; index++) {
            assert_false(route->params[index].in_path);
        }
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(route->name, route_at(j)->name);
        }
    }
    assert_null(route_at(route_count()));
}

static void route_params_take_exactly_their_declared_values(void **state)
{
    (void)state;
    static const struct route_param LIMIT = {
        .name = "limit", .kind = PARAM_U64, .lo = 1, .hi = 500};
    static const struct route_param CHOICE = {
        .name = "order", .kind = PARAM_CHOICE, .choices = "asc|desc"};
    static const struct route_param SPAN = {
        .name = "timeout", .kind = PARAM_DURATION, .lo = 1, .hi = 30000};
    static const struct {
        const struct route_param *param;
        const char *text;
        enum status status;
        uint64_t number;
    } CASES[] = {
        {&LIMIT, "1", STATUS_OK, 1},
        {&LIMIT, "500", STATUS_OK, 500},
        {&LIMIT, "0", STATUS_RANGE, 0},
        {&LIMIT, "501", STATUS_RANGE, 0},
        {&LIMIT, "-1", STATUS_USAGE, 0},
        {&LIMIT, "+1", STATUS_USAGE, 0},
        {&LIMIT, "01", STATUS_USAGE, 0},
        {&LIMIT, "", STATUS_USAGE, 0},
        {&LIMIT, "1e2", STATUS_USAGE, 0},
        {&LIMIT, "18446744073709551617", STATUS_USAGE, 0},
        {&CHOICE, "asc", STATUS_OK, 0},
        {&CHOICE, "desc", STATUS_OK, 1},
        {&CHOICE, "des", STATUS_USAGE, 0},
        {&CHOICE, "asc|desc", STATUS_USAGE, 0},
        {&CHOICE, "", STATUS_USAGE, 0},
        {&SPAN, "10s", STATUS_OK, 10000},
        {&SPAN, "500ms", STATUS_OK, 500},
        {&SPAN, "31s", STATUS_RANGE, 0},
        {&SPAN, "10", STATUS_USAGE, 0},
        {&SPAN, "s", STATUS_USAGE, 0},
        {&SPAN, "9999999999999999999s", STATUS_USAGE, 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct route_value value;
        enum status status = route_param_read(CASES[i].param, CASES[i].text, &value);
        if (status != CASES[i].status) fail_msg("%s: %d", CASES[i].text, status);
        if (status == STATUS_OK) assert_true(value.number == CASES[i].number);
    }
}

static void openapi_describes_every_route(void **state)
{
    (void)state;
    json_t *document = openapi_document("1"), *paths = json_object_get(document, "paths");
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *route = route_at(i);
        json_t *operation = json_object_get(json_object_get(paths, route->path),
                                            route->method == ROUTE_GET ? "get" : "post");
        assert_string_equal(json_string_value(json_object_get(operation, "operationId")),
                            route->name);
    }
    json_decref(document);
}

static void problem_codes_cover_every_registry_and_repeat_no_name(void **state)
{
    (void)state;
    struct problem_code code, other;
    size_t count = 0;
    for (; problem_at(count, &code); count++) {
        assert_true(code.http >= 400 && code.http < 600);
        for (size_t j = 0; j < count; j++) {
            assert_true(problem_at(j, &other));
            assert_string_not_equal(code.code, other.code);
        }
    }
#define X(upper, lower, number, text)                                                              \
    if (STATUS_##upper != STATUS_OK) assert_true(problem_find(#lower, &code));
    STATUS_LIST(X)
#undef X
#define X(upper, lower, number, paid, text)                                                        \
    if (OUTCOME_##upper != OUTCOME_OK) assert_true(problem_find(#lower, &code));
    OUTCOME_LIST(X)
#undef X
    assert_false(problem_find("ok", &code));
    assert_false(problem_find("", &code));
}

/* ---- limits ---- */

static uint64_t key_of(const struct limit *limit, uint32_t address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(address)}};
    return limit_key(limit, (const struct sockaddr *)&v4);
}

static void limit_counts_connections_for_each_address_and_for_all(void **state)
{
    (void)state;
    struct limit *limit;
    struct limit_options options = {.connections_max = 3, .per_address_max = 2};
    assert_int_equal(limit_open(&limit, &options), STATUS_OK);
    uint64_t a = key_of(limit, 1), b = key_of(limit, 2);
    assert_true(a != b);
    for (int i = 0; i < 2; i++) {
        assert_true(limit_may_connect(limit, a, 1));
        limit_connect(limit, a, 1);
    }
    assert_false(limit_may_connect(limit, a, 1));
    assert_true(limit_may_connect(limit, b, 1));
    limit_connect(limit, b, 1);
    assert_false(limit_may_connect(limit, b, 1)); /* three in all */
    limit_disconnect(limit, a, 1);
    assert_true(limit_may_connect(limit, a, 1));
    limit_close(limit);
}

static void limit_tokens_refill_evenly_and_never_above_the_bucket(void **state)
{
    (void)state;
    struct limit *limit;
    unsigned wait_s, left;
    struct limit_options options = {.connections_max = 1, .tokens_per_s = 2, .tokens_max = 10};
    uint64_t now_us = 1000000;
    assert_int_equal(limit_open(&limit, &options), STATUS_OK);
    uint64_t a = key_of(limit, 1);
    assert_true(limit_take(limit, a, 10, now_us, &wait_s, &left));
    assert_int_equal(left, 0);
    assert_false(limit_take(limit, a, 5, now_us, &wait_s, &left));
    assert_int_equal(wait_s, 3); /* 5 tokens at 2 a second, rounded up */
    assert_true(limit_take(limit, key_of(limit, 2), 10, now_us, &wait_s, &left));
    now_us += 2500000;
    assert_true(limit_take(limit, a, 5, now_us, &wait_s, &left));
    now_us += UINT64_C(1000000000000);
    assert_true(limit_take(limit, a, 10, now_us, &wait_s, &left));
    assert_false(limit_take(limit, a, 1, now_us, &wait_s, &left));
    limit_close(limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(route_find_cuts_and_decodes_path_values),
        cmocka_unit_test(route_find_refuses_what_only_looks_like_a_route),
        cmocka_unit_test(route_table_declares_each_path_value_in_order_and_each_name_once),
        cmocka_unit_test(route_params_take_exactly_their_declared_values),
        cmocka_unit_test(openapi_describes_every_route),
        cmocka_unit_test(problem_codes_cover_every_registry_and_repeat_no_name),
        cmocka_unit_test(limit_counts_connections_for_each_address_and_for_all),
        cmocka_unit_test(limit_tokens_refill_evenly_and_never_above_the_bucket),
    };
    if (hash_init() != STATUS_OK) return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
