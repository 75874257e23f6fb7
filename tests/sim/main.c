/* cairn-sim: whole clusters on virtual time, one run for each seed. See tests/sim/README.md. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/world.h"

static const char USAGE[] =
    "usage: cairn-sim [--seed N] [--count N] [--validators N] [--observers N] [--heights N]\n"
    "                 [--epoch-blocks N] [--profile calm|lite|full|twins|big] [--real] [--json] "
    "[--trace]\n";

/* A profile draws from the seed what its options leave open. */
static uint64_t draw(uint64_t seed, uint64_t salt, uint64_t bound)
{
    uint8_t bytes[16];
    store_u64(bytes, seed);
    store_u64(bytes + 8, salt);
    return checksum64(bytes, sizeof bytes, 3) % bound;
}

static void apply_profile(const char *profile, struct sim_options *options)
{
    static const unsigned SIZES[] = {1, 3, 4, 4, 4, 5, 6, 7, 7, 10};
    uint64_t seed = options->seed;
    bool twins = strcmp(profile, "twins") == 0, big = strcmp(profile, "big") == 0;
    if (strcmp(profile, "calm") == 0) options->calm = true;
    if (options->validators == 0)
        options->validators = big     ? 100
                              : twins ? 4 + 3 * (unsigned)draw(seed, 1, 2)
                                      : SIZES[draw(seed, 1, 10)];
    if (options->calm) {
        if (options->heights == 0) options->heights = 1000;
        return;
    }
    if (options->heights == 0) options->heights = twins ? 6 : big ? 30 : 60;
    if (options->observers == 0 && !twins) options->observers = (unsigned)draw(seed, 2, 3);
    if (options->epoch_blocks == 0 && draw(seed, 3, 3) != 0)
        options->epoch_blocks = 4 + draw(seed, 4, 20);
    options->twins = twins;
    options->byzantine = draw(seed, 5, 2) == 0;
    options->crash_permille = (unsigned)(draw(seed, 6, 3) * draw(seed, 7, 40));
    options->loss_permille = (unsigned)(draw(seed, 8, 2) * draw(seed, 9, 200));
    if (twins) options->crash_permille /= 4;
    if (draw(seed, 10, 50) == 0) options->real_signatures = true;
}

static void print_json(const struct sim_options *options, const struct sim_report *report)
{
    printf("{\"seed\":%llu,\"validators\":%u,\"observers\":%u,\"heights\":%llu,\"rounds\":%llu,"
           "\"steps\":%llu,\"messages\":%llu,\"timeouts\":%llu,\"evidence\":%llu,\"blamed\":%llu,"
           "\"virtual_us\":%llu,\"faults\":{",
           (unsigned long long)options->seed, options->validators, options->observers,
           (unsigned long long)report->heights, (unsigned long long)report->rounds,
           (unsigned long long)report->steps, (unsigned long long)report->messages,
           (unsigned long long)report->timeouts, (unsigned long long)report->evidence,
           (unsigned long long)report->blamed, (unsigned long long)report->virtual_us);
    for (unsigned i = 0; i < FAULT_COUNT; i++) {
        printf("%s\"%s\":%llu", i ? "," : "", SIM_FAULT_NAMES[i],
               (unsigned long long)report->faults[i]);
    }
    printf("},\"digest\":\"");
    for (unsigned i = 0; i < HASH_BYTES; i++) {
        printf("%02x", report->digest[i]);
    }
    printf("\",\"failure\":%s%s%s}\n", report->failure ? "\"" : "",
           report->failure ? report->failure : "null", report->failure ? "\"" : "");
}

static uint64_t number(const char *text)
{
    char *end;
    uint64_t value = strtoull(text, &end, 10);
    if (*text == '\0' || *end != '\0') {
        fputs(USAGE, stderr);
        exit(2);
    }
    return value;
}

int main(int argc, char **argv)
{
    static const struct option LONG[] = {
        {"seed", 1, 0, 's'},      {"count", 1, 0, 'c'},   {"validators", 1, 0, 'n'},
        {"observers", 1, 0, 'o'}, {"heights", 1, 0, 'h'}, {"epoch-blocks", 1, 0, 'e'},
        {"profile", 1, 0, 'p'},   {"real", 0, 0, 'r'},    {"json", 0, 0, 'j'},
        {"trace", 0, 0, 't'},     {"stop", 0, 0, 'x'},    {0}};
    struct sim_options base = {.seed = 1};
    const char *profile = "lite";
    uint64_t count = 1, rounds = 0, failures = 0;
    bool json = false, stop = false;
    for (int option; (option = getopt_long(argc, argv, "", LONG, NULL)) != -1;) {
        switch (option) {
        case 's': base.seed = number(optarg); break;
        case 'c': count = number(optarg); break;
        case 'n': base.validators = (unsigned)number(optarg); break;
        case 'o': base.observers = (unsigned)number(optarg); break;
        case 'h': base.heights = number(optarg); break;
        case 'e': base.epoch_blocks = number(optarg); break;
        case 'p': profile = optarg; break;
        case 'r': base.real_signatures = true; break;
        case 'j': json = true; break;
        case 't': base.trace = true; break;
        case 'x': stop = true; break;
        default: fputs(USAGE, stderr); return 2;
        }
    }
    static const char *const PROFILES[] = {"calm", "lite", "twins", "big"};
    bool known = false;
    for (size_t i = 0; i < sizeof PROFILES / sizeof PROFILES[0]; i++) {
        known = known || strcmp(profile, PROFILES[i]) == 0;
    }
    if (!known || base.validators > 100 || base.observers > 10) {
        fputs(USAGE, stderr);
        return 2;
    }
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t i = 0; i < count; i++) {
        struct sim_options options = base;
        struct sim_report report;
        options.seed += i;
        apply_profile(profile, &options);
        sim_run(&options, &report);
        rounds += report.rounds;
        if (json) print_json(&options, &report);
        if (report.failure) {
            failures++;
            fprintf(stderr, "seed %llu: %s: %s\n  build/cairn-sim --profile %s --seed %llu\n",
                    (unsigned long long)options.seed, report.failure, report.text, profile,
                    (unsigned long long)options.seed);
            if (stop) break;
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds =
        (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    fprintf(stderr, "%llu runs, %llu failures, %llu rounds, %.1f s\n", (unsigned long long)count,
            (unsigned long long)failures, (unsigned long long)rounds, seconds);
    return failures > 0;
}
