// Component trees of an image, both polarities in one scan.
//
// A component of an image at threshold t is a connected set of pixels that are all at least t high. Lowering t makes
// components grow and meet; which one ends up in which is the component tree (max-tree). "Height" is the grey for light
// components and 255 - grey for dark ones (min-tree), so that the code knows one kind of tree only.
//
// Nister and Stewenius (2008), "Linear Time Maximally Stable Extremal Regions", flood the image pixel by pixel from a
// heap of boundary pixels. Here water rises in strips of rows instead:
//   1. each row's own tree, of runs, is built with a stack in one pass;
//   2. two neighbouring strips become one where they touch: for each pair of neighbours that matters, the paths from both
//      to their roots are merged (Wilkinson et al. 2008, "Concurrent computation of attribute filters on shared memory
//      parallel machines").
//
// Few neighbours matter. Let w(x) be the height at which column x connects two rows: the lower of its two pixels. From a
// column, walk along both rows to where w is higher or equal: no pixel on the way is below w(x), so the column adds
// nothing that its neighbour doesn't. Only the local maxima of w count, one column for each. A diagonal of a 2x2 square
// adds something only where both its pixels are higher than both others: at a saddle. There the light diagonal joins
// light components and the dark one dark components, so saddles are found once for both trees.
//
// Paths stay short. Added to one big tree, each row would walk the long paths of all that is above it: the grey of one
// letter's edge can have two hundred levels. So strips are merged as merge sort does, one row with one row, two with two,
// four with four: half of all seams lie between single rows, a quarter between strips of two.
//
// Memory is read nearly in scan order, no heap is needed, and on clean pages the work follows the runs, not the pixels.
// Time: a merge takes at most as many steps as there are grey levels, so the whole is linear in the pixels; on real pages
// the mean is 2 to 18 steps.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "runs.hpp"

namespace mser {

enum class Connectivity { four = 4, eight = 8 };

// What two neighbouring rows have in common for both polarities.
struct Seam {
    explicit Seam(std::ptrdiff_t width)
        : width(width), above(width), below(width), above_run(width), below_run(width), flag(width),
          saddle(width + 1), rises(width + 1) {}

    // Makes the lower row the upper one; the lower is then to be filled anew.
    void advance() {
        std::swap(above, below);
        std::swap(above_run, below_run);
    }

    // Finds saddles and steps between the rows.
    void compare(Connectivity connectivity) {
        saddles = 0;
        if (connectivity == Connectivity::eight) {
            const std::uint8_t *p = above.data(), *q = below.data();
            std::uint8_t* out = flag.data();
            for (std::ptrdiff_t x = 0, last = width - 1; x < last; ++x) {
                const std::uint8_t a = p[x], b = p[x + 1], c = q[x], d = q[x + 1];
                const std::uint8_t falling_low = std::min(a, d), falling_high = std::max(a, d);
                const std::uint8_t rising_low = std::min(b, c), rising_high = std::max(b, c);
                out[x] = (falling_low > rising_high) | (rising_low > falling_high);
            }
            saddles = positions(out, width - 1, saddle.data());
        }
        std::uint32_t sum = 0;
        std::ptrdiff_t x = 0;
        rises[0] = 0;
        const auto one = [&] {
            sum += (below[x] > above[x]) + ((below[x] < above[x]) << 16);
            rises[++x] = sum;
        };
        while (x + 8 <= width) {
            if (eight(above.data() + x) == eight(below.data() + x)) {
                std::fill_n(rises.data() + x + 1, 8, sum);
                x += 8;
            } else {
                for (int i = 0; i < 8; ++i) one();
            }
        }
        while (x < width) one();
    }

    std::ptrdiff_t width;
    Buffer<std::uint8_t> above, below;           // grey
    Buffer<std::int32_t> above_run, below_run;   // the run of each column
    Buffer<std::uint8_t> flag;                   // scratch
    Buffer<std::int32_t> saddle;                 // left columns of the saddles
    std::ptrdiff_t saddles = 0;
    Buffer<std::uint32_t> rises;  // [x]: columns left of x where grey rises from above to below, + 2^16 x where it falls
};

// The tree of one polarity while it grows.
//
// `link[run]` is the run's parent component, by one of its runs (0: none, so far), or, where negative, ~ of an earlier
// run of the same component. A run with a link >= 0 is its component's canonical run: the first in scan order.
class Forest {
public:
    Forest(const Runs& runs, bool dark)
        : link(runs.count + 1), height(runs.count + 1), edges(runs.count + 1), euler(runs.count + 1), dark(dark),
          runs_(runs), flip_(dark ? 255 : 0), stack_(runs.width), w_(runs.width), changed_(runs.width),
          plateau_(runs.width + 1), peak_(runs.width + 1), basin_(runs.width + 1) {
        link[0] = 0;
    }

