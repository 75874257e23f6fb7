#include "tools/remote.h"

#include "log/hash.h"
#include "tools/output.h"

#define DEFAULT_NODE "http://127.0.0.1:26657"

enum exit_code remote_open(struct call *call, struct client **client)
{
    const char *nodes[CLIENT_NODES_MAX];
    size_t count = 0;
    while (count < CLIENT_NODES_MAX && option_text_at(call, "node", count)) {
        nodes[count] = option_text_at(call, "node", count);
        count++;
    }
    if (count == 0) nodes[count++] = DEFAULT_NODE;
    /* The client's own limit lies above what the node is asked to wait. */
    enum status status = hash_init();
    if (status == STATUS_OK) {
        status = client_open(client, nodes, count, (long)option_number(call, "timeout") + 5000);
    }
    return status == STATUS_OK ? EXIT_OK : output_fail_status(call, status, "client");
}

enum exit_code remote_no_answer(struct call *call, const struct client *client, enum status status)
{
    return output_fail(call, exit_of_status(status), status_name(status), "the node: %s",
                       client_error(client));
}

/* exit_of_http: what a problem of the API means for a script. */
static enum exit_code exit_of_http(long http_status)
{
    if (http_status == 404) return EXIT_NOT_FOUND;
    if (http_status == 503 || http_status == 429) return EXIT_NOT_READY;
    return http_status == 422 ? EXIT_REJECTED : EXIT_FAILED;
}

/* print_answer prints "data" of a good answer, and the problem of another one. */
enum exit_code remote_print(struct call *call, const struct client_answer *answer)
{
    json_t *data = json_object_get(answer->json, "data");
    if (answer->http_status >= 200 && answer->http_status < 300 && data) {
        return output_result(call, json_incref(data));
    }
    const char *code = json_string_value(json_object_get(answer->json, "code"));
    const char *title = json_string_value(json_object_get(answer->json, "title"));
    const char *detail = json_string_value(json_object_get(answer->json, "detail"));
    if (detail && title && strcmp(detail, title) == 0) detail = NULL;
    const char *expected = json_string_value(json_object_get(answer->json, "expected_nonce"));
    const char *fee = json_string_value(json_object_get(answer->json, "required_fee"));
    return output_fail(call, exit_of_http(answer->http_status), code ? code : "http",
                       "%s%s%s%s%s%s%s (HTTP %ld)", title ? title : "the node refused",
                       detail ? ": " : "", detail ? detail : "", expected ? "; next nonce " : "",
                       expected ? expected : "", fee ? "; fee at least " : "", fee ? fee : "",
                       answer->http_status);
}
