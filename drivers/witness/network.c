/* Answers from inside: an echo for datagrams, a page for HTTP, and a heart that beats by itself. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

#define BATCH 64

static const char PAGE[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n"
                           "Connection: close\r\n\r\nok\n";

static int listening(int type, uint16_t port)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_ANY)}};
    int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    if (fd < 0)
        fail("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (type == SOCK_STREAM) {      /* inherited by what is accepted: peers that vanished cost nothing for ever */
        int idle = 10, every = 5, tries = 2;
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof every);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof tries);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (bind(fd, (struct sockaddr *)&here, sizeof here) || (type == SOCK_STREAM && listen(fd, 4096)))
        fail("bind");
    return fd;
}

static void echo(int fd)
{
    static char data[65536];
    struct sockaddr_in peer;
    for (int i = 0; i < BATCH; i++) {       /* then the others' turn: epoll tells again */
        socklen_t size = sizeof peer;
        ssize_t length = recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&peer, &size);
        if (length < 0)
            return;
        sendto(fd, data, (size_t)length, 0, (struct sockaddr *)&peer, size);
    }
}

static void answer(int fd)
{
    static char data[16384];
    ssize_t length = recv(fd, data, sizeof data, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length > 0) {
        if (length < 4 || memcmp(data + length - 4, "\r\n\r\n", 4))
            return;                         /* not the end of a request: wait for the rest, or for the peer's close */
        send(fd, PAGE, sizeof PAGE - 1, MSG_NOSIGNAL);
    }
    close(fd);
}

static void welcome(int listener, int queue)
{
    for (int i = 0; i < BATCH; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct epoll_event wanted = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(queue, EPOLL_CTL_ADD, fd, &wanted))
            close(fd);
    }
}

int serve(const char *port)
{
    int64_t wanted = number(port);
    struct rlimit files = {65536, 65536};
    if (setrlimit(RLIMIT_NOFILE, &files) && !getrlimit(RLIMIT_NOFILE, &files)) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int udp = listening(SOCK_DGRAM, (uint16_t)wanted), tcp = listening(SOCK_STREAM, (uint16_t)wanted);
    int queue = epoll_create1(EPOLL_CLOEXEC);
    int both[] = {udp, tcp};
    for (int i = 0; i < 2; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = both[i]};
        if (queue < 0 || epoll_ctl(queue, EPOLL_CTL_ADD, both[i], &event))
            fail("epoll");
    }
    say("ready\n");
    while (!ended) {
        struct epoll_event events[BATCH];
        int count = epoll_wait(queue, events, BATCH, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == udp)
                echo(fd);
            else if (fd == tcp)
                welcome(fd, queue);
            else
                answer(fd);
        }
    }
    return 0;
}

int beat(const char *address, const char *port, int64_t interval)
{
    int fd = udp_to(address, port);
    int64_t next = clock_ns(CLOCK_MONOTONIC);
    say("ready\n");
    for (uint64_t sequence = 1; !ended; sequence++) {
        char text[96];
        int length = snprintf(text, sizeof text, "beat %llu %lld %lld", (unsigned long long)sequence,
                              (long long)clock_ns(CLOCK_MONOTONIC), (long long)clock_ns(CLOCK_REALTIME));
        send(fd, text, (size_t)length, 0);  /* nobody there, or no room: a beat lost, which is what is measured */
        next = next_tick(next, interval);
        sleep_until(next);
    }
    return 0;
}
