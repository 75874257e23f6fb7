#include "replica/light.h"

#include "log/merkle.h"
#include "replica/validators.h"

SCHEMA_DEFINE(light_set, LIGHT_SET_FIELDS, "validators and parameters of an epoch")
SCHEMA_DEFINE(light_step, LIGHT_STEP_FIELDS, "from one epoch to the next")
SCHEMA_DEFINE(light_sibling, LIGHT_SIBLING_FIELDS, "a node beside a path")
SCHEMA_DEFINE(light_command, LIGHT_COMMAND_FIELDS, "a transaction and its path")
SCHEMA_DEFINE(light_state, LIGHT_STATE_FIELDS, "a record of the state, or its absence")
SCHEMA_DEFINE(light_proof, LIGHT_PROOF_FIELDS, "what a light client needs")

/* ---- trust ---- */

void light_trust_genesis(const struct genesis *genesis, const uint8_t genesis_id[HASH_BYTES],
                         struct light_trust *trust)
{
    struct validator_list list;
    *trust = (struct light_trust){.has_set = true};
    memcpy(trust->genesis_id, genesis_id, HASH_BYTES);
    memcpy(trust->base_id, genesis_id, HASH_BYTES);
    validator_list_of(&genesis->validators, &list);
    validator_set_of(&list, &trust->set);
    validator_set_hash(&list, &genesis->params, trust->set_hash);
}

void light_trust_checkpoint(const uint8_t genesis_id[HASH_BYTES], uint64_t epoch,
                            const uint8_t base_id[HASH_BYTES], const uint8_t set_hash[HASH_BYTES],
                            struct light_trust *trust)
{
    *trust = (struct light_trust){.epoch = epoch};
    memcpy(trust->genesis_id, genesis_id, HASH_BYTES);
    memcpy(trust->base_id, base_id, HASH_BYTES);
    memcpy(trust->set_hash, set_hash, HASH_BYTES);
}

/* ---- the parts ---- */

enum status light_show(struct light_trust *trust, const struct light_set *set)
{
    struct validator_list list;
    uint8_t hash[HASH_BYTES];
    if (validators_check(&set->validators)) return STATUS_BAD_PROOF;
    validator_list_of(&set->validators, &list);
    validator_set_hash(&list, &set->params, hash);
    if (memcmp(hash, trust->set_hash, HASH_BYTES) != 0) return STATUS_BAD_PROOF;
    validator_set_of(&list, &trust->set);
    trust->has_set = true;
    return STATUS_OK;
}

/* commits: a certificate of the trusted epoch names this header as committed. */
static enum status commits(const struct light_trust *trust, const struct qc *certificate,
                           const struct header *header, const uint8_t id[HASH_BYTES])
{
    if (!trust->has_set || certificate->epoch != trust->epoch || header->epoch != trust->epoch ||
        header->flags & BLOCK_TAIL || certificate->commit_height != header->height ||
        memcmp(certificate->commit_id, id, HASH_BYTES) != 0)
        return STATUS_BAD_PROOF;
    return qc_verify(certificate, &trust->set, trust->genesis_id);
}

/* starts_well: the first block of an epoch stands on the base that is trusted. */
static bool starts_well(const struct light_trust *trust, const struct header *header)
{
    return header->parent_round != 0 || memcmp(header->parent_id, trust->base_id, HASH_BYTES) == 0;
}

enum status light_advance(struct light_trust *trust, const struct light_step *step)
{
    uint8_t id[HASH_BYTES];
    block_id_of(&step->header, id);
    if (!(step->header.flags & BLOCK_EPOCH_END) || !starts_well(trust, &step->header))
        return STATUS_BAD_PROOF;
    TRY(commits(trust, &step->certificate, &step->header, id));
    struct light_trust next;
    light_trust_checkpoint(trust->genesis_id, trust->epoch + 1, id, step->header.next_set_hash,
                           &next);
    TRY(light_show(&next, &step->next));
    *trust = next;
    return STATUS_OK;
}

enum status light_final(const struct light_trust *trust, const struct list *headers,
                        const struct qc *certificate)
{
    struct reader r = list_reader(headers);
    struct header header = {0};
    uint8_t id[HASH_BYTES] = {0};
    for (uint32_t i = 0; i < headers->count; i++) {
        uint64_t height = header.height;
        header_read(&r, &header);
        if (header.epoch != trust->epoch || !starts_well(trust, &header)) return STATUS_BAD_PROOF;
        if (i > 0 && (header.height != height + 1 || memcmp(header.parent_id, id, HASH_BYTES) != 0))
            return STATUS_BAD_PROOF;
        block_id_of(&header, id);
    }
    return commits(trust, certificate, &header, id);
}

