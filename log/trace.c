#include "log/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Room kept free for the tail that says what is missing and closes the line. */
#define TAIL_BYTES 64

#define LEVEL_INHERIT (-1)

static const char *const LEVEL_NAMES[] = {
#define X(upper, lower) #lower,
    TRACE_LEVEL_LIST(X)
#undef X
};
#define LEVEL_COUNT (sizeof LEVEL_NAMES / sizeof LEVEL_NAMES[0])

static const char *const FORMAT_NAMES[] = {
#define X(upper, lower) #lower,
    TRACE_FORMAT_LIST(X)
#undef X
};
#define FORMAT_COUNT (sizeof FORMAT_NAMES / sizeof FORMAT_NAMES[0])

/* Readers take no lock: an entry's name is written before module_count is raised over it and never
 * changes; levels are atomics. Writers hold levels_lock. */
struct module {
    char name[TRACE_MODULE_BYTES_MAX + 1];
    atomic_int level; /* enum trace_level, or LEVEL_INHERIT */
};

static struct {
    enum trace_format format; /* never AUTO */
    bool colour;
    int file;
    struct module modules[TRACE_MODULES_MAX];
    atomic_size_t module_count;
    atomic_int level_default;
    atomic_int level_highest; /* over default and modules: most events end here */
    atomic_uint_fast64_t dropped;
} trace = {.format = TRACE_FORMAT_LOGFMT,
           .file = STDERR_FILENO,
           .level_default = TRACE_INFO,
           .level_highest = TRACE_INFO};

static pthread_mutex_t levels_lock = PTHREAD_MUTEX_INITIALIZER;

struct trace_field trace_string(const char *name, const char *value)
{
    return (struct trace_field){.name = name,
                                .at = value ? value : "",
                                .count = value ? strnlen(value, TRACE_TEXT_BYTES_MAX + 1) : 0,
                                .kind = TRACE_KIND_TEXT};
}

struct trace_field trace_status(const char *name, enum status status)
{
    return trace_string(name, status_name(status));
}

/* ---- levels -------------------------------------------------------------------------------- */

static bool parse_level(const char *at, size_t count, enum trace_level *level)
{
    for (size_t i = 0; i < LEVEL_COUNT; i++) {
        if (strlen(LEVEL_NAMES[i]) == count && memcmp(LEVEL_NAMES[i], at, count) == 0) {
            *level = (enum trace_level)i;
            return true;
        }
    }
    return false;
}

static bool module_name_ok(const char *at, size_t count)
{
    if (count == 0 || count > TRACE_MODULE_BYTES_MAX) return false;
    for (size_t i = 0; i < count; i++) {
        char c = at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) return false;
    }
    return true;
}

static struct module *module_find(const char *name, size_t count)
{
    size_t modules = atomic_load_explicit(&trace.module_count, memory_order_acquire);
    for (size_t i = 0; i < modules; i++) {
        if (strncmp(trace.modules[i].name, name, count) == 0 && trace.modules[i].name[count] == 0)
            return &trace.modules[i];
    }
    return NULL;
}

static void refresh_highest(void)
{
    int highest = atomic_load(&trace.level_default);
    size_t modules = atomic_load(&trace.module_count);
    for (size_t i = 0; i < modules; i++) {
        int level = atomic_load(&trace.modules[i].level);
        if (level > highest) highest = level;
    }
    atomic_store(&trace.level_highest, highest);
}

/* With levels_lock held. */
static enum status set_module(const char *name, size_t count, enum trace_level level)
{
    struct module *module = module_find(name, count);
    if (!module) {
        size_t modules = atomic_load(&trace.module_count);
        if (modules == TRACE_MODULES_MAX) return STATUS_FULL;
        module = &trace.modules[modules];
        memcpy(module->name, name, count);
        module->name[count] = 0;
        atomic_store(&module->level, (int)level);
        atomic_store_explicit(&trace.module_count, modules + 1, memory_order_release);
        return STATUS_OK;
    }
    atomic_store(&module->level, (int)level);
    return STATUS_OK;
}

