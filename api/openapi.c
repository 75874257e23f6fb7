#include "api/openapi.h"

#include <stdio.h>
#include <string.h>

#include "api/handle.h"
#include "api/json.h"
#include "api/problem.h"
#include "api/registry.h"

static const struct {
    const char *name, *text;
} TAGS[] = {
    {"accounts", "Balances and nonces"},
    {"blocks", "The ordered log, block by block"},
    {"chain", "Genesis, parameters, supply, validators, consensus"},
    {"health", "For load balancers and supervisors"},
    {"log", "Raw bytes for bulk readers"},
    {"node", "This node, its errors and this description"},
    {"proofs", "Proofs that foreign code can verify"},
    {"streams", "Answers that go on for ever and resume"},
    {"txs", "Submitting transactions and following them"},
};

/* ---- parameters ---- */

static json_t *choices_json(const char *choices)
{
    json_t *list = json_array();
    for (const char *p = choices;;) {
        size_t length = strcspn(p, "|");
        json_array_append_new(list, json_stringn(p, length));
        if (p[length] == '\0') return list;
        p += length + 1;
    }
}

static json_t *param_schema(const struct route_param *param)
{
    json_t *schema = json_object();
    json_set_text(schema, "type", "string");
    switch (param->kind) {
    case PARAM_U64:
        if (param->hi <= UINT32_MAX) {
            json_set_text(schema, "type", "integer");
            json_set(schema, "minimum", json_integer((json_int_t)param->lo));
            json_set(schema, "maximum", json_integer((json_int_t)param->hi));
        } else {
            json_set_text(schema, "pattern", "^(0|[1-9][0-9]{0,19})$");
        }
        break;
    case PARAM_TEXT:
        json_set(schema, "minLength", json_integer((json_int_t)param->lo));
        json_set(schema, "maxLength", json_integer((json_int_t)param->hi));
        break;
    case PARAM_CHOICE: json_set(schema, "enum", choices_json(param->choices)); break;
    case PARAM_ADDRESS: json_set_text(schema, "pattern", "^cairn1[02-9ac-hj-np-z]{58}$"); break;
    case PARAM_HASH: json_set_text(schema, "pattern", "^[0-9a-f]{64}$"); break;
    case PARAM_DURATION: json_set_text(schema, "pattern", "^[0-9]{1,15}(ms|s)$"); break;
    case PARAM_FLAG: json_set(schema, "enum", choices_json("|0|1")); break;
    }
    return schema;
}

static json_t *params_json(const struct route *route)
{
    json_t *list = json_array();
    for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->params[i].name; i++) {
        const struct route_param *param = &route->params[i];
        json_t *item = json_object();
        char text[256];
        snprintf(text, sizeof text, "%s%s%s%s", param->text, param->initial ? " (default: " : "",
                 param->initial ? param->initial : "", param->initial ? ")" : "");
        json_set_text(item, "name", param->name);
        json_set_text(item, "in", param->in_path ? "path" : "query");
        json_set_bool(item, "required", param->in_path);
        json_set_text(item, "description", text);
        json_set(item, "schema", param_schema(param));
        json_array_append_new(list, item);
    }
    return list;
}

/* ---- answers ---- */

static json_t *media(const char *type, json_t *schema)
{
    json_t *content = json_object(), *value = json_object();
    json_set(value, "schema", schema);
    json_set(content, type, value);
    return content;
}

static json_t *string_schema(void)
{
    json_t *schema = json_object();
    json_set_text(schema, "type", "string");
    return schema;
}

static json_t *list_of(json_t *items)
{
    json_t *schema = json_object();
    json_set_text(schema, "type", "array");
    json_set(schema, "items", items);
    return schema;
}

static json_t *object_of(const char *first, ...)
{
    /* pairs of name and schema, ended by NULL */
    va_list pairs;
    json_t *schema = json_object(), *properties = json_object(), *required = json_array();
    va_start(pairs, first);
    for (const char *name = first; name; name = va_arg(pairs, const char *)) {
        json_set(properties, name, va_arg(pairs, json_t *));
        json_array_append_new(required, json_string(name));
    }
    va_end(pairs);
    json_set_text(schema, "type", "object");
    json_set(schema, "properties", properties);
    json_set(schema, "required", required);
    return schema;
}

