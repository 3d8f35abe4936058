/* As much of Centrifugo's client protocol (JSON) as the load generator speaks, by substring search. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>

#include "floor.h"

/* The text after `mark` within [text, end), or NULL. */
static const char *after(const char *text, const char *end, const char *mark)
{
    const char *found = memmem(text, (size_t)(end - text), mark, strlen(mark));
    return found == NULL ? NULL : found + strlen(mark);
}

static void reply(struct connection *connection, const char *line, const char *end, const char *result)
{
    char text[128];
    const char *number = after(line, end, "\"id\":");
    int digits = 0;
    while (number != NULL && number + digits < end && number[digits] >= '0' && number[digits] <= '9')
        digits++;
    if (digits > 0)
        connection_frame(connection, text,
                         (size_t)snprintf(text, sizeof text, "{\"id\":%.*s,%s}", digits, number, result));
}

static void on_command(struct connection *connection, const char *line, const char *end)
{
    const char *name = after(line, end, "\"channel\":\"");
    const char *name_end = name == NULL ? NULL : memchr(name, '"', (size_t)(end - name));
    const char *data;
    if (name_end == NULL) {
        if (after(line, end, "\"connect\":") != NULL)
            reply(connection, line, end, "\"connect\":{\"client\":\"floor\",\"version\":\"floor\"}");
    } else if (after(line, name, "\"publish\":") != NULL && (data = after(name_end, end, "\"data\":")) != NULL) {
        publish(name, (size_t)(name_end - name), data, (size_t)(end - data) - 2); /* 2: the closing braces */
        reply(connection, line, end, "\"publish\":{}");
    } else {
        subscribe(connection, name, (size_t)(name_end - name));
        reply(connection, line, end, "\"subscribe\":{}");
    }
}

void on_message(struct connection *connection, const char *text, size_t length)
{
    const char *end = text + length;
    while (text < end) {
        const char *line_end = memchr(text, '\n', (size_t)(end - text));
        if (line_end == NULL)
            line_end = end;
        on_command(connection, text, line_end);
        text = line_end + 1;
    }
}
