/* LMDB: one write transaction a batch, default flags (it syncs at commit), keys in order. */
#include "bench/peer.h"

#ifdef BENCH_LMDB
#include <lmdb.h>

#define MAP_BYTES ((size_t)16 << 30) /* address space, not memory */

static MDB_env *env;
static MDB_dbi table;

static void check(int result)
{
    if (result != 0) peer_fail("lmdb", mdb_strerror(result));
}

static void lm_open(const char *dir)
{
    MDB_txn *txn;
    check(mdb_env_create(&env));
    check(mdb_env_set_mapsize(env, MAP_BYTES));
    check(mdb_env_open(env, dir, 0, 0600));
    check(mdb_txn_begin(env, NULL, 0, &txn));
    check(mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &table));
    check(mdb_txn_commit(txn));
}

static void lm_commit(uint64_t key, const uint8_t *records, size_t count)
{
    MDB_txn *txn;
    check(mdb_txn_begin(env, NULL, 0, &txn));
    for (size_t i = 0; i < count; i++, key++) {
        MDB_val name = {sizeof key, &key};
        MDB_val value = {PEER_RECORD_BYTES,
                         (void *)(uintptr_t)(records + i * PEER_RECORD_BYTES)}; /* only read */
        check(mdb_put(txn, table, &name, &value, MDB_APPEND));
    }
    check(mdb_txn_commit(txn));
}

static void lm_close(void)
{
    mdb_env_close(env);
}

const struct peer PEER_LMDB = {.name = "lmdb",
                               .what = "LMDB sync",
                               .built = true,
                               .open = lm_open,
                               .commit = lm_commit,
                               .close = lm_close};
#else
const struct peer PEER_LMDB = {.name = "lmdb", .what = "LMDB sync"};
#endif
