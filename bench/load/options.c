#define _GNU_SOURCE
#include "options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_LIMIT = 4096 };

void fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void read_tokens(struct options *options, const char *path)
{
    char line[TOKEN_LIMIT];
    int size = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail("%s: cannot be read", path);
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (options->token_count == size) {
            size = size ? size * 2 : 64;
            options->tokens = realloc(options->tokens, (size_t)size * sizeof *options->tokens);
        }
        if (options->tokens == NULL || (options->tokens[options->token_count++] = strdup(line)) == NULL)
            fail("out of memory");
    }
    fclose(file);
    if (options->token_count == 0)
        fail("%s: there is no token in it", path);
}

/* Numbers with commas between them; returns how many. */
static int numbers(const char *text, int *found, int limit)
{
    int count = 0;
    for (char *end; count < limit; text = end + 1) {
        found[count++] = (int)strtol(text, &end, 10);
        if (*end != ',')
            break;
    }
    return count;
}

static enum protocol protocol_named(const char *name)
{
    static const char *const names[] = {"centrifugo", "socket.io", "socket.io-polling", "plain"};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum protocol)i;
    fail("--protocol: centrifugo, socket.io, socket.io-polling or plain, not %s", name);
}

static void set(struct options *options, const char *name, const char *value)
{
    if (strcmp(name, "port") == 0)
        options->port = atoi(value);
    else if (strcmp(name, "publish-port") == 0)
        options->publish_port = atoi(value);
    else if (strcmp(name, "clients") == 0)
        options->clients = atoi(value);
    else if (strcmp(name, "stages") == 0)
        options->stage_count = numbers(value, options->stages, STAGES);
    else if (strcmp(name, "at-once") == 0)
        options->at_once = atoi(value);
    else if (strcmp(name, "in-flight") == 0)
        options->in_flight = atoi(value);
    else if (strcmp(name, "data-bytes") == 0)
        options->data_bytes = atoi(value);
    else if (strcmp(name, "rate") == 0)
        options->rate = atof(value);
    else if (strcmp(name, "warm-up") == 0)
        options->warm_up = atof(value);
    else if (strcmp(name, "seconds") == 0)
        options->seconds = atof(value);
    else if (strcmp(name, "processes") == 0)
        options->process_count = numbers(value, options->processes, PROCESSES);
    else if (strcmp(name, "protocol") == 0)
        options->protocol = protocol_named(value);
    else if (strcmp(name, "tokens") == 0)
        read_tokens(options, value);
}

void options_parse(struct options *options, int count, char **arguments)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 0},       {"publish-port", required_argument, NULL, 0},
        {"clients", required_argument, NULL, 0},    {"stages", required_argument, NULL, 0},
        {"at-once", required_argument, NULL, 0},    {"in-flight", required_argument, NULL, 0},
        {"data-bytes", required_argument, NULL, 0}, {"rate", required_argument, NULL, 0},
        {"warm-up", required_argument, NULL, 0},    {"seconds", required_argument, NULL, 0},
        {"processes", required_argument, NULL, 0},  {"tokens", required_argument, NULL, 0},
        {"protocol", required_argument, NULL, 0},   {"bare", no_argument, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    int index, found;
    *options = (struct options){
        .clients = 1000, .at_once = 64, .in_flight = 1, .data_bytes = 128, .warm_up = 0.3, .seconds = 2};
    while ((found = getopt_long(count, arguments, "", known, &index)) != -1) {
        if (found == 'b')
            options->bare = true;
        else if (found == 0)
            set(options, known[index].name, optarg);
        else
            exit(2);
    }
    if (optind + 1 != count)
        fail("usage: load [OPTION=VALUE]... fan-out|inbound|storm|idle");
    options->scenario = arguments[optind];
    if (options->publish_port == 0)
        options->publish_port = options->port;
    if (options->port == 0 || options->tokens == NULL)
        fail("--port and --tokens are needed");
    if (options->data_bytes < 64 || options->data_bytes > 16384)
        fail("--data-bytes: 64 to 16384, not %d", options->data_bytes);
}
