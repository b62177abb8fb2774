// With AddressSanitizer only: it ends a program that opens a library with RTLD_DEEPBIND, as TBB does below OpenVINO
// (https://github.com/google/sanitizers/issues/611). Here the flag is taken off.
#include <dlfcn.h>

extern "C" void* dlopen(const char* file, int mode) {
    using Open = void* (*)(const char*, int);
    static const auto next = reinterpret_cast<Open>(dlsym(RTLD_NEXT, "dlopen"));
    return next(file, mode & ~RTLD_DEEPBIND);
}