/* Walks a spec; with `apply` and levels_lock held it sets what it reads. */
static enum status walk_spec(const char *spec, bool apply)
{
    size_t named = 0;
    bool first = true;
    for (const char *at = spec;; first = false) {
        size_t count = strcspn(at, ",");
        const char *equals = memchr(at, '=', count);
        enum trace_level level;
        if (!equals) {
            if (!first || !parse_level(at, count, &level)) return STATUS_USAGE;
            if (apply) atomic_store(&trace.level_default, (int)level);
        } else {
            size_t name_count = (size_t)(equals - at);
            if (!module_name_ok(at, name_count) || ++named > TRACE_MODULES_MAX ||
                !parse_level(equals + 1, count - name_count - 1, &level))
                return STATUS_USAGE;
            if (apply) TRY(set_module(at, name_count, level));
        }
        at += count;
        if (*at++ == 0) return STATUS_OK;
    }
}

enum status trace_parse_levels(const char *spec)
{
    return walk_spec(spec, false);
}

enum status trace_set_levels(const char *spec)
{
    TRY(walk_spec(spec, false));
    pthread_mutex_lock(&levels_lock);
    atomic_store(&trace.level_default, TRACE_INFO);
    size_t modules = atomic_load(&trace.module_count);
    for (size_t i = 0; i < modules; i++) {
        atomic_store(&trace.modules[i].level, LEVEL_INHERIT);
    }
    enum status status = walk_spec(spec, true);
    refresh_highest();
    pthread_mutex_unlock(&levels_lock);
    return status;
}

enum status trace_set_level(const char *module, enum trace_level level)
{
    size_t count = module ? strlen(module) : 0;
    if (module && !module_name_ok(module, count)) return STATUS_USAGE;
    enum status status = STATUS_OK;
    pthread_mutex_lock(&levels_lock);
    if (module)
        status = set_module(module, count, level);
    else
        atomic_store(&trace.level_default, (int)level);
    refresh_highest();
    pthread_mutex_unlock(&levels_lock);
    return status;
}

bool trace_enabled(enum trace_level level, const char *module)
{
    if ((int)level > atomic_load_explicit(&trace.level_highest, memory_order_relaxed)) return false;
    const struct module *own = module_find(module, strlen(module));
    int limit = own ? atomic_load_explicit(&own->level, memory_order_relaxed) : LEVEL_INHERIT;
    if (limit == LEVEL_INHERIT)
        limit = atomic_load_explicit(&trace.level_default, memory_order_relaxed);
    return (int)level <= limit;
}

enum status trace_parse_format(const char *name, enum trace_format *format)
{
    for (size_t i = 0; i < FORMAT_COUNT; i++) {
        if (strcmp(FORMAT_NAMES[i], name) == 0) {
            *format = (enum trace_format)i;
            return STATUS_OK;
        }
    }
    return STATUS_USAGE;
}

enum status trace_init(enum trace_format format, const char *spec, int file)
{
    TRY(trace_set_levels(spec));
    bool tty = isatty(file) == 1;
    const char *no_colour = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    if (format == TRACE_FORMAT_AUTO) format = tty ? TRACE_FORMAT_TERMINAL : TRACE_FORMAT_LOGFMT;
    trace.format = format;
    trace.file = file;
    trace.colour = format == TRACE_FORMAT_TERMINAL && tty && !(no_colour && *no_colour) &&
                   !(term && strcmp(term, "dumb") == 0);
    return STATUS_OK;
}

/* ---- one line ------------------------------------------------------------------------------ */

struct line {
    char text[TRACE_LINE_BYTES_MAX];
    size_t count;
    size_t limit; /* nothing is written beyond */
    bool full;    /* something did not fit since the flag was last cleared */
};

static void put(struct line *line, const char *at, size_t count)
{
    if (line->full || count > line->limit - line->count) {
        line->full = true;
        return;
    }
    memcpy(line->text + line->count, at, count);
    line->count += count;
}

