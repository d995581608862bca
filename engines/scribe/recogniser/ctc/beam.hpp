// The likeliest text of a window: a prefix beam over the net's output (Graves et al. 2006, section 3.2; Hannun et al.
// 2014), with a language model's say in which prefixes live on.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
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
    double doubted; // of a text whose log-likelihood is less, characters are as probable as the net says at their step
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
        for (int at = ended(); at != 0; at = nodes_[at].parent) text.push_back(nodes_[at].last);
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

    static constexpr int NONE = -1;

    // What may live on to the next step: a node, or one yet to be made after its `parent`, whose score is the most that
    // it can be until the language model is asked: what that says is a cost.
    struct Candidate {
        double score = 0, fired = 0;
        int node = NONE, parent = 0;
        Class last = BLANK;

        bool operator<(const Candidate& other) const { return score < other.score; }
    };

    // Of the prefixes that live the one that is likeliest to be the whole text.
    int ended() const {
        if (!language_) return alive_[0];
        int best = alive_[0];
        double most = -std::numeric_limits<double>::infinity();
        for (const int at : alive_) {
            const Node& node = nodes_[at];
            const double score =
                std::log(node.blank + node.fired) + node.prior - search_.weight * language_->cost(node.context, END);
            if (score > most) most = score, best = at;
        }
        return best;
    }

    void advance(const float* row) {
        classes_.clear();
        for (std::size_t c = 0; c < output_.classes; ++c)
            if (row[c] >= search_.least && row[c] > 0) classes_.push_back(static_cast<Class>(c));
        if (classes_.empty())
            classes_.push_back(static_cast<Class>(std::max_element(row, row + output_.classes) - row));
        grown_.clear();
        candidates_.clear();
        for (const int at : alive_) {
            const double blank = nodes_[at].blank, fired = nodes_[at].fired;
            for (const Class c : classes_) {
                const double p = row[c];
                if (c == BLANK) {
                    reached(at).next_blank += (blank + fired) * p;
                } else if (c == nodes_[at].last) {
                    reached(at).next_fired += fired * p;
                    if (blank > 0) grow(at, c, blank * p);
                } else {
                    grow(at, c, (blank + fired) * p);
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

    void grow(int at, Class c, double fired) {
        for (int found = nodes_[at].child; found != 0; found = nodes_[found].sibling) {
            if (nodes_[found].last == c) {
                reached(found).next_fired += fired;
                return;
            }
        }
        const double most = nodes_[at].prior + (language_ ? search_.bonus : 0);
        candidates_.push_back({std::log(fired) + most, fired, NONE, at, c});
    }

    int made(const Candidate& candidate) {
        Node node;
        node.parent = candidate.parent;
        node.last = candidate.last;
        node.sibling = nodes_[candidate.parent].child;
        node.next_fired = candidate.fired;
        if (language_) {
            const Node& parent = nodes_[candidate.parent];
            node.context = language_->after(parent.context, node.last);
            node.prior = parent.prior + search_.bonus - search_.weight * language_->cost(parent.context, node.last);
        }
        nodes_.push_back(node);
        return nodes_[candidate.parent].child = static_cast<int>(nodes_.size()) - 1;
    }

    // The best `width` of what was reached live on. Scaled, as long noise would end below what a double holds.
    // The language model, which is far from the processor, is asked only of what may be among them.
    void keep() {
        double scale = 0, best = -std::numeric_limits<double>::infinity();
        for (const Candidate& candidate : candidates_) scale = std::max(scale, candidate.fired);
        for (const int at : grown_) {
            nodes_[at].grown = false;
            const double sum = nodes_[at].next_blank + nodes_[at].next_fired;
            scale = std::max(scale, sum);
            const double score = std::log(sum) + nodes_[at].prior;
            best = std::max(best, score);
            candidates_.push_back({score, 0, at, 0, BLANK});
        }
        alive_.clear();
        std::make_heap(candidates_.begin(), candidates_.end());
        while (!candidates_.empty() && alive_.size() < static_cast<std::size_t>(search_.width)) {
            std::pop_heap(candidates_.begin(), candidates_.end());
            Candidate& top = candidates_.back();
            if (top.score < best - search_.margin) break;
            if (top.node == NONE) {
                top.node = made(top);
                top.score = std::log(top.fired) + nodes_[top.node].prior;
                best = std::max(best, top.score);
                grown_.push_back(top.node);
                std::push_heap(candidates_.begin(), candidates_.end());
            } else {
                Node& node = nodes_[top.node];
                node.blank = node.next_blank / scale;
                node.fired = node.next_fired / scale;
                alive_.push_back(top.node);
                candidates_.pop_back();
            }
        }
        for (const int at : grown_) nodes_[at].next_blank = nodes_[at].next_fired = 0;
    }

    const Output output_;
    const Language* language_;
    const Search search_;
    std::vector<Node> nodes_;
    std::vector<int> alive_, grown_;
    std::vector<Class> classes_;
    std::vector<Candidate> candidates_;
};

}  // namespace ctc
