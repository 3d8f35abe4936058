/* The transport of a Socket.IO client that polls (Engine.IO 4): one request after the other on one connection.
 *
 * What the client has to send goes first, in a POST; else it polls with a GET. A response is a body of packets.
 */
#ifndef POLLING_H
#define POLLING_H

#include "client.h"

/* Begins with the request that opens the session. */
void polling_open(struct client *client, int port);

/* Bytes that were read. Ends the program when they are no response with status 200. */
void polling_take(struct client *client, const char *bytes, size_t length);

/* Sends a packet with the next request. */
void polling_send(struct client *client, const char *packet, size_t length);

#endif
