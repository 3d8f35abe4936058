#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "meter.h"

/* Few events at a time, so that a publication that is due does not wait for many reads. */
enum { EVENTS = 64, SILENCE_SECONDS = 15, STDIN = 0, NANOSECONDS = 1000000000 };

static const struct options *options;
static void (*on_turn)(int64_t now);
static int epoll, timer = -1, opened, ready;
static char woken, typed; /* whose addresses mark events that are no client's */
static bool line_there;

static void watch(int fd, void *mark)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = mark};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl: %s", strerror(errno));
}

void loop_begin(const struct options *given, const struct scenario *scenario, void (*turn)(int64_t now))
{
    options = given;
    on_turn = turn;
    epoll = epoll_create1(0);
    clients_use(given, scenario, epoll);
}

static void on_event(const struct epoll_event *event)
{
    uint64_t expirations;
    if (event->data.ptr == &woken) {
        if (read(timer, &expirations, sizeof expirations) < 0 && errno != EAGAIN)
            fail("timerfd: %s", strerror(errno));
    } else if (event->data.ptr == &typed) {
        line_there = true;
    } else {
        client_event(event->data.ptr, event->events);
    }
}

/* One wait for events; ends the program when nothing happens for long although something should. */
static void turn(int64_t until, bool silence_is_fine)
{
    static int64_t heard;
    struct epoll_event events[EVENTS];
    int64_t now = now_nanoseconds(), left = until - now;
    int milliseconds = left <= 0 ? 0 : left > 100000000 ? 100 : (int)((left + 999999) / 1000000);
    int count = epoll_wait(epoll, events, EVENTS, milliseconds);
    if (count > 0 || heard == 0 || silence_is_fine)
        heard = now;
    else if (now - heard > (int64_t)SILENCE_SECONDS * NANOSECONDS)
        fail("the server has sent nothing for %d seconds (%d of %d clients are ready)", SILENCE_SECONDS, ready, opened);
    for (int i = 0; i < count; i++) {
        on_event(&events[i]);
        if (on_turn != NULL && options->rate > 0)
            on_turn(now_nanoseconds());
    }
    if (on_turn != NULL)
        on_turn(now_nanoseconds());
}

struct client *loop_open(int count, enum client_role role, int port)
{
    struct client *clients = calloc((size_t)count, sizeof *clients);
    int before = opened;
    if (clients == NULL)
        fail("out of memory");
    while (ready < before + count) {
        while (opened < before + count && opened - ready < options->at_once) {
            client_open(&clients[opened - before], opened, role, port);
            opened++;
        }
        turn(INT64_MAX, false);
    }
    return clients;
}

void loop_run(double seconds)
{
    int64_t until = now_nanoseconds() + (int64_t)(seconds * NANOSECONDS);
    while (now_nanoseconds() < until)
        turn(until, false);
}

bool loop_until_line(void)
{
    char text[64];
    static bool watched;
    if (!watched)
        watch(STDIN, &typed);
    watched = true;
    line_there = false;
    while (!line_there)
        turn(INT64_MAX, true);
    return read(STDIN, text, sizeof text) > 0;
}

void loop_client_ready(void)
{
    ready++;
}

void loop_wake(double per_second)
{
    double interval = NANOSECONDS / per_second;
    struct timespec span = {.tv_sec = (time_t)(interval / NANOSECONDS),
                            .tv_nsec = (long)((int64_t)interval % NANOSECONDS)};
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    if (timer < 0 || timerfd_settime(timer, 0, &(struct itimerspec){span, span}, NULL) < 0)
        fail("timerfd: %s", strerror(errno));
    watch(timer, &woken);
}