static void put_text(struct line *line, const char *text)
{
    put(line, text, strlen(text));
}

static void put_u64(struct line *line, uint64_t value)
{
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, value);
    put(line, digits, (size_t)count);
}

/* How many bytes the well-formed UTF-8 sequence at `at` has (RFC 3629), or 0. */
static size_t utf8_bytes(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0], low = 0x80, high = 0xbf;
    size_t count = lead < 0x80                    ? 1
                   : lead >= 0xc2 && lead <= 0xdf ? 2
                   : lead >= 0xe0 && lead <= 0xef ? 3
                   : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                  : 0;
    if (count == 0 || count > left) return 0;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
    for (size_t i = 1; i < count; i++) {
        if (at[i] < low || at[i] > high) return 0;
        low = 0x80;
        high = 0xbf;
    }
    return count;
}

/* The escapes are those of JSON strings; logfmt readers know the same ones. C1 controls and DEL
 * drive terminals like ESC does. */
static void put_escaped(struct line *line, const uint8_t *at, size_t count)
{
    bool cut = count > TRACE_TEXT_BYTES_MAX;
    if (cut) count = TRACE_TEXT_BYTES_MAX;
    for (size_t i = 0; i < count;) {
        size_t bytes = utf8_bytes(at + i, count - i);
        bool c1 = bytes == 2 && at[i] == 0xc2 && at[i + 1] < 0xa0;
        if (bytes == 0) {
            put_text(line, "\xef\xbf\xbd");
            bytes = 1;
        } else if (at[i] == '"' || at[i] == '\\') {
            put(line, (const char[]){'\\', (char)at[i]}, 2);
        } else if (at[i] == '\n') {
            put_text(line, "\\n");
        } else if (at[i] == '\t') {
            put_text(line, "\\t");
        } else if (at[i] < 0x20 || at[i] == 0x7f || c1) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", (unsigned)at[i + bytes - 1]);
            put_text(line, escape);
        } else {
            put(line, (const char *)at + i, bytes);
        }
        i += bytes;
    }
    if (cut) put_text(line, "\xe2\x80\xa6");
}

/* A bare logfmt value is printable ASCII without space, quote, equals sign or backslash. */
static bool needs_quotes(const uint8_t *at, size_t count)
{
    if (count == 0) return true;
    for (size_t i = 0; i < count; i++) {
        if (at[i] <= ' ' || at[i] >= 0x7f || at[i] == '"' || at[i] == '=' || at[i] == '\\')
            return true;
    }
    return false;
}

static void put_string(struct line *line, const void *at, size_t count)
{
    bool quotes = trace.format == TRACE_FORMAT_JSON || needs_quotes(at, count);
    if (quotes) put(line, "\"", 1);
    put_escaped(line, at, count);
    if (quotes) put(line, "\"", 1);
}

static void put_hex(struct line *line, const uint8_t *at, size_t count)
{
    static const char DIGITS[] = "0123456789abcdef";
    bool quotes = trace.format == TRACE_FORMAT_JSON || count == 0;
    if (quotes) put(line, "\"", 1);
    for (size_t i = 0; i < count; i++) {
        put(line, (const char[]){DIGITS[at[i] >> 4], DIGITS[at[i] & 15]}, 2);
    }
    if (quotes) put(line, "\"", 1);
}

/* Writes ` name=value` or `,"name":value`, whole or not at all. */
static bool put_field(struct line *line, const struct trace_field *field)
{
    size_t start = line->count;
    bool json = trace.format == TRACE_FORMAT_JSON;
    if (start > (json ? 1 : 0)) put(line, json ? "," : " ", 1);
    if (json) put(line, "\"", 1);
    put_text(line, field->name);
    put_text(line, json ? "\":" : "=");
    switch (field->kind) {
    case TRACE_KIND_END: break;
    case TRACE_KIND_U64: put_u64(line, field->number); break;
    case TRACE_KIND_I64:
        if ((int64_t)field->number < 0) put(line, "-", 1);
        put_u64(line, (int64_t)field->number < 0 ? 0 - field->number : field->number);
        break;
    case TRACE_KIND_TEXT: put_string(line, field->at, field->count); break;
    case TRACE_KIND_HEX: put_hex(line, field->at, field->count); break;
    }
    if (!line->full) return true;
    line->count = start;
    line->full = false;
    return false;
}

