// throughtime.kernels._core: the native core for Python. Every argument is checked before it is used; the interpreter's lock
// is released while the core works, but for short steps of a stream.
#include "layer.h"
#include "pooling.h"
#include "stream.h"

#include "throughtime/booleans.h"
#include "throughtime/memory.h"

#include <memory>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

namespace throughtime {

const InstructionSet& choose(const optional<std::string>& name) {
    int count = 0;
    const InstructionSet* sets = instruction_sets(&count);
    std::string known;
    for (int i = 0; i < count; ++i) {
        if (name ? *name == sets[i].name : sets[i].runs_here()) {
            if (sets[i].runs_here()) return sets[i];
            throw OptionProblem("instruction set " + *name + " does not run on this machine");
        }
        known += (i ? ", " : "") + std::string(sets[i].name);
    }
    throw OptionProblem("instruction set must be one of " + known + ", but is " + *name);
}

namespace {

vector<std::string> available() {
    int count = 0;
    const InstructionSet* sets = instruction_sets(&count);
    vector<std::string> names;
    for (int i = 0; i < count; ++i) {
        if (sets[i].runs_here()) names.emplace_back(sets[i].name);
    }
    return names;
}

// A byte array of memory that the core keeps for the next call once nobody holds it.
template <Purpose PURPOSE>
nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>> taken(i64 bytes) {
    if (bytes < 0) throw ShapeProblem("bytes must not be negative, but is " + std::to_string(bytes));
    const auto give_back = [](void* piece) noexcept { give_memory_back(piece, PURPOSE); };
    std::unique_ptr<void, void (*)(void*)> piece(take_memory(static_cast<std::size_t>(bytes), PURPOSE), give_back);
    nb::capsule owner(piece.get(), give_back);
    void* const at = piece.release();
    return {at, {static_cast<std::size_t>(bytes)}, owner};
}

nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>> take(i64 bytes, bool result) {
    return result ? taken<Purpose::result>(bytes) : taken<Purpose::step>(bytes);
}

nb::tuple use() {
    const MemoryUse now = memory_use();
    return nb::make_tuple(now.used, now.kept, now.most_used, now.mappings);
}

// out: a byte array of any shape, whole in memory.
void draw(std::uint64_t start, int level, const nb::ndarray<std::uint8_t, nb::c_contig, nb::device::cpu>& out, int threads) {
    if (level < -(1 << 15) || level >= 1 << 15) {
        throw OptionProblem("level must be in -32768..32767, but is " + std::to_string(level));
    }
    const auto count = static_cast<i64>(out.size());
    const int members = check_threads(threads);
    nb::gil_scoped_release release;
    draw_booleans(start, level, count, out.data(), members);
}

template <class T>
void bind_layer(nb::module_& m, const char* name) {
    using L = Layer<T>;
    nb::class_<L>(m, name)
        .def(nb::init<int, int, bool, i64, i64, int, const optional<std::string>&, bool, double, double, bool, bool, bool, bool,
                      i64>(),
             nb::arg("cell"), nb::arg("nonlinearity"), nb::arg("reset_after"), nb::arg("input_size"),
             nb::arg("hidden_size"), nb::arg("directions"), nb::arg("isa").none(), nb::arg("layer_norm") = false,
             nb::arg("zoneout_h") = 0.0, nb::arg("zoneout_c") = 0.0,
             nb::arg("zoneout_masks") = false, nb::arg("recurrent_mask") = false, nb::arg("peephole") = false,
             nb::arg("coupled_gates") = false, nb::arg("proj_size") = 0)
        .def_prop_ro("isa", &L::isa)
        .def_prop_ro("packed_forward", [](const L& l) { return l.sizes().packed_forward; })
        .def_prop_ro("packed_backward", [](const L& l) { return l.sizes().packed_backward; })
        .def_prop_ro("saved_width", [](const L& l) { return l.sizes().saved_width; })
        .def_prop_ro("gates_width", [](const L& l) { return l.sizes().gates_width; })
        .def_prop_ro("input_width", [](const L& l) { return l.sizes().input_width; })
        .def("pack", &L::pack, nb::arg("weights"), nb::arg("backward"), nb::arg("packed"))
        .def("forward", &L::forward, nb::arg("plan"), nb::arg("input").none(), nb::arg("packed"), nb::arg("h_0").none(),
             nb::arg("c_0").none(), nb::arg("output"), nb::arg("h_n"), nb::arg("c_n").none(), nb::arg("saved"),
             nb::arg("projected"), nb::arg("ids").none(), nb::arg("threads"), nb::arg("masks") = Masking{})
        .def("backward", &L::backward, nb::arg("plan"), nb::arg("input").none(), nb::arg("packed"), nb::arg("h_0").none(),
             nb::arg("c_0").none(), nb::arg("output"), nb::arg("saved"), nb::arg("d_output"), nb::arg("d_h_n").none(),
             nb::arg("d_c_n").none(), nb::arg("d_gates"), nb::arg("d_input").none(), nb::arg("d_h_0").none(),
             nb::arg("d_c_0").none(), nb::arg("d_weights"), nb::arg("threads"), nb::arg("masks") = Masking{})
        .def("project", &L::project, nb::arg("packed"), nb::arg("x"), nb::arg("projected"), nb::arg("threads"))
        .def("project_backward", &L::project_backward, nb::arg("packed"), nb::arg("x"), nb::arg("d_projected"),
             nb::arg("d_x").none(), nb::arg("d_weight_ih").none(), nb::arg("threads"))
        .def("scatter", &L::scatter, nb::arg("plan"), nb::arg("d_gates"), nb::arg("ids"), nb::arg("d_projected"),
             nb::arg("threads"))
        .def("fingerprint", &L::fingerprint, nb::arg("arrays"))
        .def("activation", &L::activation, nb::arg("function"), nb::arg("x"), nb::arg("out"));
}

template <class T>
void bind_stream(nb::module_& m, const char* name) {
    using S = Stream<T>;
    nb::class_<S>(m, name)
        .def(nb::init<const vector<nb::object>&, const vector<Input>&, i64>(), nb::arg("layers"), nb::arg("packed"),
             nb::arg("batch"))
        .def("step", &S::step, nb::arg("x"), nb::arg("y"), nb::arg("threads"))
        .def("read", &S::read, nb::arg("level"), nb::arg("cell"), nb::arg("state"))
        .def("write", &S::write, nb::arg("level"), nb::arg("cell"), nb::arg("state"));
}

template <class T>
void bind_pooling(nb::module_& m, const char* name) {
    using P = Pooling<T>;
    nb::class_<P>(m, name)
        .def(nb::init<const optional<std::string>&>(), nb::arg("isa").none())
        .def("forward", &P::forward, nb::arg("values"), nb::arg("lengths"), nb::arg("maximum").none(), nb::arg("at").none(),
             nb::arg("mean").none(), nb::arg("threads"))
        .def("backward", &P::backward, nb::arg("lengths"), nb::arg("d_maximum").none(), nb::arg("at").none(),
             nb::arg("d_mean").none(), nb::arg("d_values"), nb::arg("threads"));
}

}  // namespace

int available_threads();

}  // namespace throughtime

