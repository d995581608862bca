// One window's output to its text: what is read, where each character fired, how probable each and all of it is.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "alignment.hpp"
#include "beam.hpp"

namespace ctc {

// A character of this probability at its step has no rival worth weighing.
constexpr float SETTLED = 0.98f;

struct Reading {
    std::vector<Class> text;
    std::vector<std::size_t> steps;
    std::vector<float> probabilities;
    double log_likelihood = 0;
};

// exp(logits) / sum of them, row by row; a row of which that is no number says nothing, and is a blank.
inline std::vector<float> softmax(const float* logits, std::size_t steps, std::size_t classes) {
    std::vector<float> result(steps * classes);
    for (std::size_t step = 0; step < steps; ++step) {
        const float* in = logits + step * classes;
        float* out = result.data() + step * classes;
        const float most = *std::max_element(in, in + classes);
        float sum = 0;
        for (std::size_t c = 0; c < classes; ++c) sum += out[c] = std::exp(in[c] - most);
        if (!std::isfinite(sum)) {
            std::fill(out, out + classes, 0.0f);
            out[BLANK] = sum = 1;
        }
        for (std::size_t c = 0; c < classes; ++c) out[c] /= sum;
    }
    return result;
}

// Each character's probability given all the others: what the net saw, over all alignments, and what the language model
// says of the text with it, beside the text with another class in its place and the one without it.
class Posterior {
public:
    Posterior(const Output& output, const Language* language, const Search& search, const Reading& reading)
        : output_(output), language_(language), search_(search), text_(reading.text), steps_(reading.steps) {
        Context context = START;
        for (const Class c : text_) {
            contexts_.push_back(context);
            if (language_) context = language_->after(context, c);
        }
    }

    float operator[](std::size_t i) {
        const float alone = output_[steps_[i]][text_[i]];
        if (alone >= SETTLED) return alone;
        if (!alignments_) alignments_.emplace(output_, text_);
        double all = alignments_->without(i) * std::exp(-search_.weight * cost(contexts_[i], i + 1)), its = 0;
        for (std::size_t c = BLANK + 1; c < output_.classes; ++c) {
            // What the net spreads thinly over all classes is its doubt of the window, and no rival.
            if (c != text_[i] && most(i, c) < search_.least) continue;
            const auto rival = static_cast<Class>(c);
            const double weighed =
                alignments_->with(i, rival) * std::exp(search_.bonus - search_.weight * with(i, rival));
            all += weighed;
            if (c == text_[i]) its = weighed;
        }
        return its > 0 ? static_cast<float>(std::min(1.0, its / all)) : alone;
    }

private:
    // The most that the net makes of class `c` between the characters beside character `i`.
    float most(std::size_t i, std::size_t c) const {
        const std::size_t begin = i > 0 ? steps_[i - 1] + 1 : 0;
        const std::size_t end = i + 1 < text_.size() ? steps_[i + 1] : output_.steps;
        float found = 0;
        for (std::size_t step = begin; step < end; ++step) found = std::max(found, output_[step][c]);
        return found;
    }

    // Nats of the characters from `first` that a change just before them can touch, and of the end.
    double cost(Context context, std::size_t first) const {
        if (!language_) return 0;
        double sum = 0;
        const std::size_t end = std::min(text_.size() + 1, first + Language::MOST - 1);
        for (std::size_t i = first; i < end; ++i) {
            const Class next = i < text_.size() ? text_[i] : END;
            sum += language_->cost(context, next);
            context = language_->after(context, next);
        }
        return sum;
    }

    double with(std::size_t i, Class c) const {
        return language_ ? language_->cost(contexts_[i], c) + cost(language_->after(contexts_[i], c), i + 1) : 0;
    }

    const Output output_;
    const Language* language_;
    const Search search_;
    const std::vector<Class>& text_;
    const std::vector<std::size_t>& steps_;
    std::vector<Context> contexts_;
    std::optional<Alignments> alignments_;
};

inline Reading read(const Output& output, const Language* language, const Search& search) {
    Reading reading;
    reading.text = Beam(output, language, search).text();
    reading.steps = peaks(output, reading.text);
    reading.log_likelihood = log_likelihood(output, 0, output.steps, reading.text.data(), reading.text.size());
    if (reading.log_likelihood < search.doubted) {
        for (std::size_t i = 0; i < reading.text.size(); ++i)
            reading.probabilities.push_back(output[reading.steps[i]][reading.text[i]]);
        return reading;
    }
    Posterior posterior(output, language, search, reading);
    for (std::size_t i = 0; i < reading.text.size(); ++i) reading.probabilities.push_back(posterior[i]);
    return reading;
}

}  // namespace ctc
