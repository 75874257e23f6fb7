/* The main of a fuzz target without libFuzzer: the corpus, then seeded mutations of it.
 *
 *   fuzz_NAME CORPUS [--runs N] [--seed S]   replay, then N mutations; the same every time
 *   fuzz_NAME CORPUS --canary N [--seed S]   exit 0 iff replay or N mutations find the planted bug
 *   fuzz_NAME CORPUS --unpack FOLDER         one file an input, for libFuzzer
 *   fuzz_NAME CORPUS --pack FILE...          make the corpus of these files
 *   fuzz_NAME CORPUS --input FILE            run one file; CORPUS is not looked at
 *
 * A corpus is one file: for each input a length (u32, little-endian) and the bytes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/fuzz/harness.h"

#define INPUTS_MAX 4096

struct corpus {
    uint8_t *bytes;
    struct bytes input[INPUTS_MAX];
    size_t count;
};

static struct corpus corpus;
static uint64_t *executions; /* shared with the parent of --canary */

static struct fuzz_random byte_random;

/* A plain stand-in for libFuzzer's mutations of bytes. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t count, size_t capacity)
{
    uint8_t piece[16];
    size_t at = count > 0 ? fuzz_below(&byte_random, count) : 0;
    size_t bytes = 1 + fuzz_below(&byte_random, sizeof piece);
    fuzz_fill(&byte_random, piece, sizeof piece);
    switch (count > 0 ? fuzz_below(&byte_random, 5) : 0) {
    case 0: return fuzz_splice(data, count, capacity, at, 0, piece, bytes);
    case 1: return fuzz_splice(data, count, capacity, at, bytes < count - at ? bytes : 1, NULL, 0);
    case 2: data[at] = piece[0]; return count;
    case 3: data[at] ^= (uint8_t)(1u << (piece[0] & 7)); return count;
    default: {
        size_t from = fuzz_below(&byte_random, count), most = count - (from > at ? from : at);
        memmove(data + at, data + from, bytes < most ? bytes : most);
        return count;
    }
    }
}

static uint8_t *file_read(const char *path, size_t *count)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "cannot open %s\n", path);
        exit(2);
    }
    size_t capacity = (size_t)64 << 20;
    uint8_t *bytes = malloc(capacity);
    REQUIRE(bytes != NULL);
    *count = fread(bytes, 1, capacity, file);
    fclose(file);
    bytes = realloc(bytes, *count + 1);
    REQUIRE(bytes != NULL);
    return bytes;
}

static void corpus_load(const char *path)
{
    size_t count;
    corpus.bytes = file_read(path, &count);
    struct reader r = reader_of(corpus.bytes, count);
    while (r.left > 0) {
        REQUIRE(corpus.count < INPUTS_MAX);
        struct bytes *input = &corpus.input[corpus.count++];
        input->count = read_u32(&r);
        input->at = read_take(&r, input->count);
        REQUIRE(r.status == STATUS_OK);
    }
}

static void pack(const char *path, char **files, int count)
{
    FILE *out = fopen(path, "wb");
    REQUIRE(out != NULL);
    for (int i = 0; i < count; i++) {
        size_t bytes;
        uint8_t *at = file_read(files[i], &bytes), length[4];
        store_u32(length, (uint32_t)bytes);
        REQUIRE(fwrite(length, 1, 4, out) == 4 && fwrite(at, 1, bytes, out) == bytes);
        free(at);
    }
    REQUIRE(fclose(out) == 0);
}

static void unpack(const char *folder)
{
    for (size_t i = 0; i < corpus.count; i++) {
        char path[1024];
        snprintf(path, sizeof path, "%s/%04zu", folder, i);
        FILE *out = fopen(path, "wb");
        REQUIRE(out != NULL);
        REQUIRE(fwrite(corpus.input[i].at, 1, corpus.input[i].count, out) == corpus.input[i].count);
        REQUIRE(fclose(out) == 0);
    }
}

/* run_one copies the input, so that the sanitizers see its exact end. */
static void run_one(const uint8_t *bytes, size_t count)
{
    uint8_t *copy = malloc(count > 0 ? count : 1);
    REQUIRE(copy != NULL);
    if (count > 0) memcpy(copy, bytes, count);
    ++*executions;
    LLVMFuzzerTestOneInput(copy, count);
    free(copy);
}

static void run(uint64_t runs, uint64_t seed)
{
    static uint8_t data[FUZZ_INPUT_BYTES_MAX];
    struct fuzz_random random = {seed};
    for (size_t i = 0; i < corpus.count; i++) {
        run_one(corpus.input[i].at, corpus.input[i].count);
    }
    for (uint64_t i = 0; i < runs; i++) {
        size_t count = 0;
        if (corpus.count > 0 && !fuzz_odds(&random, 64)) {
            const struct bytes *base = &corpus.input[fuzz_below(&random, corpus.count)];
            count = base->count;
            memcpy(data, base->at, count);
        }
        byte_random.state = fuzz_next(&random);
        count = LLVMFuzzerCustomMutator(data, count, sizeof data, (unsigned)fuzz_next(&random));
        run_one(data, count);
    }
}

/* canary: the planted bug kills the child. */
static int canary(uint64_t runs, uint64_t seed)
{
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        run(runs, seed);
        _exit(0);
    }
    int result = 0;
    REQUIRE(waitpid(child, &result, 0) == child);
    bool found = !(WIFEXITED(result) && WEXITSTATUS(result) == 0) && *executions > 0;
    printf("canary %s after %llu executions (corpus: %zu)\n", found ? "found" : "NOT FOUND",
           (unsigned long long)*executions, corpus.count);
    return found ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t runs = 0, seed = 1, canary_runs = 0;
    executions = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(argc >= 2 && executions != MAP_FAILED);
    if (argc > 2 && strcmp(argv[2], "--pack") == 0) {
        pack(argv[1], argv + 3, argc - 3);
        return 0;
    }
    bool single = argc > 3 && strcmp(argv[2], "--input") == 0;
    if (!single) corpus_load(argv[1]);
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--unpack") == 0) {
            unpack(argv[i + 1]);
            return 0;
        }
        uint64_t number = strtoull(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--runs") == 0) runs = number;
        if (strcmp(argv[i], "--seed") == 0) seed = number;
        if (strcmp(argv[i], "--canary") == 0) canary_runs = number;
    }
    LLVMFuzzerInitialize(&argc, &argv);
    if (single) {
        size_t count;
        uint8_t *bytes = file_read(argv[3], &count);
        run_one(bytes, count);
        free(bytes);
        return 0;
    }
    if (canary_runs > 0) return canary(canary_runs, seed);
    run(runs, seed);
    printf("%llu executions, %zu of them the corpus\n", (unsigned long long)*executions,
           corpus.count);
    free(corpus.bytes);
    return 0;
}
