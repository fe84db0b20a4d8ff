/* The sequence writer and its verifier: what was acknowledged must be there.
 *
 * A record fills a block, so that it can be torn. A start makes a new epoch that was never used before (a time and
 * random bits): if all of an epoch is lost, what comes later cannot pass for it. Nothing is ever overwritten.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "witness.h"

#define MAGIC 0x5354494d54524956ULL     /* "VIRTMITS" */
#define WORDS 506

struct record {
    uint64_t magic, epoch, sequence;
    int64_t mono_ns, real_ns;
    uint64_t fill[WORDS];
    uint64_t crc;                       /* CRC-32 of all before it */
};
_Static_assert(sizeof(struct record) == 4096, "a record fills a block");

static uint32_t table[256];

static uint32_t crc32(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint32_t crc = ~0U;
    for (uint32_t i = 0; !table[255] && i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? 0xEDB88320U : 0);
        table[i] = value;
    }
    while (size--)
        crc = table[(crc ^ *bytes++) & 255] ^ crc >> 8;
    return ~crc;
}

static int whole(const struct record *record)
{
    return record->magic == MAGIC && record->crc == crc32(record, offsetof(struct record, crc));
}

static void make(struct record *record, uint64_t epoch, uint64_t sequence)
{
    *record = (struct record){.magic = MAGIC, .epoch = epoch, .sequence = sequence,
                              .mono_ns = clock_ns(CLOCK_MONOTONIC), .real_ns = clock_ns(CLOCK_REALTIME)};
    uint64_t value = (epoch ^ sequence) * 0x9E3779B97F4A7C15ULL;
    for (int i = 0; i < WORDS; i++)
        record->fill[i] = value += 0xD1B54A32D192ED03ULL;
    record->crc = crc32(record, offsetof(struct record, crc));
}

static void sync_folder(const char *file)
{
    char folder[4096];
    const char *slash = strrchr(file, '/');
    size_t length = slash ? (size_t)(slash - file) : 0;
    if (length >= sizeof folder)
        return;
    memcpy(folder, slash ? file : ".", slash ? length : 1);
    folder[slash ? length : 1] = 0;
    int fd = open(*folder ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd))
        fail(folder);
    close(fd);
}

/* Open the file and find where to go on: after its end, with the sequence after the last whole record. */
static int resume(const char *file, off_t *place, uint64_t *epoch, uint64_t *sequence)
{
    struct record record;
    struct stat status;
    uint64_t dice = 0, last = 0;
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || fstat(fd, &status)) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *sequence = 1;
    *place = (status.st_size + (off_t)sizeof record - 1) / (off_t)sizeof record * (off_t)sizeof record;
    for (off_t at = *place; at > 0; at -= (off_t)sizeof record)
        if (pread(fd, &record, sizeof record, at - (off_t)sizeof record) == sizeof record && whole(&record)) {
            *sequence = record.sequence + 1;
            last = record.epoch;
            break;
        }
    if (getrandom(&dice, sizeof dice, GRND_NONBLOCK) < 0)
        dice = (uint64_t)clock_ns(CLOCK_MONOTONIC);
    *epoch = ((uint64_t)clock_ns(CLOCK_REALTIME) & ~0xFFFFFULL) | (dice & 0xFFFFF);
    if (*epoch <= last)
        *epoch = last + 1 + (dice & 0xFFFFF);
    return fd;
}

static int put(int fd, const struct record *record, off_t place, int careless)
{
    const char *what = "pwrite";
    ssize_t length = pwrite(fd, record, sizeof *record, place);
    if (length == sizeof *record) {
        what = "fdatasync";
        if (careless || !fdatasync(fd))
            return 1;
    } else if (length >= 0)
        errno = ENOSPC;
    fprintf(stderr, "virtmark-witness: write: %s: %s\n", what, strerror(errno));
    return 0;
}

/* `careless` acknowledges without fdatasync: the positive control, whose loss a check must find. */
int writer(const char *file, const char *address, const char *port, int64_t interval, int careless)
{
    static struct record record;
    off_t place = 0;
    uint64_t epoch = 0, sequence = 0;
    int udp = udp_to(address, port), fd = resume(file, &place, &epoch, &sequence);
    if (fd < 0)
        fail(file);
    sync_folder(file);
    say("ready %llu %llu\n", (unsigned long long)epoch, (unsigned long long)sequence);
    int64_t next = clock_ns(CLOCK_MONOTONIC);
    while (!ended) {
        if (fd >= 0) {
            make(&record, epoch, sequence);
            if (put(fd, &record, place, careless)) {
                char text[96];
                int length = snprintf(text, sizeof text, "ack %llu %llu %lld", (unsigned long long)epoch,
                                      (unsigned long long)sequence++, (long long)clock_ns(CLOCK_MONOTONIC));
                send(udp, text, (size_t)length, 0);
                place += (off_t)sizeof record;
            } else {        /* after a failed sync nothing is known of this file: look again, in a new epoch */
                close(fd);
                fd = -1;
            }
        }
        next = fd < 0 ? clock_ns(CLOCK_MONOTONIC) + NANO / 10 : next_tick(next, interval);
        sleep_until(next);
        if (fd < 0 && !ended && (fd = resume(file, &place, &epoch, &sequence)) >= 0)
            say("again %llu %llu\n", (unsigned long long)epoch, (unsigned long long)sequence);
    }
    say("end %llu %llu\n", (unsigned long long)epoch, (unsigned long long)sequence);
    return 0;
}

/* {"records": R, "torn": T, "bytes": B, "runs": [[EPOCH, FIRST, LAST], ...]}: runs of whole records in file order. */
int check(const char *file)
{
    static struct record record;
    uint64_t records = 0, torn = 0, epoch = 0, first = 0, last = 0;
    int fd = open(file, O_RDONLY | O_CLOEXEC), runs = 0;
    off_t bytes = 0;
    if (fd < 0 && errno != ENOENT)
        fail(file);
    say("{\"runs\": [");
    for (ssize_t length; fd >= 0 && (length = pread(fd, &record, sizeof record, bytes)) != 0; bytes += length) {
        if (length < 0)
            fail(file);
        if (length < (ssize_t)sizeof record || !whole(&record)) {
            torn++;
            continue;
        }
        if (!records++ || record.epoch != epoch || record.sequence != last + 1) {
            if (records > 1)
                say("%s[%llu, %llu, %llu]", runs++ ? ", " : "", (unsigned long long)epoch, (unsigned long long)first,
                    (unsigned long long)last);
            epoch = record.epoch;
            first = record.sequence;
        }
        last = record.sequence;
    }
    if (records)
        say("%s[%llu, %llu, %llu]", runs ? ", " : "", (unsigned long long)epoch, (unsigned long long)first,
            (unsigned long long)last);
    say("], \"records\": %llu, \"torn\": %llu, \"bytes\": %lld}\n", (unsigned long long)records,
        (unsigned long long)torn, (long long)bytes);
    return 0;
}
