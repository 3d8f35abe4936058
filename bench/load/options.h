/* What a run is asked to do: the arguments of the program. */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { PROCESSES = 16, STAGES = 8 };
enum protocol { CENTRIFUGO, SOCKET_IO, SOCKET_IO_POLLING, PLAIN };

struct options {
    const char *scenario; /* fan-out, inbound, storm, idle */
    int port;             /* where subscribers connect */
    int publish_port;     /* where publishers connect; the same unless another server is asked for */
    enum protocol protocol;
    bool bare;            /* storm: the handshake only */
    int clients;          /* subscribers, publishers (inbound) or connections (storm) */
    int stages[STAGES];   /* idle: connections to open one after the other */
    int stage_count;
    int at_once; /* connections that are being opened at the same time */
    int in_flight;
    int data_bytes;
    double rate;    /* publications per second; 0: keep `in_flight` of them on their way */
    double warm_up; /* seconds */
    double seconds;
    pid_t processes[PROCESSES]; /* the server's, whose CPU time is read */
    int process_count;
    char **tokens;
    int token_count;
};

/* Ends the program with a message when the arguments cannot be used. */
void options_parse(struct options *options, int count, char **arguments);

/* Ends the program with 1 and a line "load: ..." on stderr. */
__attribute__((format(printf, 1, 2), noreturn)) void fail(const char *format, ...);

#endif
