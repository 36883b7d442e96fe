/* The server behind every gateway of the bench: it echoes, in both eras, at the price of a few system calls.
 *
 *     upstream --port PORT [--core N] [--streams]     Streamable HTTP at any path, one thread, JSON answers
 *     upstream --stdio [--core N]                     one server on two pipes
 *
 * Legacy requests must carry a session that `initialize` gave, modern ones a version in the header that is the body's:
 * a gateway that loses either gets 400 and an error in the count. With --streams, GET opens an SSE stream; POST /tell
 * sends one notification into each open stream and answers their number, and GET /count answers how many are open.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <unistd.h>

#include "scan.h"

#define MODERN "2026-07-28"
#define LATEST_LEGACY "2025-11-25"
#define TOOL                                                                                            \
    "{\"name\":\"echo\",\"description\":\"Say it again\",\"inputSchema\":{\"type\":\"object\",\"properties\":" \
    "{\"text\":{\"type\":\"string\"}},\"required\":[\"text\"]}}"
#define NAMED "\"serverInfo\":{\"name\":\"bench\",\"version\":\"1\"}"
#define ABILITIES "\"capabilities\":{\"tools\":{}%s}"
#define CACHED "\"resultType\":\"complete\",\"ttlMs\":0,\"cacheScope\":\"private\","
#define STARTED_BYTES 16384

typedef struct connection {
    int fd, streaming;
    char *in, *out;
    size_t got, size;          /* of `in`: filled, allocated */
    size_t sent, due;          /* of `out`: written, to be written */
    struct connection *next;   /* of those that stream */
} connection;

/* An answer as three pieces, so that the echoed text is not copied. */
typedef struct {
    char head[1024];
    slice text;
    const char *tail;
    int silent;    /* a notification: nothing is answered */
    int began;     /* an initialize: a session begins */
    int unknown;   /* no such method */
    slice version; /* what the body says, modern only */
} answer;

static unsigned long sessions;
static connection *streams;
static int may_stream;

static void fail(const char *what) {
    perror(what);
    exit(2);
}

/* Append to a text, which must have the room; where it ends then. Formats cost more than all the rest of an answer. */
static char *add(char *to, const char *text, size_t length) {
    memcpy(to, text, length);
    to[length] = 0;
    return to + length;
}

static char *add_number(char *to, size_t number) {
    char digits[20];
    size_t length = 0;
    do digits[sizeof digits - ++length] = (char)('0' + number % 10);
    while (number /= 10);
    return add(to, digits + sizeof digits - length, length);
}

#define ADD(to, literal) add(to, literal, sizeof literal - 1)

