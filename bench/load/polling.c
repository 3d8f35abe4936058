#define _GNU_SOURCE
#include "polling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dialect.h"

enum { SEPARATOR = 0x1e, REQUEST_LIMIT = 512, STAMP_DIGITS = 8 };

static const char STAMP[] = "&t=";

struct polling {
    char get[REQUEST_LIMIT]; /* the request that is sent again and again, but for its stamp */
    size_t get_bytes;
    char *stamp;         /* in `get`: eight digits that differ in every request, as those of stock clients do */
    char post[REQUEST_LIMIT];
    bool posting;        /* the response that is awaited is that of a POST */
    char *outgoing;      /* packets to send */
    size_t outgoing_bytes;
    uint32_t requests;
};

/* Writes the parts of requests that do not change; without a session id the session is opened. */
static void make_requests(struct polling *polling, int port, const char *sid, size_t sid_bytes)
{
    static const char query[] = "/socket.io/?EIO=4&transport=polling&t=00000000";
    const char *parameter = sid_bytes > 0 ? "&sid=" : "";
    int get = snprintf(polling->get, REQUEST_LIMIT,
                       "GET %s%s%.*s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
                       query, parameter, (int)sid_bytes, sid, port);
    int post = snprintf(polling->post, REQUEST_LIMIT,
                        "POST %s%s%.*s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: */*\r\nConnection: keep-alive\r\n"
                        "Content-Type: text/plain;charset=UTF-8\r\nContent-Length: ",
                        query, parameter, (int)sid_bytes, sid, port);
    if (get >= REQUEST_LIMIT || post >= REQUEST_LIMIT)
        fail("the id of a session has %zu bytes", sid_bytes);
    polling->get_bytes = (size_t)get;
    polling->stamp = strstr(polling->get, STAMP) + sizeof STAMP - 1;
}

static void send_get(struct client *client)
{
    static const char digits[] = "0123456789abcdef";
    struct polling *polling = client->polling;
    uint32_t stamp = polling->requests++;
    for (int i = STAMP_DIGITS - 1; i >= 0; i--, stamp >>= 4)
        polling->stamp[i] = digits[stamp & 15];
    client_send(client, polling->get, polling->get_bytes);
}

static void send_post(struct client *client)
{
    struct polling *polling = client->polling;
    char head[REQUEST_LIMIT + 32];
    int length = snprintf(head, sizeof head, "%s%zu\r\n\r\n", polling->post, polling->outgoing_bytes);
    client_send(client, head, (size_t)length);
    client_send(client, polling->outgoing, polling->outgoing_bytes);
    polling->outgoing_bytes = 0;
    polling->posting = true;
}

void polling_open(struct client *client, int port)
{
    client->polling = calloc(1, sizeof *client->polling);
    if (client->polling == NULL)
        fail("out of memory");
    make_requests(client->polling, port, "", 0);
    client->state = CLIENT_JOINING;
    send_get(client);
}

void polling_send(struct client *client, const char *packet, size_t length)
{
    struct polling *polling = client->polling;
    size_t separator = polling->outgoing_bytes > 0 ? 1 : 0;
    polling->outgoing = realloc(polling->outgoing, polling->outgoing_bytes + separator + length);
    if (polling->outgoing == NULL)
        fail("out of memory");
    if (separator > 0)
        polling->outgoing[polling->outgoing_bytes++] = SEPARATOR;
    memcpy(polling->outgoing + polling->outgoing_bytes, packet, length);
    polling->outgoing_bytes += length;
}

/* Finds the body of a response that is complete; false: more bytes are needed. */
static bool find_body(const struct client *client, const char *bytes, size_t length, const char **body, size_t *size)
{
    static const char ok[] = "HTTP/1.1 200 ", name[] = "\r\nContent-Length: ";
    const char *end = memmem(bytes, length, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    *body = end + 4;
    const char *field = memmem(bytes, (size_t)(*body - bytes), name, sizeof name - 1);
    if (strncmp(bytes, ok, sizeof ok - 1) != 0 || field == NULL)
        fail("the server answers client %d: %.*s", client->number, (int)length, bytes);
    *size = strtoul(field + sizeof name - 1, NULL, 10);
    size_t there = length - (size_t)(*body - bytes);
    if (there > *size)
        fail("client %d gets more than the response to its request", client->number);
    return there == *size;
}

/* The packet that opens a session has its id, which all further requests have. */
static void take_opening(struct client *client, const char *body, size_t length)
{
    static const char mark[] = "0{\"sid\":\"";
    const char *sid = body + sizeof mark - 1;
    const char *port = strstr(client->polling->get, "127.0.0.1:") + sizeof "127.0.0.1:" - 1;
    const char *end = length < sizeof mark ? NULL : memchr(sid, '"', length - (sizeof mark - 1));
    if (end == NULL || memcmp(body, mark, sizeof mark - 1) != 0)
        fail("the server opens no session for client %d: %.*s", client->number, (int)length, body);
    make_requests(client->polling, atoi(port), sid, (size_t)(end - sid));
}

static void take_body(struct client *client, const char *body, size_t length)
{
    if (client->polling->requests == 1 && !client->polling->posting)
        take_opening(client, body, length);
    for (const char *end = body + length; body < end;) {
        const char *separator = memchr(body, SEPARATOR, (size_t)(end - body));
        size_t packet = separator == NULL ? (size_t)(end - body) : (size_t)(separator - body);
        client_take_line(client, body, packet);
        body += packet + 1;
    }
}

void polling_take(struct client *client, const char *bytes, size_t length)
{
    struct polling *polling = client->polling;
    const char *body;
    size_t size;
    if (client->setup_bytes > 0) {
        client_keep(client, bytes, length);
        bytes = client->setup;
        length = client->setup_bytes;
    }
    if (!find_body(client, bytes, length, &body, &size)) {
        if (client->setup_bytes == 0)
            client_keep(client, bytes, length);
        return;
    }
    client->setup_bytes = 0;
    if (!polling->posting)
        take_body(client, body, size);
    polling->posting = false;
    if (polling->outgoing_bytes > 0)
        send_post(client);
    else
        send_get(client);
}