enum status light_includes(const struct header *header, const struct light_command *command)
{
    uint8_t leaf[HASH_BYTES], root[HASH_BYTES], path[LIGHT_PATH_MAX][HASH_BYTES];
    uint8_t entry[2 + COMMAND_BYTES_MAX];
    struct writer w = writer_of(entry, sizeof entry);
    command_write(&w, &(struct command){.bytes = command->bytes});
    merkle_leaf(entry, writer_bytes(&w), leaf);
    struct reader r = list_reader(&command->path);
    for (uint32_t i = 0; i < command->path.count; i++) {
        read_copy(&r, path[i], HASH_BYTES);
    }
    /* The root of the transactions is not in the header; the path must lead to the one that is. */
    TRY(merkle_root_of(leaf, command->index, header->cmd_count, (const uint8_t(*)[HASH_BYTES])path,
                       command->path.count, root));
    hash_pair(HASH_BODY, command->system_root, root, root);
    return memcmp(root, header->body_root, HASH_BYTES) == 0 ? STATUS_OK : STATUS_BAD_PROOF;
}

enum status light_state_holds(const struct header *header, const struct light_state *state)
{
    uint8_t key[2 + STORE_KEY_BYTES_MAX];
    key[0] = (uint8_t)(state->table >> 8);
    key[1] = (uint8_t)state->table;
    memcpy(key + 2, state->key.at, state->key.count);
    struct bytes full = {key, 2 + state->key.count};
    if (state->present)
        return proof_verify_presence(PROOF_SMT, header->exec_root, full, state->value,
                                     state->proof);
    if (state->value.count > 0) return STATUS_BAD_PROOF;
    return proof_verify_absence(PROOF_SMT, header->exec_root, full, state->proof);
}

/* ---- a file ---- */

static enum status verify_steps(const struct light_proof *proof, struct light_result *result)
{
    struct reader r = list_reader(&proof->steps);
    for (uint32_t i = 0; i < proof->steps.count; i++) {
        struct light_step step;
        light_step_read(&r, &step);
        TRY(light_advance(&result->trust, &step));
        result->signatures += step.certificate.signatures.count;
    }
    return STATUS_OK;
}

/* verify_parts leaves in *why what was looked at last. */
static enum status verify_parts(const struct light_proof *proof, struct light_result *result,
                                const char **why)
{
    *why = "the proof is of another chain";
    if (memcmp(proof->genesis_id, result->trust.genesis_id, HASH_BYTES) != 0)
        return STATUS_WRONG_CHAIN;
    *why = "the proof does not begin at the trusted epoch";
    if (proof->from_epoch != result->trust.epoch) return STATUS_BAD_PROOF;
    *why = "the first validator set is not the trusted one";
    if (proof->has_start != (proof->from_epoch > 0)) return STATUS_BAD_PROOF;
    if (proof->has_start) TRY(light_show(&result->trust, &proof->start));
    *why = "the end of an epoch is not proven";
    TRY(verify_steps(proof, result));
    *why = "the header is not final";
    TRY(light_final(&result->trust, &proof->headers, &proof->certificate));
    result->signatures += proof->certificate.signatures.count;
    struct reader r = list_reader(&proof->headers);
    header_read(&r, &result->header);
    block_id_of(&result->header, result->id);
    *why = "the transaction is not in the block";
    result->has_command = proof->has_command;
    result->command = proof->command;
    if (proof->has_command) TRY(light_includes(&result->header, &proof->command));
    *why = "the state does not say this";
    result->has_state = proof->has_state;
    result->state = proof->state;
    if (proof->has_state) TRY(light_state_holds(&result->header, &proof->state));
    *why = "";
    return STATUS_OK;
}

enum status light_verify(const struct light_trust *trust, struct bytes file,
                         struct light_result *result, const char **why)
{
    struct light_proof proof;
    *result = (struct light_result){.trust = *trust};
    *why = "not a proof file";
    TRY(light_proof_decode(file.at, file.count, &proof));
    return verify_parts(&proof, result, why);
}
