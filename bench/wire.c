#include "bench/wire.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD_BYTES 512
#define WAIT_S     60 /* longest silence of the server */

static bool connect_again(struct wire *wire)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(wire->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval wait = {.tv_sec = WAIT_S};
    int on = 1;
    if (wire->socket >= 0) close(wire->socket);
    wire->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (wire->socket < 0) return false;
    setsockopt(wire->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(wire->socket, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    if (connect(wire->socket, (const struct sockaddr *)&to, sizeof to) == 0) return true;
    close(wire->socket);
    wire->socket = -1;
    return false;
}

enum status wire_open(struct wire *wire, uint16_t port)
{
    *wire = (struct wire){.port = port, .socket = -1, .room = malloc(WIRE_ROOM + 1)};
    return wire->room ? STATUS_OK : STATUS_NO_MEMORY;
}

void wire_close(struct wire *wire)
{
    if (wire->socket >= 0) close(wire->socket);
    free(wire->room);
    *wire = (struct wire){.socket = -1};
}

static bool send_all(int socket, struct bytes head, struct bytes body)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)head.at, head.count},
                             {(void *)(uintptr_t)body.at, body.count}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = body.count > 0 ? 2 : 1};
    while (message.msg_iovlen > 0) {
        ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        size_t left = (size_t)sent;
        while (message.msg_iovlen > 0 && left >= message.msg_iov->iov_len) {
            left -= message.msg_iov->iov_len;
            message.msg_iov++;
            message.msg_iovlen--;
        }
        if (message.msg_iovlen == 0) break;
        message.msg_iov->iov_base = (uint8_t *)message.msg_iov->iov_base + left;
        message.msg_iov->iov_len -= left;
    }
    return true;
}

/* The head's value of "name:", or NULL. */
static const char *header(const char *head, const char *name)
{
    size_t count = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, count) == 0) return line + 2 + count;
    }
    return NULL;
}

/* unchunk takes the chunk sizes out in place (RFC 9112 section 7.1); false: not all is there yet. */
static bool unchunk(uint8_t *bytes, size_t have, size_t *body_bytes)
{
    size_t at = 0, out = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (at = out = 0;;) {
            uint8_t *end = memmem(bytes + at, have - at, "\r\n", 2);
            if (!end) return false;
            size_t size = strtoul((const char *)bytes + at, NULL, 16);
            at = (size_t)(end - bytes) + 2;
            if (have - at < size + 2) return false;
            if (size == 0) break;
            if (pass == 1) memmove(bytes + out, bytes + at, size);
            out += size;
            at += size + 2;
        }
    }
    *body_bytes = out;
    return true;
}

static struct wire_answer receive(struct wire *wire)
{
    struct wire_answer answer = {.status = 0};
    size_t have = 0, body = 0, length = SIZE_MAX;
    bool chunked = false, closes = false;
    char *text = (char *)wire->room;
    for (;;) {
        if (have == WIRE_ROOM) return answer;
        ssize_t got = recv(wire->socket, wire->room + have, WIRE_ROOM - have, 0);
        if (got < 0 || (got == 0 && (body == 0 || length != SIZE_MAX || chunked))) return answer;
        have += (size_t)got;
        wire->room[have] = 0;
        if (body == 0) {
            char *end = memmem(text, have, "\r\n\r\n", 4);
            if (!end) continue;
            *end = 0;
            body = (size_t)(end - text) + 4;
            const char *size = header(text, "content-length:");
            const char *coding = header(text, "transfer-encoding:");
            const char *connection = header(text, "connection:");
            if (size) length = strtoul(size, NULL, 10);
            chunked = coding && strstr(coding, "chunked") != NULL;
            closes = connection && strncasecmp(connection + 1, "close", 5) == 0;
        }
        bool whole = chunked ? unchunk(wire->room + body, have - body, &length)
                             : have - body >= length || got == 0;
        if (!whole) continue;
        answer.status = (unsigned)strtoul(text + 9, NULL, 10);
        answer.body = (struct bytes){wire->room + body, chunked ? length : have - body};
        wire->room[body + answer.body.count] = 0;
        if (closes || got == 0) {
            close(wire->socket);
            wire->socket = -1;
        }
        return answer;
    }
}

static struct wire_answer ask(struct wire *wire, const char *head, struct bytes body)
{
    const struct bytes start = {(const uint8_t *)head, strlen(head)};
    struct wire_answer answer = {.status = 0};
    /* An idle connection may have been closed just now: then once more on a fresh one. */
    for (int attempt = 0; attempt < 2 && answer.status == 0; attempt++) {
        if ((wire->socket < 0 || attempt > 0) && !connect_again(wire)) return answer;
        if (send_all(wire->socket, start, body)) answer = receive(wire);
    }
    if (answer.status == 0 && wire->socket >= 0) {
        close(wire->socket);
        wire->socket = -1;
    }
    return answer;
}

struct wire_answer wire_post(struct wire *wire, const char *path, const char *type,
                             struct bytes body)
{
    char head[HEAD_BYTES];
    snprintf(
        head, sizeof head,
        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
        path, type, body.count);
    return ask(wire, head, body);
}

struct wire_answer wire_get(struct wire *wire, const char *path, const char *accept)
{
    char head[HEAD_BYTES];
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n", path,
             accept);
    return ask(wire, head, (struct bytes){NULL, 0});
}

uint64_t wire_member(const struct wire_answer *answer, const char *name)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *at = answer->body.at ? strstr((const char *)answer->body.at, key) : NULL;
    if (!at) return 0;
    at += strlen(key);
    return strtoull(*at == '"' ? at + 1 : at, NULL, 10);
}
