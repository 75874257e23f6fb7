/* The way to a signer in another process, and back: real sockets, real threads. Whatever is waited for here
 * comes by itself; no test passes because something was quick. */
#include "tests/support_cmocka.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "log/signature.h"
#include "log/trace.h"
#include "replica/link.h"
#include "replica/signer_queue.h"
#include "replica/signer_remote.h"
#include "replica/signer_serve.h"
#include "tests/support_disk.h"

#define OK(expression) assert_int_equal((expression), STATUS_OK)
#define DIR            "validator"
#define PATH           DIR "/sign_state"
#define WAIT_S         60

static const uint8_t GENESIS[HASH_BYTES] = {1, 2, 3}, OTHER[HASH_BYTES] = {4};
static uint8_t secret[64], key[32];

/* ---- a signer process, as a thread ---- */

struct office {
    char folder[64], path[128];
    struct disk *disk;
    struct io io;
    struct sign_file *file;
    struct signer_service service;
    pthread_t thread;
    enum status ended;
    bool runs;
};

static void *serve(void *context)
{
    struct office *office = context;
    office->ended = signer_serve(&office->service);
    return NULL;
}

static void office_start(struct office *office)
{
    const char *why;
    OK(sign_file_open(&office->file, &office->io, PATH, GENESIS, key, &why));
    office->service = (struct signer_service){.file = office->file, .secret = secret};
    OK(signer_listen(office->path, &office->service.listener, &why));
    office->service.stop = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&office->thread, NULL, serve, office), 0);
    office->runs = true;
}

static enum status office_join(struct office *office)
{
    assert_int_equal(pthread_join(office->thread, NULL), 0);
    close(office->service.listener);
    close(office->service.stop);
    sign_file_close(office->file);
    office->runs = false;
    return office->ended;
}

static enum status office_stop(struct office *office)
{
    const uint64_t one = 1;
    assert_int_equal(write(office->service.stop, &one, sizeof one), sizeof one);
    return office_join(office);
}

static int setup(void **state)
{
    struct office *office = calloc(1, sizeof *office);
    const uint8_t seed[32] = {7};
    signature_keypair(seed, secret, key);
    snprintf(office->folder, sizeof office->folder, "/tmp/cairn-signer-XXXXXX");
    assert_non_null(mkdtemp(office->folder));
    snprintf(office->path, sizeof office->path, "%s/sock", office->folder);
    disk_open(&office->disk);
    office->io = disk_io(office->disk);
    OK(io_mkdir(&office->io, DIR));
    OK(sign_file_format(&office->io, DIR, PATH, GENESIS, key));
    *state = office;
    return 0;
}

static int teardown(void **state)
{
    struct office *office = *state;
    if (office->runs) (void)office_stop(office);
    unlink(office->path);
    rmdir(office->folder);
    disk_close(office->disk);
    free(office);
    return 0;
}

/* ---- a node ---- */

struct desk {
    struct signer_remote *remote;
    struct signer signer;
    sem_t rings;
};

static void on_wake(void *context)
{
    struct desk *desk = context;
    sem_post(&desk->rings);
}

static void desk_open(struct desk *desk, const struct office *office, const uint8_t genesis[32],
                      const uint8_t wanted[32])
{
    struct signer_remote_options options = {.path = office->path};
    memcpy(options.genesis_id, genesis, HASH_BYTES);
    memcpy(options.key, wanted, 32);
    OK(signer_remote_open(&desk->remote, &options));
    desk->signer = signer_remote(desk->remote);
    sem_init(&desk->rings, 0, 0);
    desk->signer.driver->attach(desk->signer.self, on_wake, desk);
}

static void desk_close(struct desk *desk)
{
    desk->signer.driver->attach(desk->signer.self, NULL, NULL);
    signer_remote_close(desk->remote);
    sem_destroy(&desk->rings);
}

static struct bytes proposal(uint64_t round, uint8_t what)
{
    static uint8_t out[PROPOSAL_SIGNED_BYTES];
    const uint8_t id[HASH_BYTES] = {what};
    proposal_signed_bytes(GENESIS, 0, round, id, out);
    return (struct bytes){out, sizeof out};
}

