/* Proof files for light clients (replica/light.h). */
#include <stdlib.h>

#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/read.h"
#include "replica/light_make.h"

SHAPE(light_proof_shape, "LightProof",
      "What somebody needs who has the genesis alone; cairn light verify checks it",
      FIELD(U64, "height", "of the block that is proven"),
      FIELD(U64, "from_epoch", "the epoch whose validators are trusted"),
      FIELD(BASE64, "bytes", "canonical bytes of the proof file"))

/* epoch_of looks into the state under the read lock. */
static enum status epoch_of(void *context, uint64_t epoch, struct validator_list *set,
                            struct params *params)
{
    struct node *node = context;
    struct ledger *ledger = node_read_begin(node);
    enum status status = light_epoch_of(ledger, epoch, set, params);
    node_read_end(node);
    return status;
}

static void reply_proof(struct request *request, uint64_t height, uint64_t from_epoch,
                        struct bytes file)
{
    if (request_accepts(request, "application/octet-stream")) {
        reply_bytes(request, 200, "application/octet-stream", (uint8_t *)(uintptr_t)file.at,
                    file.count);
        return;
    }
    struct node_head head;
    node_head(request->node, &head);
    json_t *data = json_object();
    json_set_u64(data, "height", height);
    json_set_u64(data, "from_epoch", from_epoch);
    json_set_base64(data, "bytes", file.at, file.count);
    free((void *)(uintptr_t)file.at);
    struct reply_meta meta = reply_meta_of(&head);
    reply_data(request, 200, data, &meta);
}

void handle_light(struct request *request)
{
    const struct route_value *tx = request_param(request, "tx");
    uint64_t height, from_epoch = request_param(request, "from_epoch")->number;
    if (!block_resolve(request, &height)) return;
    struct light_source source = {.reader = node_chain(request->node),
                                  .genesis_id = node_genesis_id(request->node),
                                  .epoch_of = epoch_of,
                                  .context = request->node};
    struct bytes file;
    enum status status = light_make(&source, height, from_epoch,
                                    tx->given ? (uint32_t)tx->number : LIGHT_NO_COMMAND, &file);
    if (status == STATUS_OK)
        reply_proof(request, height, from_epoch, file);
    else if (status == STATUS_BUSY)
        problem_reply(request, "height_ahead", "no certificate makes the block final yet");
    else
        problem_status(request, status, NULL);
}
