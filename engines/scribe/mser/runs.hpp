// An image as horizontal runs of equal grey: the vertices of the component trees.
//
// A page holds far fewer runs than pixels, and all that the trees need to know of a pixel they know of its run. Runs are
// the same for both polarities, so they are found once.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>

namespace mser {

// Uninitialised memory of a fixed length. A vector would write zeros first and so touch every page of it twice. Long
// buffers ask for huge pages: a page fault in a freshly forked cell costs more than the work on what it brings.
template <typename T>
class Buffer {
public:
    explicit Buffer(std::size_t length) : items_(static_cast<T*>(allocate(std::max<std::size_t>(length, 1) * sizeof(T)))) {
        if (!items_) throw std::bad_alloc();
    }
    T& operator[](std::ptrdiff_t i) { return items_.get()[i]; }
    const T& operator[](std::ptrdiff_t i) const { return items_.get()[i]; }
    T* data() { return items_.get(); }
    const T* data() const { return items_.get(); }

    // Gives the memory back to the system from `length` on.
    void shrink(std::size_t length) {
        T* old = items_.release();
        T* moved = static_cast<T*>(std::realloc(old, std::max<std::size_t>(length, 1) * sizeof(T)));
        items_.reset(moved ? moved : old);
    }

    // Hands the memory over; to be freed with std::free.
    T* release() { return items_.release(); }

private:
    static constexpr std::size_t huge_page = std::size_t{2} << 20;

    static void* allocate(std::size_t bytes) {
        if (bytes < 2 * huge_page) return std::malloc(bytes);
        void* memory = std::aligned_alloc(huge_page, (bytes + huge_page - 1) / huge_page * huge_page);
        // Advice only: where the kernel has no huge pages to give, small ones do.
        if (memory) madvise(memory, bytes, MADV_HUGEPAGE);
        return memory;
    }

    struct Free {
        void operator()(T* items) const { std::free(items); }
    };
    std::unique_ptr<T, Free> items_;
};

// Rows are walked eight bytes at a time where nothing happens, which on a page is nearly everywhere.
inline std::uint64_t eight(const std::uint8_t* bytes) {
    std::uint64_t word;
    std::memcpy(&word, bytes, 8);
    return word;
}

// Writes the indices below `length` whose flag is 1 to `out`, which has room for `length` + 1; their number.
inline std::ptrdiff_t positions(const std::uint8_t* flag, std::ptrdiff_t length, std::int32_t* out) {
    std::ptrdiff_t count = 0, x = 0;
    const auto one = [&] {
        out[count] = static_cast<std::int32_t>(x);
        count += flag[x];
        ++x;
    };
    while (x + 8 <= length) {
        if (eight(flag + x) == 0)
            x += 8;
        else
            for (int i = 0; i < 8; ++i) one();
    }
    while (x < length) one();
    return count;
}

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
        std::ptrdiff_t x = 0;
        level[run] = previous;
        const auto one = [&] {  // without a branch: the last write to a run's end is the right one
            run += row[x] != previous;
            previous = row[x];
            level[run] = previous;
            index[x] = run;
            end[run] = static_cast<std::uint16_t>(++x);
        };
        while (x + 8 <= width) {
            if (eight(row + x) == previous * 0x0101010101010101u) {
                std::fill_n(index + x, 8, run);
                x += 8;
                end[run] = static_cast<std::uint16_t>(x);
            } else {
                for (int i = 0; i < 8; ++i) one();
            }
        }
        while (x < width) one();
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
