#include "tools/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/text.h"
#include "log/trace.h"
#include "tools/config_internal.h"
#include "tools/text.h"

#define ENVIRONMENT_PREFIX "CAIRN_"

const struct config_entry CONFIG_ENTRIES[] = {
#define X(section, key, kind, preset, lo, hi, choices, text)                                       \
    {#section,                                                                                     \
     #key,                                                                                         \
     preset,                                                                                       \
     choices,                                                                                      \
     text,                                                                                         \
     lo,                                                                                           \
     hi,                                                                                           \
     offsetof(struct config, section##_##key),                                                     \
     CONFIG_ROOM_##kind,                                                                           \
     CONFIG_##kind},
    CONFIG_LIST(X)
#undef X
};
const size_t CONFIG_ENTRY_COUNT = sizeof CONFIG_ENTRIES / sizeof CONFIG_ENTRIES[0];

const struct config_value *config_value_of(const struct config *config,
                                           const struct config_entry *entry)
{
    return (const struct config_value *)((const char *)config + entry->offset);
}

void config_fault(struct config_faults *faults, const char *format, ...)
{
    va_list arguments;
    if (faults->count < CONFIG_FAULTS_MAX) {
        va_start(arguments, format);
        vsnprintf(faults->texts[faults->count], CONFIG_FAULT_BYTES, format, arguments);
        va_end(arguments);
    }
    faults->count++;
}

/* ---- one value ----------------------------------------------------------------------------- */

static bool is_choice(const char *choices, const char *text)
{
    size_t count = strlen(text);
    for (const char *at = choices;; at++) {
        size_t own = strcspn(at, "|");
        if (own == count && memcmp(at, text, count) == 0) return true;
        at += own;
        if (*at == 0) return false;
    }
}

/* A numeric address and a port: 127.0.0.1:26657, [::1]:26657. Names are refused: what a node listens
 * on must not depend on a resolver. */
static bool is_listen(const char *text)
{
    char host[INET6_ADDRSTRLEN + 1];
    unsigned char address[16];
    uint64_t port;
    const char *colon = strrchr(text, ':');
    if (!colon || text_parse_u64(colon + 1, &port) != STATUS_OK || port > 65535) return false;
    bool six = text[0] == '[' && colon > text + 2 && colon[-1] == ']';
    size_t count = six ? (size_t)(colon - text) - 2 : (size_t)(colon - text);
    if (count >= sizeof host) return false;
    memcpy(host, six ? text + 1 : text, count);
    host[count] = 0;
    return inet_pton(six ? AF_INET6 : AF_INET, host, address) == 1;
}

static bool is_address(const char *text)
{
    struct peer_address address;
    return *text == 0 ||
           (peer_address_parse(text, strlen(text), &address) == STATUS_OK && !address.has_key);
}

/* Calls peer_address_parse for each; false: one is none, or there are too many. `out` may be NULL. */
static bool read_peers(const char *text, struct peer_address *out, size_t *count)
{
    struct peer_address one;
    for (*count = 0; *text; ++*count) {
        size_t own = strcspn(text, ",");
        if (*count == CONFIG_PEERS_MAX || own >= CONFIG_PEER_BYTES) return false;
        if (peer_address_parse(text, own, out ? &out[*count] : &one) != STATUS_OK) return false;
        text += own;
        if (text[0] == ',' && text[1] == 0) return false;
        text += *text == ',';
    }
    return true;
}

void config_split_listen(const char *text, char host[CONFIG_TEXT_BYTES], uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t count = (size_t)(colon - text), first = 0;
    uint32_t number = 0;
    if (text[0] == '[') {
        first = 1;
        count -= 2;
    }
    memcpy(host, text + first, count);
    host[count] = 0;
    for (const char *p = colon + 1; *p; p++) {
        number = number * 10 + (uint32_t)(*p - '0');
    }
    *port = (uint16_t)number;
}

bool config_is_peer(const char *text)
{
    size_t count;
    return strchr(text, ',') == NULL && read_peers(text, NULL, &count) && count == 1;
}

size_t config_peers(const char *text, struct peer_address *out)
{
    size_t count;
    bool good = read_peers(text, out, &count);
    assert(good);
    return count;
}

/* Printable, and nothing that would need escaping when it is written back: YAML has no U+FFFE and
 * U+FFFF, and folds the separators U+2028 and U+2029. */
static bool is_plain(const char *text, uint64_t lo, uint64_t hi)
{
    static const char *const UNFIT[] = {"\"",           "\\",           "\xe2\x80\xa8",
                                        "\xe2\x80\xa9", "\xef\xbf\xbe", "\xef\xbf\xbf"};
    size_t count = strlen(text);
    for (size_t i = 0; i < sizeof UNFIT / sizeof UNFIT[0]; i++) {
        if (strstr(text, UNFIT[i])) return false;
    }
    return count >= lo && count <= hi && text_is_utf8(text, count);
}

static enum text_unit unit_of(enum config_kind kind)
{
    return kind == CONFIG_BYTES ? TEXT_UNIT_BYTES
           : kind == CONFIG_MS  ? TEXT_UNIT_MS
                                : TEXT_UNIT_NONE;
}

/* A value before it is known to be good. */
struct parsed {
    uint64_t number;
    char text[CONFIG_PEERS_BYTES];
};
_Static_assert(CONFIG_PEERS_BYTES >= CONFIG_TEXT_BYTES, "every text finds room");

static enum status parse_number(const struct config_entry *entry, const char *text,
                                struct parsed *value, char *why, size_t why_bytes)
{
    static const char *const WANT[] = {"a decimal number", "a size such as 64MiB",
                                       "a time such as 5s"};
    char lo[TEXT_QUANTITY_BYTES], hi[TEXT_QUANTITY_BYTES];
    enum text_unit unit = unit_of(entry->kind);
    enum status status = text_parse_quantity(text, unit, &value->number);
    if (status == STATUS_USAGE) {
        snprintf(why, why_bytes, "is not %s", WANT[unit]);
        return STATUS_USAGE;
    }
    if (status != STATUS_OK || value->number < entry->lo || value->number > entry->hi) {
        text_format_quantity(entry->lo, unit, lo);
        text_format_quantity(entry->hi, unit, hi);
        snprintf(why, why_bytes, "is outside %s..%s", lo, hi);
        return STATUS_USAGE;
    }
    text_format_quantity(value->number, unit, value->text);
    return STATUS_OK;
}

/* Fills value->text and value->number; `why` completes the sentence "KEY: TEXT ...". */
static enum status parse_value(const struct config_entry *entry, const char *text,
                               struct parsed *value, char *why, size_t why_bytes)
{
    bool ok = true;
    size_t count = 0;
    switch (entry->kind) {
    case CONFIG_U64:
    case CONFIG_BYTES:
    case CONFIG_MS: return parse_number(entry, text, value, why, why_bytes);
    case CONFIG_BOOL:
        ok = strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
        value->number = strcmp(text, "true") == 0;
        snprintf(why, why_bytes, "is not true or false");
        break;
    case CONFIG_CHOICE:
        ok = is_choice(entry->choices, text);
        snprintf(why, why_bytes, "is not one of %s", entry->choices);
        break;
    case CONFIG_LISTEN:
        ok = is_listen(text);
        snprintf(why, why_bytes, "is not a numeric address and port such as 127.0.0.1:26657");
        break;
    case CONFIG_ADDRESS:
        ok = is_address(text);
        snprintf(why, why_bytes, "is not a numeric address and port such as 203.0.113.7:26656");
        break;
    case CONFIG_PEERS:
        ok = read_peers(text, NULL, &count);
        value->number = count;
        snprintf(why, why_bytes, "is not [KEY@]ADDRESS:PORT, up to %d times", CONFIG_PEERS_MAX);
        break;
    case CONFIG_LEVELS:
        ok = trace_parse_levels(text) == STATUS_OK;
        snprintf(why, why_bytes, "is not a level such as info or info,replica=debug");
        break;
    case CONFIG_TEXT:
        ok = is_plain(text, entry->lo, entry->hi);
        snprintf(why, why_bytes, "is not a text of %d to %d plain characters", (int)entry->lo,
                 (int)entry->hi);
        break;
    }
    if (!ok || strlen(text) >= entry->room) return STATUS_USAGE;
    snprintf(value->text, sizeof value->text, "%s", text);
    return STATUS_OK;
}

void config_set(struct config *config, const struct config_entry *entry, const char *text,
                const char *origin, struct config_faults *faults)
{
    char why[160];
    struct parsed value = {0};
    struct config_value *own = (struct config_value *)((char *)config + entry->offset);
    if (parse_value(entry, text, &value, why, sizeof why) != STATUS_OK) {
        config_fault(faults, "%s: %s.%s: \"%.64s\" %s", origin, entry->section, entry->key, text,
                     why);
        return;
    }
    snprintf(own->origin, sizeof own->origin, "%s", origin);
    own->number = value.number;
    memcpy(own->text, value.text, strlen(value.text) + 1);
}

void config_init(struct config *config)
{
    struct config_faults faults = {0};
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        config_set(config, &CONFIG_ENTRIES[i], CONFIG_ENTRIES[i].preset, "default", &faults);
    }
    assert(faults.count == 0);
}

/* ---- names --------------------------------------------------------------------------------- */

const struct config_entry *config_find(const char *section, const char *key)
{
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        const struct config_entry *entry = &CONFIG_ENTRIES[i];
        if (strcmp(entry->section, section) == 0 && strcmp(entry->key, key) == 0) return entry;
    }
    return NULL;
}

