# Writes TARGET with the version of the checkout in SOURCE; touches it only when that changes.
execute_process(COMMAND git describe --tags --always --dirty
                WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE
                ERROR_QUIET RESULT_VARIABLE failed)
if(failed OR version STREQUAL "")
    set(version "unknown")
endif()
set(text "#define CAIRN_VERSION \"${version}\"\n")
if(EXISTS ${TARGET})
    file(READ ${TARGET} old)
endif()
if(NOT "${old}" STREQUAL "${text}")
    file(WRITE ${TARGET} "${text}")
endif()
