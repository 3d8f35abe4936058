#define _GNU_SOURCE
#include "client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dialect.h"
#include "polling.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { READ_BYTES = 1 << 20, REQUEST_LIMIT = 8192, PER_ADDRESS = 20000, TEXT_LIMIT = 65536 };
enum { FINAL_TEXT = 0x81, OPCODE_MASK = 0x0F, OPCODE_CLOSE = 8, MASKED = 0x80 };

static const unsigned char MASK[4] = {0x3A, 0x91, 0x5C, 0xE7};
static const struct options *options;
static const struct scenario *scenario;
static int epoll;

void clients_use(const struct options *given, const struct scenario *used, int descriptor)
{
    options = given;
    scenario = used;
    epoll = descriptor;
}

size_t masked_frame(char *out, const char *text, size_t length)
{
    size_t at = 2;
    out[0] = (char)FINAL_TEXT;
    if (length < 126) {
        out[1] = (char)(MASKED | length);
    } else if (length < 65536) {
        out[1] = (char)(MASKED | 126);
        out[at++] = (char)(length >> 8);
        out[at++] = (char)length;
    } else {
        fail("a message of %zu bytes is longer than is needed here", length);
    }
    memcpy(out + at, MASK, sizeof MASK);
    at += sizeof MASK;
    for (size_t i = 0; i < length; i++)
        out[at + i] = (char)(text[i] ^ MASK[i & 3]);
    return at + length;
}

static void watch(struct client *client, int operation)
{
    struct epoll_event event = {.events = client->unsent_bytes > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = client};
    if (epoll_ctl(epoll, operation, client->fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

/* What is not sent at once is kept; a connection that is not established yet takes nothing. */
static size_t send_some(struct client *client, const char *bytes, size_t length)
{
    ssize_t sent = send(client->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        fail("client %d cannot send: %s", client->number, strerror(errno));
    return sent < 0 ? 0 : (size_t)sent;
}

void client_send(struct client *client, const char *frames, size_t length)
{
    size_t sent = client->unsent_bytes == 0 ? send_some(client, frames, length) : 0;
    if (sent == length)
        return;
    bool watched = client->unsent_bytes > 0;
    client->unsent = realloc(client->unsent, client->unsent_bytes + length - sent);
    if (client->unsent == NULL)
        fail("out of memory");
    memcpy(client->unsent + client->unsent_bytes, frames + sent, length - sent);
    client->unsent_bytes += length - sent;
    if (!watched && client->state != CLIENT_CONNECTING)
        watch(client, EPOLL_CTL_MOD);
}

static void send_unsent(struct client *client)
{
    size_t sent = send_some(client, client->unsent, client->unsent_bytes);
    client->unsent_bytes -= sent;
    memmove(client->unsent, client->unsent + sent, client->unsent_bytes);
    if (client->unsent_bytes == 0) {
        free(client->unsent);
        client->unsent = NULL;
        watch(client, EPOLL_CTL_MOD);
    }
}

static void send_text(struct client *client, const char *text, size_t length)
{
    if (client->polling != NULL) {
        polling_send(client, text, length);
        return;
    }
    char frame[MESSAGE_LIMIT + 14];
    client_send(client, frame, masked_frame(frame, text, length));
}

static void send_handshake(struct client *client, int port)
{
    char request[REQUEST_LIMIT];
    bool in_header = dialect_token_in_header(options);
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
                          dialect_path(options, client), port, in_header ? "Authorization: Bearer " : "",
                          in_header ? dialect_token(options, client) : "", in_header ? "\r\n" : "");
    if (length >= (int)sizeof request)
        fail("the token of client %d is too long", client->number);
    client_send(client, request, (size_t)length);
}

void client_open(struct client *client, int number, enum client_role role, int port)
{
    int yes = 1;
    *client = (struct client){.number = number, .role = role};
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (client->fd < 0)
        fail("client %d: socket: %s", number, strerror(errno));
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (number >= PER_ADDRESS) { /* the ports of one loopback address do not suffice */
        struct sockaddr_in source = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(number / PER_ADDRESS))};
        setsockopt(client->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(client->fd, (struct sockaddr *)&source, sizeof source) < 0)
            fail("client %d: bind: %s", number, strerror(errno));
    }
    struct sockaddr_in server = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(client->fd, (struct sockaddr *)&server, sizeof server) < 0 && errno != EINPROGRESS)
        fail("client %d cannot connect: %s", number, strerror(errno));
    client->state = CLIENT_SHAKING;
    if (dialect_polls(options, client))
        polling_open(client, port);
    else
        send_handshake(client, port);
    watch(client, EPOLL_CTL_ADD);
}

void client_keep(struct client *client, const char *bytes, size_t length)
{
    client->setup = realloc(client->setup, client->setup_bytes + length + 1);
    if (client->setup == NULL)
        fail("out of memory");
    memcpy(client->setup + client->setup_bytes, bytes, length);
    client->setup_bytes += length;
    client->setup[client->setup_bytes] = '\0';
    if (client->setup_bytes > TEXT_LIMIT)
        fail("client %d: %zu bytes came before it was ready", client->number, client->setup_bytes);
}

