/* What the parts of virtmark-witness share: clocks, output, sockets, the end. */
#ifndef WITNESS_H
#define WITNESS_H

#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#define NANO 1000000000LL

extern volatile sig_atomic_t ended;     /* set by SIGTERM and SIGINT */

void end_on_signals(void);
int64_t clock_ns(int clock);            /* ns of CLOCK_MONOTONIC or CLOCK_REALTIME */
void sleep_until(int64_t mono_ns);      /* absolute; returns early at the end */
int64_t next_tick(int64_t last, int64_t interval); /* the next of the schedule that is not past: no bursts after a pause */
void say(const char *format, ...) __attribute__((format(printf, 1, 2))); /* one write(2) to stdout */
_Noreturn void fail(const char *what);  /* "virtmark-witness: what: error" and exit status 1 */
int64_t number(const char *text);       /* a whole number >= 0, or exit status 2 */
int udp_to(const char *address, const char *port);

int serve(const char *port);
int beat(const char *address, const char *port, int64_t interval);
int writer(const char *file, const char *address, const char *port, int64_t interval, int careless);
int check(const char *file);
int sweep(int64_t bytes, int64_t rate);

#endif
