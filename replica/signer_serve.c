#include "replica/signer_serve.h"

#include <errno.h>
#include <libgen.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log/trace.h"

#define READ_BYTES 4096
#define BACKLOG    8

/* ---- the socket ---- */

static enum status check_folder(const char *path, const char **why)
{
    char copy[IO_PATH_MAX];
    struct stat folder;
    *why = "the socket's folder is not there";
    snprintf(copy, sizeof copy, "%s", path);
    if (stat(dirname(copy), &folder) != 0) return status_from_errno(errno);
    *why = "the socket's folder is open to others: it must be ours, mode 0700";
    bool ours = S_ISDIR(folder.st_mode) && folder.st_uid == geteuid();
    return ours && (folder.st_mode & 077) == 0 ? STATUS_OK : STATUS_PERMISSION;
}

/* clear_place removes a socket that a dead signer left. */
static enum status clear_place(int probe, const struct sockaddr_un *address, const char **why)
{
    struct stat old;
    *why = "the socket's place cannot be looked at";
    if (lstat(address->sun_path, &old) != 0)
        return errno == ENOENT ? STATUS_OK : status_from_errno(errno);
    *why = "there is something else in the socket's place";
    if (!S_ISSOCK(old.st_mode)) return STATUS_EXISTS;
    *why = "another signer answers on this socket";
    if (connect(probe, (const struct sockaddr *)address, sizeof *address) == 0) return STATUS_BUSY;
    *why = "the socket of a dead signer cannot be removed";
    return unlink(address->sun_path) == 0 ? STATUS_OK : status_from_errno(errno);
}

static enum status bind_socket(int socket_fd, const struct sockaddr_un *address, const char **why)
{
    *why = "the socket cannot be made";
    mode_t before = umask(0177);
    int bound = bind(socket_fd, (const struct sockaddr *)address, sizeof *address);
    int error = errno;
    umask(before);
    if (bound != 0) return status_from_errno(error);
    return listen(socket_fd, BACKLOG) == 0 ? STATUS_OK : status_from_errno(errno);
}

enum status signer_listen(const char *path, int *listener, const char **why)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *why = "the path is too long for a socket";
    if (strlen(path) >= sizeof address.sun_path) return STATUS_RANGE;
    memcpy(address.sun_path, path, strlen(path));
    TRY(check_folder(path, why));
    *why = "no sockets are left";
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) return status_from_errno(errno);
    enum status status = clear_place(probe, &address, why);
    close(probe);
    TRY(status);
    *listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*listener < 0) return status_from_errno(errno);
    status = bind_socket(*listener, &address, why);
    if (status != STATUS_OK) close(*listener);
    return status;
}

/* ---- the loop ---- */

struct serving {
    const struct signer_service *service;
    int node; /* -1: none */
    struct signer_inbox inbox;
};

static void leave(struct serving *serving, const char *why)
{
    if (serving->node < 0) return;
    TRACE(INFO, "signer", "node", "the node is gone", trace_string("why", why));
    close(serving->node);
    serving->node = -1;
}

/* say sends a frame whole or not at all: who does not read his answers is not served. */
static bool say(int to, const uint8_t *frame, size_t count)
{
    ssize_t sent = send(to, frame, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent >= 0 && (size_t)sent == count;
}

static bool is_ours(int connection)
{
    struct ucred who;
    socklen_t bytes = sizeof who;
    return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &who, &bytes) == 0 &&
           who.uid == geteuid();
}

static enum status welcome(struct serving *serving)
{
    uint8_t frame[SIGNER_FRAME_MAX];
    size_t count;
    const struct sign_state *state = sign_file_state(serving->service->file);
    int node = accept4(serving->service->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (node < 0) {
        bool passes = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED;
        return passes ? STATUS_OK : status_from_errno(errno);
    }
    struct signer_hello hello = {
        .magic = SIGNER_MAGIC, .version = SIGNER_VERSION, .busy = serving->node >= 0};
    memcpy(hello.genesis_id, state->genesis_id, HASH_BYTES);
    memcpy(hello.key, state->key, sizeof hello.key);
    signer_hello_frame(&hello, frame, &count);
    bool ours = is_ours(node), heard = ours && say(node, frame, count);
    if (!ours || hello.busy)
        TRACE(WARN, "signer", "node",
              ours ? "a second node was refused" : "another user was refused");
    if (!heard || hello.busy) {
        close(node);
        return STATUS_OK;
    }
    TRACE(INFO, "signer", "node", "a node is served");
    serving->node = node;
    serving->inbox.count = 0;
    return STATUS_OK;
}

static void say_refused(struct bytes request, enum sign_answer answer)
{
    if (answer == SIGN_GRANTED) return;
    bool dated = request.count >= 56;
    TRACE(WARN, "signer", "refused", sign_answer_text(answer),
          trace_u64("epoch", dated ? load_u64(request.at + 40) : 0),
          trace_u64("round", dated ? load_u64(request.at + 48) : 0));
}

/* serve_bytes answers every whole request in them. STATUS_IO ends the signer, all else the connection. */
static enum status serve_bytes(struct serving *serving, const uint8_t *bytes, size_t count)
{
    uint8_t frame[SIGNER_FRAME_MAX];
    while (count > 0) {
        struct bytes message;
        size_t frame_bytes;
        TRY(signer_inbox_take(&serving->inbox, &bytes, &count, &message));
        if (message.count == 0) return STATUS_OK;
        TRY(signer_answer_frame(serving->service->file, serving->service->secret, message, frame,
                                &frame_bytes));
        say_refused((struct bytes){message.at + 10, message.count - 10},
                    (enum sign_answer)frame[10]);
        if (!say(serving->node, frame, frame_bytes)) return STATUS_CLOSED;
    }
    return STATUS_OK;
}

static enum status hear(struct serving *serving)
{
    uint8_t bytes[READ_BYTES];
    ssize_t count = recv(serving->node, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return STATUS_OK;
    if (count <= 0) {
        leave(serving, count == 0 ? "it closed" : "its connection failed");
        return STATUS_OK;
    }
    enum status status = serve_bytes(serving, bytes, (size_t)count);
    if (status == STATUS_IO) return STATUS_IO;
    if (status != STATUS_OK) leave(serving, status_text(status));
    return STATUS_OK;
}

static enum status serve_once(struct serving *serving, bool *stops)
{
    struct pollfd fds[] = {{.fd = serving->service->stop, .events = POLLIN},
                           {.fd = serving->node, .events = POLLIN},
                           {.fd = serving->service->listener, .events = POLLIN}};
    if (poll(fds, 3, -1) < 0) return errno == EINTR ? STATUS_OK : status_from_errno(errno);
    *stops = fds[0].revents != 0;
    if (*stops) return STATUS_OK;
    if (fds[1].revents != 0) TRY(hear(serving));
    if (fds[2].revents != 0) TRY(welcome(serving));
    return STATUS_OK;
}

enum status signer_serve(const struct signer_service *service)
{
    struct serving serving = {.service = service, .node = -1};
    enum status status = STATUS_OK;
    for (bool stops = false; status == STATUS_OK && !stops;) {
        status = serve_once(&serving, &stops);
    }
    leave(&serving, "the signer ends");
    return status;
}
