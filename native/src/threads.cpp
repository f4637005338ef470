#include "threads.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>

#include <algorithm>

#include "throughtime/layer.h"

namespace throughtime {
namespace {

struct OpenMp {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;  // GOMP_parallel: also in LLVM's and Intel's
    int (*max_threads)() = nullptr;
    int (*num_threads)() = nullptr;
    int (*thread_num)() = nullptr;
    int (*in_parallel)() = nullptr;
};

template <class F>
bool find(F& function, const char* name) {
    function = reinterpret_cast<F>(dlsym(RTLD_DEFAULT, name));
    return function != nullptr;
}

const OpenMp* open_mp() {
    static const OpenMp* const found = []() -> const OpenMp* {
        static OpenMp omp;
        const bool whole = find(omp.parallel, "GOMP_parallel") && find(omp.max_threads, "omp_get_max_threads") &&
                           find(omp.num_threads, "omp_get_num_threads") && find(omp.thread_num, "omp_get_thread_num") &&
                           find(omp.in_parallel, "omp_in_parallel");
        return whole ? &omp : nullptr;
    }();
    return found;
}

std::atomic<bool> forked{false};
const int registered = pthread_atfork(nullptr, nullptr, [] { forked.store(true); });

struct Region {
    void (*body)(void*, int, int);
    void* argument;
};

void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

}  // namespace

int available_threads() {
    const OpenMp* omp = open_mp();
    if (omp == nullptr || forked.load() || omp->in_parallel()) return 1;
    return std::min(omp->max_threads(), kMostThreads);
}

void run_in_threads(int threads, void (*body)(void*, int, int), void* argument) {
    if (threads <= 1 || open_mp() == nullptr || forked.load()) return body(argument, 0, 1);
    Region region{body, argument};
    open_mp()->parallel(
        [](void* data) {
            const Region& r = *static_cast<Region*>(data);
            r.body(r.argument, open_mp()->thread_num(), open_mp()->num_threads());
        },
        &region, static_cast<unsigned>(threads), 0);
}

void Barrier::wait(int threads) {
    if (threads == 1) return;
    const int round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == threads - 1) {
        arrived_.store(0, std::memory_order_relaxed);
        round_.store(round + 1, std::memory_order_release);
        return;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
        if (spins < 4000) pause_briefly();
        else sched_yield();
    }
}

}  // namespace throughtime
