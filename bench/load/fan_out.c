#include <stdlib.h>

#include "dialect.h"
#include "loop.h"
#include "scenarios.h"

/* Of publications at saturation one client in so many reads the stamp: reading all would cost what is measured. */
enum { SAMPLED = 8 };

static const struct options *options;
static struct client *publisher;
static struct histogram latency;
static uint64_t published, delivered;
static int64_t due; /* when the next publication is, at a rate */
static int sampled;

/* `stamp` is when it was to be sent: what the generator itself is late with counts as latency too. */
static void publish(int64_t stamp)
{
    char text[MESSAGE_LIMIT], frame[MESSAGE_LIMIT + 14];
    size_t length = dialect_publish(options, CHANNEL_SUBSCRIBED, (uint32_t)(published++ % 1000000) + 2, stamp, text);
    client_send(publisher, frame, masked_frame(frame, text, length));
}

/* In flight are publications, by the number of deliveries that are missing. */
static void keep_in_flight(void)
{
    while (published - delivered / (uint64_t)options->clients < (uint64_t)options->in_flight)
        publish(now_nanoseconds());
}

static void on_ready(struct client *client)
{
    (void)client;
    loop_client_ready();
}

/* A publication is recognised by its length: nothing else that is sent to a ready client is as long as its data. */
static void on_line(struct client *client, const char *line, size_t length)
{
    if (client == publisher || length < (size_t)options->data_bytes)
        return;
    delivered++;
    if (line == NULL || client->number % sampled != 0)
        return;
    int64_t stamp = dialect_stamp(line, length);
    if (stamp >= 0)
        histogram_add(&latency, now_nanoseconds() - stamp);
}

static void on_turn(int64_t now)
{
    if (publisher == NULL)
        return;
    if (options->rate <= 0)
        keep_in_flight();
    for (; options->rate > 0 && now >= due; due += (int64_t)(1e9 / options->rate))
        publish(due);
}

void run_fan_out(const struct options *given)
{
    static const struct scenario scenario = {on_ready, on_line};
    struct meter meter;
    options = given;
    sampled = options->rate > 0 ? 1 : SAMPLED;
    loop_begin(options, &scenario, on_turn);
    loop_open(options->clients, ROLE_SUBSCRIBER, options->port);
    struct client *opened = loop_open(1, ROLE_PUBLISHER, options->publish_port);
    due = now_nanoseconds();
    publisher = opened;
    if (options->rate > 0)
        loop_wake(options->rate);
    loop_run(options->warm_up);
    uint64_t delivered_before = delivered, published_before = published;
    latency = (struct histogram){0};
    meter_start(&meter, options);
    loop_run(options->seconds);
    meter_stop(&meter, options);
    print_result(&meter, delivered - delivered_before, published - published_before, &latency);
}
