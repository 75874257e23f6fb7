#include "api/json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "api/bech32m.h"
#include "api/registry.h"
#include "api/text.h"

/* The place in a value, linked from the inside out on the stack. */
struct place {
    const struct place *outer;
    const char *name; /* member, or NULL: an element */
    size_t index;
};

struct json_writer {
    struct writer *out;
    struct json_fault *fault;
};

/* ---- faults ---- */

static void pointer_append(struct json_fault *fault, size_t *used, char c)
{
    if (*used + 1 < JSON_POINTER_MAX) fault->pointer[(*used)++] = c;
    fault->pointer[*used] = '\0';
}

static void pointer_write(struct json_fault *fault, size_t *used, const struct place *place)
{
    if (!place) return;
    pointer_write(fault, used, place->outer);
    pointer_append(fault, used, '/');
    char number[TEXT_U64_BYTES];
    const char *name = place->name;
    if (!name) {
        text_u64_format(place->index, number);
        name = number;
    }
    for (; *name; name++) {
        if (*name == '~' || *name == '/') {
            pointer_append(fault, used, '~');
            pointer_append(fault, used, *name == '~' ? '0' : '1');
        } else {
            pointer_append(fault, used, *name);
        }
    }
}

static enum status refuse(struct json_fault *fault, const struct place *place, const char *code,
                          const char *detail)
{
    size_t used = 0;
    fault->code = code;
    fault->detail = detail;
    fault->pointer[0] = '\0';
    pointer_write(fault, &used, place);
    return STATUS_USAGE;
}

/* ---- memory ---- */

static _Thread_local bool is_short; /* of memory, since json_begin */

static void *take(size_t bytes)
{
    void *taken = malloc(bytes);
    if (!taken) is_short = true;
    return taken;
}

void json_watch_memory(void)
{
    json_set_alloc_funcs(take, free);
}

void json_begin(void)
{
    is_short = false;
}

char *json_text(json_t *value)
{
    char *text = value && !is_short ? json_dumps(value, JSON_COMPACT) : NULL;
    json_decref(value);
    if (is_short) { /* the library may have gone on behind a gap in the text */
        free(text);
        text = NULL;
    }
    json_begin();
    return text;
}

/* ---- text ---- */

/* scan_number checks one number token; *at moves behind it. */
static bool scan_number(const char *text, size_t count, size_t *at)
{
    size_t start = *at, i = start;
    while (i < count && text[i] >= '0' && text[i] <= '9') {
        i++;
    }
    *at = i;
    if (i == start || (text[start] == '0' && i > start + 1)) return false;
    char next = i < count ? text[i] : ' ';
    return next != '.' && next != 'e' && next != 'E';
}

/* scan_text looks at the raw text before the library does: depth, because its parser recurses, and
 * the spelling of numbers, because a parsed number no longer shows it. */
static bool scan_text(const char *text, size_t count, struct json_fault *fault)
{
    unsigned depth = 0;
    bool inside = false;
    for (size_t i = 0; i < count;) {
        char c = text[i];
        if (inside) {
            if (c == '\\')
                i++;
            else if (c == '"')
                inside = false;
        } else if (c == '"') {
            inside = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_MAX) {
                refuse(fault, NULL, "json_depth", "nested too deeply");
                return false;
            }
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        } else if (c == '-' || c == '+' || (c >= '0' && c <= '9')) {
            if (!scan_number(text, count, &i)) {
                refuse(fault, NULL, "json_number",
                       "a number must be digits without sign, point, exponent or leading zero");
                return false;
            }
            continue;
        }
        i++;
    }
    return true;
}