/* RFC 3339 with microseconds; a terminal gets the time of day. */
static void format_time(char out[static 32])
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    bool terminal = trace.format == TRACE_FORMAT_TERMINAL;
    size_t count = strftime(out, 24, terminal ? "%H:%M:%S" : "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(out + count, 32 - count, ".%06ld%s", now.tv_nsec / 1000, terminal ? "" : "Z");
}

static bool put_head_terminal(struct line *line, enum trace_level level, const char *module,
                              const char *target, const char *message)
{
    static const char *const COLOURS[LEVEL_COUNT] = {"",         "\033[31m", "\033[33m",
                                                     "\033[32m", "\033[36m", "\033[2m"};
    static const char *const LABELS[LEVEL_COUNT] = {"OFF  ", "ERROR", "WARN ",
                                                    "INFO ", "DEBUG", "TRACE"};
    char time_text[32];
    format_time(time_text);
    put_text(line, time_text);
    put(line, " ", 1);
    if (trace.colour) put_text(line, COLOURS[level]);
    put_text(line, LABELS[level]);
    if (trace.colour) put_text(line, "\033[0m");
    put(line, " ", 1);
    put_text(line, module);
    put(line, "/", 1);
    put_text(line, target);
    put(line, ": ", 2);
    size_t start = line->count;
    put_escaped(line, (const uint8_t *)message, strnlen(message, TRACE_TEXT_BYTES_MAX + 1));
    if (!line->full) return true;
    line->count = start;
    line->full = false;
    return false;
}

static bool put_head(struct line *line, enum trace_level level, const char *module,
                     const char *target, const char *message)
{
    if (trace.format == TRACE_FORMAT_TERMINAL)
        return put_head_terminal(line, level, module, target, message);
    char time_text[32];
    format_time(time_text);
    if (trace.format == TRACE_FORMAT_JSON) put(line, "{", 1);
    struct trace_field head[] = {
        trace_string("ts", time_text),  trace_string("level", LEVEL_NAMES[level]),
        trace_string("module", module), trace_string("target", target),
        trace_string("msg", message),
    };
    bool whole = true;
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++) {
        whole = put_field(line, &head[i]) && whole;
    }
    return whole;
}

/* `truncated` and `dropped` fit into TAIL_BYTES, whatever stands before. */
static void put_tail(struct line *line, bool whole, uint64_t dropped)
{
    bool json = trace.format == TRACE_FORMAT_JSON;
    line->limit = sizeof line->text;
    if (!whole) put_text(line, json ? ",\"truncated\":true" : " truncated=true");
    if (dropped > 0) {
        struct trace_field field = trace_u64("dropped", dropped);
        (void)put_field(line, &field);
    }
    put_text(line, json ? "}\n" : "\n");
}

void trace_event(enum trace_level level, const char *module, const char *target,
                 const char *message, ...)
{
    int saved_errno = errno;
    struct line line;
    line.count = 0;
    line.limit = sizeof line.text - TAIL_BYTES;
    line.full = false;
    bool whole = put_head(&line, level, module, target, message);

    va_list fields;
    va_start(fields, message);
    for (;;) {
        struct trace_field field = va_arg(fields, struct trace_field);
        if (field.kind == TRACE_KIND_END) break;
        whole = put_field(&line, &field) && whole;
    }
    va_end(fields);

    uint64_t dropped = atomic_exchange(&trace.dropped, 0);
    put_tail(&line, whole, dropped);
    ssize_t written;
    do {
        written = write(trace.file, line.text, line.count);
    } while (written < 0 && errno == EINTR);
    if (written < 0) atomic_fetch_add(&trace.dropped, dropped + 1);
    errno = saved_errno;
}