static struct bytes timeout(uint64_t round)
{
    static uint8_t out[TIMEOUT_SIGNED_BYTES];
    timeout_signed_bytes(GENESIS, 0, round, round - 1, out);
    return (struct bytes){out, sizeof out};
}

static void ask(struct desk *desk, uint64_t sign_id, struct bytes request)
{
    desk->signer.driver->ask(desk->signer.self, sign_id, request);
}

static struct signer_answer await(struct desk *desk)
{
    struct signer_answer answer;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    while (!desk->signer.driver->take(desk->signer.self, &answer)) {
        if (sem_timedwait(&desk->rings, &until) != 0 && errno == ETIMEDOUT)
            fail_msg("no answer comes");
    }
    return answer;
}

static void assert_signed(const struct signer_answer *answer, uint64_t sign_id, struct bytes what)
{
    assert_int_equal(answer->sign_id, sign_id);
    assert_int_equal(answer->answer, SIGN_GRANTED);
    assert_true(signature_verify(key, what.at, what.count, answer->signature));
}

/* ---- what passes ---- */

static void a_remote_signer_signs_repeats_and_refuses(void **state)
{
    struct office *office = *state;
    struct desk desk;
    office_start(office);
    desk_open(&desk, office, GENESIS, key);
    ask(&desk, 1, proposal(5, 1));
    struct signer_answer first = await(&desk), again;
    assert_signed(&first, 1, proposal(5, 1));
    ask(&desk, 2, proposal(5, 1));
    again = await(&desk);
    assert_int_equal(again.sign_id, 2);
    assert_memory_equal(first.signature, again.signature, 64);
    ask(&desk, 3, proposal(5, 2));
    again = await(&desk);
    assert_int_equal(again.sign_id, 3);
    assert_int_equal(again.answer, SIGN_PROPOSAL_TWICE);
    uint8_t zeros[64] = {0};
    assert_memory_equal(again.signature, zeros, 64);
    uint8_t binding[LINK_CLAIM_SIGNED_BYTES];
    link_claim_signed_bytes(GENESIS, key, binding);
    ask(&desk, 4, (struct bytes){binding, sizeof binding});
    again = await(&desk);
    assert_signed(&again, 4, (struct bytes){binding, sizeof binding});
    desk_close(&desk);
    OK(office_stop(office));
}

/* What was asked while no signer was there is answered in its order when one comes; so it goes on, start after
 * start, and the state lives on. */
static void requests_wait_for_a_signer_that_comes_and_goes(void **state)
{
    struct office *office = *state;
    struct desk desk;
    desk_open(&desk, office, GENESIS, key);
    for (uint64_t round = 2; round < 8; round++) {
        ask(&desk, 10 * round, timeout(round));
        ask(&desk, 10 * round + 1, proposal(round, 1));
        office_start(office);
        struct signer_answer one = await(&desk), two = await(&desk);
        assert_signed(&one, 10 * round, timeout(round));
        assert_signed(&two, 10 * round + 1, proposal(round, 1));
        OK(office_stop(office));
    }
    ask(&desk, 99, proposal(7, 2));
    office_start(office);
    struct signer_answer last = await(&desk);
    assert_int_equal(last.answer, SIGN_PROPOSAL_TWICE);
    desk_close(&desk);
}

static void a_second_node_waits_until_the_first_is_gone(void **state)
{
    struct office *office = *state;
    struct desk first, second;
    struct signer_answer answer;
    office_start(office);
    desk_open(&first, office, GENESIS, key);
    ask(&first, 1, proposal(5, 1));
    answer = await(&first);
    assert_signed(&answer, 1, proposal(5, 1));
    desk_open(&second, office, GENESIS, key);
    ask(&second, 2, proposal(5, 2));
    for (uint64_t i = 10; i < 40; i++) { /* the first one goes on */
        ask(&first, i, proposal(i, 1));
        answer = await(&first);
        assert_signed(&answer, i, proposal(i, 1));
        assert_false(second.signer.driver->take(second.signer.self, &answer));
    }
    desk_close(&first);
    answer = await(&second);
    assert_int_equal(answer.sign_id, 2);
    assert_int_equal(answer.answer, SIGN_PROPOSAL_BELOW);
    desk_close(&second);
}

