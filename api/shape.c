#include "api/shape.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/json.h"
#include "api/registry.h"
#include "apply/tables.h"

#define DIGITS_PATTERN  "^(0|[1-9][0-9]{0,19})$"
#define ADDRESS_PATTERN "^cairn1[02-9ac-hj-np-z]{58}$"
#define BASE64_PATTERN  "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
#define TIME_PATTERN    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{9}Z$"

json_t *shape_reference(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "#/components/schemas/%s", name);
    json_t *reference = json_object();
    json_set_text(reference, "$ref", path);
    return reference;
}

static json_t *pattern(const char *regex)
{
    json_t *value = json_object();
    json_set_text(value, "type", "string");
    json_set_text(value, "pattern", regex);
    return value;
}

static json_t *number(uint64_t lo, uint64_t hi)
{
    json_t *value = json_object();
    json_set_text(value, "type", "integer");
    json_set(value, "minimum", json_integer((json_int_t)lo));
    json_set(value, "maximum", json_integer((json_int_t)hi));
    return value;
}

static json_t *typed(const char *type)
{
    json_t *value = json_object();
    json_set_text(value, "type", type);
    return value;
}

/* A description beside $ref is allowed in 3.1; a nullable reference needs anyOf. */
static json_t *nullable(json_t *value)
{
    json_t *choice = json_object(), *any = json_array();
    json_array_append_new(any, value);
    json_array_append_new(any, typed("null"));
    json_set(choice, "anyOf", any);
    return choice;
}

static json_t *array_of(json_t *item)
{
    json_t *array = typed("array");
    json_set(array, "items", item);
    return array;
}

/* ---- canonical records ---- */

static const char *unit_text(enum schema_unit unit)
{
    switch (unit) {
    case SCHEMA_UNIT_BASE: return " (base units)";
    case SCHEMA_UNIT_US: return " (microseconds)";
    case SCHEMA_UNIT_BPS: return " (basis points)";
    case SCHEMA_UNIT_BYTE: return " (bytes)";
    case SCHEMA_UNIT_BLOCKS: return " (blocks)";
    case SCHEMA_UNIT_GAS: return " (gas)";
    default: return "";
    }
}

static json_t *hex_of(unsigned digits)
{
    char regex[32];
    snprintf(regex, sizeof regex, "^[0-9a-f]{%u}$", digits);
    return pattern(regex);
}

static json_t *field_describe(const struct schema_field *field)
{
    json_t *value = NULL;
    switch (field->kind) {
    case SCHEMA_U8:
    case SCHEMA_U16:
    case SCHEMA_U32: value = number(field->lo, field->hi); break;
    case SCHEMA_U64: value = pattern(DIGITS_PATTERN); break;
    case SCHEMA_HASH:
    case SCHEMA_KEY: value = hex_of(64); break;
    case SCHEMA_SIGNATURE: value = hex_of(128); break;
    case SCHEMA_ADDRESS: value = pattern(ADDRESS_PATTERN); break;
    case SCHEMA_BYTES: value = pattern(BASE64_PATTERN); break;
    case SCHEMA_TEXT: value = typed("string"); break;
    case SCHEMA_STRUCT: value = shape_reference(field->type->name); break;
    case SCHEMA_OPTION: value = nullable(shape_reference(field->type->name)); break;
    case SCHEMA_LIST: value = array_of(shape_reference(field->type->name)); break;
    }
    char text[512];
    snprintf(text, sizeof text, "%s%s", field->text, unit_text(field->unit));
    json_set_text(value, "description", text);
    return value;
}

/* A carrier's number is a name of its registry, its body one of the registered records; unknown ones
 * show the number and the bytes. */
static json_t *carried_describe(const struct registry *registry, const char *name)
{
    json_t *any = json_array(), *value = json_object();
    if (strcmp(name, registry->number_field) == 0) {
        json_t *names = typed("string"), *list = json_array();
        for (size_t i = 0; i < registry->entry_count; i++) {
            json_array_append_new(list, json_string(registry->entries[i].name));
        }
        json_set(names, "enum", list);
        json_array_append_new(any, names);
        json_array_append_new(any, number(0, UINT16_MAX));
    } else {
        for (size_t i = 0; i < registry->entry_count; i++) {
            json_array_append_new(any, shape_reference(registry->entries[i].body->name));
        }
        json_array_append_new(any, pattern(BASE64_PATTERN));
    }
    json_set(value, "anyOf", any);
    return value;
}

static json_t *object_start(const char *text, json_t **properties, json_t **required)
{
    json_t *object = typed("object");
    json_set_text(object, "description", text);
    *properties = json_object();
    *required = json_array();
    json_set(object, "additionalProperties", json_false());
    json_set(object, "properties", *properties);
    json_set(object, "required", *required);
    return object;
}

