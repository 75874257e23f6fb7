/* tests/support_journal.h - a journal on a simulated disk beside a model of what it must hold.
 *
 * Records have generated bodies: number, salt and length give every byte, so that a record of an
 * earlier life under the same number is told from the right one.
 */
#ifndef CAIRN_TESTS_SUPPORT_JOURNAL_H
#define CAIRN_TESTS_SUPPORT_JOURNAL_H

#include "log/journal.h"
#include "tests/support_disk.h"

#define JT_DIR         "v"
#define JT_RING_BYTES  ((uint64_t)64 * JOURNAL_PAGE_BYTES)
#define JT_GROUP_BYTES ((uint64_t)16 * JOURNAL_PAGE_BYTES)
#define JT_MEMORY      (UINT64_C(64) * 1024 * 1024)
#define JT_RECORDS_MAX 4096

struct jt_record {
    uint16_t type;
    uint32_t salt, bytes;
};

struct jt {
    struct io io;
    char dir[64]; /* JT_DIR after jt_init */
    struct journal *journal;
    struct journal_recovery recovery;
    struct jt_record model[JT_RECORDS_MAX]; /* by lsn */
    uint64_t next_lsn;                      /* appended: below it */
    uint64_t acknowledged;                  /* durable: up to it */
    uint64_t tail;                          /* the newest release asked for */
    uint32_t salt;
    struct io_op ops[3];
    bool busy[3];
};

extern const uint8_t jt_chain[HASH_BYTES], jt_key[32];

/* jt_format makes the directory and both files, everything durable. */
enum status jt_format(struct io *io, uint64_t incarnation);
/* jt_init starts an empty model. */
void jt_init(struct jt *jt, struct io io);
/* jt_open opens; on success it reads all records and checks them with the model (asserts): nothing
 * acknowledged is missing, nothing differs. The model continues where the records end. */
enum status jt_open(struct jt *jt);
void jt_close(struct jt *jt);

/* jt_start makes a disk, and on it a journal that is open and empty (asserts); jt_end ends both. */
void jt_start(struct jt *jt, struct disk **disk, uint64_t incarnation);
void jt_end(struct jt *jt, struct disk *disk);

enum status jt_append(struct jt *jt, enum journal_type type, uint32_t bytes);
/* jt_step submits what is ready and takes back what has completed. *idle: there was nothing to do. On
 * failure everything in flight has been handed back. */
enum status jt_step(struct jt *jt, bool *idle);
/* jt_run steps until idle. */
enum status jt_run(struct jt *jt);
/* jt_release asks to drop everything before `lsn`. */
enum status jt_release(struct jt *jt, uint64_t lsn);

#endif
