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

thread_local Kept kept;

}  // namespace

void Workspace::reserve(std::size_t bytes) {
    if (kept.in_use || bytes > kKept) {
        block_ = at_ = static_cast<char*>(::operator new(bytes, kLine));
        own_ = true;
        return;
    }
    if (kept.size < bytes) {
        ::operator delete(kept.block, kLine);
        kept.block = nullptr;
        kept.size = 0;
        kept.block = static_cast<char*>(::operator new(bytes, kLine));
        kept.size = bytes;
    }
    kept.in_use = true;
    block_ = at_ = kept.block;
}

Workspace::~Workspace() {
    if (own_) ::operator delete(block_, kLine);
    else if (block_ != nullptr) kept.in_use = false;
}

}  // namespace throughtime
