// Threads of the process's one OpenMP runtime.
//
// The core is not linked to an OpenMP library: two of them in a process (torch brings its own) would run twice as many
// threads as there are cores. It looks for the one that is loaded when it first needs it, and works on one thread if there is none.
#pragma once

#include <atomic>

namespace throughtime {

// Threads that a parallel region of the calling thread would get (torch.set_num_threads, OMP_NUM_THREADS), at most kMostThreads; 1
// inside of a region, in a forked child (whose OpenMP threads the fork did not copy), and without OpenMP.
int available_threads();

// Calls body(argument, thread, threads) in up to `threads` threads at once, and waits for all. The number that each gets is the
// number there are, which may be smaller: 1 in a forked child and without OpenMP.
void run_in_threads(int threads, void (*body)(void* argument, int thread, int threads), void* argument);

template <class F>
static inline void in_threads(int threads, const F& f) {
    run_in_threads(
        threads, [](void* argument, int thread, int count) { (*static_cast<const F*>(argument))(thread, count); },
        const_cast<F*>(&f));
}

// All threads of a region wait for each other: by spinning, since the steps between are a few microseconds long, and giving
// way after a while, since the machine may have other work.
class Barrier {
public:
    void wait(int threads);

private:
    std::atomic<int> arrived_{0};
    std::atomic<int> round_{0};
};

}  // namespace throughtime
