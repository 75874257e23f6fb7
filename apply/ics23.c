#include "apply/ics23.h"

#define WIRE_VARINT 0
#define WIRE_BYTES  2

static uint32_t read_varint(struct reader *r)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 5; i++) {
        uint8_t byte = read_u8(r);
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte & 0x80) continue;
        if (byte == 0 && i > 0) reader_fail(r, STATUS_NONCANONICAL);
        if (value > UINT32_MAX) reader_fail(r, STATUS_RANGE);
        return (uint32_t)value;
    }
    reader_fail(r, STATUS_RANGE);
    return 0;
}

/* A message being read: `last` is the field before, `repeated` the one that may follow itself. */
struct message {
    struct reader r;
    unsigned last, repeated;
};

static struct message message_of(struct bytes bytes, unsigned repeated)
{
    return (struct message){.r = reader_of(bytes.at, bytes.count), .repeated = repeated};
}

/* next_field reads a tag and answers the field's number, or 0 at the end and after a fault. Numbers
 * above 15 and unknown wire types do not occur in these messages. */
static unsigned next_field(struct message *m, unsigned *wire)
{
    if (m->r.status != STATUS_OK || m->r.left == 0) return 0;
    uint8_t tag = read_u8(&m->r);
    unsigned number = tag >> 3;
    *wire = tag & 7;
    if (tag & 0x80 || number == 0 || number < m->last ||
        (number == m->last && number != m->repeated)) {
        reader_fail(&m->r, STATUS_NONCANONICAL);
        return 0;
    }
    m->last = number;
    return number;
}

static void read_number(struct message *m, unsigned wire, uint32_t *value)
{
    if (wire != WIRE_VARINT) reader_fail(&m->r, STATUS_NONCANONICAL);
    *value = read_varint(&m->r);
    if (*value == 0) reader_fail(&m->r, STATUS_NONCANONICAL);
}

static struct bytes read_field(struct message *m, unsigned wire)
{
    if (wire != WIRE_BYTES) reader_fail(&m->r, STATUS_NONCANONICAL);
    size_t count = read_varint(&m->r);
    if (count == 0) reader_fail(&m->r, STATUS_NONCANONICAL);
    const uint8_t *at = read_take(&m->r, count);
    return at ? (struct bytes){at, count} : (struct bytes){0};
}

static void read_leaf(struct bytes bytes, struct ics23_leaf *leaf, enum status *status)
{
    struct message m = message_of(bytes, 0);
    unsigned wire;
    for (unsigned number; (number = next_field(&m, &wire)) != 0;) {
        if (number == 1)
            read_number(&m, wire, &leaf->hash);
        else if (number == 2)
            read_number(&m, wire, &leaf->prehash_key);
        else if (number == 3)
            read_number(&m, wire, &leaf->prehash_value);
        else if (number == 4)
            read_number(&m, wire, &leaf->length);
        else if (number == 5)
            leaf->prefix = read_field(&m, wire);
        else
            reader_fail(&m.r, STATUS_NONCANONICAL);
    }
    if (*status == STATUS_OK) *status = m.r.status;
}

static void read_inner(struct bytes bytes, struct ics23_inner *inner, enum status *status)
{
    struct message m = message_of(bytes, 0);
    unsigned wire;
    for (unsigned number; (number = next_field(&m, &wire)) != 0;) {
        if (number == 1)
            read_number(&m, wire, &inner->hash);
        else if (number == 2)
            inner->prefix = read_field(&m, wire);
        else if (number == 3)
            inner->suffix = read_field(&m, wire);
        else
            reader_fail(&m.r, STATUS_NONCANONICAL);
    }
    if (*status == STATUS_OK) *status = m.r.status;
}

static void read_existence(struct bytes bytes, struct ics23_existence *e, enum status *status)
{
    struct message m = message_of(bytes, 4);
    unsigned wire;
    e->present = true;
    for (unsigned number; (number = next_field(&m, &wire)) != 0;) {
        if (number == 1) {
            e->key = read_field(&m, wire);
        } else if (number == 2) {
            e->value = read_field(&m, wire);
        } else if (number == 3) {
            e->has_leaf = true;
            read_leaf(read_field(&m, wire), &e->leaf, &m.r.status);
        } else if (number == 4 && e->path_count < ICS23_PATH_MAX) {
            read_inner(read_field(&m, wire), &e->path[e->path_count++], &m.r.status);
        } else {
            reader_fail(&m.r, number == 4 ? STATUS_RANGE : STATUS_NONCANONICAL);
        }
    }
    if (*status == STATUS_OK) *status = m.r.status;
}