static void become_ready(struct client *client)
{
    client->state = CLIENT_READY;
    if (client->polling == NULL) {
        free(client->setup);
        client->setup = NULL;
        client->setup_bytes = 0;
    }
    scenario->on_ready(client);
}

static void on_setup_line(struct client *client, const char *line, size_t length)
{
    char text[MESSAGE_LIMIT];
    size_t answer;
    bool ready = dialect_setup(options, client, line, length, text, &answer);
    if (answer > 0)
        send_text(client, text, answer);
    if (ready)
        become_ready(client);
}

void client_take_line(struct client *client, const char *line, size_t length)
{
    const char *pong;
    if (client->state == CLIENT_JOINING)
        on_setup_line(client, line, length);
    else if (length <= 2 && line != NULL && (pong = dialect_pong(options, line, length)) != NULL)
        send_text(client, pong, strlen(pong));
    else if (client->state == CLIENT_READY)
        scenario->on_line(client, line, length);
}

/* A piece of a frame's payload; `last`: the frame ends with it. */
static void take_payload(struct client *client, const char *bytes, size_t length, bool last)
{
    for (;;) {
        bool joining = client->state == CLIENT_JOINING;
        const char *newline = memchr(bytes, '\n', length);
        size_t piece = newline == NULL ? length : (size_t)(newline - bytes);
        bool whole = client->line_bytes == 0;
        client->line_bytes += piece;
        if (joining)
            client_keep(client, bytes, piece);
        if (newline == NULL && !last)
            return;
        size_t line = client->line_bytes;
        client->line_bytes = 0;
        client->setup_bytes = 0;
        if (line > 0)
            client_take_line(client, joining ? client->setup : whole ? bytes : NULL, line);
        if (newline == NULL)
            return;
        bytes += piece + 1;
        length -= piece + 1;
    }
}

static void take_control(const struct client *client, const char *bytes, size_t length)
{
    int code = length < 2 ? 0 : (unsigned char)bytes[0] << 8 | (unsigned char)bytes[1];
    if ((client->header[0] & OPCODE_MASK) == OPCODE_CLOSE)
        fail("the server closes client %d with code %d", client->number, code);
}

/* Bytes of a header that are known to be needed by the ones that are there. */
static int header_needed(const struct client *client)
{
    int length = client->header_bytes < 2 ? 0 : client->header[1] & 0x7F;
    return length == 126 ? 4 : length == 127 ? 10 : 2;
}

static void begin_frame(struct client *client)
{
    int needed = header_needed(client);
    uint64_t length = client->header[1] & 0x7F;
    if (needed > 2)
        length = 0;
    for (int i = 2; i < needed; i++)
        length = length << 8 | client->header[i];
    client->frame_left = length;
    client->control = (client->header[0] & OPCODE_MASK) >= OPCODE_CLOSE;
    client->header_bytes = 0;
}

static void take_frames(struct client *client, const char *bytes, const char *end)
{
    while (bytes < end) {
        if (client->frame_left == 0) {
            client->header[client->header_bytes++] = (unsigned char)*bytes++;
            if (client->header_bytes == header_needed(client))
                begin_frame(client);
            continue;
        }
        size_t there = (size_t)(end - bytes), piece = there < client->frame_left ? there : client->frame_left;
        client->frame_left -= piece;
        if (client->control)
            take_control(client, bytes, piece);
        else
            take_payload(client, bytes, piece, client->frame_left == 0);
        bytes += piece;
    }
}

/* The answer to the handshake; frames may follow in what was read. */
static void take_handshake(struct client *client, const char *bytes, size_t length)
{
    static const char accepted[] = "HTTP/1.1 101 ";
    char text[MESSAGE_LIMIT];
    client_keep(client, bytes, length);
    char *rest = strstr(client->setup, "\r\n\r\n");
    if (rest == NULL)
        return;
    if (strncmp(client->setup, accepted, sizeof accepted - 1) != 0)
        fail("the server refuses the handshake of client %d: %.200s", client->number, client->setup);
    /* The answer may be in several pieces: only what follows it, all of which is in this piece, is frames. */
    size_t frames = client->setup_bytes - (size_t)(rest + 4 - client->setup);
    client->setup_bytes = 0;
    if (dialect_ready_at_once(options)) {
        become_ready(client);
    } else {
        client->state = CLIENT_JOINING;
        size_t greeting = dialect_greeting(options, client, text);
        if (greeting > 0)
            send_text(client, text, greeting);
    }
    take_frames(client, bytes + length - frames, bytes + length);
}

void client_event(struct client *client, uint32_t events)
{
    static char bytes[READ_BYTES];
    if ((events & EPOLLOUT) && client->unsent_bytes > 0)
        send_unsent(client);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    ssize_t length = recv(client->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        fail("the server ends the connection of client %d: %s", client->number,
             length == 0 ? "end of stream" : strerror(errno));
    if (client->polling != NULL)
        polling_take(client, bytes, (size_t)length);
    else if (client->state == CLIENT_SHAKING)
        take_handshake(client, bytes, (size_t)length);
    else
        take_frames(client, bytes, bytes + length);
}