void config_flag_name(const struct config_entry *entry, char *out, size_t capacity)
{
    int count = snprintf(out, capacity, "--%s.%s", entry->section, entry->key);
    for (int i = 2; i < count && (size_t)i < capacity; i++) {
        if (out[i] == '_') out[i] = '-';
    }
}

static void environment_name(const struct config_entry *entry, char *out, size_t capacity)
{
    snprintf(out, capacity, ENVIRONMENT_PREFIX "%s_%s", entry->section, entry->key);
    for (char *c = out; *c; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
}

/* Adds the nearest known name, as `name_of` writes it, to a fault about an unknown one. */
static void fault_unknown(struct config_faults *faults, const char *origin, const char *typed,
                          void (*name_of)(const struct config_entry *, char *, size_t))
{
    char name[64], best[64] = "";
    size_t distance = SIZE_MAX;
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        name_of(&CONFIG_ENTRIES[i], name, sizeof name);
        size_t own = text_distance(typed, name);
        if (own >= distance || !text_is_near(typed, name)) continue;
        distance = own;
        memcpy(best, name, sizeof best);
    }
    config_fault(faults, "%s: unknown setting %.64s%s%s%s", origin, typed,
                 *best ? "; did you mean " : "", best, *best ? "?" : "");
}

static void dotted_name(const struct config_entry *entry, char *out, size_t capacity)
{
    snprintf(out, capacity, "%s.%s", entry->section, entry->key);
}

