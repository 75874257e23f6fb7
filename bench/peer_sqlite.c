/* SQLite: one transaction a batch, journal_mode WAL, synchronous FULL, prepared inserts. */
#include "bench/peer.h"

#ifdef BENCH_SQLITE
#include <sqlite3.h>

static sqlite3 *db;
static sqlite3_stmt *insert, *begin, *end;

static void check(int result, int wanted)
{
    if (result != wanted) peer_fail("sqlite", db ? sqlite3_errmsg(db) : "cannot be opened");
}

static void prepare(const char *text, sqlite3_stmt **statement)
{
    check(sqlite3_prepare_v2(db, text, -1, statement, NULL), SQLITE_OK);
}

static void lite_open(const char *dir)
{
    check(sqlite3_open(peer_path(dir, "db"), &db), SQLITE_OK);
    check(sqlite3_exec(db,
                       "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                       "CREATE TABLE record (key INTEGER PRIMARY KEY, value BLOB);",
                       NULL, NULL, NULL),
          SQLITE_OK);
    prepare("BEGIN", &begin);
    prepare("COMMIT", &end);
    prepare("INSERT INTO record VALUES (?, ?)", &insert);
}

static void run(sqlite3_stmt *statement)
{
    check(sqlite3_step(statement), SQLITE_DONE);
    check(sqlite3_reset(statement), SQLITE_OK);
}

static void lite_commit(uint64_t key, const uint8_t *records, size_t count)
{
    run(begin);
    for (size_t i = 0; i < count; i++) {
        check(sqlite3_bind_int64(insert, 1, (sqlite3_int64)(key + i)), SQLITE_OK);
        check(sqlite3_bind_blob(insert, 2, records + i * PEER_RECORD_BYTES, PEER_RECORD_BYTES,
                                SQLITE_STATIC),
              SQLITE_OK);
        run(insert);
    }
    run(end);
}

static void lite_close(void)
{
    sqlite3_finalize(insert);
    sqlite3_finalize(begin);
    sqlite3_finalize(end);
    check(sqlite3_close(db), SQLITE_OK);
}

const struct peer PEER_SQLITE = {.name = "sqlite",
                                 .what = "SQLite WAL FULL",
                                 .built = true,
                                 .open = lite_open,
                                 .commit = lite_commit,
                                 .close = lite_close};
#else
const struct peer PEER_SQLITE = {.name = "sqlite", .what = "SQLite WAL FULL"};
#endif
