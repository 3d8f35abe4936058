/* The floor: what a WebSocket server that fans out costs when it does nothing but what the kernel makes it do.
 *
 * One thread, epoll. A publication becomes one frame, and each subscriber gets it with one send().
 *   floor PORT                  publications of one turn of the loop are joined into one send() for each subscriber
 *   floor PORT MILLISECONDS     they are gathered for so long before they are sent
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "floor.h"

enum { BACKLOG = 4096, EVENTS = 1024 };

static int64_t now_nanoseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int listen_on(int port)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes); /* accepted sockets have it from here */
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0
        || listen(listener, BACKLOG) < 0) {
        perror("floor: cannot listen");
        exit(1);
    }
    return listener;
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0)
        connection_open(fd);
}

/* Milliseconds until what was gathered is due, rounded up; -1: nothing is. */
static int wait_for(int64_t due)
{
    if (due == 0)
        return -1;
    int64_t left = due - now_nanoseconds();
    return left <= 0 ? 0 : (int)((left + 999999) / 1000000);
}

int main(int count, char **arguments)
{
    if (count < 2) {
        fputs("usage: floor PORT [MILLISECONDS]\n", stderr);
        return 2;
    }
    int64_t delay = count > 2 ? (int64_t)(atof(arguments[2]) * 1e6) : 0, due = 0;
    int listener = listen_on(atoi(arguments[1])), epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    connection_watch(epoll);
    for (;;) {
        static struct epoll_event events[EVENTS];
        int ready = epoll_wait(epoll, events, EVENTS, wait_for(due));
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection == NULL) {
                accept_all(listener);
                continue;
            }
            if (events[i].events & EPOLLOUT)
                connection_writable(connection);
            if (events[i].events & ~(uint32_t)EPOLLOUT)
                connection_readable(connection);
        }
        flush_connections();
        if (delay > 0 && due == 0 && channels_gathered())
            due = now_nanoseconds() + delay;
        if (delay == 0 || (due != 0 && now_nanoseconds() >= due)) {
            flush_channels();
            due = 0;
        }
        free_ended();
    }
}
