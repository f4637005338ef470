// The one inner loop of everything: acc[r][j] += sum over k of a(r, k) * panel[k][j], for R rows and NV vectors.
//
// A panel is (K, NV * lanes), contiguous: NV vectors of outputs for each k. All R * NV sums stay in registers. Each of them
// adds its products one after the other in the order of k, so a row's result does not depend on the rows beside it.

namespace throughtime::THROUGHTIME_NAMESPACE {

// Rows of the largest tile with NV vectors a row.
constexpr int max_rows(int nv) {
    // 8 x 2 sums and their factors do not fit 16 registers.
    if (nv == 2) return kRowsOfFour < 4 ? kRowsOfFour * 2 : 8;
    return nv == 4 ? kRowsOfFour : nv == 3 ? kRowsOfFour * 4 / 3 : 8;
}

// Keeps a loaded vector in its register: compilers else load it again for each product, and the loads become the limit.
template <class T>
static inline Vec<T> held(Vec<T> v) {
#if defined(__AVX512F__)
    asm("" : "+v"(v));
#elif defined(__x86_64__) || defined(__i386__)
    asm("" : "+x"(v));
#endif
    return v;
}

// The panel of weights some steps of the inner loop ahead: for tiles of few rows the processor's own prefetching from the
// second cache does not keep up. With AVX-512 for the largest tiles, too: there they were not measured without.
template <class T, int NV>
static THROUGHTIME_INLINE void prefetch_panel(const T* panel) {
    constexpr int kAhead = 2048 / static_cast<int>(sizeof(T));
    constexpr int kLine = 64 / static_cast<int>(sizeof(T));
#pragma GCC unroll 4
    for (int i = 0; i < NV * kLanes<T>; i += kLine) __builtin_prefetch(panel + kAhead + i);
}

// One k: acc[r][j] += left(r) * panel[j]. Of the two factors the smaller set is held.
template <class T, int R, int NV, class Left>
static THROUGHTIME_INLINE void add_products(const Left& left, const T* panel, Vec<T> (&acc)[R][NV]) {
    constexpr int L = kLanes<T>;
    if constexpr (R >= NV) {
        Vec<T> w[NV];
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) w[j] = held<T>(load(panel + j * L));
#pragma GCC unroll 12
        for (int r = 0; r < R; ++r) {
            const Vec<T> a = Simd<T>::broadcast(left(r));
#pragma GCC unroll 4
            for (int j = 0; j < NV; ++j) acc[r][j] = Simd<T>::fma(a, w[j], acc[r][j]);
        }
    } else {
        Vec<T> a[R];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) a[r] = held<T>(Simd<T>::broadcast(left(r)));
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) {
            const Vec<T> w = R > 1 ? held<T>(load(panel + j * L)) : load(panel + j * L);
#pragma GCC unroll 8
            for (int r = 0; r < R; ++r) acc[r][j] = Simd<T>::fma(a[r], w, acc[r][j]);
        }
    }
}

// What a cell will read and write of memory that may be far: it travels while the cell's product is computed, a piece of
// VECTORS vectors every so many k that they take all of the product: closer together they would wait for each other, and the
// product behind them. Of a product that is shorter than the list, the end of the list does not travel. The sanitizers watch
// that no list has more than MOST pieces.
template <class T, int MOST, int VECTORS>
class Coming {
public:
    void read(const T* from) { at_[reads_++] = from; }
    // After all reads.
    void write(const T* to) { at_[reads_ + writes_++] = to; }

    // Once a product. The last pieces have 16 k left to arrive in.
    i64 start(i64 K) const {
        const i64 count = reads_ + writes_;
        apart_ = most(1, (K - 16) / most(1, count));
        return most(0, K - apart_ * count - 16);
    }

    THROUGHTIME_INLINE void go_on(i64 step) const {
        constexpr int kLine = 64 / static_cast<int>(sizeof(T));
        if (step < next_ || done_ == reads_ + writes_) return;
        const T* const at = at_[done_];
#pragma GCC unroll 4
        for (int i = 0; i < VECTORS * kLanes<T>; i += kLine) {
            if (done_ < reads_) __builtin_prefetch(at + i);
            else __builtin_prefetch(at + i, 1);
        }
        ++done_;
        next_ += apart_;
    }

private:
    const T* at_[MOST];
    int reads_ = 0, writes_ = 0;
    mutable int done_ = 0;
    mutable i64 next_ = 0, apart_ = 1;
};

struct NothingComes {
    static i64 start(i64) { return 0; }
    static void go_on(i64) {}
};

// Turns of the inner loop that are one in the program: of the 28 instructions of AVX2's tile of 3 x 4 vectors 5 only count and
// jump. AVX-512's tiles have twice as many products a turn; there it was not measured.
constexpr int kUnrolled = kVectorBytes == 64 ? 1 : 4;

// rows[r] points at row r of the left factor; k runs over 0..K-1 of each.
template <class T, int R, int NV, class Lines = NothingComes>
static THROUGHTIME_INLINE void product(const T* const* rows, i64 K, const T* panel, Vec<T> (&acc)[R][NV], const Lines& coming = {}) {
    const T* a[R];
    const i64 start = coming.start(K);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) a[r] = rows[r];
#pragma GCC unroll kUnrolled
    for (i64 k = 0; k < K; ++k, panel += NV * kLanes<T>) {
        coming.go_on(k - start);
        if constexpr (kVectorBytes == 64 || R < max_rows(NV)) prefetch_panel<T, NV>(panel);
        add_products<T, R, NV>([&](int r) { return a[r][k]; }, panel, acc);
    }
}

// The same, into sums that a cell goes on with; from zero, or with ADD from what is there. A function of its own: with the
// cell in the same function compilers spill the sums inside of the loop, on every instruction set.
template <class T, int R, int NV, bool ADD, class Lines = NothingComes>
static __attribute__((noinline)) void product_for_cell(const T* const* rows, i64 K, const T* panel, Vec<T> (&acc)[R][NV],
                                                       const Lines& coming = {}) {
    Vec<T> sums[R][NV];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sums[r][j] = ADD ? acc[r][j] : Vec<T>{};
    }
    product<T, R, NV>(rows, K, panel, sums, coming);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) acc[r][j] = sums[r][j];
    }
}

}  // namespace throughtime::THROUGHTIME_NAMESPACE
