// The likeliest text of a window: a prefix beam over the net's output (Graves et al. 2006, section 3.2; Hannun et al.
// 2014), with a language model's say in which prefixes live on.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "language.hpp"

namespace ctc {

constexpr Class BLANK = 0;

// Probabilities, not their logarithms: `steps` rows of `classes`.
struct Output {
    const float* data;
    std::size_t steps, classes;

    const float* operator[](std::size_t step) const { return data + step * classes; }
};

struct Search {
    int width;      // prefixes that live on from a step to the next
    double least;   // classes of lower probability are left out of a step
    double margin;  // nats that a prefix may lie behind the best one
    double weight;  // of the language model's nats
    double bonus;   // nats for each character, as the model makes long texts dear
};

class Beam {
public:
    Beam(const Output& output, const Language* language, const Search& search)
        : output_(output), language_(language), search_(search) {}

    // The classes of the likeliest text, without blanks.
    std::vector<Class> text() {
        nodes_.assign(1, Node{});
        nodes_[0].blank = 1;
        alive_.assign(1, 0);
        for (std::size_t step = 0; step < output_.steps; ++step) advance(output_[step]);
        std::vector<Class> text;
        for (int at = alive_[0]; at != 0; at = nodes_[at].parent) text.push_back(nodes_[at].last);
        std::reverse(text.begin(), text.end());
        return text;
    }

private:
    // A prefix: the tree's node. Its probability ends in a blank or in its last character; `prior` is what the
    // language model says of it, weighed.
    struct Node {
        int parent = 0, child = 0, sibling = 0;
        Context context = START;
        double prior = 0;
        double blank = 0, fired = 0, next_blank = 0, next_fired = 0;
        Class last = BLANK;
        bool grown = false;
    };

    void advance(const float* row) {
        candidates_.clear();
        const float least = std::min(static_cast<float>(search_.least), *std::max_element(row, row + output_.classes));
        for (std::size_t c = 0; c < output_.classes; ++c)
            if (row[c] >= least && row[c] > 0) candidates_.push_back(static_cast<Class>(c));
        grown_.clear();
        for (const int at : alive_) {
            const double blank = nodes_[at].blank, fired = nodes_[at].fired;
            for (const Class c : candidates_) {
                const double p = row[c];
                if (c == BLANK) {
                    reached(at).next_blank += (blank + fired) * p;
                } else if (c == nodes_[at].last) {
                    reached(at).next_fired += fired * p;
                    if (blank > 0) reached(child(at, c)).next_fired += blank * p;
                } else {
                    reached(child(at, c)).next_fired += (blank + fired) * p;
                }
            }
        }
        for (const int at : alive_) nodes_[at].blank = nodes_[at].fired = 0;
        keep();
    }

    Node& reached(int at) {
        Node& node = nodes_[at];
        if (!node.grown) {
            node.grown = true;
            grown_.push_back(at);
        }
        return node;
    }

    int child(int at, Class c) {
        for (int found = nodes_[at].child; found != 0; found = nodes_[found].sibling)
            if (nodes_[found].last == c) return found;
        Node made;
        made.parent = at;
        made.last = c;
        made.sibling = nodes_[at].child;
        if (language_) {
            made.context = language_->after(nodes_[at].context, c);
            made.prior = nodes_[at].prior + search_.bonus - search_.weight * language_->cost(nodes_[at].context, c);
        }
        nodes_.push_back(made);
        return nodes_[at].child = static_cast<int>(nodes_.size()) - 1;
    }

    // The best `width` of what was reached live on. Scaled, as long noise would end below what a double holds.
    void keep() {
        ranked_.clear();
        double scale = 0;
        for (const int at : grown_) {
            Node& node = nodes_[at];
            node.grown = false;
            const double sum = node.next_blank + node.next_fired;
            scale = std::max(scale, sum);
            ranked_.emplace_back(std::log(sum) + node.prior, at);
        }
        const auto better = [](const auto& a, const auto& b) { return a.first > b.first; };
        const std::size_t kept = std::min(ranked_.size(), static_cast<std::size_t>(search_.width));
        std::partial_sort(ranked_.begin(), ranked_.begin() + static_cast<std::ptrdiff_t>(kept), ranked_.end(), better);
        alive_.clear();
        for (std::size_t i = 0; i < ranked_.size(); ++i) {
            Node& node = nodes_[ranked_[i].second];
            if (i < kept && ranked_[i].first >= ranked_[0].first - search_.margin) {
                node.blank = node.next_blank / scale;
                node.fired = node.next_fired / scale;
                alive_.push_back(ranked_[i].second);
            }
            node.next_blank = node.next_fired = 0;
        }
    }

    const Output output_;
    const Language* language_;
    const Search search_;
    std::vector<Node> nodes_;
    std::vector<int> alive_, grown_;
    std::vector<Class> candidates_;
    std::vector<std::pair<double, int>> ranked_;
};

}  // namespace ctc
