#include "replica/signer_remote.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "log/trace.h"
#include "replica/signer_queue.h"
#include "replica/signer_wire.h"

#define READ_BYTES    4096
#define HELLO_WAIT_MS 5000
#define RETRY_MS      50 /* doubled up to */
#define RETRY_MAX_MS  1000
#define ANSWERS_MAX   8

struct signer_remote {
    struct sockaddr_un address;
    uint8_t genesis_id[HASH_BYTES], key[32];
    pthread_t thread;
    int wakes; /* eventfd: something was asked, or the end */

    pthread_mutex_t lock; /* all below */
    bool stopping;
    struct signer_queue queue;
    struct signer_answer answers[ANSWERS_MAX];
    size_t answer_count;
    void (*wake)(void *context);
    void *context;

    /* of the thread */
    bool said_away; /* that the signer is away was traced */
    struct signer_inbox inbox;
};

static void ring(struct signer_remote *remote)
{
    const uint64_t one = 1;
    ssize_t written = write(remote->wakes, &one, sizeof one);
    assert(written == (ssize_t)sizeof one); /* it would take 2^64 of them to be full */
}

static void unring(struct signer_remote *remote)
{
    uint64_t count;
    ssize_t taken = read(remote->wakes, &count, sizeof count);
    assert(taken == (ssize_t)sizeof count || errno == EAGAIN);
}

static bool is_stopping(struct signer_remote *remote)
{
    pthread_mutex_lock(&remote->lock);
    bool stopping = remote->stopping;
    pthread_mutex_unlock(&remote->lock);
    return stopping;
}

/* ---- the thread ---- */

/* away says once why there is no signer. */
static void away(struct signer_remote *remote, const char *why)
{
    if (!remote->said_away)
        TRACE(WARN, "signer", "away", "the signer is away: nothing is signed until it is back",
              trace_string("why", why), trace_string("socket", remote->address.sun_path));
    remote->said_away = true;
}

static const char *hello_fault(const struct signer_remote *remote, struct bytes message)
{
    struct signer_hello hello;
    if (signer_hello_decode(message.at, message.count, &hello) != STATUS_OK ||
        hello.version != SIGNER_VERSION)
        return "it does not speak as a signer of this version";
    if (hello.busy) return "it serves another node";
    if (memcmp(hello.genesis_id, remote->genesis_id, HASH_BYTES) != 0)
        return "it signs for another chain";
    if (memcmp(hello.key, remote->key, sizeof hello.key) != 0) return "it holds another key";
    return NULL;
}

static const char *take_answer(struct signer_remote *remote, struct bytes message)
{
    struct signer_answer_message got;
    bool waits;
    if (signer_answer_message_decode(message.at, message.count, &got) != STATUS_OK)
        return "it sent what is no answer";
    pthread_mutex_lock(&remote->lock);
    enum status status = signer_queue_answered(&remote->queue, got.sign_id, &waits);
    if (waits) {
        if (remote->answer_count == ANSWERS_MAX) /* a loop that does not look: the oldest leaves */
            memmove(remote->answers, remote->answers + 1,
                    --remote->answer_count * sizeof remote->answers[0]);
        struct signer_answer *answer = &remote->answers[remote->answer_count++];
        *answer =
            (struct signer_answer){.sign_id = got.sign_id, .answer = (enum sign_answer)got.answer};
        memcpy(answer->signature, got.signature, sizeof answer->signature);
        if (remote->wake) remote->wake(remote->context);
    }
    pthread_mutex_unlock(&remote->lock);
    return status == STATUS_OK ? NULL : "it answered what was not asked";
}

