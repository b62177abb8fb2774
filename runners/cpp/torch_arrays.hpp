// Arrays as PyTorch's tensors, and back; the version of the library that is loaded.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include "runner.hpp"

namespace torch_arrays {

struct Type {
    const char* npy;
    at::ScalarType torch;
};

constexpr Type TYPES[] = {{"f2", at::kHalf}, {"f4", at::kFloat}, {"f8", at::kDouble}, {"i1", at::kChar}, {"i2", at::kShort},
                          {"i4", at::kInt},  {"i8", at::kLong},  {"u1", at::kByte},   {"b1", at::kBool}};

inline at::Tensor tensor_of(const npy::Array& array) {
    for (const auto& type : TYPES)
        if (array.type == type.npy) {
            at::Tensor tensor = at::empty(array.shape, at::TensorOptions(type.torch));
            std::memcpy(tensor.data_ptr(), array.bytes.data(), array.bytes.size());
            return tensor;
        }
    throw std::runtime_error("PyTorch has no type " + array.type);
}

inline npy::Array array_of(const at::Tensor& given) {
    const at::Tensor tensor = given.contiguous();
    for (const auto& type : TYPES)
        if (tensor.scalar_type() == type.torch) {
            const auto* data = static_cast<const char*>(tensor.data_ptr());
            return {type.npy, tensor.sizes().vec(), {data, data + tensor.nbytes()}};
        }
    throw std::runtime_error("an output is of type " + std::string(at::toString(tensor.scalar_type())));
}

inline std::string version() {
    const std::uint64_t packed = aoti_torch_abi_version();
    return std::to_string(packed >> 56) + "." + std::to_string(packed >> 48 & 255) + "." +
           std::to_string(packed >> 40 & 255);
}

}  // namespace torch_arrays
