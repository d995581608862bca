// Grows trees of random images of every shape and layout under the sanitizers and checks what must hold of any tree.
//     mser_fuzz [images] [seed]
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "stability.hpp"

using namespace mser;

namespace {

std::mt19937 random_bits;

int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_bits); }

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "mser_fuzz: %s\n", what);
    std::abort();
}

int grey(int kind, int y, int x) {
    switch (kind) {
        case 0: return pick(0, 255);
        case 1: return pick(0, 1) * 255;
        case 2: return 77;
        case 3: return (x + y) % 2 * 255;
        case 4: return (x * 3 + y * 5) & 255;
        case 5: return pick(0, 9) ? 250 + pick(0, 5) : pick(0, 40);
        case 6: return x % 2 ? y & 255 : 0;  // a comb: long paths
        default: return 128 + pick(-3, 3);
    }
}

void check(const Nodes& nodes, const Image& image, int min_area) {
    const std::int64_t pixels = static_cast<std::int64_t>(image.height) * image.width;
    require((nodes.count > 0) == (pixels > 0 && pixels >= min_area), "an image has a root");
    std::vector<std::int64_t> children(nodes.count);
    for (std::int32_t i = 0; i < nodes.count; ++i) {
        const Node& node = nodes.node[i];
        require(i ? node.parent >= 0 && node.parent < i : node.parent == -1, "parents stand before their children");
        require(node.area >= min_area && (i || node.area == pixels), "areas are in range");
        require(0 <= node.x0 && node.x0 < node.x1 && node.x1 <= image.width, "columns are in the image");
        require(0 <= node.y0 && node.y0 < node.y1 && node.y1 <= image.height, "rows are in the image");
        require(node.perimeter >= 4 && node.holes >= 0, "outlines exist");
        require(node.sum_x >= std::int64_t{node.area} * node.x0 && node.sum_x < std::int64_t{node.area} * node.x1,
                "the centre is in the box");
        require(node.variation >= 0, "areas grow");
        if (i) {
            const Node& parent = nodes.node[node.parent];
            require(parent.level < node.level && node.merge == parent.level, "levels fall towards the root");
            children[node.parent] += node.area;
            require(children[node.parent] < parent.area, "a parent has pixels of its own");
        }
    }
}

void try_one() {
    static const int sides[] = {0, 1, 2, 7, 8, 9, 31, 64, 65, 200};
    int height = sides[pick(0, 9)], width = sides[pick(0, 9)];
    if (pick(0, 99) == 0) (pick(0, 1) ? height : width) = 65535, (height > width ? width : height) = pick(1, 3);
    const int kind = pick(0, 7), gap = pick(1, 3), slack = pick(0, 5);
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(width) * gap + slack;
    // Exactly as long as needed, so that one byte too far is an error.
    const std::ptrdiff_t bytes = height && width ? (height - 1) * row + (width - 1) * gap + 1 : 0;
    std::unique_ptr<std::uint8_t[]> memory(new std::uint8_t[bytes]);
    Image image{memory.get(), height, width, row, gap};
    if (bytes && pick(0, 1)) image = {memory.get() + (height - 1) * row, height, width, -row, gap};
    for (std::ptrdiff_t y = 0; y < height; ++y)
        for (std::ptrdiff_t x = 0; x < width; ++x)
            memory[y * row + x * gap] = static_cast<std::uint8_t>(grey(kind, static_cast<int>(y), static_cast<int>(x)));

    image.check();
    const auto mask = static_cast<std::uint8_t>(256 - (1 << pick(0, 7)));
    const int min_area = pick(1, 12), delta = pick(1, 255);
    Runs runs(image, mask);
    Forest dark(runs, true), light(runs, false);
    flood(image, mask, pick(0, 1) ? Connectivity::eight : Connectivity::four, runs, {&dark, &light});
    for (Forest* forest : {&dark, &light}) {
        Nodes nodes = collect(runs, *forest, min_area);
        set_variations(nodes, delta);
        check(nodes, image, min_area);
        select(nodes, delta, {pick(1, 1000), pick(0, 100) / 50.0, pick(0, 100) / 100.0});
        for (std::int32_t i = 0; i < nodes.count; ++i) require(nodes.node[i].parent < i, "regions are in order");
        nodes.finish(forest->dark);
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int images = argc > 1 ? std::atoi(argv[1]) : 2000;
    random_bits.seed(argc > 2 ? std::atoi(argv[2]) : 0);
    for (int i = 0; i < images; ++i) try_one();
    std::printf("mser_fuzz: %d images, nothing found\n", images);
}
