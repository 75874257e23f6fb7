/* A failing run made smaller. Each candidate runs in a process of its own, because a failure may be an assertion; a
 * change is kept if the run still fails in the same way. What a run does after a change has little to do with what
 * it did before, so that this finds a small failing run near the first one, not the essence of it. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/sim/world.h"

#define RUNS_MAX 3000

struct shrink {
    struct sim_options best;
    char failure[64];
    uint64_t decisions; /* of the best run */
    unsigned runs;
};

struct verdict {
    char failure[64]; /* "": none */
    uint64_t decisions;
};

static void child(const struct sim_options *options, int out)
{
    struct sim_report report;
    struct verdict verdict = {{0}, 0};
    if (!freopen("/dev/null", "w", stderr)) _exit(2);
    sim_run(options, &report);
    if (report.failure) snprintf(verdict.failure, sizeof verdict.failure, "%s", report.failure);
    verdict.decisions = report.decisions;
    _exit(write(out, &verdict, sizeof verdict) == (ssize_t)sizeof verdict ? 0 : 2);
}

static void run(const struct sim_options *options, struct verdict *verdict)
{
    int ends[2], status = 0;
    memset(verdict, 0, sizeof *verdict);
    if (pipe(ends) != 0) abort();
    pid_t pid = fork();
    if (pid < 0) abort();
    if (pid == 0) child(options, ends[1]);
    close(ends[1]);
    ssize_t count = read(ends[0], verdict, sizeof *verdict);
    close(ends[0]);
    if (waitpid(pid, &status, 0) != pid) abort();
    if (count == (ssize_t)sizeof *verdict && WIFEXITED(status)) return;
    memset(verdict, 0, sizeof *verdict);
    if (WIFSIGNALED(status)) snprintf(verdict->failure, sizeof verdict->failure, "assertion");
}

/* consider keeps the candidate if it fails as the first run did. */
static bool consider(struct shrink *shrink, const struct sim_options *candidate)
{
    struct verdict verdict;
    if (shrink->runs >= RUNS_MAX) return false;
    shrink->runs++;
    run(candidate, &verdict);
    if (strcmp(verdict.failure, shrink->failure) != 0) return false;
    shrink->best = *candidate;
    if (verdict.decisions > 0) shrink->decisions = verdict.decisions;
    return true;
}

static bool try_setting(struct shrink *shrink, enum sim_setting setting, const char *text)
{
    struct sim_options candidate = shrink->best;
    if (!sim_set(&candidate, setting, text)) return false;
    if (memcmp(&candidate, &shrink->best, sizeof candidate) == 0) return false;
    return consider(shrink, &candidate);
}

static bool fewer_machines(struct shrink *shrink)
{
    static const char *const SIZES[] = {"1", "3", "4", "5", "6", "7", "10", "31"};
    bool better = try_setting(shrink, SETTING_OBSERVERS, "0");
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        if (strtoul(SIZES[i], NULL, 10) >= shrink->best.validators) break;
        if (try_setting(shrink, SETTING_VALIDATORS, SIZES[i])) return true;
    }
    return better;
}

static bool shorter(struct shrink *shrink)
{
    static const struct {
        enum sim_setting setting;
        const char *text;
    } PLAIN[] = {{SETTING_EPOCH_BLOCKS, "0"}, {SETTING_REAL, "0"},    {SETTING_BYZANTINE, "0"},
                 {SETTING_CRASH, "0"},        {SETTING_LOSS, "0"},    {SETTING_HEIGHTS, "1"},
                 {SETTING_HEIGHTS, "3"},      {SETTING_HEIGHTS, "10"}};
    bool better = false;
    for (size_t i = 0; i < sizeof PLAIN / sizeof PLAIN[0]; i++) {
        bool heights = PLAIN[i].setting == SETTING_HEIGHTS;
        if (heights && strtoul(PLAIN[i].text, NULL, 10) >= shrink->best.heights) continue;
        better = try_setting(shrink, PLAIN[i].setting, PLAIN[i].text) || better;
    }
    return better;
}

static bool fewer_kinds(struct shrink *shrink)
{
    bool better = false;
    for (unsigned fault = 0; fault < FAULT_DECISION_END; fault++) {
        struct sim_options candidate = shrink->best;
        if (candidate.without >> fault & 1) continue;
        candidate.without |= UINT64_C(1) << fault;
        better = consider(shrink, &candidate) || better;
    }
    return better;
}

/* ---- single faults ---- */

static bool is_skipped(const struct sim_options *options, uint64_t from, uint64_t to)
{
    for (unsigned i = 0; i < options->skip_count; i++) {
        if (from >= options->skip[i].from && to <= options->skip[i].to) return true;
    }
    return false;
}

/* skip_more adds a range; ranges that touch become one. False: no room. */
static bool skip_more(struct sim_options *options, struct sim_range more)
{
    struct sim_range kept[SIM_SKIPS_MAX + 1];
    unsigned count = 0, at = 0;
    for (; at < options->skip_count && options->skip[at].to + 1 < more.from; at++) {
        kept[count++] = options->skip[at];
    }
    for (; at < options->skip_count && options->skip[at].from <= more.to + 1; at++) {
        if (options->skip[at].from < more.from) more.from = options->skip[at].from;
        if (options->skip[at].to > more.to) more.to = options->skip[at].to;
    }
    kept[count++] = more;
    for (; at < options->skip_count; at++) {
        kept[count++] = options->skip[at];
    }
    if (count > SIM_SKIPS_MAX) return false;
    memcpy(options->skip, kept, count * sizeof kept[0]);
    options->skip_count = count;
    return true;
}

/* Halves, quarters, and so on down to single decisions (Zeller's delta debugging, complements only). */
static bool fewer_faults(struct shrink *shrink)
{
    bool better = false;
    for (uint64_t size = shrink->decisions; size > 0; size /= 2) {
        for (uint64_t from = 1; from <= shrink->decisions; from += size) {
            struct sim_options candidate = shrink->best;
            struct sim_range range = {from, from + size - 1};
            if (is_skipped(&candidate, range.from, range.to) || !skip_more(&candidate, range))
                continue;
            better = consider(shrink, &candidate) || better;
        }
    }
    return better;
}

bool sim_shrink(struct sim_options *options, char failure[64])
{
    struct shrink *shrink = calloc(1, sizeof *shrink);
    struct verdict first;
    if (!shrink) abort();
    shrink->best = *options;
    run(options, &first);
    memcpy(shrink->failure, first.failure, sizeof shrink->failure);
    memcpy(failure, first.failure, sizeof first.failure);
    shrink->decisions = first.decisions > 0 ? first.decisions : 4096;
    bool fails = first.failure[0] != '\0';
    for (bool better = fails; better && shrink->runs < RUNS_MAX;) {
        better = fewer_machines(shrink);
        better = shorter(shrink) || better;
        better = fewer_kinds(shrink) || better;
        better = fewer_faults(shrink) || better;
    }
    if (fails) fprintf(stderr, "%u runs, ", shrink->runs);
    *options = shrink->best;
    free(shrink);
    return fails;
}
