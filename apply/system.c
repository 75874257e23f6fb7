#include "apply/system.h"

const struct schema_entry SYSTEM_RECORDS[] = {
#define X(number, upper, name, record) {number, #name, &record##_schema, NULL},
    SYSTEM_LIST(X)
#undef X
};
const size_t SYSTEM_RECORD_COUNT = sizeof SYSTEM_RECORDS / sizeof SYSTEM_RECORDS[0];
