#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "floor.h"

static struct channel channels[CHANNELS];
static int used;

/* The index of a channel, which is made when it is not there; ends the program when there are too many. */
static int find(const char *name, size_t length)
{
    if (length >= NAME_LIMIT)
        length = NAME_LIMIT - 1;
    for (int i = 0; i < used; i++)
        if (strncmp(channels[i].name, name, length) == 0 && channels[i].name[length] == '\0')
            return i;
    if (used == CHANNELS) {
        fputs("floor: more channels than it is made for\n", stderr);
        exit(1);
    }
    memcpy(channels[used].name, name, length);
    return used++;
}

void subscribe(struct connection *connection, const char *name, size_t length)
{
    int index = find(name, length);
    struct channel *channel = &channels[index];
    if (connection->channel >= 0)
        return;
    if (channel->count == channel->size) {
        channel->size = channel->size ? channel->size * 2 : 64;
        channel->subscribers = realloc(channel->subscribers, channel->size * sizeof *channel->subscribers);
        if (channel->subscribers == NULL) {
            fputs("floor: out of memory\n", stderr);
            exit(1);
        }
    }
    connection->channel = index;
    connection->place = channel->count;
    channel->subscribers[channel->count++] = connection;
}

void unsubscribe(struct connection *connection)
{
    if (connection->channel < 0)
        return;
    struct channel *channel = &channels[connection->channel];
    struct connection *last = channel->subscribers[--channel->count];
    channel->subscribers[connection->place] = last;
    last->place = connection->place;
    connection->channel = -1;
}

void publish(const char *name, size_t name_length, const char *data, size_t length)
{
    static const char before[] = "{\"push\":{\"channel\":\"", between[] = "\",\"pub\":{\"data\":", last[] = "}}}";
    struct channel *channel = &channels[find(name, name_length)];
    unsigned char header[10];
    if (channel->count == 0)
        return;
    size_t whole = sizeof before + sizeof between + sizeof last - 3 + name_length + length;
    buffer_append(&channel->gathered, header, frame_header(header, whole));
    buffer_append(&channel->gathered, before, sizeof before - 1);
    buffer_append(&channel->gathered, name, name_length);
    buffer_append(&channel->gathered, between, sizeof between - 1);
    buffer_append(&channel->gathered, data, length);
    buffer_append(&channel->gathered, last, sizeof last - 1);
}

bool channels_gathered(void)
{
    for (int i = 0; i < used; i++)
        if (channels[i].gathered.used > 0)
            return true;
    return false;
}

void flush_channels(void)
{
    for (int i = 0; i < used; i++) {
        struct channel *channel = &channels[i];
        if (channel->gathered.used == 0)
            continue;
        for (size_t place = 0; place < channel->count; place++)
            connection_send_now(channel->subscribers[place], channel->gathered.bytes, channel->gathered.used);
        channel->gathered.used = 0; /* its memory is used again by the next */
    }
}
