// From a forest of runs to an array of nodes: one for each component, with its size, box, moments and outline.
#pragma once

#include <algorithm>
#include <cstdint>

#include "flood.hpp"

namespace mser {

// One component, as numpy sees it (binding.cpp tells it the layout).
struct Node {
    std::int32_t parent;          // index of the parent; -1: none
    std::int32_t area;            // px
    std::int32_t x0, y0, x1, y1;  // box, px: x1 and y1 are one past the last pixel
    std::int32_t perimeter;       // pixel sides between the component and the rest or the image's edge
    std::int32_t holes;
    std::int64_t sum_x, sum_y, sum_xx, sum_yy, sum_xy;  // over the pixels' x and y
    float variation;
    std::uint8_t level;     // the grey at which the component appears: the last grey inside it
    std::uint8_t merge;     // the grey at which it becomes part of its parent in the full tree; the root's is its level
    std::uint8_t extremum;  // the darkest grey in a dark component, the lightest in a light one
    std::uint8_t reserved;
};

// Nodes of a tree, parents before children: by height, then in scan order. `level`, `merge` and `extremum` are heights
// until `finish` makes them grey.
struct Nodes {
    Buffer<Node> node;
    std::int32_t count;

    // Drops what is behind `kept` nodes.
    void truncate(std::int32_t kept) {
        count = kept;
        node.shrink(kept);
    }

