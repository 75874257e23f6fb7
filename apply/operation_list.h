/* apply/operation_list.h - the apply functions of the built-in operations, one file each. */
#ifndef CAIRN_APPLY_OPERATION_LIST_H
#define CAIRN_APPLY_OPERATION_LIST_H

#include "apply/operation.h"

#define X(number, upper, record, gas)                                                              \
    enum outcome record##_apply(struct context *context, struct bytes body);
OPERATION_LIST(X)
#undef X

#endif
