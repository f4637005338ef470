#include "throughtime/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

namespace throughtime {
namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

struct Piece {
    void* at;
    std::size_t size;
};

// At a whole huge page; null if there is no memory.
void* from_system(std::size_t size) {
    const std::size_t mapped = size + kHugePage;
    void* const found = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (found == MAP_FAILED) return nullptr;
    char* const first = static_cast<char*>(found);
    const std::size_t before = (kHugePage - reinterpret_cast<std::uintptr_t>(found) % kHugePage) % kHugePage;
    if (before > 0) munmap(first, before);
    munmap(first + before + size, mapped - before - size);
#if defined(MADV_HUGEPAGE)
    madvise(first + before, size, MADV_HUGEPAGE);  // a few faults instead of thousands; a hint, which may be refused
#endif
    return first + before;
}

class Memory {
public:
    void* take(std::size_t bytes) {
        const std::size_t size = std::max(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage);
        const std::lock_guard<std::mutex> lock(mutex_);
        kept_.reserve(kept_.size() + used_.size() + 1);  // so that giving back cannot fail
        // A much larger piece would be missing where it fits; a rather larger one is better than one from the system that
        // another has to make room for.
        const bool room = used_bytes_ + size + kept_bytes_ <= most_used_;
        Piece found = from_kept(size, room ? size + size / 2 : 4 * size);
        if (found.at == nullptr) {
            while (!kept_.empty() && used_bytes_ + size + kept_bytes_ > most_used_) drop_oldest();
            found = {from_system(size), size};
            if (found.at == nullptr) {  // what is kept is in the way
                while (!kept_.empty()) drop_oldest();
                found.at = from_system(size);
            }
            if (found.at == nullptr) throw std::bad_alloc();
            ++mappings_;
        }
        try {
            used_.emplace(found.at, found.size);
        } catch (...) {
            munmap(found.at, found.size);
            throw;
        }
        used_bytes_ += found.size;
        most_used_ = std::max(most_used_, used_bytes_);
        return found.at;
    }

    void give_back(void* at) {
        const std::lock_guard<std::mutex> lock(mutex_);
        const auto piece = used_.find(at);
        kept_.push_back({at, piece->second});
        used_bytes_ -= piece->second;
        kept_bytes_ += piece->second;
        used_.erase(piece);
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
        munmap(kept_.front().at, kept_.front().size);
        kept_.erase(kept_.begin());
    }

    std::mutex mutex_;  // Python's lock is held in each call, so that no fork finds it taken
    std::vector<Piece> kept_;  // in the order in which they came back
    std::unordered_map<void*, std::size_t> used_;
    std::size_t used_bytes_ = 0, kept_bytes_ = 0, most_used_ = 0, mappings_ = 0;
};

// Never destroyed: tensors may be freed after everything else at the end of the process.
Memory& memory() {
    static Memory* const instance = new Memory;
    return *instance;
}

}  // namespace

void* take_memory(std::size_t bytes) { return memory().take(bytes); }
void give_memory_back(void* at) { memory().give_back(at); }
void release_memory() { memory().release(); }
MemoryUse memory_use() { return memory().use(); }

}  // namespace throughtime
