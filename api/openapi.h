/* api/openapi.h - the OpenAPI 3.1 description, from the route table, the shapes and the schemas. */
#ifndef CAIRN_API_OPENAPI_H
#define CAIRN_API_OPENAPI_H

#include <jansson.h>

/* openapi_document answers a new document; NULL: too little memory. */
json_t *openapi_document(const char *version);

#endif
