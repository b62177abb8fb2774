// Arrays in NumPy's format .npy: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace npy {

constexpr std::size_t LARGEST = 1UL << 31;  // items in an array, and along an axis: their product cannot overflow

// `type` is the kind and the bytes of an item, as in NumPy: f2 f4 f8 i1 i2 i4 i8 u1 b1. `bytes` are in C order.
struct Array {
    std::string type;
    std::vector<std::int64_t> shape;
    std::vector<char> bytes;

    std::size_t item() const { return type.size() == 2 ? std::size_t(type[1] - '0') : 0; }

    std::size_t items() const { return item() ? bytes.size() / item() : 0; }

    template <class T>
    const T* as() const {
        return reinterpret_cast<const T*>(bytes.data());
    }
};

// By name, in order.
using Arrays = std::vector<std::pair<std::string, Array>>;

inline const Array& named(const Arrays& arrays, const std::string& name) {
    for (const auto& [other, array] : arrays)
        if (other == name) return array;
    throw std::runtime_error("no array is named " + name);
}

inline bool known(std::string_view type) {
    for (std::string_view one : {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1"})
        if (one == type) return true;
    return false;
}

// What stands behind `'key':` in the dict of a header.
inline std::string_view entry(std::string_view header, std::string_view key) {
    const auto at = header.find("'" + std::string(key) + "':");
    if (at == std::string_view::npos) throw std::runtime_error(".npy: no " + std::string(key) + " in its header");
    header.remove_prefix(at + key.size() + 3);
    header.remove_prefix(std::min(header.find_first_not_of(' '), header.size()));
    return header;
}

// Raises std::runtime_error for what is no .npy file, is cut short, in Fortran's or another machine's order, or objects.
inline Array parse(std::string_view file) {
    if (file.size() < 10 || file.substr(0, 6) != "\x93NUMPY") throw std::runtime_error("no .npy file");
    const auto byte = [&](std::size_t index) { return std::size_t(static_cast<unsigned char>(file[index])); };
    const std::size_t start = file[6] == 1 ? 10 : 12;
    if (file.size() < start) throw std::runtime_error(".npy: cut short");
    const std::size_t length = byte(8) | byte(9) << 8 | (start == 12 ? byte(10) << 16 | byte(11) << 24 : 0);
    if (file.size() - start < length) throw std::runtime_error(".npy: cut short");
    const std::string_view header = file.substr(start, length), data = file.substr(start + length);
    const std::string_view descr = entry(header, "descr");
    if (descr.size() < 5 || (descr[1] != '<' && descr[1] != '|') || descr[4] != '\'' || !known(descr.substr(2, 2)))
        throw std::runtime_error(".npy: unknown type " + std::string(descr.substr(0, 8)));
    if (entry(header, "fortran_order").substr(0, 5) != "False") throw std::runtime_error(".npy: in Fortran's order");
    Array found{std::string(descr.substr(2, 2)), {}, {}};
    std::size_t items = 1;
    std::string_view shape = entry(header, "shape");
    for (std::size_t index = 1; index < shape.size() && shape[index] != ')'; ++index) {
        if (shape[index] < '0' || shape[index] > '9') continue;
        std::size_t size = 0;
        for (; index < shape.size() && shape[index] >= '0' && shape[index] <= '9'; ++index)
            if ((size = 10 * size + std::size_t(shape[index] - '0')) > LARGEST)
                throw std::runtime_error(".npy: larger than its data");
        found.shape.push_back(std::int64_t(size));
        if ((items *= size) > LARGEST) throw std::runtime_error(".npy: larger than its data");
        --index;
    }
    if (items * found.item() != data.size()) throw std::runtime_error(".npy: another size than its data");
    found.bytes.assign(data.begin(), data.end());
    return found;
}

inline std::string text(const Array& array) {
    std::string shape;
    for (const auto size : array.shape) shape += std::to_string(size) + ",";
    std::string header = std::string("{'descr': '") + (array.item() == 1 ? '|' : '<') + array.type +
                         "', 'fortran_order': False, 'shape': (" + shape + "), }";
    header.append(63 - (10 + header.size()) % 64, ' ').push_back('\n');
    std::string file("\x93NUMPY\x01\x00", 8);
    file += {char(header.size() & 255), char(header.size() >> 8)};
    return file.append(header).append(array.bytes.begin(), array.bytes.end());
}

inline Array load(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    try {
        return parse(content);
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(path.string() + ": " + error.what());
    }
}

// An item as a number, of any type.
inline double number(const Array& array, std::size_t index) {
    const char* at = array.bytes.data() + index * array.item();
    const auto read = [at](auto value) {
        std::memcpy(&value, at, sizeof value);
        return double(value);
    };
    if (array.type == "f4") return read(float());
    if (array.type == "f8") return read(double());
    if (array.type == "i8") return read(std::int64_t());
    if (array.type == "i4") return read(std::int32_t());
    if (array.type == "i2") return read(std::int16_t());
    if (array.type == "i1") return read(std::int8_t());
    if (array.type == "u1" || array.type == "b1") return read(std::uint8_t());
    throw std::runtime_error("values of type " + array.type + " cannot be compared");
}

}  // namespace npy
