/* replica/peers_score.h - points against addresses and keys, and how long these are refused. Sans-IO.
 *
 * Points fade by one a second. At SCORE_BOUND a subject is refused: for a minute, then four, and so on up to
 * a day; the count of refusals is forgotten a day after the last one. A subject is 32 bytes: a network key, or an address
 * (IPv6: its /64, which one machine has for itself) and zeros. When the table is full, the subject
 * that was seen longest ago makes room, one that is not refused first.
 */
#ifndef CAIRN_REPLICA_PEERS_SCORE_H
#define CAIRN_REPLICA_PEERS_SCORE_H

#include <stdbool.h>
#include <stdint.h>

#define SCORE_SUBJECTS      1024
#define SCORE_SUBJECT_BYTES 32
#define SCORE_BOUND         100

struct score {
    uint8_t subject[SCORE_SUBJECT_BYTES];
    bool used;
    unsigned points, refusals;
    uint64_t seen_us; /* points are as of then */
    uint64_t refused_until_us;
    uint64_t tried_us; /* last attempt while refused */
};

struct scores {
    struct score score[SCORE_SUBJECTS];
};

/* score_subject_of_ip names an address. */
void score_subject_of_ip(const uint8_t ip[16], uint8_t subject[SCORE_SUBJECT_BYTES]);

/* score_add answers the points after it. */
unsigned score_add(struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                   unsigned points, uint64_t now_us);
unsigned score_of(const struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                  uint64_t now_us);

/* score_refuse starts the next refusal, with no points against the subject any more; answers how long. */
uint64_t score_refuse(struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                      uint64_t now_us);
/* score_forgive: no points any more. */
void score_forgive(struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                   uint64_t now_us);
bool score_is_refused(const struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                      uint64_t now_us);

/* score_may_try: while it is refused, once a second: a validator behind the same address may show who it is. */
bool score_may_try(struct scores *scores, const uint8_t subject[SCORE_SUBJECT_BYTES],
                   uint64_t now_us);

#endif
