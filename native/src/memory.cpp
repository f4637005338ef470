#include "throughtime/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace throughtime {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;
// Pieces begin at different distances from a huge page: where equal places of all arrays have equal low bits, they share few
// sets of the caches, and a processor takes loads of one for stores to another.
constexpr std::size_t kDistance = 4096 + 5 * 64, kDistances = 15, kSpare = std::size_t{16} << 12;
static_assert((kDistances - 1) * kDistance <= kSpare);

struct Piece {
    void* at;
    std::size_t size;
};

// What is kept of one purpose. unit: of pieces' sizes. sizes: so many from a power of two to the next, at least a unit apart: of
// batches that are never quite alike, each else needs pieces of its own. largest: a kept piece may be so many times as
// large as what is asked for, where another would have to make room for a new one.
struct Rules {
    std::size_t unit, sizes, most_kept;
    double largest;

    std::size_t piece_for(std::size_t bytes) const {
        std::size_t power = unit;
        while (power <= bytes / 2) power *= 2;
        const std::size_t apart = std::max(unit, power / sizes);
        return std::max<std::size_t>(1, (bytes + apart - 1) / apart) * apart;
    }
};

// Results may be held for long: their pieces are little larger than they are. No system's small pages are larger than 64 KB.
constexpr Rules kOfSteps{kHugePage, 4, SIZE_MAX, 4.0}, kOfResults{std::size_t{64} << 10, 16, kMostResults, 1.5};

// `size` bytes and what the distance takes, from a whole huge page on; null if there is no memory.
void* from_system(std::size_t size) {
    const std::size_t needed = size + kSpare, mapped = needed + kHugePage;
    void* const found = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return nullptr;
    char* const first = static_cast<char*>(found);
    const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(found) % kHugePage) % kHugePage;
    if (before > 0) munmap(first, before);
    munmap(first + before + needed, mapped - before - needed);
#if defined(MADV_HUGEPAGE)
    // A few faults instead of thousands; a hint, which may be refused.
    madvise(first + before, size / kHugePage * kHugePage, MADV_HUGEPAGE);
#endif
    static std::atomic<std::size_t> number{0};
    return first + before + number++ % kDistances * kDistance;
}

void to_system(const Piece& piece) {
    char* const at = static_cast<char*>(piece.at);
    munmap(at - reinterpret_cast<std::uintptr_t>(at) % kHugePage, piece.size + kSpare);
}

class Memory {
public:
    explicit Memory(const Rules& rules) : rules_(rules) {}

    void* take(std::size_t bytes) {
        const std::size_t size = rules_.piece_for(bytes);
        const std::lock_guard<std::mutex> lock(mutex_);
        kept_.reserve(kept_.size() + used_.size() + 1);  // so that giving back cannot fail
        // A much larger piece would be missing where it fits; a rather larger one is better than one from the system that
        // another has to make room for.
        const bool room = used_bytes_ + size + kept_bytes_ <= most_used_ + kMostBeside;
        Piece found = from_kept(size, static_cast<std::size_t>(static_cast<double>(size) * (room ? 1.5 : rules_.largest)));
        if (found.at == nullptr) {
            while (!kept_.empty() && used_bytes_ + size + kept_bytes_ > most_used_ + kMostBeside) drop_oldest();
            found = {from_system(size), size};
            if (found.at == nullptr) {  // what is kept is in the way
                while (!kept_.empty()) drop_oldest();
                found.at = from_system(size);
            }
            if (found.at == nullptr) {  // no more than is needed
                found.size = std::max<std::size_t>(1, (bytes + rules_.unit - 1) / rules_.unit) * rules_.unit;
                found.at = from_system(found.size);
            }
            if (found.at == nullptr) throw std::bad_alloc();
            ++mappings_;
        }
        try {
            used_.emplace(found.at, found.size);
        } catch (...) {
            to_system(found);
            throw;
        }
        used_bytes_ += found.size;
        most_used_ = std::max(most_used_, used_bytes_);
        return found.at;
    }

    void give_back(void* at) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto piece = used_.find(at);
        const Piece back{at, piece->second};
        used_.erase(piece);
        used_bytes_ -= back.size;
        if (back.size > rules_.most_kept) return to_system(back);
        kept_.push_back(back);
        kept_bytes_ += back.size;
        while (kept_bytes_ > rules_.most_kept) drop_oldest();
    }

    void release() {
        const std::lock_guard<std::mutex> lock(mutex_);
        while (!kept_.empty()) drop_oldest();
        most_used_ = used_bytes_;
    }

    MemoryUse use() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return {used_bytes_, kept_bytes_, most_used_, mappings_};
    }

private:
    // The smallest kept piece of `size` to `largest` bytes, no longer kept; null where there is none.
    Piece from_kept(std::size_t size, std::size_t largest) {
        auto best = kept_.end();
        for (auto piece = kept_.begin(); piece != kept_.end(); ++piece) {
            const bool fits = piece->size >= size && piece->size <= largest;
            if (fits && (best == kept_.end() || piece->size < best->size)) best = piece;
        }
        if (best == kept_.end()) return {nullptr, 0};
        const Piece found = *best;
        kept_.erase(best);
        kept_bytes_ -= found.size;
        return found;
    }

    void drop_oldest() {
        kept_bytes_ -= kept_.front().size;
        to_system(kept_.front());
        kept_.erase(kept_.begin());
    }

    const Rules rules_;
    std::mutex mutex_;  // Python's lock is held in each call, so that no fork finds it taken
    std::vector<Piece> kept_;  // in the order in which they came back
    std::unordered_map<void*, std::size_t> used_;
    std::size_t used_bytes_ = 0, kept_bytes_ = 0, most_used_ = 0, mappings_ = 0;
};

// Never destroyed: tensors may be freed after everything else at the end of the process.
Memory& memory(Purpose purpose) {
    static Memory* const of_steps = new Memory(kOfSteps);
    static Memory* const of_results = new Memory(kOfResults);
    return purpose == Purpose::step ? *of_steps : *of_results;
}

}  // namespace

void* take_memory(std::size_t bytes, Purpose purpose) { return memory(purpose).take(bytes); }
void give_memory_back(void* at, Purpose purpose) { memory(purpose).give_back(at); }

void release_memory() {
    memory(Purpose::step).release();
    memory(Purpose::result).release();
}

MemoryUse memory_use() {
    const MemoryUse a = memory(Purpose::step).use(), b = memory(Purpose::result).use();
    return {a.used + b.used, a.kept + b.kept, a.most_used + b.most_used, a.mappings + b.mappings};
}

}  // namespace throughtime
