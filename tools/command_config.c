#include "tools/command_config.h"

#include <stdlib.h>
#include <string.h>

#include "tools/config.h"
#include "tools/output.h"

static enum exit_code fail_load(const struct call *call, enum status status)
{
    const char *file = option_text(call, "config");
    return output_fail_status(call, status, file ? file : "configuration");
}

/* Config and faults are too large for a comfortable stack. */
struct loaded {
    struct config config;
    struct config_faults faults;
};

static json_t *json_of_faults(const struct config_faults *faults)
{
    json_t *list = json_array();
    for (size_t i = 0; i < faults->count && i < CONFIG_FAULTS_MAX; i++) {
        json_array_append_new(list, json_string(faults->texts[i]));
    }
    return list;
}

static enum exit_code run_check(struct call *call)
{
    struct loaded *loaded = malloc(sizeof *loaded);
    if (!loaded) return output_fail_status(call, STATUS_NO_MEMORY, "config");
    enum status status = config_load(call, &loaded->config, &loaded->faults);
    size_t count = loaded->faults.count;
    enum exit_code code;
    if (status != STATUS_OK && count == 0) {
        code = fail_load(call, status);
    } else if (call->output == OUTPUT_TEXT && count > 0) {
        code = output_result(call, json_of_faults(&loaded->faults));
    } else if (call->output == OUTPUT_TEXT) {
        code = output_result(call, json_string("the configuration is in order"));
    } else {
        code = output_result(call, json_pack("{s:b, s:I, s:o}", "ok", count == 0, "fault_count",
                                             (json_int_t)count, "faults",
                                             json_of_faults(&loaded->faults)));
    }
    free(loaded);
    return code == EXIT_OK && count > 0 ? EXIT_FAILED : code;
}

static json_t *json_of_list(const char *text)
{
    json_t *list = json_array();
    while (*text) {
        size_t own = strcspn(text, ",");
        json_array_append_new(list, json_stringn(text, own));
        text += own + (text[own] == ',');
    }
    return list;
}

static json_t *json_of_value(const struct config_entry *entry, const struct config_value *value)
{
    switch (entry->kind) {
    case CONFIG_BOOL: return json_boolean(value->number);
    case CONFIG_U64: return json_integer((json_int_t)value->number);
    case CONFIG_PEERS: return json_of_list(value->text);
    case CONFIG_TEXT:
    case CONFIG_CHOICE:
    case CONFIG_LISTEN:
    case CONFIG_ADDRESS:
    case CONFIG_LEVELS:
    case CONFIG_BYTES:
    case CONFIG_MS: break;
    }
    return json_string(value->text);
}

static json_t *json_of_config(const struct config *config, bool origin)
{
    json_t *list = json_array();
    for (size_t i = 0; i < CONFIG_ENTRY_COUNT; i++) {
        const struct config_entry *entry = &CONFIG_ENTRIES[i];
        const struct config_value *value = config_value_of(config, entry);
        json_t *row =
            json_pack("{s:o, s:o}", "key", json_sprintf("%s.%s", entry->section, entry->key),
                      "value", json_of_value(entry, value));
        if (origin) json_object_set_new(row, "origin", json_string(value->origin));
        json_array_append_new(list, row);
    }
    return list;
}

static enum exit_code run_show(struct call *call)
{
    struct loaded *loaded = malloc(sizeof *loaded);
    if (!loaded) return output_fail_status(call, STATUS_NO_MEMORY, "config");
    enum status status = config_load(call, &loaded->config, &loaded->faults);
    enum exit_code code;
    if (loaded->faults.count > 0)
        code =
            output_fail(call, EXIT_FAILED, "usage", "%s (%zu faults; cairn config check lists all)",
                        loaded->faults.texts[0], loaded->faults.count);
    else if (status != STATUS_OK)
        code = fail_load(call, status);
    else
        code = output_result(call, json_of_config(&loaded->config, option_flag(call, "origin")));
    free(loaded);
    return code;
}

static const struct option CHECK_OPTIONS[] = {CONFIG_FILE_OPTION};
static const struct option SHOW_OPTIONS[] = {
    CONFIG_FILE_OPTION,
    {.name = "origin", .kind = OPTION_FLAG, .text = "also where each value comes from"},
};

static const struct action CONFIG[] = {
    {.verb = "check",
     .text = "every fault of file, environment and flags, with its line",
     OPTIONS_OF(CHECK_OPTIONS),
     .flags = COMMAND_TAKES_SETTINGS,
     .run = run_check},
    {.verb = "show",
     .text = "the settings as a node would use them",
     OPTIONS_OF(SHOW_OPTIONS),
     .flags = COMMAND_TAKES_SETTINGS,
     .run = run_show},
};
COMMAND_SET(COMMANDS_CONFIG, "config", "settings of a node", CONFIG);
