#include "replica/signer_queue.h"

#include <assert.h>

static void remove_at(struct signer_queue *queue, size_t at)
{
    queue->count--;
    memmove(&queue->requests[at], &queue->requests[at + 1],
            (queue->count - at) * sizeof queue->requests[0]);
}

void signer_queue_ask(struct signer_queue *queue, uint64_t sign_id, struct bytes request)
{
    enum signer_kind kind = signer_kind(request);
    assert(request.count <= SIGN_BYTES_MAX);
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->requests[i].kind != kind) continue;
        remove_at(queue, i);
        break;
    }
    assert(queue->count < SIGNER_KINDS);
    struct signer_request *own = &queue->requests[queue->count++];
    *own = (struct signer_request){.sign_id = sign_id, .kind = kind, .count = request.count};
    memcpy(own->bytes, request.at, request.count);
}

const struct signer_request *signer_queue_next(struct signer_queue *queue)
{
    if (queue->under_way >= SIGNER_WINDOW) return NULL;
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->requests[i].is_sent) continue;
        queue->requests[i].is_sent = true;
        queue->under_way++;
        return &queue->requests[i];
    }
    return NULL;
}

enum status signer_queue_answered(struct signer_queue *queue, uint64_t sign_id, bool *waits)
{
    *waits = false;
    if (queue->under_way == 0) return STATUS_NONCANONICAL;
    queue->under_way--;
    for (size_t i = 0; i < queue->count; i++) {
        if (queue->requests[i].sign_id != sign_id || !queue->requests[i].is_sent) continue;
        *waits = true;
        remove_at(queue, i);
        break;
    }
    return STATUS_OK;
}

void signer_queue_lost(struct signer_queue *queue)
{
    queue->under_way = 0;
    for (size_t i = 0; i < queue->count; i++) {
        queue->requests[i].is_sent = false;
    }
}
