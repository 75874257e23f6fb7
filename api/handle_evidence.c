/* Offences that the state has recorded. */
#include "api/handle.h"
#include "api/json.h"
#include "api/read.h"
#include "apply/tables.h"

SHAPE(offender_shape, "Offender", "What a validator signed in an epoch and should not have",
      FIELD(U64, "epoch", "epoch of the offences"), FIELD(HASH, "key", "consensus key"),
      FIELD(NUMBER, "index", "in the set of that epoch"), FIELD(U64, "power", "weight in it"),
      FIELD_SCHEMA_LIST("offences", offence_schema, "in the order in which they were recorded"))

static json_t *offences_json(const struct list *list)
{
    json_t *array = json_array();
    struct reader r = list_reader(list);
    for (uint32_t i = 0; i < list->count; i++) {
        const uint8_t *start = r.at;
        schema_skip(&r, &offence_schema);
        json_t *item = json_from_bytes(&offence_schema, start, (size_t)(r.at - start));
        if (item) json_array_append_new(array, item);
    }
    return array;
}

static bool add_offender(void *context, const uint8_t path[HASH_BYTES], const uint8_t *key,
                         struct bytes value)
{
    struct table_page *page = context;
    struct offences offences;
    if (offences_decode(value.at, value.count, &offences) != STATUS_OK) return true;
    if (table_page_is_full(page, path)) return false;
    json_t *item = json_object();
    json_set_u64(item, "epoch", load_u64(key));
    json_set_hex(item, "key", key + 8, 32);
    json_set_number(item, "index", offences.validator);
    json_set_u64(item, "power", offences.power);
    json_set(item, "offences", offences_json(&offences.list));
    json_array_append_new(page->list, item);
    return true;
}

void handle_evidence(struct request *request)
{
    reply_table(request, 'e', TABLE_OFFENCES, add_offender);
}
