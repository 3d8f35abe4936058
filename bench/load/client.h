/* One WebSocket connection (RFC 6455) that does as little as possible with what it reads; or one that polls, polling.h.
 *
 * The payload of frames is cut into lines, which is how Centrifugo's protocol joins messages. While a connection is
 * being set up its lines are kept and shown to the dialect; after that only their lengths matter, and the text of
 * those that happen to be whole in what was read.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "options.h"

enum client_state { CLIENT_CONNECTING, CLIENT_SHAKING, CLIENT_JOINING, CLIENT_READY };
enum client_role { ROLE_SUBSCRIBER, ROLE_PUBLISHER };

struct client {
    int fd;
    int number;
    enum client_state state;
    enum client_role role;
    unsigned char header[14]; /* of the frame that is being read */
    int header_bytes;
    bool control;
    uint64_t frame_left; /* payload bytes of the frame that are still to come */
    size_t line_bytes;   /* of the line that is being read */
    char *setup;         /* the handshake's answer, then the line that is being read; only until the client is ready */
    size_t setup_bytes;
    struct polling *polling; /* NULL for a WebSocket */
    char *unsent; /* what the kernel did not take */
    size_t unsent_bytes;
};

/* What a scenario does with its clients. `line` is NULL when it did not arrive in one piece. */
struct scenario {
    void (*on_ready)(struct client *client);
    void (*on_line)(struct client *client, const char *line, size_t length);
};

/* Once, before all else. */
void clients_use(const struct options *options, const struct scenario *scenario, int epoll);

/* Starts to connect; on_ready follows. Ends the program when it cannot. */
void client_open(struct client *client, int number, enum client_role role, int port);

/* An event of epoll. Ends the program with a message when the server closes the connection. */
void client_event(struct client *client, uint32_t events);

/* Sends bytes that are frames already. */
void client_send(struct client *client, const char *frames, size_t length);

/* Keeps bytes in client->setup, with a zero after them. */
void client_keep(struct client *client, const char *bytes, size_t length);

/* A line or packet that was read; `line` is NULL when it did not arrive in one piece. */
void client_take_line(struct client *client, const char *line, size_t length);

/* Appends a masked text frame to `out`, which has room for 14 bytes more than `length`; returns the frame's length. */
size_t masked_frame(char *out, const char *text, size_t length);

#endif
