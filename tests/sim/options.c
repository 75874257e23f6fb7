/* What a run is to be: drawn by a profile from the seed, changed by the command line, and written as a command line. */
#include <string.h>

#include "tests/sim/world.h"

#define ALL_KINDS ((UINT64_C(1) << FAULT_DECISION_END) - 1)

static uint64_t draw(uint64_t seed, uint64_t salt, uint64_t bound)
{
    uint8_t bytes[16];
    store_u64(bytes, seed);
    store_u64(bytes + 8, salt);
    return checksum64(bytes, sizeof bytes, 3) % bound;
}

/* ---- profiles ---- */

static void draw_calm(struct sim_options *options)
{
    options->calm = true;
    options->validators = 4;
    options->heights = 1000;
}

static void draw_trouble(struct sim_options *options)
{
    uint64_t seed = options->seed;
    options->observers = (unsigned)draw(seed, 2, 3);
    if (draw(seed, 3, 3) != 0) options->epoch_blocks = 4 + draw(seed, 4, 20);
    options->byzantine = draw(seed, 5, 2) == 0;
    options->crash_permille = (unsigned)(draw(seed, 6, 3) * draw(seed, 7, 40));
    options->loss_permille = (unsigned)(draw(seed, 8, 2) * draw(seed, 9, 200));
    options->real_signatures = draw(seed, 10, 50) == 0;
}

static void draw_lite(struct sim_options *options)
{
    static const unsigned SIZES[] = {1, 3, 4, 4, 4, 5, 6, 7, 7, 10};
    draw_trouble(options);
    options->validators = SIZES[draw(options->seed, 1, 10)];
    options->heights = 60;
}

/* Validators that lie, in every run, on a network that mostly works: what they say arrives. */
static void draw_liars(struct sim_options *options)
{
    draw_lite(options);
    options->validators = 4 + (unsigned)draw(options->seed, 1, 7);
    options->byzantine = true;
    options->loss_permille /= 8;
    options->crash_permille /= 4;
    options->without = UINT64_C(1) << FAULT_PARTITION | UINT64_C(1) << FAULT_ONE_WAY;
}

static void draw_twins(struct sim_options *options)
{
    draw_trouble(options);
    options->twins = true;
    options->scheduled = draw(options->seed, 11, 2) == 0;
    options->validators = 4 + (options->scheduled ? (unsigned)draw(options->seed, 1, 4)
                                                  : 3 * (unsigned)draw(options->seed, 1, 2));
    options->observers = 0;
    options->heights = 6;
    options->crash_permille /= 4;
}

static void draw_big(struct sim_options *options)
{
    draw_trouble(options);
    options->validators = 100;
    options->heights = 30;
}

/* Machines lose power one after the other, all the time; nothing else goes wrong. */
static void draw_rolling(struct sim_options *options)
{
    options->rolling = true;
    options->validators = 100;
    options->heights = 100;
    if (draw(options->seed, 3, 2) == 0) options->epoch_blocks = 20 + draw(options->seed, 4, 60);
    options->without = ALL_KINDS & ~(UINT64_C(1) << FAULT_CRASH | UINT64_C(1) << FAULT_LATE);
}

/* Every kind of fault happens in some hundred of these. */
static void draw_mixed(struct sim_options *options)
{
    void (*const DRAWS[])(struct sim_options *) = {draw_lite, draw_liars, draw_twins};
    DRAWS[draw(options->seed, 12, 3)](options);
}

static const struct {
    const char *name;
    void (*draw)(struct sim_options *options);
} PROFILES[] = {{"calm", draw_calm},   {"lite", draw_lite}, {"liars", draw_liars},
                {"twins", draw_twins}, {"big", draw_big},   {"rolling", draw_rolling},
                {"mixed", draw_mixed}};

bool sim_draw(const char *profile, uint64_t seed, struct sim_options *options)
{
    *options = (struct sim_options){.seed = seed};
    for (size_t i = 0; i < sizeof PROFILES / sizeof PROFILES[0]; i++) {
        if (strcmp(profile, PROFILES[i].name) != 0) continue;
        PROFILES[i].draw(options);
        return true;
    }
    return false;
}

/* ---- settings ---- */

static bool set_kinds(const char *names, uint64_t *kinds)
{
    *kinds = 0;
    while (*names) {
        size_t length = strcspn(names, ",");
        unsigned fault = 0;
        while (fault < FAULT_COUNT && (strlen(SIM_FAULT_NAMES[fault]) != length ||
                                       memcmp(SIM_FAULT_NAMES[fault], names, length) != 0)) {
            fault++;
        }
        if (fault >= FAULT_DECISION_END) return false;
        *kinds |= UINT64_C(1) << fault;
        names += length + (names[length] == ',');
    }
    return true;
}

