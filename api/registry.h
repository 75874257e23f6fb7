/* api/registry.h - everything that was declared below, joined in one place.
 *
 * From it come the named bodies of JSON (operations, events, records of the state) and the schemas of
 * /openapi.json. Adding an operation needs no change here: the registries of apply/ are walked.
 */
#ifndef CAIRN_API_REGISTRY_H
#define CAIRN_API_REGISTRY_H

#include "log/schema.h"

/* A record that carries a numbered body. */
struct registry {
    const struct schema *carrier; /* the record, for example struct operation */
    const char *number_field;     /* its U16 that names the body */
    const char *body_field;       /* its BYTES that hold the body */
    const struct schema_entry *entries;
    size_t entry_count;
};

/* registry_of answers the registry of a carrier, or NULL. */
const struct registry *registry_of(const struct schema *carrier);

/* registry_find answers the entry of a number or a name, or NULL. */
const struct schema_entry *registry_find(const struct registry *registry, uint16_t number);
const struct schema_entry *registry_find_name(const struct registry *registry, const char *name);

/* registry_schema answers the i-th declared schema that can stand in JSON, each once; NULL past the end. */
const struct schema *registry_schema(size_t index);

/* registry_shown_count: the first so many of them stand in answers over HTTP. */
size_t registry_shown_count(void);

#endif
