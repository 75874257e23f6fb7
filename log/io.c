#include "log/io.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LISTEN_BACKLOG 128

enum status io_auto_init(struct io *io, unsigned ops_max)
{
    enum status status = io_uring_init(io, ops_max);
    return status == STATUS_UNSUPPORTED ? io_posix_init(io, ops_max) : status;
}

void io_deinit(struct io *io)
{
    io->driver->deinit(io->self);
    *io = (struct io){0};
}

enum status io_open(struct io *io, const char *path, unsigned flags, int *file)
{
    assert((flags & IO_OPEN_EXCLUSIVE) == 0 || (flags & IO_OPEN_CREATE) != 0);
    return io->driver->open(io->self, path, flags, file);
}

enum status io_close(struct io *io, int file)
{
    return io->driver->close(io->self, file);
}

enum status io_read_at(struct io *io, int file, uint64_t offset, uint8_t *buffer, size_t count,
                       size_t *done)
{
    return io->driver->read_at(io->self, file, offset, buffer, count, done);
}

enum status io_read_exact(struct io *io, int file, uint64_t offset, uint8_t *buffer, size_t count)
{
    size_t done = 0;
    TRY(io_read_at(io, file, offset, buffer, count, &done));
    return done == count ? STATUS_OK : STATUS_TRUNCATED;
}

enum status io_write_at(struct io *io, int file, uint64_t offset, const uint8_t *buffer,
                        size_t count)
{
    return io->driver->write_at(io->self, file, offset, buffer, count);
}

enum status io_file_sync(struct io *io, int file)
{
    return io->driver->file_sync(io->self, file);
}

enum status io_file_size(struct io *io, int file, uint64_t *size)
{
    return io->driver->file_size(io->self, file, size);
}

bool io_file_is_direct(struct io *io, int file)
{
    return io->driver->file_is_direct(io->self, file);
}

enum status io_truncate(struct io *io, int file, uint64_t size)
{
    return io->driver->truncate(io->self, file, size);
}

enum status io_allocate(struct io *io, int file, uint64_t offset, uint64_t count)
{
    return io->driver->allocate(io->self, file, offset, count);
}

enum status io_lock(struct io *io, int file)
{
    return io->driver->lock(io->self, file);
}

enum status io_rename(struct io *io, const char *from, const char *to)
{
    return io->driver->rename(io->self, from, to);
}

enum status io_unlink(struct io *io, const char *path)
{
    return io->driver->unlink(io->self, path);
}

enum status io_mkdir(struct io *io, const char *path)
{
    return io->driver->mkdir(io->self, path);
}

enum status io_dir_sync(struct io *io, const char *path)
{
    return io->driver->dir_sync(io->self, path);
}

enum status io_list(struct io *io, const char *path, void (*each)(void *context, const char *name),
                    void *context)
{
    return io->driver->list(io->self, path, each, context);
}

enum status io_space(struct io *io, const char *path, uint64_t *free_bytes)
{
    return io->driver->space(io->self, path, free_bytes);
}

enum status io_submit(struct io *io, struct io_op *op)
{
    bool moves = op->kind == IO_READ || op->kind == IO_WRITE || op->kind == IO_WRITE_SYNC ||
                 op->kind == IO_RECV || op->kind == IO_SEND;
    assert(op->kind <= IO_SEND);
    assert(op->lane < IO_LANE_COUNT);
    assert(!moves || op->count > 0);
    assert(!moves || op->buffer != NULL);
    assert(op->offset <= INT64_MAX - op->count);
    assert(op->kind != IO_CONNECT || op->address != NULL);
    return io->driver->submit(io->self, op);
}

enum status io_poll(struct io *io, int64_t timeout_us, struct io_op **done, size_t done_max,
                    size_t *done_count)
{
    return io->driver->poll(io->self, timeout_us, done, done_max, done_count);
}

void io_wake(struct io *io)
{
    io->driver->wake(io->self);
}

void io_perform(struct io *io, struct io_op *op)
{
    assert(op->kind <= IO_WRITE_SYNC);
    op->error = 0;
    op->done = 0;
    switch (op->kind) {
    case IO_READ:
        op->status = io_read_at(io, op->file, op->offset, op->buffer, op->count, &op->done);
        if (op->status == STATUS_OK && op->done < op->count) op->status = STATUS_TRUNCATED;
        return;
    case IO_WRITE:
    case IO_WRITE_SYNC:
        op->status = io_write_at(io, op->file, op->offset, op->buffer, op->count);
        if (op->status == STATUS_OK) op->done = op->count;
        if (op->status == STATUS_OK && op->kind == IO_WRITE_SYNC) {
            op->status = io_file_sync(io, op->file);
        }
        return;
    case IO_SYNC: op->status = io_file_sync(io, op->file); return;
    case IO_ACCEPT:
    case IO_CONNECT:
    case IO_RECV:
    case IO_SEND: break;
    }
}

_Static_assert(sizeof(struct sockaddr_in6) <= sizeof((struct io_address *)0)->bytes,
               "an address holds the larger of the two forms");

enum status io_address_parse(const char *text, uint16_t port, struct io_address *address)
{
    *address = (struct io_address){0};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
        memcpy(address->bytes, &four, sizeof four);
        address->count = sizeof four;
        return STATUS_OK;
    }
    if (inet_pton(AF_INET6, text, &six.sin6_addr) == 1) {
        memcpy(address->bytes, &six, sizeof six);
        address->count = sizeof six;
        return STATUS_OK;
    }
    return STATUS_USAGE;
}

static const uint8_t MAPPED[12] = {[10] = 0xff, [11] = 0xff};

