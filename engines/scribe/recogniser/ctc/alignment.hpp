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
