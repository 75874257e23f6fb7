/* replica/sign_file.h - the sign state of a signer, durable before a signature leaves.
 *
 * File of 8 KiB, two generations of two copies. Generation g lies at (g mod 2) * 4096: copy 0 in the first 512
 * bytes, copy 1 in the next, then zeros. One write and one sync make a statement durable; the
 * generation before stands in the other half, whatever happens to this one.
 *
 * Copy, 512 bytes, little-endian:
 *   offset size field
 *        0    8  magic
 *        8    2  version
 *       10    2  body bytes
 *       12    4  0
 *       16    .  body: struct sign_record, canonical
 *        .    .  zero
 *      504    8  xxh3-64 of bytes [0, 504), seed: the copy's own offset (finds misdirected writes)
 *
 * A cut leaves each 512 bytes old or new, never in between: a half with an old and a new copy is a torn write
 * whose answer never left; either of the two is safe, the newer one is taken. A half without a valid copy
 * cannot come from a cut. What it said may be what was signed last, so nothing is signed then, and nothing is
 * guessed. An opened file is written twice with what it says before the first answer, since what a reader
 * sees may owe its place to a sync that failed.
 *
 * An old copy of the whole file, put back by hand, looks in order. The node's journal is what then still
 * stands in the way of a second signature: never restore this file from a backup.
 */
#ifndef CAIRN_REPLICA_SIGN_FILE_H
#define CAIRN_REPLICA_SIGN_FILE_H

#include "log/io.h"
#include "replica/sign_state.h"

#define SIGN_FILE_BYTES  8192
#define SIGN_HALF_BYTES  4096
#define SIGN_COPY_BYTES  512
#define SIGN_WRITE_BYTES (2 * SIGN_COPY_BYTES)

#define SIGN_RECORD_FIELDS(F)                                                                      \
    F(U64, _, generation, 1, UINT64_MAX, NONE, "one more with each statement")                     \
    F(STRUCT, sign_state, state, 0, 0, NONE, "what was signed")
SCHEMA_DECLARE(sign_record, SIGN_RECORD_FIELDS)

/* sign_record_encode fills both copies of a generation; sign_file_judge finds the newest record in the
 * bytes of a file. STATUS_CORRUPT: a half has no valid copy, or one generation says two things.
 * STATUS_UNSUPPORTED: a later version. `why` is a static text. */
void sign_record_copies(const struct sign_record *record, uint8_t out[SIGN_WRITE_BYTES]);
MUST_CHECK enum status sign_file_judge(const uint8_t bytes[SIGN_FILE_BYTES],
                                       struct sign_record *record, const char **why);

/* sign_file_format makes the file of a key that has signed nothing; durable, name included, on STATUS_OK.
 * STATUS_EXISTS: there is one, untouched. */
MUST_CHECK enum status sign_file_format(struct io *io, const char *dir, const char *path,
                                        const uint8_t genesis_id[HASH_BYTES],
                                        const uint8_t key[32]);

/* An open sign state: owned by one thread; blocking calls. */
struct sign_file;

/* sign_file_open locks and reads the file and makes what it says durable. STATUS_AMNESIA: it is missing or not
 * whole, and nothing may be signed with this key; STATUS_CORRUPT, STATUS_UNSUPPORTED: as above;
 * STATUS_WRONG_CHAIN: another chain's or another key's; STATUS_LOCKED: another signer holds it. */
MUST_CHECK enum status sign_file_open(struct sign_file **file, struct io *io, const char *path,
                                      const uint8_t genesis_id[HASH_BYTES], const uint8_t key[32],
                                      const char **why);
void sign_file_close(struct sign_file *file);

/* sign_file_ask judges a request and makes a new statement durable. SIGN_BROKEN: that failed; from then on
 * every request is answered so, until the file is opened again. */
enum sign_answer sign_file_ask(struct sign_file *file, struct bytes request);

const struct sign_state *sign_file_state(const struct sign_file *file);

#endif
