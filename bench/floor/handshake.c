#define _GNU_SOURCE
#include "handshake.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 64, MESSAGE_LIMIT = 256, KEY_LIMIT = 64 };

static uint32_t rotate(uint32_t value, int by)
{
    return value << by | value >> (32 - by);
}

static void sha1_block(uint32_t state[5], const unsigned char *block)
{
    uint32_t w[80], a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int t = 0; t < 16; t++)
        w[t] = (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 | (uint32_t)block[4 * t + 2] << 8
             | block[4 * t + 3];
    for (int t = 16; t < 80; t++)
        w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
    for (int t = 0; t < 80; t++) {
        uint32_t f, k;
        if (t < 20)
            f = (b & c) | (~b & d), k = 0x5A827999;
        else if (t < 40)
            f = b ^ c ^ d, k = 0x6ED9EBA1;
        else if (t < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8F1BBCDC;
        else
            f = b ^ c ^ d, k = 0xCA62C1D6;
        uint32_t next = rotate(a, 5) + f + e + k + w[t];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

void sha1(const char *data, size_t length, unsigned char digest[SHA1_BYTES])
{
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    unsigned char message[MESSAGE_LIMIT] = {0};
    size_t padded = (length + 8) / BLOCK * BLOCK + BLOCK;
    memcpy(message, data, length);
    message[length] = 0x80;
    message[padded - 2] = (unsigned char)(length * 8 >> 8);
    message[padded - 1] = (unsigned char)(length * 8);
    for (size_t at = 0; at < padded; at += BLOCK)
        sha1_block(state, message + at);
    for (int i = 0; i < SHA1_BYTES; i++)
        digest[i] = (unsigned char)(state[i / 4] >> (24 - i % 4 * 8));
}

/* Base64 (RFC 4648) of a SHA-1: 20 bytes are 6 whole groups and 2 bytes. */
static void base64_digest(const unsigned char digest[SHA1_BYTES], char text[ACCEPT_CHARACTERS + 1])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *out = text;
    for (int i = 0; i < SHA1_BYTES; i += 3) {
        uint32_t group = (uint32_t)digest[i] << 16 | (uint32_t)digest[i + 1] << 8;
        if (i + 2 < SHA1_BYTES)
            group |= digest[i + 2];
        for (int shift = 18; shift >= 0; shift -= 6)
            *out++ = alphabet[group >> shift & 63];
    }
    text[ACCEPT_CHARACTERS - 1] = '=';
    text[ACCEPT_CHARACTERS] = '\0';
}

void accept_key(const char *key, size_t length, char accept[ACCEPT_CHARACTERS + 1])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[KEY_LIMIT + sizeof guid];
    unsigned char digest[SHA1_BYTES];
    if (length > KEY_LIMIT)
        length = KEY_LIMIT;
    memcpy(joined, key, length);
    memcpy(joined + length, guid, sizeof guid - 1);
    sha1(joined, length + sizeof guid - 1, digest);
    base64_digest(digest, accept);
}

size_t answer_handshake(const char *request, size_t length, char response[RESPONSE_LIMIT])
{
    static const char name[] = "Sec-WebSocket-Key: ";
    const char *key = memmem(request, length, name, sizeof name - 1);
    if (key == NULL)
        return 0;
    key += sizeof name - 1;
    const char *end = memchr(key, '\r', length - (size_t)(key - request));
    if (end == NULL)
        return 0;
    char accept[ACCEPT_CHARACTERS + 1];
    accept_key(key, (size_t)(end - key), accept);
    return (size_t)snprintf(response, RESPONSE_LIMIT,
                            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                            "Sec-WebSocket-Accept: %s\r\n\r\n",
                            accept);
}
