/* api/problem.h - errors over HTTP, as RFC 9457 application/problem+json.
 *
 *   type       /v1/errors/CODE, which explains the code
 *   title      the code's sentence; never changes
 *   status     the HTTP status
 *   detail     what happened this time, for people
 *   instance   the request id (also X-Request-Id)
 *   code       stable snake_case name; programs look at this alone
 *   retriable  the same request may succeed later
 *   ...        typed members: expected_nonce, required_fee, earliest_height, errors[]
 *
 * Codes come from three registries: the list below, log/status.h and apply/outcome.h (and the
 * mempool's answers), each by its lower-case name.
 */
#ifndef CAIRN_API_PROBLEM_H
#define CAIRN_API_PROBLEM_H

#include "api/json.h"
#include "api/request.h"

/* code, HTTP status, retriable, title. */
#define PROBLEM_LIST(X)                                                                            \
    X(unknown_path, 404, false, "no such path")                                                    \
    X(method_not_allowed, 405, false, "the path does not have this method")                        \
    X(bad_path, 400, false, "the path is not decodable")                                           \
    X(unknown_parameter, 400, false, "the route has no such parameter")                            \
    X(bad_parameter, 400, false, "a parameter is not of its declared kind or range")               \
    X(bad_cursor, 400, false, "the cursor was not made by this route")                             \
    X(bad_request, 400, false, "the request is not well formed")                                   \
    X(bad_json, 400, false, "the body is not acceptable JSON")                                     \
    X(body_required, 400, false, "the request needs a body")                                       \
    X(body_too_large, 413, false, "the body exceeds the limit")                                    \
    X(unsupported_media_type, 415, false, "the body's media type is not understood")               \
    X(not_acceptable, 406, false, "none of the accepted media types is available")                 \
    X(batch_too_large, 400, false, "the batch has too many transactions")                          \
    X(rate_limited, 429, true, "too many requests from this address")                              \
    X(too_many_streams, 503, true, "all stream places are taken")                                  \
    X(block_not_found, 404, false, "no such block")                                                \
    X(tx_not_found, 404, false, "this transaction was never seen here")                            \
    X(table_not_found, 404, false, "the state has no such table")                                  \
    X(code_not_found, 404, false, "no such error code")                                            \
    X(height_ahead, 404, true, "the height is not reached yet")                                    \
    X(index_behind, 503, true, "the index is being rebuilt")                                       \
    X(internal, 500, true, "the node failed to answer")

/* One known code. */
struct problem_code {
    const char *code;
    unsigned http;
    bool retriable;
    const char *title;
};

/* problem_find looks a code up in all registries; *found is filled. */
bool problem_find(const char *code, struct problem_code *found);
/* problem_at lists all codes, each once: false past the end. */
bool problem_at(size_t index, struct problem_code *found);

/* problem_start makes the document; `detail` may be NULL. Add typed members, then problem_send it, which
 * answers with `http` (0: the code's own status). */
json_t *problem_start(const struct request *request, const char *code, const char *detail);
void problem_send(struct request *request, unsigned http, json_t *problem_owned);

/* problem_reply is both at once. problem_status answers for a status of log/status.h. */
void problem_reply(struct request *request, const char *code, const char *detail);
void problem_status(struct request *request, enum status status, const char *detail);

/* problem_json answers 400 with errors[] = {pointer, code, detail}. */
void problem_json(struct request *request, const struct json_fault *fault);

/* problem_too_old answers 410 pruned or view_gone with earliest_height. */
void problem_too_old(struct request *request, enum status status, uint64_t earliest_height);

#endif
