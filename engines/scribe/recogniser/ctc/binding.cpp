// The Python module `_ctc`: see engines/scribe/recogniser/ctc/__init__.py.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/tuple.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "window.hpp"

namespace nb = nanobind;
using namespace ctc;

namespace {

using Logits = nb::ndarray<const float, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Classes = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Keys = nb::ndarray<const std::uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Lengths = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <typename T>
using Array = nb::ndarray<nb::numpy, T, nb::ndim<1>>;

template <typename T>
Array<T> array(std::vector<T>&& values) {
    auto* kept = new std::vector<T>(std::move(values));
    nb::capsule owner(kept, [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    return Array<T>(kept->data(), {kept->size()}, owner);
}

using Readings = std::tuple<Array<std::uint8_t>, Array<std::int32_t>, Array<float>, Array<std::int64_t>, Array<double>>;

Readings read_all(const Logits& logits, const Language* language, int width, double least, double margin, double weight,
                  double bonus, double doubted) {
    const std::size_t count = logits.shape(0), steps = logits.shape(1), classes = logits.shape(2);
    if (classes < 1 || classes >= START) throw std::invalid_argument("there must be 1 to 254 classes");
    if (width < 1) throw std::invalid_argument("the beam must be 1 wide at least");
    std::vector<std::uint8_t> text;
    std::vector<std::int32_t> fired;
    std::vector<float> probabilities;
    std::vector<std::int64_t> lengths;
    std::vector<double> likelihoods;
    {
        nb::gil_scoped_release release;
        for (std::size_t i = 0; i < count; ++i) {
            const std::vector<float> rows = softmax(logits.data() + i * steps * classes, steps, classes);
            const Reading reading = read({rows.data(), steps, classes}, language,
                                         {width, least, margin, weight, bonus, doubted});
            text.insert(text.end(), reading.text.begin(), reading.text.end());
            fired.insert(fired.end(), reading.steps.begin(), reading.steps.end());
            probabilities.insert(probabilities.end(), reading.probabilities.begin(), reading.probabilities.end());
            lengths.push_back(static_cast<std::int64_t>(reading.text.size()));
            likelihoods.push_back(reading.log_likelihood);
        }
    }
    return {array(std::move(text)), array(std::move(fired)), array(std::move(probabilities)), array(std::move(lengths)),
            array(std::move(likelihoods))};
}

Array<double> log_likelihoods(const Logits& log_probabilities, const Classes& labels, const Lengths& lengths) {
    const std::size_t count = log_probabilities.shape(0), steps = log_probabilities.shape(1),
                      classes = log_probabilities.shape(2);
    if (lengths.shape(0) != count) throw std::invalid_argument("each window needs a label");
    std::size_t sum = 0;
    for (std::size_t i = 0; i < count; ++i) {
        if (lengths(i) < 0) throw std::invalid_argument("a length is negative");
        sum += static_cast<std::size_t>(lengths(i));
    }
    if (labels.shape(0) != sum) throw std::invalid_argument("the lengths must add up to the labels");
    for (std::size_t i = 0; i < sum; ++i)
        if (labels(i) >= classes) throw std::invalid_argument("a label names no class");
    std::vector<double> result;
    const std::uint8_t* label = labels.data();
    for (std::size_t i = 0; i < count; ++i) {
        const std::vector<float> rows = softmax(log_probabilities.data() + i * steps * classes, steps, classes);
        const auto length = static_cast<std::size_t>(lengths(i));
        result.push_back(log_likelihood({rows.data(), steps, classes}, 0, steps, label, length));
        label += length;
    }
    return array(std::move(result));
}

}  // namespace

NB_MODULE(_ctc, m) {
    m.attr("START") = START;
    m.attr("END") = END;
    nb::class_<Language>(m, "Language")
        .def(
            "__init__",
            [](Language* self, const Keys& keys, const Classes& costs, const Classes& backoffs, const Classes& symbols,
               int order, double unit) {
                if (costs.shape(0) != keys.shape(0) || backoffs.shape(0) != keys.shape(0))
                    throw std::invalid_argument("keys, costs and backoffs must be as many");
                new (self) Language(keys.data(), costs.data(), backoffs.data(), keys.shape(0),
                                    symbols.data(), symbols.shape(0), order, unit);
            },
            nb::arg("keys"), nb::arg("costs"), nb::arg("backoffs"), nb::arg("symbols"),
            nb::kw_only(), nb::arg("order"), nb::arg("unit"))
        .def(
            "cost",
            [](const Language& self, const Classes& text) {
                double sum = 0;
                Context context = START;
                for (std::size_t i = 0; i < text.shape(0); ++i) {
                    sum += self.cost(context, text(i));
                    context = self.after(context, text(i));
                }
                return sum;
            },
            nb::arg("text"));
    m.def("read", &read_all, nb::arg("logits"), nb::arg("language").none(), nb::kw_only(), nb::arg("width"),
          nb::arg("least"), nb::arg("margin"), nb::arg("weight"), nb::arg("bonus"), nb::arg("doubted"));
    m.def("log_likelihoods", &log_likelihoods, nb::arg("log_probabilities"), nb::arg("labels"), nb::arg("lengths"));
}
