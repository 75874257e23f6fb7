#include "replica/signer.h"

#include <assert.h>

#include "log/signature.h"

enum signer_kind signer_kind(struct bytes request)
{
    static const char TAGS[SIGNER_OTHER][9] = {"cairn pr", "cairn vo", "cairn to"};
    for (unsigned kind = 0; request.count >= 8 && kind < SIGNER_OTHER; kind++) {
        if (memcmp(request.at, TAGS[kind], 8) == 0) return (enum signer_kind)kind;
    }
    return SIGNER_OTHER;
}

static void forget_first(struct signer_local *local)
{
    local->count--;
    memmove(local->answers, local->answers + 1, local->count * sizeof local->answers[0]);
}

static void local_ask(void *self, uint64_t sign_id, struct bytes request)
{
    struct signer_local *local = self;
    assert(request.count <= SIGN_BYTES_MAX);
    if (local->count == SIGNER_LOCAL_MAX) forget_first(local);
    struct signer_answer *answer = &local->answers[local->count++];
    *answer = (struct signer_answer){.sign_id = sign_id, .answer = SIGN_GRANTED};
    signature_make(local->secret, request.at, request.count, answer->signature);
}

static bool local_take(void *self, struct signer_answer *answer)
{
    struct signer_local *local = self;
    if (local->count == 0) return false;
    *answer = local->answers[0];
    forget_first(local);
    return true;
}

static void local_attach(void *self, void (*wake)(void *context), void *context)
{
    (void)self; /* its answers wait when `ask` returns */
    (void)wake;
    (void)context;
}

struct signer signer_local(struct signer_local *local, const uint8_t secret[64])
{
    static const struct signer_driver DRIVER = {
        .name = "local", .ask = local_ask, .take = local_take, .attach = local_attach};
    *local = (struct signer_local){.secret = secret};
    return (struct signer){.driver = &DRIVER, .self = local};
}
