#include "replica/peers_message.h"

SCHEMA_DEFINE(told_address, TOLD_ADDRESS_FIELDS, "where a node may be")
SCHEMA_DEFINE(peer_addresses, PEER_ADDRESSES_FIELDS, "addresses of nodes")

#define FOUR_AT 12 /* where IPv4 stands in the mapped form */

void peers_write_addresses(const struct io_endpoint *endpoints, size_t count,
                           uint8_t out[PEERS_MESSAGE_BYTES_MAX], size_t *bytes)
{
    uint8_t list[PEERS_ADDRESSES_MAX * told_address_bytes_max];
    struct writer elements = writer_of(list, sizeof list);
    for (size_t i = 0; i < count; i++) {
        size_t skip = io_ip_is_four(endpoints[i].ip) ? FOUR_AT : 0;
        struct told_address told = {.ip = {endpoints[i].ip + skip, 16 - skip},
                                    .port = endpoints[i].port};
        told_address_write(&elements, &told);
    }
    struct peer_addresses message = {
        .addresses = {.at = list, .bytes = writer_bytes(&elements), .count = (uint32_t)count}};
    struct writer w = writer_of(out, PEERS_MESSAGE_BYTES_MAX);
    write_u8(&w, PEERS_ADDRESSES);
    peer_addresses_write(&w, &message);
    assert(elements.status == STATUS_OK && w.status == STATUS_OK);
    *bytes = writer_bytes(&w);
}

static enum status read_one(const struct told_address *told, struct io_endpoint *out)
{
    *out = (struct io_endpoint){.port = told->port};
    if (told->ip.count == 4) {
        memset(out->ip + 10, 0xff, 2);
        memcpy(out->ip + FOUR_AT, told->ip.at, 4);
        return STATUS_OK;
    }
    if (told->ip.count != 16) return STATUS_NONCANONICAL;
    memcpy(out->ip, told->ip.at, 16);
    return io_ip_is_four(out->ip) ? STATUS_NONCANONICAL : STATUS_OK;
}

enum status peers_read_addresses(struct bytes body, struct io_endpoint out[PEERS_ADDRESSES_MAX],
                                 size_t *count)
{
    struct peer_addresses message;
    TRY(peer_addresses_decode(body.at, body.count, &message));
    struct reader r = list_reader(&message.addresses);
    for (*count = 0; *count < message.addresses.count; ++*count) {
        struct told_address told;
        told_address_read(&r, &told);
        TRY(read_one(&told, &out[*count]));
    }
    return STATUS_OK;
}
