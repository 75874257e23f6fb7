#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>

#include "tools/config_internal.h"
#include "tools/text.h"

#define NAME_MAX_BYTES 128

extern char **environ;

/* ---- reading ------------------------------------------------------------------------------- */

struct source {
    yaml_document_t document;
    const char *name;
    struct config *config;
    struct config_faults *faults;
};

/* "config.yaml:12" */
static const char *place(const struct source *source, const yaml_node_t *node,
                         char out[CONFIG_ORIGIN_BYTES])
{
    snprintf(out, CONFIG_ORIGIN_BYTES, "%.60s:%zu", source->name, node->start_mark.line + 1);
    return out;
}

/* The text of a scalar, NULL for anything else (and for a scalar with a NUL inside). */
static const char *scalar(const yaml_node_t *node)
{
    if (!node || node->type != YAML_SCALAR_NODE) return NULL;
    const char *text = (const char *)node->data.scalar.value;
    return strlen(text) == node->data.scalar.length ? text : NULL;
}

/* YAML itself forbids a repeated key; libyaml does not look. */
static bool repeated(const struct source *source, const yaml_node_t *mapping,
                     const yaml_node_pair_t *pair)
{
    const char *name =
        scalar(yaml_document_get_node((yaml_document_t *)&source->document, pair->key));
    for (const yaml_node_pair_t *at = mapping->data.mapping.pairs.start; at < pair; at++) {
        const char *other =
            scalar(yaml_document_get_node((yaml_document_t *)&source->document, at->key));
        if (name && other && strcmp(name, other) == 0) return true;
    }
    return false;
}

/* Reads a pair whose key must be a plain, new name; NULL after a fault. */
static const char *pair_name(struct source *source, const yaml_node_t *mapping,
                             const yaml_node_pair_t *pair, const yaml_node_t **value)
{
    char origin[CONFIG_ORIGIN_BYTES];
    const yaml_node_t *key = yaml_document_get_node(&source->document, pair->key);
    const char *name = scalar(key);
    *value = yaml_document_get_node(&source->document, pair->value);
    if (!name || strlen(name) >= NAME_MAX_BYTES / 2) {
        config_fault(source->faults, "%s: a key must be a short word", place(source, key, origin));
        return NULL;
    }
    if (repeated(source, mapping, pair)) {
        config_fault(source->faults, "%s: %s stands twice", place(source, key, origin), name);
        return NULL;
    }
    return name;
}

/* Joins the elements of a list of peers; each that is none is a fault of its own, with its line. */
static void read_list(struct source *source, const struct config_entry *entry,
                      const yaml_node_t *list, const char *origin)
{
    static const char SEPARATOR[] = ",";
    char joined[CONFIG_PEERS_BYTES] = "", place_of[CONFIG_ORIGIN_BYTES];
    size_t used = 0, faults = source->faults->count;
    for (const yaml_node_item_t *item = list->data.sequence.items.start;
         item < list->data.sequence.items.top; item++) {
        const yaml_node_t *node = yaml_document_get_node(&source->document, *item);
        const char *text = scalar(node);
        place(source, node, place_of);
        if (!text || !config_is_peer(text)) {
            config_fault(source->faults, "%s: %s.%s: \"%.64s\" is not [KEY@]ADDRESS:PORT", place_of,
                         entry->section, entry->key, text ? text : "");
            continue;
        }
        int count =
            snprintf(joined + used, sizeof joined - used, "%s%s", used > 0 ? SEPARATOR : "", text);
        used += (size_t)count;
        if (used < sizeof joined) continue;
        config_fault(source->faults, "%s: %s.%s: more than %d peers", place_of, entry->section,
                     entry->key, CONFIG_PEERS_MAX);
        return;
    }
    if (source->faults->count == faults)
        config_set(source->config, entry, joined, origin, source->faults);
}

