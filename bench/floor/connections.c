#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "floor.h"
#include "handshake.h"

enum { READ_BYTES = 262144, MASK_BYTES = 4, OPCODE_TEXT = 1, OPCODE_CLOSE = 8 };

static int epoll;
static struct connection **dirty, **ended;
static size_t dirty_count, dirty_size, ended_count, ended_size;

void connection_watch(int descriptor)
{
    epoll = descriptor;
}

static void push(struct connection ***list, size_t *count, size_t *size, struct connection *connection)
{
    if (*count == *size) {
        *size = *size ? *size * 2 : 64;
        *list = realloc(*list, *size * sizeof **list);
        if (*list == NULL) {
            fputs("floor: out of memory\n", stderr);
            exit(1);
        }
    }
    (*list)[(*count)++] = connection;
}

void connection_open(int fd)
{
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        fputs("floor: out of memory\n", stderr);
        exit(1);
    }
    connection->fd = fd;
    connection->channel = -1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

/* It is freed only after the turn: the events of this turn, and the dirty list, may still point to it. */
static void end(struct connection *connection)
{
    if (connection->ended)
        return;
    connection->ended = true;
    unsubscribe(connection);
    close(connection->fd);
    buffer_free(&connection->input);
    buffer_free(&connection->output);
    push(&ended, &ended_count, &ended_size, connection);
}

void free_ended(void)
{
    while (ended_count > 0)
        free(ended[--ended_count]);
}

size_t frame_header(unsigned char header[10], size_t length)
{
    header[0] = 0x80 | OPCODE_TEXT;
    if (length < 126) {
        header[1] = (unsigned char)length;
        return 2;
    }
    int bytes = length < 65536 ? 2 : 8;
    header[1] = bytes == 2 ? 126 : 127;
    for (int i = 0; i < bytes; i++)
        header[2 + i] = (unsigned char)((uint64_t)length >> 8 * (bytes - 1 - i));
    return 2 + (size_t)bytes;
}

static void await_writable(struct connection *connection, bool wanted)
{
    if (connection->blocked == wanted)
        return;
    connection->blocked = wanted;
    struct epoll_event event = {.events = wanted ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = connection};
    epoll_ctl(epoll, EPOLL_CTL_MOD, connection->fd, &event);
}

/* How much of it the kernel took. */
static size_t send_some(struct connection *connection, const char *bytes, size_t length)
{
    ssize_t sent = send(connection->fd, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : (size_t)sent; /* an error shows when the connection is read */
}

void connection_write(struct connection *connection, const void *bytes, size_t length)
{
    buffer_append(&connection->output, bytes, length);
    if (!connection->dirty) {
        connection->dirty = true;
        push(&dirty, &dirty_count, &dirty_size, connection);
    }
}

void connection_send_now(struct connection *connection, const void *bytes, size_t length)
{
    size_t sent = connection->output.used == 0 ? send_some(connection, bytes, length) : 0;
    if (sent < length) {
        buffer_append(&connection->output, (const char *)bytes + sent, length - sent);
        await_writable(connection, true);
    }
}

void connection_frame(struct connection *connection, const char *text, size_t length)
{
    unsigned char header[10];
    connection_write(connection, header, frame_header(header, length));
    connection_write(connection, text, length);
}

void connection_writable(struct connection *connection)
{
    if (connection->ended || connection->output.used == 0)
        return;
    buffer_drop_front(&connection->output,
                      send_some(connection, connection->output.bytes, connection->output.used));
    await_writable(connection, connection->output.used > 0);
}

void flush_connections(void)
{
    for (size_t i = 0; i < dirty_count; i++) {
        dirty[i]->dirty = false;
        connection_writable(dirty[i]);
    }
    dirty_count = 0;
}

/* Answers a complete request and returns its length; 0: incomplete. */
static size_t shake(struct connection *connection, const char *bytes, size_t length)
{
    const char *last = memmem(bytes, length, "\r\n\r\n", 4);
    char response[RESPONSE_LIMIT];
    if (last == NULL)
        return 0;
    size_t request = (size_t)(last - bytes) + 4, answer = answer_handshake(bytes, request, response);
    if (answer == 0) {
        end(connection);
        return length;
    }
    connection_write(connection, response, answer);
    connection->open = true;
    return request;
}

/* Carries out one masked frame and returns its length; 0: incomplete. Unmasks in place. */
static size_t take_frame(struct connection *connection, char *bytes, size_t length)
{
    const unsigned char *header = (const unsigned char *)bytes;
    if (length < 2)
        return 0;
    size_t payload = header[1] & 0x7F, at = 2;
    if (payload >= 126) {
        size_t extended = payload == 126 ? 2 : 8;
        if (length < 2 + extended)
            return 0;
        for (payload = 0; at < 2 + extended; at++)
            payload = payload << 8 | header[at];
    }
    if (length < at + MASK_BYTES + payload)
        return 0;
    const char *mask = bytes + at;
    char *text = bytes + at + MASK_BYTES;
    for (size_t i = 0; i < payload; i++)
        text[i] ^= mask[i & 3];
    if ((header[0] & 0x0F) == OPCODE_TEXT)
        on_message(connection, text, payload);
    else if ((header[0] & 0x0F) == OPCODE_CLOSE)
        end(connection);
    return at + MASK_BYTES + payload;
}

/* Takes all that is complete; returns how much that was. */
static size_t take(struct connection *connection, char *bytes, size_t length)
{
    size_t at = 0;
    while (!connection->ended && at < length) {
        size_t taken = connection->open ? take_frame(connection, bytes + at, length - at)
                                        : shake(connection, bytes + at, length - at);
        if (taken == 0)
            break;
        at += taken;
    }
    return at;
}

void connection_readable(struct connection *connection)
{
    static char bytes[READ_BYTES];
    if (connection->ended)
        return;
    ssize_t length = recv(connection->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        end(connection);
    } else if (connection->input.used == 0) {
        size_t taken = take(connection, bytes, (size_t)length);
        if (!connection->ended && taken < (size_t)length)
            buffer_append(&connection->input, bytes + taken, (size_t)length - taken);
    } else {
        buffer_append(&connection->input, bytes, (size_t)length);
        size_t taken = take(connection, connection->input.bytes, connection->input.used);
        if (!connection->ended && taken > 0)
            buffer_drop_front(&connection->input, taken);
    }
}
