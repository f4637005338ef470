#include "workspace.h"

#include <new>

namespace throughtime {
namespace {

constexpr std::align_val_t kLine{64};
constexpr std::size_t kKept = std::size_t{16} << 20;  // a larger block is given back after its call

struct Kept {
    char* block = nullptr;
    std::size_t size = 0;
    bool in_use = false;
    ~Kept() { ::operator delete(block, kLine); }
};

// A variant's backward pass has a workspace for the whole of it, and others inside.
thread_local Kept kept_blocks[2];

}  // namespace

void Workspace::reserve(std::size_t bytes) {
    for (Kept& kept : kept_blocks) {
        if (kept.in_use || bytes > kKept) continue;
        if (kept.size < bytes) {
            ::operator delete(kept.block, kLine);
            kept.block = nullptr;
            kept.size = 0;
            kept.block = static_cast<char*>(::operator new(bytes, kLine));
            kept.size = bytes;
        }
        kept.in_use = true;
        in_use_ = &kept.in_use;
        block_ = at_ = kept.block;
        return;
    }
    block_ = at_ = static_cast<char*>(::operator new(bytes, kLine));
}

Workspace::~Workspace() {
    if (in_use_ != nullptr) *in_use_ = false;
    else ::operator delete(block_, kLine);
}

}  // namespace throughtime
