/* The opening handshake of a WebSocket server (RFC 6455, section 4.2.2). */
#ifndef HANDSHAKE_H
#define HANDSHAKE_H

#include <stddef.h>

enum { SHA1_BYTES = 20, ACCEPT_CHARACTERS = 28, RESPONSE_LIMIT = 256 };

/* SHA-1 (RFC 3174) of `length` bytes; `length` must be below 248, which is more than a handshake needs. */
void sha1(const char *data, size_t length, unsigned char digest[SHA1_BYTES]);

/* Sec-WebSocket-Accept for a key of `length` characters, with its terminating zero. */
void accept_key(const char *key, size_t length, char accept[ACCEPT_CHARACTERS + 1]);

/* Writes the answer to a complete request (it ends with an empty line) and returns its length; 0: no WebSocket key. */
size_t answer_handshake(const char *request, size_t length, char response[RESPONSE_LIMIT]);

#endif