NB_MODULE(_core, m) {
    namespace nb = nanobind;
    using namespace throughtime;
    nb::set_leak_warnings(false);  // layers are kept in a cache until the process ends
    m.def("instruction_sets", &available, "Names of those that run on this machine, best first.");
    m.def("available_threads", &available_threads, "Threads that a call from this thread may use.");
    m.def("take_memory", &take, nb::arg("bytes"), nb::arg("result"),
          "Uninitialised bytes, which are kept for another call once nobody holds them; of results, no more than 256 MB.");
    m.def("memory_use", &use,
          "Bytes of pieces in use, kept, and the most that were in use, of each purpose; and pieces that came from the system.");
    m.def("release_memory", &release_memory, "Gives the bytes that are kept to the system.");
    m.def("draw_booleans", &draw, nb::arg("start"), nb::arg("level"), nb::arg("out").noconvert(), nb::arg("threads"),
          "Fills bytes with 0 and 1, which follow from start alone.");
    nb::class_<BatchPlan>(m, "BatchPlan")
        .def(nb::init<i64, i64, const optional<vector<i64>>&, bool>(), nb::arg("seq_len"), nb::arg("batch"),
             nb::arg("lengths").none(), nb::arg("by_step") = false)
        .def_prop_ro("tokens", &BatchPlan::tokens)
        .def("by_token", &BatchPlan::by_token, nb::arg("ids"), nb::arg("out"));
    bind_layer<float>(m, "LayerFloat32");
    bind_layer<double>(m, "LayerFloat64");
    bind_pooling<float>(m, "PoolingFloat32");
    bind_pooling<double>(m, "PoolingFloat64");
    bind_stream<float>(m, "StreamFloat32");
    bind_stream<double>(m, "StreamFloat64");
    nb::register_exception_translator(
        [](const std::exception_ptr& p, void*) {
            const auto raise = [](const char* type, const char* what) {
                PyErr_SetString(nb::module_::import_("throughtime.spec.errors").attr(type).ptr(), what);
            };
            try {
                std::rethrow_exception(p);
            } catch (const ShapeProblem& e) {
                raise("ShapeError", e.what());
            } catch (const OptionProblem& e) {
                raise("OptionError", e.what());
            }
        });
}
