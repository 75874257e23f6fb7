/* bench/subject.h - the journal and the chain log, driven through log/io.h as the node drives them.
 *
 * The journal's user is a closed loop: `depth` batches are outstanding at most, each of them appended
 * record by record; a batch counts when journal_durable_lsn has passed its last record. Depth 1 is
 * serial. With SUBJECT_OVERLAPPED two groups are on their way to the disk and a third one forms.
 * The ring is emptied as the node does it: a checkpoint, then a superblock, once a quarter is used.
 */
#ifndef CAIRN_BENCH_SUBJECT_H
#define CAIRN_BENCH_SUBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log/journal.h"

#define SUBJECT_OVERLAPPED (JOURNAL_WINDOW + 1)
#define SUBJECT_DEPTH_MAX  64

/* Latencies in microseconds; the newest `max` of them. */
struct samples {
    double *us;
    size_t count, max;
};
void samples_add(struct samples *samples, double us);
/* samples_at: the value that `permille` of 1000 do not exceed; it sorts. */
double samples_at(struct samples *samples, unsigned permille);

struct subject;

/* subject_open formats a journal of ring_bytes in `dir` and opens it. `driver`: "uring", "posix", or
 * "auto". Any failure ends the program. */
struct subject *subject_open(const char *dir, uint64_t ring_bytes, const char *driver);
const char *subject_driver(const struct subject *subject);
void subject_close(struct subject *subject);

/* subject_run commits batches of `count` records for so many seconds and waits for the last one.
 * It answers batches a second. */
double subject_run(struct subject *subject, const uint8_t *records, size_t record_bytes,
                   size_t count, size_t depth, double seconds, struct samples *samples);

void subject_stats(const struct subject *subject, struct journal_stats *stats);

/* subject_recover closes the journal without an orderly stop and opens it again. It answers the
 * seconds that journal_open took. */
double subject_recover(struct subject *subject);

/* A chain log that another thread appends blocks of `block_bytes` to, so many bytes a second (0: as
 * fast as it goes), each flushed when it is there, as the node does. */
struct log_load;
struct log_load *log_load_start(const char *dir, uint64_t bytes_per_second, size_t block_bytes);
/* log_load_stop waits until all is durable. It answers the bytes of the blocks. */
uint64_t log_load_stop(struct log_load *load, double *seconds);

#endif
