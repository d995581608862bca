// Reads random outputs with random language models under the sanitizers and checks what must hold of any reading.
//     ctc_fuzz [windows] [seed]
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "window.hpp"

using namespace ctc;

namespace {

std::mt19937 random_bits;

int pick(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_bits); }

void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "ctc_fuzz: %s\n", what);
    std::abort();
}

float logit(int kind) {
    switch (kind) {
        case 0: return std::normal_distribution<float>(0, 1)(random_bits);
        case 1: return std::normal_distribution<float>(0, 20)(random_bits);
        case 2: return 0;
        case 3: return pick(0, 9) ? -1e4f : 0;
        case 4: return static_cast<float>(pick(-1, 1)) * 1e30f;
        case 5: return pick(0, 5) ? 0 : -std::numeric_limits<float>::infinity();
        default: return pick(0, 99) ? 0 : std::numeric_limits<float>::quiet_NaN();
    }
}

Language language(std::size_t classes) {
    const int order = pick(1, Language::MOST);
    std::vector<std::uint64_t> keys;
    std::vector<std::uint8_t> costs, backoffs;
    for (int n = pick(0, 300); n > 0; --n) {
        std::uint64_t key = pick(0, 9) ? static_cast<std::uint64_t>(pick(1, static_cast<int>(classes))) : START;
        for (int length = pick(1, order); length > 1; --length)
            key = key << 8 | static_cast<std::uint64_t>(pick(1, static_cast<int>(classes)));
        keys.push_back(key);
        costs.push_back(static_cast<std::uint8_t>(pick(0, 255)));
        backoffs.push_back(static_cast<std::uint8_t>(pick(0, 255)));
    }
    std::vector<Class> symbols(classes);
    for (Class& symbol : symbols) symbol = static_cast<Class>(pick(0, static_cast<int>(classes) - 1));
    return {keys.data(), costs.data(), backoffs.data(), keys.size(), symbols.data(), classes, order, 1.0 / 16};
}

void run() {
    const auto steps = static_cast<std::size_t>(pick(0, 70));
    const auto classes = static_cast<std::size_t>(pick(0, 3) ? pick(1, 12) : pick(1, 254));
    const int kind = pick(0, 6);
    std::vector<float> logits(steps * classes);
    for (float& value : logits) value = logit(kind);
    const std::vector<float> rows = softmax(logits.data(), steps, classes);
    const Output output{rows.data(), steps, classes};
    const Language model = language(classes);
    const Search search{pick(1, 20), pick(0, 1) * 0.004, pick(0, 20) * 1.0, pick(0, 3) * 0.3, pick(0, 3) * 0.5,
                        pick(0, 1) * -2.0};
    const Reading reading = read(output, pick(0, 3) ? &model : nullptr, search);
    require(reading.steps.size() == reading.text.size(), "each character has a step");
    require(reading.probabilities.size() == reading.text.size(), "and a probability");
    require(reading.text.size() <= steps, "no more characters than steps");
    for (std::size_t i = 0; i < reading.text.size(); ++i) {
        require(reading.text[i] != BLANK && reading.text[i] < classes, "characters are classes");
        require(reading.steps[i] < steps && (i == 0 || reading.steps[i - 1] < reading.steps[i]), "steps ascend");
        require(reading.probabilities[i] >= 0 && reading.probabilities[i] <= 1, "probabilities are in 0..1");
    }
    require(reading.log_likelihood <= 0, "a likelihood is at most one");
}

}  // namespace

int main(int argc, char** argv) {
    const int windows = argc > 1 ? std::atoi(argv[1]) : 2000;
    random_bits.seed(argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1);
    for (int i = 0; i < windows; ++i) run();
    std::printf("%d windows\n", windows);
}
