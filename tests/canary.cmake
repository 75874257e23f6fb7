# Copies SOURCE to COPY with OLD, which must stand there exactly once, replaced by NEW. Where it does
# not, the copy is unbroken: the build goes on and the canary's test fails.
file(READ ${SOURCE} text)
string(LENGTH "${text}" before)
string(REPLACE "${OLD}" "" without "${text}")
string(LENGTH "${without}" after)
string(LENGTH "${OLD}" once)
math(EXPR found "(${before} - ${after}) / ${once}")
if(found EQUAL 1)
    string(REPLACE "${OLD}" "${NEW}" text "${text}")
else()
    message(WARNING "${SOURCE}: the canary's line stands there ${found} times")
endif()
file(WRITE ${COPY} "${text}")