static void read_section(struct source *source, const char *section, const yaml_node_t *mapping)
{
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        char origin[CONFIG_ORIGIN_BYTES], dotted[NAME_MAX_BYTES];
        const yaml_node_t *value;
        const char *key = pair_name(source, mapping, pair, &value);
        if (!key) continue;
        place(source, yaml_document_get_node(&source->document, pair->key), origin);
        const struct config_entry *entry = config_find(section, key);
        const char *text = scalar(value);
        snprintf(dotted, sizeof dotted, "%s.%s", section, key);
        if (!entry)
            config_fault_unknown(source->faults, origin, dotted);
        else if (entry->kind == CONFIG_PEERS && value->type == YAML_SEQUENCE_NODE)
            read_list(source, entry, value, origin);
        else if (!text)
            config_fault(source->faults, "%s: %s takes one value", origin, dotted);
        else
            config_set(source->config, entry, text, origin, source->faults);
    }
}

static bool is_section(const char *name)
{
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        if (strcmp(CONFIG_ENTRIES[i].section, name) == 0) return true;
    }
    return false;
}

static void fault_section(struct source *source, const char *origin, const char *name)
{
    const char *best = NULL;
    size_t distance = SIZE_MAX;
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        size_t own = text_distance(name, CONFIG_ENTRIES[i].section);
        if (own >= distance || !text_is_near(name, CONFIG_ENTRIES[i].section)) continue;
        best = CONFIG_ENTRIES[i].section;
        distance = own;
    }
    config_fault(source->faults, "%s: unknown section %s%s%s%s", origin, name,
                 best ? "; did you mean " : "", best ? best : "", best ? "?" : "");
}

static void read_root(struct source *source, const yaml_node_t *root)
{
    bool versioned = false;
    for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
         pair < root->data.mapping.pairs.top; pair++) {
        char origin[CONFIG_ORIGIN_BYTES];
        const yaml_node_t *value;
        uint64_t version;
        const char *name = pair_name(source, root, pair, &value);
        if (!name) continue;
        place(source, yaml_document_get_node(&source->document, pair->key), origin);
        if (strcmp(name, "config_version") == 0) {
            const char *text = scalar(value);
            versioned = true;
            if (!text || text_parse_u64(text, &version) != STATUS_OK || version != CONFIG_VERSION)
                config_fault(source->faults, "%s: config_version: this program reads version %d",
                             origin, CONFIG_VERSION);
        } else if (!is_section(name)) {
            fault_section(source, origin, name);
        } else if (value->type == YAML_MAPPING_NODE) {
            read_section(source, name, value);
        } else if (!scalar(value) || *scalar(value)) {
            /* "api:" with nothing below it is an empty section. */
            config_fault(source->faults, "%s: %s is a section: its keys stand below it", origin,
                         name);
        }
    }
    if (!versioned)
        config_fault(source->faults, "%.60s:1: config_version: %d is missing", source->name,
                     CONFIG_VERSION);
}

void config_read_yaml(struct config *config, const char *bytes, size_t count, const char *name,
                      struct config_faults *faults)
{
    yaml_parser_t parser;
    struct source source = {.name = name, .config = config, .faults = faults};
    if (!yaml_parser_initialize(&parser)) {
        config_fault(faults, "%.60s: not enough memory", name);
        return;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, count);
    if (!yaml_parser_load(&parser, &source.document)) {
        config_fault(faults, "%.60s:%zu: %s", name, parser.problem_mark.line + 1,
                     parser.problem ? parser.problem : "not YAML");
        yaml_parser_delete(&parser);
        return;
    }
    const yaml_node_t *root = yaml_document_get_root_node(&source.document);
    if (root && root->type == YAML_MAPPING_NODE)
        read_root(&source, root);
    else
        config_fault(faults, "%.60s:1: not a mapping of sections", name);
    yaml_document_delete(&source.document);
    if (!yaml_parser_load(&parser, &source.document)) {
        config_fault(faults, "%.60s:%zu: %s", name, parser.problem_mark.line + 1,
                     parser.problem ? parser.problem : "not YAML");
    } else {
        if (yaml_document_get_root_node(&source.document))
            config_fault(faults, "%.60s: a second document follows the first", name);
        yaml_document_delete(&source.document);
    }
    yaml_parser_delete(&parser);
}

/* ---- loading ------------------------------------------------------------------------------- */

