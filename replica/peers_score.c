#include "replica/peers_score.h"

#include <string.h>

#include "log/io.h"

#define SECOND_US       UINT64_C(1000000)
#define REFUSED_US      (60 * SECOND_US)
#define REFUSED_US_MAX  (24 * 3600 * SECOND_US)
#define REFUSALS_MAX    6 /* four minutes to the fifth are more than a day */
#define TRY_INTERVAL_US SECOND_US

void score_subject_of_ip(const uint8_t ip[16], uint8_t subject[SCORE_SUBJECT_BYTES])
{
    memset(subject, 0, SCORE_SUBJECT_BYTES);
    memcpy(subject, ip, io_ip_is_four(ip) ? 16 : 8);
}

static struct score *score_find(const struct scores *scores, const uint8_t *subject)
{
    for (size_t i = 0; i < SCORE_SUBJECTS; i++) {
        const struct score *score = &scores->score[i];
        if (score->used && memcmp(score->subject, subject, SCORE_SUBJECT_BYTES) == 0) {
            return (struct score *)score;
        }
    }
    return NULL;
}

static unsigned faded(const struct score *score, uint64_t now_us)
{
    uint64_t gone = now_us > score->seen_us ? (now_us - score->seen_us) / SECOND_US : 0;
    return gone < score->points ? score->points - (unsigned)gone : 0;
}

/* Whole seconds fade; what is left of one counts next time. */
static void fade(struct score *score, uint64_t now_us)
{
    score->points = faded(score, now_us);
    if (now_us > score->seen_us)
        score->seen_us += (now_us - score->seen_us) / SECOND_US * SECOND_US;
    if (score->points == 0) score->seen_us = now_us;
    if (now_us > score->refused_until_us + REFUSED_US_MAX) score->refusals = 0;
}

/* true: `a` makes room rather than `b`. */
static bool goes_before(const struct score *a, const struct score *b, uint64_t now_us)
{
    bool a_refused = a->refused_until_us > now_us, b_refused = b->refused_until_us > now_us;
    if (a->used != b->used) return !a->used;
    if (a_refused != b_refused) return !a_refused;
    return a->seen_us < b->seen_us;
}

static struct score *score_get(struct scores *scores, const uint8_t *subject, uint64_t now_us)
{
    struct score *score = score_find(scores, subject);
    if (score == NULL) {
        score = &scores->score[0];
        for (size_t i = 1; i < SCORE_SUBJECTS; i++) {
            if (goes_before(&scores->score[i], score, now_us)) score = &scores->score[i];
        }
        *score = (struct score){.used = true, .seen_us = now_us};
        memcpy(score->subject, subject, SCORE_SUBJECT_BYTES);
    }
    fade(score, now_us);
    return score;
}

unsigned score_add(struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                   unsigned points, uint64_t now_us)
{
    struct score *score = score_get(scores, subject, now_us);
    score->points =
        points < 2 * SCORE_BOUND - score->points ? score->points + points : 2 * SCORE_BOUND;
    return score->points;
}

unsigned score_of(const struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                  uint64_t now_us)
{
    const struct score *score = score_find(scores, subject);
    return score != NULL ? faded(score, now_us) : 0;
}

uint64_t score_refuse(struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                      uint64_t now_us)
{
    struct score *score = score_get(scores, subject, now_us);
    uint64_t span = REFUSED_US << 2 * score->refusals;
    if (span > REFUSED_US_MAX) span = REFUSED_US_MAX;
    if (score->refusals < REFUSALS_MAX) score->refusals++;
    score->points = 0;
    score->refused_until_us = now_us + span;
    return span;
}

void score_forgive(struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                   uint64_t now_us)
{
    score_get(scores, subject, now_us)->points = 0;
}

bool score_is_refused(const struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                      uint64_t now_us)
{
    const struct score *score = score_find(scores, subject);
    return score != NULL && score->refused_until_us > now_us;
}

bool score_may_try(struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                   uint64_t now_us)
{
    struct score *score = score_find(scores, subject);
    if (score == NULL || score->refused_until_us <= now_us) return true;
    if (now_us < score->tried_us + TRY_INTERVAL_US) return false;
    score->tried_us = now_us;
    return true;
}