json_t *json_parse(const char *text, size_t count, struct json_fault *fault)
{
    if (count > JSON_TEXT_MAX) {
        refuse(fault, NULL, "too_large", "the text is too long");
        return NULL;
    }
    if (!scan_text(text, count, fault)) return NULL;
    json_error_t error;
    json_t *value = json_loadb(text, count, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (value) return value;
    switch (json_error_code(&error)) {
    case json_error_duplicate_key:
        refuse(fault, NULL, "duplicate_member", "an object has the same member twice");
        break;
    case json_error_numeric_overflow:
        refuse(fault, NULL, "json_number", "a number is too large");
        break;
    case json_error_invalid_utf8:
        refuse(fault, NULL, "bad_json", "the text is not well-formed UTF-8");
        break;
    case json_error_premature_end_of_input:
        refuse(fault, NULL, "bad_json", "the text ends too early");
        break;
    default: refuse(fault, NULL, "bad_json", "the text is not JSON"); break;
    }
    return NULL;
}

/* ---- building ---- */

void json_set(json_t *object, const char *name, json_t *value_owned)
{
    if (!object) {
        json_decref(value_owned);
        return;
    }
    json_object_set_new(object, name, value_owned);
}

json_t *json_u64(uint64_t value)
{
    char text[TEXT_U64_BYTES];
    text_u64_format(value, text);
    return json_string(text);
}

json_t *json_base64(const uint8_t *bytes, size_t count)
{
    char *text = malloc(text_base64_bytes(count));
    if (!text) return NULL;
    text_base64_format(bytes, count, text);
    json_t *value = json_string(text);
    free(text);
    return value;
}

static json_t *json_hex(const uint8_t *bytes, size_t count)
{
    char text[2 * 64 + 1];
    assert(count <= 64);
    text_hex_format(bytes, count, text);
    return json_string(text);
}

static json_t *json_address(const uint8_t address[32])
{
    char text[ADDRESS_TEXT_BYTES];
    address_format(address, text);
    return json_string(text);
}

void json_set_u64(json_t *object, const char *name, uint64_t value)
{
    json_set(object, name, json_u64(value));
}

void json_set_number(json_t *object, const char *name, uint32_t value)
{
    json_set(object, name, json_integer(value));
}

void json_set_bool(json_t *object, const char *name, bool value)
{
    json_set(object, name, json_boolean(value));
}

void json_set_text(json_t *object, const char *name, const char *text)
{
    json_set(object, name, text ? json_string(text) : json_null());
}

void json_set_hex(json_t *object, const char *name, const uint8_t *bytes, size_t count)
{
    json_set(object, name, json_hex(bytes, count));
}

void json_set_address(json_t *object, const char *name, const uint8_t address[32])
{
    json_set(object, name, json_address(address));
}

void json_set_base64(json_t *object, const char *name, const uint8_t *bytes, size_t count)
{
    json_set(object, name, json_base64(bytes, count));
}

void json_set_time(json_t *object, const char *name, uint64_t time_us)
{
    char text[TEXT_TIME_BYTES];
    text_time_format(time_us, text);
    json_set(object, name, json_string(text));
}

/* ---- bytes to JSON ---- */

static json_t *read_struct(struct reader *r, const struct schema *schema);

static json_t *read_list(struct reader *r, const struct schema_field *field)
{
    uint32_t count = schema_read_count(r, field->lo, field->hi);
    json_t *list = json_array();
    for (uint32_t i = 0; i < count && r->status == STATUS_OK; i++) {
        json_array_append_new(list, read_struct(r, field->type));
    }
    return list;
}

static json_t *read_fixed(struct reader *r, const struct schema_field *field)
{
    uint8_t bytes[64];
    size_t count = field->kind == SCHEMA_SIGNATURE ? 64 : 32;
    read_copy(r, bytes, count);
    return field->kind == SCHEMA_ADDRESS ? json_address(bytes) : json_hex(bytes, count);
}

static json_t *read_field(struct reader *r, const struct schema_field *field)
{
    struct bytes run;
    switch (field->kind) {
    case SCHEMA_U8: return json_integer((json_int_t)schema_read_number(r, 1, field->lo, field->hi));
    case SCHEMA_U16:
        return json_integer((json_int_t)schema_read_number(r, 2, field->lo, field->hi));
    case SCHEMA_U32:
        return json_integer((json_int_t)schema_read_number(r, 4, field->lo, field->hi));
    case SCHEMA_U64: return json_u64(schema_read_number(r, 8, field->lo, field->hi));
    case SCHEMA_HASH:
    case SCHEMA_KEY:
    case SCHEMA_ADDRESS:
    case SCHEMA_SIGNATURE: return read_fixed(r, field);
    case SCHEMA_BYTES:
        run = schema_read_bytes(r, field->lo, field->hi);
        return json_base64(run.at, run.count);
    case SCHEMA_TEXT:
        run = schema_read_text(r, field->lo, field->hi);
        return json_stringn(run.at ? (const char *)run.at : "", run.count);
    case SCHEMA_STRUCT: return read_struct(r, field->type);
    case SCHEMA_OPTION: return schema_read_flag(r) ? read_struct(r, field->type) : json_null();
    case SCHEMA_LIST: return read_list(r, field);
    }
    assert(0);
    return NULL;
}

/* name_body replaces number and raw bytes by the names of the registry, if the body is what its number
 * says; otherwise they stay as they are. */
static void name_body(json_t *object, const struct registry *registry, struct bytes body)
{
    json_t *number = json_object_get(object, registry->number_field);
    const struct schema_entry *entry =
        registry_find(registry, (uint16_t)json_integer_value(number));
    json_t *named = entry ? json_from_bytes(entry->body, body.at, body.count) : NULL;
    if (!named) return;
    json_set_text(object, registry->number_field, entry->name);
    json_set(object, registry->body_field, named);
}

static json_t *read_struct(struct reader *r, const struct schema *schema)
{
    const struct registry *registry = registry_of(schema);
    json_t *object = json_object();
    struct bytes body = {NULL, 0};
    for (size_t i = 0; i < schema->field_count && r->status == STATUS_OK; i++) {
        const struct schema_field *field = &schema->fields[i];
        const uint8_t *start = r->at;
        json_t *value = read_field(r, field);
        if (!value || json_object_set_new(object, field->name, value) != 0)
            reader_fail(r, STATUS_NO_MEMORY);
        if (registry && r->status == STATUS_OK && strcmp(field->name, registry->body_field) == 0) {
            size_t prefix = SCHEMA_LENGTH_BYTES(field->hi);
            body = (struct bytes){start + prefix, (size_t)(r->at - start) - prefix};
        }
    }
    if (registry && r->status == STATUS_OK) name_body(object, registry, body);
    return object;
}

json_t *json_from_bytes(const struct schema *schema, const uint8_t *bytes, size_t count)
{
    struct reader r = reader_of(bytes, count);
    json_t *value = read_struct(&r, schema);
    if (reader_end(&r) == STATUS_OK) return value;
    json_decref(value);
    return NULL;
}

/* ---- JSON to bytes ---- */

static enum status write_struct(struct json_writer *w, const struct schema *schema,
                                const json_t *value, const struct place *place);

static enum status write_number(struct json_writer *w, const struct schema_field *field,
                                const json_t *value, const struct place *place)
{
    uint64_t number;
    unsigned width = field->kind == SCHEMA_U8    ? 1
                     : field->kind == SCHEMA_U16 ? 2
                     : field->kind == SCHEMA_U32 ? 4
                                                 : 8;
    if (width == 8) {
        if (!json_is_string(value))
            return refuse(w->fault, place, "wrong_type", "expected a string of decimal digits");
        enum status status = json_string_length(value) != strlen(json_string_value(value))
                                 ? STATUS_NONCANONICAL
                                 : text_u64_parse(json_string_value(value), &number);
        if (status == STATUS_NONCANONICAL)
            return refuse(w->fault, place, "bad_format",
                          "expected decimal digits without sign, blank or leading zero");
        if (status != STATUS_OK)
            return refuse(w->fault, place, "out_of_range", "the number exceeds 64 bits");
    } else {
        if (!json_is_integer(value))
            return refuse(w->fault, place, "wrong_type", "expected a number");
        if (json_integer_value(value) < 0)
            return refuse(w->fault, place, "out_of_range", "the number is negative");
        number = (uint64_t)json_integer_value(value);
    }
    if (number < field->lo || number > field->hi)
        return refuse(w->fault, place, "out_of_range", "the number is outside its declared range");
    schema_write_number(w->out, width, number, field->lo, field->hi);
    return STATUS_OK;
}

static enum status write_fixed(struct json_writer *w, const struct schema_field *field,
                               const json_t *value, const struct place *place)
{
    uint8_t bytes[64];
    size_t count = field->kind == SCHEMA_SIGNATURE ? 64 : 32;
    if (!json_is_string(value)) return refuse(w->fault, place, "wrong_type", "expected a string");
    const char *text = json_string_value(value);
    enum status status = field->kind == SCHEMA_ADDRESS ? address_parse(text, bytes)
                                                       : text_hex_parse(text, bytes, count);
    if (status != STATUS_OK || strlen(text) != json_string_length(value))
        return refuse(w->fault, place, "bad_format",
                      field->kind == SCHEMA_ADDRESS
                          ? "expected an address (cairn1...)"
                          : "expected lower-case hex digits of this length");
    write_copy(w->out, bytes, count);
    return STATUS_OK;
}

static enum status write_run(struct json_writer *w, const struct schema_field *field,
                             struct bytes run, const struct place *place)
{
    if (run.count < field->lo || run.count > field->hi)
        return refuse(w->fault, place, "out_of_range", "the length is outside its declared range");
    uint8_t *start = w->out->at;
    schema_write_bytes(w->out, run, field->lo, field->hi);
    if (field->kind != SCHEMA_TEXT || w->out->status != STATUS_OK) return STATUS_OK;
    struct reader again = reader_of(start, (size_t)(w->out->at - start));
    schema_read_text(&again, field->lo, field->hi);
    if (again.status != STATUS_OK)
        return refuse(w->fault, place, "bad_format", "control characters are not allowed");
    return STATUS_OK;
}

static enum status write_base64(struct json_writer *w, const struct schema_field *field,
                                const json_t *value, const struct place *place)
{
    if (!json_is_string(value))
        return refuse(w->fault, place, "wrong_type", "expected base64 text");
    size_t capacity = json_string_length(value) / 4 * 3, count;
    uint8_t *bytes = malloc(capacity + 1);
    if (!bytes) return STATUS_NO_MEMORY;
    enum status status = text_base64_parse(json_string_value(value), json_string_length(value),
                                           bytes, capacity, &count);
    status = status != STATUS_OK ? refuse(w->fault, place, "bad_format", "expected padded base64")
                                 : write_run(w, field, (struct bytes){bytes, count}, place);
    free(bytes);
    return status;
}

static enum status write_list(struct json_writer *w, const struct schema_field *field,
                              const json_t *value, const struct place *place)
{
    if (!json_is_array(value)) return refuse(w->fault, place, "wrong_type", "expected an array");
    size_t count = json_array_size(value);
    if (count < field->lo || count > field->hi)
        return refuse(w->fault, place, "out_of_range", "the array's length is outside its range");
    schema_write_number(w->out, SCHEMA_LENGTH_BYTES(field->hi), count, field->lo, field->hi);
    for (size_t i = 0; i < count; i++) {
        struct place inner = {place, NULL, i};
        TRY(write_struct(w, field->type, json_array_get(value, i), &inner));
    }
    return STATUS_OK;
}

static enum status write_field(struct json_writer *w, const struct schema_field *field,
                               const json_t *value, const struct place *place)
{
    if (!value && field->kind != SCHEMA_OPTION)
        return refuse(w->fault, place, "missing_member", "this member is required");
    switch (field->kind) {
    case SCHEMA_U8:
    case SCHEMA_U16:
    case SCHEMA_U32:
    case SCHEMA_U64: return write_number(w, field, value, place);
    case SCHEMA_HASH:
    case SCHEMA_KEY:
    case SCHEMA_ADDRESS:
    case SCHEMA_SIGNATURE: return write_fixed(w, field, value, place);
    case SCHEMA_BYTES: return write_base64(w, field, value, place);
    case SCHEMA_TEXT:
        if (!json_is_string(value))
            return refuse(w->fault, place, "wrong_type", "expected a string");
        return write_run(
            w, field,
            (struct bytes){(const uint8_t *)json_string_value(value), json_string_length(value)},
            place);
    case SCHEMA_STRUCT: return write_struct(w, field->type, value, place);
    case SCHEMA_OPTION: {
        bool present = value && !json_is_null(value);
        write_u8(w->out, present ? 1 : 0);
        return present ? write_struct(w, field->type, value, place) : STATUS_OK;
    }
    case SCHEMA_LIST: return write_list(w, field, value, place);
    }
    assert(0);
    return STATUS_USAGE;
}

/* write_body encodes a named body and writes it as the BYTES of its carrier. */
static enum status write_body(struct json_writer *w, const struct schema_field *field,
                              const struct schema_entry *entry, const json_t *value,
                              const struct place *place)
{
    size_t capacity = entry->body->bytes_max;
    if (capacity > field->hi) capacity = (size_t)field->hi;
    uint8_t *bytes = malloc(capacity + 1);
    if (!bytes) return STATUS_NO_MEMORY;
    struct writer body = writer_of(bytes, capacity);
    struct json_writer inner = {&body, w->fault};
    enum status status = write_struct(&inner, entry->body, value, place);
    if (status == STATUS_OK && body.status != STATUS_OK)
        status = refuse(w->fault, place, "too_large", "the body is too large");
    if (status == STATUS_OK)
        status = write_run(w, field, (struct bytes){bytes, writer_bytes(&body)}, place);
    free(bytes);
    return status;
}

/* write_carried writes one of the two fields of a carrier whose number is given by name. */
static enum status write_carried(struct json_writer *w, const struct registry *registry,
                                 const struct schema_field *field, const struct schema_entry *entry,
                                 const json_t *value, const struct place *place)
{
    if (strcmp(field->name, registry->number_field) == 0) {
        schema_write_number(w->out, 2, entry->number, field->lo, field->hi);
        return STATUS_OK;
    }
    if (strcmp(field->name, registry->body_field) == 0)
        return value ? write_body(w, field, entry, value, place)
                     : refuse(w->fault, place, "missing_member", "this member is required");
    return write_field(w, field, value, place);
}

static enum status check_members(struct json_writer *w, const struct schema *schema,
                                 const json_t *value, const struct place *place)
{
    if (!json_is_object(value)) return refuse(w->fault, place, "wrong_type", "expected an object");
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        size_t i = 0;
        while (i < schema->field_count && strcmp(schema->fields[i].name, name) != 0) {
            i++;
        }
        struct place inner = {place, name, 0};
        if (i == schema->field_count)
            return refuse(w->fault, &inner, "unknown_member", "no such member is declared");
    }
    return STATUS_OK;
}

