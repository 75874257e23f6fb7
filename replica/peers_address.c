#include <stdio.h>
#include <stdlib.h>

#include "replica/peers_internal.h"

#define ANSWER_EVERY_US (60 * SECOND_US)
#define SAVE_EVERY_US   (600 * SECOND_US)

/* ---- text ----------------------------------------------------------------------------------- */

static int digit_of(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool read_key(const char *text, uint8_t key[32])
{
    for (size_t i = 0; i < 32; i++) {
        int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool read_port(const char *text, size_t count, uint16_t *port)
{
    uint32_t value = 0;
    if (count == 0 || count > 5 || text[0] == '0') return false;
    for (size_t i = 0; i < count; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *port = (uint16_t)value;
    return value <= UINT16_MAX;
}

enum status address_endpoint(const struct peer_address *address, struct io_endpoint *endpoint)
{
    struct io_address parsed;
    TRY(io_address_parse(address->host, address->port, &parsed));
    io_endpoint_of(&parsed, endpoint);
    return STATUS_OK;
}

enum status peer_address_parse(const char *text, size_t count, struct peer_address *address)
{
    struct io_endpoint endpoint;
    *address = (struct peer_address){0};
    if (count > 64 && text[64] == '@') {
        if (!read_key(text, address->key)) return STATUS_USAGE;
        address->has_key = true;
        text += 65;
        count -= 65;
    }
    size_t colon = count;
    while (colon > 0 && text[colon - 1] != ':')
        colon--;
    if (colon < 2 || !read_port(text + colon, count - colon, &address->port)) return STATUS_USAGE;
    size_t host = colon - 1;
    bool brackets = text[0] == '[';
    if (brackets && (host < 2 || text[host - 1] != ']')) return STATUS_USAGE;
    if (brackets) {
        text++;
        host -= 2;
    }
    if (host >= sizeof address->host || memchr(text, 0, host) != NULL) return STATUS_USAGE;
    memcpy(address->host, text, host);
    bool colons = strchr(address->host, ':') != NULL;
    return colons == brackets ? address_endpoint(address, &endpoint) : STATUS_USAGE;
}

/* ---- telling and asking --------------------------------------------------------------------- */

static void queue(struct connection *connection, const uint8_t *bytes, size_t count)
{
    struct parcel *parcel = parcel_make((struct bytes){bytes, count});
    if (parcel == NULL) return;
    link_queue(connection->link, NET_COMMANDS, parcel);
    parcel_drop(parcel);
    connection_mark(connection);
}

void address_ask(struct connection *connection)
{
    static const uint8_t MESSAGE[1] = {PEERS_GET_ADDRESSES};
    if (connection->peers->options.max_outbound == 0) return;
    connection->asked = true;
    connection->asked_us = connection->peers->now_us;
    queue(connection, MESSAGE, sizeof MESSAGE);
}

void address_introduce(struct connection *connection)
{
    uint8_t message[PEERS_MESSAGE_BYTES_MAX];
    size_t count;
    if (connection->peers->external.port == 0) return;
    peers_write_addresses(&connection->peers->external, 1, message, &count);
    queue(connection, message, count);
}

static void answer(struct connection *connection)
{
    struct peers *peers = connection->peers;
    struct io_endpoint endpoints[PEERS_ADDRESSES_MAX];
    uint8_t message[PEERS_MESSAGE_BYTES_MAX];
    size_t bytes, count = 0;
    bool first = connection->answered_us == 0;
    if (!first && peers->now_us < connection->answered_us + ANSWER_EVERY_US) return;
    connection->answered_us = peers->now_us;
    if (peers->external.port != 0) endpoints[count++] = peers->external;
    count += book_sample(&peers->book, endpoints + count, PEERS_ADDRESSES_MAX - count);
    peers_write_addresses(endpoints, count, message, &bytes);
    queue(connection, message, bytes);
}

static void listen_to(struct connection *connection, struct bytes body)
{
    struct peers *peers = connection->peers;
    struct io_endpoint endpoints[PEERS_ADDRESSES_MAX];
    size_t count;
    if (peers_read_addresses(body, endpoints, &count) != STATUS_OK) {
        peers_blame(connection, POINTS_BLAME, "addresses that are none");
        return;
    }
    bool introduces = connection->inbound && !connection->introduced && count <= 1;
    if (!connection->asked && !introduces) {
        peers_blame(connection, POINTS_BLAME, "addresses that nobody asked for");
        return;
    }
    if (connection->asked)
        connection->asked = false;
    else
        connection->introduced = true;
    for (size_t i = 0; i < count; i++) {
        if (io_endpoint_is(&endpoints[i], &peers->external)) continue;
        peers->stale |= book_tell(&peers->book, &endpoints[i], connection->endpoint.ip);
    }
}

/* Kinds that a later version may know are passed over. */
void address_message(struct connection *connection, struct bytes message)
{
    struct bytes body = {message.at + 1, message.count - 1};
    if (message.at[0] == PEERS_GET_ADDRESSES && body.count == 0) answer(connection);
    if (message.at[0] == PEERS_ADDRESSES) listen_to(connection, body);
}

/* ---- the file of the book ------------------------------------------------------------------- */

static enum status read_book(struct peers *peers, uint8_t *bytes)
{
    struct io *io = peers->options.io;
    int file;
    size_t count;
    TRY(io_open(io, peers->options.book_path, 0, &file));
    enum status status = io_read_at(io, file, 0, bytes, BOOK_BYTES_MAX + 1, &count);
    io_release(io, file);
    return status == STATUS_OK ? book_decode(&peers->book, bytes, count) : status;
}

void address_load_book(struct peers *peers)
{
    if (peers->options.book_path == NULL) return;
    uint8_t *bytes = malloc(BOOK_BYTES_MAX + 1);
    enum status status = bytes != NULL ? read_book(peers, bytes) : STATUS_NO_MEMORY;
    free(bytes);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND) return;
    TRACE(WARN, "replica", "peers", "the address book cannot be read: it is begun anew",
          trace_string("path", peers->options.book_path), trace_status("status", status));
}

void address_save_book(struct peers *peers)
{
    peers->save_due_us = peers->now_us + SAVE_EVERY_US;
    if (peers->options.book_path == NULL || !peers->book.changed) return;
    size_t count;
    uint8_t *bytes = malloc(BOOK_BYTES_MAX);
    enum status status = STATUS_NO_MEMORY;
    if (bytes != NULL) {
        book_encode(&peers->book, bytes, &count);
        status = io_write_file(peers->options.io, peers->options.book_path, bytes, count);
        free(bytes);
    }
    if (status == STATUS_OK) return;
    TRACE(WARN, "replica", "peers", "the address book cannot be written",
          trace_string("path", peers->options.book_path), trace_status("status", status));
}
