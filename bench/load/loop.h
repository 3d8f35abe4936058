/* The event loop of the load generator. */
#ifndef LOOP_H
#define LOOP_H

#include "client.h"

/* Once, before all else; `on_turn` (may be NULL) is called often, with the time in nanoseconds. */
void loop_begin(const struct options *options, const struct scenario *scenario, void (*on_turn)(int64_t now));

/* Opens `count` connections, options->at_once at a time, and returns when all are ready. Clients are numbered on. */
struct client *loop_open(int count, enum client_role role, int port);

/* Runs for so many seconds. */
void loop_run(double seconds);

/* Runs until a line can be read from standard input; false: it was closed. */
bool loop_until_line(void);

/* To be called by a scenario's on_ready. */
void loop_client_ready(void);

/* Wakes the loop up `per_second` times a second from now on, so that on_turn is called in time. */
void loop_wake(double per_second);

#endif