static enum status write_struct(struct json_writer *w, const struct schema *schema,
                                const json_t *value, const struct place *place)
{
    TRY(check_members(w, schema, value, place));
    const struct registry *registry = registry_of(schema);
    const struct schema_entry *entry = NULL;
    const json_t *kind = registry ? json_object_get(value, registry->number_field) : NULL;
    if (json_is_string(kind)) {
        struct place inner = {place, registry->number_field, 0};
        entry = registry_find_name(registry, json_string_value(kind));
        if (!entry) return refuse(w->fault, &inner, "unknown_kind", "no such kind is registered");
    }
    for (size_t i = 0; i < schema->field_count; i++) {
        const struct schema_field *field = &schema->fields[i];
        struct place inner = {place, field->name, 0};
        const json_t *member = json_object_get(value, field->name);
        TRY(entry ? write_carried(w, registry, field, entry, member, &inner)
                  : write_field(w, field, member, &inner));
    }
    return STATUS_OK;
}

enum status json_to_bytes(const struct schema *schema, const json_t *value, struct writer *out,
                          struct json_fault *fault)
{
    *fault = (struct json_fault){.code = "", .detail = ""};
    struct json_writer w = {out, fault};
    TRY(write_struct(&w, schema, value, NULL));
    if (out->status != STATUS_OK) {
        refuse(fault, NULL, "too_large", "the value does not fit");
        return out->status;
    }
    return STATUS_OK;
}
