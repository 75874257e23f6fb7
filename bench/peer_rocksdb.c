/* RocksDB: write batches with WriteOptions.sync. The memtable is made so large that no flush and no
 * compaction runs beside the measurement: what counts is its write-ahead log. */
#include "bench/peer.h"

#ifdef BENCH_ROCKSDB
#include <rocksdb/c.h>

#define MEMTABLE_BYTES ((size_t)1 << 30)

static rocksdb_t *db;
static rocksdb_options_t *options;
static rocksdb_writeoptions_t *write_options;
static rocksdb_writebatch_t *batch;

static void check(char *error)
{
    if (error) peer_fail("rocksdb", error);
}

static void rocks_open(const char *dir)
{
    char *error = NULL;
    options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(options, 1);
    rocksdb_options_set_write_buffer_size(options, MEMTABLE_BYTES);
    rocksdb_options_set_max_total_wal_size(options, 4 * MEMTABLE_BYTES);
    rocksdb_options_set_recycle_log_file_num(options, 4);
    db = rocksdb_open(options, peer_path(dir, "db"), &error);
    check(error);
    write_options = rocksdb_writeoptions_create();
    rocksdb_writeoptions_set_sync(write_options, 1);
    batch = rocksdb_writebatch_create();
}

static void rocks_commit(uint64_t key, const uint8_t *records, size_t count)
{
    char *error = NULL;
    rocksdb_writebatch_clear(batch);
    for (size_t i = 0; i < count; i++, key++) {
        char name[8];
        for (int j = 0; j < 8; j++) {
            name[j] = (char)(key >> (56 - 8 * j));
        }
        rocksdb_writebatch_put(batch, name, sizeof name,
                               (const char *)records + i * PEER_RECORD_BYTES, PEER_RECORD_BYTES);
    }
    rocksdb_write(db, write_options, batch, &error);
    check(error);
}

static void rocks_close(void)
{
    rocksdb_writebatch_destroy(batch);
    rocksdb_writeoptions_destroy(write_options);
    rocksdb_close(db);
    rocksdb_options_destroy(options);
}

const struct peer PEER_ROCKSDB = {.name = "rocksdb",
                                  .what = "RocksDB WAL sync",
                                  .built = true,
                                  .open = rocks_open,
                                  .commit = rocks_commit,
                                  .close = rocks_close};
#else
const struct peer PEER_ROCKSDB = {.name = "rocksdb", .what = "RocksDB WAL sync"};
#endif
