# Writes the bytes of IN as the C array of api/page.h, zero-terminated.
file(READ "${IN}" hex HEX)
string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
file(WRITE "${OUT}" "#include \"api/page.h\"\n\nconst char PAGE_HTML[] = {\n    ${hex}0x00};\n")
