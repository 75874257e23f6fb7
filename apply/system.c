#include "apply/system.h"

const struct schema_entry SYSTEM_RECORDS[] = {
#define X(number, upper, name, record) {number, #name, &record##_schema, NULL},
    SYSTEM_LIST(X)
#undef X
};
const size_t SYSTEM_RECORD_COUNT = sizeof SYSTEM_RECORDS / sizeof SYSTEM_RECORDS[0];

const struct schema_entry *system_find(uint16_t number)
{
    for (size_t i = 0; i < SYSTEM_RECORD_COUNT; i++) {
        if (SYSTEM_RECORDS[i].number == number) return &SYSTEM_RECORDS[i];
    }
    return NULL;
}
