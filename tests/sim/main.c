/* cairn-sim: whole clusters on virtual time, one run for each seed. See tests/README.md. */
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/full.h"
#include "tests/sim/world.h"

static const char USAGE[] =
    "usage: cairn-sim [--profile calm|lite|liars|twins|mixed|big|rolling] [--seed N] [--count N]\n"
    "                 [--validators N] [--observers N] [--heights N] [--epoch-blocks N]\n"
    "                 [--crash PERMILLE] [--loss PERMILLE] [--twins 0|1] [--scheduled 0|1]\n"
    "                 [--byzantine 0|1] [--real 0|1] [--without|--only FAULT,FAULT...]\n"
    "                 [--skip-faults N,N-N...] [--json] [--trace] [--stop] [--shrink] [--every] "
    "[--cost]\n"
    "--shrink: make the first failing run smaller, print its command\n"
    "--cost: what a block costs as the cluster grows\n"
    "--every: fail if a kind of fault never happened in all runs together\n";

static void print_json(const struct sim_options *options, const struct sim_report *report)
{
    printf("{\"seed\":%llu,\"validators\":%u,\"observers\":%u,\"heights\":%llu,\"rounds\":%llu,"
           "\"steps\":%llu,\"messages\":%llu,\"message_bytes\":%llu,\"timeouts\":%llu,"
           "\"evidence\":%llu,\"blamed\":%llu,\"decisions\":%llu,\"gap_rounds\":%llu,"
           "\"gap_bound\":%llu,\"virtual_us\":%llu,\"faults\":{",
           (unsigned long long)options->seed, options->validators, options->observers,
           (unsigned long long)report->heights, (unsigned long long)report->rounds,
           (unsigned long long)report->steps, (unsigned long long)report->messages,
           (unsigned long long)report->message_bytes, (unsigned long long)report->timeouts,
           (unsigned long long)report->evidence, (unsigned long long)report->blamed,
           (unsigned long long)report->decisions, (unsigned long long)report->gap_rounds,
           (unsigned long long)report->gap_bound, (unsigned long long)report->virtual_us);
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        printf("%s\"%s\":%llu", i ? "," : "", SIM_FAULT_NAMES[i],
               (unsigned long long)report->faults[i]);
    }
    printf("},\"kinds\":[");
    for (unsigned i = 1; i < 8; i++) {
        printf("%s[%llu,%llu]", i > 1 ? "," : "", (unsigned long long)report->kind_messages[i],
               (unsigned long long)report->kind_bytes[i]);
    }
    printf("],\"digest\":\"");
    for (unsigned i = 0; i < HASH_BYTES; i++) {
        printf("%02x", report->digest[i]);
    }
    printf("\",\"failure\":%s%s%s}\n", report->failure ? "\"" : "",
           report->failure ? report->failure : "null", report->failure ? "\"" : "");
}

/* ---- a run that ends in an assertion says how to repeat it, too ---- */

static char last_words[32768];

static void on_abort(int signal_number)
{
    (void)signal_number;
    ssize_t ignored = write(STDERR_FILENO, last_words, strlen(last_words));
    (void)ignored;
}

static void remember(const char *program, const char *profile, const struct sim_options *options)
{
    FILE *out = fmemopen(last_words, sizeof last_words, "w");
    if (!out) abort();
    fprintf(out, "seed %llu: assertion\n  ", (unsigned long long)options->seed);
    sim_command(out, program, profile, options);
    fclose(out);
}

/* ---- the command line ---- */

struct request {
    const char *program, *profile;
    uint64_t seed, count;
    const char *set[SIM_SETTING_COUNT]; /* NULL: as the profile draws it */
    bool json, trace, stop, shrink, every, cost;
};

_Noreturn static void usage(void)
{
    fputs(USAGE, stderr);
    exit(2);
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') usage();
    return value;
}

static void options_of(const struct request *request, uint64_t seed, struct sim_options *options)
{
    if (!sim_draw(request->profile, seed, options)) usage();
    for (unsigned i = 0; i < SIM_SETTING_COUNT; i++) {
        if (request->set[i] && !sim_set(options, (enum sim_setting)i, request->set[i])) usage();
    }
    options->trace = request->trace;
}

