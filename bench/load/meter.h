/* What was used between two moments: time, the server's CPU time, and our own. */
#ifndef METER_H
#define METER_H

#include <stdint.h>

#include "options.h"

struct meter {
    int64_t began;
    int64_t wall, server_cpu, load_cpu; /* nanoseconds; of the whole span once it was stopped */
};

int64_t now_nanoseconds(void); /* CLOCK_MONOTONIC */

void meter_start(struct meter *meter, const struct options *options);
void meter_stop(struct meter *meter, const struct options *options);

#endif