/* ---- what does not ---- */

static int dial(const struct office *office)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", office->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

/* hello reads the greeting; the socket is one that the signer serves, or a busy one. */
static struct signer_hello hello(int fd)
{
    uint8_t frame[2 + signer_hello_bytes_max];
    struct signer_hello got;
    assert_int_equal(recv(fd, frame, sizeof frame, MSG_WAITALL), sizeof frame);
    OK(signer_hello_decode(frame + 2, sizeof frame - 2, &got));
    return got;
}

static int dial_free(const struct office *office)
{
    for (;;) {
        int fd = dial(office);
        if (!hello(fd).busy) return fd;
        close(fd);
    }
}

static void garbage_ends_its_connection_and_nothing_else(void **state)
{
    struct office *office = *state;
    static const struct {
        uint8_t bytes[16];
        size_t count;
    } GARBAGE[] = {
        {{0, 0}, 2},                                    /* no frame is empty */
        {{255, 255}, 2},                                /* nor that long */
        {{9, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 11},        /* no request */
        {{10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0}, 12},    /* nothing to sign */
        {{11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 2, 0, 1}, 13}, /* less than it says */
        {{12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 1, 0, 1, 1}, 14},
    };
    office_start(office);
    for (size_t i = 0; i < sizeof GARBAGE / sizeof GARBAGE[0]; i++) {
        uint8_t end;
        int fd = dial_free(office);
        assert_int_equal(send(fd, GARBAGE[i].bytes, GARBAGE[i].count, MSG_NOSIGNAL),
                         (ssize_t)GARBAGE[i].count);
        assert_true(recv(fd, &end, 1, 0) <= 0);
        close(fd);
    }
    struct desk desk;
    desk_open(&desk, office, GENESIS, key);
    ask(&desk, 1, proposal(5, 1));
    struct signer_answer answer = await(&desk);
    assert_signed(&answer, 1, proposal(5, 1));
    desk_close(&desk);
    OK(office_stop(office));
}

/* Any cut of the stream, byte by byte too; what is no statement is refused and the connection lives. */
static void requests_come_in_any_cut(void **state)
{
    struct office *office = *state;
    uint8_t stream[2 * SIGNER_FRAME_MAX], got[2][2 + signer_answer_message_bytes_max];
    size_t first, second;
    office_start(office);
    signer_request_frame(7, proposal(5, 1), stream, &first);
    signer_request_frame(8, (struct bytes){key, 32}, stream + first, &second);
    int fd = dial_free(office);
    for (size_t i = 0; i < first + second; i++) {
        assert_int_equal(send(fd, stream + i, 1, MSG_NOSIGNAL), 1);
    }
    struct signer_answer_message answer;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(recv(fd, got[i], sizeof got[i], MSG_WAITALL), sizeof got[i]);
        OK(signer_answer_message_decode(got[i] + 2, sizeof got[i] - 2, &answer));
        assert_int_equal(answer.sign_id, 7 + i);
        assert_int_equal(answer.answer, i == 0 ? SIGN_GRANTED : SIGN_FORM);
    }
    close(fd);
    OK(office_stop(office));
}

static void a_signer_of_another_key_or_chain_is_asked_nothing(void **state)
{
    struct office *office = *state;
    for (int other = 0; other < 2; other++) {
        struct desk wrong, right;
        office_start(office);
        desk_open(&wrong, office, other ? OTHER : GENESIS, other ? key : OTHER);
        ask(&wrong, 1, proposal(5, 1));
        usleep(100000); /* long enough to try; the claim holds if it is not */
        desk_open(&right, office, GENESIS, key);
        ask(&right, 2, proposal(5 + (uint64_t)other, 2));
        struct signer_answer answer = await(&right);
        assert_signed(&answer, 2, proposal(5 + (uint64_t)other, 2));
        assert_false(wrong.signer.driver->take(wrong.signer.self, &answer));
        desk_close(&wrong);
        desk_close(&right);
        OK(office_stop(office));
    }
}

