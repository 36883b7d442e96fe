/* The client of the bench: N connections, each asking again as soon as it was answered, each answer checked.
 *
 *     load --port PORT [--path /mcp] --connections N --seconds S --size BYTES --era legacy|modern [--core N]
 *
 * In the legacy era every connection has a session of its own, which it opens before and deletes after the measured
 * time. Each connection makes one call that does not count. An answer counts when its status is 200, its id is the one
 * that was asked, and its first text is, byte for byte, the text that was sent, which differs from call to call.
 * Prints one JSON object: what was counted, over which time, latencies in microseconds, and the first wrong answer.
 * Ends with 0 whether answers were wrong or not; with 2 when it could not measure at all.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "scan.h"

#define MODERN "2026-07-28"
#define LEGACY "2025-11-25"
#define FIRST_ID 100000000L /* nine digits, always: the length of a request never changes */
#define LIMIT_S 30.0        /* the longest that anything but the measured time itself may take */
#define NUMBER 9            /* the letters of the text that are replaced by the number of the call */
#define MOST_CALLS (1u << 24)

typedef enum { OPENING, GREETING, WARMING, READY, CALLING, IDLE, LEAVING, GONE } stage;

typedef struct {
    int fd;
    stage now;
    char session[160];
    char *out, *in, *once;             /* what is sent: `once`, or `ask`, of which only the number changes */
    size_t due, sent, got, size, head; /* head: length of the answer's head once it is whole, else 0 */
    long length;                       /* of the answer's body; -1 when it comes in chunks */
    int status, closes, streamed;
    char *ask;
    size_t ask_length, ask_id, ask_text;
    long id;
    double began;
} connection;

static struct {
    int port, connections, modern;
    const char *path;
    double seconds;
    size_t size;
} options = {.path = "/mcp", .connections = 1, .seconds = 1, .size = 200};

static connection *all;
static int poller, measuring;
static long next_id = FIRST_ID, wrong, reconnects, streamed;
static double deadline, last_answer;
static float *latencies;
static size_t counted;
static char complaint[600], *filler;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void give_up(const char *what) {
    fprintf(stderr, "load: error: %s\n", what);
    exit(2);
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

static void write_ask(connection *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Make `out` a request: what the era demands of a head, then the body. */
static void write_ask(connection *c, const char *format, ...) {
    const size_t room = options.size + 2048;
    char *body = malloc(room), more[512] = "";
    va_list values;
    va_start(values, format);
    const int length = vsnprintf(body, room, format, values);
    va_end(values);
    if (options.modern)
        snprintf(more, sizeof more, "MCP-Protocol-Version: " MODERN "\r\nMcp-Method: tools/call\r\nMcp-Name: echo\r\n");
    else if (*c->session)
        snprintf(more, sizeof more, "Mcp-Session-Id: %s\r\nMCP-Protocol-Version: " LEGACY "\r\n", c->session);
    c->out = c->once;
    c->due = (size_t)snprintf(c->out, room + 1024,
                              "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                              "Accept: application/json, text/event-stream\r\n%sContent-Length: %d\r\n\r\n%s",
                              options.path, options.port, more, length, body);
    c->sent = 0;
    free(body);
}

static void write_initialize(connection *c) {
    write_ask(c,
              "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"method\":\"initialize\",\"params\":{\"protocolVersion\":\"" LEGACY
              "\",\"capabilities\":{},\"clientInfo\":{\"name\":\"load\",\"version\":\"1\"}}}",
              c->id);
}

/* The request that this connection repeats, with marks where its id and its text stand. */
static void prepare_call(connection *c) {
    static const char modern[] = ",\"_meta\":{\"io.modelcontextprotocol/protocolVersion\":\"" MODERN
                                 "\",\"io.modelcontextprotocol/clientCapabilities\":{}}";
    write_ask(c,
              "{\"jsonrpc\":\"2.0\",\"id\":%ld,\"method\":\"tools/call\",\"params\":{\"name\":\"echo\",\"arguments\":"
              "{\"text\":\"%s\"}%s}}",
              FIRST_ID, filler, options.modern ? modern : "");
    free(c->ask);
    c->ask = malloc(c->due + 1);
    memcpy(c->ask, c->out, c->due);
    c->ask_length = c->due;
    char *body = memmem(c->ask, c->due, "\r\n\r\n", 4);
    c->ask_id = (size_t)(strstr(body, "\"id\":") + 5 - c->ask);
    c->ask_text = (size_t)(strstr(body, "\"text\":\"") + 8 - c->ask);
}

static void mark(char *at, long number) {
    for (int i = NUMBER - 1; i >= 0; i--, number /= 10) at[i] = (char)('0' + number % 10);
}

/* --- one connection ---------------------------------------------------------------------------------------------- */

static void complain(connection *c, const char *what) {
    if (!wrong++) {
        const int length = c->got < 400 ? (int)c->got : 400;
        snprintf(complaint, sizeof complaint, "%s: %.*s", what, length, c->got ? c->in : "");
    }
}

static void open_socket(connection *c) {
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons((unsigned short)options.port)};
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&there, sizeof there)) give_up("cannot connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    setsockopt(c->fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4); /* the cheapest, and always there */
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) give_up("cannot poll");
}

