// The Python module `_mser`: the arrays of engines/scribe/mser/__init__.py without their names.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "stability.hpp"

namespace nb = nanobind;
using namespace mser;

namespace {

using Grey = nb::ndarray<const std::uint8_t, nb::ndim<2>, nb::device::cpu>;
using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>>;

// Hands the nodes' memory to Python, which frees it with the array.
Bytes bytes(Nodes&& nodes) {
    const std::size_t length = static_cast<std::size_t>(nodes.count) * sizeof(Node);
    Node* memory = nodes.node.release();
    nb::capsule owner(memory, [](void* p) noexcept { std::free(p); });
    return Bytes(memory, {length}, owner);
}

std::tuple<Bytes, Bytes> build(const Grey& grey, bool dark, bool light, int delta, std::int32_t min_area, int step,
                               int connectivity, std::optional<Selection> selection) {
    const Image image{grey.data(), static_cast<std::ptrdiff_t>(grey.shape(0)),
                      static_cast<std::ptrdiff_t>(grey.shape(1)), grey.stride(0), grey.stride(1)};
    image.check();
    const auto mask = static_cast<std::uint8_t>(256 - step);
    Nodes dark_nodes{Buffer<Node>(0), 0}, light_nodes{Buffer<Node>(0), 0};
    {
        nb::gil_scoped_release release;
        Runs runs(image, mask);
        std::optional<Forest> dark_forest, light_forest;
        if (dark) dark_forest.emplace(runs, true);
        if (light) light_forest.emplace(runs, false);
        flood(image, mask, static_cast<Connectivity>(connectivity), runs,
              {dark ? &*dark_forest : nullptr, light ? &*light_forest : nullptr});
        const auto finished = [&](std::optional<Forest>& forest) {
            Nodes nodes = collect(runs, *forest, min_area);
            if (selection)
                select(nodes, delta, *selection);
            else
                set_variations(nodes, delta);
            nodes.finish(forest->dark);
            forest.reset();
            return nodes;
        };
        if (dark) dark_nodes = finished(dark_forest);
        if (light) light_nodes = finished(light_forest);
    }
    return {bytes(std::move(dark_nodes)), bytes(std::move(light_nodes))};
}

// Name, numpy format and offset of each field of a node.
std::vector<std::tuple<std::string, std::string, std::size_t>> layout() {
    return {
        {"parent", "i4", offsetof(Node, parent)},       {"area", "i4", offsetof(Node, area)},
        {"x0", "i4", offsetof(Node, x0)},               {"y0", "i4", offsetof(Node, y0)},
        {"x1", "i4", offsetof(Node, x1)},               {"y1", "i4", offsetof(Node, y1)},
        {"perimeter", "i4", offsetof(Node, perimeter)}, {"holes", "i4", offsetof(Node, holes)},
        {"sum_x", "i8", offsetof(Node, sum_x)},         {"sum_y", "i8", offsetof(Node, sum_y)},
        {"sum_xx", "i8", offsetof(Node, sum_xx)},       {"sum_yy", "i8", offsetof(Node, sum_yy)},
        {"sum_xy", "i8", offsetof(Node, sum_xy)},       {"variation", "f4", offsetof(Node, variation)},
        {"level", "u1", offsetof(Node, level)},         {"merge", "u1", offsetof(Node, merge)},
        {"extremum", "u1", offsetof(Node, extremum)},
    };
}

}  // namespace

NB_MODULE(_mser, m) {
    m.attr("NODE_SIZE") = sizeof(Node);
    m.attr("LAYOUT") = nb::cast(layout());
    m.def(
        "trees",
        [](const Grey& grey, bool dark, bool light, int delta, std::int32_t min_area, int step, int connectivity) {
            return build(grey, dark, light, delta, min_area, step, connectivity, std::nullopt);
        },
        nb::arg("grey").noconvert(), nb::kw_only(), nb::arg("dark"), nb::arg("light"), nb::arg("delta"),
        nb::arg("min_area"), nb::arg("step"), nb::arg("connectivity"));
    m.def(
        "regions",
        [](const Grey& grey, bool dark, bool light, int delta, std::int32_t min_area, std::int32_t max_area,
           double max_variation, double min_diversity, int step, int connectivity) {
            return build(grey, dark, light, delta, min_area, step, connectivity,
                         Selection{max_area, max_variation, min_diversity});
        },
        nb::arg("grey").noconvert(), nb::kw_only(), nb::arg("dark"), nb::arg("light"), nb::arg("delta"),
        nb::arg("min_area"), nb::arg("max_area"), nb::arg("max_variation"), nb::arg("min_diversity"), nb::arg("step"),
        nb::arg("connectivity"));
}