json_t *schema_describe(const struct schema *schema)
{
    json_t *properties, *required;
    json_t *object = object_start(schema->text, &properties, &required);
    const struct registry *registry = registry_of(schema);
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        bool carried = registry && (strcmp(field->name, registry->number_field) == 0 ||
                                    strcmp(field->name, registry->body_field) == 0);
        json_set(properties, field->name,
                 carried ? carried_describe(registry, field->name) : field_describe(field));
        if (field->kind != SCHEMA_OPTION) json_array_append_new(required, json_string(field->name));
    }
    return object;
}

/* ---- shapes ---- */

/* any_table refers to the records, or the keys, of all tables. */
static json_t *any_table(bool keys)
{
    json_t *any = json_array(), *value = json_object();
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        const struct schema *schema = keys ? TABLES[i].key : TABLES[i].body;
        json_t *one = shape_reference(schema->name);
        bool known = false;
        for (size_t j = 0; j < json_array_size(any); j++) {
            known = known || json_equal(json_array_get(any, j), one);
        }
        if (known)
            json_decref(one);
        else
            json_array_append_new(any, one);
    }
    json_set(value, "anyOf", any);
    return value;
}

static json_t *kind_describe(const struct shape_field *field)
{
    switch (field->kind) {
    case SHAPE_U64: return pattern(DIGITS_PATTERN);
    case SHAPE_NUMBER: return number(0, UINT32_MAX);
    case SHAPE_BOOL: return typed("boolean");
    case SHAPE_TEXT: return typed("string");
    case SHAPE_HASH: return hex_of(64);
    case SHAPE_ADDRESS: return pattern(ADDRESS_PATTERN);
    case SHAPE_TIME: return pattern(TIME_PATTERN);
    case SHAPE_BASE64: return pattern(BASE64_PATTERN);
    case SHAPE_OBJECT: return shape_reference(field->shape->name);
    case SHAPE_SCHEMA: return shape_reference(field->schema->name);
    case SHAPE_RECORD: return any_table(false);
    case SHAPE_KEY: return any_table(true);
    }
    assert(0);
    return NULL;
}

json_t *shape_describe(const struct shape *shape)
{
    json_t *properties, *required;
    json_t *object = object_start(shape->text, &properties, &required);
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct shape_field *field = &shape->fields[i];
        json_t *value = kind_describe(field);
        if (field->list) value = array_of(value);
        if (field->nullable) value = nullable(value);
        json_set_text(value, "description", field->text);
        json_set(properties, field->name, value);
        json_array_append_new(required, json_string(field->name));
    }
    return object;
}

static bool schema_matches(const struct schema *schema, const json_t *value)
{
    size_t capacity = schema->bytes_max < JSON_TEXT_MAX ? schema->bytes_max : JSON_TEXT_MAX;
    uint8_t *bytes = malloc(capacity + 1);
    if (!bytes) return false;
    struct writer w = writer_of(bytes, capacity);
    struct json_fault fault;
    bool matches = json_to_bytes(schema, value, &w, &fault) == STATUS_OK;
    free(bytes);
    return matches;
}

static bool all_of(const char *text, const char *set)
{
    return text[strspn(text, set)] == '\0';
}

static bool value_matches(const struct shape_field *field, const json_t *value, const char **where)
{
    const char *text = json_string_value(value);
    switch (field->kind) {
    case SHAPE_U64: return text && *text && all_of(text, "0123456789");
    case SHAPE_NUMBER: return json_is_integer(value) && json_integer_value(value) >= 0;
    case SHAPE_BOOL: return json_is_boolean(value);
    case SHAPE_TEXT: return text != NULL;
    case SHAPE_HASH: return text && strlen(text) == 64 && all_of(text, "0123456789abcdef");
    case SHAPE_ADDRESS: return text && strlen(text) == 64 && strncmp(text, "cairn1", 6) == 0;
    case SHAPE_TIME: return text && strlen(text) == 30 && text[29] == 'Z';
    case SHAPE_BASE64: return text && strlen(text) % 4 == 0;
    case SHAPE_OBJECT: return shape_check(field->shape, value, where);
    case SHAPE_SCHEMA: return schema_matches(field->schema, value);
    case SHAPE_RECORD:
    case SHAPE_KEY:
        for (size_t i = 0; i < TABLE_COUNT; i++) {
            const struct schema *schema = field->kind == SHAPE_KEY ? TABLES[i].key : TABLES[i].body;
            if (schema_matches(schema, value)) return true;
        }
        return false;
    }
    return false;
}

static bool field_matches(const struct shape_field *field, const json_t *value, const char **where)
{
    if (!value) return false;
    if (json_is_null(value)) return field->nullable;
    if (!field->list) return value_matches(field, value, where);
    if (!json_is_array(value)) return false;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (!value_matches(field, json_array_get(value, i), where)) return false;
    }
    return true;
}

bool shape_check(const struct shape *shape, const json_t *value, const char **where)
{
    *where = shape->name;
    if (!json_is_object(value) || json_object_size(value) != shape->field_count) return false;
    for (size_t i = 0; i < shape->field_count; i++) {
        const struct shape_field *field = &shape->fields[i];
        *where = field->name;
        if (!field_matches(field, json_object_get(value, field->name), where)) return false;
    }
    return true;
}