/* What a message is answered. Needs nothing but the message: all state of this server is the number of its sessions. */
static void answer_to(slice message, answer *out) {
    wanted parts[] = {{"method", NOTHING},
                      {"id", NOTHING},
                      {"params>_meta>io.modelcontextprotocol/protocolVersion", NOTHING},
                      {"params>arguments>text", NOTHING},
                      {"params>protocolVersion", NOTHING}};
    scan(message, parts, 5);
    const slice method = parts[0].value, id = parts[1].value;
    out->version = parts[2].value;
    const int modern = out->version.at != NULL;
    out->text = NOTHING;
    out->tail = "";
    out->began = out->unknown = 0;
    out->silent = !id.at || !method.at;
    if (out->silent || id.length > 256) return;
    char *rest = ADD(add(ADD(out->head, "{\"jsonrpc\":\"2.0\",\"id\":"), id.at, id.length), ",");
    const size_t room = sizeof out->head - (size_t)(rest - out->head);
    if (scan_is(method, "\"tools/call\"")) {
        out->text = parts[3].value;
        if (!out->text.at) {
            snprintf(rest, room, "\"error\":{\"code\":-32602,\"message\":\"no text\"}}");
            return;
        }
        rest = ADD(rest, "\"result\":{");
        if (modern) rest = ADD(rest, "\"resultType\":\"complete\",");
        ADD(rest, "\"content\":[{\"type\":\"text\",\"text\":");
        out->tail = "}]}}";
    } else if (scan_is(method, "\"tools/list\"")) {
        snprintf(rest, room, "\"result\":{%s\"tools\":[" TOOL "]}}", modern ? CACHED : "");
    } else if (scan_is(method, "\"initialize\"")) {
        slice version = parts[4].value;
        if (!version.at || version.length > 16 || scan_is(version, "\"" MODERN "\""))
            version = (slice){"\"" LATEST_LEGACY "\"", sizeof LATEST_LEGACY + 1};
        snprintf(rest, room, "\"result\":{\"protocolVersion\":%.*s," ABILITIES "," NAMED "}}", (int)version.length,
                 version.at, may_stream ? ",\"logging\":{}" : "");
        out->began = 1;
    } else if (scan_is(method, "\"server/discover\"")) {
        snprintf(rest, room, "\"result\":{" CACHED "\"supportedVersions\":[\"" MODERN "\"]," ABILITIES "," NAMED "}}",
                 "");
    } else if (scan_is(method, "\"ping\"")) {
        snprintf(rest, room, "\"result\":{}}");
    } else {
        snprintf(rest, room, "\"error\":{\"code\":-32601,\"message\":\"no such method\"}}");
        out->unknown = modern;
    }
}

/* --- stdio ------------------------------------------------------------------------------------------------------- */

static int serve_pipes(void) {
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    answer out;
    while ((length = getline(&line, &size, stdin)) > 0) {
        answer_to((slice){line, (size_t)length}, &out);
        if (out.silent) continue;
        fputs(out.head, stdout);
        if (out.text.at) fwrite(out.text.at, 1, out.text.length, stdout);
        fputs(out.tail, stdout);
        putchar('\n');
        if (fflush(stdout)) return 1;
    }
    return 0;
}

/* --- HTTP -------------------------------------------------------------------------------------------------------- */

/* The value of a header within the head of a request. `name` is in small letters, and compared without case. */
static slice header(slice head, const char *name) {
    const size_t wanted = strlen(name);
    const char *end = head.at + head.length, *line = memchr(head.at, '\n', head.length);
    while (line && ++line + wanted < end) {
        if ((*line | 32) == *name && line[wanted] == ':' && strncasecmp(line, name, wanted) == 0) {
            const char *from = scan_space(line + wanted + 1, end);
            const char *to = memchr(from, '\r', (size_t)(end - from));
            return to ? (slice){from, (size_t)(to - from)} : NOTHING;
        }
        line = memchr(line, '\n', (size_t)(end - line));
    }
    return NOTHING;
}

