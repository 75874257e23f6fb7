/* log/compiler.h - the few compiler attributes that the code base uses. */
#ifndef CAIRN_LOG_COMPILER_H
#define CAIRN_LOG_COMPILER_H

#ifdef NDEBUG
#error "assertions are part of the program: NDEBUG must stay undefined"
#endif

#define MUST_CHECK          __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, a) __attribute__((format(printf, fmt, a)))
#define UNUSED              __attribute__((unused))

typedef unsigned __int128 u128;

#endif
