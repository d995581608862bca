// Which components are maximally stable (Matas et al. 2002; the one-sided growth rate of Nister and Stewenius 2008).
//
// Follow one component while the threshold t falls: it exists from t = its level on, keeps its pixels down to one above
// its parent's level, and is the parent from there. Its variation at t is how much it grows in the next delta levels:
//     v(t) = (area at t - delta  -  area at t) / area at t.
// Below the lowest grey there is nothing to grow into: the page stays what it is. Above the highest there is no past,
// and none is asked for. So ink on a bitonal page, which exists from the very first threshold, has v = 0: as stable as
// can be, where methods that look back delta levels find nothing to look at.
//
// While a component keeps its pixels v can only rise, so its best is at its level: that is its `variation`. The
// component is stable if v has a local minimum there: it was higher just before, in each child, and doesn't fall just
// after. Comparing v across thresholds rather than between nodes matters where levels lie far apart: the letter and the
// grey box it stands in both have v = 0 at their level, but the letter's v is large just before it drowns in the box.
#pragma once

#include <cstdint>

#include "nodes.hpp"

namespace mser {

struct Selection {
    std::int32_t max_area;
    double max_variation;
    double min_diversity;
};

// The area of the component around `node` after the threshold has fallen `fall` levels below the node's.
inline std::int32_t area_after(const Nodes& nodes, std::int32_t i, int fall) {
    const int threshold = nodes.node[i].level - fall;
    while (nodes.node[i].parent >= 0 && nodes.node[nodes.node[i].parent].level >= threshold) i = nodes.node[i].parent;
    return nodes.node[i].area;
}

inline double growth(std::int32_t area, std::int32_t later) {
    return (static_cast<double>(later) - area) / area;
}

// v at the component's level.
inline double variation(const Nodes& nodes, std::int32_t i, int delta) {
    return growth(nodes.node[i].area, area_after(nodes, i, delta));
}

// v at the last threshold before the component drowns in its parent.
inline double last_variation(const Nodes& nodes, std::int32_t i, int delta) {
    return growth(nodes.node[i].area, area_after(nodes, nodes.node[i].parent, delta - 1));
}

inline void set_variations(Nodes& nodes, int delta) {
    for (std::int32_t i = 0; i < nodes.count; ++i)
        nodes.node[i].variation = static_cast<float>(variation(nodes, i, delta));
}

// Keeps the stable regions only, and makes `parent` the nearest of them.
//
// Of two stable regions, one in the other, that differ by less than `min_diversity` of the larger's area, the larger
// stays. The root, the whole image, is never a region.
inline void select(Nodes& nodes, int delta, const Selection& selection) {
    Buffer<double> v(nodes.count);
    Buffer<std::uint8_t> stable(nodes.count);
    for (std::int32_t i = 0; i < nodes.count; ++i) {
        v[i] = variation(nodes, i, delta);
        nodes.node[i].variation = static_cast<float>(v[i]);
        stable[i] = v[i] <= selection.max_variation && nodes.node[i].area <= selection.max_area;
    }
    for (std::int32_t i = 1; i < nodes.count; ++i) {
        const std::int32_t parent = nodes.node[i].parent;
        const double last = last_variation(nodes, i, delta);
        if (last <= v[parent]) stable[parent] = 0;
        if (last == v[i] && v[parent] < last) stable[i] = 0;
    }

    Buffer<std::int32_t> region(nodes.count);  // [i]: the nearest region at or around node i, by its new number
    std::int32_t kept = 0;
    if (nodes.count) region[0] = -1;
    for (std::int32_t i = 1; i < nodes.count; ++i) {
        const Node& node = nodes.node[i];
        const std::int32_t around = region[node.parent];
        const bool alike = around >= 0 && nodes.node[around].area - node.area <
                                              selection.min_diversity * nodes.node[around].area;
        region[i] = around;
        if (!stable[i] || alike) continue;
        region[i] = kept;
        nodes.node[kept] = node;
        nodes.node[kept].parent = around;
        ++kept;
    }
    nodes.truncate(kept);
}

}  // namespace mser
