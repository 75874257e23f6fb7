/* tests/determinism_rules.h - the operations of the chain that the determinism matrix replays.
 *
 * The built-in ones, and a hook that reaches what no honest operation can: it breaks invariants on
 * purpose, undoes whole blocks and schedules parameters. determinism_make writes such a chain,
 * determinism_replay folds it; a log of a real network folds under these rules to the same state,
 * since nobody's transaction carries the hook's number and is admitted.
 */
#ifndef CAIRN_TESTS_DETERMINISM_RULES_H
#define CAIRN_TESTS_DETERMINISM_RULES_H

#include "apply/operation.h"

#define OPERATION_HOOK 900

enum hook {
    HOOK_MINT,     /* the treasury grows out of nothing: quarantined by I1 */
    HOOK_CHECK,    /* an expectation fails: quarantined by X1 */
    HOOK_NONCE,    /* the sender's nonce jumps: quarantined by I34 */
    HOOK_BOOKS,    /* the ledger's count of fees is wrong: the block is undone */
    HOOK_SCHEDULE, /* parameters of the next epoch, drawn from `value` */
    HOOK_PARK,     /* parameters that break a rule: the epoch end is parked */
    HOOK_COUNT
};

#define HOOK_BODY_FIELDS(F)                                                                        \
    F(U8, _, hook, 0, HOOK_COUNT - 1, NONE, "what it does")                                        \
    F(U64, _, value, 0, UINT64_MAX, NONE, "a number for it")
SCHEMA_DECLARE(hook_body, HOOK_BODY_FIELDS)

#define DETERMINISM_RULE_COUNT 3
extern struct operation_rule determinism_rules[DETERMINISM_RULE_COUNT];

/* determinism_rules_init fills the table. */
void determinism_rules_init(void);

#endif
