#include "log/status.h"

#include <errno.h>

static const struct {
    const char *name, *text;
} TEXTS[] = {
#define X(upper, lower, number, text) [number] = {#lower, text},
    STATUS_LIST(X)
#undef X
};

const char *status_name(enum status status)
{
    unsigned number = (unsigned)status;
    return number < sizeof TEXTS / sizeof TEXTS[0] ? TEXTS[number].name : "unknown_status";
}

const char *status_text(enum status status)
{
    unsigned number = (unsigned)status;
    return number < sizeof TEXTS / sizeof TEXTS[0] ? TEXTS[number].text : "unknown status";
}

enum status status_from_errno(int error)
{
    switch (error) {
    case 0: return STATUS_OK;
    case ENOSPC:
    case EDQUOT: return STATUS_NO_SPACE;
    case ENOENT: return STATUS_NOT_FOUND;
    case EEXIST: return STATUS_EXISTS;
    case ENOMEM: return STATUS_NO_MEMORY;
    case EACCES:
    case EPERM: return STATUS_PERMISSION;
    default: return STATUS_IO;
    }
}
