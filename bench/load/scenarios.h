/* What can be done to a server. Each prints one JSON object (a line) on standard output for what it measured. */
#ifndef SCENARIOS_H
#define SCENARIOS_H

#include "histogram.h"
#include "meter.h"
#include "options.h"

/* Publications to subscribers of one channel: options->in_flight kept on their way, or options->rate a second. */
void run_fan_out(const struct options *options);

/* Publish commands to a channel without subscribers: each client has options->in_flight unanswered, in one write. */
void run_inbound(const struct options *options);

/* options->clients connections, options->at_once at a time, which stay open; with options->bare the handshake only. */
void run_storm(const struct options *options);

/* Opens options->stages connections one after the other; waits for a line on standard input after each. */
void run_idle(const struct options *options);

/* Prints what was measured; `count` is what the scenario counts. */
void print_result(const struct meter *meter, uint64_t count, uint64_t published, const struct histogram *latency);

#endif
