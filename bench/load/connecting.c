#include <stdio.h>

#include "loop.h"
#include "scenarios.h"

static void on_ready(struct client *client)
{
    (void)client;
    loop_client_ready();
}

static void on_line(struct client *client, const char *line, size_t length)
{
    (void)client;
    (void)line;
    (void)length;
}

static const struct scenario scenario = {on_ready, on_line};

void run_storm(const struct options *options)
{
    struct meter meter;
    loop_begin(options, &scenario, NULL);
    meter_start(&meter, options);
    loop_open(options->clients, ROLE_SUBSCRIBER, options->port);
    meter_stop(&meter, options);
    print_result(&meter, (uint64_t)options->clients, 0, NULL);
}

void run_idle(const struct options *options)
{
    loop_begin(options, &scenario, NULL);
    for (int stage = 0; stage < options->stage_count; stage++) {
        loop_open(options->stages[stage], ROLE_SUBSCRIBER, options->port);
        printf("{\"opened\": %d}\n", options->stages[stage]);
        fflush(stdout);
        if (!loop_until_line())
            return;
    }
}