static void forget(connection *c) {
    for (connection **at = &streams; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    close(c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

/* Keep what the kernel did not take; it is written when there is room again. */
static int keep(connection *c, struct iovec *parts, int count, size_t taken) {
    size_t due = 0;
    for (int i = 0; i < count; i++) due += parts[i].iov_len;
    if (due == taken) return 1;
    char *out = realloc(c->out, due - taken);
    if (!out) return 0;
    c->out = out;
    c->sent = c->due = 0;
    for (int i = 0; i < count; i++) {
        const size_t skipped = taken < parts[i].iov_len ? taken : parts[i].iov_len;
        memcpy(c->out + c->due, (char *)parts[i].iov_base + skipped, parts[i].iov_len - skipped);
        c->due += parts[i].iov_len - skipped;
        taken -= skipped;
    }
    return 1;
}

static int put(connection *c, struct iovec *parts, int count) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (size_t)count};
    const ssize_t taken = count == 1 ? send(c->fd, parts->iov_base, parts->iov_len, MSG_NOSIGNAL)
                                     : sendmsg(c->fd, &message, MSG_NOSIGNAL);
    if (taken < 0 && errno != EAGAIN) return 0;
    return keep(c, parts, count, taken < 0 ? 0 : (size_t)taken);
}

static int flush(connection *c) {
    while (c->sent < c->due) {
        const ssize_t taken = send(c->fd, c->out + c->sent, c->due - c->sent, MSG_NOSIGNAL);
        if (taken < 0) return errno == EAGAIN;
        c->sent += (size_t)taken;
    }
    c->sent = c->due = 0;
    return 1;
}

static int say(connection *c, const char *status, const char *type, const char *body) {
    char text[1024];
    const int length = snprintf(text, sizeof text, "HTTP/1.1 %s\r\n%s%s%sContent-Length: %zu\r\n\r\n%s", status,
                                type ? "Content-Type: " : "", type ? type : "", type ? "\r\n" : "", strlen(body), body);
    return put(c, &(struct iovec){text, (size_t)length}, 1);
}

/* Whether the request carries what its era demands; the body decides which era it is. */
static int is_lawful(slice head, const answer *out) {
    if (out->began) return 1;
    const slice told = header(head, "mcp-protocol-version");
    if (out->version.at)
        return told.length + 2 == out->version.length && !memcmp(told.at, out->version.at + 1, told.length);
    const slice session = header(head, "mcp-session-id");
    char copy[32] = "";
    if (!session.at || session.length != 24 || strncmp(session.at, "session-", 8)) return 0;
    memcpy(copy, session.at + 8, 16);
    const unsigned long number = strtoul(copy, NULL, 16);
    return number >= 1 && number <= sessions;
}

static int post(connection *c, slice head, slice body) {
    answer out;
    answer_to(body, &out);
    if (!is_lawful(head, &out)) return say(c, "400 Bad Request", "text/plain", "no session, or another version\n");
    if (out.silent) return say(c, "202 Accepted", NULL, "");
    const size_t first = strlen(out.head), last = strlen(out.tail);
    char text[4096], *at = out.unknown ? ADD(text, "HTTP/1.1 404 Not Found\r\n") : ADD(text, "HTTP/1.1 200 OK\r\n");
    if (out.began) at += sprintf(at, "Mcp-Session-Id: session-%016lx\r\n", ++sessions);
    at = add_number(ADD(at, "Content-Type: application/json\r\nContent-Length: "), first + out.text.length + last);
    at = add(ADD(at, "\r\n\r\n"), out.head, first);
    if (out.text.length + last < sizeof text - (size_t)(at - text)) { /* one small piece costs less than three */
        if (out.text.at) at = add(at, out.text.at, out.text.length);
        at = add(at, out.tail, last);
        return put(c, &(struct iovec){text, (size_t)(at - text)}, 1);
    }
    struct iovec parts[] = {
        {text, (size_t)(at - text)}, {(void *)out.text.at, out.text.length}, {(void *)out.tail, last}};
    return put(c, parts, 3);
}

static int open_stream(connection *c) {
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    c->streaming = 1;
    c->next = streams;
    streams = c;
    return put(c, &(struct iovec){(void *)head, sizeof head - 1}, 1);
}

static int say_number(connection *c, unsigned long number) {
    char text[32];
    snprintf(text, sizeof text, "%lu\n", number);
    return say(c, "200 OK", "text/plain", text);
}

static unsigned long count_streams(void) {
    unsigned long number = 0;
    for (connection *s = streams; s; s = s->next) number++;
    return number;
}

/* One notification into each stream that has taken what came before. */
static int tell_all(connection *c) {
    static const char event[] = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\",\"params\":"
                                "{\"level\":\"info\",\"data\":\"told to all\"}}\n\n";
    char chunk[sizeof event + 16];
    const int length = snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", sizeof event - 1, event);
    unsigned long told = 0;
    for (connection *s = streams; s; s = s->next)
        if (!s->due && put(s, &(struct iovec){chunk, (size_t)length}, 1)) told++;
    return say_number(c, told);
}

static int respond(connection *c, slice head, slice body) {
    if (may_stream && !strncmp(head.at, "GET /count ", 11)) return say_number(c, count_streams());
    if (may_stream && !strncmp(head.at, "POST /tell ", 11)) return tell_all(c);
    if (!strncmp(head.at, "POST ", 5)) return post(c, head, body);
    if (!strncmp(head.at, "DELETE ", 7)) return say(c, "200 OK", NULL, "");
    if (may_stream && !strncmp(head.at, "GET ", 4)) return open_stream(c);
    return say(c, "405 Method Not Allowed", NULL, "");
}

/* Answer each whole request that has come in; 0 when the connection is of no more use. */
static int consume(connection *c) {
    while (c->got && !c->due) {
        const char *stop = memmem(c->in, c->got, "\r\n\r\n", 4);
        if (!stop) return c->got < STARTED_BYTES || c->got < c->size;
        const slice head = {c->in, (size_t)(stop + 2 - c->in)};
        const slice told = header(head, "content-length");
        if (header(head, "transfer-encoding").at) return 0;
        const size_t length = told.at ? strtoul(told.at, NULL, 10) : 0, whole = head.length + 2 + length;
        if (whole > c->got) {
            if (whole > c->size) {
                char *in = realloc(c->in, whole);
                if (!in) return 0;
                c->in = in;
                c->size = whole;
            }
            return 1;
        }
        if (!respond(c, head, (slice){stop + 4, length})) return 0;
        c->got -= whole;
        if (c->got) memmove(c->in, c->in + whole, c->got);
    }
    return 1;
}

/* Edge-triggered: read until the kernel has no more, or until what was read last did not fill the room. */
static int receive(connection *c) {
    for (;;) {
        if (c->got == c->size) return 0;
        const size_t room = c->size - c->got;
        const ssize_t length = recv(c->fd, c->in + c->got, room, 0);
        if (length < 0) return errno == EAGAIN;
        if (length == 0) return 0;
        c->got += (size_t)length;
        if (!consume(c)) return 0;
        if ((size_t)length < room) return 1;
    }
}

static void welcome(int listener, int poll) {
    for (;;) {
        const int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4); /* the cheapest, and always there */
        connection *c = calloc(1, sizeof *c);
        if (!c || !(c->in = malloc(STARTED_BYTES))) fail("memory");
        c->fd = fd;
        c->size = STARTED_BYTES;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
    }
}

