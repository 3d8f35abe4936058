/* The load generator: one process, one thread, epoll. See scenarios.h for what it can do, options.c for its arguments. */
#include <stdio.h>
#include <string.h>

#include "scenarios.h"

void print_result(const struct meter *meter, uint64_t count, uint64_t published, const struct histogram *latency)
{
    printf("{\"count\": %llu, \"published\": %llu, \"wall\": %.9f, \"server_cpu\": %.9f, \"load_cpu\": %.9f",
           (unsigned long long)count, (unsigned long long)published, (double)meter->wall / 1e9,
           (double)meter->server_cpu / 1e9, (double)meter->load_cpu / 1e9);
    if (latency != NULL && latency->count > 0)
        printf(", \"latency\": {\"p50\": %.1f, \"p99\": %.1f, \"highest\": %.1f, \"count\": %llu}",
               histogram_quantile(latency, 0.5), histogram_quantile(latency, 0.99), (double)latency->highest / 1e3,
               (unsigned long long)latency->count);
    puts("}");
}

int main(int count, char **arguments)
{
    static const struct {
        const char *name;
        void (*run)(const struct options *options);
    } scenarios[] = {{"fan-out", run_fan_out}, {"inbound", run_inbound}, {"storm", run_storm}, {"idle", run_idle}};
    static struct options options;
    options_parse(&options, count, arguments);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        if (strcmp(options.scenario, scenarios[i].name) == 0) {
            scenarios[i].run(&options);
            return 0;
        }
    fail("%s: no such scenario", options.scenario);
}
