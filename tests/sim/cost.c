/* What a block costs as the cluster grows, on a network without faults: messages, bytes, signature checks, CPU. Votes go
 * to all, so that n^2 small messages a block are expected, and proposals to n - 1 that carry a certificate of n. */
#include <math.h>
#include <time.h>

#include "tests/sim/world.h"

static const unsigned SIZES[] = {4, 7, 10, 16, 31, 64, 100};
#define SIZE_COUNT (sizeof SIZES / sizeof SIZES[0])
#define BAR        50

struct cost {
    double n, messages, bytes, checks, cpu_us;
};

static double cpu_us(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static bool measure(unsigned validators, struct cost *cost)
{
    struct sim_options options;
    struct sim_report report;
    if (!sim_draw("calm", 1, &options)) return false;
    options.validators = validators;
    options.heights = 40 + 4000 / validators;
    double start = cpu_us();
    sim_run(&options, &report);
    double blocks = (double)report.heights;
    *cost = (struct cost){validators, (double)report.messages / blocks,
                          (double)report.message_bytes / blocks, (double)report.checks / blocks,
                          (cpu_us() - start) / blocks};
    return !report.failure;
}

static void print_bar(unsigned validators, double value, double most)
{
    int length = (int)(value / most * BAR + 0.5);
    printf("%5u |%.*s\n", validators, length, "##################################################");
}

/* The exponent e of value ~ n^e, by least squares of the logarithms from ten validators on. */
static double exponent(const struct cost *costs, size_t at)
{
    double count = 0, x = 0, y = 0, xx = 0, xy = 0;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        const double *fields = &costs[i].n;
        if (costs[i].n < 10) continue;
        double a = log(costs[i].n), b = log(fields[at]);
        count++;
        x += a;
        y += b;
        xx += a * a;
        xy += a * b;
    }
    return (count * xy - x * y) / (count * xx - x * x);
}

int sim_cost(void)
{
    struct cost costs[SIZE_COUNT];
    printf("    n  messages   / n^2      bytes  / n^2   checks  / n^2    CPU us  / n^2\n");
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        struct cost *cost = &costs[i];
        if (!measure(SIZES[i], cost)) return 1;
        double square = cost->n * cost->n;
        printf("%5u %9.1f %7.3f %10.0f %6.0f %8.1f %6.3f %9.1f %6.3f\n", SIZES[i], cost->messages,
               cost->messages / square, cost->bytes, cost->bytes / square, cost->checks,
               cost->checks / square, cost->cpu_us, cost->cpu_us / square);
    }
    printf("exponents from n = 10 on: messages %.2f, bytes %.2f, checks %.2f, CPU %.2f\n",
           exponent(costs, 1), exponent(costs, 2), exponent(costs, 3), exponent(costs, 4));
    printf("\nCPU of a block, / n^2\n");
    double most = 0;
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        double value = costs[i].cpu_us / costs[i].n / costs[i].n;
        if (value > most) most = value;
    }
    for (size_t i = 0; i < SIZE_COUNT; i++) {
        print_bar(SIZES[i], costs[i].cpu_us / costs[i].n / costs[i].n, most);
    }
    return 0;
}
