/* api/shape.h - what an answer looks like, declared once: for /openapi.json and for the tests that
 * hold every answer against its declaration.
 *
 * A shape describes JSON that handlers build (api/handle_*.c); what comes from a canonical record is
 * described by its schema instead.
 */
#ifndef CAIRN_API_SHAPE_H
#define CAIRN_API_SHAPE_H

#include <jansson.h>
#include <stdbool.h>

#include "log/schema.h"

enum shape_kind {
    SHAPE_U64,    /* string of decimal digits */
    SHAPE_NUMBER, /* 0..2^32-1 */
    SHAPE_BOOL,
    SHAPE_TEXT,
    SHAPE_HASH,    /* 64 hex digits */
    SHAPE_ADDRESS, /* cairn1... */
    SHAPE_TIME,    /* RFC 3339, UTC, nine digits */
    SHAPE_BASE64,
    SHAPE_OBJECT, /* of `shape` */
    SHAPE_SCHEMA, /* a canonical record of `schema` */
    SHAPE_RECORD, /* a record of any table of the state */
    SHAPE_KEY,    /* a key of any table of the state */
};

struct shape;

struct shape_field {
    const char *name;
    const char *text;
    const struct shape *shape;   /* SHAPE_OBJECT */
    const struct schema *schema; /* SHAPE_SCHEMA */
    enum shape_kind kind;
    bool list;     /* an array of it */
    bool nullable; /* null where it does not apply */
};

struct shape {
    const char *name; /* unique, CamelCase */
    const char *text;
    const struct shape_field *fields;
    size_t field_count;
};

/* SHAPE(name, "Name", "text", fields...) defines a shape; the fields are written with these. */
#define FIELD(kind, name, text)                                                                    \
    {                                                                                              \
        name, text, NULL, NULL, SHAPE_##kind, false, false                                         \
    }
#define FIELD_MAYBE(kind, name, text)                                                              \
    {                                                                                              \
        name, text, NULL, NULL, SHAPE_##kind, false, true                                          \
    }
#define FIELD_LIST(kind, name, text)                                                               \
    {                                                                                              \
        name, text, NULL, NULL, SHAPE_##kind, true, false                                          \
    }
#define FIELD_OBJECT(name, shape, text)                                                            \
    {                                                                                              \
        name, text, &shape, NULL, SHAPE_OBJECT, false, false                                       \
    }
#define FIELD_OBJECT_LIST(name, shape, text)                                                       \
    {                                                                                              \
        name, text, &shape, NULL, SHAPE_OBJECT, true, false                                        \
    }
#define FIELD_SCHEMA(name, schema, text)                                                           \
    {                                                                                              \
        name, text, NULL, &schema, SHAPE_SCHEMA, false, false                                      \
    }
#define FIELD_SCHEMA_MAYBE(name, schema, text)                                                     \
    {                                                                                              \
        name, text, NULL, &schema, SHAPE_SCHEMA, false, true                                       \
    }
#define FIELD_SCHEMA_LIST(name, schema, text)                                                      \
    {                                                                                              \
        name, text, NULL, &schema, SHAPE_SCHEMA, true, false                                       \
    }
#define SHAPE(variable, title, about, ...)                                                         \
    static const struct shape_field variable##_fields[] = {__VA_ARGS__};                           \
    const struct shape variable = {title, about, variable##_fields,                                \
                                   sizeof variable##_fields / sizeof variable##_fields[0]};

/* shape_check: the value has exactly the declared members, each of its declared type. On a difference
 * it answers false and the name of the member in *where. */
bool shape_check(const struct shape *shape, const json_t *value, const char **where);

/* shape_describe answers the JSON schema of a shape, schema_describe that of a canonical record; nested
 * ones are referred to as #/components/schemas/NAME. New references, NULL if memory is short. */
json_t *shape_describe(const struct shape *shape);
json_t *schema_describe(const struct schema *schema);

/* shape_reference answers {"$ref": "#/components/schemas/NAME"}. */
json_t *shape_reference(const char *name);

#endif