/* A batch is answered by a list in the place of one submission. */
static json_t *data_schema(const struct route *route)
{
    json_t *one = shape_reference(route->shape->name);
    if (route->handle != handle_submit) return one;
    json_t *schema = json_object(), *any = json_array();
    json_array_append_new(any, one);
    json_array_append_new(any, list_of(shape_reference(route->shape->name)));
    json_set(schema, "anyOf", any);
    return schema;
}

static json_t *content_json(const struct route *route)
{
    json_t *content;
    switch (route->reply) {
    case ROUTE_DATA:
        return media("application/json", object_of("data", data_schema(route), "meta",
                                                   shape_reference("Meta"), (char *)NULL));
    case ROUTE_LIST:
        return media("application/json",
                     object_of("data", list_of(shape_reference(route->shape->name)), "page",
                               shape_reference("Page"), "meta", shape_reference("Meta"),
                               (char *)NULL));
    case ROUTE_JSON: {
        json_t *schema = json_object();
        json_set_text(schema, "type", "object");
        return media("application/json", schema);
    }
    case ROUTE_TEXT: return media("text/plain", string_schema());
    case ROUTE_HTML: return media("text/html", string_schema());
    case ROUTE_STREAM:
        content = media("application/x-ndjson", shape_reference(route->shape->name));
        json_object_update_new(content, media("text/event-stream", string_schema()));
        return content;
    case ROUTE_LOG:
        content = media("application/x-ndjson", shape_reference(route->shape->name));
        json_object_update_new(content, media("application/octet-stream", string_schema()));
        return content;
    }
    return NULL;
}

static json_t *answer(const char *text, json_t *content)
{
    json_t *value = json_object();
    json_set_text(value, "description", text);
    json_set(value, "content", content);
    return value;
}

static json_t *problem_answer(const char *text)
{
    return answer(text, media("application/problem+json", shape_reference("Problem")));
}

static json_t *answers_json(const struct route *route)
{
    json_t *answers = json_object();
    json_t *content = content_json(route);
    if (route->handle == handle_genesis)
        json_object_update_new(content, media("application/octet-stream", string_schema()));
    json_set(answers, "200", answer("Done", content));
    if (route->handle == handle_submit) {
        json_set(answers, "202", answer("Admitted, not committed yet", content_json(route)));
        json_set(answers, "422", problem_answer("Rejected; code says why"));
    }
    if (route->handle == handle_readyz || route->handle == handle_startupz)
        json_set(answers, "503", answer("Not yet", media("text/plain", string_schema())));
    json_set(answers, "4XX", problem_answer("The request cannot be answered; code says why"));
    json_set(answers, "5XX", problem_answer("The node cannot answer now; code says why"));
    return answers;
}

static json_t *body_json(const struct route *route)
{
    json_t *body = json_object();
    json_t *content = media("application/octet-stream", string_schema());
    const char *text = "One transaction as bytes or as JSON";
    if (route->handle == handle_batch) {
        text = "For each transaction its length (4 bytes, little-endian) and its bytes";
    } else if (route->handle == handle_submit) {
        text = "One transaction as bytes, or a batch of base64";
        json_object_update_new(
            content,
            media("application/json", object_of("txs", list_of(string_schema()), (char *)NULL)));
    } else {
        json_object_update_new(content, media("application/json", shape_reference("tx")));
    }
    json_set_text(body, "description", text);
    json_set_bool(body, "required", true);
    json_set(body, "content", content);
    return body;
}

static json_t *operation_json(const struct route *route)
{
    json_t *operation = json_object(), *tags = json_array(), *params = params_json(route);
    json_array_append_new(tags, json_string(route->tag));
    json_set_text(operation, "operationId", route->name);
    json_set_text(operation, "summary", route->text);
    json_set_text(operation, "description", route->shape ? route->shape->text : route->text);
    json_set(operation, "tags", tags);
    if (json_array_size(params) > 0)
        json_set(operation, "parameters", params);
    else
        json_decref(params);
    if (route->method == ROUTE_POST) json_set(operation, "requestBody", body_json(route));
    json_set(operation, "responses", answers_json(route));
    return operation;
}

