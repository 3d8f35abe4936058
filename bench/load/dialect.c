#define _GNU_SOURCE
#include "dialect.h"

#include <stdio.h>
#include <string.h>

enum { STAMP_DIGITS = 19 };

static const char MARK[] = "{\"t\":\"", FILL[] = "\",\"p\":\"", END[] = "\"}";

const char *const CHANNEL_SUBSCRIBED = "open:bench";
const char *const CHANNEL_EMPTY = "open:nobody";

const char *dialect_token(const struct options *options, const struct client *client)
{
    return options->tokens[client->number % options->token_count];
}

static bool has(const char *line, size_t length, const char *mark)
{
    return memmem(line, length, mark, strlen(mark)) != NULL;
}

static bool is_socketio(const struct options *options)
{
    return options->protocol == SOCKET_IO || options->protocol == SOCKET_IO_POLLING;
}

bool dialect_polls(const struct options *options, const struct client *client)
{
    return options->protocol == SOCKET_IO_POLLING && client->role == ROLE_SUBSCRIBER;
}

const char *dialect_path(const struct options *options, const struct client *client)
{
    if (options->protocol == PLAIN)
        return client->role == ROLE_SUBSCRIBER ? "/ws/subscribe" : "/ws/publish";
    return is_socketio(options) ? "/socket.io/?EIO=4&transport=websocket" : "/connection/websocket";
}

bool dialect_token_in_header(const struct options *options)
{
    return options->protocol == PLAIN;
}

bool dialect_ready_at_once(const struct options *options)
{
    return options->bare || options->protocol == PLAIN;
}

size_t dialect_greeting(const struct options *options, const struct client *client, char text[MESSAGE_LIMIT])
{
    if (options->protocol != CENTRIFUGO)
        return 0;
    int length = snprintf(text, MESSAGE_LIMIT, "{\"id\":1,\"connect\":{\"token\":\"%s\"}}", dialect_token(options, client));
    if (client->role == ROLE_SUBSCRIBER)
        length += snprintf(text + length, (size_t)(MESSAGE_LIMIT - length),
                           "\n{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", CHANNEL_SUBSCRIBED);
    return (size_t)length;
}

static bool setup_centrifugo(const struct client *client, const char *line, size_t length)
{
    if (has(line, length, "\"error\":"))
        fail("the server refuses client %d: %.*s", client->number, (int)length, line);
    return has(line, length, client->role == ROLE_SUBSCRIBER ? "\"subscribe\":" : "\"connect\":");
}

/* 0: Engine.IO is open. 40: the namespace is connected. 43: an acknowledgement. 44: refused. */
static bool setup_socketio(const struct options *options, const struct client *client, const char *line,
                           size_t length, char text[MESSAGE_LIMIT], size_t *answer)
{
    if (line[0] == '0')
        *answer = (size_t)snprintf(text, MESSAGE_LIMIT, "40{\"token\":\"%s\"}", dialect_token(options, client));
    else if (length >= 2 && strncmp(line, "44", 2) == 0)
        fail("the server refuses client %d: %.*s", client->number, (int)length, line);
    else if (length >= 2 && strncmp(line, "40", 2) == 0 && client->role == ROLE_SUBSCRIBER)
        *answer = (size_t)snprintf(text, MESSAGE_LIMIT, "420[\"subscribe\",\"%s\"]", CHANNEL_SUBSCRIBED);
    else
        return length >= 2 && (strncmp(line, "40", 2) == 0 || strncmp(line, "43", 2) == 0);
    return false;
}

bool dialect_setup(const struct options *options, const struct client *client, const char *line, size_t length,
                   char text[MESSAGE_LIMIT], size_t *answer)
{
    *answer = 0;
    return is_socketio(options) ? setup_socketio(options, client, line, length, text, answer)
                                : setup_centrifugo(client, line, length);
}

/* What comes before and after the data of a publish command. */
static int publish_begin(const struct options *options, const char *channel, uint32_t id, char *text)
{
    switch (options->protocol) {
    case CENTRIFUGO:
        return snprintf(text, MESSAGE_LIMIT, "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":", id, channel);
    case PLAIN: /* the route says where */
        return 0;
    default:
        return snprintf(text, MESSAGE_LIMIT, "42%u[\"publish\",\"%s\",\"pub\",", id, channel);
    }
}

static const char *publish_end(const struct options *options)
{
    return options->protocol == CENTRIFUGO ? "}}" : options->protocol == PLAIN ? "" : "]";
}

size_t dialect_publish(const struct options *options, const char *channel, uint32_t id, int64_t stamp,
                       char text[MESSAGE_LIMIT])
{
    int fill = options->data_bytes - (int)(sizeof MARK + sizeof FILL + sizeof END - 3) - STAMP_DIGITS;
    int length = publish_begin(options, channel, id, text);
    length += snprintf(text + length, (size_t)(MESSAGE_LIMIT - length), "%s%0*lld%s", MARK, STAMP_DIGITS,
                       (long long)stamp, FILL);
    memset(text + length, 'x', (size_t)fill);
    length += fill;
    length += snprintf(text + length, (size_t)(MESSAGE_LIMIT - length), "%s%s", END, publish_end(options));
    return (size_t)length;
}

int64_t dialect_stamp(const char *line, size_t length)
{
    static size_t last; /* where it was in the line before: nearly always it is there again */
    const char *at = line + last;
    if (last + sizeof MARK - 1 + STAMP_DIGITS > length || memcmp(at, MARK, sizeof MARK - 1) != 0)
        at = memmem(line, length, MARK, sizeof MARK - 1);
    if (at == NULL || (size_t)(at - line) + sizeof MARK - 1 + STAMP_DIGITS > length)
        return -1;
    last = (size_t)(at - line);
    int64_t stamp = 0;
    for (const char *digit = at + sizeof MARK - 1; digit < at + sizeof MARK - 1 + STAMP_DIGITS; digit++)
        stamp = stamp * 10 + (*digit - '0');
    return stamp;
}

const char *dialect_pong(const struct options *options, const char *line, size_t length)
{
    if (is_socketio(options))
        return length == 1 && line[0] == '2' ? "3" : NULL;
    return options->protocol == CENTRIFUGO && length == 2 && line[0] == '{' ? "{}" : NULL;
}
