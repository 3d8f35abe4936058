/* What the parts of the floor share: connections, channels, and the loop that owns them. */
#ifndef FLOOR_H
#define FLOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CHANNELS = 16, NAME_LIMIT = 64 };

/* Bytes that grow. */
struct buffer {
    char *bytes;
    size_t used, size;
};

void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_drop_front(struct buffer *buffer, size_t length);
void buffer_free(struct buffer *buffer);

struct connection {
    int fd;
    bool open;           /* the handshake is done */
    bool dirty;          /* is in the list of those with something to write */
    bool blocked;        /* the kernel takes no more: EPOLLOUT is awaited */
    bool ended;
    int channel;         /* -1: no subscription */
    size_t place;        /* in the channel's list of subscribers */
    struct buffer input; /* an incomplete request or frame */
    struct buffer output;
};

struct channel {
    char name[NAME_LIMIT];
    struct connection **subscribers;
    size_t count, size;
    struct buffer gathered; /* frames that all subscribers get with the next flush */
};

/* commands.c: carries out the commands of one text message and writes the replies. */
void on_message(struct connection *connection, const char *text, size_t length);

/* channels.c */
void subscribe(struct connection *connection, const char *name, size_t length);
void unsubscribe(struct connection *connection);
void publish(const char *name, size_t name_length, const char *data, size_t length);
bool channels_gathered(void);
void flush_channels(void);

/* connections.c */
void connection_watch(int epoll);
void connection_open(int fd);
void connection_readable(struct connection *connection);
void connection_writable(struct connection *connection);
void connection_write(struct connection *connection, const void *bytes, size_t length);
void connection_send_now(struct connection *connection, const void *bytes, size_t length);
void connection_frame(struct connection *connection, const char *text, size_t length);
void flush_connections(void);
void free_ended(void);

/* Writes the header of an unmasked text frame (RFC 6455, section 5.2) and returns its length. */
size_t frame_header(unsigned char header[10], size_t length);

#endif
