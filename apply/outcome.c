#include "apply/outcome.h"

const char *outcome_name(enum outcome outcome)
{
    switch (outcome) {
#define X(upper, lower, number, paid, text)                                                        \
    case OUTCOME_##upper: return #lower;
        OUTCOME_LIST(X)
#undef X
    }
    return "unknown_outcome";
}

const char *outcome_text(enum outcome outcome)
{
    switch (outcome) {
#define X(upper, lower, number, paid, text)                                                        \
    case OUTCOME_##upper: return text;
        OUTCOME_LIST(X)
#undef X
    }
    return "unknown_outcome";
}

bool outcome_known(uint16_t number)
{
    switch (number) {
#define X(upper, lower, value, paid, text)                                                         \
    case value: return true;
        OUTCOME_LIST(X)
#undef X
    default: return false;
    }
}

bool outcome_paid(enum outcome outcome)
{
    switch (outcome) {
#define X(upper, lower, number, paid, text)                                                        \
    case OUTCOME_##upper: return paid;
        OUTCOME_LIST(X)
#undef X
    }
    return false;
}
