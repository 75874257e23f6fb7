#include "replica/signer_wire.h"

#include "log/signature.h"

SCHEMA_DEFINE(signer_hello, SIGNER_HELLO_FIELDS, "a signer says which key it holds")
SCHEMA_DEFINE(signer_request_message, SIGNER_REQUEST_FIELDS, "a node asks for a signature")
SCHEMA_DEFINE(signer_answer_message, SIGNER_ANSWER_FIELDS, "a signature, or why not")

/* fill brings the inbox up to `wanted` bytes, if there are so many. */
static bool fill(struct signer_inbox *inbox, size_t wanted, const uint8_t **input, size_t *count)
{
    size_t lacks = inbox->count < wanted ? wanted - inbox->count : 0;
    size_t taken = lacks < *count ? lacks : *count;
    if (taken > 0) memcpy(inbox->bytes + inbox->count, *input, taken);
    inbox->count += taken;
    *input += taken;
    *count -= taken;
    return taken == lacks;
}

enum status signer_inbox_take(struct signer_inbox *inbox, const uint8_t **input, size_t *count,
                              struct bytes *message)
{
    *message = (struct bytes){NULL, 0};
    if (!fill(inbox, 2, input, count)) return STATUS_OK;
    size_t length = load_u16(inbox->bytes);
    if (length == 0 || length > SIGNER_MESSAGE_MAX) return STATUS_RANGE;
    if (!fill(inbox, 2 + length, input, count)) return STATUS_OK;
    *message = (struct bytes){inbox->bytes + 2, length};
    inbox->count = 0;
    return STATUS_OK;
}

/* close_frame sets the length in front of a message that was encoded behind it. */
static void close_frame(enum status status, uint8_t *out, size_t *count)
{
    assert(status == STATUS_OK && *count <= SIGNER_MESSAGE_MAX);
    store_u16(out, (uint16_t)*count);
    *count += 2;
}

void signer_hello_frame(const struct signer_hello *hello, uint8_t out[SIGNER_FRAME_MAX],
                        size_t *count)
{
    close_frame(signer_hello_encode(hello, out + 2, SIGNER_MESSAGE_MAX, count), out, count);
}

void signer_request_frame(uint64_t sign_id, struct bytes request, uint8_t out[SIGNER_FRAME_MAX],
                          size_t *count)
{
    struct signer_request_message message = {.sign_id = sign_id, .bytes = request};
    close_frame(signer_request_message_encode(&message, out + 2, SIGNER_MESSAGE_MAX, count), out,
                count);
}

enum status signer_answer_frame(struct sign_file *file, const uint8_t secret[64],
                                struct bytes message, uint8_t out[SIGNER_FRAME_MAX], size_t *count)
{
    struct signer_request_message request;
    TRY(signer_request_message_decode(message.at, message.count, &request));
    enum sign_answer verdict = sign_file_ask(file, request.bytes);
    if (verdict == SIGN_BROKEN) return STATUS_IO;
    struct signer_answer_message answer = {.sign_id = request.sign_id, .answer = (uint8_t)verdict};
    if (verdict == SIGN_GRANTED)
        signature_make(secret, request.bytes.at, request.bytes.count, answer.signature);
    close_frame(signer_answer_message_encode(&answer, out + 2, SIGNER_MESSAGE_MAX, count), out,
                count);
    return STATUS_OK;
}
