#include "throughtime/memory.h"

#include <sys/mman.h>

#include <algorithm>
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

void* from_system(std::size_t size) {
    void* const at = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
    madvise(at, size, MADV_HUGEPAGE);  // a few faults instead of thousands; a hint, which may be refused
#endif
    return at;
}

class Memory {
public:
    void* take(std::size_t bytes) {
        const std::size_t size = std::max(kHugePage, (bytes + kHugePage - 1) / kHugePage * kHugePage);
        const std::lock_guard<std::mutex> lock(mutex_);
        auto best = kept_.end();
        for (auto piece = kept_.begin(); piece != kept_.end(); ++piece) {
            // Not one much too large: it would be missing where it fits.
            const bool fits = piece->size >= size && piece->size - size <= size / 2;
            if (fits && (best == kept_.end() || piece->size < best->size)) best = piece;
        }
        Piece found{};
        if (best != kept_.end()) {
            found = *best;
            kept_.erase(best);
            kept_bytes_ -= found.size;
        } else {
            while (!kept_.empty() && used_bytes_ + size + kept_bytes_ > most_used_) drop_oldest();
            found = {from_system(size), size};
        }
        used_.emplace(found.at, found.size);
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
        return {used_bytes_, kept_bytes_, most_used_};
    }

private:
    void drop_oldest() {
        kept_bytes_ -= kept_.front().size;
        munmap(kept_.front().at, kept_.front().size);
        kept_.erase(kept_.begin());
    }

    std::mutex mutex_;  // Python's lock is held in each call, so that no fork finds it taken
    std::vector<Piece> kept_;  // in the order in which they came back
    std::unordered_map<void*, std::size_t> used_;
    std::size_t used_bytes_ = 0, kept_bytes_ = 0, most_used_ = 0;
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
