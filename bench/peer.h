/* bench/peer.h - what the journal is compared with: appenders that commit batches of records.
 *
 * A peer commits when every record of the batch survives a power cut, as far as its documentation
 * says so. Indexed stores do more work than an appender; whoever quotes a ratio says so.
 */
#ifndef CAIRN_BENCH_PEER_H
#define CAIRN_BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_RECORD_BYTES 256
#define PEER_BATCH_MAX    4096

/* All functions end the program with a text when the peer fails. One of a kind is open at a time. */
struct peer {
    const char *name; /* "rocksdb" */
    const char *what; /* for the report: "RocksDB WAL sync" */
    bool built;       /* false: its library was not found by CMake, the functions are NULL */
    /* open makes an empty store in `dir`, which exists and is empty; close leaves its files. */
    void (*open)(const char *dir);
    /* commit returns when `count` records of PEER_RECORD_BYTES are durable; key is that of the first. */
    void (*commit)(uint64_t key, const uint8_t *records, size_t count);
    void (*close)(void);
};

extern const struct peer PEER_LIMIT;  /* not durable: O_DIRECT overwrite without flush */
extern const struct peer PEER_SYNCED; /* the same, and fdatasync; only while PEER_LIMIT is open */
extern const struct peer PEER_APPEND; /* write(2) to a growing file, fdatasync */
extern const struct peer PEER_ROCKSDB;
extern const struct peer PEER_SQLITE;
extern const struct peer PEER_LMDB;

/* peer_fail prints "NAME: TEXT" and exits 1. */
_Noreturn void peer_fail(const char *name, const char *text);

/* peer_path joins; the result stands until the next call. */
const char *peer_path(const char *dir, const char *name);

#endif
