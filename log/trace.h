/* log/trace.h - structured diagnostics for people and log collectors.
 *
 * An event has a level, a module (the folder or part that speaks: "replica"), a target (what it is
 * about: "commit"), a message in plain words and typed fields. It is written as one line with one
 * write(2), so that lines of several threads and processes never mix:
 *
 *   terminal   11:02:03.000456 INFO  replica/commit: block committed height=5 block=0a1b...
 *   logfmt     ts=2026-11-21T11:02:03.000456Z level=info module=replica target=commit
 *              msg="block committed" height=5 block=0a1b...            (one line)
 *   json       {"ts":"2026-11-21T11:02:03.000456Z","level":"info","module":"replica", ...}
 *
 * Names (module, target, fields) are literals of ours; texts may come from anywhere: control
 * characters are escaped and ill-formed UTF-8 is replaced in every format, so that nobody can forge
 * a line or drive a terminal. Times are UTC (RFC 3339). A line is at most TRACE_LINE_BYTES_MAX
 * long; fields that do not fit are left out and `truncated=true` says so. A line that the
 * descriptor does not take (full pipe) is dropped; the next one carries `dropped=N`. Tracing never
 * fails its caller and never blocks on a lock while writing.
 *
 * Traces are not a record: nothing may be rebuilt from them, and secrets never enter them.
 */
#ifndef CAIRN_LOG_TRACE_H
#define CAIRN_LOG_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/status.h"

#define TRACE_LINE_BYTES_MAX   4096 /* PIPE_BUF: one write to a pipe is not split */
#define TRACE_TEXT_BYTES_MAX   1024 /* of one text value; what is longer is cut */
#define TRACE_MODULES_MAX      32   /* modules with a level of their own */
#define TRACE_MODULE_BYTES_MAX 24

#define TRACE_FORMAT_LIST(X) X(AUTO, auto) X(TERMINAL, terminal) X(LOGFMT, logfmt) X(JSON, json)

/* From the gravest to the chattiest; OFF silences a module. */
#define TRACE_LEVEL_LIST(X)                                                                        \
    X(OFF, off) X(ERROR, error) X(WARN, warn) X(INFO, info) X(DEBUG, debug) X(TRACE, trace)

enum trace_format {
#define X(upper, lower) TRACE_FORMAT_##upper,
    TRACE_FORMAT_LIST(X)
#undef X
};

enum trace_level {
#define X(upper, lower) TRACE_##upper,
    TRACE_LEVEL_LIST(X)
#undef X
};

enum trace_kind { TRACE_KIND_END, TRACE_KIND_U64, TRACE_KIND_I64, TRACE_KIND_TEXT, TRACE_KIND_HEX };

struct trace_field {
    const char *name;
    const void *at; /* TEXT, HEX: borrowed until the event is written */
    uint64_t number;
    size_t count;
    enum trace_kind kind;
};

static inline struct trace_field trace_u64(const char *name, uint64_t value)
{
    return (struct trace_field){.name = name, .number = value, .kind = TRACE_KIND_U64};
}

static inline struct trace_field trace_i64(const char *name, int64_t value)
{
    return (struct trace_field){.name = name, .number = (uint64_t)value, .kind = TRACE_KIND_I64};
}

/* trace_string: NULL is written as an empty text. */
struct trace_field trace_string(const char *name, const char *value);

static inline struct trace_field trace_hex(const char *name, const uint8_t *bytes, size_t count)
{
    return (struct trace_field){.name = name, .at = bytes, .count = count, .kind = TRACE_KIND_HEX};
}

/* trace_status writes the status's name ("no_space"). */
struct trace_field trace_status(const char *name, enum status status);

static inline struct trace_field trace_end(void)
{
    return (struct trace_field){.kind = TRACE_KIND_END};
}

/* trace_init sets format, levels and descriptor (borrowed, not closed). AUTO is terminal on a TTY,
 * logfmt elsewhere; colours only on a TTY, without NO_COLOR and with TERM other than dumb. Call it
 * before threads start. Without trace_init: logfmt, info, descriptor 2.
 *
 *   spec  "info" or "warn,replica=debug,api=off": the default level first (optional), then modules
 *
 * STATUS_USAGE: spec is not well formed, nothing changed. */
MUST_CHECK enum status trace_init(enum trace_format format, const char *spec, int file);

/* trace_set_levels replaces all levels at run time, from any thread. STATUS_USAGE as above. */
MUST_CHECK enum status trace_set_levels(const char *spec);

/* trace_set_level changes one module, or the default with module NULL. STATUS_FULL: too many
 * modules; STATUS_USAGE: not a name of 1..TRACE_MODULE_BYTES_MAX bytes a-z, 0-9, _. */
MUST_CHECK enum status trace_set_level(const char *module, enum trace_level level);

/* trace_parse_levels only checks a spec (for `config check`). */
MUST_CHECK enum status trace_parse_levels(const char *spec);

MUST_CHECK enum status trace_parse_format(const char *name, enum trace_format *format);

/* trace_enabled is cheap: one load for levels that no module asks for. */
bool trace_enabled(enum trace_level level, const char *module);

/* TRACE(INFO, "replica", "commit", "block committed", trace_u64("height", h)): the fields are
 * evaluated only if the event is wanted. The message may be followed by any number of fields. */
#define TRACE(level, module, target, ...)                                                          \
    do {                                                                                           \
        if (trace_enabled(TRACE_##level, module))                                                  \
            trace_event(TRACE_##level, module, target, __VA_ARGS__, trace_end());                  \
    } while (0)

/* trace_event writes unconditionally; after the message come struct trace_field values, the last
 * one trace_end(). errno is kept. */
void trace_event(enum trace_level level, const char *module, const char *target,
                 const char *message, ...);

#endif