void config_fault_unknown(struct config_faults *faults, const char *origin, const char *typed)
{
    fault_unknown(faults, origin, typed, dotted_name);
}

/* ---- environment and flags ----------------------------------------------------------------- */

/* CAIRN_API_... is meant for us; CAIRN_HOME and the like are not settings. */
static bool names_section(const char *name)
{
    char section[64];
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        int count = snprintf(section, sizeof section, "%s_", CONFIG_ENTRIES[i].section);
        if (strncasecmp(name + sizeof ENVIRONMENT_PREFIX - 1, section, (size_t)count) == 0)
            return true;
    }
    return false;
}

void config_read_environment(struct config *config, char *const *environment,
                             struct config_faults *faults)
{
    const size_t prefix = sizeof ENVIRONMENT_PREFIX - 1;
    for (; *environment; environment++) {
        char name[64], own[64];
        const char *equals = strchr(*environment, '=');
        if (!equals || strncmp(*environment, ENVIRONMENT_PREFIX, prefix) != 0) continue;
        snprintf(name, sizeof name, "%.*s", (int)(equals - *environment), *environment);
        if (!names_section(name)) continue;
        const struct config_entry *found = NULL;
        for (size_t i = 0; i < CONFIG_ENTRY_COUNT && !found; i++) {
            environment_name(&CONFIG_ENTRIES[i], own, sizeof own);
            if (strcmp(own, name) == 0) found = &CONFIG_ENTRIES[i];
        }
        if (found)
            config_set(config, found, equals + 1, name, faults);
        else
            fault_unknown(faults, "environment", name, environment_name);
    }
}

