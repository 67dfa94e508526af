/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for tp_net.parallel, as a program would have them: they spin a little between the rounds of a step, then sleep. */
#ifndef TINYPROP_BENCH_POOL_H
#define TINYPROP_BENCH_POOL_H

#include "../csrc/include/tinyprop.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { POOL_SPINS = 4000 };

typedef struct pool {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    atomic_uint round, working;
    void (*task)(void *argument, uint32_t index);
    void *argument;
    uint32_t n, size;
} pool;

typedef struct pool_worker {
    pool *pool;
    uint32_t index;
} pool_worker;

static void *pool_work(void *user) {
    pool_worker w = *(pool_worker *)user;
    pool *p = w.pool;
    for (unsigned seen = 0;;) {
        for (uint32_t i = 0; i < POOL_SPINS && atomic_load(&p->round) == seen; i++) {}
        pthread_mutex_lock(&p->lock);
        while (atomic_load(&p->round) == seen) { pthread_cond_wait(&p->wake, &p->lock); }
        seen = atomic_load(&p->round);
        pthread_mutex_unlock(&p->lock);
        for (uint32_t i = w.index; i < p->n; i += p->size) { p->task(p->argument, i); }
        atomic_fetch_sub(&p->working, 1);
    }
    return NULL;
}

static void pool_run(void *user, void (*task)(void *argument, uint32_t index), void *argument, uint32_t n) {
    pool *p = user;
    pthread_mutex_lock(&p->lock);
    p->task = task;
    p->argument = argument;
    p->n = n;
    atomic_store(&p->working, p->size - 1u);
    atomic_fetch_add(&p->round, 1);
    pthread_mutex_unlock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    for (uint32_t i = 0; i < n; i += p->size) { task(argument, i); }
    for (uint32_t i = 0; atomic_load(&p->working) != 0; i++) {
        if (i >= POOL_SPINS) { sched_yield(); }
    }
}

/* The threads of this program, started at the first call, for all nets alike; they end with it. false: they cannot be started. */
static bool pool_start(uint32_t threads, tp_parallel *parallel) {
    static pool all = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};
    static pool_worker workers[TP_MAX_THREADS];
    for (; all.size < threads; all.size++) {
        pthread_t thread;
        if (all.size == 0) { continue; } /* the caller's */
        workers[all.size] = (pool_worker){&all, all.size};
        if (pthread_create(&thread, NULL, pool_work, &workers[all.size]) != 0) { return false; }
    }
    if (threads > 1) { *parallel = (tp_parallel){pool_run, &all}; }
    return true;
}

#endif /* TINYPROP_BENCH_POOL_H */