static void parse(int argc, char **argv, struct request *request)
{
    enum { SEED = SIM_SETTING_COUNT, COUNT, PROFILE, JSON, TRACE, STOP, SHRINK, EVERY, COST, END };
    static const char *const OTHERS[] = {"seed", "count",  "profile", "json", "trace",
                                         "stop", "shrink", "every",   "cost"};
    struct option list[END + 1] = {{0}};
    for (int i = 0; i < END; i++) {
        const char *name = i < SEED ? SIM_SETTINGS[i] : OTHERS[i - SEED];
        list[i] = (struct option){name, i < JSON ? required_argument : no_argument, NULL, i};
    }
    *request = (struct request){.program = argv[0], .profile = "lite", .seed = 1, .count = 1};
    for (int option; (option = getopt_long(argc, argv, "", list, NULL)) != -1;) {
        switch (option) {
        case SEED: request->seed = number(optarg); break;
        case COUNT: request->count = number(optarg); break;
        case PROFILE: request->profile = optarg; break;
        case JSON: request->json = true; break;
        case TRACE: request->trace = true; break;
        case STOP: request->stop = true; break;
        case SHRINK: request->shrink = true; break;
        case EVERY: request->every = true; break;
        case COST: request->cost = true; break;
        default:
            if (option < 0 || option >= SIM_SETTING_COUNT) usage();
            request->set[option] = optarg;
            break;
        }
    }
    if (optind != argc) usage();
}

/* ---- runs ---- */

static int shrink(const struct request *request, uint64_t seed)
{
    struct sim_options options;
    char failure[64];
    options_of(request, seed, &options);
    if (!sim_shrink(&options, failure)) return 0;
    fprintf(stderr, "the smallest that fails with %s:\n  ", failure);
    sim_command(stderr, request->program, request->profile, &options);
    return 1;
}

static int missing_kinds(const uint64_t faults[FAULT_COUNT])
{
    int missing = 0;
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        if (faults[i] > 0) continue;
        fprintf(stderr, "never happened: %s\n", SIM_FAULT_NAMES[i]);
        missing++;
    }
    return missing;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

#ifdef SIM_FULL
/* The profile with whole nodes is a program of its own. */
static bool wants_full(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--profile=full") == 0) return true;
        if (strcmp(argv[i], "--profile") == 0 && i + 1 < argc && strcmp(argv[i + 1], "full") == 0)
            return true;
    }
    return false;
}
#endif

int main(int argc, char **argv)
{
#ifdef SIM_FULL
    if (wants_full(argc, argv)) return full_main(argc, argv);
#endif
    struct request request;
    uint64_t rounds = 0, failures = 0, done = 0, faults[FAULT_COUNT] = {0};
    double start = now();
    parse(argc, argv, &request);
    if (request.cost) return sim_cost();
    signal(SIGABRT, on_abort);
    while (done < request.count) {
        struct sim_options options;
        struct sim_report report;
        options_of(&request, request.seed + done++, &options);
        if (request.shrink) {
            failures += (uint64_t)shrink(&request, options.seed);
            if (failures > 0) break;
            continue;
        }
        remember(request.program, request.profile, &options);
        sim_run(&options, &report);
        rounds += report.rounds;
        for (unsigned i = 0; i < FAULT_COUNT; i++) {
            faults[i] += report.faults[i];
        }
        if (request.json) print_json(&options, &report);
        if (!report.failure) continue;
        failures++;
        fprintf(stderr, "seed %llu: %s: %s\n  ", (unsigned long long)options.seed, report.failure,
                report.text);
        sim_command(stderr, request.program, request.profile, &options);
        if (request.stop) break;
    }
    if (request.shrink) return failures > 0;
    int missing = request.every ? missing_kinds(faults) : 0;
    fprintf(stderr, "%llu runs, %llu failures, %llu rounds, %.1f s\n", (unsigned long long)done,
            (unsigned long long)failures, (unsigned long long)rounds, now() - start);
    return failures > 0 || missing > 0;
}
