#include "tests/support_signer.h"

#include <stdlib.h>

#include "log/signature.h"
#include "replica/sign_file.h"
#include "replica/signer_queue.h"
#include "tests/support_cmocka.h"
#include "tests/support_node.h"

#define DIR       "signer"
#define PATH      DIR "/sign_state"
#define LINES_MAX 4
#define LEFT_MAX  65536

/* A signature that left: which statement, and what it said. */
struct left {
    enum signer_kind kind;
    uint64_t epoch, round, what;
};

struct sim_signer {
    struct sim_signer_options options;
    uint64_t random;
    struct disk *disk;
    struct io io;
    struct sign_file *file; /* NULL: it is away */
    struct sim_line *lines[LINES_MAX];
    size_t line_count;
    uint64_t answers[SIGN_ANSWERS];
    bool spoils, lies;
    struct left *left; /* [LEFT_MAX] */
    size_t left_count;
};

struct sim_line {
    struct sim_signer *signer;
    struct signer_queue queue;
    struct {
        uint64_t due_us;
        struct signer_answer answer;
    } under_way[SIGNER_WINDOW];
    size_t count;
    struct signer_answer last;
};

static uint64_t draw(struct sim_signer *signer, uint64_t below)
{
    signer->random ^= signer->random >> 12;
    signer->random ^= signer->random << 25;
    signer->random ^= signer->random >> 27;
    return ((signer->random * UINT64_C(2685821657736338717)) >> 20) % below;
}

static void ok(enum status status, const char *what)
{
    if (status != STATUS_OK) fail_msg("%s: %s", what, status_name(status));
}

/* ---- the process ---- */

static void witness(struct sim_signer *signer, struct bytes said)
{
    struct left own = {.kind = signer_kind(said), .what = checksum64(said.at, said.count, 0)};
    if (own.kind == SIGNER_OTHER) return;
    own.epoch = load_u64(said.at + 40);
    own.round = load_u64(said.at + 48);
    for (size_t i = 0; i < signer->left_count; i++) {
        const struct left *old = &signer->left[i];
        if (old->kind != own.kind || old->epoch != own.epoch || old->round != own.round) continue;
        if (old->what != own.what) fail_msg("two signatures of kind %d for one round", own.kind);
        return;
    }
    assert_true(signer->left_count < LEFT_MAX);
    signer->left[signer->left_count++] = own;
}

static void end_life(struct sim_signer *signer)
{
    sign_file_close(signer->file);
    signer->file = NULL;
    for (size_t i = 0; i < signer->line_count; i++) {
        signer->lines[i]->count = 0;
        signer_queue_lost(&signer->lines[i]->queue);
    }
}

static bool answer_one(struct sim_line *line, const struct signer_request *request)
{
    struct sim_signer *signer = line->signer;
    struct bytes said = {request->bytes, request->count};
    enum sign_answer answer = sign_file_ask(signer->file, said);
    if (answer == SIGN_BROKEN) {
        end_life(signer);
        return false;
    }
    signer->answers[answer]++;
    line->under_way[line->count].due_us = sn_now_us() + draw(signer, signer->options.delay_us + 1);
    struct signer_answer *made = &line->under_way[line->count++].answer;
    *made = (struct signer_answer){.sign_id = request->sign_id, .answer = answer};
    if (answer != SIGN_GRANTED) return true;
    witness(signer, said);
    signature_make(signer->options.secret, said.at, said.count, made->signature);
    return true;
}

static void pump(struct sim_line *line)
{
    const struct signer_request *next;
    while (line->signer->file && (next = signer_queue_next(&line->queue))) {
        if (!answer_one(line, next)) return;
    }
}

struct sim_signer *sim_signer_make(const struct sim_signer_options *options)
{
    struct sim_signer *signer = calloc(1, sizeof *signer);
    assert_non_null(signer);
    signer->options = *options;
    signer->random = options->seed * 2 + 1;
    signer->left = calloc(LEFT_MAX, sizeof *signer->left);
    assert_non_null(signer->left);
    disk_open(&signer->disk);
    struct io io = disk_io(signer->disk);
    ok(io_mkdir(&io, DIR), "mkdir");
    ok(io_dir_sync(&io, "."), "dir_sync");
    ok(sign_file_format(&io, DIR, PATH, options->genesis_id, options->secret + 32), "format");
    sim_signer_start(signer);
    return signer;
}