/* *bytes is owned: free. */
static enum status read_whole(const char *path, char **bytes, size_t *count)
{
    FILE *file = fopen(path, "re");
    *bytes = NULL;
    if (!file) return status_from_errno(errno);
    enum status status = STATUS_OK;
    *bytes = malloc(CONFIG_FILE_BYTES_MAX + 1);
    if (!*bytes) {
        status = STATUS_NO_MEMORY;
    } else {
        *count = fread(*bytes, 1, CONFIG_FILE_BYTES_MAX + 1, file);
        if (ferror(file)) status = STATUS_IO;
        if (*count > CONFIG_FILE_BYTES_MAX) status = STATUS_RANGE;
    }
    fclose(file);
    return status;
}

enum status config_load(const struct call *call, struct config *config,
                        struct config_faults *faults)
{
    char home[IO_PATH_MAX], path[IO_PATH_MAX + sizeof "/config/config.yaml"];
    const char *given = option_text(call, "config");
    char *bytes;
    size_t count = 0;
    memset(faults, 0, sizeof *faults);
    config_init(config);
    if (given) {
        if (snprintf(path, sizeof path, "%s", given) >= (int)sizeof path) return STATUS_RANGE;
    } else {
        enum status status = call_home(call, home);
        if (status != STATUS_OK) return status == STATUS_NOT_FOUND ? STATUS_USAGE : status;
        snprintf(path, sizeof path, "%s/config/config.yaml", home);
    }
    if (given || access(path, F_OK) == 0) {
        enum status status = read_whole(path, &bytes, &count);
        const char *slash = strrchr(path, '/');
        if (status == STATUS_OK)
            config_read_yaml(config, bytes, count, slash ? slash + 1 : path, faults);
        free(bytes);
        TRY(status);
    }
    config_read_environment(config, environ, faults);
    config_read_settings(config, call->settings, call->setting_count, faults);
    if (faults->count == 0) config_check_together(config, faults);
    return faults->count == 0 ? STATUS_OK : STATUS_USAGE;
}

/* ---- writing ------------------------------------------------------------------------------- */

PRINTF_LIKE(4, 5)
static void append(char *out, size_t capacity, size_t *count, const char *format, ...)
{
    va_list arguments;
    size_t left = *count < capacity ? capacity - *count : 0;
    va_start(arguments, format);
    int wanted = vsnprintf(left ? out + *count : NULL, left, format, arguments);
    va_end(arguments);
    if (wanted > 0) *count += (size_t)wanted;
}

/* A list of peers, one a line; empty: []. */
static void append_peers(char *out, size_t capacity, size_t *count, const char *comment,
                         const char *key, const char *text)
{
    append(out, capacity, count, "  %s%s:%s\n", comment, key, *text ? "" : " []");
    while (*text) {
        size_t own = strcspn(text, ",");
        append(out, capacity, count, "  %s  - \"%.*s\"\n", comment, (int)own, text);
        text += own + (text[own] == ',');
    }
}

enum status config_write_yaml(const struct config *config, char *out, size_t capacity,
                              size_t *count)
{
    const char *section = "";
    *count = 0;
    append(out, capacity, count,
           "# Settings of a cairn node. Lines that are commented out show the defaults.\n"
           "config_version: %d\n",
           CONFIG_VERSION);
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        const struct config_entry *entry = &CONFIG_ENTRIES[i];
        const struct config_value *value = config_value_of(config, entry);
        bool quoted = entry->kind == CONFIG_TEXT || entry->kind == CONFIG_LISTEN ||
                      entry->kind == CONFIG_ADDRESS || entry->kind == CONFIG_LEVELS;
        const char *quote = quoted ? "\"" : "";
        const char *comment = strcmp(value->origin, "default") == 0 ? "# " : "";
        if (strcmp(section, entry->section) != 0)
            append(out, capacity, count, "\n%s:\n", entry->section);
        section = entry->section;
        append(out, capacity, count, "  # %s\n", entry->text);
        if (entry->kind == CONFIG_PEERS)
            append_peers(out, capacity, count, comment, entry->key, value->text);
        else
            append(out, capacity, count, "  %s%s: %s%s%s\n", comment, entry->key, quote,
                   value->text, quote);
    }
    return *count < capacity ? STATUS_OK : STATUS_FULL;
}