void config_read_settings(struct config *config, const struct setting_given *settings, size_t count,
                          struct config_faults *faults)
{
    for (size_t i = 0; i < count; i++) {
        char flag[64];
        const struct config_entry *found = NULL;
        for (size_t j = 0; j < CONFIG_ENTRY_COUNT && !found; j++) {
            char own[64];
            dotted_name(&CONFIG_ENTRIES[j], own, sizeof own);
            if (strcmp(own, settings[i].key) == 0) found = &CONFIG_ENTRIES[j];
        }
        if (!found) {
            config_fault_unknown(faults, "command line", settings[i].key);
            continue;
        }
        config_flag_name(found, flag, sizeof flag);
        if (strcmp(config_value_of(config, found)->origin, flag) == 0)
            config_fault(faults, "command line: %s is given twice", flag);
        else
            config_set(config, found, settings[i].text, flag, faults);
    }
}

/* Two services on one address; port 0 is another each time. */
static bool is_taken(const char *address, const char *by)
{
    return strcmp(address, by) == 0 && strcmp(strrchr(address, ':'), ":0") != 0;
}

void config_check_together(const struct config *config, struct config_faults *faults)
{
    if (config->mempool_per_account.number > config->mempool_max_txs.number)
        config_fault(faults, "%s: mempool.per_account is above mempool.max_txs",
                     config->mempool_per_account.origin);
    if (config->api_max_connections_per_ip.number > config->api_max_connections.number)
        config_fault(faults, "%s: api.max_connections_per_ip is above api.max_connections",
                     config->api_max_connections_per_ip.origin);
    if (config->api_sse_max_clients.number >= config->api_max_connections.number)
        config_fault(faults,
                     "%s: api.sse_max_clients must leave connections for others: it is not below "
                     "api.max_connections",
                     config->api_sse_max_clients.origin);
    if (config->storage_refuse_bytes.number > config->storage_warn_bytes.number)
        config_fault(faults, "%s: storage.refuse_bytes is above storage.warn_bytes",
                     config->storage_refuse_bytes.origin);
    if (config->storage_stop_bytes.number > config->storage_refuse_bytes.number)
        config_fault(faults, "%s: storage.stop_bytes is above storage.refuse_bytes",
                     config->storage_stop_bytes.origin);
    if (is_taken(config->api_listen_addr.text, config->metrics_listen_addr.text))
        config_fault(faults, "%s: metrics.listen_addr is the address of the API",
                     config->metrics_listen_addr.origin);
    if (is_taken(config->api_listen_addr.text, config->p2p_listen_addr.text) ||
        is_taken(config->metrics_listen_addr.text, config->p2p_listen_addr.text))
        config_fault(faults, "%s: p2p.listen_addr is the address of the API or of the metrics",
                     config->p2p_listen_addr.origin);
}
