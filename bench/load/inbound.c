#include <stdlib.h>
#include <string.h>

#include "dialect.h"
#include "loop.h"
#include "scenarios.h"

static const struct options *options;
static char *batch; /* the commands of one write */
static size_t batch_bytes;
static int *unanswered; /* by the client's number */
static uint64_t answered;
static bool started;

static void send_batch(struct client *client)
{
    unanswered[client->number] = options->in_flight;
    client_send(client, batch, batch_bytes);
}

static void on_ready(struct client *client)
{
    (void)client;
    loop_client_ready();
}

static void on_line(struct client *client, const char *line, size_t length)
{
    (void)line;
    (void)length;
    if (!started)
        return;
    answered++;
    if (--unanswered[client->number] == 0)
        send_batch(client);
}

static void make_batch(void)
{
    char text[MESSAGE_LIMIT];
    size_t length = dialect_publish(options, CHANNEL_EMPTY, 2, 0, text);
    batch = malloc((length + 14) * (size_t)options->in_flight);
    unanswered = calloc((size_t)options->clients, sizeof *unanswered);
    if (batch == NULL || unanswered == NULL)
        fail("out of memory");
    for (int i = 0; i < options->in_flight; i++)
        batch_bytes += masked_frame(batch + batch_bytes, text, length);
}

void run_inbound(const struct options *given)
{
    static const struct scenario scenario = {on_ready, on_line};
    struct meter meter;
    options = given;
    make_batch();
    loop_begin(options, &scenario, NULL);
    struct client *clients = loop_open(options->clients, ROLE_PUBLISHER, options->port);
    started = true;
    for (int i = 0; i < options->clients; i++)
        send_batch(&clients[i]);
    loop_run(options->warm_up);
    uint64_t before = answered;
    meter_start(&meter, options);
    loop_run(options->seconds);
    meter_stop(&meter, options);
    print_result(&meter, answered - before, answered - before, NULL);
}
