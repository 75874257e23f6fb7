#include "api/page.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "api/text.h"
#include "log/hash.h"

#define SHA256_BASE64_BYTES 45

static char policy[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* hash_between hashes what stands between two marks, as CSP level 2 asks for inline elements. */
static void hash_between(const char *open, const char *close, char out[SHA256_BASE64_BYTES])
{
    uint8_t hash[HASH_BYTES];
    const char *start = strstr(PAGE_HTML, open);
    assert(start);
    start += strlen(open);
    const char *end = strstr(start, close);
    assert(end);
    sha256_bytes((const uint8_t *)start, (size_t)(end - start), hash);
    text_base64_format(hash, sizeof hash, out);
}

static void make_policy(void)
{
    char script[SHA256_BASE64_BYTES], style[SHA256_BASE64_BYTES];
    hash_between("<script>", "</script>", script);
    hash_between("<style>", "</style>", style);
    snprintf(
        policy, sizeof policy,
        "default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        script, style);
}

const char *page_policy(void)
{
    pthread_once(&once, make_policy);
    return policy;
}
