/* virtmark-witness: what a guest can say of itself. One static program, cheap enough for an emulated processor.
 *
 *   serve PORT                                       UDP echo, TCP and HTTP on one port number; "ready" on stdout
 *   beat ADDRESS PORT INTERVAL_US                    datagrams "beat SEQ MONO_NS REAL_NS"
 *   write FILE ADDRESS PORT INTERVAL_US [careless]   a record, fdatasync, datagram "ack EPOCH SEQ MONO_NS"
 *   check FILE                                       which records are in the file, as JSON
 *   sweep BYTES RATE                                 dirties memory at RATE B/s and verifies it, JSON lines
 *   version                                          the hash of the source it was made of
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

#ifndef SOURCE
#define SOURCE "unknown"
#endif

volatile sig_atomic_t ended;

static void on_signal(int signal)
{
    (void)signal;
    ended = 1;
}

void end_on_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};    /* no SA_RESTART: blocking calls return */
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

int64_t clock_ns(int clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * NANO + now.tv_nsec;
}

void sleep_until(int64_t mono_ns)
{
    struct timespec until = {mono_ns / NANO, mono_ns % NANO};
    while (!ended && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

int64_t next_tick(int64_t last, int64_t interval)
{
    int64_t late = clock_ns(CLOCK_MONOTONIC) - last;
    return interval <= 0 ? last : last + interval * (late < interval ? 1 : late / interval + (late % interval != 0));
}

void say(const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length > 0 && write(STDOUT_FILENO, line, (size_t)length) < 0)
        _exit(1);
}

_Noreturn void fail(const char *what)
{
    fprintf(stderr, "virtmark-witness: %s: %s\n", what, strerror(errno));
    exit(1);
}

static _Noreturn void usage(void)
{
    fputs("usage: virtmark-witness serve PORT | beat ADDRESS PORT INTERVAL_US |"
          " write FILE ADDRESS PORT INTERVAL_US [careless] | check FILE | sweep BYTES RATE | version\n", stderr);
    exit(2);
}

int64_t number(const char *text)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || value < 0 || value > INT64_MAX / 1000)
        usage();
    return value;
}

int udp_to(const char *address, const char *port)
{
    int64_t wanted = number(port);
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)wanted)};
    if (wanted > 65535 || inet_pton(AF_INET, address, &peer.sin_addr) != 1)
        usage();
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        fail("socket");
    while (connect(fd, (struct sockaddr *)&peer, sizeof peer) && !ended)    /* no route yet: the network comes later */
        sleep_until(clock_ns(CLOCK_MONOTONIC) + NANO / 100);
    return fd;
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    end_on_signals();
    if (!strcmp(verb, "serve") && argc == 3)
        return serve(argv[2]);
    if (!strcmp(verb, "beat") && argc == 5)
        return beat(argv[2], argv[3], number(argv[4]) * 1000);
    if (!strcmp(verb, "write") && (argc == 6 || (argc == 7 && !strcmp(argv[6], "careless"))))
        return writer(argv[2], argv[3], argv[4], number(argv[5]) * 1000, argc == 7);
    if (!strcmp(verb, "check") && argc == 3)
        return check(argv[2]);
    if (!strcmp(verb, "sweep") && argc == 4)
        return sweep(number(argv[2]), number(argv[3]));
    if (!strcmp(verb, "version") && argc == 2) {
        say("%s\n", SOURCE);
        return 0;
    }
    usage();
}
