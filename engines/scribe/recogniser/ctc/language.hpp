// How likely a character is after those before it: an n-gram model with back-off (Katz 1987), in one hash table.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <vector>

namespace ctc {

using Class = std::uint8_t;

// Stands before a window's first character; no class has this number.
constexpr Class START = 255;
// Follows a window's last character, and nothing follows it.
constexpr Class END = 254;

// The last characters of a text, the latest in the lowest byte. START comes before all of them.
using Context = std::uint64_t;

class Language {
public:
    // A slot of the table holds the n-gram, what it costs and what backing off from it does: eight bytes in all.
    static constexpr int MOST = 6;

    // `keys` are n-grams of 1 to `order` symbols, packed as a Context is, the character itself lowest. `costs` are
    // -log P(character | those before it), `backoffs` what it costs to forget the oldest character where the n-gram is
    // the context of one that is not listed; both in units of `unit` nats. `symbols` names each class's; classes of
    // one symbol are as likely as each other. Every symbol should be listed as a 1-gram.
    Language(const std::uint64_t* keys, const std::uint8_t* costs, const std::uint8_t* backoffs, std::size_t count,
             const Class* symbols, std::size_t classes, int order, double unit)
        : order_(order), unit_(unit) {
        if (order < 1 || order > MOST) throw std::invalid_argument("the order must be 1 to 6");
        if (classes > END) throw std::invalid_argument("there are too many classes");
        std::array<int, 256> alike{};
        for (std::size_t c = 0; c < classes; ++c) ++alike[symbols_[c] = symbols[c]];
        symbols_[END] = END;
        for (std::size_t c = 0; c < classes; ++c) shares_[c] = std::log(alike[symbols_[c]]);
        std::size_t size = 16;
        while (3 * size < 4 * count) size *= 2;
        slots_.assign(size, 0);
        for (std::size_t i = 0; i < count; ++i) {
            if (keys[i] == 0 || keys[i] >> (8 * order)) throw std::invalid_argument("an n-gram is empty or too long");
            slots_[place(keys[i])] = keys[i] << 16 | std::uint64_t{costs[i]} << 8 | backoffs[i];
        }
    }

    Context after(Context context, Class next) const { return context << 8 | symbols_[next]; }

    // -log P(`next` | `context`) in nats.
    double cost(Context context, Class next) const {
        unsigned sum = 0;
        for (int length = order_ - 1; length >= 0; --length) {
            const Context seen = context & ((std::uint64_t{1} << (8 * length)) - 1);
            if (length > 0 && (seen >> (8 * (length - 1))) == 0) continue;  // longer than the text
            if (const std::uint64_t found = slots_[place(seen << 8 | symbols_[next])])
                return unit_ * (sum + (found >> 8 & 255)) + shares_[next];
            if (length > 0) sum += slots_[place(seen)] & 255;
        }
        return unit_ * (sum + 255) + shares_[next];
    }

private:
    std::size_t place(std::uint64_t key) const {
        std::size_t at = static_cast<std::size_t>((key * 0x9E3779B97F4A7C15u) >> 20) & (slots_.size() - 1);
        while (slots_[at] != 0 && slots_[at] >> 16 != key) at = (at + 1) & (slots_.size() - 1);
        return at;
    }

    std::vector<std::uint64_t> slots_;
    std::array<Class, 256> symbols_{};
    std::array<double, 256> shares_{};
    int order_;
    double unit_;
};

}  // namespace ctc
