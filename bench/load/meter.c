#define _GNU_SOURCE
#include "meter.h"

#include <time.h>

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    return clock_gettime(clock, &now) == 0 ? now.tv_sec * 1000000000LL + now.tv_nsec : 0;
}

int64_t now_nanoseconds(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* User and system time of the server's processes with all their threads, to the nanosecond. */
static int64_t server_cpu(const struct options *options)
{
    int64_t sum = 0;
    for (int i = 0; i < options->process_count; i++) {
        clockid_t clock;
        if (clock_getcpuclockid(options->processes[i], &clock) != 0)
            fail("process %d of the server has ended", (int)options->processes[i]);
        sum += read_clock(clock);
    }
    return sum;
}

void meter_start(struct meter *meter, const struct options *options)
{
    meter->server_cpu = -server_cpu(options);
    meter->load_cpu = -read_clock(CLOCK_PROCESS_CPUTIME_ID);
    meter->began = now_nanoseconds();
    meter->wall = -meter->began;
}

void meter_stop(struct meter *meter, const struct options *options)
{
    meter->wall += now_nanoseconds();
    meter->server_cpu += server_cpu(options);
    meter->load_cpu += read_clock(CLOCK_PROCESS_CPUTIME_ID);
}
