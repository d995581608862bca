// An image as horizontal runs of equal grey: the vertices of the component trees.
//
// A page holds far fewer runs than pixels, and all that the trees need to know of a pixel they know of its run. Runs are
// the same for both polarities, so they are found once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <stdexcept>

namespace mser {

// Uninitialised memory of a fixed length. A vector would write zeros first and so touch every page of it twice.
template <typename T>
class Buffer {
public:
    explicit Buffer(std::size_t length)
        : items_(static_cast<T*>(std::malloc((length + (length == 0)) * sizeof(T)))) {
        if (!items_) throw std::bad_alloc();
    }
    T& operator[](std::ptrdiff_t i) { return items_.get()[i]; }
    const T& operator[](std::ptrdiff_t i) const { return items_.get()[i]; }
    T* data() { return items_.get(); }
    const T* data() const { return items_.get(); }

    // Gives the memory back to the system from `length` on.
    void shrink(std::size_t length) {
        T* old = items_.release();
        T* moved = static_cast<T*>(std::realloc(old, (length + (length == 0)) * sizeof(T)));
        items_.reset(moved ? moved : old);
    }

    // Hands the memory over; to be freed with std::free.
    T* release() { return items_.release(); }

private:
    struct Free {
        void operator()(T* items) const { std::free(items); }
    };
    std::unique_ptr<T, Free> items_;
};

// Grey pixels in memory of any layout. Strides in bytes, negative ones too.
struct Image {
    const std::uint8_t* pixels;
    std::ptrdiff_t height, width;
    std::ptrdiff_t row_stride, column_stride;

    // The longest side. It keeps run ends in 16 bits and the second moments of 2^31 pixels in 64.
    static constexpr std::ptrdiff_t longest = 65535;

    void check() const {
        if (height > longest || width > longest) throw std::invalid_argument("an image side is longer than 65535 px");
        if (height * width >= INT32_MAX) throw std::invalid_argument("the image has 2^31 px or more");
    }

    // Copies row `y` to `out`, keeping the bits of `mask`.
    void row(std::ptrdiff_t y, std::uint8_t mask, std::uint8_t* out) const {
        const std::uint8_t* from = pixels + y * row_stride;
        if (column_stride == 1)
            for (std::ptrdiff_t x = 0; x < width; ++x) out[x] = from[x] & mask;
        else
            for (std::ptrdiff_t x = 0; x < width; ++x) out[x] = from[x * column_stride] & mask;
    }
};

// Runs in scan order, counted from 1, so that 0 can stand for "none".
class Runs {
public:
    Runs(const Image& image, std::uint8_t mask)
        : height(image.height), width(image.width), count(counted(image, mask)), first(height + 1), end(count + 1),
          level(count + 1) {
        first[0] = 1;
    }

    // Splits row `y`, whose pixels are `row`, into runs; rows must come in order. `index[x]` becomes the run of column x.
    void split(std::ptrdiff_t y, const std::uint8_t* row, std::int32_t* index) {
        std::int32_t run = first[y];
        std::uint8_t previous = row[0];
        for (std::ptrdiff_t x = 0; x < width; ++x) {  // without a branch: the last write to a run's end is the right one
            run += row[x] != previous;
            previous = row[x];
            end[run] = static_cast<std::uint16_t>(x + 1);
            level[run] = previous;
            index[x] = run;
        }
        first[y + 1] = run + 1;
    }

    const std::ptrdiff_t height, width;
    const std::int32_t count;
    Buffer<std::int32_t> first;  // [y]: the first run of row y; [height]: one past the last run
    Buffer<std::uint16_t> end;   // [run]: the column after its last; its first column is the end of the run before it
    Buffer<std::uint8_t> level;  // [run]: grey, 0..255

private:
    static std::int32_t counted(const Image& image, std::uint8_t mask) {
        if (image.width == 0) return 0;
        Buffer<std::uint8_t> row(image.width);
        std::int64_t count = image.height;
        for (std::ptrdiff_t y = 0; y < image.height; ++y) {
            image.row(y, mask, row.data());
            std::int32_t changes = 0;
            for (std::ptrdiff_t x = 1; x < image.width; ++x) changes += row[x] != row[x - 1];
            count += changes;
        }
        return static_cast<std::int32_t>(count);
    }
};

}  // namespace mser
