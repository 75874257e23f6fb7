#include <curl/curl.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <utf8proc.h>
#include <yaml.h>
#include <zstd.h>

#include "cairn_version.h"
#include "log/io.h"
#include "tools/help.h"
#include "tools/output.h"

#define PROBE_OPS 4

/* Which driver the kernel permits here; `start` may be told otherwise by storage.io_backend. */
static const char *probe_backend(void)
{
    struct io io;
    if (io_auto_init(&io, PROBE_OPS) != STATUS_OK) return "none";
    const char *name = io.driver->name;
    io_deinit(&io);
    return name;
}

static enum exit_code run_version(struct call *call)
{
    json_t *libraries =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "libsodium", sodium_version_string(),
                  "libcrypto", OpenSSL_version(OPENSSL_VERSION_STRING), "zstd",
                  ZSTD_versionString(), "libmicrohttpd", MHD_get_version(), "jansson",
                  jansson_version_str(), "libcurl", curl_version_info(CURLVERSION_NOW)->version,
                  "libyaml", yaml_get_version_string(), "utf8proc", utf8proc_version());
    return output_result(call, json_pack("{s:s, s:s, s:s, s:b, s:o}", "version", CAIRN_VERSION,
                                         "compiler", __VERSION__, "io_backend", probe_backend(),
                                         "cuda", 0, "libraries", libraries));
}

static const struct action VERSION[] = {
    {.text = "version, compiler, libraries, input/output driver", .run = run_version},
};
COMMAND_SET(COMMANDS_VERSION, "version", "what this program is made of", VERSION);