bool io_ip_is_four(const uint8_t ip[16])
{
    return memcmp(ip, MAPPED, sizeof MAPPED) == 0;
}

bool io_endpoint_is(const struct io_endpoint *a, const struct io_endpoint *b)
{
    return a->port == b->port && memcmp(a->ip, b->ip, sizeof a->ip) == 0;
}

void io_endpoint_of(const struct io_address *address, struct io_endpoint *endpoint)
{
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    if (address->count == sizeof four) {
        memcpy(&four, address->bytes, sizeof four);
        memcpy(endpoint->ip, MAPPED, sizeof MAPPED);
        memcpy(endpoint->ip + sizeof MAPPED, &four.sin_addr, 4);
        endpoint->port = ntohs(four.sin_port);
    } else {
        memcpy(&six, address->bytes, sizeof six);
        memcpy(endpoint->ip, &six.sin6_addr, 16);
        endpoint->port = ntohs(six.sin6_port);
    }
}

void io_address_of(const struct io_endpoint *endpoint, struct io_address *address)
{
    *address = (struct io_address){0};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(endpoint->port)};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(endpoint->port)};
    if (io_ip_is_four(endpoint->ip)) {
        memcpy(&four.sin_addr, endpoint->ip + sizeof MAPPED, 4);
        memcpy(address->bytes, &four, sizeof four);
        address->count = sizeof four;
    } else {
        memcpy(&six.sin6_addr, endpoint->ip, 16);
        memcpy(address->bytes, &six, sizeof six);
        address->count = sizeof six;
    }
}

void io_endpoint_text(const struct io_endpoint *endpoint, char text[IO_ENDPOINT_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN];
    bool is_four = io_ip_is_four(endpoint->ip);
    const uint8_t *ip = endpoint->ip + (is_four ? sizeof MAPPED : 0);
    const char *written = inet_ntop(is_four ? AF_INET : AF_INET6, ip, host, sizeof host);
    assert(written != NULL);
    snprintf(text, IO_ENDPOINT_TEXT_BYTES, is_four ? "%s:%u" : "[%s]:%u", host, endpoint->port);
}

enum status io_socket_peer(int file, struct io_endpoint *endpoint)
{
    struct io_address address = {0};
    struct sockaddr_in6 peer;
    socklen_t count = sizeof peer;
    if (getpeername(file, (struct sockaddr *)&peer, &count) != 0) return status_from_errno(errno);
    if (count > sizeof address.bytes) return STATUS_UNSUPPORTED;
    memcpy(address.bytes, &peer, count);
    address.count = count;
    io_endpoint_of(&address, endpoint);
    return STATUS_OK;
}

static enum status listen_on(int file, const struct io_address *address, uint16_t *bound_port)
{
    int on = 1;
    union {
        struct sockaddr_in6 six;
        struct sockaddr_in four;
        struct sockaddr any;
    } bound = {0};
    socklen_t bound_bytes = sizeof bound;
    if (setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        bind(file, (const struct sockaddr *)address->bytes, address->count) != 0 ||
        listen(file, LISTEN_BACKLOG) != 0 || getsockname(file, &bound.any, &bound_bytes) != 0) {
        return errno == EADDRINUSE ? STATUS_BUSY : status_from_errno(errno);
    }
    bool is_four = bound.any.sa_family == AF_INET;
    *bound_port = ntohs(is_four ? bound.four.sin_port : bound.six.sin6_port);
    return STATUS_OK;
}

enum status io_listen(const char *address, uint16_t port, int *file, uint16_t *bound_port)
{
    struct io_address parsed;
    TRY(io_address_parse(address, port, &parsed));
    sa_family_t family;
    memcpy(&family, parsed.bytes, sizeof family);
    int listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0) return status_from_errno(errno);
    enum status status = listen_on(listener, &parsed, bound_port);
    if (status != STATUS_OK) {
        close(listener);
        return status;
    }
    *file = listener;
    return STATUS_OK;
}

void io_socket_shutdown(int file)
{
    /* ENOTCONN and ENOTSOCK leave nothing in flight to wait for. */
    (void)shutdown(file, SHUT_RDWR);
}

/* The directory part of a path; "." when it has none, "/" for entries of the root. */
static void parent_of(const char *path, char parent[IO_PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) {
        memcpy(parent, ".", 2);
        return;
    }
    size_t count = slash == path ? 1 : (size_t)(slash - path);
    assert(count < IO_PATH_MAX);
    memcpy(parent, path, count);
    parent[count] = '\0';
}

static enum status write_temporary(struct io *io, const char *path, const uint8_t *bytes,
                                   size_t count)
{
    int file;
    TRY(io_open(io, path, IO_OPEN_CREATE | IO_OPEN_WRITE, &file));
    enum status status = io_truncate(io, file, 0);
    if (status == STATUS_OK) status = io_write_at(io, file, 0, bytes, count);
    if (status == STATUS_OK) status = io_file_sync(io, file);
    enum status closed = io_close(io, file);
    return status == STATUS_OK ? closed : status;
}

enum status io_write_file(struct io *io, const char *path, const uint8_t *bytes, size_t count)
{
    char temporary[IO_PATH_MAX], parent[IO_PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (length < 0 || length >= (int)sizeof temporary) return STATUS_RANGE;
    parent_of(path, parent);
    enum status status = write_temporary(io, temporary, bytes, count);
    if (status == STATUS_OK) status = io_rename(io, temporary, path);
    if (status == STATUS_OK) return io_dir_sync(io, parent);
    enum status removed = io_unlink(io, temporary);
    (void)removed; /* the first failure is the one to report; what is left is overwritten */
    return status;
}
