#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "floor.h"

void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    if (buffer->used + length > buffer->size) {
        buffer->size = (buffer->used + length) * 2;
        buffer->bytes = realloc(buffer->bytes, buffer->size);
        if (buffer->bytes == NULL) {
            fputs("floor: out of memory\n", stderr);
            exit(1);
        }
    }
    memcpy(buffer->bytes + buffer->used, bytes, length);
    buffer->used += length;
}

void buffer_drop_front(struct buffer *buffer, size_t length)
{
    buffer->used -= length;
    if (buffer->used == 0)
        buffer_free(buffer);
    else
        memmove(buffer->bytes, buffer->bytes + length, buffer->used);
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