static int listen_at(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    if (bind(fd, (struct sockaddr *)&here, sizeof here) || listen(fd, 4096)) fail("listen");
    socklen_t size = sizeof here;
    getsockname(fd, (struct sockaddr *)&here, &size);
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    return fd;
}

static _Noreturn void serve_http(int port) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    const int listener = listen_at(port), poll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, ready[256];
    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event)) fail("epoll");
    for (;;) {
        const int count = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            connection *c = ready[i].data.ptr;
            if (!c) {
                welcome(listener, poll);
                continue;
            }
            int alive = !(ready[i].events & (EPOLLERR | EPOLLHUP));
            if (alive && c->due) alive = flush(c) && consume(c);
            if (alive && ready[i].events & EPOLLIN) alive = receive(c);
            if (!alive || (c->streaming && ready[i].events & EPOLLRDHUP)) forget(c);
        }
    }
}

int main(int argc, char **argv) {
    int port = 0, stdio = 0, core = -1;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--stdio")) stdio = 1;
        else if (!strcmp(argv[i], "--streams")) may_stream = 1;
        else if (!strcmp(argv[i], "--port") && i + 1 < argc) port = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--core") && i + 1 < argc) core = atoi(argv[++i]);
        else {
            fprintf(stderr, "upstream: error: unknown option %s\n", argv[i]);
            return 2;
        }
    }
    if (core >= 0) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET(core, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores)) fail("affinity");
    }
    if (stdio) return serve_pipes();
    serve_http(port);
}
