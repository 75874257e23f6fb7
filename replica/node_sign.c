/* The node and its signer: what the core wants signed goes out, what comes back is verified. */
#include <assert.h>

#include "log/signature.h"
#include "log/trace.h"
#include "replica/node_internal.h"

#define REFUSAL_TRACE_US 1000000
#define NOW_WAIT_US      10000000 /* a signer that starts together with the node */
#define NOW_STEP_US      1000

static void wake_loop(void *context)
{
    struct node *node = context;
    io_wake(&node->io);
}

void node_sign_open(struct node *node)
{
    const struct node_options *options = &node->options;
    if (options->signer) {
        node->signer = *options->signer;
        memcpy(node->key, options->consensus_key, sizeof node->key);
        node->signer.driver->attach(node->signer.self, wake_loop, node);
    } else if (options->secret_key) {
        node->signer = signer_local(&node->signer_local, options->secret_key);
        memcpy(node->key, options->secret_key + 32, sizeof node->key);
    }
}

void node_sign_close(struct node *node)
{
    if (node->signer.driver) node->signer.driver->attach(node->signer.self, NULL, NULL);
}

/* refused counts, and says so at most once a second: a node that is refused goes on asking. */
static void refused(struct node *node, const struct node_sign *sign, enum sign_answer answer)
{
    uint64_t now = node_steady_us();
    unsigned reason = (unsigned)answer < SIGN_ANSWERS ? (unsigned)answer : SIGN_UNTRUE;
    node->counters.sign_answers[reason]++;
    if (node->refusal_traced_us != 0 && now < node->refusal_traced_us + REFUSAL_TRACE_US) return;
    node->refusal_traced_us = now;
    TRACE(ERROR, "replica", "signer", "the signer refuses: another node may use this key",
          trace_string("what", (const char[3][9]){"proposal", "vote", "timeout"}[sign->kind]),
          trace_string("why", sign_answer_text((enum sign_answer)reason)),
          trace_u64("epoch", load_u64(sign->bytes + 40)),
          trace_u64("round", load_u64(sign->bytes + 48)));
}

static enum status take_one(struct node *node, const struct signer_answer *answer)
{
    struct node_sign *sign = NULL;
    for (unsigned kind = 0; kind < SIGNER_OTHER && !sign; kind++) {
        bool fits = node->signs[kind].waits && node->signs[kind].sign_id == answer->sign_id;
        if (fits) sign = &node->signs[kind];
    }
    if (!sign) return STATUS_OK; /* late, repeated, or of another run */
    sign->waits = false;
    if (answer->answer != SIGN_GRANTED) {
        refused(node, sign, answer->answer);
        return STATUS_OK;
    }
    struct replica_input input = {.kind = INPUT_SIGNED, .sign_id = answer->sign_id};
    memcpy(input.signature, answer->signature, sizeof input.signature);
    if (signature_verify(node->key, sign->bytes, sign->count, answer->signature)) {
        node->counters.sign_answers[SIGN_GRANTED]++;
        node_queue(node, &input);
        return STATUS_OK;
    }
    refused(node, sign, SIGN_UNTRUE);
    if (node->options.signer) return STATUS_OK;
    node->why = "a signature of our own does not verify: this machine's memory or processor fails";
    return STATUS_BAD_SIGNATURE;
}

enum status node_sign_take(struct node *node, bool *any)
{
    struct signer_answer answer;
    *any = false;
    if (!node->signer.driver) return STATUS_OK;
    while (node->input_count < NODE_INPUTS_MAX / 2 &&
           node->signer.driver->take(node->signer.self, &answer)) {
        *any = true;
        TRY(take_one(node, &answer));
    }
    return STATUS_OK;
}

enum status node_sign_ask(struct node *node, const struct replica_output *output)
{
    bool any;
    enum signer_kind kind = signer_kind(output->bytes);
    assert(kind < SIGNER_OTHER && output->bytes.count <= SIGN_BYTES_MAX);
    struct node_sign *sign = &node->signs[kind];
    *sign = (struct node_sign){
        .waits = true, .kind = kind, .sign_id = output->sign_id, .count = output->bytes.count};
    memcpy(sign->bytes, output->bytes.at, output->bytes.count);
    node->signer.driver->ask(node->signer.self, output->sign_id, output->bytes);
    return node_sign_take(node, &any); /* the local key has answered */
}

enum status node_sign_now(struct node *node, struct bytes request, uint8_t signature[64])
{
    const uint64_t sign_id = UINT64_MAX; /* far from those of the core */
    struct signer_answer answer;
    node->signer.driver->ask(node->signer.self, sign_id, request);
    for (uint64_t waited = 0; waited < NOW_WAIT_US; waited += NOW_STEP_US) {
        while (node->signer.driver->take(node->signer.self, &answer)) {
            if (answer.sign_id != sign_id || answer.answer != SIGN_GRANTED) continue;
            bool good = signature_verify(node->key, request.at, request.count, answer.signature);
            memcpy(signature, answer.signature, sizeof answer.signature);
            return good ? STATUS_OK : STATUS_BAD_SIGNATURE;
        }
        usleep(NOW_STEP_US);
    }
    return STATUS_TIMEOUT;
}
