#include "api/recent.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "replica/node.h"

struct recent {
    pthread_mutex_t mutex;
    uint64_t first, next;                      /* heights [first, next) are in the ring */
    uint8_t id[RECENT_BLOCKS_MAX][HASH_BYTES]; /* of height h at h % RECENT_BLOCKS_MAX */
    struct chain_buffer buffer;                /* of recent_step */
};

enum status recent_open(struct recent **recent)
{
    *recent = calloc(1, sizeof **recent);
    if (!*recent) return STATUS_NO_MEMORY;
    pthread_mutex_init(&(*recent)->mutex, NULL);
    return STATUS_OK;
}

void recent_close(struct recent *recent)
{
    if (!recent) return;
    chain_buffer_free(&recent->buffer);
    pthread_mutex_destroy(&recent->mutex);
    free(recent);
}

static void put(struct recent *recent, uint64_t height, const uint8_t id[HASH_BYTES])
{
    pthread_mutex_lock(&recent->mutex);
    memcpy(recent->id[height % RECENT_BLOCKS_MAX], id, HASH_BYTES);
    recent->next = height + 1;
    if (recent->next - recent->first > RECENT_BLOCKS_MAX)
        recent->first = recent->next - RECENT_BLOCKS_MAX;
    pthread_mutex_unlock(&recent->mutex);
}

bool recent_step(struct recent *recent, struct node *node, uint64_t height)
{
    if (recent->next == 0) {
        uint64_t start = height > RECENT_BLOCKS_MAX ? height - RECENT_BLOCKS_MAX + 1 : 1;
        pthread_mutex_lock(&recent->mutex);
        recent->first = recent->next = start;
        pthread_mutex_unlock(&recent->mutex);
    }
    for (unsigned i = 0; i < RECENT_STEP_BLOCKS && recent->next <= height; i++) {
        struct chain_record record;
        if (chain_read(node_chain(node), SEGMENT_EVENTS, recent->next, &recent->buffer, &record) !=
            STATUS_OK)
            return true; /* try again at the next pulse, not at once */
        put(recent, record.height, record.id);
    }
    return recent->next > height;
}

bool recent_find(struct recent *recent, const uint8_t id[HASH_BYTES], uint64_t *height)
{
    bool found = false;
    pthread_mutex_lock(&recent->mutex);
    for (uint64_t h = recent->next; h > recent->first && !found; h--) {
        found = memcmp(recent->id[(h - 1) % RECENT_BLOCKS_MAX], id, HASH_BYTES) == 0;
        *height = h - 1;
    }
    pthread_mutex_unlock(&recent->mutex);
    return found;
}
