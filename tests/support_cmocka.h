/* tests/support_cmocka.h - cmocka with the headers that it needs before itself. */
#ifndef CAIRN_TESTS_SUPPORT_CMOCKA_H
#define CAIRN_TESTS_SUPPORT_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#endif
