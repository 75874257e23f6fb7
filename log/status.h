/* log/status.h - what the world can do to us, as one append-only list.
 *
 * A status says that the world failed: bytes, disk, peer, memory, a bound. It is returned and
 * checked, it never aborts. What the ledger refuses is an outcome (apply/outcome.h); what we got
 * wrong ourselves is an assertion.
 *
 * Numbers and names are public and never reused; tests/golden/status.txt pins them. The lower-case
 * name is the `code` of a problem+json answer.
 */
#ifndef CAIRN_LOG_STATUS_H
#define CAIRN_LOG_STATUS_H

#include "log/compiler.h"

#define STATUS_LIST(X)                                                                             \
    X(OK, ok, 0, "done")                                                                           \
    X(TRUNCATED, truncated, 1, "input ends inside a value")                                        \
    X(TRAILING, trailing, 2, "input goes on after the value")                                      \
    X(RANGE, range, 3, "a value is outside its declared range")                                    \
    X(NONCANONICAL, noncanonical, 4, "input is not the one valid encoding of its value")           \
    X(OVERFLOW, overflow, 5, "amount exceeds its range")                                           \
    X(FULL, full, 6, "a fixed capacity is used up")                                                \
    X(NOT_FOUND, not_found, 7, "no such item")                                                     \
    X(EXISTS, exists, 8, "the item exists already")                                                \
    X(CORRUPT, corrupt, 9, "stored bytes fail their checksum or contradict each other")            \
    X(TORN, torn, 10, "an unfinished write at the end of a file")                                  \
    X(IO, io, 11, "the operating system reported an input/output error")                           \
    X(NO_SPACE, no_space, 12, "no space is left on the device")                                    \
    X(NO_MEMORY, no_memory, 13, "not enough memory")                                               \
    X(UNSUPPORTED, unsupported, 14, "a version, feature or device is not supported")               \
    X(LOCKED, locked, 15, "another process holds the lock")                                        \
    X(WRONG_CHAIN, wrong_chain, 16, "the data belongs to another chain")                           \
    X(BAD_SIGNATURE, bad_signature, 17, "a signature does not verify")                             \
    X(BAD_PROOF, bad_proof, 18, "a proof does not lead to the expected root")                      \
    X(BAD_HASH, bad_hash, 19, "content does not match its hash")                                   \
    X(BUSY, busy, 20, "try again later")                                                           \
    X(CLOSED, closed, 21, "the service is shutting down")                                          \
    X(TIMEOUT, timeout, 22, "no answer within the time limit")                                     \
    X(VIEW_GONE, view_gone, 23, "the requested view was dropped")                                  \
    X(PRUNED, pruned, 24, "the requested height is no longer kept here")                           \
    X(AMNESIA, amnesia, 25, "the sign state is missing, older than what was signed, or damaged")   \
    X(BAD_PASSPHRASE, bad_passphrase, 26, "the passphrase does not open the key")                  \
    X(USAGE, usage, 27, "the command or request is not well formed")                               \
    X(DIVERGED, diverged, 28, "recomputed state differs from what the chain certified")            \
    X(PERMISSION, permission, 29, "file permissions forbid this")                                  \
    X(ABANDONED, abandoned, 30, "given up because an earlier step failed")

enum status {
#define X(upper, lower, number, text) STATUS_##upper = number,
    STATUS_LIST(X)
#undef X
};

/* status_name answers the stable lower-case name ("not_found"); status_text the sentence. Both are
 * static strings; an unknown number answers "unknown_status". */
const char *status_name(enum status status);
const char *status_text(enum status status);

/* status_from_errno maps an errno value (positive): ENOSPC and EDQUOT to NO_SPACE, ENOENT to
 * NOT_FOUND, EEXIST to EXISTS, ENOMEM to NO_MEMORY, EACCES and EPERM to PERMISSION, else IO. */
enum status status_from_errno(int error);

/* TRY returns a failure at once; for functions without anything to release. */
#define TRY(expression)                                                                            \
    do {                                                                                           \
        enum status try_status_ = (expression);                                                    \
        if (try_status_ != STATUS_OK) return try_status_;                                          \
    } while (0)

#endif