static void reopen(connection *c) {
    close(c->fd);
    open_socket(c);
    reconnects++;
}

static int flush(connection *c) {
    while (c->sent < c->due) {
        const ssize_t taken = send(c->fd, c->out + c->sent, c->due - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (taken < 0) return errno == EAGAIN;
        c->sent += (size_t)taken;
    }
    return 1;
}

static void ask(connection *c) {
    c->got = c->head = 0;
    if (!flush(c)) {
        reopen(c);
        c->sent = 0;
        flush(c);
    }
}

static void call(connection *c, double at) {
    c->id = next_id++;
    mark(c->ask + c->ask_id, c->id);
    mark(c->ask + c->ask_text, c->id);
    c->out = c->ask;
    c->due = c->ask_length;
    c->sent = 0;
    c->began = at;
    ask(c);
}

static void leave(connection *c) {
    if (options.modern || !*c->session) {
        c->now = GONE;
        return;
    }
    c->now = LEAVING;
    c->out = c->once;
    c->due = (size_t)snprintf(c->out, 1024,
                              "DELETE %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nMcp-Session-Id: %s\r\n"
                              "MCP-Protocol-Version: " LEGACY "\r\nContent-Length: 0\r\n\r\n",
                              options.path, options.port, c->session);
    c->sent = 0;
    ask(c);
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

/* Read the head, once it is whole: all that decides where the answer ends. */
static void read_head(connection *c) {
    const char *stop = memmem(c->in, c->got, "\r\n\r\n", 4);
    if (!stop) return;
    c->head = (size_t)(stop + 4 - c->in);
    c->status = c->got > 12 ? atoi(c->in + 9) : 0;
    c->length = c->closes = c->streamed = 0;
    for (char *line = memchr(c->in, '\n', c->head); line && ++line < stop; line = memchr(line, '\n', (size_t)(stop - line))) {
        if (!strncasecmp(line, "content-length:", 15)) c->length = atol(line + 15);
        else if (!strncasecmp(line, "transfer-encoding: chunked", 26)) c->length = -1;
        else if (!strncasecmp(line, "connection: close", 17)) c->closes = 1;
        else if (!strncasecmp(line, "content-type: text/event-stream", 31)) c->streamed = 1;
        else if (c->now == OPENING && !strncasecmp(line, "mcp-session-id: ", 16))
            snprintf(c->session, sizeof c->session, "%.*s", (int)strcspn(line + 16, "\r"), line + 16);
    }
}

/* Make one piece of the chunks, in place; false while the last is not there. */
static int join_chunks(connection *c) {
    char *body = c->in + c->head, *end = c->in + c->got, *to = NULL;
    for (char *at = body;;) {
        char *line = memchr(at, '\n', (size_t)(end - at));
        if (!line) return 0;
        const size_t length = strtoul(at, NULL, 16);
        if ((size_t)(end - line) < length + 3) return 0;
        if (!length) break;
        at = line + 1 + length + 2;
    }
    to = body;
    for (char *at = body;;) {
        char *line = memchr(at, '\n', (size_t)(end - at));
        const size_t length = strtoul(at, NULL, 16);
        if (!length) break;
        memmove(to, line + 1, length);
        to += length;
        at = line + 1 + length + 2;
    }
    c->length = to - body;
    c->got = c->head + (size_t)c->length;
    return 1;
}

/* The message in the body: the body itself, or the data of the event that answers. Data of one line is all we read. */
static slice message_of(connection *c) {
    const slice body = {c->in + c->head, (size_t)c->length};
    if (!c->streamed) return body;
    const char *end = body.at + body.length;
    for (const char *at = body.at; at && at < end;) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        const slice data = {at + 5, (size_t)(stop - at - 5)};
        wanted parts[] = {{"id", NOTHING}, {"method", NOTHING}};
        if (end - at > 5 && !strncmp(at, "data:", 5) && scan(data, parts, 2) && parts[0].value.at && !parts[1].value.at)
            return data;
        at = stop + 1;
    }
    return NOTHING;
}

static int is_right(connection *c, int called) {
    char id[16];
    snprintf(id, sizeof id, "%ld", c->id);
    wanted parts[] = {{"id", NOTHING}, {"result", NOTHING}, {"result>isError", NOTHING}, {"result>content>0>text", NOTHING}};
    if (c->status != 200 || !scan(message_of(c), parts, 4)) return 0;
    if (!scan_is(parts[0].value, id) || !parts[1].value.at) return 0;
    if (!called) return 1;
    const slice text = parts[3].value;
    if (text.length != options.size + 2 || scan_is(parts[2].value, "true")) return 0;
    return !memcmp(text.at + 1, c->ask + c->ask_text, options.size);
}

static void count(connection *c) {
    const double at = now();
    if (!is_right(c, 1)) {
        complain(c, "not the answer that was asked for");
    } else if (c->began < deadline && counted < MOST_CALLS) {
        latencies[counted++] = (float)((at - c->began) * 1e6);
        last_answer = at;
        streamed += c->streamed;
    }
    if (at < deadline) call(c, at);
    else c->now = IDLE;
}

/* A whole answer has come: what follows from it. */
static void advance(connection *c) {
    if (c->closes) reopen(c);
    switch (c->now) {
    case OPENING:
        if (!is_right(c, 0)) give_up((complain(c, "initialize"), complaint));
        c->now = GREETING;
        write_ask(c, "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}");
        ask(c);
        break;
    case GREETING:
        if (c->status != 202 && c->status != 200) give_up((complain(c, "initialized"), complaint));
        prepare_call(c);
        c->now = WARMING;
        call(c, now());
        break;
    case WARMING:
        if (!is_right(c, 1)) give_up((complain(c, "first call"), complaint));
        c->now = READY;
        break;
    case CALLING:
        count(c);
        break;
    case LEAVING:
        c->now = GONE;
        break;
    default:
        give_up("an answer that nobody asked for");
    }
}

static int is_whole(connection *c) {
    if (!c->head) read_head(c);
    if (!c->head) return 0;
    return c->length < 0 ? join_chunks(c) : c->got >= c->head + (size_t)c->length;
}

static void lost(connection *c) {
    if (c->now == LEAVING) {
        c->now = GONE;
        return;
    }
    if (c->now != CALLING && c->now != READY && c->now != IDLE) give_up("the connection was closed in the handshake");
    if (c->now == CALLING) complain(c, "the connection was closed before the answer");
    reopen(c);
    if (c->now == CALLING) {
        if (now() < deadline) call(c, now());
        else c->now = IDLE;
    }
}

static void receive(connection *c) {
    for (;;) {
        if (c->got == c->size) give_up("an answer without end");
        const size_t room = c->size - c->got;
        const ssize_t length = recv(c->fd, c->in + c->got, room, MSG_DONTWAIT);
        if (length < 0 && errno == EAGAIN) return;
        if (length <= 0) {
            lost(c);
            return;
        }
        c->got += (size_t)length;
        if (is_whole(c)) {
            advance(c);
            return; /* in a closed loop nothing else can have come */
        }
        if ((size_t)length < room) return;
    }
}

/* --- the run ----------------------------------------------------------------------------------------------------- */

static int are_all(stage wanted) {
    for (int i = 0; i < options.connections; i++)
        if (all[i].now != wanted) return 0;
    return 1;
}

/* Serve events until every connection is at this stage. */
static void play_until(stage wanted, double limit) {
    struct epoll_event ready[256];
    const double end = now() + limit;
    while (!are_all(wanted)) {
        const int count = epoll_wait(poller, ready, 256, 100);
        for (int i = 0; i < count; i++) {
            connection *c = ready[i].data.ptr;
            if (c->now == GONE) continue;
            if (c->sent < c->due && ready[i].events & EPOLLOUT) flush(c);
            if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
        }
        if (!count && now() > end) give_up(measuring ? "answers are missing after the end" : "the handshake took too long");
    }
}

/* A round of a closed loop is over in an instant where the whole set is checked seldom: while measuring, the clock. */
static void play_calls(void) {
    struct epoll_event ready[256];
    while (now() < deadline) {
        const int count = epoll_wait(poller, ready, 256, 10);
        for (int i = 0; i < count; i++) {
            connection *c = ready[i].data.ptr;
            if (c->sent < c->due && ready[i].events & EPOLLOUT) flush(c);
            if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
        }
    }
}

static void begin(connection *c) {
    c->size = options.size * 2 + 65536;
    c->in = malloc(c->size);
    c->once = malloc(options.size + 4096);
    if (!c->in || !c->once) give_up("no memory");
    open_socket(c);
    c->id = next_id++;
    if (options.modern) {
        prepare_call(c);
        c->now = WARMING;
        call(c, now());
    } else {
        c->now = OPENING;
        write_initialize(c);
        ask(c);
    }
}

/* Plain English, its first letters the number of the call. */
static void fill(char *text, size_t size) {
    static const char words[] = " is the number of this call and the rest of it is said again and again, and";
    for (size_t i = 0; i < size; i++) text[i] = i < NUMBER ? '0' : words[(i - NUMBER) % (sizeof words - 1)];
}

static int by_size(const void *a, const void *b) {
    const float one = *(const float *)a, other = *(const float *)b;
    return (one > other) - (one < other);
}

static void quote(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\') printf("\\%c", *text);
        else if (*text < 32 || *text > 126) putchar(' ');
        else putchar(*text);
    }
    putchar('"');
}

