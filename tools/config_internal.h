/* tools/config_internal.h - what config.c and config_file.c share. */
#ifndef CAIRN_TOOLS_CONFIG_INTERNAL_H
#define CAIRN_TOOLS_CONFIG_INTERNAL_H

#include "tools/config.h"

PRINTF_LIKE(2, 3) void config_fault(struct config_faults *faults, const char *format, ...);

/* config_set parses `text` into the entry's value, or adds a fault that begins with `origin`. */
void config_set(struct config *config, const struct config_entry *entry, const char *text,
                const char *origin, struct config_faults *faults);

bool config_is_peer(const char *text);

const struct config_entry *config_find(const char *section, const char *key);

/* config_fault_unknown adds "origin: unknown setting typed; did you mean ...?". */
void config_fault_unknown(struct config_faults *faults, const char *origin, const char *typed);

/* config_flag_name writes --section.key with '-' for '_'. */
void config_flag_name(const struct config_entry *entry, char *out, size_t capacity);

#endif
