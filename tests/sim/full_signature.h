/* tests/sim/full_signature.h - which signatures the nodes of profile full make and check. */
#ifndef CAIRN_TESTS_SIM_FULL_SIGNATURE_H
#define CAIRN_TESTS_SIM_FULL_SIGNATURE_H

#include <stdbool.h>

extern bool full_signatures_are_real; /* Ed25519; else keyed hashes */

#endif