static const char *hear(struct signer_remote *remote, int socket_fd, bool *greeted)
{
    uint8_t bytes[READ_BYTES];
    const uint8_t *at = bytes;
    ssize_t got = recv(socket_fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return NULL;
    if (got <= 0) return "it closed the connection";
    for (size_t count = (size_t)got; count > 0;) {
        struct bytes message;
        if (signer_inbox_take(&remote->inbox, &at, &count, &message) != STATUS_OK)
            return "it sent what is no frame";
        if (message.count == 0) break;
        const char *fault = *greeted ? take_answer(remote, message) : hello_fault(remote, message);
        if (fault) return fault;
        if (!*greeted) TRACE(INFO, "signer", "back", "the signer is there");
        remote->said_away = false;
        *greeted = true;
    }
    return NULL;
}

static const char *ask_all(struct signer_remote *remote, int socket_fd)
{
    for (;;) {
        uint8_t frame[SIGNER_FRAME_MAX];
        size_t count = 0;
        pthread_mutex_lock(&remote->lock);
        const struct signer_request *next = signer_queue_next(&remote->queue);
        if (next)
            signer_request_frame(next->sign_id, (struct bytes){next->bytes, next->count}, frame,
                                 &count);
        pthread_mutex_unlock(&remote->lock);
        if (count == 0) return NULL;
        /* The window is far smaller than any socket's buffer. */
        ssize_t sent = send(socket_fd, frame, count, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 || (size_t)sent != count) return "it takes no requests";
    }
}

/* converse returns why the connection ended; NULL: we are stopping. */
static const char *converse(struct signer_remote *remote, int socket_fd)
{
    bool greeted = false;
    remote->inbox.count = 0;
    while (!is_stopping(remote)) {
        struct pollfd fds[] = {{.fd = socket_fd, .events = POLLIN},
                               {.fd = remote->wakes, .events = POLLIN}};
        const char *fault = greeted ? ask_all(remote, socket_fd) : NULL;
        if (fault) return fault;
        int ready = poll(fds, 2, greeted ? -1 : HELLO_WAIT_MS);
        if (ready < 0 && errno != EINTR) return "the connection cannot be watched";
        if (ready == 0) return "it does not greet";
        if (ready > 0 && fds[1].revents != 0) unring(remote);
        if (ready > 0 && fds[0].revents != 0) fault = hear(remote, socket_fd, &greeted);
        if (fault) return fault;
    }
    return NULL;
}

static int dial(const struct signer_remote *remote)
{
    int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (socket_fd < 0) return -1;
    const struct sockaddr *address = (const struct sockaddr *)&remote->address;
    if (connect(socket_fd, address, sizeof remote->address) == 0) return socket_fd;
    close(socket_fd);
    return -1;
}

static int64_t steady_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* pause_for waits; requests that come meanwhile do not shorten it, the end does. */
static void pause_for(struct signer_remote *remote, int span_ms)
{
    int64_t until = steady_ms() + span_ms;
    while (!is_stopping(remote)) {
        struct pollfd fd = {.fd = remote->wakes, .events = POLLIN};
        int64_t left = until - steady_ms();
        if (left <= 0 || poll(&fd, 1, (int)left) == 0) return;
        unring(remote);
    }
}

static void *run(void *context)
{
    struct signer_remote *remote = context;
    int pause_ms = RETRY_MS;
    while (!is_stopping(remote)) {
        int socket_fd = dial(remote);
        const char *fault = "nobody answers";
        if (socket_fd >= 0) {
            fault = converse(remote, socket_fd);
            close(socket_fd);
        }
        pthread_mutex_lock(&remote->lock);
        signer_queue_lost(&remote->queue);
        pthread_mutex_unlock(&remote->lock);
        if (!remote->said_away) pause_ms = RETRY_MS; /* it was there until now */
        if (fault) away(remote, fault);
        pause_for(remote, pause_ms);
        pause_ms = 2 * pause_ms < RETRY_MAX_MS ? 2 * pause_ms : RETRY_MAX_MS;
    }
    return NULL;
}

/* ---- the node's side ---- */

static void remote_ask(void *self, uint64_t sign_id, struct bytes request)
{
    struct signer_remote *remote = self;
    pthread_mutex_lock(&remote->lock);
    signer_queue_ask(&remote->queue, sign_id, request);
    pthread_mutex_unlock(&remote->lock);
    ring(remote);
}

static bool remote_take(void *self, struct signer_answer *answer)
{
    struct signer_remote *remote = self;
    pthread_mutex_lock(&remote->lock);
    bool any = remote->answer_count > 0;
    if (any) {
        *answer = remote->answers[0];
        memmove(remote->answers, remote->answers + 1,
                --remote->answer_count * sizeof remote->answers[0]);
    }
    pthread_mutex_unlock(&remote->lock);
    return any;
}

static void remote_attach(void *self, void (*wake)(void *context), void *context)
{
    struct signer_remote *remote = self;
    pthread_mutex_lock(&remote->lock);
    remote->wake = wake;
    remote->context = context;
    pthread_mutex_unlock(&remote->lock);
}

enum status signer_remote_open(struct signer_remote **out,
                               const struct signer_remote_options *options)
{
    struct signer_remote *remote = calloc(1, sizeof *remote);
    if (!remote) return STATUS_NO_MEMORY;
    enum status status = STATUS_RANGE;
    if (strlen(options->path) >= sizeof remote->address.sun_path) goto out_remote;
    remote->address.sun_family = AF_UNIX;
    memcpy(remote->address.sun_path, options->path, strlen(options->path));
    memcpy(remote->genesis_id, options->genesis_id, HASH_BYTES);
    memcpy(remote->key, options->key, sizeof remote->key);
    status = STATUS_NO_MEMORY;
    remote->wakes = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (remote->wakes < 0) goto out_remote;
    if (pthread_mutex_init(&remote->lock, NULL) != 0) goto out_wakes;
    if (pthread_create(&remote->thread, NULL, run, remote) != 0) goto out_lock;
    *out = remote;
    return STATUS_OK;
out_lock:
    pthread_mutex_destroy(&remote->lock);
out_wakes:
    close(remote->wakes);
out_remote:
    free(remote);
    return status;
}

void signer_remote_close(struct signer_remote *remote)
{
    if (!remote) return;
    pthread_mutex_lock(&remote->lock);
    remote->stopping = true;
    pthread_mutex_unlock(&remote->lock);
    ring(remote);
    int error = pthread_join(remote->thread, NULL);
    assert(error == 0);
    pthread_mutex_destroy(&remote->lock);
    close(remote->wakes);
    free(remote);
}

struct signer signer_remote(struct signer_remote *remote)
{
    static const struct signer_driver DRIVER = {
        .name = "remote", .ask = remote_ask, .take = remote_take, .attach = remote_attach};
    return (struct signer){.driver = &DRIVER, .self = remote};
}