static bool set_skip(struct sim_options *options, const char *text)
{
    options->skip_count = 0;
    while (*text) {
        char *end;
        if (options->skip_count == SIM_SKIPS_MAX) return false;
        struct sim_range *range = &options->skip[options->skip_count++];
        range->from = range->to = strtoull(text, &end, 10);
        if (end == text) return false;
        if (*end == '-') {
            text = end + 1;
            range->to = strtoull(text, &end, 10);
            if (end == text) return false;
        }
        if (*end == ',') end++;
        text = end;
    }
    return true;
}

static bool set_number(const char *text, uint64_t max, uint64_t *value)
{
    char *end;
    *value = strtoull(text, &end, 10);
    return *text != '\0' && *end == '\0' && *value <= max;
}

const char *const SIM_SETTINGS[SIM_SETTING_COUNT] = {
#define X(upper, text) text,
    SIM_SETTING_LIST(X)
#undef X
};

bool sim_set(struct sim_options *options, enum sim_setting setting, const char *text)
{
    uint64_t value = 0;
    if (setting == SETTING_WITHOUT) return set_kinds(text, &options->without);
    if (setting == SETTING_ONLY) {
        bool known = set_kinds(text, &options->without);
        options->without ^= ALL_KINDS;
        return known;
    }
    if (setting == SETTING_SKIP_FAULTS) return set_skip(options, text);
    if (!set_number(text, UINT32_MAX, &value)) return false;
    switch (setting) {
    case SETTING_VALIDATORS:
        options->validators = (unsigned)value;
        return value >= 1 && value <= 100;
    case SETTING_OBSERVERS: options->observers = (unsigned)value; return value <= 10;
    case SETTING_HEIGHTS: options->heights = value; return true;
    case SETTING_EPOCH_BLOCKS: options->epoch_blocks = value; return true;
    case SETTING_CRASH: options->crash_permille = (unsigned)value; return true;
    case SETTING_LOSS: options->loss_permille = (unsigned)value; return value <= 1000;
    case SETTING_TWINS: options->twins = value != 0; return true;
    case SETTING_SCHEDULED: options->scheduled = value != 0; return true;
    case SETTING_BYZANTINE: options->byzantine = value != 0; return true;
    case SETTING_REAL: options->real_signatures = value != 0; return true;
    default: return false;
    }
}

static uint64_t setting_value(const struct sim_options *options, enum sim_setting setting)
{
    switch (setting) {
    case SETTING_VALIDATORS: return options->validators;
    case SETTING_OBSERVERS: return options->observers;
    case SETTING_HEIGHTS: return options->heights;
    case SETTING_EPOCH_BLOCKS: return options->epoch_blocks;
    case SETTING_CRASH: return options->crash_permille;
    case SETTING_LOSS: return options->loss_permille;
    case SETTING_TWINS: return options->twins;
    case SETTING_SCHEDULED: return options->scheduled;
    case SETTING_BYZANTINE: return options->byzantine;
    case SETTING_REAL: return options->real_signatures;
    default: return 0;
    }
}

/* ---- as a command ---- */

/* The shorter of --without and --only. */
static void print_kinds(FILE *out, uint64_t without)
{
    bool only = 2 * __builtin_popcountll(without) > FAULT_DECISION_END;
    uint64_t named = only ? without ^ ALL_KINDS : without;
    const char *comma = "";
    fprintf(out, only ? " --only " : " --without ");
    if (named == 0) fprintf(out, "\"\"");
    for (unsigned fault = 0; fault < FAULT_DECISION_END; fault++) {
        if (!(named >> fault & 1)) continue;
        fprintf(out, "%s%s", comma, SIM_FAULT_NAMES[fault]);
        comma = ",";
    }
}

static void print_skip(FILE *out, const struct sim_options *options)
{
    fprintf(out, " --skip-faults ");
    for (unsigned i = 0; i < options->skip_count; i++) {
        const struct sim_range *range = &options->skip[i];
        fprintf(out, "%s%llu", i > 0 ? "," : "", (unsigned long long)range->from);
        if (range->to != range->from) fprintf(out, "-%llu", (unsigned long long)range->to);
    }
}

void sim_command(FILE *out, const char *program, const char *profile,
                 const struct sim_options *options)
{
    struct sim_options drawn;
    if (!sim_draw(profile, options->seed, &drawn)) return;
    fprintf(out, "%s --profile %s --seed %llu", program, profile,
            (unsigned long long)options->seed);
    for (unsigned i = 0; i < SETTING_WITHOUT; i++) {
        uint64_t value = setting_value(options, (enum sim_setting)i);
        if (value == setting_value(&drawn, (enum sim_setting)i)) continue;
        fprintf(out, " --%s %llu", SIM_SETTINGS[i], (unsigned long long)value);
    }
    if (options->without != drawn.without) print_kinds(out, options->without);
    if (options->skip_count > 0) print_skip(out, options);
    fprintf(out, "\n");
}