static void report(double began) {
    const double took = counted ? last_answer - began : options.seconds;
    qsort(latencies, counted, sizeof *latencies, by_size);
    printf("{\"calls\":%zu,\"wrong\":%ld,\"seconds\":%.6f,\"rps\":%.3f,\"p50_us\":%.2f,\"p99_us\":%.2f,"
           "\"reconnects\":%ld,\"streamed\":%ld,\"complaint\":",
           counted, wrong, took, (double)counted / took, counted ? (double)latencies[counted / 2] : 0,
           counted ? (double)latencies[counted * 99 / 100] : 0, reconnects, streamed);
    quote(complaint);
    printf("}\n");
}

static void read_options(int argc, char **argv) {
    int core = -1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (!strcmp(argv[i], "--port")) options.port = atoi(value);
        else if (!strcmp(argv[i], "--path")) options.path = value;
        else if (!strcmp(argv[i], "--connections")) options.connections = atoi(value);
        else if (!strcmp(argv[i], "--seconds")) options.seconds = atof(value);
        else if (!strcmp(argv[i], "--size")) options.size = (size_t)atol(value);
        else if (!strcmp(argv[i], "--era")) options.modern = !strcmp(value, "modern");
        else if (!strcmp(argv[i], "--core")) core = atoi(value);
        else give_up("unknown option");
    }
    if (!options.port || options.connections < 1 || options.size < 16) give_up("see the head of load.c for its usage");
    if (core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(core, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores)) give_up("cannot be pinned");
    }
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    filler = calloc(1, options.size + 1);
    if (!filler) give_up("no memory");
    fill(filler, options.size);
    latencies = malloc(MOST_CALLS * sizeof *latencies); /* touched only as far as it is filled */
    all = calloc((size_t)options.connections, sizeof *all);
    poller = epoll_create1(EPOLL_CLOEXEC);
    if (!latencies || !all || poller < 0) give_up("no memory");
    for (int i = 0; i < options.connections; i++) begin(&all[i]);
    play_until(READY, LIMIT_S);

    measuring = 1;
    printf("ready\n");
    fflush(stdout);
    if (getchar() == EOF) return 2; /* whoever measures says when, and reads the gateway's clocks before */
    const double began = now();
    deadline = began + options.seconds;
    for (int i = 0; i < options.connections; i++) {
        all[i].now = CALLING;
        call(&all[i], now());
    }
    play_calls();
    play_until(IDLE, LIMIT_S);
    report(began);
    fflush(stdout);
    if (getchar() == EOF) {} /* the clocks are read again before sessions are deleted */
    for (int i = 0; i < options.connections; i++) leave(&all[i]);
    play_until(GONE, LIMIT_S);
    return 0;
}
