#include "tools/chain_info.h"

#include <stdio.h>

#include "api/bech32m.h"
#include "api/json.h"
#include "tools/text.h"

#define PARAMS_BYTES 512
_Static_assert(params_bytes_max <= PARAMS_BYTES, "the buffer holds any parameters");

static enum status get_data(struct client *client, const char *path, struct client_answer *answer,
                            json_t **data)
{
    TRY(client_get(client, path, NULL, answer));
    if (answer->http_status == 503) return STATUS_BUSY;
    *data = json_object_get(answer->json, "data");
    return answer->http_status == 200 && json_is_object(*data) ? STATUS_OK : STATUS_CORRUPT;
}

static enum status member_u64(json_t *object, const char *name, uint64_t *value)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text && text_parse_u64(text, value) == STATUS_OK ? STATUS_OK : STATUS_CORRUPT;
}

static enum status read_params(json_t *data, struct params *params)
{
    uint8_t bytes[PARAMS_BYTES];
    struct writer w = writer_of(bytes, sizeof bytes);
    struct json_fault fault;
    const json_t *value = json_object_get(data, "params");
    if (!value || json_to_bytes(&params_schema, value, &w, &fault) != STATUS_OK)
        return STATUS_CORRUPT;
    return params_decode(bytes, writer_bytes(&w), params) == STATUS_OK ? STATUS_OK : STATUS_CORRUPT;
}

enum status chain_info_ask(struct client *client, struct chain_info *info)
{
    struct client_answer answer;
    json_t *data;
    enum status status = get_data(client, "/v1/status", &answer, &data);
    if (status == STATUS_OK) {
        const char *id = json_string_value(json_object_get(data, "chain_id"));
        if (!id || text_parse_hex(id, info->genesis_id, HASH_BYTES) != STATUS_OK) {
            status = STATUS_CORRUPT;
        }
    }
    if (status == STATUS_OK) status = member_u64(data, "height", &info->height);
    client_answer_release(&answer);
    TRY(status);
    status = get_data(client, "/v1/params", &answer, &data);
    if (status == STATUS_OK) status = read_params(data, &info->params);
    client_answer_release(&answer);
    return status;
}

enum status chain_info_nonce(struct client *client, const uint8_t address[HASH_BYTES],
                             uint64_t *nonce_next)
{
    char text[ADDRESS_TEXT_BYTES], path[ADDRESS_TEXT_BYTES + 32];
    struct client_answer answer;
    json_t *data;
    address_format(address, text);
    snprintf(path, sizeof path, "/v1/accounts/%s", text);
    enum status status = get_data(client, path, &answer, &data);
    if (status == STATUS_OK) status = member_u64(data, "nonce_next", nonce_next);
    client_answer_release(&answer);
    return status;
}
