/* tests/support_signer.h - a signer with a disk of its own, in virtual time, for nodes of a simulation.
 *
 * The rules, the file and the queue are the real ones; only the socket is played. Answers take a while; a
 * signer that is cut off or loses its power drops what was under way and comes back with one of the images
 * that a cut may leave. A witness remembers every signature that left, over all lives: two for one round fail
 * the test.
 */
#ifndef CAIRN_TESTS_SUPPORT_SIGNER_H
#define CAIRN_TESTS_SUPPORT_SIGNER_H

#include "replica/signer.h"
#include "tests/support_disk.h"

struct sim_signer;

struct sim_signer_options {
    uint8_t genesis_id[HASH_BYTES];
    const uint8_t *secret; /* [64], borrowed */
    uint64_t seed;
    uint64_t delay_us; /* the longest that an answer takes */
};

struct sim_signer *sim_signer_make(const struct sim_signer_options *options);
void sim_signer_free(struct sim_signer *signer);

/* sim_signer_kill cuts its power; _kill_at: in the nth operation of its disk from now. _start brings it back. */
void sim_signer_kill(struct sim_signer *signer);
void sim_signer_kill_at(struct sim_signer *signer, uint64_t nth);
void sim_signer_start(struct sim_signer *signer);
bool sim_signer_is_up(const struct sim_signer *signer);

/* sim_signer_spoil: from now on some answers come twice, otherwise, or under a number that nobody asked for;
 * `lies`: and some signatures are wrong. */
void sim_signer_spoil(struct sim_signer *signer, bool lies);

/* Answers so far, by kind of answer. */
uint64_t sim_signer_answers(const struct sim_signer *signer, enum sign_answer answer);
uint64_t sim_signer_refusals(const struct sim_signer *signer);

/* A node's connection. Several may share a signer, which no real one permits. */
struct sim_line;
struct sim_line *sim_line_make(struct sim_signer *signer);
void sim_line_free(struct sim_line *line);
/* sim_line_open: another life of the node, that knows nothing of the one before. */
struct signer sim_line_open(struct sim_line *line);
/* sim_line_due: when the node has to look again; UINT64_MAX: nothing is under way. */
uint64_t sim_line_due(struct sim_line *line);

#endif