void sim_signer_free(struct sim_signer *signer)
{
    if (signer->file) sign_file_close(signer->file);
    disk_close(signer->disk);
    free(signer->left);
    free(signer);
}

void sim_signer_kill(struct sim_signer *signer)
{
    if (!signer->file) return;
    disk_crash(signer->disk);
    end_life(signer);
}

void sim_signer_kill_at(struct sim_signer *signer, uint64_t nth)
{
    disk_crash_at(signer->disk, nth);
}

void sim_signer_start(struct sim_signer *signer)
{
    const char *why;
    if (signer->file) return;
    while (!signer->file) {
        if (disk_crashed(signer->disk)) {
            struct disk *image;
            disk_crash_image(signer->disk, draw(signer, disk_crash_choices(signer->disk)), &image);
            disk_close(signer->disk);
            signer->disk = image;
        }
        signer->io = disk_io(signer->disk);
        enum status status =
            sign_file_open(&signer->file, &signer->io, PATH, signer->options.genesis_id,
                           signer->options.secret + 32, &why);
        if (status != STATUS_OK) signer->file = NULL;
        if (!disk_crashed(signer->disk)) ok(status, "sign_file_open");
    }
    for (size_t i = 0; i < signer->line_count; i++) {
        pump(signer->lines[i]);
    }
}

void sim_signer_spoil(struct sim_signer *signer, bool lies)
{
    signer->spoils = true;
    signer->lies = lies;
}

bool sim_signer_is_up(const struct sim_signer *signer)
{
    return signer->file != NULL;
}

uint64_t sim_signer_answers(const struct sim_signer *signer, enum sign_answer answer)
{
    return signer->answers[answer];
}

uint64_t sim_signer_refusals(const struct sim_signer *signer)
{
    uint64_t count = 0;
    for (unsigned i = SIGN_GRANTED + 1; i < SIGN_ANSWERS; i++) {
        count += signer->answers[i];
    }
    return count;
}

/* ---- a node's side ---- */

static void line_ask(void *self, uint64_t sign_id, struct bytes request)
{
    struct sim_line *line = self;
    signer_queue_ask(&line->queue, sign_id, request);
    pump(line);
}

/* spoil answers whether there is something that was not asked for. */
static bool spoil(struct sim_line *line, struct signer_answer *answer)
{
    if (!line->signer->spoils || draw(line->signer, 4) != 0) return false;
    *answer = line->last;
    if (draw(line->signer, 2) == 0) answer->sign_id += UINT64_C(1) << 32;
    if (draw(line->signer, 2) == 0) answer->answer = SIGN_FORM;
    return true;
}

static bool line_take(void *self, struct signer_answer *answer)
{
    struct sim_line *line = self;
    bool waits = false;
    if (spoil(line, answer)) return true;
    while (!waits && line->count > 0 && line->under_way[0].due_us <= sn_now_us()) {
        *answer = line->under_way[0].answer;
        line->count--;
        memmove(&line->under_way[0], &line->under_way[1], line->count * sizeof line->under_way[0]);
        ok(signer_queue_answered(&line->queue, answer->sign_id, &waits), "answered");
    }
    pump(line);
    if (!waits) return false;
    if (line->signer->lies && draw(line->signer, 5) == 0) answer->signature[7] ^= 1;
    line->last = *answer;
    return true;
}

static void line_attach(void *self, void (*wake)(void *context), void *context)
{
    (void)self; /* sim_line_due */
    (void)wake;
    (void)context;
}

struct sim_line *sim_line_make(struct sim_signer *signer)
{
    struct sim_line *line = calloc(1, sizeof *line);
    assert_non_null(line);
    assert_true(signer->line_count < LINES_MAX);
    line->signer = signer;
    signer->lines[signer->line_count++] = line;
    return line;
}

void sim_line_free(struct sim_line *line)
{
    struct sim_signer *signer = line->signer;
    for (size_t i = 0; i < signer->line_count; i++) {
        if (signer->lines[i] == line) signer->lines[i] = signer->lines[--signer->line_count];
    }
    free(line);
}

struct signer sim_line_open(struct sim_line *line)
{
    static const struct signer_driver DRIVER = {
        .name = "simulated", .ask = line_ask, .take = line_take, .attach = line_attach};
    line->queue = (struct signer_queue){0};
    line->count = 0;
    return (struct signer){.driver = &DRIVER, .self = line};
}

uint64_t sim_line_due(struct sim_line *line)
{
    return line->count > 0 ? line->under_way[0].due_us : UINT64_MAX;
}