    // Step 1: adds row `y` as a tree of its own.
    void add_row(std::ptrdiff_t y) {
        const std::int32_t first = runs_.first[y], past = runs_.first[y + 1];
        std::int32_t depth = 0;  // runs on the stack, each higher than the one below it
        for (std::int32_t run = first; run < past; ++run) {
            const std::uint8_t h = runs_.level[run] ^ flip_;
            height[run] = h;
            edges[run] = 0;
            euler[run] = 0;
            std::int32_t popped = 0;
            while (depth > 0 && height[stack_[depth - 1]] > h) popped = stack_[--depth];
            const std::int32_t top = depth > 0 ? stack_[depth - 1] : 0;
            if (top && height[top] == h) {
                link[run] = ~top;
                continue;
            }
            if (popped) link[popped] = run;
            link[run] = top;
            stack_[depth++] = run;
        }
    }

    // Notes which neighbours across the seam, of which row `y` is the lower, matter; counts what the seam adds to runs.
    void add_seam(const Seam& seam, std::ptrdiff_t y) {
        std::vector<Contact>& contacts = pending_[order(y)];
        count_edges(seam, y);
        find_extrema(seam);
        for (std::ptrdiff_t i = 0; i < peaks_; ++i) {
            const std::int32_t a = seam.above_run[peak_[i]], b = seam.below_run[peak_[i]];
            euler[lower(a, b)] -= 1;
            contacts.push_back({a, b});
        }
        for (std::ptrdiff_t i = 0; i < basins_; ++i)
            euler[lower(seam.above_run[basin_[i]], seam.below_run[basin_[i]])] += 1;
        for (std::ptrdiff_t i = 0; i < seam.saddles; ++i) {
            const std::int32_t x = seam.saddle[i];
            std::int32_t a = seam.above_run[x], d = seam.below_run[x + 1];
            std::int32_t b = seam.above_run[x + 1], c = seam.below_run[x];
            if (height[a] < height[b]) {
                std::swap(a, b);
                std::swap(d, c);
            }
            euler[lower(a, d)] -= 1;
            euler[height[b] > height[c] ? b : c] += 1;
            contacts.push_back({a, d});
        }
    }

    // Step 2, after `rows` rows: merges the strips that are complete, small ones first.
    void merge_complete(std::ptrdiff_t rows) {
        for (int k = 0; k < order(rows); ++k) merge(k);
    }

    // Step 2, after the last row.
    void merge_rest() {
        for (std::size_t k = 0; k < pending_.size(); ++k) merge(k);
    }

    Buffer<std::int32_t> link;
    Buffer<std::uint8_t> height;
    // Vertical pairs of neighbours and the Euler number are counted where they belong: at the lowest run that has part
    // in them. Summed over a component's subtree they are the component's.
    Buffer<std::int32_t> edges;  // pairs of vertical neighbours of which this run's pixel is the lower
    Buffer<std::int32_t> euler;  // squares - vertical pairs - diagonal contacts: the part of V - E + F across rows
    const bool dark;

private:
    struct Contact {
        std::int32_t a, b;
    };

    // The seam above row y lies between strips of 2^order(y) rows: how often 2 divides y.
    static int order(std::ptrdiff_t y) {
        int k = 0;
        while (y % 2 == 0) y /= 2, ++k;
        return k;
    }

    void merge(std::size_t k) {
        for (const Contact& contact : pending_[k]) connect(contact.a, contact.b);
        pending_[k].clear();
    }

    std::int32_t lower(std::int32_t a, std::int32_t b) const { return height[a] < height[b] ? a : b; }

    std::int32_t canonical(std::int32_t run) {
        while (link[run] < 0) {
            const std::int32_t next = ~link[run];
            if (link[next] < 0) link[run] = link[next];  // path halving
            run = next;
        }
        return run;
    }

