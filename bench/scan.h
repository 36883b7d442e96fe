/* The little JSON that the bench needs: find values by their paths, in one pass and without copying.
 *
 * A path is the keys from the top, with '>' between them; an item of an array has its number, the first ten only. It
 * trusts its peers to send JSON, and reads what they send whatever the order of members and the white space; a document
 * that is none gives 0, never a read past the end. Strings are left as they are written, quotes included.
 */
#ifndef SCAN_H
#define SCAN_H

#include <stddef.h>
#include <string.h>

#define SCAN_PATH 96

typedef struct {
    const char *at;
    size_t length;
} slice;

typedef struct {
    const char *path;
    slice value; /* `at` is NULL where there is none */
} wanted;

typedef struct {
    const char *end;
    char path[SCAN_PATH];
    wanted *values;
    int count;
} scanner;

static const slice NOTHING = {NULL, 0};

static inline const char *scan_space(const char *at, const char *end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    return at;
}

/* From the opening quote to behind the closing one. */
static inline const char *scan_string(const char *at, const char *end) {
    for (const char *from = at + 1; from < end;) {
        const char *quote = memchr(from, '"', (size_t)(end - from));
        if (!quote) return NULL;
        const char *slash = quote;
        while (slash > at + 1 && slash[-1] == '\\') slash--;
        if ((quote - slash) % 2 == 0) return quote + 1;
        from = quote + 1;
    }
    return NULL;
}

/* The path of what is below `used`: one that is too long to be asked for stays as it was. */
static inline size_t scan_deeper(scanner *s, size_t used, const char *key, size_t length) {
    if (used + length + 1 >= SCAN_PATH) return used;
    if (used) s->path[used++] = '>';
    memcpy(s->path + used, key, length);
    return used + length;
}

/* From the first byte of a value to behind its last, keeping what was asked for; NULL where it is no JSON. */
static const char *scan_value(scanner *s, const char *at, size_t used, int depth) {
    const char *begin = at, *end = s->end;
    if (at >= end || depth > 64) return NULL;
    if (*at == '"') {
        at = scan_string(at, end);
    } else if (*at == '{' || *at == '[') {
        const char closing = *at == '{' ? '}' : ']';
        int item = 0;
        for (at = scan_space(at + 1, end); at && at < end && *at != closing; item++) {
            size_t deeper = used;
            if (closing == '}') {
                const char *key = at + 1;
                if (*at != '"' || !(at = scan_string(at, end))) return NULL;
                deeper = scan_deeper(s, used, key, (size_t)(at - 1 - key));
                at = scan_space(at, end);
                if (at >= end || *at != ':') return NULL;
                at = scan_space(at + 1, end);
            } else {
                deeper = scan_deeper(s, used, &(char){(char)('0' + item)}, item < 10 ? 1 : SCAN_PATH);
            }
            at = scan_value(s, at, deeper, depth + 1);
            if (!at) return NULL;
            at = scan_space(at, end);
            if (at < end && *at == ',') at = scan_space(at + 1, end);
        }
        if (!at || at >= end) return NULL;
        at++;
    } else {
        while (at < end && *at != ',' && *at != '}' && *at != ']' && *at != ' ' && *at != '\n' && *at != '\r') at++;
    }
    for (int i = 0; at && i < s->count; i++)
        if (strlen(s->values[i].path) == used && !memcmp(s->values[i].path, s->path, used))
            s->values[i].value = (slice){begin, (size_t)(at - begin)};
    return at;
}

/* Fill in the values that a document has; 0 when it is no JSON. */
static inline int scan(slice document, wanted *values, int count) {
    scanner s = {.end = document.at + document.length, .values = values, .count = count};
    return document.at && scan_value(&s, scan_space(document.at, s.end), 0, 0) != NULL;
}

static inline int scan_is(slice value, const char *text) {
    return value.at && value.length == strlen(text) && memcmp(value.at, text, value.length) == 0;
}

#endif
