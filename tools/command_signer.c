/* cairn signer: key, sign state, socket - and back in reverse. It signs for one node at a time what
 * replica/sign_state.h permits, and remembers before it answers.
 *
 * SIGTERM and SIGINT end it in order; being killed is safe too. */
#include "tools/command_signer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "log/trace.h"
#include "replica/signer_serve.h"
#include "tools/home.h"
#include "tools/output.h"
#include "tools/validator_key.h"

static int stop_event = -1; /* for the signal handler */

static void on_signal(int number)
{
    const uint64_t one = 1;
    int before = errno;
    (void)number;
    ssize_t ignored UNUSED = write(stop_event, &one, sizeof one);
    errno = before;
}

struct office {
    struct call *call;
    char home[IO_PATH_MAX], socket[IO_PATH_MAX];
    struct io io;
    bool io_open, key_open, listens;
    struct home_genesis genesis;
    struct keystore_key key;
    struct signer_service service;
};

static enum exit_code fail_why(struct office *office, enum status status, const char *why)
{
    return output_fail(office->call, exit_of_status(status), status_name(status), "%s (%s)", why,
                       status_text(status));
}

/* open_state: a key without its sign state does not know what it signed, and signs nothing. */
static enum exit_code open_state(struct office *office)
{
    char path[IO_PATH_MAX];
    const char *why = "the path is too long";
    enum status status = home_path(office->home, HOME_SIGN_STATE_FILE, path);
    if (status == STATUS_OK)
        status = sign_file_open(&office->service.file, &office->io, path, office->genesis.id,
                                office->key.secret + 32, &why);
    return status == STATUS_OK ? EXIT_OK : fail_why(office, status, why);
}

static enum exit_code open_socket(struct office *office)
{
    const char *why = "the path is too long";
    const char *given = option_text(office->call, "socket");
    enum status status =
        given ? STATUS_OK : home_path(office->home, HOME_SIGNER_SOCKET, office->socket);
    if (given) snprintf(office->socket, sizeof office->socket, "%s", given);
    if (status == STATUS_OK)
        status = signer_listen(office->socket, &office->service.listener, &why);
    if (status != STATUS_OK) return fail_why(office, status, why);
    office->listens = true;
    return EXIT_OK;
}

static enum exit_code open_all(struct office *office)
{
    struct call *call = office->call;
    enum status status = call_home(call, office->home);
    if (status == STATUS_OK) status = trace_init(TRACE_FORMAT_AUTO, "info", STDERR_FILENO);
    if (status == STATUS_OK) status = hash_init();
    if (status == STATUS_OK) status = io_posix_init(&office->io, 4);
    if (status != STATUS_OK) return output_fail_status(call, status, "signer");
    office->io_open = true;
    status = home_open_genesis(&office->io, office->home, &office->genesis);
    if (status != STATUS_OK) return output_fail_status(call, status, HOME_GENESIS_FILE);
    enum exit_code code = validator_key_open(call, &office->io, office->home, &office->key);
    if (code != EXIT_OK) return code;
    office->key_open = true;
    office->service.secret = office->key.secret;
    code = open_state(office);
    return code == EXIT_OK ? open_socket(office) : code;
}

static void close_all(struct office *office)
{
    if (office->listens) {
        close(office->service.listener);
        unlink(office->socket);
    }
    sign_file_close(office->service.file);
    if (office->key_open) keystore_close(&office->key);
    home_close_genesis(&office->genesis);
    if (office->io_open) io_deinit(&office->io);
}

static enum exit_code run_signer(struct call *call)
{
    struct office office = {.call = call};
    signal(SIGPIPE, SIG_IGN);
    stop_event = office.service.stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (stop_event < 0) return output_fail_status(call, STATUS_NO_MEMORY, "signer");
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    enum exit_code code = open_all(&office);
    if (code == EXIT_OK) {
        TRACE(INFO, "signer", "start", "the signer waits for its node",
              trace_string("socket", office.socket));
        enum status status = signer_serve(&office.service);
        if (status != STATUS_OK) code = output_fail_status(call, status, "the signer stopped");
    }
    close_all(&office);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    close(stop_event);
    return code;
}

static const struct option SIGNER_OPTIONS[] = {
    {.name = "socket",
     .kind = OPTION_TEXT,
     .value = "PATH",
     .text = "where the node finds it, HOME/" HOME_SIGNER_SOCKET " unless given"},
};

static const struct action SIGNER[] = {
    {.text = "sign for one node, with the key and the sign state of a data directory",
     OPTIONS_OF(SIGNER_OPTIONS),
     .flags = COMMAND_HAS_SECRETS,
     .run = run_signer},
};
COMMAND_SET(COMMANDS_SIGNER, "signer", "hold a consensus key apart from its node", SIGNER);