    // Merges the paths from a and from b to their roots: each component on one finds its place on the other.
    void connect(std::int32_t a, std::int32_t b) {
        a = canonical(a);
        b = canonical(b);
        if (height[a] < height[b]) std::swap(a, b);
        while (a != b) {  // a is never the lower one
            const bool level = height[a] == height[b];
            if (level && a < b) std::swap(a, b);  // one component: the earlier run stands for it
            const std::int32_t parent = canonical(link[a]);
            if (parent && height[parent] >= height[b]) {
                a = parent;
                continue;
            }
            link[a] = level ? ~b : b;
            if (!parent) return;
            a = b;
            b = parent;
        }
    }

    // A pair of neighbours belongs to the lower one; of two equal ones, to that in the lower row.
    void count_edges(const Seam& seam, std::ptrdiff_t y) {
        const int shift = dark ? 16 : 0;  // where the seam counts the columns in which height rises
        std::int32_t x = 0;
        for (std::int32_t run = runs_.first[y - 1]; run < runs_.first[y]; ++run) {
            const std::int32_t end = runs_.end[run];
            const std::uint32_t steps = seam.rises[end] - seam.rises[x];
            edges[run] += static_cast<std::int32_t>((steps >> shift) & 0xffff);
            x = end;
        }
        x = 0;
        for (std::int32_t run = runs_.first[y]; run < runs_.first[y + 1]; ++run) {
            const std::int32_t end = runs_.end[run];
            const std::uint32_t steps = seam.rises[end] - seam.rises[x];
            edges[run] += (end - x) - static_cast<std::int32_t>((steps >> shift) & 0xffff);
            x = end;
        }
    }

    // Columns of the local maxima (peaks) and minima (basins) of w, one for each plateau; beyond the ends w is lowest.
    void find_extrema(const Seam& seam) {
        const std::ptrdiff_t width = seam.width;
        const std::uint8_t *above = seam.above.data(), *below = seam.below.data(), flip = flip_;
        std::uint8_t *w = w_.data(), *changed = changed_.data();
        for (std::ptrdiff_t x = 0; x < width; ++x)
            w[x] = std::min<std::uint8_t>(above[x] ^ flip, below[x] ^ flip);
        changed[0] = 1;
        for (std::ptrdiff_t x = 1; x < width; ++x) changed[x] = w[x] != w[x - 1];
        const std::ptrdiff_t plateaus = positions(changed, width, plateau_.data());
        peaks_ = basins_ = 0;
        int left = -1, height = w[0];
        for (std::ptrdiff_t i = 0; i < plateaus; ++i) {
            const int right = i + 1 < plateaus ? w[plateau_[i + 1]] : -1;
            peak_[peaks_] = basin_[basins_] = plateau_[i];
            peaks_ += (left < height) & (height > right);
            basins_ += (left > height) & (height < right);
            left = height;
            height = right;
        }
    }

    const Runs& runs_;
    const std::uint8_t flip_;
    std::array<std::vector<Contact>, 16> pending_;  // [k]: neighbours across a seam of order k; rows are at most 2^16
    Buffer<std::int32_t> stack_;
    Buffer<std::uint8_t> w_, changed_;
    Buffer<std::int32_t> plateau_, peak_, basin_;
    std::ptrdiff_t peaks_ = 0, basins_ = 0;
};

// Scans the image once and grows each forest in `forests` (pointers, null for a polarity nobody asked for) into a tree.
inline void flood(const Image& image, std::uint8_t mask, Connectivity connectivity, Runs& runs,
                  Forest* const (&forests)[2]) {
    if (runs.count == 0) return;
    Seam seam(runs.width);
    for (std::ptrdiff_t y = 0; y < runs.height; ++y) {
        seam.advance();
        image.row(y, mask, seam.below.data());
        runs.split(y, seam.below.data(), seam.below_run.data());
        if (y > 0) seam.compare(connectivity);
        for (Forest* forest : forests)
            if (forest) {
                forest->add_row(y);
                if (y > 0) forest->add_seam(seam, y);
                forest->merge_complete(y + 1);
            }
    }
    for (Forest* forest : forests)
        if (forest) forest->merge_rest();
}

}  // namespace mser
