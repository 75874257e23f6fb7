/* replica/signer_wire.h - what a node and its signer say to each other over a unix socket. Sans-IO.
 *
 *   frame     length u16, 1..SIGNER_MESSAGE_MAX | message, canonical
 *   S -> N    signer_hello, first and once; busy: it serves another node, and closes
 *   N -> S    signer_request, any number
 *   S -> N    signer_answer to each, in their order
 *
 * Whatever is not that ends the connection, and nothing else: the signer goes on with the next node. The node
 * may send what it likes; what the key signs is decided by replica/sign_state.h alone. Who may connect is
 * decided by the owner of the socket (replica/signer_serve.h).
 */
#ifndef CAIRN_REPLICA_SIGNER_WIRE_H
#define CAIRN_REPLICA_SIGNER_WIRE_H

#include "replica/sign_file.h"

#define SIGNER_VERSION 1
#define SIGNER_MAGIC   UINT64_C(0x6e67736e72696163) /* "cairnsgn" */

#define SIGNER_HELLO_FIELDS(F)                                                                     \
    F(U64, _, magic, SIGNER_MAGIC, SIGNER_MAGIC, NONE, "what this is")                             \
    F(U16, _, version, 1, UINT16_MAX, NONE, "of the protocol that the signer speaks")              \
    F(U8, _, busy, 0, 1, NONE, "1: it serves another node")                                        \
    F(HASH, _, genesis_id, 0, 0, NONE, "the chain")                                                \
    F(KEY, _, key, 0, 0, NONE, "the consensus key that it holds")
SCHEMA_DECLARE(signer_hello, SIGNER_HELLO_FIELDS)

#define SIGNER_REQUEST_FIELDS(F)                                                                   \
    F(U64, _, sign_id, 0, UINT64_MAX, NONE, "comes back with the answer")                          \
    F(BYTES, _, bytes, 1, SIGN_BYTES_MAX, BYTE, "to be signed")
SCHEMA_DECLARE(signer_request_message, SIGNER_REQUEST_FIELDS)

#define SIGNER_ANSWER_FIELDS(F)                                                                    \
    F(U64, _, sign_id, 0, UINT64_MAX, NONE, "of the request")                                      \
    F(U8, _, answer, 0, SIGN_ANSWERS - 1, NONE, "0: signed; else why not")                         \
    F(SIGNATURE, _, signature, 0, 0, NONE, "zero unless signed")
SCHEMA_DECLARE(signer_answer_message, SIGNER_ANSWER_FIELDS)

#define SIGNER_MESSAGE_MAX ((size_t)signer_request_message_bytes_max) /* the longest of the three */
#define SIGNER_FRAME_MAX   (2 + SIGNER_MESSAGE_MAX)
_Static_assert(signer_hello_bytes_max <= SIGNER_MESSAGE_MAX &&
                   signer_answer_message_bytes_max <= SIGNER_MESSAGE_MAX,
               "every message fits into a frame");

/* Frames out of a stream of bytes. Zero at first. */
struct signer_inbox {
    size_t count;
    uint8_t bytes[SIGNER_FRAME_MAX];
};

/* signer_inbox_take takes from input[*count] what belongs to the next frame and moves both behind it. A whole
 * frame: *message, borrowed until the next call. message->count 0: more bytes are needed. STATUS_RANGE: no
 * frame has this length. */
MUST_CHECK enum status signer_inbox_take(struct signer_inbox *inbox, const uint8_t **input,
                                         size_t *count, struct bytes *message);

/* Each writes one frame. */
void signer_hello_frame(const struct signer_hello *hello, uint8_t out[SIGNER_FRAME_MAX],
                        size_t *count);
void signer_request_frame(uint64_t sign_id, struct bytes request, uint8_t out[SIGNER_FRAME_MAX],
                          size_t *count);

/* signer_answer_frame is the signer: it decodes a request, asks the sign state, signs, and writes the answer.
 * A failed decode ends the connection. STATUS_IO: the sign state cannot be written; no answer, nothing more is
 * signed until it is opened again. */
MUST_CHECK enum status signer_answer_frame(struct sign_file *file, const uint8_t secret[64],
                                           struct bytes message, uint8_t out[SIGNER_FRAME_MAX],
                                           size_t *count);

#endif