static void read_absence(struct bytes bytes, struct ics23_proof *proof, enum status *status)
{
    struct message m = message_of(bytes, 0);
    unsigned wire;
    proof->absence = true;
    for (unsigned number; (number = next_field(&m, &wire)) != 0;) {
        if (number == 1)
            proof->key = read_field(&m, wire);
        else if (number == 2)
            read_existence(read_field(&m, wire), &proof->left, &m.r.status);
        else if (number == 3)
            read_existence(read_field(&m, wire), &proof->right, &m.r.status);
        else
            reader_fail(&m.r, STATUS_NONCANONICAL);
    }
    if (*status == STATUS_OK) *status = m.r.status;
}

enum status ics23_decode(struct bytes bytes, struct ics23_proof *proof)
{
    struct message m = message_of(bytes, 0);
    unsigned wire = 0;
    memset(proof, 0, sizeof *proof);
    if (bytes.count == 0) return STATUS_TRUNCATED;
    unsigned number = next_field(&m, &wire);
    if (number < 1 || number > 2) reader_fail(&m.r, STATUS_UNSUPPORTED);
    struct bytes body = read_field(&m, wire);
    if (number == 1) read_existence(body, &proof->left, &m.r.status);
    if (number == 2) read_absence(body, proof, &m.r.status);
    return reader_end(&m.r);
}

size_t ics23_varint_bytes(uint32_t value)
{
    size_t count = 1;
    while (value >>= 7) {
        count++;
    }
    return count;
}

void ics23_varint_write(struct writer *w, uint32_t value)
{
    for (; value >= 0x80; value >>= 7) {
        write_u8(w, (uint8_t)(value | 0x80));
    }
    write_u8(w, (uint8_t)value);
}

static size_t number_bytes(uint32_t value)
{
    return value ? 1 + ics23_varint_bytes(value) : 0;
}

static size_t field_bytes(size_t count)
{
    return count ? 1 + ics23_varint_bytes((uint32_t)count) + count : 0;
}

static size_t leaf_bytes(const struct ics23_leaf *leaf)
{
    return number_bytes(leaf->hash) + number_bytes(leaf->prehash_key) +
           number_bytes(leaf->prehash_value) + number_bytes(leaf->length) +
           field_bytes(leaf->prefix.count);
}

static size_t inner_bytes(const struct ics23_inner *inner)
{
    return number_bytes(inner->hash) + field_bytes(inner->prefix.count) +
           field_bytes(inner->suffix.count);
}

static size_t existence_bytes(const struct ics23_existence *e)
{
    if (!e->present) return 0;
    size_t count = field_bytes(e->key.count) + field_bytes(e->value.count);
    if (e->has_leaf) count += field_bytes(leaf_bytes(&e->leaf));
    for (size_t i = 0; i < e->path_count; i++) {
        count += field_bytes(inner_bytes(&e->path[i]));
    }
    return count;
}

static void write_head(struct writer *w, unsigned number, size_t count)
{
    write_u8(w, (uint8_t)(number << 3 | WIRE_BYTES));
    ics23_varint_write(w, (uint32_t)count);
}

static void write_number(struct writer *w, unsigned number, uint32_t value)
{
    if (!value) return;
    write_u8(w, (uint8_t)(number << 3 | WIRE_VARINT));
    ics23_varint_write(w, value);
}

static void write_field(struct writer *w, unsigned number, struct bytes bytes)
{
    if (!bytes.count) return;
    write_head(w, number, bytes.count);
    write_copy(w, bytes.at, bytes.count);
}

static void write_existence(struct writer *w, unsigned number, const struct ics23_existence *e)
{
    if (!e->present) return;
    write_head(w, number, existence_bytes(e));
    write_field(w, 1, e->key);
    write_field(w, 2, e->value);
    if (e->has_leaf) {
        write_head(w, 3, leaf_bytes(&e->leaf));
        write_number(w, 1, e->leaf.hash);
        write_number(w, 2, e->leaf.prehash_key);
        write_number(w, 3, e->leaf.prehash_value);
        write_number(w, 4, e->leaf.length);
        write_field(w, 5, e->leaf.prefix);
    }
    for (size_t i = 0; i < e->path_count; i++) {
        const struct ics23_inner *inner = &e->path[i];
        write_head(w, 4, inner_bytes(inner));
        write_number(w, 1, inner->hash);
        write_field(w, 2, inner->prefix);
        write_field(w, 3, inner->suffix);
    }
}

enum status ics23_encode(const struct ics23_proof *proof, uint8_t *out, size_t capacity,
                         size_t *count)
{
    struct writer w = writer_of(out, capacity);
    if (proof->absence) {
        write_head(&w, 2,
                   field_bytes(proof->key.count) + field_bytes(existence_bytes(&proof->left)) +
                       field_bytes(existence_bytes(&proof->right)));
        write_field(&w, 1, proof->key);
        write_existence(&w, 2, &proof->left);
        write_existence(&w, 3, &proof->right);
    } else {
        write_existence(&w, 1, &proof->left);
    }
    *count = writer_bytes(&w);
    return w.status;
}