    void finish(bool dark) {
        if (!dark) return;
        for (std::int32_t i = 0; i < count; ++i) {
            node[i].level ^= 255;
            node[i].merge ^= 255;
            node[i].extremum ^= 255;
        }
    }
};

// One step along a link between runs of one component. Branches on noise are guessed wrong: there is none.
inline std::int32_t representative(const Forest& forest, std::int32_t run) {
    const std::int32_t link = forest.link[run];
    return link < 0 ? ~link : run;
}

// Components by height, lowest first: their canonical runs.
struct Order {
    Buffer<std::int32_t> run;
    std::int32_t count;
};

// Shortens links between runs of one component to one step and sums each run's length at its canonical run.
inline void gather(const Runs& runs, Forest& forest, Buffer<std::int32_t>& area) {
    for (std::ptrdiff_t y = 0; y < runs.height; ++y) {
        std::int32_t x = 0;
        for (std::int32_t run = runs.first[y]; run < runs.first[y + 1]; ++run) {
            // Links between runs of one component lead to earlier runs, whose links are short by now: two steps do.
            const std::int32_t canonical = representative(forest, representative(forest, run));
            forest.link[run] = canonical == run ? forest.link[run] : ~canonical;
            area[run] = 0;
            area[canonical] += runs.end[run] - x;
            x = runs.end[run];
        }
    }
}

// Counting sort of the components by height.
inline Order sorted(const Runs& runs, const Forest& forest) {
    std::int32_t start[257] = {};
    for (std::int32_t run = 1; run <= runs.count; ++run) start[forest.height[run] + 1] += forest.link[run] >= 0;
    for (int h = 0; h < 256; ++h) start[h + 1] += start[h];
    Order order{Buffer<std::int32_t>(start[256] + 1), start[256]};
    for (std::int32_t run = 1; run <= runs.count; ++run) {
        const bool canonical = forest.link[run] >= 0;
        std::int32_t& next = start[forest.height[run]];
        order.run[canonical ? next : order.count] = run;  // behind the end lies what nobody reads
        next += canonical;
    }
    return order;
}

// Adds what each run holds to its node.
inline void measure(const Runs& runs, const Forest& forest, const Buffer<std::int32_t>& id, Nodes& nodes) {
    Buffer<std::int64_t> squares(runs.width + 1);  // [x]: 0^2 + 1^2 + ... + (x - 1)^2
    squares[0] = 0;
    for (std::int64_t x = 0; x < runs.width; ++x) squares[x + 1] = squares[x] + x * x;

    for (std::ptrdiff_t y = 0; y < runs.height; ++y) {
        const std::int32_t first = runs.first[y], past = runs.first[y + 1];
        const auto row = static_cast<std::int32_t>(y);
        std::int32_t x0 = 0;
        for (std::int32_t run = first; run < past; ++run) {
            const std::int32_t x1 = runs.end[run], length = x1 - x0;
            const std::uint8_t h = forest.height[run];
            const std::int32_t higher = (run > first && forest.height[run - 1] > h) +
                                        (run + 1 < past && forest.height[run + 1] > h);
            Node& node = nodes.node[id[representative(forest, run)]];
            // Pixel sides: four a pixel, less two for each pair of neighbours inside.
            node.perimeter += 4 * length - 2 * (length - 1 + higher + forest.edges[run]);
            node.holes -= 1 - higher + forest.euler[run];  // holes = 1 - Euler number
            node.x0 = std::min(node.x0, x0);
            node.x1 = std::max(node.x1, x1);
            node.y0 = std::min(node.y0, row);
            node.y1 = std::max(node.y1, row + 1);
            const std::int64_t sum_x = static_cast<std::int64_t>(x0 + x1 - 1) * length / 2;
            node.sum_x += sum_x;
            node.sum_y += static_cast<std::int64_t>(row) * length;
            node.sum_xx += squares[x1] - squares[x0];
            node.sum_yy += static_cast<std::int64_t>(row) * row * length;
            node.sum_xy += sum_x * row;
            node.extremum = std::max(node.extremum, h);
            x0 = x1;
        }
    }
}

// Adds children to parents.
inline void accumulate(Nodes& nodes) {
    for (std::int32_t i = nodes.count - 1; i > 0; --i) {
        const Node& child = nodes.node[i];
        Node& parent = nodes.node[child.parent];
        parent.x0 = std::min(parent.x0, child.x0);
        parent.x1 = std::max(parent.x1, child.x1);
        parent.y0 = std::min(parent.y0, child.y0);
        parent.y1 = std::max(parent.y1, child.y1);
        parent.perimeter += child.perimeter;
        parent.holes += child.holes - 1;  // every node's count starts at 1
        parent.sum_x += child.sum_x;
        parent.sum_y += child.sum_y;
        parent.sum_xx += child.sum_xx;
        parent.sum_yy += child.sum_yy;
        parent.sum_xy += child.sum_xy;
        parent.extremum = std::max(parent.extremum, child.extremum);
    }
}

// The forest's components of at least `min_area` px as nodes. Smaller ones never get a node: on a noisy page most are,
// and what they hold is counted at the smallest component around them that is large enough.
inline Nodes collect(const Runs& runs, Forest& forest, std::int32_t min_area) {
    if (runs.count == 0) return {Buffer<Node>(0), 0};
    Buffer<std::int32_t> area(runs.count + 1);
    gather(runs, forest, area);
    const Order order = sorted(runs, forest);
    std::int32_t count = 0;
    for (std::int32_t i = order.count - 1; i >= 0; --i) {
        const std::int32_t run = order.run[i];
        if (forest.link[run]) {
            forest.link[run] = representative(forest, forest.link[run]);
            area[forest.link[run]] += area[run];
        }
        count += area[run] >= min_area;
    }

    Nodes nodes{Buffer<Node>(count), 0};
    if (count == 0) return nodes;
    Buffer<std::int32_t>& id = area;  // a run's area is read for the last time where its node's number is written
    for (std::int32_t i = 0; i < order.count; ++i) {
        const std::int32_t run = order.run[i], parent = forest.link[run];
        if (area[run] < min_area) {
            id[run] = id[parent];
            continue;
        }
        Node& node = nodes.node[nodes.count];
        node = Node{};
        node.parent = parent ? id[parent] : -1;
        node.area = area[run];
        node.x0 = node.y0 = INT32_MAX;
        node.holes = 1;
        node.level = forest.height[run];
        node.merge = forest.height[parent ? parent : run];
        id[run] = nodes.count++;
    }
    measure(runs, forest, id, nodes);
    accumulate(nodes);
    return nodes;
}

}  // namespace mser
