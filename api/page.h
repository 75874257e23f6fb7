/* api/page.h - the small page at /: blocks as they arrive, and a search. */
#ifndef CAIRN_API_PAGE_H
#define CAIRN_API_PAGE_H

/* The bytes of api/page.html, made into a C source by the build. */
extern const char PAGE_HTML[];

/* page_policy answers its Content-Security-Policy: nothing from elsewhere, and of inline script and
 * style exactly those of the page, by their hashes. A static string, thread-safe. */
const char *page_policy(void);

#endif
