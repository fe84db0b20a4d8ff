/* Dirties memory page by page and verifies each page before it is rewritten.
 *
 * Every word of a page follows from page and generation, so that a changed word cannot hide, and a page that is whole
 * but of an older generation (a write that a migration lost) is told from a damaged one.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <time.h>

#include "witness.h"

#define PAGE 4096
#define WORDS (PAGE / 8)
#define STEP 0x9E3779B97F4A7C15ULL

struct state {
    uint64_t *memory;
    int64_t pages, place;               /* `place`: the page that is next */
    uint64_t generation;                /* of the pages before `place`; those from it on have one less */
    uint64_t dirtied, checked, stale, damaged;
    int64_t first_bad;
};

static uint64_t seed(int64_t page, uint64_t generation)
{
    uint64_t mixed = ((uint64_t)page << 32) ^ generation;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9ULL;
    return (mixed ^ mixed >> 27) * 0x94D049BB133111EBULL;
}

static void fill(uint64_t *words, int64_t page, uint64_t generation)
{
    uint64_t value = seed(page, generation);
    words[0] = (uint64_t)page;
    words[1] = generation;
    for (int i = 2; i < WORDS; i++)
        words[i] = value += STEP;
}

static int holds(const uint64_t *words, int64_t page, uint64_t generation)
{
    uint64_t value = seed(page, generation), wrong = (words[0] ^ (uint64_t)page) | (words[1] ^ generation);
    for (int i = 2; i < WORDS; i++)
        wrong |= words[i] ^ (value += STEP);
    return !wrong;
}

static void verify(struct state *state, int64_t page, uint64_t generation)
{
    const uint64_t *words = state->memory + page * WORDS;
    state->checked++;
    if (holds(words, page, generation))
        return;
    if (words[1] < generation && holds(words, page, words[1]))
        state->stale++;
    else
        state->damaged++;
    if (state->first_bad < 0)
        state->first_bad = page;
}

static void step(struct state *state)
{
    verify(state, state->place, state->generation - 1);
    fill(state->memory + state->place * WORDS, state->place, state->generation);
    state->dirtied++;
    if (++state->place == state->pages) {
        state->place = 0;
        state->generation++;
    }
}

static void tell(const struct state *state, int64_t began, int final)
{
    int64_t now = clock_ns(CLOCK_MONOTONIC);
    say("{\"elapsed\": %lld.%03lld, \"passes\": %llu, \"pages\": %lld, \"dirtied\": %llu, \"checked\": %llu,"
        " \"mismatches\": %llu, \"stale\": %llu, \"damaged\": %llu, \"first_bad\": %lld, \"final\": %s}\n",
        (long long)((now - began) / NANO), (long long)((now - began) % NANO / 1000000),
        (unsigned long long)(state->generation - 2), (long long)state->pages, (unsigned long long)state->dirtied,
        (unsigned long long)state->checked, (unsigned long long)(state->stale + state->damaged),
        (unsigned long long)state->stale, (unsigned long long)state->damaged, (long long)state->first_bad,
        final ? "true" : "false");
}

int sweep(int64_t bytes, int64_t rate)
{
    struct state state = {.pages = bytes / PAGE ? bytes / PAGE : 1, .generation = 2, .first_bad = -1};
    state.memory = mmap(NULL, (size_t)(state.pages * PAGE), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (state.memory == MAP_FAILED)
        fail("mmap");
    for (int64_t page = 0; page < state.pages; page++)
        fill(state.memory + page * WORDS, page, 1);
    int64_t began = clock_ns(CLOCK_MONOTONIC), due = began, spoken = began;
    tell(&state, began, 0);
    while (!ended) {
        int64_t now = clock_ns(CLOCK_MONOTONIC);
        if (now - due > NANO / 10)
            due = now - NANO / 10;      /* was paused or is too slow: what was missed is not made up for */
        for (int burst = 0; due <= now && burst < 4096; burst++) {
            step(&state);
            due += rate > 0 ? PAGE * NANO / rate : 0;
        }
        if (now - spoken >= NANO) {
            spoken = now;
            tell(&state, began, 0);
        }
        if (rate > 0 && due > now)
            sleep_until(due > now + NANO / 200 ? due : now + NANO / 200);
    }
    for (int64_t page = 0; page < state.pages; page++)
        verify(&state, page, page < state.place ? state.generation : state.generation - 1);
    tell(&state, began, 1);
    return 0;
}