/* When the state cannot be written the signer ends without an answer; the next one answers. */
static void a_signer_that_cannot_remember_does_not_answer(void **state)
{
    struct office *office = *state;
    struct desk desk;
    office_start(office);
    desk_open(&desk, office, GENESIS, key);
    ask(&desk, 1, proposal(5, 1));
    struct signer_answer answer = await(&desk);
    assert_signed(&answer, 1, proposal(5, 1));
    disk_fault(office->disk, 1, DISK_EIO, true);
    ask(&desk, 2, proposal(6, 1));
    assert_int_equal(office_join(office), STATUS_IO);
    assert_false(desk.signer.driver->take(desk.signer.self, &answer));
    disk_faults_clear(office->disk);
    office_start(office);
    answer = await(&desk);
    assert_signed(&answer, 2, proposal(6, 1));
    desk_close(&desk);
}

static void the_socket_is_ours_alone(void **state)
{
    struct office *office = *state;
    struct stat socket_stat;
    const char *why;
    char path[256];
    int listener;
    office_start(office);
    OK(stat(office->path, &socket_stat) == 0 ? STATUS_OK : STATUS_IO);
    assert_int_equal(socket_stat.st_mode & 0777, 0600);
    assert_int_equal(signer_listen(office->path, &listener, &why), STATUS_BUSY);
    OK(office_stop(office)); /* leaves the socket's file, as a killed signer does */
    office_start(office);
    OK(office_stop(office));
    chmod(office->folder, 0750);
    assert_int_equal(signer_listen(office->path, &listener, &why), STATUS_PERMISSION);
    chmod(office->folder, 0700);
    snprintf(path, sizeof path, "%s/file", office->folder);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(signer_listen(path, &listener, &why), STATUS_EXISTS);
    unlink(path);
    snprintf(path, sizeof path, "%s/%0*d", office->folder, 120, 0);
    assert_int_equal(signer_listen(path, &listener, &why), STATUS_RANGE);
}

/* ---- the queue ---- */

static void only_the_newest_of_a_kind_waits_and_the_order_stays(void **state)
{
    (void)state;
    struct signer_queue queue = {0};
    bool waits;
    assert_null(signer_queue_next(&queue));
    signer_queue_ask(&queue, 1, timeout(2));
    signer_queue_ask(&queue, 2, proposal(3, 1));
    signer_queue_ask(&queue, 3, proposal(4, 1));
    signer_queue_ask(&queue, 4, timeout(4));
    assert_int_equal(signer_queue_next(&queue)->sign_id, 3);
    assert_int_equal(signer_queue_next(&queue)->sign_id, 4);
    assert_null(signer_queue_next(&queue));
    OK(signer_queue_answered(&queue, 3, &waits));
    assert_true(waits);
    signer_queue_ask(&queue, 5, timeout(5)); /* 4 is under way: its answer fits nothing any more */
    OK(signer_queue_answered(&queue, 4, &waits));
    assert_false(waits);
    assert_int_equal(signer_queue_next(&queue)->sign_id, 5);
    signer_queue_lost(&queue);
    assert_int_equal(signer_queue_answered(&queue, 5, &waits), STATUS_NONCANONICAL);
    assert_int_equal(signer_queue_next(&queue)->sign_id, 5); /* again */
    for (uint64_t i = 6; i < 100; i++) {
        signer_queue_ask(&queue, i, timeout(i));
        (void)signer_queue_next(&queue);
    }
    assert_int_equal(queue.under_way, SIGNER_WINDOW);
    assert_int_equal(queue.count, 1);
    OK(signer_queue_answered(&queue, 5, &waits));
    assert_false(waits);
    assert_int_equal(signer_queue_next(&queue)->sign_id, 99);
}

int main(void)
{
    if (hash_init() != STATUS_OK || trace_init(TRACE_FORMAT_LOGFMT, "off", 2) != STATUS_OK)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_remote_signer_signs_repeats_and_refuses, setup, teardown),
        cmocka_unit_test_setup_teardown(requests_wait_for_a_signer_that_comes_and_goes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_second_node_waits_until_the_first_is_gone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(garbage_ends_its_connection_and_nothing_else, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(requests_come_in_any_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(a_signer_of_another_key_or_chain_is_asked_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_signer_that_cannot_remember_does_not_answer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_socket_is_ours_alone, setup, teardown),
        cmocka_unit_test(only_the_newest_of_a_kind_waits_and_the_order_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
