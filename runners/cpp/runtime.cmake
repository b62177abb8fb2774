# Link TARGET with a runtime that is installed. CMAKE_PREFIX_PATH has torch's and OpenVINO's CMake files, where their
# wheels are: `import torch; torch.utils.cmake_prefix_path`, and the directory cmake beside openvino/__init__.py.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

function(use_runtime TARGET RUNTIME)
  if(RUNTIME STREQUAL "openvino")
    find_package(OpenVINO REQUIRED COMPONENTS Runtime)
    target_link_libraries(${TARGET} PRIVATE openvino::runtime)
  elseif(RUNTIME STREQUAL "torchscript" OR RUNTIME STREQUAL "aot_inductor")
    find_package(Torch REQUIRED)
    target_link_libraries(${TARGET} PRIVATE ${TORCH_LIBRARIES})
  elseif(RUNTIME STREQUAL "onnxruntime")
    # The wheel has the library and no header: ONNXRUNTIME_INCLUDE_DIR names a directory with them, and
    # ONNXRUNTIME_LIBRARY the library; without them those of Debian's libonnxruntime-dev are found.
    find_path(ONNXRUNTIME_INCLUDE_DIR onnxruntime_cxx_api.h REQUIRED
              PATH_SUFFIXES onnxruntime onnxruntime/core/session)
    find_library(ONNXRUNTIME_LIBRARY onnxruntime REQUIRED)
    target_include_directories(${TARGET} SYSTEM PRIVATE ${ONNXRUNTIME_INCLUDE_DIR})
    # The loader looks for libonnxruntime.so.1, as the library calls itself; in a wheel its file has another name.
    set(ONNXRUNTIME_LINKS ${CMAKE_BINARY_DIR} CACHE PATH "directory for a link to the library by its own name")
    file(CREATE_LINK ${ONNXRUNTIME_LIBRARY} ${ONNXRUNTIME_LINKS}/libonnxruntime.so.1 SYMBOLIC)
    target_link_libraries(${TARGET} PRIVATE ${ONNXRUNTIME_LINKS}/libonnxruntime.so.1)
  else()
    message(FATAL_ERROR "RUNTIME is openvino, torchscript, aot_inductor or onnxruntime, not '${RUNTIME}'")
  endif()
endfunction()
