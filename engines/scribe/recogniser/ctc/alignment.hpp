// Where a known text lies in the net's output, and how probable it is: CTC's forward algorithm and its best alignment
// (Graves et al. 2006, section 4.1).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

#include "beam.hpp"

namespace ctc {

// log P(`text`) in steps `begin` to `end`, over all alignments; minus infinity where the text needs more steps.
inline double log_likelihood(const Output& output, std::size_t begin, std::size_t end, const Class* text,
                             std::size_t length) {
    const std::size_t states = 2 * length + 1;
    // Two states that are never reached lead, so that no state needs a case of its own.
    std::vector<double> alpha(states + 2, 0);
    alpha[2] = 1;  // before the first step, as if in the leading blank
    double sum = 0;
    for (std::size_t step = begin; step < end; ++step) {
        const float* row = output[step];
        double scale = 0;
        for (std::size_t s = states; s-- > 0;) {
            const bool fires = s % 2 == 1;
            double reached = alpha[s + 2] + alpha[s + 1];
            if (fires && s > 1 && text[s / 2] != text[s / 2 - 1]) reached += alpha[s];
            alpha[s + 2] = reached * row[fires ? text[s / 2] : BLANK];
            scale += alpha[s + 2];
        }
        if (!(scale > 0)) return -std::numeric_limits<double>::infinity();
        sum += std::log(scale);
        for (double& a : alpha) a /= scale;
    }
    const double last = alpha[states + 1] + (length > 0 ? alpha[states] : 0);
    return std::min(0.0, sum + std::log(last));
}

// All alignments of a text at once: how probable it is with another class in a character's place, or without it, beside
// itself. Forwards and backwards (Graves et al. 2006, section 4.1), each step scaled by what is probable up to it.
class Alignments {
public:
    Alignments(const Output& output, const std::vector<Class>& text)
        : output_(output), text_(text), states_(2 * text.size() + 1), scale_(output.steps, 1) {
        const std::size_t steps = output.steps;
        forward_.assign((steps + 1) * states_, 0);
        forward_[0] = 1;  // before the first step, as if in the leading blank
        for (std::size_t step = 0; step < steps; ++step) {
            double sum = 0;
            for (std::size_t s = 0; s < states_; ++s) {
                double reached = at(forward_, step, s) + (s > 0 ? at(forward_, step, s - 1) : 0);
                if (jumps(s)) reached += at(forward_, step, s - 2);
                sum += at(forward_, step + 1, s) = reached * emitted(step, s);
            }
            possible_ = sum > 0;
            if (!possible_) return;
            scale_[step] = sum;
            for (std::size_t s = 0; s < states_; ++s) at(forward_, step + 1, s) /= sum;
        }
        backward_.assign((steps + 1) * states_, 0);
        for (std::size_t s = states_ - std::min<std::size_t>(2, states_); s < states_; ++s) at(backward_, steps, s) = 1;
        for (std::size_t step = steps; step-- > 0;) {
            for (std::size_t s = 0; s < states_; ++s) {
                double left = goes_on(step, s);
                if (s + 1 < states_) left += goes_on(step, s + 1);
                if (s + 2 < states_ && jumps(s + 2)) left += goes_on(step, s + 2);
                at(backward_, step, s) = left;
            }
        }
    }

    // How probable the text is with `c` as its character `i`; 0 where the text itself has no alignment.
    double with(std::size_t i, Class c) const {
        if (!possible_) return 0;
        const std::size_t blank = 2 * i;
        const bool joins = i > 0 && text_[i - 1] != c;
        double fires = 0, sum = 0;
        for (std::size_t step = 0; step < output_.steps; ++step) {
            const double before = at(forward_, step, blank) + (joins ? at(forward_, step, blank - 1) : 0);
            fires = (fires + before) * static_cast<double>(output_[step][c]) / scale_[step];
            sum += fires * after(step + 1, i, c);
        }
        return sum;
    }

    // How probable it is without character `i`.
    double without(std::size_t i) const {
        if (!possible_) return 0;
        if (i == 0) return after(0, 0, BLANK);
        double sum = 0;
        for (std::size_t step = 0; step < output_.steps; ++step)
            sum += at(forward_, step + 1, 2 * i - 1) * after(step + 1, i, text_[i - 1]);
        return sum;
    }

private:
    double& at(std::vector<double>& table, std::size_t step, std::size_t s) { return table[step * states_ + s]; }
    double at(const std::vector<double>& table, std::size_t step, std::size_t s) const {
        return table[step * states_ + s];
    }

    double emitted(std::size_t step, std::size_t s) const { return output_[step][s % 2 == 1 ? text_[s / 2] : BLANK]; }

    // Whether a character follows the one before it with no blank between.
    bool jumps(std::size_t s) const { return s % 2 == 1 && s > 1 && text_[s / 2] != text_[s / 2 - 1]; }

    double goes_on(std::size_t step, std::size_t s) const {
        return emitted(step, s) / scale_[step] * at(backward_, step + 1, s);
    }

    // How probable what follows character `i` is from `step` on, where the step before belonged to `last`.
    double after(std::size_t step, std::size_t i, Class last) const {
        if (step == output_.steps) return i + 1 >= text_.size() ? 1 : 0;
        const std::size_t blank = 2 * i + 2;
        double sum = goes_on(step, blank);
        if (blank + 1 < states_ && text_[i + 1] != last) sum += goes_on(step, blank + 1);
        return sum;
    }

    const Output output_;
    const std::vector<Class>& text_;
    std::size_t states_;
    std::vector<double> scale_, forward_, backward_;
    bool possible_ = true;
};

// The step at which each character of `text` is most probable, among those that the best alignment gives it.
inline std::vector<std::size_t> peaks(const Output& output, const std::vector<Class>& text) {
    const std::size_t states = 2 * text.size() + 1;
    std::vector<double> score(states, -std::numeric_limits<double>::infinity()), before;
    std::vector<std::uint8_t> jumps(output.steps * states);
    const auto emitted = [&](std::size_t step, std::size_t s) {
        return std::log(std::max(output[step][s % 2 == 1 ? text[s / 2] : BLANK], 1e-30f));
    };
    for (std::size_t step = 0; step < output.steps; ++step) {
        before = score;
        for (std::size_t s = 0; s < states; ++s) {
            double best = step == 0 ? (s < 2 ? 0 : -std::numeric_limits<double>::infinity()) : before[s];
            std::uint8_t jump = 0;
            if (step > 0 && s > 0 && before[s - 1] > best) best = before[s - 1], jump = 1;
            if (step > 0 && s > 1 && s % 2 == 1 && text[s / 2] != text[s / 2 - 1] && before[s - 2] > best)
                best = before[s - 2], jump = 2;
            score[s] = best + emitted(step, s);
            jumps[step * states + s] = jump;
        }
    }
    std::vector<std::size_t> found(text.size());
    std::vector<float> most(text.size(), -1);
    std::size_t s = states > 1 && score[states - 2] > score[states - 1] ? states - 2 : states - 1;
    for (std::size_t step = output.steps; step-- > 0;) {
        if (s % 2 == 1) {
            const float p = output[step][text[s / 2]];
            // Of steps alike the first.
            if (p >= most[s / 2]) most[s / 2] = p, found[s / 2] = step;
        }
        s -= jumps[step * states + s];
    }
    return found;
}

}  // namespace ctc
