#include "api/registry.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "apply/event.h"
#include "apply/genesis.h"
#include "apply/operation.h"
#include "apply/receipt.h"
#include "apply/system.h"
#include "apply/tables.h"
#include "apply/transaction.h"

#define SCHEMAS_MAX    256
#define OPERATIONS_MAX 256

static struct schema_entry operations[OPERATIONS_MAX];
static struct registry registries[2];
static const struct schema *schemas[SCHEMAS_MAX];
static size_t schema_count, shown_count;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Records that stand in answers by themselves; what they contain follows. */
static const struct schema *const SHOWN[] = {
    &tx_schema,    &header_schema,  &justify_schema, &qc_schema,
    &event_schema, &genesis_schema, &params_schema,
};

/* Records that only tools describe. */
static const struct schema *const OTHERS[] = {&block_schema, &block_receipts_schema,
                                              &block_events_schema};

static void add_schema(const struct schema *schema)
{
    if (!schema) return;
    for (size_t i = 0; i < schema_count; i++) {
        if (schemas[i] == schema) return;
    }
    assert(schema_count < SCHEMAS_MAX);
    schemas[schema_count++] = schema;
    for (size_t i = 0; i < schema->field_count; i++) {
        add_schema(schema->fields[i].type);
    }
}

static void join(void)
{
    assert(OPERATION_RULE_COUNT <= OPERATIONS_MAX);
    for (size_t i = 0; i < OPERATION_RULE_COUNT; i++) {
        operations[i] = OPERATION_RULES[i].entry;
        add_schema(operations[i].body);
    }
    registries[0] =
        (struct registry){&operation_schema, "kind", "body", operations, OPERATION_RULE_COUNT};
    registries[1] = (struct registry){&event_schema, "kind", "body", EVENTS, EVENT_COUNT};
    for (size_t i = 0; i < sizeof SHOWN / sizeof SHOWN[0]; i++) {
        add_schema(SHOWN[i]);
    }
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        add_schema(EVENTS[i].body);
    }
    for (size_t i = 0; i < SYSTEM_RECORD_COUNT; i++) {
        add_schema(SYSTEM_RECORDS[i].body);
    }
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        add_schema(TABLES[i].body);
        add_schema(TABLES[i].key);
    }
    shown_count = schema_count;
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
        add_schema(OTHERS[i]);
    }
}

const struct registry *registry_of(const struct schema *carrier)
{
    if (carrier != &operation_schema && carrier != &event_schema) return NULL;
    pthread_once(&once, join);
    return &registries[carrier == &event_schema];
}

const struct schema_entry *registry_find(const struct registry *registry, uint16_t number)
{
    for (size_t i = 0; i < registry->entry_count; i++) {
        if (registry->entries[i].number == number) return &registry->entries[i];
    }
    return NULL;
}

const struct schema_entry *registry_find_name(const struct registry *registry, const char *name)
{
    for (size_t i = 0; i < registry->entry_count; i++) {
        if (strcmp(registry->entries[i].name, name) == 0) return &registry->entries[i];
    }
    return NULL;
}

const struct schema *registry_schema(size_t index)
{
    pthread_once(&once, join);
    return index < schema_count ? schemas[index] : NULL;
}

size_t registry_shown_count(void)
{
    pthread_once(&once, join);
    return shown_count;
}