static json_t *paths_json(void)
{
    json_t *paths = json_object();
    for (size_t i = 0; i < route_count(); i++) {
        const struct route *route = route_at(i);
        json_t *path = json_object_get(paths, route->path);
        if (!path) {
            path = json_object();
            json_set(paths, route->path, path);
        }
        json_set(path, route->method == ROUTE_GET ? "get" : "post", operation_json(route));
    }
    return paths;
}

/* ---- components ---- */

SHAPE(meta_shape, "Meta", "What the answer stands for",
      FIELD(U64, "height", "height of the state shown"),
      FIELD(HASH, "block_hash", "block at that height"),
      FIELD_MAYBE(HASH, "state_root", "after that height; null for what cannot change"),
      FIELD(TIME, "time", "block time"))

SHAPE(page_shape, "Page", "Where the list goes on",
      FIELD_MAYBE(TEXT, "next", "cursor of the next page"),
      FIELD_MAYBE(TEXT, "prev", "cursor of the page before"),
      FIELD(NUMBER, "limit", "items asked for"))

SHAPE(fault_shape, "ProblemFault", "One fault of a JSON body", FIELD(TEXT, "pointer", "RFC 6901"),
      FIELD(TEXT, "code", "stable name"), FIELD(TEXT, "detail", "in words"))

static json_t *problem_schema(void)
{
    json_t *number = json_object();
    json_set_text(number, "type", "integer");
    json_t *flag = json_object();
    json_set_text(flag, "type", "boolean");
    json_t *schema = object_of("type", string_schema(), "title", string_schema(), "status", number,
                               "detail", string_schema(), "instance", string_schema(), "code",
                               string_schema(), "retriable", flag, (char *)NULL);
    json_t *properties = json_object_get(schema, "properties");
    json_set_text(schema, "description", "RFC 9457; code is listed by /v1/errors");
    json_set(properties, "hash", string_schema());
    json_set(properties, "expected_nonce", string_schema());
    json_set(properties, "required_fee", string_schema());
    json_set(properties, "earliest_height", string_schema());
    json_set(properties, "errors", list_of(shape_reference("ProblemFault")));
    return schema;
}

static json_t *components_json(void)
{
    json_t *components = json_object(), *schemas = json_object();
    const struct shape *own[] = {&meta_shape, &page_shape, &fault_shape};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        json_set(schemas, own[i]->name, shape_describe(own[i]));
    }
    json_set(schemas, "Problem", problem_schema());
    for (size_t i = 0; handle_shape_at(i); i++) {
        json_set(schemas, handle_shape_at(i)->name, shape_describe(handle_shape_at(i)));
    }
    for (size_t i = 0; i < registry_shown_count(); i++) {
        json_set(schemas, registry_schema(i)->name, schema_describe(registry_schema(i)));
    }
    json_set(components, "schemas", schemas);
    return components;
}

json_t *openapi_document(const char *version)
{
    json_t *document = json_object(), *info = json_object(), *license = json_object();
    json_t *servers = json_array(), *server = json_object(), *tags = json_array();
    json_t *contact = json_object();
    json_set_text(license, "name", "Apache-2.0");
    json_set_text(license, "identifier", "Apache-2.0");
    json_set_text(contact, "name", "the operator of this node");
    json_set_text(info, "title", "cairn");
    json_set_text(info, "version", version && *version ? version : "0");
    json_set_text(info, "description",
                  "A replicated ledger: submit signed transactions, read state, tail the log. "
                  "64-bit integers are decimal strings, hashes lower-case hex, bytes base64.");
    json_set(info, "license", license);
    json_set(info, "contact", contact);
    json_set_text(server, "url", "/");
    json_set_text(server, "description", "this node");
    json_array_append_new(servers, server);
    for (size_t i = 0; i < sizeof TAGS / sizeof TAGS[0]; i++) {
        json_t *tag = json_object();
        json_set_text(tag, "name", TAGS[i].name);
        json_set_text(tag, "description", TAGS[i].text);
        json_array_append_new(tags, tag);
    }
    json_set_text(document, "openapi", "3.1.0");
    json_set(document, "info", info);
    json_set(document, "servers", servers);
    json_set(document, "security", json_array());
    json_set(document, "tags", tags);
    json_set(document, "paths", paths_json());
    json_set(document, "components", components_json());
    return document;
}
