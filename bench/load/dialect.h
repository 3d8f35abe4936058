/* The protocols that are spoken: Centrifugo's client protocol in JSON, Socket.IO's (version 5, Engine.IO 4) by WebSocket
 * or polling, and the bare or enveloped messages of a route of this repository's server. */
#ifndef DIALECT_H
#define DIALECT_H

#include "client.h"

enum { MESSAGE_LIMIT = 32768 };

extern const char *const CHANNEL_SUBSCRIBED;
extern const char *const CHANNEL_EMPTY; /* nobody subscribes to it */

/* True when the client polls instead of opening a WebSocket; publishers never do. */
bool dialect_polls(const struct options *options, const struct client *client);

/* The path of the handshake's request, and whether it has the client's token in a header. */
const char *dialect_path(const struct options *options, const struct client *client);
bool dialect_token_in_header(const struct options *options);

/* The client's token. */
const char *dialect_token(const struct options *options, const struct client *client);

/* True when a client is ready once its WebSocket is open. */
bool dialect_ready_at_once(const struct options *options);

/* Writes what a client sends once its WebSocket is open (text, not a frame); 0: nothing, the server speaks first. */
size_t dialect_greeting(const struct options *options, const struct client *client, char text[MESSAGE_LIMIT]);

/* Looks at a line that came during the setup. Writes what is to be sent next, if anything, and says whether the
 * client is ready now. Ends the program when the server refuses. */
bool dialect_setup(const struct options *options, const struct client *client, const char *line, size_t length,
                   char text[MESSAGE_LIMIT], size_t *answer);

/* Writes a publish command for `channel` whose data has exactly options->data_bytes and begins with `stamp`. */
size_t dialect_publish(const struct options *options, const char *channel, uint32_t id, int64_t stamp,
                       char text[MESSAGE_LIMIT]);

/* The stamp of the publication in a line; -1: there is none. */
int64_t dialect_stamp(const char *line, size_t length);

/* The answer to a line that is the protocol's ping; NULL: it is none. */
const char *dialect_pong(const struct options *options, const char *line, size_t length);

#endif
